//! A scheduler that sees the common coin the moment it is public, with f equivocators.
//!
//! The coin of round 1 is known when the first honest vertex at D(1) is out: f hostile shares and
//! one honest one make it. Before, the scheduler lays the ambush without knowing whom it is for: it
//! lets just so many honest validators go ahead as that first vertex needs, and chooses what they
//! cite so that as few vertices of round 1 as possible are safe. The others, f of the honest, lag
//! behind. After, it knows the leaders: laggards catch up through vertices that do not lead to
//! them, and equivocators sign whatever helps, twins of the leaders included.
//!
//! How many leaders can be safe from that is what `docs/coin.md` counts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;
use types::Round;
use types::VertexRef;

use super::foundry::Foundry;
use super::foundry::Sketch;
use super::net::Machine;
use super::net::Made;
use super::votes::Direct;
use super::votes::Led;

/// What became of the ambushed round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambushed {
    /// Its leaders, in slot order.
    pub leaders: Vec<Fate>,
    /// The DAG up to the decision round, drawn.
    pub dag: String,
}

/// What became of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Who it is.
    pub author: Author,
    /// Whether everything that was made commits it directly.
    pub is_direct: bool,
    /// Whether it is committed at all after the network has behaved for two waves.
    pub is_committed: bool,
}

/// A network in which one round is ambushed.
pub(super) struct Ambush {
    foundry: Foundry,
    machines: BTreeMap<Author, Machine>,
    made: Made,
    /// Who equivocates: the last f.
    liars: Vec<Author>,
    /// Who goes ahead: the first f + 1.
    ahead: Vec<Author>,
    /// What is shown to whoever goes ahead.
    open: BTreeMap<Round, Vec<VertexRef>>,
}

/// The ambushed round.
const LED: Round = Round::new(1);

impl Ambush {
    pub(super) fn new(foundry: Foundry) -> Self {
        let authors: Vec<Author> = foundry.committee().authors().collect();
        let (honest, liars) = authors.split_at(authors.len() - foundry.faults());
        let machines = honest.iter().map(|own| (*own, Machine::new(&foundry, Some(*own))));
        Self {
            machines: machines.collect(),
            made: Made::default(),
            liars: liars.to_vec(),
            ahead: honest[..=foundry.faults()].to_vec(),
            open: BTreeMap::new(),
            foundry,
        }
    }

    pub(super) fn run(mut self) -> Ambushed {
        let wave = self.foundry.parameters().wave;
        let decision = LED.saturating_add(wave - 1);
        self.lay(decision);
        let leaders = self.foundry.leaders(LED);
        self.spring(&leaders, decision);
        let quorum = self.foundry.quorum();
        let direct = leaders.iter().map(|author| {
            let led = Led { round: LED, author: *author, wave, quorum };
            led.direct(&self.made) == Direct::Committed
        });
        let direct: Vec<bool> = direct.collect();
        let dag = self.made.draw();
        self.hush(decision);
        let committed = self.behave();
        let fates = leaders.into_iter().zip(direct);
        let fates = fates.map(|(author, is_direct)| {
            let is_committed = committed.contains(&author);
            Fate { author, is_direct, is_committed }
        });
        Ambushed { leaders: fates.collect(), dag }
    }

    /// Everybody's vertices of the ambushed round, and what goes ahead up to the first honest
    /// vertex of the decision round.
    fn lay(&mut self, decision: Round) {
        let honest: Vec<Author> = self.machines.keys().copied().collect();
        let mut row: BTreeMap<Author, VertexRef> = BTreeMap::new();
        for author in honest {
            row.extend(self.build(author, LED, &[]).map(|vertex| (author, vertex)));
        }
        let firsts: Vec<VertexRef> = self
            .foundry
            .committee()
            .authors()
            .map(|author| self.foundry.first_vertex(author))
            .collect();
        for liar in self.liars.clone() {
            row.insert(liar, self.forge(liar, LED, &firsts, 0));
        }
        let cited = self.citations();
        let mut shown: Vec<VertexRef> = Vec::new();
        for author in self.ahead.clone() {
            let parents = cited[&author].iter().chain(&self.liars).map(|cited| row[cited]);
            let parents: Vec<VertexRef> = parents.collect();
            shown.extend(self.build(author, LED.next(), &parents));
        }
        let lied: Vec<VertexRef> =
            self.ahead.iter().chain(&self.liars).map(|author| row[author]).collect();
        for liar in self.liars.clone() {
            shown.push(self.forge(liar, LED.next(), &lied, 0));
        }
        let mut round = LED.next().next();
        while round < decision {
            let mut next = Vec::new();
            for author in self.ahead.clone() {
                next.extend(self.build(author, round, &shown));
            }
            for liar in self.liars.clone() {
                next.push(self.forge(liar, round, &shown, 0));
            }
            self.open.insert(round, next.clone());
            shown = next;
            round = round.next();
        }
        let first = self.ahead[0];
        self.build(first, decision, &shown);
    }

