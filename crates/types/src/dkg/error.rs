//! Why a step of the ceremony can not be done. Each names the operator that it is about.

use alloc::string::String;
use core::fmt;

use crate::digest::Digest;
use crate::error::KeyError;
use crate::genesis::GenesisError;
use crate::ids::Author;

use super::card::CardFault;

/// An operator as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// Its place in the committee.
    pub author: Author,
    /// Its name.
    pub name: String,
}

/// Why a ceremony can not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// A file is of a version that this program does not know.
    #[error("the {what} is of version {actual}, this program knows {known}")]
    Version {
        /// Which file.
        what: &'static str,
        /// What it says.
        actual: u32,
        /// What this program knows.
        known: u32,
    },
    /// The plan's name can not be shown.
    #[error("the plan's name is empty, longer than 64 bytes or holds control characters")]
    PlanName,
    /// The plan names nobody.
    #[error("the plan holds no card")]
    NoCards,
    /// A card is refused.
    #[error("the card of {operator} is refused: {fault}")]
    Card {
        /// Whose.
        operator: Operator,
        /// Why.
        fault: CardFault,
    },
    /// The parameters are refused.
    #[error("the plan's parameters are refused: {0}")]
    Genesis(#[from] GenesisError),
    /// Something comes from nobody of the plan.
    #[error("the {what} names operator {author}, the plan has {validators}")]
    UnknownOperator {
        /// What.
        what: &'static str,
        /// The place that it names.
        author: Author,
        /// How many operators there are.
        validators: u16,
    },
    /// Something was made under another plan.
    #[error("the {what} of {operator} was made under another plan, {actual}; this is {expected}")]
    OtherPlan {
        /// What.
        what: &'static str,
        /// Whose.
        operator: Operator,
        /// The plan that it names.
        actual: Digest,
        /// This plan.
        expected: Digest,
    },
    /// Something was not signed by whom it names, or was changed since.
    #[error("the {what} of {operator} does not carry its signature: it was altered on its way")]
    Signature {
        /// What.
        what: &'static str,
        /// Who is named.
        operator: Operator,
    },
    /// The secrets are not those of the card in the plan.
    #[error("the {what} in the secrets is not the one on the card of {operator}")]
    ForeignSecret {
        /// Which key.
        what: &'static str,
        /// Whose place it would be.
        operator: Operator,
    },
    /// Somebody's file is not there.
    #[error("the {what} of {operator} is missing")]
    Missing {
        /// What.
        what: &'static str,
        /// Whose.
        operator: Operator,
    },
    /// Somebody signed two different things where one is due.
    #[error("{operator} signed two different {what}s: {first} and {second}")]
    Twice {
        /// What.
        what: &'static str,
        /// Who.
        operator: Operator,
        /// One of them.
        first: Digest,
        /// The other one.
        second: Digest,
    },
    /// A response does not say something about every dealing.
    #[error("the response of {operator} judges {actual} dealings, there are {expected}")]
    VerdictCount {
        /// Whose response.
        operator: Operator,
        /// How many it judges.
        actual: usize,
        /// How many there are.
        expected: usize,
    },
    /// A response judges a dealing that is not here.
    #[error("{operator} judged another dealing of {dealer} than the one here: {digest}")]
    UnknownDealing {
        /// Whose response.
        operator: Operator,
        /// Whose dealing.
        dealer: Operator,
        /// What was judged.
        digest: Digest,
    },
    /// A transcript holds something that is not part of it, or in another order.
    #[error("the transcript's {what}s are not in their order, or hold one too many")]
    Order {
        /// What.
        what: &'static str,
    },
    /// So many dealings were bad that no honest one need be among the rest.
    #[error("{good} dealings are good, {needed} are needed; bad are those of {bad}")]
    TooFewDealings {
        /// How many are left.
        good: usize,
        /// f + 1.
        needed: usize,
        /// The dealers who were left out.
        bad: String,
    },
    /// One's own share of a dealing that counts does not fit, though no complaint says so.
    #[error("the own share of the dealing of {dealer} does not fit and no complaint was made")]
    OwnShare {
        /// Whose dealing.
        dealer: Operator,
    },
    /// The sum of the dealings is no key: its chance is that of guessing a secret.
    #[error("the dealings add up to no key: {0}")]
    Key(#[from] KeyError),
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "operator {} `{}`", self.author, self.name)
    }
}
