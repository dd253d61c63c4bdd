//! What a machine hands out: things to write, and what to do once they are written.

use store::Durability;
use store::Store;
use types::table::Changes;
use types::table::TableFault;

/// One step of a machine. **Invariant:** `persist` is written, as durably as it says, before the
/// first of `then` is done; a failed write ends the process and nothing of `then` happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<A> {
    /// What to write, in one atomic step.
    pub persist: Changes,
    /// How durable it has to be before going on.
    pub durability: Durability,
    /// What to do then, in this order.
    pub then: Vec<A>,
}

impl<A> Default for Step<A> {
    fn default() -> Self {
        Self { persist: Changes::default(), durability: Durability::Buffered, then: Vec::new() }
    }
}

impl<A> Step<A> {
    /// Whether there is nothing to write and nothing to do.
    pub fn is_empty(&self) -> bool {
        self.persist.is_empty() && self.then.is_empty()
    }

    /// Writes what there is to write and gives what is to be done then.
    ///
    /// # Errors
    /// When the store failed: the caller stops.
    pub fn write(self, store: &dyn Store) -> Result<Vec<A>, TableFault> {
        if !self.persist.is_empty() {
            store.write(self.persist, self.durability)?;
        } else if self.durability == Durability::Synced {
            store.sync()?;
        }
        Ok(self.then)
    }
}
