//! Random DAGs with up to f equivocators, made without the machine under test.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::vec::Vec;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use types::Author;
use types::Committee;
use types::Verified;
use types::Vertex;
use types::VertexRef;

use crate::drawing::Sketch;

/// What a random DAG looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) rounds: u64,
    /// How many authors make twins: at most f.
    pub(crate) equivocators: u16,
    /// How likely an author sits a round out, in percent.
    pub(crate) absent: u32,
    /// How likely a vertex takes no more parents than it must, in percent.
    pub(crate) narrow: u32,
}

/// Draws the DAG of a seed, in an order in which everything comes after what it refers to.
pub(crate) fn draw(seed: u64, committee: &Committee, shape: Shape) -> Vec<Verified<Vertex>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let quorum = committee.quorums().quorum();
    let mut dag = Growing::new(committee);
    for round in 1..=shape.rounds {
        let mut present: Vec<Author> = committee.authors().collect();
        present.shuffle(&mut random);
        let mut left = present.len();
        present.retain(|_| {
            let stays = left <= quorum || !random.random_ratio(shape.absent, 100);
            left -= usize::from(!stays);
            stays
        });
        for author in present {
            let equivocates = author.value() < shape.equivocators;
            let twins = if equivocates { random.random_range(1..=3) } else { 1 };
            for twin in 0..twins {
                let narrow = random.random_ratio(shape.narrow, 100);
                let parents = dag.parents(round, author, narrow, quorum, &mut random);
                let late = dag.late(round, author, &mut random);
                let sketch = Sketch {
                    author: author.value(),
                    round,
                    parents,
                    late,
                    timestamp: round * 100 + twin,
                    filled: random.random_ratio(1, 3),
                };
                dag.vertices.push(sketch.vertex(committee));
            }
        }
        dag.end_round(round);
    }
    dag.vertices
}

/// The vertices of `vertices` that a random few of them lead to.
pub(crate) fn part(
    vertices: &[Verified<Vertex>],
    random: &mut ChaCha8Rng,
) -> Vec<Verified<Vertex>> {
    let by_reference: BTreeMap<_, _> = vertices.iter().map(|v| (v.reference(), v)).collect();
    let tips = random.random_range(1..=vertices.len());
    let start = vertices[tips.saturating_sub(9)..tips].sample(random, 5);
    let mut walk: Vec<VertexRef> = start.map(|vertex| vertex.reference()).collect();
    let mut reached = BTreeSet::new();
    while let Some(reference) = walk.pop() {
        if let Some(vertex) = by_reference.get(&reference)
            && reached.insert(reference)
        {
            walk.extend(vertex.header().parents.iter().chain(&vertex.header().late));
        }
    }
    vertices.iter().filter(|vertex| reached.contains(&vertex.reference())).cloned().collect()
}

struct Growing {
    vertices: Vec<Verified<Vertex>>,
    /// The vertices of finished rounds, by round and author.
    rounds: BTreeMap<u64, BTreeMap<Author, Vec<VertexRef>>>,
    last: BTreeMap<Author, VertexRef>,
}

impl Growing {
    fn new(committee: &Committee) -> Self {
        let first = committee.authors().map(|author| {
            let (chain, epoch) = (committee.chain(), committee.epoch());
            (author, Vec::from([VertexRef::genesis(chain, epoch, author)]))
        });
        let rounds = BTreeMap::from([(0, first.collect())]);
        Self { vertices: Vec::new(), rounds, last: BTreeMap::new() }
    }

    fn end_round(&mut self, round: u64) {
        let mut ended: BTreeMap<Author, Vec<VertexRef>> = BTreeMap::new();
        for vertex in self.vertices.iter().filter(|vertex| vertex.round().value() == round) {
            ended.entry(vertex.author()).or_default().push(vertex.reference());
            self.last.insert(vertex.author(), vertex.reference());
        }
        self.rounds.insert(round, ended);
    }

    fn parents(
        &self,
        round: u64,
        author: Author,
        narrow: bool,
        quorum: usize,
        random: &mut ChaCha8Rng,
    ) -> Vec<VertexRef> {
        let before = &self.rounds[&(round - 1)];
        let mut chosen: Vec<VertexRef> =
            before.values().map(|twins| *twins.choose(random).unwrap()).collect();
        chosen.shuffle(random);
        chosen.sort_by_key(|parent| parent.author != author);
        let most = if narrow { quorum } else { random.random_range(quorum..=before.len()) };
        chosen.truncate(most);
        chosen.sort();
        chosen
    }

    fn late(&self, round: u64, author: Author, random: &mut ChaCha8Rng) -> Vec<VertexRef> {
        let mut late = BTreeMap::new();
        for (_, row) in self.rounds.range(1..(round - 1).max(1)) {
            for (other, twins) in row {
                if random.random_ratio(1, 12) {
                    late.insert(*other, *twins.choose(random).unwrap());
                }
            }
        }
        if let Some(last) = self.last.get(&author).filter(|last| last.round.value() + 1 < round) {
            late.insert(author, *last);
        }
        late.into_values().collect()
    }
}
