//! Writers and keepers who lie: every reader finds the same, and names it.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use blobs::Inconsistent;
use blobs::InvalidProof;
use blobs::SegmentCoder;
use blobs::ShardProof;
use blobs::StrictCheck;
use blobs::test_utils::StoredBlob;
use blobs::test_utils::bytes;
use proptest::prelude::*;
use types::BlobId;
use types::Decode;
use types::Encode;
use types::ShardCount;
use types::ShardIndex;

const MIB: usize = 1 << 20;

fn count(shards: u16) -> ShardCount {
    ShardCount::new(shards).unwrap()
}

/// What the strict check says to a reader of these shards.
fn verdict(blob: &StoredBlob, from: &[u16]) -> Result<(), Inconsistent> {
    let mut coder = SegmentCoder::new(blob.meta.layout.shards());
    let mut check = StrictCheck::new(&blob.meta);
    for segment in 0..blob.meta.layout.segments() {
        check.push(&blob.read(&mut coder, segment, from)).unwrap();
    }
    check.finish().unwrap().map(|_| ())
}

/// Every pair of the four shards that S = 4 has.
fn pairs() -> impl Iterator<Item = [u16; 2]> {
    (0..4).flat_map(|left| (left + 1..4).map(move |right| [left, right]))
}

#[test]
fn one_changed_byte_in_one_shard_is_found_by_every_reader() {
    for changed in 0..4 {
        for (length, place) in [(100, 3), (MIB, 17), (2 * MIB + 5, MIB / 2 + 100)] {
            let blob = StoredBlob::inconsistent(count(4), &bytes(1, length), |shards| {
                shards[changed][place] ^= 1;
            });
            for pair in pairs() {
                let found = verdict(&blob, &pair).unwrap_err();
                let named = matches!(found, Inconsistent::Shards | Inconsistent::Padding);
                assert!(named, "shard {changed} of {length} bytes, read from {pair:?}: {found}");
            }
        }
    }
}

#[test]
fn shards_of_two_different_blobs_under_one_root_are_found_by_every_reader() {
    let other = StoredBlob::honest(count(4), &bytes(2, 5000));
    let blob = StoredBlob::inconsistent(count(4), &bytes(1, 5000), |shards| {
        for shard in [1, 3] {
            shards[shard].clone_from(&other.shards[shard].bytes);
        }
    });
    for pair in pairs() {
        assert!(verdict(&blob, &pair).is_err(), "{pair:?}");
    }
}

#[test]
fn bytes_in_the_padding_are_found_by_every_reader() {
    let blob = StoredBlob::wrong_padding(count(4), &bytes(1, 120), 110);
    for pair in pairs() {
        assert_eq!(verdict(&blob, &pair), Err(Inconsistent::Padding), "{pair:?}");
    }
}

#[test]
fn another_promised_content_is_found_by_every_reader() {
    let blob = StoredBlob::wrong_content(count(4), &bytes(1, 120));
    for pair in pairs() {
        assert_eq!(verdict(&blob, &pair), Err(Inconsistent::Content), "{pair:?}");
    }
}

#[test]
fn a_proof_speaks_of_one_shard_of_one_blob() {
    for shards in [1, 2, 3, 4, 5, 7, 8, 10, 31, 100, 256] {
        let blob = StoredBlob::honest(count(shards), &bytes(1, 100));
        let id = blob.meta.id();
        for stored in &blob.shards {
            let proven = stored.proof.clone().verify(&id).unwrap();
            assert_eq!(proven.leaf(), blake3::hash(&stored.bytes).as_bytes());
            let length = stored.proof.to_bytes().len();
            assert!(length <= ShardProof::ENCODED_LENGTH_MAX, "{length}");
        }
        let other = BlobId::new([7; 32]);
        let refused = blob.shards[0].proof.clone().verify(&other);
        assert_eq!(refused, Err(InvalidProof::OtherBlob));
    }
}

#[test]
fn every_changed_byte_of_a_proof_is_refused() {
    for shard in [0, 4, 6] {
        let blob = StoredBlob::honest(count(7), &bytes(1, 100));
        let id = blob.meta.id();
        let encoded = blob.shards[shard].proof.to_bytes();
        for place in 0..encoded.len() {
            for bit in 0..8 {
                let mut changed = encoded.clone();
                changed[place] ^= 1 << bit;
                let verified = ShardProof::from_bytes(&changed).map(|proof| proof.verify(&id));
                assert!(!matches!(verified, Ok(Ok(_))), "byte {place}, bit {bit}");
            }
        }
        assert!(ShardProof::from_bytes(&encoded[..encoded.len() - 1]).is_err());
        assert!(ShardProof::from_bytes(&[&encoded[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_shard_can_not_pass_for_another_one() {
    let blob = StoredBlob::honest(count(8), &bytes(1, 100));
    let mut encoded = blob.shards[2].proof.to_bytes();
    encoded[81] = 3;
    let proof = ShardProof::from_bytes(&encoded).unwrap();
    assert_eq!(proof.claimed_shard(), ShardIndex::new(3));
    let refused = InvalidProof::WrongPath { shard: ShardIndex::new(3) };
    assert_eq!(proof.verify(&blob.meta.id()), Err(refused));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_a_canonical_proof_or_none(
        head in proptest::collection::vec(any::<u8>(), 0..80),
        rest in proptest::collection::vec(any::<u8>(), 0..400),
        shards in 1_u16..=256,
    ) {
        let meta = StoredBlob::honest(count(shards), &head).meta;
        let claimed = [&[1][..], &meta.to_bytes(), &rest].concat();
        for bytes in [claimed, rest] {
            if let Ok(proof) = ShardProof::from_bytes(&bytes) {
                prop_assert_eq!(proof.to_bytes(), bytes);
                prop_assert!(proof.verify(&meta.id()).is_err());
            }
        }
    }
}
