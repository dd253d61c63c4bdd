//! One segment with its chunks: the unit of coding, of parallel work and of memory.
//!
//! The first k chunks are the source itself, padded with zeros, and stand one behind the other: so
//! a source is read right into its segment, and a segment read back needs no copy.

use std::fmt;

use types::BlobLayout;
use types::ShardCount;
use types::ShardIndex;
use types::blob::Encoding;
use types::blob::SEGMENT_LENGTH;

use crate::error::CodingError;
use crate::slice::ProvenBytes;

/// A segment of which all chunks are there. Only a [`SegmentCoder`](crate::SegmentCoder) makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment(Chunks);

/// A segment of which some chunks are there, each of them proven. Not strictly checked.
#[derive(Clone)]
pub struct PartialSegment {
    pub(crate) chunks: Chunks,
    pub(crate) present: Vec<bool>,
    layout: BlobLayout,
    index: u64,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) shards: ShardCount,
    /// How many bytes of the source are in it.
    pub(crate) length: usize,
    pub(crate) chunk_length: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Chunks {
    /// Room for a segment of `length` bytes, all zero, in a buffer that may have served before.
    pub(crate) fn zeroed(
        shards: ShardCount,
        length: usize,
        mut bytes: Vec<u8>,
    ) -> Result<Self, CodingError> {
        let (max, too_long) = (length_max(), usize::MAX);
        let layout = u64::try_from(length).ok().filter(|_| length <= max);
        let layout =
            layout.and_then(|length| BlobLayout::new(Encoding::Segmented, shards, length).ok());
        let chunk_length = layout.map_or(too_long, |layout| small(layout.shard_length()));
        if chunk_length == too_long {
            return Err(CodingError::SegmentLength { actual: length, max });
        }
        bytes.clear();
        bytes.resize(chunk_length * usize::from(shards.value()), 0);
        Ok(Self { shards, length, chunk_length, bytes })
    }

    pub(crate) fn rebuild(&self) -> usize {
        usize::from(self.shards.rebuild())
    }

    pub(crate) fn chunk(&self, place: usize) -> Option<&[u8]> {
        self.bytes.chunks_exact(self.chunk_length).nth(place)
    }

    pub(crate) fn chunk_mut(&mut self, place: usize) -> Option<&mut [u8]> {
        self.bytes.chunks_exact_mut(self.chunk_length).nth(place)
    }

    /// Whether what stands between the source's end and the end of its last chunk is zero.
    pub(crate) fn is_padded(&self) -> bool {
        let end = self.rebuild() * self.chunk_length;
        self.bytes[self.length..end].iter().all(|byte| *byte == 0)
    }
}

impl Segment {
    pub(crate) const fn new(chunks: Chunks) -> Self {
        Self(chunks)
    }

    pub(crate) const fn chunks(&self) -> &Chunks {
        &self.0
    }

    /// The bytes of the blob in it.
    pub fn source(&self) -> &[u8] {
        &self.0.bytes[..self.0.length]
    }

    /// S and its thresholds.
    pub const fn shards(&self) -> ShardCount {
        self.0.shards
    }

    /// How many bytes each chunk has.
    pub const fn chunk_length(&self) -> usize {
        self.0.chunk_length
    }

    /// What a shard has of this segment; none when there is no such shard.
    pub fn chunk(&self, shard: ShardIndex) -> Option<&[u8]> {
        self.0.chunk(shard.index())
    }

    /// Gives up the buffer, for the next segment.
    pub fn into_buffer(self) -> Vec<u8> {
        self.0.bytes
    }
}

impl PartialSegment {
    /// An empty segment of a blob, in a buffer that may have served before.
    ///
    /// # Errors
    /// When the blob has no such segment.
    pub fn new(layout: &BlobLayout, index: u64, buffer: Vec<u8>) -> Result<Self, CodingError> {
        let missing = CodingError::MissingSegments { expected: layout.segments(), actual: index };
        let length = layout.segment_length(index).ok_or(missing)?;
        let chunks = Chunks::zeroed(layout.shards(), small(length), buffer)?;
        let present = vec![false; usize::from(layout.shards().value())];
        Ok(Self { chunks, present, layout: *layout, index })
    }

    /// Which segment of the blob it is.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Which bytes of every shard belong to this segment.
    pub fn shard_range(&self) -> (u64, u64) {
        let from = self.index * self.layout.whole_chunk_length();
        (from, from + self.layout.chunk_length(self.index).unwrap_or(0))
    }

    /// How many chunks there are.
    pub fn present(&self) -> u16 {
        let count = self.present.iter().filter(|present| **present).count();
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Whether there are enough to rebuild it.
    pub fn is_enough(&self) -> bool {
        self.present() >= self.chunks.shards.rebuild()
    }

    /// Takes the chunk of one shard out of bytes that are proven to be the shard's. A chunk that is
    /// there already is the same, for both are proven.
    ///
    /// # Errors
    /// When the bytes belong to a blob of another layout or do not cover the chunk.
    pub fn accept(&mut self, bytes: &ProvenBytes) -> Result<(), CodingError> {
        if bytes.layout() != &self.layout {
            return Err(CodingError::OtherBlob);
        }
        let (from, to) = self.shard_range();
        let shard = bytes.shard();
        let other = CodingError::OtherChunk { shard, segment: self.index };
        let chunk = bytes.range(from, to).ok_or(other)?;
        self.chunks.chunk_mut(shard.index()).ok_or(other)?.copy_from_slice(chunk);
        self.present[shard.index()] = true;
        Ok(())
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chunks { shards, length, chunk_length, .. } = &self.0;
        write!(formatter, "Segment({length} bytes in {} of {chunk_length})", shards.value())
    }
}

impl fmt::Debug for PartialSegment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PartialSegment({}, {} chunks)", self.index, self.present())
    }
}

/// How many bytes a segment takes.
pub(crate) fn length_max() -> usize {
    small(SEGMENT_LENGTH)
}

/// A length of at most a few MiB, as a length in memory.
pub(crate) fn small(length: u64) -> usize {
    usize::try_from(length).expect("no machine addresses less than a few MiB")
}
