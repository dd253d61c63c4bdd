//! The real common coin, with the secrets of a test network.

use std::sync::Arc;
use std::vec::Vec;

use consensus::Consensus;
use consensus::Evidence;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use types::Author;
use types::Commit;
use types::Encode as _;
use types::Header;
use types::Payload;
use types::Round;
use types::Rules;
use types::TimestampMs;
use types::Unverified;
use types::Verified;
use types::Vertex;
use types::coin::CoinSignature;
use types::coin::verify_signature;
use types::test_utils::TestNetwork;

use crate::drawing::network;

const PARAMETERS: Parameters =
    Parameters { wave: 4, leaders_per_round: 2, gc_depth: 20, leaders: Leaders::Coin };

/// A machine with what has come out of it.
struct Node {
    machine: Consensus,
    outputs: Vec<Output>,
}

impl Node {
    fn new(network: &TestNetwork, own: Option<u16>) -> Self {
        let committee = Arc::clone(&network.committee);
        let machine = Consensus::new(committee, own.map(Author::new), PARAMETERS);
        Self { machine, outputs: Vec::new() }
    }

    fn insert(&mut self, vertex: &Verified<Vertex>) {
        self.machine.insert(vertex.clone());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push(output);
        }
    }

    /// Signs the next vertex with its share of the coin, which `falsify` takes from another round.
    fn build(&self, network: &TestNetwork, author: u16, falsify: bool) -> Verified<Vertex> {
        let round = self.machine.next_round().unwrap();
        let edges = self.machine.edges(round);
        let payload = Payload::default();
        let author = Author::new(author);
        let share_of = |due: Round| if falsify { due.next() } else { due };
        let header = Header {
            chain: *network.committee.chain(),
            epoch: network.committee.epoch(),
            author,
            round,
            parents: edges.parents,
            late: edges.late,
            coin_share: edges.coin_round.map(|due| network.coin_share(author, share_of(due))),
            payload_root: Payload::root(&payload.to_bytes()),
            payload_length: 4,
            timestamp: TimestampMs::new(round.value()),
        };
        network.sign(header, payload)
    }

    fn commits(&self) -> Vec<&Commit> {
        let commits = self.outputs.iter().filter_map(|output| match output {
            Output::Commit(ordered) => Some(&ordered.commit),
            _ => None,
        });
        commits.collect()
    }

    fn coins(&self) -> Vec<(Round, CoinSignature)> {
        let coins = self.outputs.iter().filter_map(|output| match output {
            Output::CoinRevealed { round, signature } => Some((*round, *signature)),
            _ => None,
        });
        coins.collect()
    }

    fn wrong_shares(&self) -> Vec<(Author, Round)> {
        let faults = self.outputs.iter().filter_map(|output| match output {
            Output::Fault(Evidence::WrongCoinShare { vertex, round }) => {
                Some((vertex.author(), *round))
            }
            _ => None,
        });
        faults.collect()
    }
}

/// Lets four validators build `rounds` in step; those named send wrong shares, first of all.
fn run(rounds: usize, liars: &[u16]) -> (Vec<Node>, Vec<Verified<Vertex>>) {
    let network = network(4);
    let mut nodes: Vec<Node> = (0..4).map(|own| Node::new(network, Some(own))).collect();
    let mut made = Vec::new();
    for _ in 0..rounds {
        let authors = liars.iter().copied().chain((0..4).filter(|own| !liars.contains(own)));
        let row: Vec<_> = authors
            .map(|own| nodes[usize::from(own)].build(network, own, liars.contains(&own)))
            .collect();
        for node in &mut nodes {
            for vertex in &row {
                node.insert(vertex);
            }
        }
        made.extend(row);
    }
    (nodes, made)
}

#[test]
fn the_coin_names_the_leaders_and_everybody_agrees() {
    let (nodes, made) = run(14, &[]);
    let network = network(4);
    for node in &nodes {
        assert_eq!(node.commits(), nodes[0].commits());
        assert_eq!(node.coins(), nodes[0].coins());
    }
    // Rounds 1 to 11 are decided at 4 to 14: every leader of them commits.
    assert_eq!(nodes[0].coins().len(), 11);
    assert_eq!(nodes[0].commits().len(), 22);
    assert_eq!(nodes[0].machine.decided_round(), Round::new(11));
    for (round, signature) in nodes[0].coins() {
        let message = network.committee.coin_message(round);
        verify_signature(&signature, &message, network.committee.coin_group()).unwrap();
        assert_eq!(nodes[0].machine.coin(round), Some(signature));
    }
    assert_eq!(nodes[0].machine.coin(Round::new(12)), None);
    // What the machines built is what others take.
    for vertex in &made {
        let decoded = Unverified::decode(vertex.encoded()).unwrap();
        decoded.verify(&network.committee, Rules { wave: PARAMETERS.wave }).unwrap();
    }
}

