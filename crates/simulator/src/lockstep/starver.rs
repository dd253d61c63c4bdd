//! A scheduler that starves the leader it expects, by delay alone: everybody is honest and
//! everything arrives in the end.
//!
//! [`Starver::Shun`] keeps the expected leader's vertex out of the cones of the others for w - 2
//! rounds. Every vertex gets exactly a quorum of parents, and which ones is the scheduler's choice.
//! [`Starver::Detain`] needs less: it shows the expected leader the round before only together with
//! the next one, so that it jumps over the round that it would lead.
//!
//! Against leaders in turn both know whom to expect. Against the common coin they have to guess.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use consensus::Leaders;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Round;
use types::VertexRef;

use super::foundry::Foundry;
use super::net::Machine;
use super::net::Made;

/// How the expected leader is starved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starver {
    /// Its vertex is shown to the others too late to be voted for.
    Shun,
    /// It is shown the round before too late to build its vertex at all.
    Detain,
}

impl Starver {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::Shun, Self::Detain];
}

impl fmt::Display for Starver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Shun => "shun",
            Self::Detain => "detain",
        })
    }
}

impl FromStr for Starver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|starver| starver.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is not one of shun, detain"))
    }
}

/// What has come of the first rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Commits of whoever has told the least.
    pub commits: usize,
    /// Commits of a follower who is shown every vertex the moment it is made.
    pub commits_seen: usize,
    /// Vertices that the follower's commits order.
    pub ordered: usize,
    /// The highest round of which the follower has decided every slot, be it by skipping it.
    pub decided: u64,
}

/// One network under the scheduler.
pub(super) struct Starving {
    starver: Starver,
    foundry: Foundry,
    random: ChaCha8Rng,
    machines: Vec<Machine>,
    follower: Machine,
    made: Made,
    /// Whom the scheduler expects to lead, by round.
    expected: BTreeMap<Round, Author>,
}

impl Starving {
    pub(super) fn new(foundry: Foundry, starver: Starver, seed: u64) -> Self {
        let authors = foundry.committee().authors();
        let machines = authors.map(|own| Machine::new(&foundry, Some(own))).collect();
        Self {
            starver,
            random: ChaCha8Rng::seed_from_u64(seed),
            machines,
            follower: Machine::new(&foundry, None),
            foundry,
            made: Made::default(),
            expected: BTreeMap::new(),
        }
    }

    /// Plays one round after the other and gives what each has come to.
    pub(super) fn run(mut self, rounds: u64) -> Vec<Progress> {
        (1..=rounds).map(|round| self.round(Round::new(round))).collect()
    }

    fn round(&mut self, round: Round) -> Progress {
        let expected = self.expect(round);
        self.expected.insert(round, expected);
        let before: Vec<VertexRef> = self.made.at(round.saturating_sub(1)).collect();
        for author in self.foundry.committee().authors() {
            if self.starver == Starver::Detain && author == expected {
                continue;
            }
            let parents = self.choose(author, round, &before);
            let machine = &mut self.machines[author.index()];
            for parent in parents {
                machine.show(parent, &self.made, &mut self.foundry);
            }
            machine.build(author, &mut self.made, &mut self.foundry);
        }
        for vertex in self.made.at(round) {
            self.follower.show(vertex, &self.made, &mut self.foundry);
        }
        Progress {
            commits: self.machines.iter().map(|machine| machine.told.len()).min().unwrap_or(0),
            commits_seen: self.follower.told.len(),
            ordered: self.follower.ordered(),
            decided: self.follower.consensus.decided_round().value(),
        }
    }

    /// Leaders in turn are known; the coin's are guessed.
    fn expect(&mut self, round: Round) -> Author {
        match self.foundry.parameters().leaders {
            Leaders::RoundRobin => self.foundry.leaders(round)[0],
            Leaders::Coin => {
                let size = self.foundry.committee().quorums().validators();
                Author::new(self.random.random_range(0..size))
            }
        }
    }

    /// The vertices of the round before that a validator is shown: its own, and as few others as
    /// may be, those that lead to the fewest starved leaders, the newest of them first.
    fn choose(&mut self, author: Author, round: Round, before: &[VertexRef]) -> Vec<VertexRef> {
        let starved = self.starved(round);
        let mut others: Vec<(Vec<bool>, u32, VertexRef)> = Vec::new();
        let mut chosen = Vec::new();
        for vertex in before {
            if vertex.author == author {
                chosen.push(*vertex);
                continue;
            }
            let leads: Vec<bool> = starved.iter().map(|led| self.leads(*vertex, led)).collect();
            others.push((leads, self.random.random(), *vertex));
        }
        // Where the own vertex leads to a starved leader already, nothing is left to be kept out.
        if let Some(own) = chosen.first() {
            let spoilt: Vec<bool> = starved.iter().map(|led| self.leads(*own, led)).collect();
            for (leads, _, _) in &mut others {
                leads.iter_mut().zip(&spoilt).for_each(|(leads, spoilt)| *leads &= !spoilt);
            }
        }
        others.sort();
        let least = self.foundry.quorum().saturating_sub(chosen.len());
        chosen.extend(others.into_iter().take(least).map(|(_, _, vertex)| vertex));
        chosen
    }

    /// The starved leaders whose votes are not cast at the round before, the newest first.
    fn starved(&self, round: Round) -> Vec<VertexRef> {
        let wave = self.foundry.parameters().wave;
        let rounds = (1..=wave - 2).map(|below| round.saturating_sub(below));
        let led = rounds.filter_map(|led| {
            let expected = self.expected.get(&led)?;
            self.made.at(led).find(|vertex| vertex.author == *expected)
        });
        led.collect()
    }

    fn leads(&self, vertex: VertexRef, led: &VertexRef) -> bool {
        let cone: BTreeSet<VertexRef> = self.made.cone_at(vertex, led.round);
        cone.contains(led)
    }
}
