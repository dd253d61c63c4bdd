//! Named instants at which a test ends the process, as a power cut would: right before a write, right
//! behind it, in the middle of what follows it.
//!
//! A build for tests turns them on; in any other nothing of them is left. They are asked for by the
//! variable `FAILPOINTS`, in the language of the crate `fail`:
//! `FAILPOINTS="ordering.written=100*off->return"` ends the process when it reaches the point for the
//! 101st time.

use std::fmt;

/// Takes up what the variable `FAILPOINTS` asks for, until it is dropped.
pub struct FailPoints {
    _scenario: fail::FailScenario<'static>,
}

impl FailPoints {
    /// None in a build without fail points.
    pub fn from_environment() -> Option<Self> {
        fail::has_failpoints().then(|| Self { _scenario: fail::FailScenario::setup() })
    }
}

impl fmt::Debug for FailPoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("FailPoints(..)")
    }
}

/// Where a process may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A new store has got the rows of genesis, and nobody has taken them up.
    GenesisWritten,
    /// The mark of unused keys is gone, and the first vertex has not left.
    MarkRemoved,
    /// The ordering half wants something written.
    OrderingUnwritten,
    /// It is written; nothing that depends on it was done.
    OrderingWritten,
    /// Some of what depends on it was done.
    OrderingActing,
    /// The execution half wants something written.
    ExecutionUnwritten,
    /// It is written; nothing that depends on it was done.
    ExecutionWritten,
    /// Some of what depends on it was done.
    ExecutionActing,
    /// A snapshot's rows are written and synced under a name that no node starts from.
    SnapshotFilled,
    /// The store has its name; the folder is not synced.
    SnapshotNamed,
    /// Some of the ledger's rows are removed, to be made anew.
    ReindexClearing,
    /// All of them are.
    ReindexCleared,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 12] = [
        Self::GenesisWritten,
        Self::MarkRemoved,
        Self::OrderingUnwritten,
        Self::OrderingWritten,
        Self::OrderingActing,
        Self::ExecutionUnwritten,
        Self::ExecutionWritten,
        Self::ExecutionActing,
        Self::SnapshotFilled,
        Self::SnapshotNamed,
        Self::ReindexClearing,
        Self::ReindexCleared,
    ];

    /// Its name in `FAILPOINTS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GenesisWritten => "genesis.written",
            Self::MarkRemoved => "signing.mark-removed",
            Self::OrderingUnwritten => "ordering.unwritten",
            Self::OrderingWritten => "ordering.written",
            Self::OrderingActing => "ordering.acting",
            Self::ExecutionUnwritten => "execution.unwritten",
            Self::ExecutionWritten => "execution.written",
            Self::ExecutionActing => "execution.acting",
            Self::SnapshotFilled => "snapshot.filled",
            Self::SnapshotNamed => "snapshot.named",
            Self::ReindexClearing => "reindex.clearing",
            Self::ReindexCleared => "reindex.cleared",
        }
    }

    /// Ends the process when a test wants that here.
    pub(crate) fn reach(self) {
        fail::fail_point!(self.name(), |_| std::process::abort());
    }
}
