//! Storing and reading blobs, talking to the validators that keep the shards.
//!
//! [`BlobSource`] encodes a file, twice: once to know the blob's name, which the chain has to know
//! before anybody takes a shard, and once while the shards are sent. So memory holds some windows of
//! segments and never a shard. [`upload`] sends every shard to its keeper and goes on where an earlier
//! try ended. [`BlobReader`] reads from k keepers who may be silent or lie, and gives the bytes only
//! together with the strict check.
//!
//! Nothing here waits without a deadline.

mod calls;
mod error;
mod keepers;
mod purse;
mod range;
mod read;
mod source;
mod upload;
mod window;

pub use calls::Slice;
pub use error::BlobError;
pub use error::Fault;
pub use error::KeeperFault;
pub use keepers::Keepers;
pub use purse::HANDLE_AMOUNT;
pub use purse::Handle;
pub use purse::PURSE_INPUTS_MAX;
pub use purse::Purse;
pub use purse::PurseCoin;
pub use purse::PurseError;
pub use read::BlobReader;
pub use read::ReadReport;
pub use source::BlobSource;
pub use upload::UploadReport;
pub use upload::Uploaded;
pub use upload::upload;
pub use upload::wait_certified;
