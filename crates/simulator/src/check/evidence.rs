//! Nobody honest is ever accused, and whoever shows two vertices of one round to somebody honest is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use consensus::Evidence;
use types::Author;
use types::Digest;
use types::Round;
use types::VertexRef;
use types::coin::CoinShare;

use super::Made;
use super::Verdict;
use super::ensure;

/// How many rounds of vertices are remembered: more than anybody holds.
const MEMORY_ROUNDS: u64 = 700;

/// What each validator has seen, and whom it has to accuse.
#[derive(Debug)]
pub(crate) struct Accusations {
    seen: Vec<BTreeMap<(Round, Author), Digest>>,
    owed: BTreeSet<(Author, Round, Author)>,
    /// How many accusations there were.
    count: u64,
}

impl Accusations {
    pub(crate) fn new(validators: usize) -> Self {
        Self { seen: vec![BTreeMap::new(); validators], owed: BTreeSet::new(), count: 0 }
    }

    /// An honest validator wrote down a vertex that it holds.
    pub(crate) fn holds(&mut self, by: Author, vertex: &VertexRef) {
        let Some(seen) = self.seen.get_mut(by.index()) else { return };
        let first = *seen.entry((vertex.round, vertex.author)).or_insert(vertex.digest);
        if first != vertex.digest {
            self.owed.insert((by, vertex.round, vertex.author));
        }
        let highest = seen.last_key_value().map_or(Round::ZERO, |((round, _), _)| *round);
        let least = highest.saturating_sub(MEMORY_ROUNDS);
        while seen.first_key_value().is_some_and(|((round, _), _)| *round < least) {
            seen.pop_first();
        }
    }

    /// An honest validator wrote down that an author gave two vertices of a round.
    pub(crate) fn wrote(&mut self, by: Author, round: Round, accused: Author) {
        self.owed.remove(&(by, round, accused));
    }

    /// A validator lost its memory: what it has not written it sees again.
    pub(crate) fn restarted(&mut self, by: Author) {
        self.owed.retain(|(owing, ..)| *owing != by);
        if let Some(seen) = self.seen.get_mut(by.index()) {
            seen.clear();
        }
    }

    /// An honest validator accuses somebody. `right` is the share that the accused owes.
    pub(crate) fn accused(
        &mut self,
        by: Author,
        evidence: &Evidence,
        made: &Made,
        right: impl FnOnce(Author, Round) -> CoinShare,
    ) -> Verdict {
        self.count += 1;
        match evidence {
            Evidence::Equivocation { first, second } => {
                let (one, other) = (first.reference(), second.reference());
                let is_pair =
                    one != other && (one.round, one.author) == (other.round, other.author);
                ensure(is_pair && made.has(&one) && made.has(&other), || {
                    format!("evidence: validator {by} shows {one} and {other}, which prove nothing")
                })?;
                ensure(made.is_faulty(one.author), || {
                    format!("evidence: validator {by} accuses {one} and {other} of an honest one")
                })
            }
            Evidence::WrongCoinShare { vertex, round } => {
                let reference = vertex.reference();
                let is_wrong = vertex.header().coin_share != Some(right(reference.author, *round));
                ensure(is_wrong && made.has(&reference) && made.is_faulty(reference.author), || {
                    format!("evidence: validator {by} accuses {reference} of a share that is right")
                })
            }
        }
    }

    /// Nothing is left that somebody should have been accused of.
    pub(crate) fn end(&self) -> Verdict {
        let owed = self.owed.first();
        ensure(owed.is_none(), || {
            format!("evidence: (by, round, author) {owed:?} holds twins and does not say so")
        })
    }

    /// How many accusations there were.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests;
