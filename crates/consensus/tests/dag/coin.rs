//! The real common coin, with the secrets of a test network.

use std::sync::Arc;
use std::vec::Vec;

use consensus::COIN_TASKS_MAX;
use consensus::CoinTask;
use consensus::Consensus;
use consensus::Evidence;
use consensus::Leaders;
use consensus::Output;
use consensus::Parameters;
use consensus::VerifiedCoin;
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
use types::coin::recover;
use types::coin::verify_signature;
use types::test_utils::TestNetwork;

use crate::drawing::network;

const PARAMETERS: Parameters =
    Parameters { wave: 4, leaders_per_round: 2, gc_depth: 20, leaders: Leaders::Coin };

/// A machine with what has come out of it.
struct Node {
    machine: Consensus,
    outputs: Vec<Output>,
    /// Tasks that are out, when they are not run at once.
    held: Option<Vec<CoinTask>>,
}

impl Node {
    fn new(network: &TestNetwork, own: Option<u16>) -> Self {
        let committee = Arc::clone(&network.committee);
        let machine = Consensus::new(committee, own.map(Author::new), PARAMETERS);
        Self { machine, outputs: Vec::new(), held: None }
    }

    /// One that runs no task before [`Self::finish`] does.
    fn holding() -> Self {
        Self { held: Some(Vec::new()), ..Self::new(network(4), None) }
    }

    /// The rounds of the tasks that are out.
    fn held(&self) -> Vec<u64> {
        self.held.iter().flatten().map(|task| task.round().value()).collect()
    }

    /// Runs the task of a round that is out.
    fn finish(&mut self, round: u64) {
        let held = self.held.as_mut().unwrap();
        let place = held.iter().position(|task| task.round() == Round::new(round)).unwrap();
        let task = held.remove(place);
        self.machine.coin_done(task.run(&network(4).committee));
        self.drain();
    }

    fn reveal(&mut self, (round, signature): (Round, CoinSignature)) {
        let coin = VerifiedCoin::verify(round, signature, &network(4).committee).unwrap();
        self.machine.reveal(coin);
        self.drain();
    }

