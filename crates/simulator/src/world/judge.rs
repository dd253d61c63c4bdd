//! Where the checkers look: at what a validator writes, at what it holds now and then, and at
//! everything once more in the end.

use std::collections::BTreeMap;

use consensus::Ordered;
use replica::tables;
use types::Author;
use types::Commit;
use types::Decode as _;
use types::Digest;
use types::Round;
use types::VertexRef;
use types::coin::CoinSignature;
use types::table::Changes;

use super::World;
use crate::check::Holding;
use crate::check::Violation;
use crate::check::rule;
use crate::options::Leaders;

/// One look in so many goes through everything that a validator holds.
const LOOK_ONE_IN: u64 = 64;
/// Up to how many vertices the order is derived anew: beyond, following the rule by the letter takes
/// longer than everything else.
const RULE_VERTICES_MAX: usize = 4_000;
/// The kind of evidence for two vertices of a round, as it stands in its key.
const EQUIVOCATION: u8 = 1;

impl World<'_> {
    /// Looks at what a validator is about to write.
    pub(super) fn watch(&mut self, own: Author, changes: &Changes) {
        if !self.node(own).is_judged() {
            return;
        }
        for change in changes.iter() {
            let Some(value) = &change.value else { continue };
            if change.table == tables::VERTICES {
                self.watch_vertex(own, &change.key);
            } else if change.table == tables::COINS {
                self.watch_coin(own, &change.key, value);
            } else if change.table == tables::COMMITS {
                self.watch_commit(own, value);
            }
        }
        // Proof of twins may stand before the second one of them.
        for change in changes.iter().filter(|change| change.table == tables::EVIDENCE) {
            if let Some((&EQUIVOCATION, key)) = change.key.split_first()
                && let Some((round, author, _)) = place(key)
            {
                self.accusations.wrote(own, round, author);
            }
        }
    }

    fn watch_vertex(&mut self, own: Author, key: &[u8]) {
        let reference = place(key).and_then(|(round, author, digest)| {
            let digest = Digest::new(digest.try_into().ok()?);
            Some(VertexRef { round, author, digest })
        });
        let vertex = reference.and_then(|reference| self.made.get(&reference).cloned());
        let (Some(reference), Some(vertex)) = (reference, vertex) else {
            return self.broken(own, &"validity: it holds a vertex that nobody made");
        };
        self.accusations.holds(own, &reference);
        self.known.entry(reference).or_insert(vertex);
    }

    fn watch_commit(&mut self, own: Author, value: &[u8]) {
        let Ok(commit) = Commit::from_bytes(value) else {
            return self.broken(own, &"one order: it writes a commit that is none");
        };
        let made = commit.vertices.iter().filter_map(|vertex| self.made.get(vertex));
        let vertices = made.cloned().collect();
        let verdict = self.order.wrote(own, &Ordered { commit, vertices });
        self.judge(verdict);
    }

    fn watch_coin(&mut self, own: Author, key: &[u8], value: &[u8]) {
        let round = key.first_chunk::<8>().map(|round| Round::new(u64::from_be_bytes(*round)));
        let signature = CoinSignature::from_bytes(value).ok();
        let (Some(round), Some(signature)) = (round, signature) else {
            return self.broken(own, &"one coin: it writes what is none");
        };
        let right = self.memo.coin(&self.network, round);
        let verdict = self.coins.revealed(own, round, signature, &right);
        self.judge(verdict);
    }

    /// Now and then, looks at everything that a validator holds.
    pub(super) fn look(&mut self, own: Author) {
        let node = self.node_mut(own);
        node.looks += 1;
        if node.looks.is_multiple_of(LOOK_ONE_IN) {
            self.look_closely(own);
        }
    }

    pub(super) fn look_closely(&mut self, own: Author) {
        let node = self.node(own);
        let Some(machines) = node.machines.as_ref().filter(|_| node.is_judged()) else { return };
        let consensus = machines.ordering.consensus();
        let (index, _) = consensus.last_commit();
        let place = usize::try_from(index.value()).unwrap_or(usize::MAX);
        let commit = place.checked_sub(1).and_then(|place| self.order.commits().get(place));
        // A commit that is decided and not told yet is judged the next time.
        if commit.is_none() && place > 0 {
            return;
        }
        let mut holding = Holding {
            line: consensus.gc_round(),
            highest: consensus.highest_round(),
            committed: commit.map_or(Round::ZERO, |commit| commit.leader.round),
            fetching: machines.ordering.status(self.now).fetching,
            suspended: consensus.suspended_len(),
            ..Holding::default()
        };
        let mut round = holding.line;
        let end = holding.highest.saturating_add(consensus::WINDOW);
        while round <= end {
            let mut honest: BTreeMap<Author, usize> = BTreeMap::new();
            for vertex in consensus.vertices_at(round) {
                holding.vertices += 1;
                holding.bytes += vertex.encoded().len();
                if !self.made.is_faulty(vertex.author()) {
                    *honest.entry(vertex.author()).or_default() += 1;
                }
            }
            holding.honest_twins =
                honest.into_values().chain([holding.honest_twins]).max().unwrap_or(0);
            round = round.next();
        }
        let verdict = self.bounds.look(own, &holding);
        self.judge(verdict);
    }

    /// What can be judged when all is over.
    pub(super) fn judge_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        for author in self.network.committee.authors() {
            self.look_closely(author);
        }
        let verdict = self.accusations.end();
        self.judge(verdict);
        if self.known.len() <= RULE_VERTICES_MAX {
            let verdict = self.follow_rule();
            self.judge(verdict);
        }
    }

    fn follow_rule(&self) -> Result<(), Violation> {
        let committee = &self.network.committee;
        let (validators, slots) = (self.options.validators, self.options.slots);
        let leaders: BTreeMap<Round, Vec<Author>> = match self.options.leaders {
            Leaders::Coin => {
                let named = self.coins.known().iter().map(|(round, coin)| {
                    let seed = rule::seed(committee.epoch(), *round, coin);
                    (*round, rule::leaders(&seed, validators, slots))
                });
                named.collect()
            }
            Leaders::RoundRobin => {
                let last = self.known.last_key_value().map_or(0, |(last, _)| last.round.value());
                let author = |round: u64, slot: u16| {
                    let place = (round + u64::from(slot)) % u64::from(validators);
                    Author::new(u16::try_from(place).unwrap_or(0))
                };
                let named = |round| (0..slots).map(|slot| author(round, slot)).collect();
                (1..=last).map(|round| (Round::new(round), named(round))).collect()
            }
        };
        let parameters = rule::Parameters {
            quorums: committee.quorums(),
            wave: self.options.wave,
            slots,
            gc_depth: self.options.gc_depth,
        };
        rule::check(parameters, &self.known, &leaders, self.order.commits())
    }
}

/// The round and the author that a key begins with, and what follows.
fn place(key: &[u8]) -> Option<(Round, Author, &[u8])> {
    let (round, rest) = key.split_first_chunk::<8>()?;
    let (author, rest) = rest.split_first_chunk::<2>()?;
    let round = Round::new(u64::from_be_bytes(*round));
    Some((round, Author::new(u16::from_be_bytes(*author)), rest))
}
