//! Vertices that wait for others, bounded an author.
//!
//! **Invariant:** a reference is in `wanted` exactly while a waiting vertex refers to it and it is
//! not satisfied; it may itself be waiting.
//!
//! Source: `docs/consensus.md`, Validity and Bounds.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use types::Author;
use types::Digest;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::dag::edges_of;
use crate::dag::least_at;
use crate::parameters::SUSPENDED_PER_AUTHOR_MAX;

/// The waiting vertices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspended {
    waiting: BTreeMap<VertexRef, Waiting>,
    wanted: BTreeMap<VertexRef, BTreeSet<VertexRef>>,
    by_author: BTreeMap<Author, BTreeSet<VertexRef>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    vertex: Verified<Vertex>,
    missing: usize,
}

/// What became of a vertex that asked to wait.
#[derive(Debug)]
pub(crate) enum Suspension {
    /// It waits.
    Taken,
    /// It waits, and another one was given up for it.
    Replaced(Verified<Vertex>),
    /// It was not taken.
    Full,
}

/// What a raised line does to waiting vertices.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// They wait for nothing any more.
    pub(crate) ready: Vec<Verified<Vertex>>,
    /// They fell to the line.
    pub(crate) dropped: Vec<Verified<Vertex>>,
}

impl Suspended {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn contains(&self, reference: &VertexRef) -> bool {
        self.waiting.contains_key(reference)
    }

    /// The highest round at which a vertex of an author waits; zero when none does.
    pub(crate) fn highest_of(&self, author: Author) -> Round {
        let last = self.by_author.get(&author).and_then(BTreeSet::last);
        last.map_or(Round::ZERO, |last| last.round)
    }

    /// Whether a waiting vertex refers to it.
    pub(crate) fn wants(&self, reference: &VertexRef) -> bool {
        self.wanted.contains_key(reference)
    }

    /// Whether a vertex of somebody who is not left out waits for it, directly or through others.
    pub(crate) fn is_needed(
        &self,
        reference: &VertexRef,
        is_left_out: impl Fn(Author) -> bool,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let mut walk = Vec::from([*reference]);
        while let Some(reference) = walk.pop() {
            for waiter in self.wanted.get(&reference).into_iter().flatten() {
                if !is_left_out(waiter.author) {
                    return true;
                }
                if seen.insert(*waiter) {
                    walk.push(*waiter);
                }
            }
        }
        false
    }

    /// What is not here of what these lead to: they themselves, or what they wait for when they are
    /// waiting vertices of authors who are left out, and so on. What such a vertex waits for may have
    /// been asked for, and turned away when it came, before anybody needed it.
    pub(crate) fn unknown_below<'a>(
        &self,
        start: impl IntoIterator<Item = &'a VertexRef>,
        is_left_out: impl Fn(Author) -> bool,
    ) -> BTreeSet<VertexRef> {
        let mut unknown = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut walk: Vec<VertexRef> = start.into_iter().copied().collect();
        while let Some(reference) = walk.pop() {
            let Some(waiting) = self.waiting.get(&reference) else {
                unknown.insert(reference);
                continue;
            };
            if is_left_out(reference.author) && seen.insert(reference) {
                let edges = edges_of(&waiting.vertex);
                walk.extend(edges.filter(|edge| self.wanted.contains_key(edge)));
            }
        }
        unknown
    }

    /// How many vertices of one author and round wait.
    pub(crate) fn twins(&self, round: Round, author: Author) -> usize {
        let least = VertexRef { round, author, digest: Digest::ZERO };
        let most = VertexRef { round, author, digest: Digest::new([u8::MAX; 32]) };
        self.by_author.get(&author).map_or(0, |own| own.range(least..=most).count())
    }

    /// What is to be fetched, each with the least vertex that waits for it.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (VertexRef, VertexRef)> {
        self.wanted
            .iter()
            .filter(|(missing, _)| !self.waiting.contains_key(missing))
            .filter_map(|(missing, by)| by.first().map(|by| (*missing, *by)))
    }

    /// Lets a vertex wait for what it refers to and `missing` names.
    ///
    /// When its author has too many waiting already, what others refer to goes before what nobody
    /// refers to, and lower rounds go before higher ones: that is what everything else waits for.
    pub(crate) fn suspend(
        &mut self,
        vertex: Verified<Vertex>,
        missing: &BTreeSet<VertexRef>,
    ) -> Suspension {
        let reference = vertex.reference();
        let own = self.by_author.entry(reference.author).or_default();
        let mut suspension = Suspension::Taken;
        if own.len() >= SUSPENDED_PER_AUTHOR_MAX {
            let rank = |reference: &VertexRef| (!self.wanted.contains_key(reference), *reference);
            let last = own.iter().map(rank).max();
            match last {
                Some(last) if last > rank(&reference) => {
                    if let Some(given_up) = self.remove(&last.1) {
                        suspension = Suspension::Replaced(given_up);
                    }
                }
                _ => return Suspension::Full,
            }
        }
        for wanted in missing {
            self.wanted.entry(*wanted).or_default().insert(reference);
        }
        self.by_author.entry(reference.author).or_default().insert(reference);
        self.waiting.insert(reference, Waiting { vertex, missing: missing.len() });
        suspension
    }

    /// Says that a reference is satisfied; gives what waits for nothing any more, ascending.
    pub(crate) fn satisfied(&mut self, reference: &VertexRef) -> Vec<Verified<Vertex>> {
        let mut ready = Vec::new();
        for waiter in self.wanted.remove(reference).unwrap_or_default() {
            let Some(waiting) = self.waiting.get_mut(&waiter) else { continue };
            waiting.missing = waiting.missing.saturating_sub(1);
            if waiting.missing == 0 {
                ready.extend(self.forget(&waiter));
            }
        }
        ready
    }

    /// Gives up what waits at or below the line; references there are satisfied.
    pub(crate) fn drop_through(&mut self, line: Round) -> Swept {
        let above = least_at(line.next());
        let mut swept = Swept::default();
        let fallen: Vec<VertexRef> = self.waiting.range(..above).map(|(key, _)| *key).collect();
        for reference in fallen {
            swept.dropped.extend(self.remove(&reference));
        }
        let satisfied: Vec<VertexRef> = self.wanted.range(..above).map(|(key, _)| *key).collect();
        for reference in satisfied {
            swept.ready.extend(self.satisfied(&reference));
        }
        swept
    }

    /// Gives up one waiting vertex and what it alone wanted.
    fn remove(&mut self, reference: &VertexRef) -> Option<Verified<Vertex>> {
        let vertex = self.forget(reference)?;
        for edge in edges_of(&vertex) {
            if let Some(by) = self.wanted.get_mut(edge) {
                by.remove(reference);
                if by.is_empty() {
                    self.wanted.remove(edge);
                }
            }
        }
        Some(vertex)
    }

    fn forget(&mut self, reference: &VertexRef) -> Option<Verified<Vertex>> {
        let waiting = self.waiting.remove(reference)?;
        if let Some(own) = self.by_author.get_mut(&reference.author) {
            own.remove(reference);
        }
        Some(waiting.vertex)
    }
}
