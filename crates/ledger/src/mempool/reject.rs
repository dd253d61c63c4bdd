//! Why a transaction is not admitted, in Bitcoin Core's words.
//!
//! Wallets and Lightning nodes read these words: some of them mean success.

use types::table::TableFault;

use crate::batch::TransactionFault;
use crate::rules::SkipReason;
use crate::script::ScriptFailure;

/// A refusal: the caller's fault, or a passing state of this pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Reject {
    /// Which refusal.
    pub code: RejectCode,
    /// The code's words, and behind a comma what was wrong with the numbers.
    pub reason: String,
}

/// Why admission did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The transaction is refused.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// The store failed: a local fault that stops the process.
    #[error(transparent)]
    Fault(#[from] TableFault),
}

/// What a caller does with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectKind {
    /// It is here already, or final: to a sender that is success.
    Known,
    /// It breaks a consensus rule.
    Invalid,
    /// An input or a lock is not there: it may become valid.
    Premature,
    /// It is valid, and against this pool's policy.
    Policy,
    /// This pool has no room just now: try again later.
    Busy,
}

/// Every refusal. Displays as Bitcoin Core's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RejectCode {
    /// A rule that apply enforces, too.
    #[error("{0}")]
    Rule(SkipReason),
    /// A script fails.
    #[error("mempool-script-verify-flag-failed ({0})")]
    Script(ScriptFailure),
    /// The bytes are not a transaction.
    #[error("TX decode failed")]
    Decode,
    /// The same transaction is in the pool.
    #[error("txn-already-in-mempool")]
    AlreadyInMempool,
    /// The same transaction with another witness is in the pool.
    #[error("txn-same-nonwitness-data-in-mempool")]
    SameNonWitnessData,
    /// It is final.
    #[error("txn-already-known")]
    AlreadyKnown,
    /// It conflicts with one that was proposed and can no longer be replaced.
    #[error("txn-mempool-conflict")]
    MempoolConflict,
    /// A version that is none of 1, 2 and 3.
    #[error("version")]
    Version,
    /// Too heavy to be relayed.
    #[error("tx-size")]
    Size,
    /// So small that it could be taken for a node of a Merkle tree.
    #[error("tx-size-small")]
    SizeSmall,
    /// A scriptSig is too long.
    #[error("scriptsig-size")]
    ScriptSigSize,
    /// A scriptSig does more than push.
    #[error("scriptsig-not-pushonly")]
    ScriptSigNotPushOnly,
    /// An output script of no usual form.
    #[error("scriptpubkey")]
    ScriptPubKey,
    /// Too many bytes in data carriers.
    #[error("datacarrier")]
    DataCarrier,
    /// An output is worth less than its spending costs.
    #[error("dust")]
    Dust,
    /// An input spends an output in no usual way.
    #[error("bad-txns-nonstandard-inputs")]
    NonStandardInputs,
    /// A witness of no usual form.
    #[error("bad-witness-nonstandard")]
    NonStandardWitness,
    /// It pays less than the least fee.
    #[error("min relay fee not met")]
    MinRelayFee,
    /// A replacement that pays too little.
    #[error("insufficient fee")]
    InsufficientFee,
    /// A replacement that would push out too many.
    #[error("too many potential replacements")]
    TooManyReplacements,
    /// A replacement that spends an output which what it replaces did not spend either.
    #[error("replacement-adds-unconfirmed")]
    ReplacementAddsUnconfirmed,
    /// It spends an output of what it replaces.
    #[error("bad-txns-spends-conflicting-tx")]
    SpendsConflicting,
    /// A rule of version 3 transactions is broken.
    #[error("TRUC-violation")]
    TrucViolation,
    /// A child leaves its parent's dust unspent.
    #[error("missing-ephemeral-spends")]
    MissingEphemeralSpends,
    /// Too long a chain of transactions that are not final.
    #[error("too-long-mempool-chain")]
    ChainTooLong,
    /// No room, and it pays less than everything that could make room.
    #[error("mempool full")]
    MempoolFull,
}

impl RejectCode {
    /// What a caller does with it.
    pub fn kind(self) -> RejectKind {
        match self {
            Self::AlreadyInMempool | Self::SameNonWitnessData | Self::AlreadyKnown => {
                RejectKind::Known
            }
            Self::Rule(
                SkipReason::InputsMissingOrSpent
                | SkipReason::NonFinal
                | SkipReason::NonBip68Final
                | SkipReason::PrematureCoinbaseSpend,
            ) => RejectKind::Premature,
            Self::Rule(SkipReason::BacklogFull) | Self::MempoolFull => RejectKind::Busy,
            Self::Rule(_) | Self::Script(_) | Self::Decode | Self::SpendsConflicting => {
                RejectKind::Invalid
            }
            _ => RejectKind::Policy,
        }
    }

    /// Whether company may change the answer: the transaction pays too little by itself.
    pub fn is_reconsiderable(self) -> bool {
        matches!(self, Self::MinRelayFee | Self::InsufficientFee | Self::MempoolFull)
    }

    /// A refusal with nothing to add.
    pub(super) fn plain(self) -> Reject {
        Reject { code: self, reason: self.to_string() }
    }

    /// A refusal with what was wrong with the numbers.
    pub(super) fn because(self, details: impl std::fmt::Display) -> Reject {
        Reject { code: self, reason: format!("{self}, {details}") }
    }
}

impl From<RejectCode> for AdmissionError {
    fn from(code: RejectCode) -> Self {
        Self::Reject(code.plain())
    }
}

impl From<TransactionFault> for Reject {
    fn from(_: TransactionFault) -> Self {
        RejectCode::Decode.plain()
    }
}

impl From<SkipReason> for AdmissionError {
    fn from(reason: SkipReason) -> Self {
        RejectCode::Rule(reason).into()
    }
}
