//! A stored commit, and the small values that stand inside others.
#![no_main]

use fuzz::judge;
use libfuzzer_sys::fuzz_target;
use types::Commit;
use types::Header;
use types::PublicKey;
use types::Signature;
use types::VertexRef;
use types::bls;
use types::coin::CoinShare;
use types::coin::CoinSignature;

fuzz_target!(|bytes: &[u8]| {
    if let Some(commit) = judge::<Commit>(bytes) {
        commit.digest();
    }
    judge::<Header>(bytes);
    judge::<VertexRef>(bytes);
    judge::<PublicKey>(bytes);
    judge::<Signature>(bytes);
    judge::<CoinShare>(bytes);
    judge::<CoinSignature>(bytes);
    judge::<bls::PublicKey>(bytes);
    judge::<bls::Signature>(bytes);
    judge::<bls::Possession>(bytes);
});
