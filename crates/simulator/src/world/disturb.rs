//! What happens to the validators from outside: power cuts, a network that falls apart, clients.

use replica::execution;
use types::Author;
use types::CommitIndex;
use types::Digest;

use super::Event;
use super::World;
use super::links::Cut;
use super::links::Loss;
use crate::trace::Note;

/// Within how many steps and actions the power goes once it was decided.
const FUSE_MAX: usize = 24;
/// One power cut in so many takes everybody.
const ALL_ONE_IN: u32 = 8;
/// How many delays lie between two attempts of clients, and between two ticks.
const SUBMIT_EVERY: u64 = 1;
const TICK_EVERY: u64 = 25;

impl World {
    /// Nothing new begins; what is broken is mended when it is due.
    pub(super) fn wind_down(&mut self) {
        self.is_winding_down = true;
        self.nodes.iter_mut().for_each(|node| node.fuse = None);
    }

    /// Decides whose power will go: one's, or now and then everybody's. No more than f, and one at
    /// least, are down at a time otherwise.
    pub(super) fn lay_fuses(&mut self) {
        if self.is_winding_down {
            return;
        }
        let faults = usize::from(self.network.committee.quorums().faults()).max(1);
        let down = self.nodes.iter().filter(|node| !node.is_up() || node.fuse.is_some()).count();
        let mut chosen = match self.schedule.one_in(ALL_ONE_IN) {
            true => self.network.committee.authors().collect(),
            false if down < faults => self.schedule.some_of(self.options.validators, 1),
            false => Vec::new(),
        };
        chosen.retain(|author| self.node(*author).is_up());
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
        self.load.lost(own);
        for peer in self.network.committee.authors() {
            self.unlink(own, peer);
        }
        let span = self.schedule.delays(0, 20);
        self.after(span, Event::Restart(own));
    }

    /// The network falls into two parts.
    pub(super) fn cut(&mut self) {
        if self.is_winding_down {
            return;
        }
        let sides = (0..self.nodes.len()).map(|_| self.schedule.one_in(2)).collect();
        let span = self.schedule.delays(3, 25);
        let loss = if self.schedule.one_in(2) { Loss::Held } else { Loss::Lost };
        self.cut = Some(Cut { sides, until: self.now.after(span), loss });
        self.after(span, Event::Heal);
        if loss == Loss::Lost {
            for (left, right) in self.pairs() {
                if self.cut.as_ref().is_some_and(|cut| cut.parts(left, right)) {
                    self.unlink(left, right);
                }
            }
        }
    }

    /// The network is whole again.
    pub(super) fn heal(&mut self) {
        self.cut = None;
        for (left, right) in self.pairs() {
            self.link(left, right);
        }
        let span = self.schedule.delays(3, 25);
        self.after(span, Event::Cut);
    }

    fn pairs(&self) -> Vec<(Author, Author)> {
        let authors = || self.network.committee.authors();
        let pairs = authors().flat_map(|left| authors().map(move |right| (left, right)));
        pairs.filter(|(left, right)| left < right).collect()
    }

    /// Clients send what they have.
    pub(super) fn submit(&mut self) {
        if self.is_winding_down {
            return;
        }
        let applied: Vec<Option<CommitIndex>> =
            self.nodes.iter().map(|node| node.applied()).collect();
        for submission in self.load.next(&mut self.schedule, &applied, &mut self.outcomes) {
            let crate::load::Submission { to, id, transaction } = submission;
            self.feed(to, execution::Input::Submit { id, transaction });
        }
        self.after(self.network_delay(SUBMIT_EVERY), Event::Submit);
    }

    /// Somebody asks for a block.
    pub(super) fn tick(&mut self) {
        if self.is_winding_down {
            return;
        }
        let up: Vec<_> =
            self.network.committee.authors().filter(|own| self.node(*own).is_up()).collect();
        if let Some(own) = up.get(self.schedule.below(up.len())) {
            self.feed(*own, execution::Input::Ticks(1));
        }
        self.after(self.network_delay(TICK_EVERY), Event::Tick);
    }
}
