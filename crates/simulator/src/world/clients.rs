//! What clients do to validators.

use replica::execution;
use types::Author;
use types::CommitIndex;

use super::Event;
use super::Node;
use super::World;

/// How many delays lie between two attempts of clients, and between two ticks.
const SUBMIT_EVERY: u64 = 1;
const TICK_EVERY: u64 = 25;

impl World<'_> {
    /// Clients send what they have.
    pub(super) fn submit(&mut self) {
        if self.is_winding_down {
            return;
        }
        // Whoever is faulty promises nothing that could be held against it.
        let honest = |node: &Node| node.fault.is_none().then(|| node.applied()).flatten();
        let applied: Vec<Option<CommitIndex>> = self.nodes.iter().map(honest).collect();
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
            self.network.committee.authors().filter(|own| self.is_honest_and_up(*own)).collect();
        if let Some(own) = up.get(self.schedule.below(up.len())) {
            self.feed(*own, execution::Input::Ticks(1));
        }
        self.after(self.network_delay(TICK_EVERY), Event::Tick);
    }

    fn is_honest_and_up(&self, own: Author) -> bool {
        self.node(own).fault.is_none() && self.node(own).is_up()
    }
}
