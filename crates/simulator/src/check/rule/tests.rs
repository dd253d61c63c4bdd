use types::CommitIndex;
use types::TimestampMs;
use types::test_utils::TestNetwork;

use super::*;
use crate::check::drawing;

/// The rounds of the graphs here: the leaders of the first four are decided.
const ROUNDS: u64 = 8;

/// A graph of four authors; `hidden` says of an author and round whom its vertex has no parent of.
struct Drawn {
    network: TestNetwork,
    rows: Vec<Vec<VertexRef>>,
    vertices: BTreeMap<VertexRef, Verified<Vertex>>,
}

fn drawn(hidden: impl Fn(u16, u64) -> Option<u16>) -> Drawn {
    let network = TestNetwork::new(4);
    let mut drawn = Drawn { network, rows: Vec::new(), vertices: BTreeMap::new() };
    for round in 1..=ROUNDS {
        let mut row = Vec::new();
        for author in 0..4 {
            let vertex = match drawn.rows.last() {
                None => drawing::first(&drawn.network, author, 0),
                Some(row) => {
                    let without = hidden(author, round).map(Author::new);
                    let parents = row.iter().filter(|parent| Some(parent.author) != without);
                    drawing::vertex(&drawn.network, author, parents.copied().collect(), 0)
                }
            };
            row.push(vertex.reference());
            drawn.vertices.insert(vertex.reference(), vertex);
        }
        drawn.rows.push(row);
    }
    drawn
}

fn parameters() -> Parameters {
    Parameters { quorums: Quorums::new(4), wave: 5, slots: 1, gc_depth: 500 }
}

/// Round r is led by author r mod 4.
fn turns() -> BTreeMap<Round, Vec<Author>> {
    let author = |round: u64| Author::new(u16::try_from(round % 4).unwrap());
    (1..=ROUNDS).map(|round| (Round::new(round), vec![author(round)])).collect()
}

fn commit(index: u64, leader: VertexRef, vertices: Vec<VertexRef>) -> Commit {
    Commit {
        index: CommitIndex::new(index),
        previous: Digest::ZERO,
        leader,
        slot: 0,
        vertices,
        timestamp: TimestampMs::ZERO,
    }
}

fn refused(drawn: &Drawn, told: &[Commit], word: &str) {
    let violation = check(parameters(), &drawn.vertices, &turns(), told).unwrap_err();
    assert!(violation.0.contains(word), "{violation:?}");
}

/// What everybody tells of the whole graph: each leader with the round below and itself.
fn all_commits(drawn: &Drawn) -> Vec<Commit> {
    let leader = |round: usize| drawn.rows[round - 1][round % 4];
    let mut told = vec![commit(1, leader(1), vec![leader(1)])];
    for round in 2..=4 {
        let mut vertices = drawn.rows[round - 2].clone();
        vertices.retain(|vertex| *vertex != leader(round - 1));
        vertices.push(leader(round));
        told.push(commit(u64::try_from(round).unwrap(), leader(round), vertices));
    }
    told
}

#[test]
fn in_a_full_graph_every_leader_commits_and_whoever_knows_less_tells_a_beginning() {
    let drawn = drawn(|_, _| None);
    let told = all_commits(&drawn);
    for count in 0..=told.len() {
        check(parameters(), &drawn.vertices, &turns(), &told[..count]).unwrap();
    }
}

#[test]
fn another_leader_others_in_it_and_one_too_many_are_noticed() {
    let drawn = drawn(|_, _| None);
    let told = all_commits(&drawn);
    let mut bad = told.clone();
    bad[1] = told[2].clone();
    refused(&drawn, &bad, "told was");
    let mut bad = told.clone();
    bad[2].vertices.remove(0);
    refused(&drawn, &bad, "orders other vertices");
    let mut bad = told.clone();
    bad[0].slot = 1;
    refused(&drawn, &bad, "told was");
    let next = drawn.rows[4][1];
    let bad = [told, vec![commit(5, next, vec![next])]].concat();
    refused(&drawn, &bad, "does not follow");
}

#[test]
fn a_leader_that_nobody_votes_for_is_skipped_and_whoever_commits_it_is_noticed() {
    // Nobody but author 2 itself builds on its vertex of round 2, and its own next one is hidden, too.
    let drawn = drawn(|author, round| match (author, round) {
        (2, _) => None,
        (_, 3..=5) => Some(2),
        _ => None,
    });
    let told = all_commits(&drawn);
    refused(&drawn, &told, "told was");
    let leader = drawn.rows[2][3];
    let mut ordered = drawn.rows[0].clone();
    ordered.retain(|vertex| vertex.author != Author::new(1));
    ordered.extend(drawn.rows[1].iter().filter(|vertex| vertex.author != Author::new(2)));
    ordered.push(leader);
    check(parameters(), &drawn.vertices, &turns(), &[told[0].clone(), commit(2, leader, ordered)])
        .unwrap();
}

#[test]
fn a_coin_that_nobody_knows_holds_everything_back() {
    let drawn = drawn(|_, _| None);
    let mut leaders = turns();
    leaders.remove(&Round::new(2));
    let told = all_commits(&drawn);
    check(parameters(), &drawn.vertices, &leaders, &told[..1]).unwrap();
    assert!(check(parameters(), &drawn.vertices, &leaders, &told[..2]).is_err());
}

#[test]
fn what_lies_below_the_line_is_not_ordered() {
    let drawn = drawn(|_, _| None);
    let shallow = Parameters { gc_depth: 1, ..parameters() };
    let told = all_commits(&drawn);
    assert!(check(shallow, &drawn.vertices, &turns(), &told).is_err());
    let leader = |round: usize| drawn.rows[round - 1][round % 4];
    let above =
        |round: usize| commit(u64::try_from(round).unwrap(), leader(round), vec![leader(round)]);
    let told: Vec<Commit> = (1..=4).map(above).collect();
    check(shallow, &drawn.vertices, &turns(), &told).unwrap();
}

#[test]
fn the_draw_agrees_with_the_frozen_one() {
    for line in include_str!("../../../../consensus/vectors/leaders.txt").lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [seed, validators, slots, drawn] = fields.as_slice() else { panic!("{line}") };
        let seed = seed.parse().unwrap();
        let named = leaders(&seed, validators.parse().unwrap(), slots.parse().unwrap());
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        assert_eq!(named.join(","), *drawn, "{line}");
    }
}

#[test]
fn the_seed_is_that_of_the_coin() {
    let network = TestNetwork::new(1);
    let round = Round::new(3);
    let share = network.coin_share(Author::ZERO, round);
    let coin = CoinSignature::new(*share.as_bytes());
    let epoch = network.committee.epoch();
    assert_eq!(seed(epoch, round, &coin), types::coin::coin_seed(epoch, round, &coin));
}
