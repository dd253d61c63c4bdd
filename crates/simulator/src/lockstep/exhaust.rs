//! All schedules to a bounded depth, in the manner of Twins.
//!
//! Up to the decision round of round 1 every validator takes, in each round, every set of a quorum
//! of parents that it may take, with either of an equivocator's twins; the equivocator makes one
//! vertex in each round and two in one of them, with every pair of parents. Each schedule is then
//! judged as the aimed ones are: every view, every quorum that goes on.
//!
//! Schedules that differ in names alone are played once. Vertices are coloured: by whether their
//! author leads, lies or neither, by their place among twins, and by the colours of their parents.
//! Two schedules whose newest rounds have the same colours count as one. Later leaders are names
//! too, so this leaves out some schedules that are not the same: it is a bound on the work, which
//! another leader or seed goes around.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Digest;
use types::Hasher;
use types::Round;
use types::VertexRef;

use super::Arena;
use super::foundry::Foundry;
use super::judge::Judged;
use super::judge::Violation;
use super::judge::judge;
use super::play::Play;
use super::votes::Led;

/// How far an exploration went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// What was judged.
    pub judged: Judged,
    /// Schedules, whole or begun, that differ from others in names alone.
    pub alike: u64,
    /// Whether there are no more.
    pub is_complete: bool,
}

/// What one author does in a round: the parents of each vertex that it makes.
type Deed = Vec<Vec<VertexRef>>;

struct Exhaust {
    foundry: Foundry,
    led: Led,
    liar: Option<Author>,
    twins_at: Round,
    random: ChaCha8Rng,
    budget: u64,
    seen: BTreeSet<Digest>,
    explored: Explored,
}

/// Plays all schedules, with twins in the first round, then in the second, and so on.
pub(super) fn exhaust(arena: &Arena, budget: u64, seed: u64) -> Result<Explored, Violation> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut foundry = arena.foundry();
    let (wave, quorum) = (arena.wave, foundry.quorum());
    let author = foundry.leaders(Round::new(1))[0];
    let led = Led { round: Round::new(1), author, wave, quorum };
    let others = || foundry.committee().authors().filter(|other| *other != author);
    let liar = match arena.equivocators {
        0 => None,
        _ if arena.leader_lies => Some(author),
        _ => others().next(),
    };
    let mut rounds: Vec<u64> = if liar.is_some() { (1..=wave).collect() } else { vec![0] };
    rounds.shuffle(&mut random);
    let share = budget.div_ceil(u64::try_from(rounds.len()).unwrap_or(1));
    let mut search = Exhaust {
        foundry,
        led,
        liar,
        twins_at: Round::ZERO,
        random,
        budget: 0,
        seen: BTreeSet::new(),
        explored: Explored { is_complete: true, ..Explored::default() },
    };
    for round in rounds {
        search.twins_at = Round::new(round);
        search.budget = search.explored.judged.schedules.saturating_add(share);
        search.seen.clear();
        let play = Play::new(&search.foundry, liar.as_slice());
        search.descend(&play)?;
    }
    Ok(search.explored)
}

impl Exhaust {
    fn descend(&mut self, play: &Play) -> Result<(), Violation> {
        if play.round == self.led.decision_round() {
            let judged = judge(play, &self.led, &mut self.foundry, &mut self.random)?;
            self.explored.judged.add(judged);
            return Ok(());
        }
        let deeds: Vec<(Author, Vec<Deed>)> = self
            .foundry
            .committee()
            .authors()
            .map(|author| (author, self.deeds(play, author)))
            .collect();
        let ways: usize = deeds.iter().map(|(_, deeds)| deeds.len()).product();
        let start = self.random.random_range(0..ways.max(1));
        for way in (start..ways).chain(0..start) {
            if self.explored.judged.schedules >= self.budget {
                self.explored.is_complete = false;
                return Ok(());
            }
            let next = self.take(play, &deeds, way);
            if self.seen.insert(self.colour(&next)) {
                self.descend(&next)?;
            } else {
                self.explored.alike += 1;
            }
        }
        Ok(())
    }

    /// Everything that an author can do in the next round.
    fn deeds(&self, play: &Play, author: Author) -> Vec<Deed> {
        let is_honest = play.is_honest(author);
        let mut sets: Vec<Vec<VertexRef>> = vec![Vec::new()];
        for twins in &play.row {
            let mut longer = Vec::new();
            for set in &sets {
                longer.extend(twins.iter().map(|twin| [&set[..], &[*twin]].concat()));
                longer.push(set.clone());
            }
            sets = longer;
        }
        let own = |set: &Vec<VertexRef>| set.iter().any(|parent| parent.author == author);
        sets.retain(|set| set.len() == self.led.quorum && (own(set) || !is_honest));
        if play.round == Round::ZERO {
            sets.truncate(1);
        }
        if Some(author) != self.liar || play.round.next() != self.twins_at {
            return sets.into_iter().map(|set| vec![set]).collect();
        }
        let pairs = sets.iter().enumerate().flat_map(|(place, first)| {
            sets[place..].iter().map(move |second| vec![first.clone(), second.clone()])
        });
        pairs.collect()
    }

    /// Plays one of all combinations of what the authors can do.
    fn take(&mut self, play: &Play, deeds: &[(Author, Vec<Deed>)], mut way: usize) -> Play {
        let mut next = play.clone();
        let mut row = vec![Vec::new(); play.row.len()];
        for (author, deeds) in deeds {
            let deed = &deeds[way % deeds.len()];
            way /= deeds.len();
            for (parents, mark) in deed.iter().zip(0..) {
                let built = if next.is_honest(*author) {
                    let mut shown = parents.clone();
                    shown.sort_by_key(|vertex| vertex.author != *author);
                    next.build(*author, &shown, true, &mut self.foundry)
                } else {
                    Some(next.forge(*author, parents, mark, &mut self.foundry))
                };
                row[author.index()].extend(built);
            }
        }
        next.end_round(row);
        next
    }

    /// The colours of the newest round, which those of all below are part of.
    fn colour(&self, play: &Play) -> Digest {
        let mut colours = BTreeMap::new();
        for vertex in play.made.all() {
            let role = match vertex.author {
                author if author == self.led.author && Some(author) == self.liar => 0_u8,
                author if author == self.led.author => 1,
                author if Some(author) == self.liar => 2,
                _ => 3,
            };
            let twins = play.made.at(vertex.round).filter(|twin| twin.author == vertex.author);
            let place = twins.filter(|twin| *twin < vertex).count();
            let place = u8::try_from(place).unwrap_or(u8::MAX);
            let parents = play.made.parents(&vertex).iter();
            let mut below: Vec<Digest> =
                parents.filter_map(|parent| colours.get(parent)).copied().collect();
            below.sort();
            let hasher = Hasher::new("meanwhile/simulator/colour/v1").bytes(&[role, place]);
            let hasher = hasher.value(&vertex.round);
            let hasher = below.iter().fold(hasher, |hasher, colour| hasher.value(colour));
            colours.insert(vertex, hasher.finish());
        }
        let newest = play.row.iter().flatten();
        let mut newest: Vec<Digest> =
            newest.filter_map(|vertex| colours.get(vertex)).copied().collect();
        newest.sort();
        let hasher = Hasher::new("meanwhile/simulator/colours/v1");
        newest.iter().fold(hasher, |hasher, colour| hasher.value(colour)).finish()
    }
}
