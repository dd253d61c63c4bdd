//! A vertex from a stranger: decoded, held against its encoding, verified.
#![no_main]

use bytes::Bytes;
use fuzz::NETWORK;
use fuzz::RULES;
use libfuzzer_sys::fuzz_target;
use types::Unverified;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(vertex) = Unverified::decode(&bytes) else { return };
    let claimed = vertex.claimed();
    let again = Unverified::decode(claimed.encoded()).expect("its own encoding");
    assert_eq!(claimed.encoded(), &bytes);
    assert_eq!(again.claimed().reference(), claimed.reference());
    let reference = claimed.reference();
    if let Ok(verified) = vertex.verify(&NETWORK.committee, RULES) {
        assert_eq!(verified.reference(), reference);
        assert_eq!(verified.header().chain, *NETWORK.committee.chain());
    }
});
