//! What a blob is committed to: the hash of its bytes and of every shard, made segment by segment.
//!
//! The S + 1 hashes are independent of each other. Whoever has threads takes [`HashWork`] for a
//! handful of segments and runs it where it likes; whoever has none calls [`Commitment::push`].

use std::fmt;

use types::BlobLayout;
use types::BlobMeta;
use types::ShardCount;
use types::ShardIndex;
use types::blob::Encoding;

use crate::error::CodingError;
use crate::leaves::Leaves;
use crate::proof::ShardProof;
use crate::segment::Segment;
use crate::segment::length_max;

/// The hashes over the segments so far.
#[derive(Clone)]
pub struct Commitment {
    shards: ShardCount,
    content: blake3::Hasher,
    lanes: Vec<blake3::Hasher>,
    length: u64,
    segments: u64,
    is_ended: bool,
}

/// One hash to be brought forward over some segments.
pub struct HashWork<'a> {
    hasher: &'a mut blake3::Hasher,
    what: Hashed,
    segments: &'a [Segment],
}

#[derive(Clone, Copy, Debug)]
enum Hashed {
    Source,
    Shard(ShardIndex),
}

/// A blob that has been encoded to its end: what it is, and how every shard proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    meta: BlobMeta,
    leaves: Leaves,
}

impl Commitment {
    /// A commitment to nothing yet.
    pub fn new(shards: ShardCount) -> Self {
        let lanes = vec![blake3::Hasher::new(); usize::from(shards.value())];
        let content = blake3::Hasher::new();
        Self { shards, content, lanes, length: 0, segments: 0, is_ended: false }
    }

    /// How many segments there were.
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// Adds a segment.
    ///
    /// # Errors
    /// When a short segment, which is the last, came before, or it has other shards.
    pub fn push(&mut self, segment: &Segment) -> Result<(), CodingError> {
        self.work(std::slice::from_ref(segment))?.into_iter().for_each(HashWork::run);
        Ok(())
    }

    /// Adds segments, and hands out the hashing of them: all of it must be run before the next
    /// call, in any order and on any thread.
    ///
    /// # Errors
    /// As [`Commitment::push`]; nothing is added then.
    pub fn work<'a>(
        &'a mut self,
        segments: &'a [Segment],
    ) -> Result<Vec<HashWork<'a>>, CodingError> {
        let (mut length, mut count) = (self.length, self.segments);
        let mut is_ended = self.is_ended;
        for segment in segments {
            let (expected, actual) = (self.shards.value(), segment.shards().value());
            if actual != expected {
                return Err(CodingError::OtherShards { expected, actual });
            }
            // An empty segment stands alone: there is one only in an empty blob.
            let bytes = segment.source().len();
            if is_ended || (bytes == 0 && count > 0) {
                return Err(CodingError::BehindTheLast);
            }
            is_ended = bytes < length_max();
            length = length.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            count += 1;
        }
        BlobLayout::new(Encoding::Segmented, self.shards, length)?;
        (self.length, self.segments, self.is_ended) = (length, count, is_ended);
        let work = |hasher, what| HashWork { hasher, what, segments };
        let lanes = self.shards.shards().zip(&mut self.lanes);
        let lanes = lanes.map(|(shard, hasher)| work(hasher, Hashed::Shard(shard)));
        Ok(std::iter::once(work(&mut self.content, Hashed::Source)).chain(lanes).collect())
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// When there was no segment: an empty blob has one, without bytes.
    pub fn finish(self) -> Result<Committed, CodingError> {
        if self.segments == 0 {
            return Err(CodingError::MissingSegments { expected: 1, actual: 0 });
        }
        let layout = BlobLayout::new(Encoding::Segmented, self.shards, self.length)?;
        let hashes = self.lanes.iter().map(|lane| *lane.finalize().as_bytes()).collect();
        let leaves = Leaves::new(self.shards, hashes).expect("a lane for each shard");
        let content_hash = *self.content.finalize().as_bytes();
        let meta = BlobMeta { layout, shards_root: leaves.root(), content_hash };
        Ok(Committed { meta, leaves })
    }
}

impl HashWork<'_> {
    /// Does it.
    pub fn run(self) {
        for segment in self.segments {
            let bytes = match self.what {
                Hashed::Source => Some(segment.source()),
                Hashed::Shard(shard) => segment.chunk(shard),
            };
            self.hasher.update(bytes.expect("the segment has as many shards"));
        }
    }
}

impl Committed {
    /// What the blob is. Its hash is the blob's name.
    pub const fn meta(&self) -> &BlobMeta {
        &self.meta
    }

    /// The hashes of all shards.
    pub const fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    /// What a shard carries along; none when there is no such shard.
    pub fn proof(&self, shard: ShardIndex) -> Option<ShardProof> {
        let (leaf, path) = (self.leaves.leaf(shard)?, self.leaves.path(shard)?);
        Some(ShardProof::new(self.meta, shard, *leaf, path))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, segments, .. } = self;
        write!(formatter, "Commitment({length} bytes in {segments} segments)")
    }
}

impl fmt::Debug for HashWork<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HashWork({:?} over {})", self.what, self.segments.len())
    }
}