    /// Which honest vertices of the ambushed round each of those ahead cites: its own and f others.
    ///
    /// With w = 5 they cite each other, which leaves f honest vertices uncited. With w = 4 what
    /// counts is how many cite each, so the citations are spread: nobody is to have more than f
    /// supporters, its own later vertex included.
    fn citations(&self) -> BTreeMap<Author, Vec<Author>> {
        let faults = self.foundry.faults();
        if self.foundry.parameters().wave == 5 {
            return self.ahead.iter().map(|author| (*author, self.ahead.clone())).collect();
        }
        // Each supports itself, those ahead and those behind.
        let mut room: BTreeMap<Author, usize> =
            self.machines.keys().map(|author| (*author, faults.saturating_sub(1))).collect();
        let mut cited: BTreeMap<Author, Vec<Author>> = BTreeMap::new();
        for author in &self.ahead {
            let mut others: Vec<Author> =
                room.keys().copied().filter(|other| other != author).collect();
            others.sort_by_key(|other| std::cmp::Reverse((room[other], *other)));
            others.truncate(faults);
            for other in &others {
                if let Some(left) = room.get_mut(other) {
                    *left = left.saturating_sub(1);
                }
            }
            others.push(*author);
            cited.insert(*author, others);
        }
        cited
    }

    /// The leaders are known: everybody else comes up to the decision round, through vertices that
    /// lead to as few of them as can be.
    fn spring(&mut self, leaders: &[Author], decision: Round) {
        let Foundry { .. } = &self.foundry;
        let (wave, quorum) = (self.foundry.parameters().wave, self.foundry.quorum());
        let hostile = leaders.iter().filter(|leader| self.liars.contains(leader));
        for liar in hostile.copied().collect::<Vec<_>>() {
            self.forge_lesser_twin(liar);
        }
        let targets: Vec<(Led, VertexRef)> = leaders
            .iter()
            .filter_map(|author| {
                let led = Led { round: LED, author: *author, wave, quorum };
                let mut twins = self.made.at(LED).filter(|vertex| vertex.author == *author);
                // The greater twin is the one that was shown to those ahead.
                twins.next_back().map(|target| (led, target))
            })
            .collect();
        let mut round = LED.next();
        while round <= decision {
            let before = round.saturating_sub(1);
            // Equivocators first: laggards cite what they made.
            for liar in self.liars.clone() {
                let mut row = self.ranked(before, &targets, None);
                row.truncate(quorum);
                if row.len() == quorum {
                    self.forge(liar, round, &row, 1);
                }
            }
            let laggards: Vec<Author> = self.machines.keys().copied().collect();
            for author in laggards {
                let has_built = self.machines[&author].consensus.own_round() >= round;
                if !has_built {
                    let row = self.ranked(before, &targets, Some(author));
                    self.build(author, round, &row);
                }
            }
            round = round.next();
        }
    }

