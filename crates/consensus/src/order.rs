//! From committed leaders to commits.
//!
//! Source: `docs/consensus.md`, Order of a commit.
//!
//! **Invariant:** at most one vertex an author and round is ever ordered.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Digest;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::dag::Dag;
use crate::dag::edges_of;
use crate::output::Ordered;

/// The chain of commits, and what it has ordered above the garbage line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    index: CommitIndex,
    digest: Digest,
    timestamp: TimestampMs,
    ordered: BTreeMap<(Round, Author), Digest>,
    /// Where a vertex with payload that waits for its order is held and none has been ordered.
    waiting: BTreeSet<(Round, Author)>,
}

impl Order {
    /// Goes on after `recent`, ascending, of which only what lies above the line matters.
    pub(crate) fn restore(recent: &[Commit], line: Round) -> Self {
        let mut order = Self::default();
        for commit in recent {
            let above = commit.vertices.iter().filter(|reference| reference.round > line);
            order.ordered.extend(above.map(|reference| (place(reference), reference.digest)));
            order.index = commit.index;
            order.timestamp = commit.timestamp;
        }
        order.digest = recent.last().map_or(Digest::ZERO, Commit::digest);
        order
    }

    pub(crate) const fn last(&self) -> (CommitIndex, Digest) {
        (self.index, self.digest)
    }

    pub(crate) fn has_waiting_payload(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether this very vertex has been ordered.
    pub(crate) fn is_ordered(&self, reference: &VertexRef) -> bool {
        self.ordered.get(&place(reference)) == Some(&reference.digest)
    }

    /// Follows a newly held vertex.
    pub(crate) fn accept(&mut self, vertex: &Vertex) {
        let place = place(&vertex.reference());
        if vertex.payload().wants_order() && !self.ordered.contains_key(&place) {
            self.waiting.insert(place);
        }
    }

    /// Makes the commit of a leader that `dag` holds.
    pub(crate) fn commit(
        &mut self,
        leader: VertexRef,
        slot: u16,
        line: Round,
        dag: &mut Dag,
    ) -> Ordered {
        let vertices = self.linearise(leader, line, dag);
        self.timestamp = self.timestamp.max(median_of_parents(&leader, dag));
        let commit = Commit {
            index: self.index.next(),
            previous: self.digest,
            leader,
            slot,
            vertices: vertices.iter().map(|vertex| vertex.reference()).collect(),
            timestamp: self.timestamp,
        };
        self.index = commit.index;
        self.digest = commit.digest();
        Ordered { commit, vertices }
    }

    /// Everything in the leader's history above the line that has not been ordered, one vertex an
    /// author and round, ascending by round, author and digest.
    fn linearise(
        &mut self,
        leader: VertexRef,
        line: Round,
        dag: &mut Dag,
    ) -> Vec<Verified<Vertex>> {
        let mut found: BTreeMap<VertexRef, Verified<Vertex>> = BTreeMap::new();
        let mut walk = Vec::from([leader]);
        while let Some(reference) = walk.pop() {
            // What has been ordered led to nothing above the line that was not ordered with it.
            if reference.round <= line || self.is_ordered(&reference) {
                continue;
            }
            let held = dag.held_mut(&reference);
            let held = held.expect("a held vertex refers to held ones above the line");
            if !core::mem::replace(&mut held.swept, true) {
                walk.extend(edges_of(&held.vertex));
                found.insert(reference, held.vertex.clone());
            }
        }
        let mut vertices = Vec::with_capacity(found.len());
        for (reference, vertex) in found {
            let place = place(&reference);
            if let Entry::Vacant(vacant) = self.ordered.entry(place) {
                vacant.insert(reference.digest);
                self.waiting.remove(&place);
                vertices.push(vertex);
            }
        }
        vertices
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ordered.len() + self.waiting.len()
    }

    /// Forgets what fell to the line.
    pub(crate) fn drop_through(&mut self, line: Round) {
        while self.ordered.first_key_value().is_some_and(|((round, _), _)| *round <= line) {
            self.ordered.pop_first();
        }
        while self.waiting.first().is_some_and(|(round, _)| *round <= line) {
            self.waiting.pop_first();
        }
    }
}

const fn place(reference: &VertexRef) -> (Round, Author) {
    (reference.round, reference.author)
}

/// The lower median of what the leader's parents claim; the implicit vertices of round 0 claim 0.
fn median_of_parents(leader: &VertexRef, dag: &Dag) -> TimestampMs {
    let parents = dag.get(leader).map_or(&[][..], |leader| &leader.header().parents);
    let claim = |parent| dag.get(parent).map_or(TimestampMs::ZERO, |held| held.header().timestamp);
    let mut claims: Vec<TimestampMs> = parents.iter().map(claim).collect();
    claims.sort_unstable();
    claims.get(claims.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
