//! Whatever shards a reader has, enough of them give the blob, and the strict check says so.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use blobs::CodingError;
use blobs::Commitment;
use blobs::HashWork;
use blobs::PartialSegment;
use blobs::Rebuild;
use blobs::Segment;
use blobs::SegmentCoder;
use blobs::StrictCheck;
use blobs::source_pieces;
use blobs::test_utils::StoredBlob;
use blobs::test_utils::bytes;
use blobs::test_utils::encode;
use proptest::prelude::*;
use proptest::sample::subsequence;
use types::ShardCount;
use types::ShardIndex;

const MIB: usize = 1 << 20;

fn count(shards: u16) -> ShardCount {
    ShardCount::new(shards).unwrap()
}

/// Reads a whole blob from some of its shards and checks it strictly.
fn read(blob: &StoredBlob, from: &[u16]) -> Result<Vec<u8>, blobs::Inconsistent> {
    let mut coder = SegmentCoder::new(blob.meta.layout.shards());
    let mut check = StrictCheck::new(&blob.meta);
    let mut source = Vec::new();
    for segment in 0..blob.meta.layout.segments() {
        let segment = blob.read(&mut coder, segment, from);
        check.push(&segment).unwrap();
        source.extend_from_slice(segment.source());
    }
    let committed = check.finish().unwrap()?;
    assert_eq!(committed.meta(), &blob.meta);
    Ok(source)
}

/// Every choice of k of S shards.
fn subsets(shards: u16) -> Vec<Vec<u16>> {
    let wanted = u32::from(count(shards).rebuild());
    let masks = (0_u32..1 << shards).filter(|mask| mask.count_ones() == wanted);
    masks.map(|mask| (0..shards).filter(|shard| mask & (1 << shard) != 0).collect()).collect()
}

#[test]
fn every_choice_of_enough_shards_reads_every_small_blob() {
    for shards in 1..=10 {
        let lengths: &[usize] = if shards < 8 { &[0, 1, 64, 129, 5_000] } else { &[777] };
        for length in lengths {
            let source = bytes(u64::from(shards), *length);
            let blob = StoredBlob::honest(count(shards), &source);
            for from in subsets(shards) {
                assert_eq!(read(&blob, &from).as_ref(), Ok(&source), "S = {shards}, {from:?}");
            }
        }
    }
}

#[test]
fn a_blob_of_several_segments_reads_from_the_first_and_the_last_shards() {
    for (shards, length) in [(4, MIB), (4, 2 * MIB + 1), (10, MIB + 77), (31, 3 * MIB - 1)] {
        let source = bytes(9, length);
        let blob = StoredBlob::honest(count(shards), &source);
        let k = count(shards).rebuild();
        assert_eq!(read(&blob, &(0..k).collect::<Vec<_>>()).as_ref(), Ok(&source));
        assert_eq!(read(&blob, &(shards - k..shards).collect::<Vec<_>>()).as_ref(), Ok(&source));
    }
}

#[test]
fn below_four_shards_every_one_is_needed() {
    for shards in 1..4 {
        let blob = StoredBlob::honest(count(shards), &bytes(1, 1000));
        assert_eq!(blob.meta.layout.shards().rebuild(), shards);
        let partial = PartialSegment::new(&blob.meta.layout, 0, Vec::new()).unwrap();
        let refused = SegmentCoder::new(count(shards)).complete(partial).map(|_| ());
        assert_eq!(refused, Err(CodingError::TooFewChunks { needed: shards, actual: 0 }));
    }
}

#[test]
fn one_chunk_too_few_is_refused_and_a_chunk_given_twice_counts_once() {
    let blob = StoredBlob::honest(count(7), &bytes(1, 1000));
    let mut partial = PartialSegment::new(&blob.meta.layout, 0, Vec::new()).unwrap();
    for shard in [6, 6, 2, 6] {
        let proven = blob.shards[shard].prove(&blob.meta, 0, blob.meta.layout.shard_length());
        partial.accept(&proven).unwrap();
    }
    assert!(!partial.is_enough());
    let refused = SegmentCoder::new(count(7)).complete(partial).map(|_| ());
    assert_eq!(refused, Err(CodingError::TooFewChunks { needed: 3, actual: 2 }));
}

#[test]
fn bytes_of_another_blob_or_another_place_are_not_taken() {
    let blob = StoredBlob::honest(count(4), &bytes(1, 3 * MIB));
    let other = StoredBlob::honest(count(4), &bytes(1, 3 * MIB - 1));
    let mut partial = PartialSegment::new(&blob.meta.layout, 1, Vec::new()).unwrap();
    let (from, to) = partial.shard_range();
    let foreign = other.shards[0].prove(&other.meta, from, to);
    assert_eq!(partial.accept(&foreign), Err(CodingError::OtherBlob));
    let shard = ShardIndex::ZERO;
    for (from, to) in [(0, to - 1), (from + 1, to + 1), (0, from)] {
        let misplaced = blob.shards[0].prove(&blob.meta, from, to);
        let refused = CodingError::OtherChunk { shard, segment: 1 };
        assert_eq!(partial.accept(&misplaced), Err(refused));
    }
    partial.accept(&blob.shards[0].prove(&blob.meta, from - 1, to + 1)).unwrap();
    assert_eq!(partial.present(), 1);
}

