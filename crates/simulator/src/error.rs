//! Why a run can not begin.

use ledger::LedgerError;
use types::table::TableFault;

/// Why a run can not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// A number is outside what is allowed.
    #[error("{what} is {actual}, allowed are {least} to {most}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What was asked for.
        actual: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// So few validators tolerate no fault, and all shares of their common coin would be one key.
    #[error("validators is {validators}: a network has 1 validator, or 4 and more")]
    TooFewForCoin {
        /// What was asked for.
        validators: u16,
    },
    /// The genesis of the made-up network is refused: a fault of this crate.
    #[error("the genesis is refused: {0}")]
    Genesis(#[from] LedgerError),
    /// The store in memory failed: a fault of this crate.
    #[error(transparent)]
    Store(#[from] TableFault),
}
