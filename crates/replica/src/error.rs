//! Why a validator does not start from its store. Every case is a local fault.

use ledger::LedgerError;
use types::CommitIndex;
use types::DecodeError;
use types::InvalidVertex;
use types::VertexRef;
use types::genesis::GenesisError;
use types::table::TableFault;

/// Why a half does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The store failed or holds rows that do not decode.
    #[error(transparent)]
    Table(#[from] TableFault),
    /// The ledger does not open.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The genesis is refused.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A stored vertex does not decode.
    #[error("the stored vertex {reference} is torn: {reason}")]
    Torn {
        /// Its key.
        reference: VertexRef,
        /// What the decoder said.
        reason: DecodeError,
    },
    /// A stored vertex does not verify: the store belongs to another network, or is damaged.
    #[error("the stored vertex {reference} is not valid: {reason}")]
    Invalid {
        /// Its key.
        reference: VertexRef,
        /// What the check said.
        reason: InvalidVertex,
    },
    /// The ledger has applied more than the store has ordered: the tables do not belong together.
    #[error("the ledger has applied commit {applied}, the order ends at {ordered}")]
    LedgerAhead {
        /// What is applied.
        applied: CommitIndex,
        /// What is ordered.
        ordered: CommitIndex,
    },
    /// A quorum of validators signed another state than this one.
    #[error(
        "the state after commit {commit} is not the one that a quorum of validators signed. This \
         node must not go on: keep the data folder for whoever finds out why, and start with an \
         empty one, or from a snapshot"
    )]
    Diverged {
        /// After which commit.
        commit: CommitIndex,
    },
    /// The ledger was made by another order than the one that is stored.
    #[error("the ledger's commit {applied} is not the one that is stored")]
    LedgerAstray {
        /// What is applied.
        applied: CommitIndex,
    },
}
