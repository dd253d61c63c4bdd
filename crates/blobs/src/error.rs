//! What can be wrong, sorted by whose fault it is: the caller's, a peer's, the writer's.

use types::DecodeError;
use types::ShardIndex;

/// Why work can not be done. The caller's fault, or that there are too few shards yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// A segment is longer than segments are.
    #[error("a segment of {actual} bytes, {max} allowed")]
    SegmentLength {
        /// How many bytes were given.
        actual: usize,
        /// How many a segment takes.
        max: usize,
    },
    /// Fewer chunks of a segment than rebuild it.
    #[error("{actual} chunks of a segment, {needed} needed")]
    TooFewChunks {
        /// How many rebuild it.
        needed: u16,
        /// How many there are.
        actual: u16,
    },
    /// Bytes of a shard do not cover the chunk that they were given for.
    #[error("{shard}: these bytes do not hold the chunk of segment {segment}")]
    OtherChunk {
        /// Which shard.
        shard: ShardIndex,
        /// Which segment.
        segment: u64,
    },
    /// Bytes of a shard belong to another blob.
    #[error("these bytes belong to another blob")]
    OtherBlob,
    /// A segment follows one that was shorter than a segment, and so the last.
    #[error("a segment behind the last one")]
    BehindTheLast,
    /// A segment has another number of shards.
    #[error("a segment of {actual} shards in a blob of {expected}")]
    OtherShards {
        /// The blob's.
        expected: u16,
        /// The segment's.
        actual: u16,
    },
    /// The blob has become longer than a blob may be.
    #[error(transparent)]
    TooLong(#[from] types::blob::InvalidBlob),
    /// Segments are missing.
    #[error("{actual} of {expected} segments")]
    MissingSegments {
        /// How many the blob has.
        expected: u64,
        /// How many came.
        actual: u64,
    },
    /// A range is empty or lies outside.
    #[error("no bytes {from} to {to} in {length}")]
    NoSuchRange {
        /// The first byte.
        from: u64,
        /// The byte behind the last.
        to: u64,
        /// How many bytes there are.
        length: u64,
    },
    /// There is no such shard.
    #[error("no shard {shard} of {shards}")]
    NoSuchShard {
        /// The number given.
        shard: ShardIndex,
        /// How many there are.
        shards: u16,
    },
}

/// Why a shard's proof is refused. Whoever sent it made it up, or speaks of another blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// It is no proof at all.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The meta in it is not the one that the blob is named after.
    #[error("the proof describes another blob")]
    OtherBlob,
    /// The path does not lead to the root that the meta names.
    #[error("shard {shard} with this hash is not under the root of all shards")]
    WrongPath {
        /// Which shard was claimed.
        shard: ShardIndex,
    },
}

/// Why a slice of a shard is refused. Whoever sent it lied, or its disk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlice {
    /// A piece has another length than the place in the tree asks for.
    #[error("a piece of {actual} bytes, {expected} expected")]
    PieceLength {
        /// How many the place asks for.
        expected: usize,
        /// How many came.
        actual: usize,
    },
    /// A pair of hashes does not belong where it was sent.
    #[error("hashes of shard {shard} near byte {offset} are wrong")]
    Hashes {
        /// Which shard.
        shard: ShardIndex,
        /// Where the bytes begin that they speak of.
        offset: u64,
    },
    /// Bytes are not those of the shard.
    #[error("bytes of shard {shard} from {offset} are wrong")]
    Bytes {
        /// Which shard.
        shard: ShardIndex,
        /// Where they begin.
        offset: u64,
    },
    /// The slice ends before all of it came.
    #[error("the slice of shard {shard} ends {missing} bytes early")]
    Short {
        /// Which shard.
        shard: ShardIndex,
        /// How many bytes of the shard have not come.
        missing: u64,
    },
    /// Bytes follow behind the slice.
    #[error("{left} bytes left over behind the slice of shard {shard}")]
    Trailing {
        /// Which shard.
        shard: ShardIndex,
        /// How many.
        left: usize,
    },
}

/// How a blob's writer lied: shards that all are what the root promises, and are no encoding of any
/// bytes, or not of the bytes promised. Every reader finds one of these, whatever shards it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// Behind the last byte of a segment stands something else than zeros.
    #[error("inconsistent encoding: the padding is not zero")]
    Padding,
    /// The bytes encode to other shards.
    #[error("inconsistent encoding: the bytes encode to other shards than promised")]
    Shards,
    /// The bytes are not those promised.
    #[error("inconsistent encoding: the bytes hash to another value than promised")]
    Content,
}
