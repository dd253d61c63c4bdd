//! What commits do to the pool, and restarts.

use bitcoin::Sequence;
use bitcoin::absolute::LockTime;
use types::encoding::Decode;
use types::encoding::Encode;
use types::table::Changes;

use super::FEE;
use super::OTHER;
use super::OWN;
use super::World;
use super::output;
use super::spend;
use crate::mempool::PROPOSALS_MAX;
use crate::mempool::State;
use crate::mempool::entry::Row;
use crate::rules::SkipReason;

#[test]
fn what_is_final_leaves_and_its_children_stay() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    world.admit(&parent);
    world.admit(&child);
    world.commit(OTHER, &[parent]);
    assert_eq!(world.names(), [child.compute_txid()]);
    world.commit_taken();
    assert!(world.names().is_empty());
    world.restart();
    assert!(world.names().is_empty());
    assert_eq!(world.mempool.totals(), Default::default());
}

#[test]
fn what_lost_leaves_with_its_family() {
    let mut world = World::new();
    let loser = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&loser, 0)], 2, FEE);
    world.admit(&loser);
    world.admit(&child);
    world.mempool.take(usize::MAX, 1);
    let winner = spend(&[world.coin(0)], 3, FEE);
    world.commit(OTHER, &[winner]);
    assert!(world.names().is_empty());
    let applied = world.commit(OWN, &[loser]);
    assert_eq!(applied.rejected.len(), 1);
}

#[test]
fn a_child_that_came_before_its_parent_waits_for_it() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    world.admit(&parent);
    world.admit(&child);
    let taken = world.mempool.take(usize::MAX, usize::MAX);
    // The vertex with the parent was lost, the one with the child was ordered.
    world.mempool.returned(&taken[..1]);
    let applied = world.commit(OWN, std::slice::from_ref(&child));
    assert_eq!(applied.skipped[0].reason, SkipReason::InputsMissingOrSpent);
    assert_eq!(world.mempool.get(&child.compute_txid()).unwrap().state(), State::Waiting);
    let applied = world.commit_taken();
    assert_eq!(applied.finals, [parent.compute_txid(), child.compute_txid()]);
}

#[test]
fn an_orphan_is_parked_until_another_validator_brings_its_parent() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    let name = child.compute_txid();
    world.admit(&parent);
    world.admit(&child);
    world.mempool.take(usize::MAX, usize::MAX);
    world.mempool.pool.remove(&parent.compute_txid());
    world.commit(OWN, &[child]);
    assert_eq!(world.mempool.get(&name).unwrap().state(), State::Parked);
    assert!(!world.mempool.has_waiting());
    let changes = world.mempool.drain_changes();
    world.rows.write(changes);
    world.restart();
    assert_eq!(world.mempool.get(&name).unwrap().state(), State::Parked, "a restart keeps it");
    world.commit(OTHER, &[parent]);
    assert_eq!(world.mempool.get(&name).unwrap().state(), State::Waiting);
    assert_eq!(world.commit_taken().finals, [name]);
}

#[test]
fn an_orphan_stands_behind_a_parent_that_comes_after_it() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, 9 * FEE);
    world.admit(&parent);
    world.admit(&child);
    world.mempool.take(usize::MAX, usize::MAX);
    world.mempool.pool.remove(&parent.compute_txid());
    world.commit(OWN, std::slice::from_ref(&child));
    world.admit(&parent);
    assert_eq!(world.names(), [parent.compute_txid(), child.compute_txid()]);
    let applied = world.commit_taken();
    assert_eq!(applied.finals, [parent.compute_txid(), child.compute_txid()]);
}

#[test]
fn a_lock_that_was_judged_too_early_is_parked_until_a_block() {
    let mut world = World::new();
    let height = world.ledger.next_block().height.value();
    let mut payment = spend(&[world.coin(0)], 2, FEE);
    payment.lock_time = LockTime::from_height(height).unwrap();
    payment.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    assert_eq!(world.refuse(&payment).to_string(), "non-final");
    // As if admitted by a node that was ahead.
    world.seal(1);
    world.admit(&payment);
    let name = payment.compute_txid();
    world.mempool.take(usize::MAX, usize::MAX);
    world.mempool.pool.set_state(&name, State::Parked);
    assert!(!world.mempool.has_waiting());
    world.seal(1);
    assert_eq!(world.mempool.get(&name).unwrap().state(), State::Waiting);
}

