//! SHA-256 with domain separation: no two kinds of message ever share a hash input.
//!
//! Every hash starts with the length and the text of its domain, `meanwhile/<crate>/<what>/v1`.

use core::fmt;
use core::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;
use sha2::Digest as _;
use sha2::Sha256;

use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;

/// 32 bytes of SHA-256, shown as hex in their natural order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// All zero: the predecessor of whatever has none.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps bytes that came from a hash.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, in natural order.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Feeds one domain-separated hash.
#[derive(Clone, Debug)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a hash in `domain`, for instance `meanwhile/types/header/v1`.
    pub fn new(domain: &'static str) -> Self {
        let mut inner = Sha256::new();
        let length = u8::try_from(domain.len()).unwrap_or(u8::MAX);
        inner.update([length]);
        inner.update(domain.as_bytes());
        Self(inner)
    }

    /// Adds bytes. The caller sees to it that what it adds can be read in one way only.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// Adds the canonical encoding of a value.
    #[must_use]
    pub fn value<T: Encode>(self, value: &T) -> Self {
        self.bytes(&value.to_bytes())
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Encode for Digest {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for Digest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..6] {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
