//! Machines that build on each other's vertices, through a network that delays, reorders and lies.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::vec::Vec;

use consensus::Consensus;
use consensus::Edges;
use consensus::Evidence;
use consensus::ForcedLeaders;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Commit;
use types::Committee;
use types::Digest;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::drawing::Sketch;
use crate::drawing::network;

/// One validator: its machine and what it has stored.
struct Node {
    own: Author,
    machine: Consensus,
    inbox: Vec<Verified<Vertex>>,
    /// Everything that was ever inserted, in that order.
    inserted: Vec<Verified<Vertex>>,
    accepted: Vec<Verified<Vertex>>,
    commits: Vec<Commit>,
    unordered: Vec<VertexRef>,
    /// Authors whose equivocation was proven, as it is stored.
    proven: BTreeSet<Author>,
}

struct World {
    committee: Arc<Committee>,
    parameters: Parameters,
    forced: ForcedLeaders,
    nodes: Vec<Node>,
    made: BTreeMap<VertexRef, Verified<Vertex>>,
    /// Authors below this one send different vertices to different validators.
    equivocators: u16,
    random: ChaCha8Rng,
}

impl World {
    fn new(seed: u64, validators: usize, equivocators: u16, gc_depth: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let committee = Arc::clone(&network(validators).committee);
        let parameters = Parameters {
            wave: random.random_range(4..=5),
            leaders_per_round: random.random_range(1..=2),
            gc_depth,
            leaders: Leaders::Coin,
        };
        let seed = Digest::new([random.random(); 32]);
        let forced = ForcedLeaders { seed, ..ForcedLeaders::default() };
        let nodes = committee.authors().map(|own| Node {
            own,
            machine: Consensus::new(Arc::clone(&committee), Some(own), parameters)
                .with_forced_leaders(forced.clone()),
            inbox: Vec::new(),
            inserted: Vec::new(),
            accepted: Vec::new(),
            commits: Vec::new(),
            unordered: Vec::new(),
            proven: BTreeSet::new(),
        });
        let nodes = nodes.collect();
        let made = BTreeMap::new();
        Self { committee, parameters, forced, nodes, made, equivocators, random }
    }

    /// Lets everybody build and receive at random until `rounds` are reached; `slow` receives
    /// seldom. Then delivers all that was sent.
    fn run(&mut self, rounds: u64, slow: Option<usize>, mut after: impl FnMut(&mut Self, usize)) {
        let mut left = 40_000;
        while self.nodes.iter().all(|node| node.machine.highest_round() < Round::new(rounds)) {
            left -= 1;
            assert!(left > 0, "the network stands still");
            let index = self.random.random_range(0..self.nodes.len());
            if slow == Some(index) && !self.random.random_ratio(1, 12) {
                continue;
            }
            self.build(index);
            for _ in 0..self.random.random_range(0..8) {
                self.receive(index);
            }
            after(self, index);
        }
        for index in 0..self.nodes.len() {
            while self.receive(index) {}
            after(self, index);
        }
    }

