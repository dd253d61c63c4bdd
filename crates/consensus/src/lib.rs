//! Verified vertices and coin shares become one order of commits.
//!
//! [`Consensus`] is a machine without a clock, a socket, a file or randomness: vertices go in by
//! [`Consensus::insert`], everything else comes out of [`Consensus::poll_output`]. It never signs,
//! never fetches and never waits for a named validator; whoever drives it says what round is built
//! when, by [`Consensus::next_round`] and [`Consensus::edges`]. It does no arithmetic on curves
//! either: that is put out as [`Output::CoinDue`], and done wherever there is time for it.
//!
//! The rule is written down in `docs/consensus.md`. Two machines that were given the same vertices,
//! in whatever order, put out the same commits; of two that were given different ones, the commits
//! of one are the beginning of the commits of the other.
//!
//! ```
//! use consensus::Consensus;
//! use consensus::Parameters;
//! use types::Author;
//! use types::Round;
//! use types::test_utils::TestNetwork;
//!
//! let network = TestNetwork::new(4);
//! let parameters = Parameters::from(network.genesis.consensus);
//! let consensus = Consensus::new(network.committee, Some(Author::new(0)), parameters);
//!
//! // The implicit vertices of round 0 are held from the start: round 1 may be built at once.
//! assert_eq!(consensus.next_round(), Some(Round::new(1)));
//! assert_eq!(consensus.edges(Round::new(1)).parents.len(), 4);
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod authors;
mod coin;
mod coin_task;
mod consensus;
mod dag;
mod decision;
mod frontier;
mod leaders;
mod order;
mod output;
mod parameters;
mod slot;
mod suspended;

pub use coin_task::CoinOutcome;
pub use coin_task::CoinTask;
pub use coin_task::VerifiedCoin;
pub use consensus::Consensus;
#[cfg(any(test, feature = "test-utils"))]
pub use leaders::ForcedLeaders;
pub use output::Alarm;
pub use output::Edges;
pub use output::Evidence;
pub use output::Ordered;
pub use output::Output;
pub use output::Refusal;
pub use parameters::COIN_TASKS_MAX;
pub use parameters::Leaders;
pub use parameters::Parameters;
pub use parameters::SUSPENDED_PER_AUTHOR_MAX;
pub use parameters::TWINS_UNWANTED_MAX;
pub use parameters::WINDOW;
