//! `meanwhile bench blobs`: encode, read and rebuild on this machine, without a network.
//!
//! The same work as `cargo bench -p meanwhile-blobs`, on a file, with as many threads as are asked for,
//! so that operators can see what their machine does.

use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::time::Instant;

use ::blobs::Committed;
use ::blobs::PartialSegment;
use ::blobs::ProvenBytes;
use ::blobs::Rebuild;
use ::blobs::Segment;
use ::blobs::SegmentCoder;
use ::blobs::ShardHasher;
use ::blobs::SlicePlan;
use ::blobs::SliceRange;
use ::blobs::SliceReader;
use ::blobs::StrictCheck;
use clap::Args;
use client::blobs::BlobError;
use client::blobs::BlobSource;
use serde::Serialize;
use types::BlobMeta;
use types::ShardCount;
use types::ShardIndex;

use crate::error::Failure;
use crate::output;

/// How many segments are read at a time.
const WINDOW: u64 = 4;
const SEGMENT: usize = 1 << 20;

/// Measure what a blob costs this machine: encoding, a verified read, rebuilding a shard
///
/// Figures are megabytes of the blob a second. Encoding runs on as many threads as asked for; reading
/// and rebuilding on one. Bare coding and bare hashing are measured on the same bytes in the same run.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile bench blobs --validators 4,10,31,100 --size-mib 64 --json"
)]
pub(crate) struct Arguments {
    /// How many validators, that is shards
    #[arg(long, value_delimiter = ',', default_value = "4,10,31,100")]
    validators: Vec<u16>,
    /// How large the blob is
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    size_mib: u32,
    /// How many threads encode
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One row, in megabytes a second.
#[derive(Debug, Serialize)]
struct Row {
    validators: u16,
    rebuild_from: u16,
    bare_code_mb_per_s: f64,
    bare_hash_mb_per_s: f64,
    bare_both_mb_per_s: f64,
    encode_mb_per_s: f64,
    encode_to_bare: f64,
    read_mb_per_s: f64,
    read_from_parity_mb_per_s: f64,
    rebuild_shard_mb_per_s: f64,
}

impl Arguments {
    /// Measures and prints.
    ///
    /// # Errors
    /// When there is no room for the file, or a number is none of validators.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for validators in &self.validators {
            let shards = ShardCount::new(*validators).map_err(::blobs::CodingError::from);
            let row = self.measure(shards.map_err(BlobError::from)?)?;
            if self.json {
                output::json(&row)?;
            }
            rows.push(row);
        }
        if self.json {
            return Ok(());
        }
        let head =
            ["n", "k", "code", "hash", "both", "encode", "ratio", "read", "parity", "rebuild"];
        let cells = |row: &Row| {
            let figures = [
                row.bare_code_mb_per_s,
                row.bare_hash_mb_per_s,
                row.bare_both_mb_per_s,
                row.encode_mb_per_s,
            ];
            let rest =
                [row.read_mb_per_s, row.read_from_parity_mb_per_s, row.rebuild_shard_mb_per_s];
            let whole = |figure: &f64| format!("{figure:.0}");
            let mut cells = vec![row.validators.to_string(), row.rebuild_from.to_string()];
            cells.extend(figures.iter().map(whole));
            cells.push(format!("{:.2}", row.encode_to_bare));
            cells.extend(rest.iter().map(whole));
            cells
        };
        let rows: Vec<_> = rows.iter().map(cells).collect();
        output::line(&format!("MB/s\n{}", output::table(&head, &rows)))
    }

    fn measure(&self, shards: ShardCount) -> Result<Row, Failure> {
        let content = self.content();
        let mut file = tempfile::tempfile().map_err(BlobError::from)?;
        file.write_all(&content).map_err(BlobError::from)?;
        let source = BlobSource::new(file, shards, self.threads)?;
        let mut coder = SegmentCoder::new(shards);
        // Once unmeasured, so that the file is in memory and tables are made.
        let committed = source.commit(|_| {})?;
        let keepers = Keepers::new(committed, &mut coder, &content)?;
        let code = self.speed(|| keepers.code(&mut coder, &content))?;
        let hash = self.speed(|| {
            keepers.hash(&content);
            Ok(())
        })?;
        let encode = self.speed(|| source.commit(|_| {}).map(|_| ()))?;
        let (n, k) = (shards.value(), shards.rebuild());
        let both = 1.0 / (1.0 / code + 1.0 / hash);
        Ok(Row {
            validators: n,
            rebuild_from: k,
            bare_code_mb_per_s: code,
            bare_hash_mb_per_s: hash,
            bare_both_mb_per_s: both,
            encode_mb_per_s: encode,
            encode_to_bare: encode / both,
            read_mb_per_s: self.speed(|| keepers.read(&mut coder, 0..k))?,
            read_from_parity_mb_per_s: self.speed(|| keepers.read(&mut coder, n - k..n))?,
            rebuild_shard_mb_per_s: self.speed(|| keepers.rebuild(&mut coder, n - k..n))?,
        })
    }

    fn content(&self) -> Vec<u8> {
        let length = usize::try_from(u64::from(self.size_mib) << 20).unwrap_or(usize::MAX);
        let mut content = vec![0; length];
        for (place, word) in (0_u64..).zip(content.chunks_exact_mut(8)) {
            word.copy_from_slice(&place.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        }
        content
    }

    /// Megabytes of the blob a second.
    fn speed(&self, work: impl FnOnce() -> Result<(), BlobError>) -> Result<f64, BlobError> {
        let began = Instant::now();
        work()?;
        let seconds = began.elapsed().as_secs_f64().max(1e-9);
        Ok(f64::from(self.size_mib) * 1.048_576 / seconds)
    }
}

