//! What is handed out, and in which order.

use bitcoin::Transaction;
use bitcoin::Txid;
use bytes::Bytes;

use super::FEE;
use super::World;
use super::fatten;
use super::output;
use super::spend;
use crate::PreparedTransaction;
use crate::mempool::State;

fn names(taken: &[Bytes]) -> Vec<Txid> {
    taken.iter().map(|raw| PreparedTransaction::decode(raw).unwrap().txid).collect()
}

fn ids(transactions: &[&Transaction]) -> Vec<Txid> {
    transactions.iter().map(|transaction| transaction.compute_txid()).collect()
}

#[test]
fn the_best_rate_comes_first_and_each_once() {
    let mut world = World::new();
    let payments = [2, 9, 5].map(|fee| fee * FEE);
    let payments: Vec<_> =
        (0..).zip(payments).map(|(place, fee)| spend(&[world.coin(place)], 2, fee)).collect();
    for payment in &payments {
        world.admit(payment);
    }
    let taken = world.mempool.take(usize::MAX, usize::MAX);
    assert_eq!(names(&taken), ids(&[&payments[1], &payments[2], &payments[0]]));
    assert!(world.mempool.take(usize::MAX, usize::MAX).is_empty());
    assert!(world.mempool.iter().all(|entry| entry.state() == State::Proposed));
}

#[test]
fn a_rich_child_brings_its_parents() {
    let mut world = World::new();
    let plain = spend(&[world.coin(0)], 2, 3 * FEE);
    let parent = spend(&[world.coin(1)], 2, FEE);
    let child = spend(&[output(&parent, 0), output(&parent, 1)], 2, 9 * FEE);
    for payment in [&plain, &parent, &child] {
        world.admit(payment);
    }
    let taken = world.mempool.take(usize::MAX, usize::MAX);
    assert_eq!(names(&taken), ids(&[&parent, &child, &plain]));
}

#[test]
fn a_poor_child_waits_behind_its_rich_parent() {
    let mut world = World::new();
    let plain = spend(&[world.coin(0)], 2, 3 * FEE);
    let parent = spend(&[world.coin(1)], 2, 9 * FEE);
    let child = spend(&[output(&parent, 0)], 2, FEE);
    for payment in [&plain, &parent, &child] {
        world.admit(payment);
    }
    let taken = world.mempool.take(usize::MAX, usize::MAX);
    assert_eq!(names(&taken), ids(&[&parent, &plain, &child]));
}

#[test]
fn the_bounds_hold_and_a_smaller_one_slips_in() {
    let mut world = World::new();
    let mut fat = spend(&[world.coin(0)], 2, 900_000);
    fatten(&mut fat, 1_000);
    let thin = spend(&[world.coin(1)], 2, FEE);
    world.admit(&fat);
    world.admit(&thin);
    let taken = world.mempool.take(500, usize::MAX);
    assert_eq!(names(&taken), ids(&[&thin]));
    assert!(world.mempool.take(usize::MAX, 0).is_empty());
    let bytes = bitcoin::consensus::encode::serialize(&fat).len();
    assert!(world.mempool.take(bytes + 4, 1).is_empty());
    assert_eq!(world.mempool.take(bytes + 5, 1).len(), 1);
}

#[test]
fn a_package_that_has_too_many_items_waits() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 2, 9 * FEE);
    world.admit(&parent);
    world.admit(&child);
    assert_eq!(names(&world.mempool.take(usize::MAX, 1)), ids(&[&parent]));
    assert_eq!(names(&world.mempool.take(usize::MAX, 1)), ids(&[&child]));
}
