//! Why a ledger does not open.

use types::Digest;
use types::table::TableFault;

/// Why a ledger can not be made or opened. Each is a local fault or a fault of the genesis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The store failed or holds rows that do not decode.
    #[error(transparent)]
    Table(#[from] TableFault),
    /// The tables are empty: the rows of genesis were never written.
    #[error("the tables hold no ledger")]
    Empty,
    /// The tables hold the ledger of another network.
    #[error("the tables hold the ledger of network {actual}, expected {expected}")]
    WrongChain {
        /// The network of the genesis that was given.
        expected: Digest,
        /// The network whose rows are there.
        actual: Digest,
    },
    /// The allocations take more blocks than there are with a subsidy of 50 BTC.
    #[error("the allocations take more than {limit} blocks")]
    TooManyAllocationBlocks {
        /// How many blocks have that subsidy.
        limit: u32,
    },
    /// A script of the genesis costs more than a block may hold.
    #[error("{what} number {place} does not fit into a block")]
    ScriptTooCostly {
        /// `allocation` or `payout script`.
        what: &'static str,
        /// Which one, from 0.
        place: usize,
    },
}
