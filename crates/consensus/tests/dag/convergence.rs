//! Two machines that hold the same agree, whatever came first; of two that hold different parts one
//! agrees with the beginning of the other; and all agree with the letter of the rule.

use std::sync::Arc;
use std::vec::Vec;

use consensus::Consensus;
use consensus::ForcedLeaders;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Committee;
use types::Digest;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::drawing::network;
use crate::oracle::Oracle;
use crate::random::Shape;
use crate::random::draw;
use crate::random::part;

type Commits = Vec<(VertexRef, Vec<VertexRef>)>;

struct Case {
    committee: Arc<Committee>,
    parameters: Parameters,
    forced: ForcedLeaders,
    vertices: Vec<Verified<Vertex>>,
    random: ChaCha8Rng,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let validators = [4, 5, 7][random.random_range(0..3)];
        let committee = Arc::clone(&network(validators).committee);
        let faults = committee.quorums().faults();
        let shape = Shape {
            rounds: random.random_range(8..=26),
            equivocators: random.random_range(0..=faults),
            absent: random.random_range(0..=40),
            narrow: random.random_range(0..=100),
        };
        let parameters = Parameters {
            wave: random.random_range(4..=5),
            leaders_per_round: random.random_range(1..=3),
            gc_depth: if random.random_ratio(1, 2) { random.random_range(5..=8) } else { 500 },
            leaders: Leaders::Coin,
        };
        let seed_of_leaders = Digest::new([random.random(); 32]);
        let forced = ForcedLeaders { seed: seed_of_leaders, ..ForcedLeaders::default() };
        let vertices = draw(seed, &committee, shape);
        Self { committee, parameters, forced, vertices, random }
    }

    fn play(&self, vertices: &[Verified<Vertex>]) -> Commits {
        let machine = Consensus::new(Arc::clone(&self.committee), None, self.parameters);
        let mut machine = machine.with_forced_leaders(self.forced.clone());
        let mut commits = Vec::new();
        for vertex in vertices {
            machine.insert(vertex.clone());
            while let Some(output) = machine.poll_output() {
                match output {
                    Output::Commit(ordered) => {
                        commits.push((ordered.commit.leader, ordered.commit.vertices));
                    }
                    Output::Alarm(alarm) => panic!("{alarm:?}"),
                    _ => {}
                }
            }
        }
        assert_eq!(machine.missing().count(), 0);
        commits
    }

    fn oracle(&self, vertices: &[Verified<Vertex>]) -> Commits {
        let quorums = self.committee.quorums();
        Oracle::new(quorums, self.parameters, &self.forced, vertices).commits()
    }
}

#[test]
fn any_order_of_arrival_gives_what_the_rule_says() {
    let mut committed = 0;
    for seed in 0..150 {
        let mut case = Case::new(seed);
        let expected = case.oracle(&case.vertices);
        committed += expected.len();
        let mut shuffled = case.vertices.clone();
        assert_eq!(case.play(&shuffled), expected, "seed {seed}, as drawn");
        for shuffle in 0..3 {
            shuffled.shuffle(&mut case.random);
            assert_eq!(case.play(&shuffled), expected, "seed {seed}, shuffle {shuffle}");
        }
    }
    assert!(committed > 1_500, "the cases commit something: {committed}");
}

#[test]
fn of_two_that_hold_different_parts_one_is_the_beginning_of_the_other() {
    let mut shorter = 0;
    for seed in 1_000..1_100 {
        let mut case = Case::new(seed);
        let whole = case.oracle(&case.vertices);
        for _ in 0..4 {
            let mut part = part(&case.vertices, &mut case.random);
            part.shuffle(&mut case.random);
            let commits = case.play(&part);
            assert_eq!(commits, case.oracle(&part), "seed {seed}");
            assert_eq!(commits[..], whole[..commits.len()], "seed {seed}");
            shorter += usize::from(commits.len() < whole.len());
        }
    }
    assert!(shorter > 100, "the parts lack something: {shorter}");
}

#[test]
fn nothing_is_ordered_twice_and_no_slot_of_an_author_has_two_vertices() {
    for seed in 2_000..2_050 {
        let case = Case::new(seed);
        let mut places: Vec<_> = case
            .play(&case.vertices)
            .into_iter()
            .flat_map(|(_, vertices)| vertices)
            .map(|vertex| (vertex.round, vertex.author))
            .collect();
        let count = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), count, "seed {seed}");
    }
}
