//! The ceremony's steps over files: what an operator reads, writes, and is told.
//!
//! The rules are in [`types::dkg`]; here are the files, their bounds, and the operator's own
//! secrets. `docs/ceremony.md` walks through it.
//!
//! **Invariants:** a public file holds no secret; a step done twice writes the same file, or none.

mod messages;
mod own;
mod report;

pub(crate) use messages::read_messages;
pub(crate) use messages::read_plan;
pub(crate) use messages::read_transcript;
pub(crate) use messages::write_dealing;
pub(crate) use messages::write_response;
pub(crate) use own::Own;
pub(crate) use report::PlanReport;
pub(crate) use report::Report;
pub(crate) use report::fingerprint;
