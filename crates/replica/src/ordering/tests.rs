use types::Round;

use super::*;

use crate::tables::tables;

use net::DELAY;
use net::Net;
use net::author;

mod amnesia;
mod net;
mod recovery;

/// Longer than any idle round takes to be decided.
const LONG: Span = Span::from_millis(20_000);

fn seconds(seconds: u64) -> Span {
    Span::from_millis(1_000 * seconds)
}

#[test]
fn an_idle_network_makes_a_round_each_second_and_a_loaded_one_as_many_as_the_pace_allows() {
    let mut net = Net::new(4);
    net.run(LONG);
    let idle = net.status(0).own_round.value();
    assert!((18..=24).contains(&idle), "{idle} rounds in 20 idle seconds");

    net.run_loaded(seconds(2));
    let busy = net.status(0).own_round.value() - idle;
    assert!((120..=201).contains(&busy), "{busy} rounds in 2 busy seconds");
    net.check();
}

#[test]
fn payload_is_built_at_once_and_everybody_hurries_until_it_is_ordered() {
    let mut net = Net::new(4);
    net.run(LONG);
    let item = Item::Transaction(vec![1, 2, 3].into());
    net.input(2, Input::Submit(vec![item.clone()]));
    // Five rounds from the vertex to its decision, and perhaps a few more to the next leader.
    net.run(Span::from_millis(250));
    for node in &net.nodes {
        let ordered = node.commits.iter().flat_map(|commit| &commit.vertices);
        let items: Vec<_> = ordered.flat_map(|vertex| vertex.payload().items()).collect();
        assert_eq!(items, [&item]);
    }
    let round = net.status(0).own_round;
    net.run(Span::from_millis(900));
    assert!(net.status(0).own_round.distance_from(round) <= 1, "idle again");
    net.check();
}

#[test]
fn nothing_is_drafted_between_a_draft_and_its_signature() {
    let mut net = Net::new(4);
    net.run(Span::from_millis(2_500));
    let ordering = net.nodes[0].ordering.as_mut().unwrap();
    let mut drafts = 0;
    for second in 0..10 {
        let now = net.now.after(seconds(second));
        ordering.handle(now, TimestampMs::ZERO, Input::Wake);
        let steps = std::iter::from_fn(|| ordering.poll_step());
        let actions = steps.flat_map(|step| step.then);
        drafts += actions.filter(|action| matches!(action, Action::Sign(_))).count();
    }
    assert_eq!(drafts, 1);
}

#[test]
fn an_own_vertex_is_synced_in_the_step_that_sends_it() {
    let network = types::test_utils::TestNetwork::new(4);
    let store = store::MemoryStore::new(tables());
    let config = OrderingConfig::new(
        network.committee.clone(),
        Some(author(0)),
        &network.genesis,
        Start::First,
    );
    let mut ordering = Ordering::open(config.clone(), &store).unwrap();
    ordering.handle(Moment::ZERO, TimestampMs::ZERO, Input::Wake);
    let step = ordering.poll_step().unwrap();
    let draft = step.then.into_iter().find_map(|action| match action {
        Action::Sign(draft) => Some(*draft),
        _ => None,
    });
    let secrets = &network.secrets[0];
    let vertex = draft.unwrap().sign(&secrets.vertex, &secrets.coin, &network.committee);
    ordering.handle(Moment::ZERO, TimestampMs::ZERO, Input::Signed(vertex.clone()));

    let step = ordering.poll_step().unwrap();

    let sent = Action::Broadcast(Message::Vertex(vertex.encoded().clone()));
    assert!(step.then.contains(&sent));
    assert_eq!(step.durability, Durability::Synced);
    step.write(&store).unwrap();
    store.crash();
    assert_eq!(tables::own_newest(&store).unwrap(), Some(vertex.reference()));
    let again = Ordering::open(config, &store).unwrap();
    assert_eq!(again.status(Moment::ZERO).own_round, Round::new(1));
}

#[test]
fn what_does_not_fit_comes_back_and_what_was_taken_makes_room() {
    let mut net = Net::new(1);
    let big = Item::Transaction(vec![0; 200_000].into());
    // The first vertex is out already, and the next one is not due.
    net.input(0, Input::Submit(vec![big; 3]));
    assert_eq!(net.nodes[0].returned.len(), 1, "two of three fit into 512 KiB");
    net.run(seconds(1));
    let sizes = net.nodes[0].commits.iter().flat_map(|commit| &commit.vertices);
    let items: usize = sizes.map(|vertex| vertex.payload().items().len()).sum();
    assert_eq!(items, 2);
}

