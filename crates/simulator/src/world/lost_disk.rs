//! A validator loses its disk, and with it the memory of what it signed.
//!
//! It returns by the rule for that: it asks the others, follows in silence, and signs nothing before
//! the rounds that it may have signed are past. At most f validators are struck, each once.

use ledger::Ledger;
use store::Durability;
use store::MemoryStore;
use store::Store as _;
use types::Author;

use super::Event;
use super::Fault;
use super::World;

/// When a disk is lost, in delays from the start.
const LEAST: u64 = 3;
const MOST: u64 = 90;

impl World<'_> {
    /// Decides when disks are lost.
    pub(super) fn plan_losses(&mut self) {
        for author in self.network.committee.authors() {
            if self.node(author).fault == Some(Fault::LostDisk) {
                let span = self.schedule.delays(LEAST, MOST);
                self.after(span, Event::LoseDisk(author));
            }
        }
    }

    pub(super) fn lose_disk(&mut self, own: Author) {
        if self.is_winding_down || !self.node(own).is_up() {
            return;
        }
        self.crash(own);
        let store = MemoryStore::new(&replica::all_tables());
        let written =
            Ledger::genesis(&self.genesis).map_err(|error| error.to_string()).and_then(|rows| {
                let written = store.write(rows, Durability::Synced);
                written.map_err(|error| error.to_string())
            });
        if let Err(error) = written {
            return self.broken(own, &error);
        }
        let node = self.node_mut(own);
        node.store = store;
        node.has_lost_disk = true;
    }
}
