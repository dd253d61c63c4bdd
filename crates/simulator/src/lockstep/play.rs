//! One schedule in the making: machines of the honest validators, vertices of everybody.
//!
//! An equivocator has no machine: it signs whatever the scheduler likes.

use consensus::Consensus;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Round;
use types::VertexRef;

use super::foundry::Foundry;
use super::foundry::Sketch;
use super::net::Machine;
use super::net::Made;

/// A schedule that can still go on in many ways.
#[derive(Clone, Debug)]
pub(super) struct Play {
    /// By author; none for an equivocator.
    pub(super) machines: Vec<Option<Machine>>,
    pub(super) made: Made,
    /// The vertices of the newest round by author; several where they are twins.
    pub(super) row: Vec<Vec<VertexRef>>,
    pub(super) round: Round,
}

impl Play {
    /// Before round 1. The last `equivocators` of `order` are Byzantine.
    pub(super) fn new(foundry: &Foundry, equivocators: &[Author]) -> Self {
        let authors = || foundry.committee().authors();
        let machines = authors()
            .map(|own| (!equivocators.contains(&own)).then(|| Machine::new(foundry, Some(own))))
            .collect();
        let row = authors().map(|author| vec![foundry.first_vertex(author)]).collect();
        Self { machines, made: Made::default(), row, round: Round::ZERO }
    }

    pub(super) fn is_honest(&self, author: Author) -> bool {
        self.machines.get(author.index()).is_some_and(Option::is_some)
    }

    /// Lets an honest validator build on the first of `shown` with which its machine lets it, or
    /// on all of them. None when it is not allowed to build the round that it should.
    pub(super) fn build(
        &mut self,
        author: Author,
        shown: &[VertexRef],
        takes_all: bool,
        foundry: &mut Foundry,
    ) -> Option<VertexRef> {
        let round = self.round.next();
        let machine = self.machines.get_mut(author.index())?.as_mut()?;
        let may_build = |consensus: &Consensus| consensus.next_round() == Some(round);
        for vertex in shown {
            if round > Round::new(1) && !takes_all && may_build(&machine.consensus) {
                break;
            }
            machine.show(*vertex, &self.made, foundry);
        }
        if !may_build(&machine.consensus) {
            return None;
        }
        machine.build(author, &mut self.made, foundry)
    }

    /// Signs an equivocator's vertex with the parents that the scheduler names.
    pub(super) fn forge(
        &mut self,
        author: Author,
        parents: &[VertexRef],
        mark: u64,
        foundry: &mut Foundry,
    ) -> VertexRef {
        let mut parents = parents.to_vec();
        parents.sort_by_key(|parent| parent.author);
        let (round, late) = (self.round.next(), Vec::new());
        self.made.add(foundry.vertex(Sketch { author, round, parents, late, mark }))
    }

    /// Ends a round: its vertices become what the next one is built on.
    pub(super) fn end_round(&mut self, row: Vec<Vec<VertexRef>>) {
        self.row = row;
        self.round = self.round.next();
    }

    /// Whether the cone of a vertex of the newest row, or the vertex, holds a vertex of `led`.
    pub(super) fn leads(&self, vertex: VertexRef, led: Round, leader: Author) -> Option<VertexRef> {
        let cone = self.made.cone_at(vertex, led);
        cone.into_iter().find(|vertex| vertex.author == leader)
    }

    /// The newest row, one twin an author at random, in random order.
    pub(super) fn sample_row(&self, random: &mut ChaCha8Rng) -> Vec<VertexRef> {
        let mut sample: Vec<VertexRef> = Vec::new();
        for twins in self.row.iter().filter(|twins| !twins.is_empty()) {
            sample.push(twins[random.random_range(0..twins.len())]);
        }
        sample.shuffle(random);
        sample
    }

    /// The DAG as text, for whoever has to understand a violation.
    pub(super) fn draw(&self) -> String {
        self.made.draw()
    }
}