#[test]
fn a_wrong_share_is_proven_once_and_its_author_passed_over() {
    let (nodes, _) = run(10, &[2]);
    for node in &nodes {
        assert_eq!(node.wrong_shares(), [(Author::new(2), Round::new(1))]);
        assert_eq!(node.coins().len(), 7);
        assert_eq!(node.commits(), nodes[0].commits());
    }
    let (honest, _) = run(10, &[]);
    assert_eq!(nodes[0].coins(), honest[0].coins(), "the coin is the same whoever shares in it");
}

#[test]
fn one_share_reveals_nothing() {
    let (_, made) = run(4, &[]);
    let mut node = Node::new(network(4), None);
    for vertex in &made[..13] {
        node.insert(vertex);
    }
    assert_eq!(node.coins(), []);
    node.insert(&made[13]);
    assert_eq!(node.coins().len(), 1);
}

#[test]
fn shares_of_twins_count_once() {
    // Two vertices of one author carry the same share, which must not be combined with itself.
    let network = network(4);
    let (nodes, made) = run(3, &[]);
    let first = nodes[3].build(network, 3, false);
    let mut header = first.header().clone();
    header.timestamp = TimestampMs::new(99);
    let second = network.sign(header, Payload::default());
    let mut node = Node::new(network, None);
    for vertex in made.iter().chain([&first, &second]) {
        node.insert(vertex);
    }
    assert!(node.machine.contains(&second.reference()));
    assert_eq!((node.coins().len(), node.wrong_shares().len()), (0, 0));
    node.insert(&nodes[1].build(network, 1, false));
    assert_eq!((node.coins().len(), node.wrong_shares().len()), (1, 0));
}

#[test]
fn a_joiner_is_told_the_coin_and_believes_it_by_itself() {
    let (nodes, made) = run(8, &[]);
    let (round, signature) = nodes[0].coins()[0];
    assert_eq!(round, Round::new(1));
    let mut joiner = Node::new(network(4), None);
    assert!(!joiner.machine.reveal(Round::new(2), signature), "it is the coin of another round");
    assert!(joiner.machine.reveal(round, signature));
    assert!(joiner.machine.reveal(round, signature), "known");
    joiner.drain();
    assert_eq!(joiner.coins(), [(round, signature)]);
    for vertex in &made {
        joiner.insert(vertex);
    }
    assert_eq!(joiner.commits(), nodes[0].commits());
    assert_eq!(joiner.coins(), nodes[0].coins());
    // What is decided or far away is not looked for and not checked.
    assert!(joiner.machine.reveal(Round::new(1), signature));
    assert!(joiner.machine.reveal(Round::new(1_000_000), signature));
    assert_eq!(joiner.machine.coin(Round::new(1_000_000)), None);
}

#[test]
fn a_told_coin_alone_moves_what_was_waiting_for_it() {
    let (nodes, made) = run(8, &[]);
    let mut joiner = Node::new(network(4), None);
    // Strip the shares by holding back all but one vertex of the decision round, and tell the coin.
    for vertex in made.iter().filter(|vertex| vertex.round() < Round::new(4)) {
        joiner.insert(vertex);
    }
    for (round, signature) in nodes[0].coins() {
        assert!(joiner.machine.reveal(round, signature));
    }
    joiner.drain();
    assert_eq!(joiner.commits(), nodes[0].commits()[..0]);
    for vertex in made.iter().filter(|vertex| vertex.round() == Round::new(4)).take(3) {
        joiner.insert(vertex);
    }
    assert_eq!(joiner.commits(), nodes[0].commits()[..2]);
}

#[test]
fn a_restarted_machine_recovers_the_coins_it_needs() {
    let (nodes, made) = run(30, &[]);
    let line = nodes[0].machine.gc_round();
    let commits = nodes[0].commits();
    let kept = commits.len() - 6;
    let line_then = commits[kept - 1].leader.round.saturating_sub(PARAMETERS.gc_depth);
    let recent: Vec<Commit> = commits[..kept]
        .iter()
        .filter(|commit| commit.leader.round > line_then)
        .map(|commit| (*commit).clone())
        .collect();
    let committee = Arc::clone(&network(4).committee);
    let machine = Consensus::restore(committee, Some(Author::new(0)), PARAMETERS, &recent);
    let mut node = Node { machine, outputs: Vec::new() };
    for vertex in made.iter().filter(|vertex| vertex.round() > line_then) {
        node.insert(vertex);
    }
    assert_eq!(node.commits(), commits[kept..]);
    assert_eq!(node.machine.gc_round(), line);
    assert_eq!(node.machine.own_round(), Round::new(30));
}