    /// Lets everybody build in step, with everything delivered between.
    fn run_in_step(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for index in 0..self.nodes.len() {
                while self.receive(index) {}
            }
            for index in 0..self.nodes.len() {
                self.build(index);
            }
        }
    }

    fn build(&mut self, index: usize) {
        let node = &self.nodes[index];
        let Some(round) = node.machine.next_round() else { return };
        let edges = node.machine.edges(round);
        let equivocates = node.own.value() < self.equivocators;
        let honest = self.make(index, round, &edges, 0);
        self.insert(index, honest.clone());
        let mut twins = Vec::from([honest]);
        if equivocates {
            for twin in 1..=self.random.random_range(0..=2) {
                let mut edges = edges.clone();
                let quorum = self.committee.quorums().quorum();
                while edges.parents.len() > quorum {
                    let left_out = self.random.random_range(0..edges.parents.len());
                    edges.parents.remove(left_out);
                }
                twins.push(self.make(index, round, &edges, twin));
            }
        }
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            let sent = &twins[self.random.random_range(0..twins.len())];
            self.nodes[other].inbox.push(sent.clone());
        }
    }

    fn make(&mut self, index: usize, round: Round, edges: &Edges, twin: u64) -> Verified<Vertex> {
        let sketch = Sketch {
            author: self.nodes[index].own.value(),
            round: round.value(),
            parents: edges.parents.clone(),
            late: edges.late.clone(),
            timestamp: round.value() * 10 + twin,
            filled: self.random.random_ratio(1, 2),
        };
        let vertex = sketch.vertex(&self.committee);
        self.made.insert(vertex.reference(), vertex.clone());
        vertex
    }

    fn receive(&mut self, index: usize) -> bool {
        let node = &mut self.nodes[index];
        if node.inbox.is_empty() {
            return false;
        }
        let chosen = self.random.random_range(0..node.inbox.len());
        let vertex = node.inbox.swap_remove(chosen);
        if node.machine.wants(&vertex.reference()) {
            self.insert(index, vertex);
        }
        true
    }

    fn insert(&mut self, index: usize, vertex: Verified<Vertex>) {
        let node = &mut self.nodes[index];
        node.inserted.push(vertex.clone());
        node.machine.insert(vertex);
        self.drain(index);
    }

    /// Persists what comes out and fetches what is missing.
    fn drain(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        while let Some(output) = node.machine.poll_output() {
            match output {
                Output::Accepted(vertex) => node.accepted.push(vertex),
                Output::Commit(ordered) => node.commits.push(ordered.commit),
                Output::Missing { missing, .. } => {
                    node.inbox.extend(missing.iter().map(|missing| self.made[missing].clone()));
                }
                Output::Unordered(vertex) => node.unordered.push(vertex.reference()),
                Output::Alarm(alarm) => panic!("{alarm:?}"),
                Output::Fault(Evidence::Equivocation { first, .. }) => {
                    node.proven.insert(first.author());
                }
                Output::Refused { .. }
                | Output::CoinDue(_)
                | Output::CoinRevealed { .. }
                | Output::Fault(_) => {}
            }
        }
    }

    /// A machine that starts from what node `index` has stored.
    fn restarted(&self, index: usize) -> Consensus {
        let node = &self.nodes[index];
        let last = node.commits.last().map_or(Round::ZERO, |last| last.leader.round);
        let line = last.saturating_sub(self.parameters.gc_depth);
        let recent: Vec<Commit> =
            node.commits.iter().filter(|commit| commit.leader.round > line).cloned().collect();
        let committee = Arc::clone(&self.committee);
        let mut machine = Consensus::restore(committee, Some(node.own), self.parameters, &recent)
            .with_forced_leaders(self.forced.clone());
        node.proven.iter().for_each(|author| machine.leave_out(*author));
        machine
    }

    /// Stops node `index` and starts it again; what waited was not stored and arrives again.
    fn restart(&mut self, index: usize) {
        let machine = self.restarted(index);
        let before = core::mem::replace(&mut self.nodes[index].machine, machine);
        let inserted = self.nodes[index].inserted.iter();
        let waited: Vec<_> =
            inserted.filter(|vertex| before.is_suspended(&vertex.reference())).cloned().collect();
        let line = self.nodes[index].machine.gc_round();
        let stored = core::mem::take(&mut self.nodes[index].accepted);
        for vertex in stored.into_iter().filter(|vertex| vertex.round() > line) {
            self.nodes[index].machine.insert(vertex);
            self.drain(index);
        }
        for vertex in waited {
            self.nodes[index].machine.insert(vertex);
            self.drain(index);
        }
        // What was fetched while the store was read is there by now.
        let Node { machine, inbox, .. } = &mut self.nodes[index];
        inbox.sort_by_key(|vertex| vertex.reference());
        inbox.dedup();
        inbox.retain(|vertex| !machine.contains(&vertex.reference()));
    }

    fn assert_agreement(&self) {
        let longest = self.nodes.iter().max_by_key(|node| node.commits.len()).unwrap();
        for node in &self.nodes {
            let commits = &node.commits[..];
            assert_eq!(commits, &longest.commits[..commits.len()], "{:?}", node.own);
            let mut previous = Digest::ZERO;
            for (commit, index) in commits.iter().zip(1..) {
                assert_eq!((commit.index.value(), commit.previous), (index, previous));
                previous = commit.digest();
            }
            assert_eq!(node.machine.last_commit().1, previous);
        }
    }
}

#[test]
fn everybody_commits_the_same_and_leaves_nothing_behind() {
    for seed in 0..24 {
        let validators = [4, 5, 7][usize::try_from(seed % 3).unwrap()];
        let faults = network(validators).committee.quorums().faults();
        let equivocators = u16::try_from(seed % 2).unwrap() * faults;
        let mut world = World::new(seed, validators, equivocators, 500);
        let slow = (seed % 4 == 0).then_some(validators - 1);
        world.run(50, slow, |_, _| {});
        world.assert_agreement();
        let longest = world.nodes.iter().max_by_key(|node| node.commits.len()).unwrap();
        assert!(longest.commits.len() > 15, "seed {seed}: {}", longest.commits.len());
        // Once delays end, everything that an honest validator ever made is ordered.
        let made: Vec<VertexRef> = world.made.keys().copied().collect();
        world.run_in_step(16);
        world.assert_agreement();
        let ordered: BTreeSet<VertexRef> =
            world.nodes[0].commits.iter().flat_map(|commit| commit.vertices.clone()).collect();
        for vertex in made.iter().filter(|vertex| vertex.author.value() >= equivocators) {
            assert!(ordered.contains(vertex), "seed {seed}: {vertex} is lost");
        }
    }
}