    /// The vertices of a round, one an author: those that lead to the fewest targets first, the own
    /// one before all.
    fn ranked(
        &self,
        round: Round,
        targets: &[(Led, VertexRef)],
        own: Option<Author>,
    ) -> Vec<VertexRef> {
        // Best is what votes for another twin of the target: whatever has it in its cone does too.
        let harm_of = |vertex: VertexRef, led: &Led, target: &VertexRef| {
            let is_led = vertex.author == led.author && vertex.round == led.round;
            let supported = if is_led { Some(vertex) } else { led.support(vertex, &self.made) };
            match supported {
                None => 1,
                Some(supported) if supported == *target => 2,
                Some(_) => 0,
            }
        };
        let harm = |vertex: VertexRef| -> usize {
            targets.iter().map(|(led, target)| harm_of(vertex, led, target)).sum()
        };
        let mut row: Vec<(bool, usize, VertexRef)> = self
            .made
            .at(round)
            .map(|vertex| (Some(vertex.author) != own, harm(vertex), vertex))
            .collect();
        row.sort();
        let mut authors = BTreeSet::new();
        row.retain(|(_, _, vertex)| authors.insert(vertex.author));
        row.into_iter().map(|(_, _, vertex)| vertex).collect()
    }

    /// A twin that goes before the one that was shown: whoever has both in its cone supports it.
    fn forge_lesser_twin(&mut self, liar: Author) {
        let Some(shown) = self.made.at(LED).find(|vertex| vertex.author == liar) else { return };
        let parents = self.made.parents(&shown).to_vec();
        for mark in 1.. {
            let sketch = Sketch {
                author: liar,
                round: LED,
                parents: parents.clone(),
                late: Vec::new(),
                mark,
            };
            let twin = self.foundry.vertex(sketch);
            if twin.reference() < shown {
                self.made.add(twin);
                return;
            }
        }
    }

    fn build(&mut self, author: Author, round: Round, shown: &[VertexRef]) -> Option<VertexRef> {
        let machine = self.machines.get_mut(&author)?;
        for vertex in shown {
            if round > LED && machine.consensus.next_round() == Some(round) {
                break;
            }
            machine.show(*vertex, &self.made, &mut self.foundry);
        }
        if machine.consensus.next_round() != Some(round) {
            return None;
        }
        machine.build(author, &mut self.made, &mut self.foundry)
    }

    fn forge(
        &mut self,
        author: Author,
        round: Round,
        parents: &[VertexRef],
        mark: u64,
    ) -> VertexRef {
        let mut parents = parents.to_vec();
        parents.sort_by_key(|parent| parent.author);
        let late = Vec::new();
        self.made.add(self.foundry.vertex(Sketch { author, round, parents, late, mark }))
    }

    /// The first honest vertex of the decision round, which may be the only one that certifies a
    /// leader, reaches nobody until an anchor above is decided: its author is left behind, and the
    /// equivocators make up the quorum.
    fn hush(&mut self, decision: Round) {
        let silenced = self.ahead[0];
        let members: Vec<Author> =
            self.machines.keys().copied().filter(|author| *author != silenced).collect();
        let mut shown = self.ranked(decision, &[], None);
        shown.retain(|vertex| vertex.author != silenced);
        let mut round = decision.next();
        let last = decision.saturating_add(self.foundry.parameters().wave + 1);
        while round <= last {
            let mut next = Vec::new();
            for author in &members {
                let mut order = shown.clone();
                order.sort_by_key(|vertex| vertex.author != *author);
                next.extend(self.build(*author, round, &order));
            }
            for liar in self.liars.clone() {
                if shown.len() >= self.foundry.quorum() {
                    next.push(self.forge(liar, round, &shown, 0));
                }
            }
            shown = next;
            round = round.next();
        }
    }

    /// Everything arrives, and the honest validators go on for two waves. Gives who of the ambushed
    /// round is committed.
    fn behave(&mut self) -> BTreeSet<Author> {
        // Twice as many, for whoever has to come up first.
        let rounds = 4 * self.foundry.parameters().wave + 2;
        let mut news: Vec<VertexRef> = self.made.all().collect();
        for _ in 0..rounds {
            for machine in self.machines.values_mut() {
                for vertex in &news {
                    machine.show(*vertex, &self.made, &mut self.foundry);
                }
            }
            news.clear();
            for (author, machine) in &mut self.machines {
                news.extend(machine.build(*author, &mut self.made, &mut self.foundry));
            }
        }
        let told = self.machines.values().flat_map(|machine| &machine.told);
        let led = told.filter(|commit| commit.leader.round == LED);
        led.map(|commit| commit.leader.author).collect()
    }
}
