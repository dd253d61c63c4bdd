//! BIP 125 while a transaction is only in the pool, and never after.

use super::FEE;
use super::OWN;
use super::World;
use super::output;
use super::spend;
use crate::mempool::MempoolLimits;
use crate::mempool::RejectCode;

#[test]
fn a_better_offer_replaces_the_whole_family() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&old, 0)], 2, FEE);
    world.admit(&old);
    world.admit(&child);
    let new = spend(&[world.coin(0)], 2, 5 * FEE);
    let admission = world.submit(&new).unwrap();
    assert_eq!(admission.replaced, [old.compute_txid(), child.compute_txid()]);
    assert_eq!(world.names(), [new.compute_txid()]);
    world.restart();
    assert_eq!(world.names(), [new.compute_txid()]);
}

#[test]
fn an_offer_below_the_old_fees_is_refused() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    world.admit(&old);
    world.admit(&spend(&[output(&old, 0)], 2, 5 * FEE));
    let new = spend(&[world.coin(0)], 2, 3 * FEE);
    let reject = world.submit(&new).unwrap_err();
    assert_eq!(reject.code, RejectCode::InsufficientFee);
    let words = "less fees than conflicting txs; 0.00003000 < 0.00006000";
    assert!(reject.reason.ends_with(words), "{}", reject.reason);
}

#[test]
fn an_offer_pays_for_its_own_room() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    world.admit(&old);
    let size = u64::try_from(old.vsize()).unwrap();
    let reject = world.submit(&spend(&[world.coin(0)], 2, FEE + size - 1)).unwrap_err();
    assert!(reject.reason.contains("not enough additional fees to relay"), "{}", reject.reason);
    world.admit(&spend(&[world.coin(0)], 2, FEE + size));
}

#[test]
fn an_offer_has_a_higher_rate() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    world.admit(&old);
    let new = spend(&[world.coin(0)], 12, 3 * FEE);
    let reject = world.submit(&new).unwrap_err();
    assert!(reject.reason.contains("feerate is not above"), "{}", reject.reason);
}

#[test]
fn an_offer_brings_no_new_unproven_parent() {
    let mut world = World::new();
    let parent = spend(&[world.coin(1)], 2, FEE);
    world.admit(&parent);
    world.admit(&spend(&[world.coin(0)], 2, FEE));
    let new = spend(&[world.coin(0), output(&parent, 0)], 2, 9 * FEE);
    assert_eq!(world.refuse(&new), RejectCode::ReplacementAddsUnconfirmed);
}

#[test]
fn an_offer_does_not_spend_what_it_replaces() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    world.admit(&old);
    let new = spend(&[world.coin(0), output(&old, 0)], 2, 9 * FEE);
    assert_eq!(world.refuse(&new), RejectCode::SpendsConflicting);
}

#[test]
fn an_offer_pushes_out_a_hundred_at_most() {
    let mut world = World::new();
    let mut inputs = Vec::new();
    for place in 0..5 {
        let parent = spend(&[world.coin(place)], 24, 10_000);
        world.admit(&parent);
        for vout in 0..24 {
            world.admit(&spend(&[output(&parent, vout)], 1, FEE));
        }
        inputs.push(world.coin(place));
    }
    let new = spend(&inputs, 2, 2_000_000);
    assert_eq!(world.refuse(&new), RejectCode::TooManyReplacements);
    world.admit(&spend(&inputs[..4], 2, 2_000_000));
}

#[test]
fn what_was_handed_out_is_not_replaced() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 2, FEE);
    world.admit(&old);
    let taken = world.mempool.take(usize::MAX, usize::MAX);
    let new = spend(&[world.coin(0)], 2, 9 * FEE);
    assert_eq!(world.refuse(&new), RejectCode::MempoolConflict);
    world.mempool.returned(&taken);
    assert_eq!(world.refuse(&new), RejectCode::MempoolConflict);
    world.restart();
    assert_eq!(world.refuse(&new), RejectCode::MempoolConflict);
    world.commit(OWN, &[old]);
    assert!(world.names().is_empty());
}

#[test]
fn a_child_of_what_was_handed_out_may_still_be_replaced() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    world.admit(&parent);
    world.mempool.take(usize::MAX, usize::MAX);
    world.admit(&spend(&[output(&parent, 0)], 2, FEE));
    world.admit(&spend(&[output(&parent, 0)], 2, 9 * FEE));
    assert_eq!(world.names().len(), 2);
}

#[test]
fn the_worst_family_is_evicted() {
    let room = |count: u64| {
        let mut world = World::new();
        world.admit(&spend(&[world.coin(0)], 2, FEE));
        MempoolLimits {
            bytes_max: world.mempool.totals().memory * count,
            ..MempoolLimits::default()
        }
    };
    let mut world = World::with(room(3), |_| {});
    let poor = spend(&[world.coin(0)], 2, FEE);
    let carried = spend(&[world.coin(1)], 2, FEE);
    let child = spend(&[output(&carried, 0)], 2, 9 * FEE);
    for payment in [&poor, &carried, &child] {
        world.admit(payment);
    }
    let admission = world.submit(&spend(&[world.coin(2)], 2, 2 * FEE)).unwrap();
    assert_eq!(admission.evicted, [poor.compute_txid()]);
    assert_eq!(world.refuse(&poor), RejectCode::MempoolFull);
    assert!(world.mempool.totals().memory <= world.mempool.limits().bytes_max);
    world.mempool.take(usize::MAX, usize::MAX);
    let rich = spend(&[world.coin(3)], 2, 99 * FEE);
    assert_eq!(world.refuse(&rich), RejectCode::MempoolFull, "what was handed out stays");
    world.restart();
    assert_eq!(world.names().len(), 3);
}
