//! Every decoder meets arbitrary bytes: it never panics, and what it accepts is canonical.

use proptest::prelude::*;
use types::BlobId;
use types::BlobMeta;
use types::Checkpoint;
use types::CheckpointProof;
use types::Commit;
use types::Decode;
use types::Digest;
use types::Encode;
use types::Header;
use types::Item;
use types::Payload;
use types::PublicKey;
use types::ShardCount;
use types::ShardIndex;
use types::Signature;
use types::VertexRef;
use types::blob::BlobOutcome;
use types::blob::BlobReference;
use types::blob::BlobStatement;
use types::bls;
use types::coin::CoinShare;
use types::encoding::Reader;

fn judge<T: Decode + Encode>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = T::from_bytes(bytes) {
        prop_assert_eq!(value.to_bytes(), bytes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_decode_canonically_or_not_at_all(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        version in 0_u8..3,
    ) {
        let mut versioned = vec![version];
        versioned.extend_from_slice(&bytes);
        for bytes in [bytes, versioned] {
            judge::<BlobId>(&bytes)?;
            judge::<BlobMeta>(&bytes)?;
            judge::<BlobOutcome>(&bytes)?;
            judge::<BlobReference>(&bytes)?;
            judge::<BlobStatement>(&bytes)?;
            judge::<Checkpoint>(&bytes)?;
            judge::<CheckpointProof>(&bytes)?;
            judge::<Commit>(&bytes)?;
            judge::<Digest>(&bytes)?;
            judge::<Header>(&bytes)?;
            judge::<Item>(&bytes)?;
            judge::<Payload>(&bytes)?;
            judge::<PublicKey>(&bytes)?;
            judge::<ShardCount>(&bytes)?;
            judge::<ShardIndex>(&bytes)?;
            judge::<Signature>(&bytes)?;
            judge::<VertexRef>(&bytes)?;
            judge::<CoinShare>(&bytes)?;
            judge::<bls::PublicKey>(&bytes)?;
            judge::<bls::Signature>(&bytes)?;
            judge::<bls::Possession>(&bytes)?;
        }
    }

    #[test]
    fn a_length_above_its_limit_is_refused(limit in 0_usize..50, over in 1_u32..1000) {
        let length = u32::try_from(limit).expect("small") + over;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.resize(5000, 0);
        prop_assert!(Reader::new(&bytes).list::<u64>("test", limit).is_err());
        prop_assert!(Reader::new(&bytes).bytes("test", limit).is_err());
    }
}
