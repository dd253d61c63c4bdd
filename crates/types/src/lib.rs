//! The words that every room of Meanwhile shares: identifiers, the committee, keys and signatures,
//! threshold shares of the common coin, vertices and their one canonical encoding.
//!
//! This crate never reads a clock, a file, a socket or the system's randomness, and it decides
//! nothing: agreement lives in `consensus`, money in `ledger`.
//!
//! The main types are [`Vertex`], decoded as [`Unverified`] and proven as [`Verified`];
//! [`Committee`], which knows every quorum; [`Commit`]; and [`Genesis`], the parameters that a
//! network is born with.
//!
//! ```
//! use types::{Committee, Quorums};
//!
//! let quorums = Quorums::new(4);
//! assert_eq!((quorums.faults(), quorums.quorum(), quorums.coin_threshold()), (1, 3, 2));
//! # let _: Option<Committee> = None;
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "test-utils"))]
extern crate std;

pub mod blob;
pub mod bls;
pub mod checkpoint;
pub mod coin;
pub mod dkg;
pub mod encoding;
pub mod error;
pub mod genesis;
pub mod receipt;
pub mod results;
pub mod table;

mod bitcoin_hash;
mod commit;
mod committee;
mod digest;
mod ids;
mod keys;
mod payload;
pub mod test_utils;
mod vertex;

pub use bitcoin_hash::BitcoinHash;
pub use blob::BlobId;
pub use blob::BlobLayout;
pub use blob::BlobMeta;
pub use blob::ShardCount;
pub use checkpoint::Checkpoint;
pub use checkpoint::CheckpointProof;
pub use checkpoint::CheckpointVote;
pub use commit::COMMIT_VERTICES_MAX;
pub use commit::Commit;
pub use committee::Committee;
pub use committee::Quorums;
pub use committee::VALIDATORS_MAX;
pub use committee::Validator;
pub use digest::Digest;
pub use digest::Hasher;
pub use encoding::Decode;
pub use encoding::Encode;
pub use error::DecodeError;
pub use error::InvalidVertex;
pub use error::KeyError;
pub use error::WrongSignature;
pub use genesis::Genesis;
pub use ids::Author;
pub use ids::CommitIndex;
pub use ids::Epoch;
pub use ids::Height;
pub use ids::Moment;
pub use ids::Round;
pub use ids::ShardIndex;
pub use ids::Span;
pub use ids::TimestampMs;
pub use keys::PublicKey;
pub use keys::SecretKey;
pub use keys::Signature;
pub use payload::ITEMS_MAX;
pub use payload::Item;
pub use payload::PAYLOAD_BYTES_MAX;
pub use payload::Payload;
pub use results::Results;
pub use vertex::Header;
pub use vertex::Rules;
pub use vertex::Unverified;
pub use vertex::VERTEX_BYTES_MAX;
pub use vertex::Verified;
pub use vertex::Vertex;
pub use vertex::VertexRef;