#[test]
fn a_lost_shard_is_rebuilt_from_others_with_its_proof() {
    let source = bytes(5, 2 * MIB + 4321);
    let blob = StoredBlob::honest(count(10), &source);
    for lost in [0, 3, 4, 9] {
        let from: Vec<u16> = (0..10).filter(|shard| *shard != lost).rev().take(4).collect();
        let mut rebuild = Rebuild::new(&blob.meta, ShardIndex::new(lost)).unwrap();
        let mut coder = SegmentCoder::new(count(10));
        let mut rebuilt = Vec::new();
        for segment in 0..3 {
            let segment = blob.read(&mut coder, segment, &from);
            rebuilt.extend_from_slice(rebuild.push(&segment).unwrap());
        }
        let committed = rebuild.finish().unwrap().unwrap();
        let stored = &blob.shards[usize::from(lost)];
        assert_eq!(rebuilt, stored.bytes);
        assert_eq!(committed.proof(ShardIndex::new(lost)).as_ref(), Some(&stored.proof));
    }
    assert!(Rebuild::new(&blob.meta, ShardIndex::new(10)).is_err());
}

#[test]
fn hashing_in_shares_of_several_segments_commits_to_the_same() {
    let source = bytes(2, 5 * MIB + 17);
    let (committed, _) = encode(count(7), &source);
    let mut coder = SegmentCoder::new(count(7));
    let mut segment = |bytes: &[u8]| coder.encode(bytes, vec![0xff; 3]).unwrap();
    let segments: Vec<Segment> = source.chunks(MIB).map(&mut segment).collect();
    let mut commitment = Commitment::new(count(7));
    for share in segments.chunks(4) {
        let work = commitment.work(share).unwrap();
        assert_eq!(work.len(), 8);
        work.into_iter().rev().for_each(HashWork::run);
    }
    assert_eq!(commitment.finish().unwrap(), committed);
}

#[test]
fn nothing_follows_the_last_segment_and_nothing_is_missing() {
    let mut coder = SegmentCoder::new(count(4));
    let whole = coder.encode(&bytes(1, MIB), Vec::new()).unwrap();
    let short = coder.encode(b"short", Vec::new()).unwrap();
    let empty = coder.encode(b"", Vec::new()).unwrap();
    let mut commitment = Commitment::new(count(4));
    commitment.push(&whole).unwrap();
    assert_eq!(commitment.push(&empty), Err(CodingError::BehindTheLast));
    commitment.push(&short).unwrap();
    for segment in [&whole, &short, &empty] {
        assert_eq!(commitment.push(segment), Err(CodingError::BehindTheLast));
    }
    let none = Commitment::new(count(4)).finish().map(|_| ());
    assert_eq!(none, Err(CodingError::MissingSegments { expected: 1, actual: 0 }));
    let other = SegmentCoder::new(count(5)).encode(b"short", Vec::new()).unwrap();
    let refused = CodingError::OtherShards { expected: 4, actual: 5 };
    assert_eq!(Commitment::new(count(4)).push(&other), Err(refused));
    let long = coder.encode(&vec![0; MIB + 1], Vec::new()).map(|_| ());
    assert_eq!(long, Err(CodingError::SegmentLength { actual: MIB + 1, max: MIB }));

    let blob = StoredBlob::honest(count(4), &bytes(1, 2 * MIB));
    let mut check = StrictCheck::new(&blob.meta);
    check.push(&blob.read(&mut coder, 0, &[1, 2])).unwrap();
    let missing = CodingError::MissingSegments { expected: 2, actual: 1 };
    assert_eq!(check.finish().map(|_| ()), Err(missing));
    assert!(PartialSegment::new(&blob.meta.layout, 2, Vec::new()).is_err());
}

#[test]
fn a_range_of_the_blob_lies_where_its_pieces_say() {
    let source = bytes(8, 2 * MIB + 100_000);
    let blob = StoredBlob::honest(count(100), &source);
    let length = u64::try_from(source.len()).unwrap();
    let ranges =
        [(0, 1), (30_847, 30_849), (1_000_000, 1_100_000), (0, length), (length - 1, length)];
    for (from, to) in ranges {
        let mut read = Vec::new();
        for piece in source_pieces(&blob.meta.layout, from..to).unwrap() {
            let start = usize::try_from(piece.shard_offset).unwrap();
            let size = usize::try_from(piece.length).unwrap();
            read.extend_from_slice(&blob.shards[piece.shard.index()].bytes[start..start + size]);
        }
        let expected = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        assert!(read == source[expected], "{from} to {to}");
    }
    for (from, to) in [(5, 5), (6, 5), (0, length + 1), (u64::MAX - 1, u64::MAX)] {
        assert!(source_pieces(&blob.meta.layout, from..to).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_choices_of_shards_read_blobs_of_up_to_a_hundred(
        (shards, order) in (4_u16..=100).prop_flat_map(|shards| {
            let k = usize::from(count(shards).rebuild());
            (Just(shards), subsequence((0..shards).collect::<Vec<_>>(), k))
        }),
        length in 0_usize..300_000,
        seed in any::<u64>(),
    ) {
        let source = bytes(seed, length);
        let blob = StoredBlob::honest(count(shards), &source);
        prop_assert_eq!(read(&blob, &order), Ok(source));
    }
}
