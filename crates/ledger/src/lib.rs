//! Applies commits to Bitcoin-format state, owns mempool rules and seals blocks.
//!
//! A transaction is final when a commit orders it and it applies; at each tick final transactions
//! are sealed into one Bitcoin block that Bitcoin Core accepts. This crate never reads a clock, a
//! file or a socket and holds no keys: a commit and the rows before it go in, the rows after it
//! come out as [`types::table::Changes`], the same bytes at every validator.
//!
//! The main types are [`Ledger`], which applies a [`Batch`] and gives [`Applied`]; [`rules`], which
//! judge one transaction; [`ScriptCheck`], the work that may run ahead on other threads;
//! [`Mempool`], which admits; and [`query`], which reads what was written.
//!
//! ```
//! use ledger::SkipReason;
//!
//! assert_eq!(SkipReason::NonFinal.to_string(), "non-final");
//! assert!(ledger::tables().iter().all(|table| table.name().starts_with("ledger_")));
//! ```
#![forbid(unsafe_code)]

pub mod blobs;
pub mod mempool;
pub mod muhash;
pub mod query;
pub mod retention;
pub mod rules;
pub mod script;
pub mod snapshot;

mod apply;
mod batch;
mod checkpoint;
mod clear;
mod error;
mod event;
mod genesis;
mod overlay;
mod rows;
mod seal;
mod sigops;
#[cfg(any(test, feature = "test-utils"))]
pub mod test_utils;
#[cfg(test)]
mod tests;
mod work;

pub use apply::Applied;
pub use apply::Backlog;
pub use apply::DEVELOPMENT_TICKS_MAX;
pub use apply::Ledger;
pub use apply::Rejected;
pub use apply::SealedBlock;
pub use apply::Skipped;
pub use apply::Tip;
pub use batch::Batch;
pub use batch::BatchItem;
pub use batch::Content;
pub use batch::PreparedTransaction;
pub use batch::TransactionFault;
pub use clear::CLEARED_ROWS_MAX;
pub use clear::Clearing;
pub use error::LedgerError;
pub use event::Event;
pub use event::EventKind;
pub use event::Outcome;
pub use mempool::Mempool;
pub use rows::Coin;
pub use rows::Place;
pub use rows::ScriptHash;
pub use rows::Totals;
pub use rows::tables;
pub use rules::SkipReason;
pub use script::ScriptCache;
pub use script::ScriptCheck;
pub use script::ScriptVerdict;
pub use types::results::empty_root;
pub use work::WORK_PER_BYTE;
