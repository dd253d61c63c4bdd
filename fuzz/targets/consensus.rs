//! A graph drawn by the fuzzer, played to two validators in different orders.
//!
//! Authors 0 to 2 make one vertex a round; author 3 may make as many as it likes, which is the one
//! fault that four validators bear. So whatever the graph and the orders are, the commits of one
//! validator begin with those of the other.
#![no_main]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use consensus::Consensus;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use fuzz::NETWORK;
use fuzz::RULES;
use libfuzzer_sys::fuzz_target;
use types::Author;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Header;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;

const FAULTY: Author = Author::new(3);
const VERTICES_MAX: usize = 160;

/// The vertices made so far, by round and author.
#[derive(Default)]
struct Graph(BTreeMap<Round, BTreeMap<Author, Vec<VertexRef>>>);

/// One stroke of the fuzzer's pencil.
struct Stroke {
    author: u8,
    parents: u8,
    late: u8,
    order: u8,
}

impl Graph {
    /// The edges of a vertex of `round`: one vertex an author, as the bits choose.
    fn parents(&self, round: Round, bits: u8) -> Vec<VertexRef> {
        let before = round.saturating_sub(1);
        let consensus = machine();
        if before == Round::ZERO {
            return consensus.edges(round).parents;
        }
        let authors = self.0.get(&before).into_iter().flatten();
        let chosen = authors.filter(|(author, twins)| {
            let wanted = bits & (1 << author.value()) != 0;
            wanted || twins.is_empty()
        });
        chosen.filter_map(|(_, twins)| pick(twins, bits >> 4)).collect()
    }

    fn late(&self, round: Round, bits: u8) -> Vec<VertexRef> {
        if bits & 1 == 0 {
            return Vec::new();
        }
        let depth = u64::from(bits >> 4).saturating_add(2);
        let Some(authors) = self.0.get(&round.saturating_sub(depth)) else { return Vec::new() };
        let author = Author::new(u16::from(bits >> 1) % 4);
        authors.get(&author).and_then(|twins| pick(twins, bits)).into_iter().collect()
    }

    fn draw(&mut self, stroke: &Stroke) -> Option<Verified<Vertex>> {
        let author = Author::new(u16::from(stroke.author) % 4);
        let own = self.0.iter().rev().find(|(_, authors)| authors.contains_key(&author));
        let last = own.map_or(Round::ZERO, |(round, _)| *round);
        let again = author == FAULTY && stroke.author & 0x80 != 0 && last != Round::ZERO;
        let round = if again { last } else { last.next() };
        let header = Header {
            chain: *NETWORK.committee.chain(),
            epoch: Epoch::ZERO,
            author,
            round,
            parents: self.parents(round, stroke.parents),
            late: self.late(round, stroke.late),
            coin_share: None,
            payload_root: Payload::root(&Payload::default().to_bytes()),
            payload_length: u32::try_from(Payload::default().encoded_length()).ok()?,
            timestamp: TimestampMs::new(u64::from(stroke.late)),
        };
        if header.parents.len() < NETWORK.committee.quorums().quorum() {
            return None;
        }
        let coin_share = header.coin_round(RULES).map(|coin| NETWORK.coin_share(author, coin));
        let header = Header { coin_share, ..header };
        let vertex = NETWORK.sign(header, Payload::default());
        let twins = self.0.entry(round).or_default().entry(author).or_default();
        twins.push(vertex.reference());
        Some(vertex)
    }
}

fn pick(twins: &[VertexRef], bits: u8) -> Option<VertexRef> {
    let position = usize::from(bits).checked_rem(twins.len())?;
    twins.get(position).copied()
}

fn machine() -> Consensus {
    let parameters =
        Parameters { wave: RULES.wave, leaders_per_round: 2, gc_depth: 24, leaders: Leaders::Coin };
    Consensus::new(Arc::clone(&NETWORK.committee), None, parameters)
}

/// Plays vertices and gives the digests of the commits.
fn play(vertices: impl IntoIterator<Item = Verified<Vertex>>) -> Vec<Digest> {
    let mut consensus = machine();
    let mut commits = Vec::new();
    let mut ordered = BTreeSet::new();
    for vertex in vertices {
        consensus.insert(vertex);
        while let Some(output) = consensus.poll_output() {
            match output {
                Output::Commit(commit) => {
                    for vertex in &commit.commit.vertices {
                        assert!(ordered.insert(*vertex), "a vertex is ordered once");
                    }
                    commits.push(commit.commit.digest());
                }
                Output::Alarm(alarm) => panic!("one fault raised the alarm: {alarm:?}"),
                _ => {}
            }
        }
    }
    commits
}

fuzz_target!(|bytes: &[u8]| {
    let mut graph = Graph::default();
    let mut drawn = Vec::new();
    let mut shuffled = VecDeque::new();
    for bytes in bytes.chunks_exact(4).take(VERTICES_MAX) {
        let [author, parents, late, order] = *bytes else { continue };
        let stroke = Stroke { author, parents, late, order };
        let Some(vertex) = graph.draw(&stroke) else { continue };
        drawn.push(vertex.clone());
        let place = usize::from(stroke.order).checked_rem(shuffled.len() + 1).unwrap_or(0);
        shuffled.insert(place, vertex);
    }
    let (first, second) = (play(drawn), play(shuffled));
    let common = first.len().min(second.len());
    assert_eq!(first[..common], second[..common], "two validators disagree");
});
