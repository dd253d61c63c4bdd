//! Slices of shards: what an honest keeper sends is taken, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use bao_tree::BaoTree;
use bao_tree::BlockSize;
use bao_tree::ByteRanges;
use bao_tree::io::outboard::PostOrderMemOutboard;
use bao_tree::io::round_up_to_chunks;
use bao_tree::io::sync::encode_ranges_validated;
use blobs::GROUP_LENGTH;
use blobs::InvalidSlice;
use blobs::ShardHash;
use blobs::ShardHasher;
use blobs::SlicePlan;
use blobs::SliceRange;
use blobs::SliceReader;
use blobs::outboard_length;
use blobs::test_utils::StoredBlob;
use blobs::test_utils::bytes;
use proptest::prelude::*;
use types::ShardCount;
use types::ShardIndex;

const LENGTHS: [usize; 12] = [
    64,
    GROUP_LENGTH - 1,
    GROUP_LENGTH,
    GROUP_LENGTH + 1,
    2 * GROUP_LENGTH,
    2 * GROUP_LENGTH + 64,
    3 * GROUP_LENGTH,
    4 * GROUP_LENGTH + 1000,
    7 * GROUP_LENGTH + 1,
    8 * GROUP_LENGTH,
    9 * GROUP_LENGTH - 5,
    33 * GROUP_LENGTH + 7,
];

fn hash(bytes: &[u8], step: usize) -> ShardHash {
    let mut hasher = ShardHasher::default();
    let mut outboard = Vec::new();
    for piece in bytes.chunks(step) {
        hasher.update(piece);
        outboard.append(&mut hasher.take_outboard());
    }
    let ShardHash { leaf, outboard: rest } = hasher.finish();
    ShardHash { leaf, outboard: [outboard, rest].concat() }
}

/// One shard of S = 1 is the source itself, padded.
fn stored(length: usize) -> StoredBlob {
    StoredBlob::honest(ShardCount::new(1).unwrap(), &bytes(3, length))
}

fn range(from: usize, to: usize, length: usize) -> SliceRange {
    let number = |value: usize| u64::try_from(value).unwrap();
    SliceRange::new(number(from), number(to), number(length)).unwrap()
}

#[test]
fn a_shard_hashes_as_blake3_whatever_pieces_it_comes_in() {
    for length in LENGTHS {
        let bytes = bytes(1, length);
        let whole = hash(&bytes, length);
        assert_eq!(&whole.leaf, blake3::hash(&bytes).as_bytes(), "{length}");
        assert_eq!(u64::try_from(whole.outboard.len()).unwrap(), outboard_length_of(length));
        for step in [1000, GROUP_LENGTH, GROUP_LENGTH + 1, 40_000] {
            assert_eq!(hash(&bytes, step), whole, "{length} in steps of {step}");
        }
    }
    assert_eq!(&ShardHasher::default().finish().leaf, blake3::hash(b"").as_bytes());
}

fn outboard_length_of(length: usize) -> u64 {
    outboard_length(u64::try_from(length).unwrap())
}

