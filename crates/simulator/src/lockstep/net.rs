//! The validators' machines and the vertices between them.
//!
//! A machine is shown vertices one by one, each together with whatever it lacks below it, as a
//! replica fetches it. Nothing else happens: what round is built when, and what is seen before, is
//! the scheduler's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use consensus::Alarm;
use consensus::Consensus;
use consensus::Output;
use types::Author;
use types::Commit;
use types::Digest;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use super::foundry::Foundry;
use super::foundry::Sketch;

/// Every vertex there is, by reference.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    vertices: BTreeMap<VertexRef, Verified<Vertex>>,
}

/// One machine and what it has told.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) consensus: Consensus,
    pub(super) told: Vec<Commit>,
    pub(super) alarm: Option<Alarm>,
}

impl Made {
    pub(super) fn add(&mut self, vertex: Verified<Vertex>) -> VertexRef {
        let reference = vertex.reference();
        self.vertices.insert(reference, vertex);
        reference
    }

    pub(super) fn get(&self, reference: &VertexRef) -> Option<&Verified<Vertex>> {
        self.vertices.get(reference)
    }

    /// The vertices of a round, ascending by author.
    pub(super) fn at(&self, round: Round) -> impl DoubleEndedIterator<Item = VertexRef> {
        let least = |round| VertexRef { round, author: Author::ZERO, digest: Digest::ZERO };
        self.vertices.range(least(round)..least(round.next())).map(|(vertex, _)| *vertex)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = VertexRef> {
        self.vertices.keys().copied()
    }

    pub(super) fn parents(&self, reference: &VertexRef) -> &[VertexRef] {
        self.get(reference).map_or(&[], |vertex| &vertex.header().parents)
    }

    /// The DAG as text, one vertex a line.
    pub(super) fn draw(&self) -> String {
        let name = |vertex: &VertexRef| {
            let twins: Vec<VertexRef> =
                self.at(vertex.round).filter(|twin| twin.author == vertex.author).collect();
            let place = twins.iter().position(|twin| twin == vertex).unwrap_or(0);
            let letter = ('A'..='Z').nth(vertex.author.index()).unwrap_or('?');
            format!("{letter}{}{}", vertex.round, "'".repeat(place))
        };
        let line = |vertex: VertexRef| {
            let parents: Vec<String> = self.parents(&vertex).iter().map(name).collect();
            format!("{} -> [{}]", name(&vertex), parents.join(", "))
        };
        self.all().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The vertices of `round` in the cone of `from`.
    pub(super) fn cone_at(&self, from: VertexRef, round: Round) -> BTreeSet<VertexRef> {
        let mut layer = BTreeSet::from([from]);
        let mut at = from.round;
        while at > round {
            layer = layer.iter().flat_map(|vertex| self.parents(vertex)).copied().collect();
            at = at.saturating_sub(1);
        }
        layer
    }
}

impl Machine {
    /// A validator's machine, or a follower's.
    pub(super) fn new(foundry: &Foundry, own: Option<Author>) -> Self {
        let committee = Arc::clone(foundry.committee());
        let consensus = Consensus::new(committee, own, foundry.parameters());
        Self { consensus, told: Vec::new(), alarm: None }
    }

    /// Takes a vertex and everything that it lacks below it.
    pub(super) fn show(&mut self, vertex: VertexRef, made: &Made, foundry: &mut Foundry) {
        let mut inbox = vec![vertex];
        while let Some(reference) = inbox.pop() {
            if let Some(vertex) = made.get(&reference) {
                self.consensus.insert(vertex.clone());
                inbox.extend(self.drain(foundry));
            }
        }
    }

    /// Handles what came out; gives what is to be fetched.
    fn drain(&mut self, foundry: &mut Foundry) -> Vec<VertexRef> {
        let mut fetch = Vec::new();
        while let Some(output) = self.consensus.poll_output() {
            match output {
                Output::Commit(ordered) => self.told.push(ordered.commit),
                Output::Missing { missing, .. } => fetch.extend(missing),
                Output::CoinDue(task) => self.consensus.coin_done(foundry.combine(&task)),
                Output::Alarm(alarm) => self.alarm = Some(alarm),
                Output::Accepted(_)
                | Output::CoinRevealed { .. }
                | Output::Refused { .. }
                | Output::Fault(_)
                | Output::Unordered(_) => {}
            }
        }
        fetch
    }

    /// Builds and takes the vertex that the machine would build now, whatever its round.
    pub(super) fn build(
        &mut self,
        own: Author,
        made: &mut Made,
        foundry: &mut Foundry,
    ) -> Option<VertexRef> {
        let round = self.consensus.next_round()?;
        let edges = self.consensus.edges(round);
        let (parents, late) = (edges.parents, edges.late);
        let vertex = foundry.vertex(Sketch { author: own, round, parents, late, mark: 0 });
        let reference = made.add(vertex);
        self.show(reference, made, foundry);
        Some(reference)
    }

    pub(super) fn ordered(&self) -> usize {
        self.told.iter().map(|commit| commit.vertices.len()).sum()
    }
}
