//! Restart and catch-up.

use std::collections::VecDeque;

use consensus::Leaders;
use consensus::WINDOW;
use types::table::Changes;
use types::table::Table;
use types::table::TableRead as _;

use super::*;
use crate::receive::Received;
use crate::receive::receive;
use crate::serve::Request;
use crate::serve::serve;

#[test]
fn a_restart_goes_on_where_the_store_ends_and_signs_no_round_twice() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    for turn in 0..12 {
        // Each time another one, at another moment between two syncs.
        let own = turn % 4;
        let before = net.status(own);
        let stored = tables::own_newest(&net.nodes[usize::from(own)].store).unwrap().unwrap();
        net.crash(own);
        net.start(own);
        let after = net.status(own);
        assert!(after.own_round >= stored.round, "what was sent is known");
        assert!(after.commit <= before.commit);
        net.run_loaded(Span::from_millis(130 + 7 * u64::from(turn)));
        net.check();
    }
    let rounds: Vec<_> = (0..4).map(|own| net.status(own).round.value()).collect();
    assert!(rounds.iter().all(|round| *round > 100), "{rounds:?}");
}

#[test]
fn a_restart_without_a_loss_is_equal_to_none() {
    let mut net = Net::with(4, Leaders::Coin);
    net.run_loaded(seconds(1));
    store::Store::sync(&net.nodes[2].store).unwrap();
    let before = net.status(2);
    let again = Ordering::open(net.config(2), &net.nodes[2].store).unwrap();
    let after = again.status(net.now);
    let essence = |status: &OrderingStatus| {
        let OrderingStatus { own_round, round, decided_round, gc_round, .. } = status;
        (*own_round, *round, *decided_round, *gc_round, status.commit, status.commit_digest)
    };
    assert_eq!(essence(&after), essence(&before));
    let (old, new) = (net.ordering(2).consensus(), again.consensus());
    assert_eq!(new.next_round(), old.next_round());
    assert_eq!(new.has_undecided_payload(), old.has_undecided_payload());
    assert!(again.step.persist.is_empty(), "what was read is not written again");
}

#[test]
fn stored_coins_need_not_be_combined_again() {
    let mut net = Net::with(4, Leaders::Coin);
    net.run_loaded(Span::from_millis(500));
    let round = net.status(2).decided_round;
    assert!(round > Round::new(10));
    // Commits are lost, so that every round is decided anew.
    let tasks = |kept: &[Table]| {
        let store = store::MemoryStore::new(tables());
        let mut changes = Changes::default();
        for table in kept {
            let rows = net.nodes[2].store.scan(*table, &[], &[], 10_000).unwrap();
            rows.into_iter().for_each(|(key, row)| changes.put(*table, key.to_vec(), row));
        }
        store::Store::write(&store, changes, Durability::Synced).unwrap();
        let mut again = Ordering::open(net.config(2), &store).unwrap();
        let step = again.poll_step().unwrap_or_default();
        let tasks = step.then.iter().filter(|action| matches!(action, Action::Coin(_))).count();
        (tasks, again.status(net.now).decided_round)
    };
    let with = tasks(&[tables::VERTICES, tables::OWN, tables::COINS]);
    assert_eq!(with, (0, round));
    let without = tasks(&[tables::VERTICES, tables::OWN]);
    assert!(without.0 > 10 && without.1 == Round::ZERO, "{without:?}");
}

#[test]
fn all_may_lose_their_power_at_once() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    for _ in 0..2 {
        let ordered = net.status(0).commit;
        (0..4).for_each(|own| net.crash(own));
        (0..4).for_each(|own| net.start(own));
        net.run_loaded(seconds(1));
        assert!(net.status(0).commit > ordered);
        net.check();
    }
}

#[test]
fn who_was_down_for_long_catches_up_by_rounds_and_much_faster_than_the_rest_goes_on() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    net.crash(3);
    net.run_loaded(seconds(6));
    let gap = net.status(0).round.distance_from(Round::ZERO);
    assert!(gap > 400, "{gap}");
    net.start(3);
    net.run_loaded(Span::from_millis(700));
    let (own, other) = (net.status(3), net.status(0));
    assert!(other.round.distance_from(own.round) < 5, "{own:?} {other:?}");
    assert!(other.commit.distance_from(own.commit) < 20, "{own:?} {other:?}");
    let asked = net.nodes[3].sent.iter();
    let ranges = asked.filter(|(_, message)| matches!(message, Message::FetchRounds(_))).count();
    assert!((2..60).contains(&ranges), "{ranges} requests");
    net.run_loaded(seconds(1));
    assert!(net.status(0).peers[3].state == PeerState::Live);
    net.check();
}

#[test]
fn catching_up_survives_a_peer_that_does_not_answer() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    net.crash(3);
    net.run_loaded(seconds(2));
    // The first two in turn do not serve rounds.
    net.loss = |from, to, message| to == 3 && from < 2 && matches!(message, Message::Range(_));
    net.start(3);
    net.run_loaded(seconds(7));
    let (own, other) = (net.status(3), net.status(0));
    assert!(other.round.distance_from(own.round) < 5, "{own:?} {other:?}");
    net.check();
}

#[test]
fn a_partition_heals() {
    let mut net = Net::new(4);
    net.run_loaded(seconds(1));
    let round = net.status(0).round;
    net.loss = |from, to, _| (from < 2) != (to < 2);
    net.run_loaded(seconds(3));
    assert!(net.status(0).round.distance_from(round) < 3, "neither half has a quorum");
    net.loss = |_, _, _| false;
    net.run_loaded(seconds(3));
    assert!(net.status(0).round.distance_from(round) > 50);
    net.check();
}

#[test]
fn who_catches_up_combines_no_shares_of_coins_that_it_is_told_however_many_at_once() {
    let mut net = Net::with(1, Leaders::Coin);
    net.run(seconds(600));
    let config = OrderingConfig { own: None, ..net.config(0) };
    let rules = config.parameters.rules();
    let store = store::MemoryStore::new(tables());
    let mut follower = Ordering::open(config, &store).unwrap();
    let from = author(0);
    let status = net.ordering(0).own_status();
    let mut inputs =
        VecDeque::from([Input::Wake, Input::Connected(from), Input::Status { from, status }]);
    let mut longest = 0;
    while let Some(input) = inputs.pop_front() {
        if let Input::Range { range, .. } = &input {
            longest = longest.max(range.coins.len());
        }
        follower.handle(net.now, TimestampMs::ZERO, input);
        while let Some(step) = follower.poll_step() {
            for action in step.write(&store).unwrap() {
                assert!(!matches!(action, Action::Coin(_)), "{action:?}");
                let Action::Send { message: Message::FetchRounds(rounds), .. } = action else {
                    continue;
                };
                let answer = serve(&net.nodes[0].store, &Request::Rounds(rounds)).unwrap();
                match receive(from, answer, &net.network.committee, rules).unwrap() {
                    Received::Input(input) => inputs.push_back(input),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(longest > 2 * usize::try_from(WINDOW).unwrap(), "{longest} coins in one answer");
    assert_eq!(follower.status(net.now).commit, net.status(0).commit);
}
