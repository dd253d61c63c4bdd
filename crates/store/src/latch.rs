//! A failed write is the last thing a store does.
//!
//! After a failed sync the kernel may have dropped the pages that it could not write, and a second
//! sync would then succeed without them. So the first fault is kept, and every later call answers
//! it until the process has ended and recovered from what is on the disk.

use std::sync::OnceLock;

use types::table::TableFault;

/// Keeps the first fault.
#[derive(Debug, Default)]
pub(crate) struct Latch(OnceLock<TableFault>);

impl Latch {
    /// Answers the first fault, if there was one.
    pub(crate) fn check(&self) -> Result<(), TableFault> {
        self.0.get().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// Keeps `fault`, unless there was one before, and answers the one that is kept.
    pub(crate) fn fail(&self, fault: TableFault) -> TableFault {
        self.0.get_or_init(|| fault).clone()
    }
}
