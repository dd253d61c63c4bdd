//! Takes validators' power at any moment, and with it what was not synced; they return with their
//! disks. Honest ones crash, and nobody counts as faulty for it.
//!
//! **Invariant:** the power stays in the end: whoever loses it again before it has read anything is
//! not honest in the sense of the rule, but absent.

use types::Author;
use types::Digest;

use super::Event;
use super::World;
use crate::trace::Note;

/// Within how many steps and actions the power goes once it was decided.
const FUSE_MAX: usize = 24;
/// How often the power goes in a run, at most, for each round that it is to decide.
const CUTS_PER_ROUND_MAX: u64 = 2;
/// One power cut in so many takes everybody.
const ALL_ONE_IN: u32 = 8;

impl World<'_> {
    /// Decides whose power will go: one's, or now and then everybody's. No more than f, and one at
    /// least, are down at a time otherwise.
    pub(super) fn lay_fuses(&mut self) {
        if self.is_winding_down || self.crashes >= CUTS_PER_ROUND_MAX * self.options.rounds {
            return;
        }
        let faults = usize::from(self.network.committee.quorums().faults()).max(1);
        let down = self.nodes.iter().filter(|node| !node.is_up() || node.fuse.is_some()).count();
        let mut chosen = match self.schedule.one_in(ALL_ONE_IN) {
            true => self.network.committee.authors().collect(),
            false if down < faults => self.schedule.some_of(self.options.validators, 1),
            false => Vec::new(),
        };
        chosen.retain(|author| self.node(*author).is_up() && !self.is_faulty(*author));
        for author in chosen {
            let fuse = self.schedule.below(FUSE_MAX);
            self.node_mut(author).fuse = Some(fuse);
        }
        let span = self.schedule.delays(3, 15);
        self.after(span, Event::PowerFails);
    }

    /// Whether a validator's power goes now, between two things that it does.
    pub(super) fn power_fails(&mut self, own: Author) -> bool {
        match &mut self.node_mut(own).fuse {
            None => false,
            Some(0) => {
                self.crash(own);
                true
            }
            Some(fuse) => {
                *fuse -= 1;
                false
            }
        }
    }

    /// Takes a validator's power and memory, and of its disk what was not synced or only the end of
    /// it.
    pub(super) fn crash(&mut self, own: Author) {
        self.crashes += 1;
        self.trace.note(self.now, own, Note::Crashed, &Digest::ZERO);
        let writes = self.node(own).store.unsynced_writes();
        let kept = self.schedule.below(writes + 1);
        let node = self.node_mut(own);
        node.store.crash_keeping(kept);
        node.machines = None;
        node.life += 1;
        node.fuse = None;
        node.wake_at = None;
        node.will_execute = false;
        node.fed.clear();
        self.order.restarted(own);
        self.accusations.restarted(own);
        self.load.lost(own);
        for peer in self.network.committee.authors() {
            self.unlink(own, peer);
        }
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.cut_off(own);
        }
        let span = self.schedule.delays(0, 20);
        self.after(span, Event::Restart(own));
    }
}