#[test]
fn outboards_and_slices_are_those_of_another_library() {
    let block = BlockSize::from_chunk_log(4);
    for length in LENGTHS {
        let bytes = bytes(2, length);
        let ours = hash(&bytes, 5000);
        let theirs = PostOrderMemOutboard::create(&bytes, block);
        assert_eq!(ours.leaf, *theirs.root.as_bytes());
        assert_eq!(ours.outboard, theirs.data, "{length}");
        let groups = length.div_ceil(GROUP_LENGTH);
        for (first, last) in [(0, groups), (0, 1), (groups / 2, groups), (groups - 1, groups)] {
            let (from, to) = (first * GROUP_LENGTH, (last * GROUP_LENGTH).min(length));
            if from == to {
                continue;
            }
            let tree = BaoTree::new(u64::try_from(length).unwrap(), block);
            let outboard = PostOrderMemOutboard { root: theirs.root, tree, data: &ours.outboard };
            let bounds = u64::try_from(from).unwrap()..u64::try_from(to).unwrap();
            let chunks = round_up_to_chunks(&ByteRanges::from(bounds));
            let mut encoded = Vec::new();
            encode_ranges_validated(&bytes[..], &outboard, &chunks, &mut encoded).unwrap();
            let slice = SlicePlan::new(range(from, to, length));
            let mut own = Vec::new();
            for piece in slice {
                let (source, offset, size) = match piece {
                    blobs::Piece::Pair { offset } => (&ours.outboard, offset, 64),
                    blobs::Piece::Bytes { offset, length } => (&bytes, offset, length),
                };
                let offset = usize::try_from(offset).unwrap();
                own.extend_from_slice(&source[offset..offset + size]);
            }
            assert!(own == encoded, "{length}: {from} to {to}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_slice_and_every_cut_is_refused() {
    let blob = stored(5 * GROUP_LENGTH + 320);
    let shard = blob.shards[0].proof.clone().verify(&blob.meta.id()).unwrap();
    let length = blob.shards[0].bytes.len();
    let range = range(GROUP_LENGTH + 5, 3 * GROUP_LENGTH + 1, length);
    let slice = blob.shards[0].slice(range);
    let reader = SliceReader::new(&shard, range).unwrap();
    let read = reader.clone().read_all(&slice).unwrap();
    assert_eq!(read.bytes(), &blob.shards[0].bytes[GROUP_LENGTH + 5..3 * GROUP_LENGTH + 1]);
    for place in (0..slice.len()).step_by(61) {
        let mut changed = slice.clone();
        changed[place] ^= 0x20;
        let refused = reader.clone().read_all(&changed).unwrap_err();
        let named = ShardIndex::ZERO;
        let is_named = match refused {
            InvalidSlice::Hashes { shard, .. } | InvalidSlice::Bytes { shard, .. } => {
                shard == named
            }
            _ => false,
        };
        assert!(is_named, "byte {place}: {refused}");
        let cut = reader.clone().read_all(&slice[..place]).unwrap_err();
        assert!(matches!(cut, InvalidSlice::Short { .. }), "{cut}");
    }
    let longer = [&slice[..], &[0]].concat();
    let trailing = InvalidSlice::Trailing { shard: ShardIndex::ZERO, left: 1 };
    assert_eq!(reader.clone().read_all(&longer), Err(trailing));
    let mut reader = reader;
    let refused = InvalidSlice::PieceLength { expected: 64, actual: 63 };
    assert_eq!(reader.push(&slice[..63]), Err(refused));
}

#[test]
fn a_slice_of_one_place_is_no_slice_of_another() {
    let blob = stored(6 * GROUP_LENGTH);
    let shard = blob.shards[0].proof.clone().verify(&blob.meta.id()).unwrap();
    let length = blob.shards[0].bytes.len();
    let slice = blob.shards[0].slice(range(0, GROUP_LENGTH, length));
    let elsewhere = range(GROUP_LENGTH, 2 * GROUP_LENGTH, length);
    assert!(SliceReader::new(&shard, elsewhere).unwrap().read_all(&slice).is_err());
    assert!(SliceReader::new(&shard, range(0, 1, length - 1)).is_none());
}

#[test]
fn empty_ranges_and_ranges_outside_are_refused() {
    for (from, to) in [(0, 0), (5, 4), (0, 101), (100, 101), (u64::MAX, u64::MAX)] {
        assert!(SliceRange::new(from, to, 100).is_err(), "{from} to {to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_range_reads_back_and_takes_the_length_that_it_says(
        length in 1_usize..200_000,
        places in any::<[prop::sample::Index; 2]>(),
    ) {
        let blob = stored(length);
        let keeper = &blob.shards[0];
        let size = keeper.bytes.len();
        let places = places.map(|place| place.index(size));
        let (from, to) = (places[0].min(places[1]), places[0].max(places[1]) + 1);
        let range = range(from, to, size);
        let slice = keeper.slice(range);
        prop_assert_eq!(u64::try_from(slice.len()).unwrap(), range.encoded_length());
        let shard = keeper.proof.clone().verify(&blob.meta.id()).unwrap();
        let read = SliceReader::new(&shard, range).unwrap().read_all(&slice).unwrap();
        prop_assert!(read.bytes() == &keeper.bytes[from..to]);
    }

    #[test]
    fn arbitrary_bytes_are_no_slice(noise in proptest::collection::vec(any::<u8>(), 0..70_000)) {
        let blob = stored(4 * GROUP_LENGTH);
        let shard = blob.shards[0].proof.clone().verify(&blob.meta.id()).unwrap();
        let range = range(0, GROUP_LENGTH, 4 * GROUP_LENGTH);
        prop_assert!(SliceReader::new(&shard, range).unwrap().read_all(&noise).is_err());
    }
}
