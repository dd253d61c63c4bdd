//! Measurements: a load that is offered at a fixed rate, what the process uses, and a report.
//!
//! **Invariant:** load is open: a network that falls behind shows as latency and refusals, never as
//! a lower rate that nobody notices.

pub(crate) mod load;
pub(crate) mod ordering;
pub(crate) mod process;
pub(crate) mod report;
