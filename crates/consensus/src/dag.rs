//! The vertices that are held, by round and author.
//!
//! **Invariant:** everything that a held vertex refers to is held too, or lies at or below the
//! garbage line. So a path downwards never misses a vertex above the line.
//!
//! Source: `docs/consensus.md`, Validity and Round advance.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use types::Author;
use types::Digest;
use types::Quorums;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

/// The held vertices.
#[derive(Clone, Debug)]
pub(crate) struct Dag {
    quorums: Quorums,
    rows: BTreeMap<Round, Row>,
    line: Round,
    highest: Round,
}

/// One round: the vertices of each author in the order in which they were accepted.
#[derive(Clone, Debug)]
struct Row {
    places: Vec<Vec<Held>>,
    authors: usize,
}

/// One held vertex.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    digest: Digest,
    pub(crate) vertex: Verified<Vertex>,
    /// Whether a committed leader's history has been ordered through this vertex.
    pub(crate) swept: bool,
}

/// The least reference that a vertex of `round` may have.
pub(crate) const fn least_at(round: Round) -> VertexRef {
    VertexRef { round, author: Author::ZERO, digest: Digest::ZERO }
}

/// Everything that a vertex refers to.
pub(crate) fn edges_of(vertex: &Vertex) -> impl Iterator<Item = &VertexRef> {
    vertex.header().parents.iter().chain(&vertex.header().late)
}

impl Dag {
    /// Nothing is held above the line.
    pub(crate) const fn new(quorums: Quorums, line: Round) -> Self {
        Self { quorums, rows: BTreeMap::new(), line, highest: line }
    }

    /// The garbage line.
    pub(crate) const fn line(&self) -> Round {
        self.line
    }

    /// The highest round with vertices of a quorum of authors, the line at least.
    pub(crate) const fn highest(&self) -> Round {
        self.highest
    }

    pub(crate) fn held(&self, reference: &VertexRef) -> Option<&Held> {
        self.twins(reference.round, reference.author)
            .iter()
            .find(|held| held.digest == reference.digest)
    }

    pub(crate) fn held_mut(&mut self, reference: &VertexRef) -> Option<&mut Held> {
        let row = self.rows.get_mut(&reference.round)?;
        let place = row.places.get_mut(reference.author.index())?;
        place.iter_mut().find(|held| held.digest == reference.digest)
    }

    pub(crate) fn get(&self, reference: &VertexRef) -> Option<&Verified<Vertex>> {
        self.held(reference).map(|held| &held.vertex)
    }

    /// Whether nothing needs to be fetched for a reference.
    pub(crate) fn satisfies(&self, reference: &VertexRef) -> bool {
        reference.round <= self.line || self.held(reference).is_some()
    }

    /// The vertices of one author and round, the first accepted one first.
    pub(crate) fn twins(&self, round: Round, author: Author) -> &[Held] {
        let row = self.rows.get(&round);
        row.and_then(|row| row.places.get(author.index())).map_or(&[], Vec::as_slice)
    }

    /// How many authors have vertices at `round`.
    pub(crate) fn authors_at(&self, round: Round) -> usize {
        self.rows.get(&round).map_or(0, |row| row.authors)
    }

    /// Every vertex of a round, by author.
    pub(crate) fn at(&self, round: Round) -> impl Iterator<Item = &Verified<Vertex>> {
        let places = self.rows.get(&round).into_iter().flat_map(|row| &row.places);
        places.flatten().map(|held| &held.vertex)
    }

    /// One vertex an author of a round, the first accepted one, ascending.
    pub(crate) fn firsts(&self, round: Round) -> impl Iterator<Item = VertexRef> {
        let places = self.rows.get(&round).into_iter().flat_map(|row| &row.places);
        places.filter_map(|place| place.first()).map(|held| held.vertex.reference())
    }

    /// The references of everything that is held.
    pub(crate) fn references(&self) -> impl Iterator<Item = VertexRef> {
        let places = self.rows.values().flat_map(|row| &row.places);
        places.flatten().map(|held| held.vertex.reference())
    }

    /// Takes a vertex whose references are satisfied.
    pub(crate) fn insert(&mut self, vertex: Verified<Vertex>) {
        let VertexRef { round, author, digest } = vertex.reference();
        let size = usize::from(self.quorums.validators());
        let row = self
            .rows
            .entry(round)
            .or_insert_with(|| Row { places: vec![Vec::new(); size], authors: 0 });
        let Some(place) = row.places.get_mut(author.index()) else { return };
        if place.is_empty() {
            row.authors += 1;
        }
        place.push(Held { digest, vertex, swept: false });
        if row.authors >= self.quorums.quorum() {
            self.highest = self.highest.max(round);
        }
    }

    /// Raises the line and gives what falls to it, ascending.
    pub(crate) fn drop_through(&mut self, line: Round) -> impl Iterator<Item = Verified<Vertex>> {
        let kept = self.rows.split_off(&line.next());
        let dropped = core::mem::replace(&mut self.rows, kept);
        self.line = line;
        self.highest = self.highest.max(line);
        let places = dropped.into_values().flat_map(|row| row.places);
        places.flatten().map(|held| held.vertex)
    }

    /// Whether the cone of `from`, what parents lead to, holds one of `targets`, all of which stand
    /// at `round`.
    pub(crate) fn cone_meets(
        &self,
        from: VertexRef,
        round: Round,
        targets: &BTreeSet<VertexRef>,
    ) -> bool {
        if targets.is_empty() {
            return false;
        }
        let mut layer = BTreeSet::from([from]);
        let mut at = from.round;
        while at > round {
            let vertices = layer.iter().filter_map(|reference| self.get(reference));
            layer = vertices.flat_map(|vertex| vertex.header().parents.iter().copied()).collect();
            at = at.saturating_sub(1);
        }
        targets.iter().any(|target| layer.contains(target))
    }
}
