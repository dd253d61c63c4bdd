//! Supports, votes and certificates, counted from the drawn DAG by their definition.
//!
//! Written apart from the machine, from `docs/consensus.md`, Votes and certificates: whoever judges
//! a schedule should not ask the judged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;
use types::Round;
use types::VertexRef;

use super::net::Made;

/// One slot: a round and the author who leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) round: Round,
    pub(super) author: Author,
    pub(super) wave: u64,
    pub(super) quorum: usize,
}

/// What the counts alone decide once everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    Committed,
    Skipped,
    Open,
}

impl Led {
    const fn vote_round(&self) -> Round {
        self.round.saturating_add(self.wave - 2)
    }

    pub(super) const fn decision_round(&self) -> Round {
        self.round.saturating_add(self.wave - 1)
    }

    /// The one vertex of the leader that a vertex above it supports.
    pub(super) fn support(&self, vertex: VertexRef, made: &Made) -> Option<VertexRef> {
        let parents = made.parents(&vertex).iter();
        if vertex.round == self.round.next() {
            return parents.copied().find(|parent| parent.author == self.author);
        }
        let supports = parents.filter_map(|parent| self.support(*parent, made));
        supports.min_by_key(|supported| supported.digest)
    }

    /// The vertex of the leader that a vertex of the decision round certifies.
    pub(super) fn certified(&self, vertex: VertexRef, made: &Made) -> Option<VertexRef> {
        let mut votes: BTreeMap<VertexRef, usize> = BTreeMap::new();
        for parent in made.parents(&vertex) {
            if let Some(supported) = self.support(*parent, made) {
                *votes.entry(supported).or_default() += 1;
            }
        }
        votes.into_iter().find(|(_, count)| *count >= self.quorum).map(|(leader, _)| leader)
    }

    /// What everything that was made decides directly.
    pub(super) fn direct(&self, made: &Made) -> Direct {
        let mut certificates: BTreeMap<VertexRef, BTreeSet<Author>> = BTreeMap::new();
        for vertex in made.at(self.decision_round()) {
            if let Some(leader) = self.certified(vertex, made) {
                certificates.entry(leader).or_default().insert(vertex.author);
            }
        }
        let blames: BTreeSet<Author> = made
            .at(self.vote_round())
            .filter(|vertex| self.support(*vertex, made).is_none())
            .map(|vertex| vertex.author)
            .collect();
        if certificates.values().any(|authors| authors.len() >= self.quorum) {
            Direct::Committed
        } else if blames.len() >= self.quorum {
            Direct::Skipped
        } else {
            Direct::Open
        }
    }
}
