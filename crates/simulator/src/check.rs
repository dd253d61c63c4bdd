//! Judges what validators did, by what left them and by what they wrote. Nothing here calls the code
//! that it judges: the checkers keep the histories themselves and hold them against the promises.

mod bounds;
mod coin;
#[cfg(test)]
pub(crate) mod drawing;
mod evidence;
mod made;
mod order;
mod outcomes;
pub(crate) mod rule;
mod signing;

pub(crate) use bounds::Bounds;
pub(crate) use bounds::Holding;
pub(crate) use coin::Coins;
pub(crate) use evidence::Accusations;
pub(crate) use made::Made;
pub(crate) use order::Order;
pub(crate) use outcomes::Outcomes;
pub(crate) use outcomes::Report as OutcomeReport;
pub(crate) use outcomes::ledger_rows;
pub(crate) use signing::Signing;

/// A promise that was not kept, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

/// What a checker says.
pub(crate) type Verdict = Result<(), Violation>;

/// Says what was broken unless `holds`.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation(what())) }
}