    fn insert(&mut self, vertex: &Verified<Vertex>) {
        self.machine.insert(vertex.clone());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match (output, &mut self.held) {
                (Output::CoinDue(task), Some(held)) => held.push(task),
                (Output::CoinDue(task), None) => {
                    self.machine.coin_done(task.run(&network(4).committee));
                }
                (output, _) => self.outputs.push(output),
            }
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

/// The common coin of a round, from the shares of two validators.
fn coin_of(round: Round) -> CoinSignature {
    let network = network(4);
    let shares = [0, 3].map(Author::new).map(|author| (author, network.coin_share(author, round)));
    let message = network.committee.coin_message(round);
    recover(&shares, &message, network.committee.coin_group()).unwrap()
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
    let other = VerifiedCoin::verify(Round::new(2), signature, &network(4).committee);
    assert!(other.is_err(), "it is the coin of another round");
    joiner.reveal((round, signature));
    joiner.reveal((round, signature));
    assert_eq!(joiner.coins(), [(round, signature)]);
    for vertex in &made {
        joiner.insert(vertex);
    }
    assert_eq!(joiner.commits(), nodes[0].commits());
    assert_eq!(joiner.coins(), nodes[0].coins());
    // What is decided or far away is not looked for.
    joiner.reveal((round, signature));
    let far = Round::new(1_000_000);
    joiner.reveal((far, coin_of(far)));
    assert_eq!(joiner.machine.coin(far), None);
    assert_eq!(joiner.coins(), nodes[0].coins());
}

#[test]
fn a_told_coin_alone_moves_what_was_waiting_for_it() {
    let (nodes, made) = run(8, &[]);
    let mut joiner = Node::new(network(4), None);
    // Strip the shares by holding back all but one vertex of the decision round, and tell the coin.
    for vertex in made.iter().filter(|vertex| vertex.round() < Round::new(4)) {
        joiner.insert(vertex);
    }
    for coin in nodes[0].coins() {
        joiner.reveal(coin);
    }
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
    let mut node = Node { machine, outputs: Vec::new(), held: None };
    for vertex in made.iter().filter(|vertex| vertex.round() > line_then) {
        node.insert(vertex);
    }
    assert_eq!(node.commits(), commits[kept..]);
    assert_eq!(node.machine.gc_round(), line);
    assert_eq!(node.machine.own_round(), Round::new(30));
}

#[test]
fn outcomes_may_come_late_and_in_any_order_and_the_commits_are_the_same() {
    let (nodes, made) = run(14, &[]);
    for turn in 0..3 {
        let mut node = Node::holding();
        made.iter().for_each(|vertex| node.insert(vertex));
        let mut rounds = node.held();
        assert_eq!(rounds, (1..=11).collect::<Vec<_>>(), "one task a round, all out at once");
        assert_eq!(node.commits(), nodes[0].commits()[..0]);
        match turn {
            0 => {}
            1 => rounds.reverse(),
            _ => rounds.sort_by_key(|round| (round * 7) % 11),
        }
        rounds.iter().for_each(|round| node.finish(*round));
        assert_eq!(node.commits(), nodes[0].commits());
        assert_eq!(node.held(), [0; 0]);
    }
}

#[test]
fn a_coin_that_a_peer_tells_while_its_task_is_out_needs_no_outcome() {
    let (nodes, made) = run(10, &[2]);
    let mut node = Node::holding();
    made.iter().for_each(|vertex| node.insert(vertex));
    for coin in nodes[0].coins() {
        node.reveal(coin);
    }
    let commits = nodes[0].commits();
    assert_eq!(node.commits(), commits);
    let tasks = node.held();
    assert_eq!(tasks.len(), 7);
    tasks.iter().for_each(|round| node.finish(*round));
    assert_eq!(node.held(), [0; 0], "what is known is not combined again");
    assert_eq!(node.commits(), commits);
    assert_eq!(node.coins(), nodes[0].coins());
    assert_eq!(node.wrong_shares(), [(Author::new(2), Round::new(1))], "the fault is proven");
}

#[test]
fn an_outcome_that_comes_after_its_round_was_collected_changes_nothing() {
    let (nodes, made) = run(40, &[2]);
    let hold_from = Round::new(9);
    let mut node = Node::holding();
    made.iter().filter(|vertex| vertex.round() < hold_from).for_each(|vertex| node.insert(vertex));
    let out = node.held();
    assert!(out.len() > 3, "{out:?}");
    for coin in nodes[0].coins() {
        node.reveal(coin);
    }
    made.iter().for_each(|vertex| node.insert(vertex));
    assert!(node.machine.gc_round() > hold_from);
    let (commits, coins) = (node.commits().len(), node.coins().len());
    assert_eq!(node.wrong_shares(), []);
    out.iter().for_each(|round| node.finish(*round));
    assert_eq!((node.commits().len(), node.coins().len()), (commits, coins));
    assert_eq!(node.wrong_shares().len(), 1, "the vertex is gone from the DAG, the proof is not");
}

#[test]
fn wrong_shares_are_passed_over_in_tasks_that_are_put_out_afterwards() {
    let (nodes, made) = run(10, &[2]);
    let mut node = Node::holding();
    made.iter().for_each(|vertex| node.insert(vertex));
    let liar = Author::new(2);
    let with_liar = |node: &Node| {
        let tasks = node.held.iter().flatten();
        tasks.filter(|task| task.shares().iter().any(|(author, _)| *author == liar)).count()
    };
    assert_eq!((node.held().len(), with_liar(&node)), (7, 7), "the liar is always first");
    node.finish(4);
    assert_eq!((node.held().len(), with_liar(&node)), (7, 6), "the next two are combined at once");
    for round in [4, 7, 1, 2, 3, 5, 6] {
        node.finish(round);
        if round != 4 {
            node.finish(round);
        }
    }
    assert_eq!(node.wrong_shares(), [(liar, Round::new(4))], "proven once");
    assert_eq!(node.coins().len(), 7);
    assert_eq!(node.commits(), nodes[0].commits());
}

#[test]
fn twins_may_carry_different_shares_and_everybody_finds_the_same_coin() {
    // One of validator 3's vertices of round 4 carries its share, the other one a wrong one.
    let network = network(4);
    let (nodes, made) = run(3, &[]);
    let twins = [false, true].map(|falsify| nodes[3].build(network, 3, falsify));
    let other = nodes[1].build(network, 1, false);
    let third = nodes[2].build(network, 2, false);
    let mut commits = Vec::new();
    for first in [0, 1] {
        let mut node = Node::new(network, None);
        let tail = [&twins[first], &twins[1 - first], &other, &third];
        made.iter().chain(tail).for_each(|vertex| node.insert(vertex));
        assert_eq!(node.coins(), [(Round::new(1), coin_of(Round::new(1)))]);
        assert_eq!(node.wrong_shares().len(), first, "only what was combined is judged");
        commits.push(node.commits().into_iter().cloned().collect::<Vec<_>>());
    }
    assert_eq!(commits[0], commits[1]);
}

#[test]
fn an_outcome_of_an_earlier_life_or_given_twice_is_harmless() {
    let (nodes, made) = run(10, &[2]);
    let mut node = Node::holding();
    made.iter().for_each(|vertex| node.insert(vertex));
    let old = node.held.unwrap();
    let mut again = Node::holding();
    // Without the liar's vertices of round 4, which nobody holds back for ever.
    let late = |vertex: &&Verified<Vertex>| {
        vertex.author() == Author::new(2) && vertex.round() == Round::new(4)
    };
    made.iter().filter(|vertex| !late(vertex)).for_each(|vertex| again.insert(vertex));
    for task in &old {
        again.machine.coin_done(task.run(&network(4).committee));
        again.machine.coin_done(task.run(&network(4).committee));
        again.drain();
    }
    made.iter().for_each(|vertex| again.insert(vertex));
    while let Some(round) = again.held().first().copied() {
        again.finish(round);
    }
    assert_eq!(again.commits(), nodes[0].commits());
    // What another committee found out is nobody's here.
    let stranger = TestNetwork::with(4, |genesis| genesis.name = "stranger".into());
    let mut deaf = Node::holding();
    made.iter().for_each(|vertex| deaf.insert(vertex));
    let task = deaf.held.as_mut().unwrap().remove(1);
    deaf.machine.coin_done(task.run(&stranger.committee));
    deaf.drain();
    assert_eq!((deaf.coins(), deaf.wrong_shares()), (Vec::new(), Vec::new()));
}

#[test]
fn no_more_tasks_are_out_than_their_bound_and_the_rest_follows() {
    let rounds = COIN_TASKS_MAX + 20;
    let (nodes, made) = run(rounds, &[]);
    let mut node = Node::holding();
    made.iter().for_each(|vertex| node.insert(vertex));
    assert_eq!(node.held().len(), COIN_TASKS_MAX);
    while let Some(round) = node.held().last().copied() {
        node.finish(round);
        assert!(node.held().len() <= COIN_TASKS_MAX);
    }
    assert_eq!(node.coins().len(), rounds - 3);
    assert_eq!(node.commits(), nodes[0].commits());
}
