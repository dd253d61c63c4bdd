//! The sizes of everything that a blob becomes.
//!
//! The source is cut into segments of [`SEGMENT_LENGTH`] bytes, of which the last may be shorter. A
//! segment of l bytes becomes S chunks of ceil(l / k) bytes, rounded up to a multiple of
//! [`CHUNK_ALIGNMENT`]; a shard is its chunks of all segments, one behind the other. An empty blob
//! is one segment without bytes, and a chunk is never empty: whatever is stored takes room, so
//! nothing is stored for nothing.

use super::InvalidBlob;
use super::ShardCount;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;

/// How many bytes of the source are coded together: 1 MiB.
pub const SEGMENT_LENGTH: u64 = 1 << SEGMENT_LOG;
/// Chunks are whole multiples of this, as the code over GF(2^16) wants them.
pub const CHUNK_ALIGNMENT: u64 = 64;
/// The longest blob: 1 TiB.
pub const BLOB_LENGTH_MAX: u64 = 1 << 40;

/// The power of two that a segment's length is.
pub(super) const SEGMENT_LOG: u8 = 20;

const SEGMENTED: u8 = 1;

/// How bytes become shards. 2 is kept for two-dimensional coding, in which a lost shard is repaired
/// cheaply, and 3 for codes that prove their own validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// 1: segments of 1 MiB, each under a systematic Reed-Solomon code over GF(2^16).
    Segmented,
}

/// What the sizes of a blob follow from. The chain knows as much of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobLayout {
    encoding: Encoding,
    shards: ShardCount,
    length: u64,
}

impl Encoding {
    /// The encoding with this number.
    ///
    /// # Errors
    /// When there is none, or none yet.
    pub const fn new(number: u8) -> Result<Self, InvalidBlob> {
        match number {
            SEGMENTED => Ok(Self::Segmented),
            actual => Err(InvalidBlob::Encoding { actual }),
        }
    }

    /// Its number.
    pub const fn value(self) -> u8 {
        match self {
            Self::Segmented => SEGMENTED,
        }
    }
}

impl BlobLayout {
    /// The layout of a blob of `length` bytes in `shards` shards.
    ///
    /// # Errors
    /// When it is longer than [`BLOB_LENGTH_MAX`].
    pub const fn new(
        encoding: Encoding,
        shards: ShardCount,
        length: u64,
    ) -> Result<Self, InvalidBlob> {
        if length > BLOB_LENGTH_MAX {
            return Err(InvalidBlob::Length { actual: length, max: BLOB_LENGTH_MAX });
        }
        Ok(Self { encoding, shards, length })
    }

    /// How bytes become shards.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// S and its thresholds.
    pub const fn shards(&self) -> ShardCount {
        self.shards
    }

    /// How many bytes the blob has.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// How many segments there are, at least one.
    pub const fn segments(&self) -> u64 {
        match self.length.div_ceil(SEGMENT_LENGTH) {
            0 => 1,
            segments => segments,
        }
    }

    /// How many bytes of the blob lie in a segment; none when there is no such segment.
    pub fn segment_length(&self, segment: u64) -> Option<u64> {
        if segment >= self.segments() {
            return None;
        }
        Some((self.length - segment * SEGMENT_LENGTH).min(SEGMENT_LENGTH))
    }

    /// How many bytes each of a segment's chunks has; none when there is no such segment.
    pub fn chunk_length(&self, segment: u64) -> Option<u64> {
        self.segment_length(segment).map(|length| self.chunk_of(length))
    }

    /// How many bytes a chunk of a whole segment has. Segment i begins at i times this in a shard.
    pub fn whole_chunk_length(&self) -> u64 {
        self.chunk_of(SEGMENT_LENGTH)
    }

    /// How many bytes each shard has, at least [`CHUNK_ALIGNMENT`].
    pub fn shard_length(&self) -> u64 {
        let before = self.segments() - 1;
        let last = self.length - before * SEGMENT_LENGTH;
        before * self.whole_chunk_length() + self.chunk_of(last)
    }

    /// How many bytes all shards have: what the price is over.
    pub fn encoded_length(&self) -> u64 {
        u64::from(self.shards.value()) * self.shard_length()
    }

    fn chunk_of(&self, length: u64) -> u64 {
        length
            .div_ceil(u64::from(self.shards.rebuild()))
            .next_multiple_of(CHUNK_ALIGNMENT)
            .max(CHUNK_ALIGNMENT)
    }
}

impl Encode for Encoding {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.value());
    }
}

impl Decode for Encoding {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        Self::new(tag).map_err(|_| DecodeError::UnknownTag { what: "blob encoding", tag })
    }
}
