//! What everybody must agree on about a blob before a byte of it moves: how many shards there are,
//! how many of them do what, who keeps which, and the 80 bytes that its name commits to.
//!
//! A blob's bytes never touch the chain. Its [`BlobMeta`] does not either: the chain knows the
//! [`BlobId`], which is the hash of the meta, and [`BlobLayout`], from which the price follows.
//!
//! **Invariant:** every value of these types is one that the rules allow. A number of shards has its
//! thresholds, a layout has its sizes, and nothing here overflows.
//!
//! Source: `docs/blobs.md`.

mod id;
mod layout;
mod meta;
mod outcome;
pub mod proof;
mod reference;
mod shards;
mod statement;
#[cfg(test)]
mod tests;

pub use id::BlobId;
pub use layout::BLOB_LENGTH_MAX;
pub use layout::BlobLayout;
pub use layout::CHUNK_ALIGNMENT;
pub use layout::Encoding;
pub use layout::SEGMENT_LENGTH;
pub use meta::BlobMeta;
pub use outcome::BlobChange;
pub use outcome::BlobOutcome;
pub use outcome::BlobRefusal;
pub use reference::BLOB_MARK;
pub use reference::BlobOperation;
pub use reference::BlobReference;
pub use shards::ShardCount;
pub use statement::BLOB_STATEMENTS_PER_VERTEX_MAX;
pub use statement::BlobClaim;
pub use statement::BlobStatement;

/// Why numbers make no blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlob {
    /// No committee has so many validators.
    #[error("{actual} shards, 1 to {max} allowed")]
    ShardCount {
        /// The number given.
        actual: u16,
        /// The largest number allowed.
        max: usize,
    },
    /// It is longer than a blob may be.
    #[error("a blob of {actual} bytes, {max} allowed")]
    Length {
        /// The length given.
        actual: u64,
        /// The largest length allowed.
        max: u64,
    },
    /// Nothing is defined for this number, or not yet.
    #[error("blob encoding {actual} is not one that this version knows")]
    Encoding {
        /// The number given.
        actual: u8,
    },
}
