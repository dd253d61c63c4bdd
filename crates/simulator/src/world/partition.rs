//! A network that falls into two parts and is whole again.

use types::Author;
use types::Span;

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

    /// One validator is cut off for a time; what is sent to it meanwhile is lost.
    pub(super) fn cut_off(&mut self, author: Author, span: Span) {
        let sides = self.network.committee.authors().map(|other| other == author).collect();
        self.cut = Some(Cut { sides, until: self.now.after(span), loss: Loss::Lost });
        for other in self.network.committee.authors() {
            self.unlink(author, other);
        }
    }

    /// The network is whole again, and stays so.
    pub(super) fn make_whole(&mut self) {
        self.cut = None;
        for (left, right) in self.pairs() {
            self.link(left, right);
        }
    }

    /// The network is whole again.
    pub(super) fn heal(&mut self) {
        self.make_whole();
        let span = self.schedule.delays(3, 25);
        self.after(span, Event::Cut);
    }

    fn pairs(&self) -> Vec<(Author, Author)> {
        let authors = || self.network.committee.authors();
        let pairs = authors().flat_map(|left| authors().map(move |right| (left, right)));
        pairs.filter(|(left, right)| left < right).collect()
    }
}
