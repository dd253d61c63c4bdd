//! How fast one core encodes and commits, reads strictly, and rebuilds a shard, beside the bare code
//! and the bare hash on the same bytes in the same run.
//!
//! `cargo bench -p meanwhile-blobs --features test-utils`
//!
//! Figures are megabytes (10^6 bytes) of the blob a second of one thread's processor time, the median of
//! several rounds: so what else runs on the machine counts as little as it can.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;

use blobs::Encoder;
use blobs::PartialSegment;
use blobs::Rebuild;
use blobs::Segment;
use blobs::SegmentCoder;
use blobs::SliceRange;
use blobs::SliceReader;
use blobs::StrictCheck;
use blobs::test_utils::StoredBlob;
use blobs::test_utils::bytes;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use types::ShardCount;
use types::ShardIndex;

const LENGTH: usize = 32 << 20;
const SEGMENT: usize = 1 << 20;
const ROUNDS: usize = 5;
/// How many segments a reader asks a keeper for at a time.
const WINDOW: u64 = 4;

fn main() {
    println!("{} MiB, MB/s of one thread, median of {ROUNDS} rounds", LENGTH >> 20);
    println!(
        "  n   k |  code    hash  both | encode+commit ratio | read systematic ratio | \
         read from parity | rebuild one shard"
    );
    for shards in [4, 10, 31, 100] {
        let count = ShardCount::new(shards).expect("a number of shards");
        row(count);
    }
}

fn row(shards: ShardCount) {
    let source = bytes(u64::from(shards.value()), LENGTH);
    let code = speed(|| code(shards, &source));
    let all = StoredBlob::honest(shards, &source);
    let hash = speed(|| {
        black_box(blake3::hash(&source));
        for shard in &all.shards {
            black_box(blake3::hash(&shard.bytes));
        }
    });
    let both = 1.0 / (1.0 / code + 1.0 / hash);
    let encode = speed(|| {
        let mut encoder = Encoder::new(shards);
        let sink = |segment: &Segment| {
            black_box(segment);
        };
        encoder.push(&source, sink).expect("a blob");
        black_box(encoder.finish(sink).expect("a blob"));
    });
    let (n, k) = (shards.value(), shards.rebuild());
    let slices = |from: Vec<u16>| Slices::of(&all, &from);
    let first = slices((0..k).collect());
    let systematic = speed(|| read(&all, &first));
    let last = slices((n - k..n).collect());
    let parity = speed(|| read(&all, &last));
    let others = slices((1..=k).collect());
    let rebuild = speed(|| rebuild(&all, &others));
    println!(
        "{n:>3} {k:>3} | {code:>6.0} {hash:>6.0} {both:>6.0} | {encode:>8.0} {:>9.2} | \
         {systematic:>10.0} {:>9.2} | {parity:>10.0} | {rebuild:>10.0}",
        encode / both,
        systematic / both,
    );
}

/// The code alone, as its library is meant to be used.
fn code(shards: ShardCount, source: &[u8]) {
    let (k, parity) = (usize::from(shards.rebuild()), usize::from(shards.parity()));
    let chunk = SEGMENT.div_ceil(k).next_multiple_of(64);
    let mut encoder = reed_solomon_simd::ReedSolomonEncoder::new(k, parity, chunk).expect("sizes");
    let mut padded = vec![0; k * chunk];
    for segment in source.chunks(SEGMENT) {
        padded[..segment.len()].copy_from_slice(segment);
        for chunk in padded.chunks(chunk) {
            encoder.add_original_shard(chunk).expect("k of them");
        }
        black_box(encoder.encode().expect("all there").recovery_iter().count());
    }
}

/// What keepers send to a reader, so that only the reader is measured.
struct Slices(Vec<Vec<(u16, SliceRange, Vec<u8>)>>);

impl Slices {
    fn of(all: &StoredBlob, from: &[u16]) -> Self {
        let layout = &all.meta.layout;
        let windows = (0..layout.segments()).step_by(usize::try_from(WINDOW).expect("small"));
        let window = |first: u64| {
            let chunk = layout.whole_chunk_length();
            let end = ((first + WINDOW) * chunk).min(layout.shard_length());
            let range = SliceRange::new(first * chunk, end, layout.shard_length());
            let range = range.expect("inside");
            let slice = |shard: &u16| (*shard, range, all.shards[usize::from(*shard)].slice(range));
            from.iter().map(slice).collect()
        };
        Self(windows.map(window).collect())
    }

    /// Checks every slice and completes every segment.
    fn segments(&self, all: &StoredBlob, mut take: impl FnMut(Segment) -> Vec<u8>) {
        let mut coder = SegmentCoder::new(all.meta.layout.shards());
        let mut buffer = Vec::new();
        for (window, first) in self.0.iter().zip((0..).step_by(4)) {
            let proven: Vec<_> = window
                .iter()
                .map(|(shard, range, slice)| {
                    let proof = all.shards[usize::from(*shard)].proof.clone();
                    let shard = proof.verify(&all.meta.id()).expect("honest");
                    let reader = SliceReader::new(&shard, *range).expect("inside");
                    reader.read_all(slice).expect("honest")
                })
                .collect();
            for segment in first..(first + WINDOW).min(all.meta.layout.segments()) {
                let layout = &all.meta.layout;
                let partial = PartialSegment::new(layout, segment, std::mem::take(&mut buffer));
                let mut partial = partial.expect("one of them");
                for bytes in &proven {
                    partial.accept(bytes).expect("the chunk");
                }
                buffer = take(coder.complete(partial).expect("k chunks"));
            }
        }
    }
}

fn read(all: &StoredBlob, slices: &Slices) {
    let mut check = StrictCheck::new(&all.meta);
    slices.segments(all, |segment| {
        check.push(&segment).expect("in order");
        segment.into_buffer()
    });
    check.finish().expect("all segments").expect("an honest writer");
}

fn rebuild(all: &StoredBlob, slices: &Slices) {
    let mut rebuild = Rebuild::new(&all.meta, ShardIndex::ZERO).expect("the first");
    slices.segments(all, |segment| {
        black_box(rebuild.push(&segment).expect("in order"));
        segment.into_buffer()
    });
    rebuild.finish().expect("all segments").expect("an honest writer");
}

/// The processor time that this thread has used.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let whole = u32::try_from(time.tv_sec).expect("not for years");
    f64::from(whole) + f64::from(u32::try_from(time.tv_nsec).expect("below a second")) / 1e9
}

/// Megabytes a second.
fn speed(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = seconds();
            work();
            seconds() - began
        })
        .collect();
    times.sort_by(f64::total_cmp);
    f64::from(u32::try_from(LENGTH).expect("32 MiB")) / 1e6 / times[ROUNDS / 2]
}
