//! What the fuzz targets share: one network that they all speak of, and the judgement of decoders.
//!
//! A decoder never panics, and what it takes is the one encoding of a value. Both are held here
//! against the bytes that came in, not against the decoder's own idea of them.

use std::sync::LazyLock;

use types::Decode;
use types::Encode;
use types::Rules;
use types::test_utils::TestNetwork;

/// The rules of the network that the targets speak of.
pub const RULES: Rules = Rules { wave: 5 };

/// Four validators with known keys.
pub static NETWORK: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(4));

/// Decodes bytes and holds what comes out against them.
///
/// # Panics
/// When the decoder takes bytes that are not the value's encoding.
pub fn judge<T: Decode + Encode>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "taken, but not canonical");
    Some(value)
}