#[test]
fn a_child_of_something_parked_is_not_handed_out() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    world.admit(&parent);
    world.admit(&spend(&[output(&parent, 0)], 2, FEE));
    world.mempool.take(usize::MAX, 1);
    world.mempool.pool.set_state(&parent.compute_txid(), State::Parked);
    assert!(world.mempool.take(usize::MAX, usize::MAX).is_empty());
    world.seal(1);
    assert_eq!(world.mempool.take(usize::MAX, usize::MAX).len(), 2);
}

#[test]
fn an_occurrence_of_another_author_changes_nothing() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    world.admit(&parent);
    world.admit(&child);
    world.mempool.take(usize::MAX, usize::MAX);
    world.commit(OTHER, std::slice::from_ref(&child));
    assert_eq!(world.mempool.get(&child.compute_txid()).unwrap().state(), State::Proposed);
    let applied = world.commit(OWN, &[parent, child]);
    assert_eq!(applied.finals.len(), 2);
}

#[test]
fn what_is_passed_over_again_and_again_is_given_up() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    world.admit(&parent);
    world.admit(&child);
    world.mempool.take(usize::MAX, 1);
    for _ in 0..PROPOSALS_MAX {
        assert_eq!(world.mempool.take(usize::MAX, usize::MAX).len(), 1);
        world.commit(OWN, std::slice::from_ref(&child));
    }
    assert_eq!(world.names(), [parent.compute_txid()]);
}

#[test]
fn a_restart_finds_the_pool_as_it_was() {
    let mut world = World::new();
    let parent = spend(&[world.coin(1)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    let other = spend(&[world.coin(0)], 2, FEE);
    for payment in [&parent, &child, &other] {
        world.admit(payment);
    }
    let (names, totals) = (world.names(), world.mempool.totals());
    world.mempool.take(usize::MAX, 1);
    world.restart();
    assert_eq!((world.names(), world.mempool.totals()), (names, totals));
    let entry = world.mempool.get(&child.compute_txid()).unwrap();
    assert_eq!(entry.parents().copied().collect::<Vec<_>>(), [parent.compute_txid()]);
    assert_eq!(world.mempool.take(usize::MAX, usize::MAX).len(), 3);
    let next = world.admit(&spend(&[world.coin(2)], 2, FEE));
    assert_eq!(world.mempool.recent().next().unwrap().txid(), next);
}

#[test]
fn a_restart_drops_what_became_final_or_lost_meanwhile() {
    let mut world = World::new();
    let settled = spend(&[world.coin(0)], 2, FEE);
    let loser = spend(&[world.coin(1)], 2, FEE);
    let child = spend(&[output(&loser, 0)], 2, FEE);
    for payment in [&settled, &loser, &child] {
        world.admit(payment);
    }
    let mut rows = Changes::default();
    for (key, value) in world.rows.rows(super::super::POOL) {
        rows.put(super::super::POOL, key.clone(), value.clone());
    }
    assert_eq!(rows.len(), 3);
    world.commit(OTHER, &[settled, spend(&[world.coin(1)], 3, FEE)]);
    // The crash came between the commit's rows and the pool's.
    world.rows.write(rows);
    world.restart();
    let states: Vec<_> = world.mempool.iter().map(|entry| (entry.txid(), entry.state())).collect();
    assert_eq!(states, [(child.compute_txid(), State::Parked)]);
}

#[test]
fn rows_that_do_not_decode_stop_the_start() {
    let mut world = World::new();
    world.admit(&spend(&[world.coin(0)], 2, FEE));
    let row = world.mempool.iter().next().unwrap().row();
    assert_eq!(Row::from_bytes(&row.to_bytes()).unwrap(), row);
    let mut cut = Changes::default();
    for (key, value) in world.rows.rows(super::super::POOL) {
        cut.put(super::super::POOL, key.clone(), value.slice(..20));
    }
    assert_eq!(cut.len(), 1);
    world.rows.write(cut);
    let limits = *world.mempool.limits();
    assert!(super::Mempool::open(Some(OWN), limits, &world.ledger, &world.rows).is_err());
}