#[test]
fn what_falls_to_the_line_unordered_comes_back_to_its_author_once() {
    let mut returned = 0;
    for seed in 100..112 {
        let mut world = World::new(seed, 4, 0, 6);
        world.run(60, Some(3), |_, _| {});
        world.assert_agreement();
        let longest = world.nodes.iter().max_by_key(|node| node.commits.len()).unwrap();
        let ordered: BTreeSet<VertexRef> =
            longest.commits.iter().flat_map(|commit| commit.vertices.iter().copied()).collect();
        for node in &world.nodes {
            let line = node.machine.gc_round();
            let own = world.made.keys().filter(|v| v.author == node.own && v.round <= line);
            let lost: Vec<VertexRef> = own.filter(|v| !ordered.contains(v)).copied().collect();
            assert_eq!(node.unordered, lost, "seed {seed}");
            returned += lost.len();
        }
    }
    assert!(returned > 10, "some vertices come too late: {returned}");
}

#[test]
fn a_restarted_machine_goes_on_as_one_that_never_stopped() {
    for seed in 200..216 {
        let gc_depth = if seed % 2 == 0 { 500 } else { 8 };
        let mut world = World::new(seed, 4, u16::try_from(seed % 3 / 2).unwrap(), gc_depth);
        // Node 3 is restarted after every step; its twin is given the same and never stops.
        let mut twin = world.nodes[3].machine.clone();
        let mut given = 0;
        let mut commits = Vec::new();
        world.run(40, None, |world, index| {
            if index != 3 {
                return;
            }
            for vertex in &world.nodes[3].inserted[given..] {
                twin.insert(vertex.clone());
            }
            given = world.nodes[3].inserted.len();
            while let Some(output) = twin.poll_output() {
                if let Output::Commit(ordered) = output {
                    commits.push(ordered.commit);
                }
            }
            world.restart(3);
            let node = &world.nodes[3];
            assert_eq!(node.commits, commits, "seed {seed}");
            assert_same(&node.machine, &twin, seed);
        });
        world.assert_agreement();
        assert!(commits.len() > 15, "seed {seed}: {}", commits.len());
    }
}

fn assert_same(restarted: &Consensus, twin: &Consensus, seed: u64) {
    assert_eq!(restarted.last_commit(), twin.last_commit(), "seed {seed}");
    assert_eq!(restarted.gc_round(), twin.gc_round(), "seed {seed}");
    assert_eq!(restarted.decided_round(), twin.decided_round(), "seed {seed}");
    assert_eq!(restarted.highest_round(), twin.highest_round(), "seed {seed}");
    assert_eq!(restarted.has_undecided_payload(), twin.has_undecided_payload(), "seed {seed}");
    assert!(restarted.missing().eq(twin.missing()), "seed {seed}");
    assert_eq!(restarted.next_round(), twin.next_round(), "seed {seed}");
    if let Some(round) = twin.next_round() {
        assert_eq!(restarted.edges(round), twin.edges(round), "seed {seed}");
    }
}

#[test]
fn stored_vertices_may_come_back_in_any_order() {
    for seed in 300..312 {
        let mut world = World::new(seed, 4, 1, 10);
        let mut steps = 0;
        world.run(40, None, |world, index| {
            steps += 1;
            if steps % 7 == 0 {
                let (nodes, random) = (&mut world.nodes, &mut world.random);
                nodes[index].accepted.shuffle(random);
                world.restart(index);
            }
        });
        world.assert_agreement();
        let longest = world.nodes.iter().map(|node| node.commits.len()).max().unwrap();
        assert!(longest > 15, "seed {seed}: {longest}");
    }
}

/// How many vertices of an author and round an honest node holds above the garbage line, on the
/// average, when the author equivocates in every round: one as for everybody, and what little came
/// in before it was found out.
const HELD_OF_AN_EQUIVOCATOR_MAX: f64 = 1.1;

#[test]
fn equivocators_that_feed_each_other_s_twins_are_left_out_and_the_rest_goes_on() {
    for seed in 400..404 {
        let mut world = World::new(seed, 7, 2, 30);
        world.run(120, None, |world, index| {
            let machine = &world.nodes[index].machine;
            let honest = world.committee.authors().skip(2);
            assert!(honest.into_iter().all(|author| !machine.is_left_out(author)));
        });
        world.assert_agreement();
        for node in &world.nodes[2..] {
            assert!((0..2).all(|author| node.machine.is_left_out(Author::new(author))));
            let (line, top) = (node.machine.gc_round(), node.machine.highest_round());
            let mut held = 0_usize;
            let mut round = line.next();
            while round <= top {
                let vertices = node.machine.vertices_at(round);
                held += vertices.filter(|vertex| vertex.author().value() < 2).count();
                round = round.next();
            }
            let rounds = u32::try_from(top.distance_from(line)).unwrap();
            let limit = HELD_OF_AN_EQUIVOCATOR_MAX * 2.0 * f64::from(rounds);
            assert!(u32::try_from(held).is_ok_and(|held| f64::from(held) <= limit), "{held}");
            assert!(node.commits.len() > 40, "seed {seed}: {}", node.commits.len());
        }
        let made = world.made.keys().filter(|vertex| vertex.author.value() < 2).count();
        assert!(made > 300, "seed {seed}: the equivocators made {made}");
    }
}
