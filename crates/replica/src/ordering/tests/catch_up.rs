//! Whoever was away for longer than anybody keeps in memory replays what the others have stored.

use super::*;

/// How many rounds are kept below a committed leader here.
const DEPTH: u64 = 20;

/// Validator 3 is where the others are, with every commit from the first one on.
fn assert_caught_up(net: &Net) {
    let (own, other) = (net.status(3), net.status(0));
    assert!(other.round.distance_from(own.round) < 5, "{own:?} {other:?}");
    assert!(other.commit.distance_from(own.commit) < 20, "{own:?} {other:?}");
    assert!(own.catching_up_to.is_none());
    let store = &net.nodes[3].store;
    for index in (1..=own.commit.value()).map(CommitIndex::new) {
        assert!(tables::commit(store, index).unwrap().is_some(), "{index}");
    }
    net.check();
}

/// References of stored vertices to what nobody among validators 0 to 2 has.
fn held_by_nobody(net: &Net) -> usize {
    let rows = tables::vertices_from(&net.nodes[0].store, &[], 100_000).unwrap();
    let edges = rows.iter().flat_map(|(_, bytes)| {
        let vertex = types::Unverified::decode(bytes).unwrap();
        let header = vertex.claimed().header();
        header.parents.iter().chain(&header.late).copied().collect::<Vec<_>>()
    });
    let is_missing = |edge: &VertexRef| {
        let mut nodes = net.nodes[..3].iter();
        edge.round > Round::ZERO
            && nodes.all(|node| tables::vertex(&node.store, edge).unwrap().is_none())
    };
    edges.filter(is_missing).count()
}

#[test]
fn an_empty_node_replays_rounds_that_everybody_has_long_dropped() {
    let mut net = Net::shallow(DEPTH);
    net.run_loaded(seconds(1));
    net.lose_disk(3, Start::Recover);
    net.run_loaded(seconds(2));
    assert!(net.status(0).gc_round > Round::new(3 * DEPTH));
    net.start(3);
    net.run_loaded(seconds(1));
    assert_caught_up(&net);
    net.run_loaded(seconds(3));
    assert_eq!(net.status(3).recovering, None);
    assert_caught_up(&net);
}

#[test]
fn a_node_with_a_torn_log_that_was_away_for_long_goes_on_where_its_log_ends() {
    let mut net = Net::shallow(DEPTH);
    net.run_loaded(seconds(1));
    let before = net.status(3);
    net.crash(3);
    net.run_loaded(seconds(3));
    assert!(net.status(0).gc_round > before.round.saturating_add(3 * DEPTH));
    net.start(3);
    assert!(net.status(3).commit <= before.commit);
    net.run_loaded(seconds(1));
    assert_caught_up(&net);
}

#[test]
fn a_reference_to_what_nobody_has_any_more_does_not_stop_the_replay() {
    let mut net = Net::shallow(DEPTH);
    net.run_loaded(seconds(1));
    // Validator 3 hears everybody and is heard by nobody, for many times the depth.
    net.loss = |from, _, _| from == 3;
    net.run_loaded(seconds(1));
    net.loss = |_, _, _| false;
    net.run_loaded(seconds(1));
    // With its disk the last copy of what it signed then is gone.
    net.lose_disk(3, Start::Recover);
    assert!(held_by_nobody(&net) > 0, "the others took what refers to it");
    net.run_loaded(seconds(1));
    net.start(3);
    net.run_loaded(seconds(4));
    assert_eq!(net.status(3).recovering, None);
    assert_caught_up(&net);
}
