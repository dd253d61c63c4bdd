//! What the next own vertex refers to.
//!
//! An own vertex refers to the own one before, so what is in the history of the last own vertex is
//! in that of every later one. The frontier keeps the rest, which is small as long as own vertices
//! are built.
//!
//! **Invariant:** a held vertex is in `outside` exactly when it is not in the history of `own_last`.
//!
//! Source: `docs/consensus.md`, Round advance.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use types::Author;
use types::Round;
use types::Vertex;
use types::VertexRef;

use crate::dag::Dag;
use crate::dag::edges_of;
use crate::dag::least_at;

/// The vertices that no own vertex leads to yet.
#[derive(Clone, Debug)]
pub(crate) struct Frontier {
    own: Option<Author>,
    own_last: Option<VertexRef>,
    outside: BTreeSet<VertexRef>,
}

impl Frontier {
    pub(crate) const fn new(own: Option<Author>) -> Self {
        Self { own, own_last: None, outside: BTreeSet::new() }
    }

    /// Follows a vertex that `dag` has just taken. A follower builds nothing and keeps nothing.
    pub(crate) fn accept(&mut self, vertex: &Vertex, dag: &Dag) {
        let Some(own) = self.own else { return };
        let reference = vertex.reference();
        self.outside.insert(reference);
        let above = self.own_last.is_none_or(|last| last.round < reference.round);
        if vertex.author() != own || !above {
            return;
        }
        // After a restart an own vertex may have been built while the one before was still waiting.
        if self.own_last.is_some_and(|last| !edges_of(vertex).any(|edge| *edge == last)) {
            self.outside = dag.references().collect();
        }
        self.own_last = Some(reference);
        let mut walk = Vec::from([reference]);
        while let Some(reference) = walk.pop() {
            if self.outside.remove(&reference)
                && let Some(vertex) = dag.get(&reference)
            {
                walk.extend(edges_of(vertex));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.outside.len()
    }

    /// Forgets what fell to the line.
    pub(crate) fn drop_through(&mut self, line: Round) {
        while self.outside.first().is_some_and(|reference| reference.round <= line) {
            self.outside.pop_first();
        }
    }

    /// The late edges of an own vertex of `round` with these parents, ascending by author.
    ///
    /// The own previous vertex comes first, unless it is a parent. Of the rest, higher ones come
    /// before lower ones, and what an earlier choice leads to needs no edge of its own.
    /// Authors that are left out get none.
    pub(crate) fn late(
        &self,
        round: Round,
        parents: &[VertexRef],
        dag: &Dag,
        is_left_out: impl Fn(Author) -> bool,
    ) -> Vec<VertexRef> {
        let limit = least_at(round.saturating_sub(1));
        let mut reached = BTreeSet::new();
        self.reach(parents.iter().copied(), &mut reached, dag);
        let mut late = BTreeMap::new();
        if let Some(last) = self.own_last
            && last < limit
            && last.round > dag.line()
        {
            late.insert(last.author, last);
        }
        for reference in self.outside.range(..limit).rev() {
            let is_open = !late.contains_key(&reference.author) && !reached.contains(reference);
            if is_open && !is_left_out(reference.author) {
                late.insert(reference.author, *reference);
                self.reach([*reference], &mut reached, dag);
            }
        }
        late.into_values().collect()
    }

    /// Adds everything outside that `from` leads to, itself included.
    fn reach(
        &self,
        from: impl IntoIterator<Item = VertexRef>,
        reached: &mut BTreeSet<VertexRef>,
        dag: &Dag,
    ) {
        let mut walk: Vec<VertexRef> = from.into_iter().collect();
        while let Some(reference) = walk.pop() {
            if self.outside.contains(&reference)
                && reached.insert(reference)
                && let Some(vertex) = dag.get(&reference)
            {
                walk.extend(edges_of(vertex));
            }
        }
    }
}
