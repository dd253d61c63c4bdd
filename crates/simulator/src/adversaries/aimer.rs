//! Aims at the quorums. It parts the validators into two sides and tries to make a slot look
//! committed to one and skipped to the other:
//!
//! - at the leader's round, whom it guesses, it shows the leader to exactly as many as are one short
//!   of a quorum, or make one, and to the others only once they have built above;
//! - at the vote round it hurries votes to one side and blames to the other, each side getting the
//!   rest late;
//! - at the decision round, when the coin is public, it knows the leaders and keeps certificates
//!   from the side that is to see a skip;
//! - of twins it hurries the one to one side and the other to the other.
//!
//! Everything it keeps back it keeps for a limited time only, or rounds would stop and with them all
//! that it could break.

use std::collections::BTreeMap;

use types::Author;
use types::Quorums;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use super::Fate;
use super::Letter;
use super::Scheduler;
use super::Sight;
use super::Until;
use super::support;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

/// How many rounds of vertices it remembers.
const MEMORY: u64 = 12;
/// For how many rounds it keeps its sides.
const SIDES_ROUNDS: u64 = 8;
/// How long a vertex is kept from a side, in delays.
const LEAST: u64 = 3;
const MOST: u64 = 12;
/// How long a certificate is kept from the side that is to see a skip, in delays.
const CERTIFICATE_MOST: u64 = 30;

#[derive(Debug)]
pub(super) struct Aimer {
    quorums: Quorums,
    vertices: BTreeMap<VertexRef, Verified<Vertex>>,
    targets: BTreeMap<Round, Target>,
    /// Whether each validator is on the side that is to see a commit.
    sides: Vec<bool>,
    sides_since: Round,
}

/// Whom it takes for the leader of a round.
#[derive(Debug)]
struct Target {
    leader: Author,
    /// Who gets the leader's vertex in time to be a direct parent.
    shown_to: Vec<Author>,
}

impl Aimer {
    pub(super) fn new(quorums: Quorums, chance: &mut Schedule) -> Self {
        let mut aimer = Self {
            quorums,
            vertices: BTreeMap::new(),
            targets: BTreeMap::new(),
            sides: Vec::new(),
            sides_since: Round::ZERO,
        };
        aimer.take_sides(Round::ZERO, chance);
        aimer
    }

    fn take_sides(&mut self, round: Round, chance: &mut Schedule) {
        let validators = self.quorums.validators();
        // From f to n - f on one side: the sizes about which quorums turn.
        let least = usize::from(self.quorums.faults());
        let count = least + chance.below(usize::from(validators) - 2 * least + 1);
        let chosen = chance.some_of(validators, count);
        self.sides = (0..validators).map(|n| chosen.contains(&Author::new(n))).collect();
        self.sides_since = round;
    }

    fn sees_commit(&self, author: Author) -> bool {
        self.sides.get(author.index()).copied().unwrap_or_default()
    }

    fn aim(&mut self, round: Round, chance: &mut Schedule) {
        if self.targets.contains_key(&round) {
            return;
        }
        let validators = self.quorums.validators();
        let quorum = self.quorums.quorum();
        let Some(leader) = chance.some_of(validators, 1).pop() else { return };
        // One short of a quorum, a quorum, one more than the coin needs: whatever is close.
        let counts = [quorum - 1, quorum, self.quorums.coin_threshold(), quorum - 1];
        let count = counts.get(chance.below(counts.len())).copied().unwrap_or(quorum);
        let shown_to = chance.some_of(validators, count);
        self.targets.insert(round, Target { leader, shown_to });
    }

    /// Whether the vertex is kept from a validator, and how.
    fn keep(
        &self,
        vertex: &Verified<Vertex>,
        to: Author,
        sight: &Sight,
        chance: &mut Schedule,
    ) -> Option<Fate> {
        let round = vertex.round();
        self.keep_leader(vertex, to, sight)
            .or_else(|| self.keep_twin(vertex, to, chance))
            .or_else(|| {
                let decided = sight.coin_round(round)?;
                let leaders = sight.coins.get(&decided)?;
                let is_skip = !self.sees_commit(to);
                let certifies = |leader: &Author| self.certifies(vertex, *leader, decided);
                let is_kept = is_skip && leaders.iter().any(certifies);
                is_kept.then(|| Fate::After(chance.delays(LEAST, CERTIFICATE_MOST)))
            })
            .or_else(|| {
                let voted = round.saturating_sub(sight.wave - 2);
                let leaders = sight.coins.get(&voted);
                let target = self.targets.get(&voted)?;
                let aimed = leaders.and_then(|leaders| leaders.first()).copied();
                let aimed = aimed.unwrap_or(target.leader);
                let votes = support(&self.vertices, vertex, aimed, voted).is_some();
                let is_kept = votes != self.sees_commit(to);
                is_kept.then(|| Fate::After(chance.delays(LEAST, MOST)))
            })
    }

    fn keep_leader(&self, vertex: &Vertex, to: Author, sight: &Sight) -> Option<Fate> {
        let target = self.targets.get(&vertex.round())?;
        let above = vertex.round().next();
        let is_kept = target.leader == vertex.author()
            && !target.shown_to.contains(&to)
            && sight.built(to) < above;
        is_kept.then_some(Fate::Hold(Until::Built(to, above)))
    }

    fn keep_twin(&self, vertex: &Vertex, to: Author, chance: &mut Schedule) -> Option<Fate> {
        let VertexRef { round, author, digest } = vertex.reference();
        let twins = self.vertices.keys().filter(|known| {
            known.round == round && known.author == author && known.digest != digest
        });
        let is_least = twins.map(|twin| digest < twin.digest).next()?;
        (is_least != self.sees_commit(to)).then(|| Fate::After(chance.delays(LEAST, MOST)))
    }

    fn certifies(&self, vertex: &Vertex, leader: Author, round: Round) -> bool {
        let parents = vertex.header().parents.iter().filter_map(|edge| self.vertices.get(edge));
        let votes = parents.filter_map(|parent| support(&self.vertices, parent, leader, round));
        votes.count() >= self.quorums.quorum()
    }
}

impl Scheduler for Aimer {
    fn made(&mut self, vertex: &Verified<Vertex>, _: &Sight, chance: &mut Schedule) {
        let round = vertex.round();
        self.aim(round, chance);
        if round.distance_from(self.sides_since) >= SIDES_ROUNDS {
            self.take_sides(round, chance);
        }
        self.vertices.insert(vertex.reference(), vertex.clone());
        let highest = self.vertices.last_key_value().map_or(round, |(last, _)| last.round);
        let least = highest.saturating_sub(MEMORY);
        while self.vertices.first_key_value().is_some_and(|(first, _)| first.round < least) {
            self.vertices.pop_first();
        }
        self.targets = self.targets.split_off(&least);
    }

    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate {
        let vertices = letter.vertices.iter();
        let kept = vertices.filter_map(|vertex| self.keep(vertex, letter.to, sight, chance));
        let rank = |fate: &Fate| match fate {
            Fate::After(span) => *span,
            Fate::Hold(_) | Fate::Lost => Span::MAX,
        };
        let usual = Span::new(letter.usual.value().min(DELAY.value()));
        kept.max_by_key(rank).unwrap_or(Fate::After(usual))
    }
}
