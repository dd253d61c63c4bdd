//! One leader slot: who supports, votes for, blames and certifies its leader.
//!
//! The slot is counted from the moment its leader is known, vertex by vertex. For each vertex above
//! the slot's round it keeps the one vertex of the leader that it supports.
//!
//! **Invariant:** parents are counted before children, so a child finds its parents' supports.
//! **Invariant:** a vertex supports at most one of a leader's twins, and the same one at every node.
//!
//! Source: `docs/consensus.md`, Votes and certificates.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;

use types::Author;
use types::Digest;
use types::Round;
use types::Vertex;
use types::VertexRef;

use crate::authors::AuthorSet;
use crate::output::Alarm;
use crate::parameters::Parameters;

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing yet.
    Undecided,
    /// This vertex leads.
    Committed(VertexRef),
    /// Nobody leads.
    Skipped,
}

/// One slot whose leader is known.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    round: Round,
    author: Author,
    pub(crate) status: Status,
    /// Which vertex of the leader each vertex supports; those that support none are left out.
    supports: BTreeMap<VertexRef, Digest>,
    blames: AuthorSet,
    certificates: BTreeMap<Digest, Certificates>,
}

/// The vertices that certify one vertex of the leader.
#[derive(Clone, Debug, Default)]
struct Certificates {
    authors: AuthorSet,
    vertices: BTreeSet<VertexRef>,
}

impl Slot {
    pub(crate) const fn new(round: Round, author: Author) -> Self {
        Self {
            round,
            author,
            status: Status::Undecided,
            supports: BTreeMap::new(),
            blames: AuthorSet::NONE,
            certificates: BTreeMap::new(),
        }
    }

    pub(crate) const fn round(&self) -> Round {
        self.round
    }

    /// Counts a vertex that stands above the slot's round.
    pub(crate) fn count(&mut self, vertex: &Vertex, parameters: &Parameters, quorum: usize) {
        if vertex.round() == parameters.decision_round(self.round) {
            self.count_certificate(vertex, quorum);
        } else if vertex.round() < parameters.decision_round(self.round) {
            let support = self.support(vertex);
            if let Some(digest) = support {
                self.supports.insert(vertex.reference(), digest);
            } else if vertex.round() == parameters.vote_round(self.round) {
                self.blames.insert(vertex.author());
            }
        }
    }

    /// The one vertex of the leader that a vertex supports: its own parent directly above the
    /// slot, otherwise the least digest among what its parents support.
    fn support(&self, vertex: &Vertex) -> Option<Digest> {
        let parents = &vertex.header().parents;
        if vertex.round() == self.round.next() {
            let place = parents.binary_search_by_key(&self.author, |parent| parent.author);
            return place.ok().and_then(|place| parents.get(place)).map(|parent| parent.digest);
        }
        parents.iter().filter_map(|parent| self.supports.get(parent)).min().copied()
    }

    /// A vertex of the decision round certifies what a quorum of its parents vote for.
    fn count_certificate(&mut self, vertex: &Vertex, quorum: usize) {
        let parents = &vertex.header().parents;
        let mut votes: BTreeMap<Digest, usize> = BTreeMap::new();
        for digest in parents.iter().filter_map(|parent| self.supports.get(parent)) {
            *votes.entry(*digest).or_default() += 1;
        }
        for (digest, count) in votes {
            if count >= quorum {
                let certificates = self.certificates.entry(digest).or_default();
                certificates.authors.insert(vertex.author());
                certificates.vertices.insert(vertex.reference());
            }
        }
    }

    /// What the counts alone decide.
    pub(crate) fn direct(&self, quorum: usize) -> Status {
        let certified = |certificates: &Certificates| certificates.authors.len() >= quorum;
        let leader = self.certificates.iter().find(|(_, certificates)| certified(certificates));
        match leader {
            Some((digest, _)) => Status::Committed(self.leader(*digest)),
            None if self.blames.len() >= quorum => Status::Skipped,
            None => Status::Undecided,
        }
    }

    /// What an anchor decides: the leader of which its cone holds a certificate, or nobody.
    pub(crate) fn indirect(
        &self,
        mut cone_holds: impl FnMut(&BTreeSet<VertexRef>) -> bool,
    ) -> Status {
        self.certificates
            .iter()
            .find(|(_, certificates)| cone_holds(&certificates.vertices))
            .map_or(Status::Skipped, |(digest, _)| Status::Committed(self.leader(*digest)))
    }

    /// What can not be while at most f validators are faulty.
    pub(crate) fn contradiction(&self, quorum: usize) -> Option<Alarm> {
        let mut certified = self.certificates.iter().filter_map(|(digest, certificates)| {
            certificates.vertices.first().map(|vertex| (self.leader(*digest), *vertex))
        });
        let (first, first_certificate) = certified.next()?;
        if let Some((second, second_certificate)) = certified.next() {
            return Some(Alarm::CertifiedTwins {
                first,
                first_certificate,
                second,
                second_certificate,
            });
        }
        (self.blames.len() >= quorum)
            .then_some(Alarm::CertifiedAndSkipped { leader: first, certificate: first_certificate })
    }

    const fn leader(&self, digest: Digest) -> VertexRef {
        VertexRef { round: self.round, author: self.author, digest }
    }
}
