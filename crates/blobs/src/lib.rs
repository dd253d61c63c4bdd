//! Turns the bytes of a blob into shards that prove themselves, and enough shards back into bytes
//! that are proven to be the blob.
//!
//! This crate never reads a file, a socket or a clock and starts no thread. It hands out units of
//! work, a [`SegmentCoder`] a thread and [`HashWork`] a shard, and the caller runs them where it
//! likes. Memory is bounded by the segments that the caller holds, whatever the blob's length.
//!
//! A writer drives an [`Encoder`] and gets [`Committed`]: the meta, whose hash is the blob's name,
//! and a [`ShardProof`] for every shard. Whoever takes a shard checks its proof, and hashes what
//! comes in with a [`ShardHasher`]. A reader checks every slice of a shard as it arrives, with a
//! [`SliceReader`], puts k of them together in a [`PartialSegment`], and lets a [`StrictCheck`] say
//! at the end that the whole is what its writer promised.
//!
//! ```
//! use blobs::Encoder;
//! use types::ShardCount;
//!
//! let mut encoder = Encoder::new(ShardCount::new(4)?);
//! encoder.push(b"bytes that outlive their node", |_segment| {})?;
//! let committed = encoder.finish(|segment| {
//!     assert!(segment.source().ends_with(b"node"));
//! })?;
//! let shard = types::ShardIndex::new(3);
//! let proof = committed.proof(shard).expect("one of four");
//! assert!(proof.verify(&committed.meta().id()).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod coder;
mod commitment;
mod encoder;
mod error;
mod hasher;
mod leaves;
mod plan;
mod proof;
mod range;
mod segment;
mod slice;
#[cfg(any(test, feature = "test-utils"))]
pub mod test_utils;

pub use check::Rebuild;
pub use check::StrictCheck;
pub use coder::SegmentCoder;
pub use commitment::Commitment;
pub use commitment::Committed;
pub use commitment::HashWork;
pub use encoder::Encoder;
pub use error::CodingError;
pub use error::Inconsistent;
pub use error::InvalidProof;
pub use error::InvalidSlice;
pub use hasher::GROUP_LENGTH;
pub use hasher::PAIR_LENGTH;
pub use hasher::ShardHash;
pub use hasher::ShardHasher;
pub use hasher::outboard_length;
pub use leaves::Leaves;
pub use plan::Piece;
pub use plan::SlicePlan;
pub use plan::SliceRange;
pub use proof::ProvenShard;
pub use proof::ShardProof;
pub use range::SourcePiece;
pub use range::source_pieces;
pub use segment::PartialSegment;
pub use segment::Segment;
pub use slice::ProvenBytes;
pub use slice::SliceReader;
