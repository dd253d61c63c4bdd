//! A network that falls into two parts and is whole again.

use types::Author;

use super::Event;
use super::World;
use super::links::Cut;
use super::links::Loss;

impl World<'_> {
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
}