#[test]
fn a_validator_whose_execution_lags_proposes_nothing_and_votes_on() {
    let mut net = Net::new(4);
    net.input(0, Input::Executed(CommitIndex::ZERO));
    net.run_loaded(seconds(2));
    let status = net.status(0);
    assert!(status.commit.value() > 64, "{:?}", status.commit);
    let carries = |net: &Net, from: usize| {
        let ordered = net.nodes[0].commits[from..].iter().flat_map(|commit| &commit.vertices);
        let own = ordered.filter(|vertex| vertex.author() == author(0));
        own.map(|vertex| vertex.payload().items().len()).sum::<usize>()
    };
    let lagging = net.nodes[0].commits.len();
    net.run_loaded(seconds(1));
    assert_eq!(carries(&net, lagging + 10), 0);
    assert!(net.status(0).own_round > status.own_round);

    net.input(0, Input::Executed(net.status(0).commit));
    net.run(seconds(1));
    assert!(carries(&net, lagging + 10) > 0);
    net.check();
}

#[test]
fn lost_vertices_are_fetched_from_those_who_refer_to_them() {
    let mut net = Net::new(4);
    net.loss = |from, to, message| matches!(message, Message::Vertex(_)) && from == 1 && to == 0;
    net.run_loaded(seconds(2));
    let (own, other) = (net.status(0), net.status(2));
    assert!(own.round.value() > 60, "{own:?}");
    assert!(other.commit.distance_from(own.commit) < 20, "{own:?} {other:?}");
    let fetched = net.nodes[0].sent.iter();
    assert!(fetched.clone().any(|(_, message)| matches!(message, Message::FetchVertices(_))));
    net.loss = |_, _, _| false;
    net.run(seconds(2));
    assert_eq!(net.ordering(0).fetch.len(), 0, "nothing is wanted for ever");
    net.check();
}

#[test]
fn a_vertex_that_nobody_refers_to_is_found_by_its_authors_status() {
    let mut net = Net::new(4);
    net.run(seconds(3));
    // All vertices are lost from here on: the rounds stand still.
    net.loss = |_, _, message| matches!(message, Message::Vertex(_));
    net.run(seconds(1));
    let round = net.status(0).round;
    net.run(seconds(20));
    assert!(net.status(0).round > round, "statuses alone bring the rounds on");
    net.check();
}

#[test]
fn a_silent_validator_is_told_from_a_slow_one() {
    let mut net = Net::new(4);
    net.run(seconds(2));
    net.crash(3);
    net.run(seconds(6));
    let status = net.status(0);
    assert_eq!(status.peers[0].state, PeerState::Own);
    assert_eq!(status.peers[1].state, PeerState::Live);
    assert!(matches!(status.peers[3].state, PeerState::Silent { since: Some(_) }), "{status:?}");
    assert!(!status.peers[3].is_connected);

    // It hears nothing but is heard: behind.
    net.loss = |_, to, _| to == 3;
    net.start(3);
    net.run_loaded(seconds(1));
    let state = net.status(0).peers[3].state;
    assert!(matches!(state, PeerState::Behind { rounds } if rounds > BEHIND_ROUNDS), "{state:?}");
    net.check();
}

#[test]
fn who_claims_a_round_that_is_not_there_holds_nobody_up() {
    let mut net = Net::new(4);
    net.run(seconds(1));
    for liar in [1, 2] {
        let own = net.status(liar).own_round;
        let status =
            Status { own: None, round: Round::new(1 << 40), commit: CommitIndex::new(1 << 40) };
        net.input(0, Input::Status { from: author(liar), status });
        assert!(own > Round::ZERO);
    }
    let round = net.status(0).own_round;
    net.run_loaded(seconds(4));
    assert!(net.status(0).own_round.distance_from(round) > 50);
    assert!(net.status(0).catching_up_to.is_none());
    net.check();
}

#[test]
fn a_follower_orders_and_builds_nothing() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    let config = OrderingConfig { own: None, ..net.config(0) };
    let store = store::MemoryStore::new(tables());
    let mut follower = Ordering::open(config, &store).unwrap();
    let rows = tables::vertices_from(&net.nodes[1].store, &[], 10_000).unwrap();
    let rules = types::Rules { wave: 5 };
    for (_, bytes) in rows {
        let vertex = types::Unverified::decode(&bytes).unwrap();
        let vertex = vertex.verify(&net.network.committee, rules).unwrap();
        let input = Input::Vertex { from: author(1), vertex };
        follower.handle(net.now, TimestampMs::ZERO, input);
    }
    follower.handle(net.now, TimestampMs::ZERO, Input::Submit(vec![Item::DevelopmentTicks(1)]));
    let actions: Vec<Action> =
        std::iter::from_fn(|| follower.poll_step()).flat_map(|step| step.then).collect();
    assert!(!actions.iter().any(|action| matches!(action, Action::Sign(_))));
    assert!(actions.contains(&Action::Returned(vec![Item::DevelopmentTicks(1)])));
    assert_eq!(follower.status(net.now).commit, net.status(1).commit);
    assert!(DELAY > Span::ZERO);
}
