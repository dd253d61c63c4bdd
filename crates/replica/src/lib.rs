//! One validator as one deterministic machine: joins the cores, fetch, retry, catch-up.
//!
//! It has two halves that share a store and nothing else. [`Ordering`] takes verified vertices and
//! gives commits; [`Execution`] applies commits and keeps the pool. Ordering never waits for
//! execution: what execution has not applied yet it finds in the store. Neither half reads a clock,
//! opens a socket or holds a key: time is an argument, and a [`Draft`](ordering::Draft) is signed
//! outside. [`receive`] and [`serve()`] do, without state and on any thread, what is due to a peer's
//! message before and beside the machine.
//!
//! ```
//! use replica::Ordering;
//! use replica::OrderingConfig;
//! use replica::ordering::Action;
//! use replica::ordering::Input;
//! use replica::ordering::Start;
//! use store::MemoryStore;
//! use types::Author;
//! use types::Moment;
//! use types::TimestampMs;
//! use types::test_utils::TestNetwork;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = TestNetwork::new(4);
//! let store = MemoryStore::new(replica::tables());
//! let own = Author::new(0);
//! let config = OrderingConfig::new(network.committee.clone(), Some(own), &network.genesis, Start::First);
//! let mut ordering = Ordering::open(config, &store)?;
//!
//! // The first vertex is due at once; it is signed outside.
//! ordering.handle(Moment::ZERO, TimestampMs::ZERO, Input::Wake);
//! let step = ordering.poll_step().expect("a status to send and a draft to sign");
//! let then = step.write(&store)?;
//! let draft = then.iter().find_map(|action| match action {
//!     Action::Sign(draft) => Some(draft),
//!     _ => None,
//! });
//! assert_eq!(draft.map(|draft| draft.header.round.value()), Some(1));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod execution;
pub mod ordering;
pub mod snapshot;
pub mod tables;
pub mod wire;

mod checks;
mod error;
mod receive;
mod serve;
mod step;

use types::table::Table;

pub use checks::CheckRunner;
pub use checks::InPlace;
pub use error::OpenError;
pub use execution::Execution;
pub use execution::ExecutionConfig;
pub use ordering::Ordering;
pub use ordering::OrderingConfig;
pub use receive::InvalidMessage;
pub use receive::Received;
pub use receive::receive;
pub use serve::Request;
pub use serve::serve;
pub use step::Step;
pub use tables::tables;

/// Every table of a validator's store: ordering's and the ledger's.
pub fn all_tables() -> Vec<Table> {
    [tables(), ledger::tables()].concat()
}
