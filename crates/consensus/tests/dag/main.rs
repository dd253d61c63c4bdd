//! The rule on drawn and on random DAGs.
//!
//! `drawing` is the language in which DAGs are drawn, `oracle` says by the letter of
//! `docs/consensus.md` and without any memory what must be committed.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

mod bounds;
mod coin;
mod convergence;
mod decisions;
mod drawing;
mod edges;
mod garbage;
mod left_out;
mod network;
mod oracle;
mod random;
mod twins;