/// All shards in memory, as their keepers would serve them.
struct Keepers {
    meta: BlobMeta,
    committed: Committed,
    stored: Vec<Vec<u8>>,
    outboards: Vec<Vec<u8>>,
}

impl Keepers {
    fn new(
        committed: Committed,
        coder: &mut SegmentCoder,
        content: &[u8],
    ) -> Result<Self, BlobError> {
        let shards = coder.shards();
        let mut stored = vec![Vec::new(); usize::from(shards.value())];
        for bytes in content.chunks(SEGMENT) {
            let segment = coder.encode(bytes, Vec::new())?;
            for (shard, bytes) in shards.shards().zip(&mut stored) {
                bytes.extend_from_slice(segment.chunk(shard).unwrap_or_default());
            }
        }
        let outboard = |bytes: &Vec<u8>| {
            let mut hasher = ShardHasher::default();
            hasher.update(bytes);
            hasher.finish().outboard
        };
        let outboards = stored.iter().map(outboard).collect();
        Ok(Self { meta: *committed.meta(), committed, stored, outboards })
    }

    /// The code and nothing else.
    fn code(&self, coder: &mut SegmentCoder, content: &[u8]) -> Result<(), BlobError> {
        let mut buffer = Vec::new();
        for bytes in content.chunks(SEGMENT) {
            buffer = black_box(coder.encode(bytes, buffer)?).into_buffer();
        }
        Ok(())
    }

    /// The hash of everything that is hashed, and nothing else.
    fn hash(&self, content: &[u8]) {
        for bytes in self.stored.iter().map(Vec::as_slice).chain([content]) {
            let mut hasher = ShardHasher::default();
            hasher.update(bytes);
            black_box(hasher.finish());
        }
    }

    /// A whole read: every slice checked, every segment completed, the strict check.
    fn read(&self, coder: &mut SegmentCoder, from: std::ops::Range<u16>) -> Result<(), BlobError> {
        let mut check = StrictCheck::new(&self.meta);
        self.segments(coder, from, |segment| Ok(check.push(segment)?))?;
        check.finish()??;
        Ok(())
    }

    /// Rebuilds the first shard.
    fn rebuild(
        &self,
        coder: &mut SegmentCoder,
        from: std::ops::Range<u16>,
    ) -> Result<(), BlobError> {
        let mut rebuild = Rebuild::new(&self.meta, ShardIndex::ZERO)?;
        self.segments(coder, from, |segment| {
            black_box(rebuild.push(segment)?);
            Ok(())
        })?;
        rebuild.finish()??;
        Ok(())
    }

    fn segments(
        &self,
        coder: &mut SegmentCoder,
        from: std::ops::Range<u16>,
        mut take: impl FnMut(&Segment) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        let layout = &self.meta.layout;
        let mut buffer = Vec::new();
        let mut first = 0;
        while first < layout.segments() {
            let end = (first + WINDOW).min(layout.segments());
            let start = first * layout.whole_chunk_length();
            let stop = (end * layout.whole_chunk_length()).min(layout.shard_length());
            let range = SliceRange::new(start, stop, layout.shard_length())?;
            let proven: Vec<ProvenBytes> = from
                .clone()
                .filter_map(|shard| self.slice(ShardIndex::new(shard), range))
                .collect();
            for segment in first..end {
                let mut partial = PartialSegment::new(layout, segment, buffer)?;
                for bytes in &proven {
                    partial.accept(bytes)?;
                }
                let segment = coder.complete(partial)?;
                take(&segment)?;
                buffer = segment.into_buffer();
            }
            first = end;
        }
        Ok(())
    }

    fn slice(&self, shard: ShardIndex, range: SliceRange) -> Option<ProvenBytes> {
        let (bytes, outboard) = (&self.stored[shard.index()], &self.outboards[shard.index()]);
        let mut slice = Vec::new();
        for piece in SlicePlan::new(range) {
            let (from, offset, length) = match piece {
                ::blobs::Piece::Pair { offset } => (outboard, offset, ::blobs::PAIR_LENGTH),
                ::blobs::Piece::Bytes { offset, length } => (bytes, offset, length),
            };
            let offset = usize::try_from(offset).ok()?;
            slice.extend_from_slice(&from[offset..offset + length]);
        }
        let proven = self.committed.proof(shard)?.verify(&self.meta.id()).ok()?;
        SliceReader::new(&proven, range)?.read_all(&slice).ok()
    }
}
