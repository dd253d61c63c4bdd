//! Events that a node keeps no longer.

use bitcoin::Txid;

use super::*;
use crate::query;
use crate::retention::PRUNED_EVENTS_MAX;
use crate::retention::prune_events;
use crate::test_utils::spend;

/// A chain with one payment, a checkpoint over it, and more than a step's worth of events behind it.
fn long() -> (TestLedger, Txid) {
    let mut chain = ledger_with(|genesis| genesis.ledger.checkpoint_every = 2);
    let payment = spend(&[chain.allocation(0)], &[20 * BITCOIN]);
    chain.commit(&[&payment]);
    while chain.ledger.last_event() < 3 * PRUNED_EVENTS_MAX {
        chain.ticks(1_000);
    }
    (chain, payment.compute_txid())
}

#[test]
fn the_oldest_go_a_step_at_a_time_until_few_enough_are_left() {
    let (mut chain, _) = long();
    let last = chain.ledger.last_event();
    let keep = PRUNED_EVENTS_MAX + 1;
    assert_eq!(query::oldest_event(&chain.tables), Ok(1));
    while let Some(changes) = prune_events(&chain.tables, keep).unwrap() {
        chain.tables.write(changes);
    }
    let oldest = query::oldest_event(&chain.tables).unwrap();
    let kept = last + 1 - oldest;
    assert!((keep..keep + PRUNED_EVENTS_MAX).contains(&kept), "{kept} are left of {last}");
    let first = query::events(&chain.tables, 0, 1).unwrap();
    assert_eq!(first[0].sequence, oldest);
    // All of the rest are there.
    let rest = query::events(&chain.tables, oldest - 1, usize::MAX).unwrap();
    assert_eq!(u64::try_from(rest.len()).unwrap(), kept);
}

#[test]
fn nothing_goes_while_everything_is_to_be_kept() {
    let (chain, _) = long();
    let last = chain.ledger.last_event();
    assert_eq!(prune_events(&chain.tables, last), Ok(None));
    assert_eq!(prune_events(&chain.tables, u64::MAX), Ok(None));
}

#[test]
fn no_path_is_made_up_from_what_is_left() {
    let (mut chain, txid) = long();
    let decided = query::decided_in(&chain.tables, &txid).unwrap().unwrap();
    let row = query::checkpoints_from(&chain.tables, decided, 1).unwrap().remove(0);
    assert!(query::results_path(&chain.tables, &row, &txid).unwrap().is_some());
    let changes = prune_events(&chain.tables, 1).unwrap().unwrap();
    chain.tables.write(changes);
    assert_eq!(query::results_path(&chain.tables, &row, &txid), Ok(None));
}

#[test]
fn what_follows_is_the_same_with_and_without_the_past() {
    let (mut chain, _) = long();
    let mut twin = long().0;
    let changes = prune_events(&twin.tables, 1).unwrap().unwrap();
    twin.tables.write(changes);
    for chain in [&mut chain, &mut twin] {
        let payment = spend(&[chain.allocation(1)], &[BITCOIN]);
        chain.commit(&[&payment]);
        chain.ticks(2);
    }
    let newest = |chain: &TestLedger| query::checkpoints_back(&chain.tables, 1).unwrap();
    assert_eq!(newest(&chain), newest(&twin));
}
