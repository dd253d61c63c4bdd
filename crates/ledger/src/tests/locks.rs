//! Lock times, relative lock times and maturity, judged for the block behind the tip.

use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::absolute::LockTime;
use types::Height;

use super::*;
use crate::query;
use crate::rules::SkipReason;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

/// Commits it and says why it was passed over, if it was.
fn skipped(chain: &mut TestLedger, transaction: &Transaction) -> Option<SkipReason> {
    let applied = chain.commit(&[transaction]);
    applied.skipped.first().map(|skipped| skipped.reason)
}

#[test]
fn a_lock_height_below_the_next_block_is_reached() {
    let mut chain = ledger();
    let next = chain.ledger.next_block().height.value();
    let mut locked = spend(&[chain.allocation(0)], &[BITCOIN]);
    locked.lock_time = LockTime::from_consensus(next);
    assert_eq!(skipped(&mut chain, &locked), Some(SkipReason::NonFinal));
    chain.ticks(1);
    assert_eq!(skipped(&mut chain, &locked), None);
}

#[test]
fn a_lock_time_is_read_against_the_median_time_past() {
    let mut chain = ledger();
    let median = chain.ledger.tip().median_time_past;
    let mut locked = spend(&[chain.allocation(0)], &[BITCOIN]);
    locked.lock_time = LockTime::from_consensus(median);
    assert_eq!(skipped(&mut chain, &locked), Some(SkipReason::NonFinal));
    let mut unlocked = locked.clone();
    unlocked.input[0].sequence = Sequence::MAX;
    unlocked.output[0].value = Amount::from_sat(BITCOIN - 1);
    let mut earlier = spend(&[chain.allocation(1)], &[BITCOIN]);
    earlier.lock_time = LockTime::from_consensus(median - 1);
    assert_eq!(skipped(&mut chain, &unlocked), None);
    assert_eq!(skipped(&mut chain, &earlier), None);
}

#[test]
fn a_relative_lock_on_an_unsealed_parent_waits_for_its_block() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN, 10 * BITCOIN]);
    let mut child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    child.input[0].sequence = Sequence::from_height(1);
    let mut free = spend(&[outpoint(&parent, 1)], &[9 * BITCOIN]);
    free.input[0].sequence = Sequence::from_height(0);
    chain.commit(&[&parent]);
    assert_eq!(skipped(&mut chain, &child), Some(SkipReason::NonBip68Final));
    assert_eq!(skipped(&mut chain, &free), None);
    chain.ticks(1);
    assert_eq!(skipped(&mut chain, &child), None);
}

#[test]
fn a_relative_lock_counts_blocks_from_the_parents_own() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN]);
    let mut child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    child.input[0].sequence = Sequence::from_height(3);
    chain.commit(&[&parent]);
    for _ in 0..3 {
        assert_eq!(skipped(&mut chain, &child), Some(SkipReason::NonBip68Final));
        chain.ticks(1);
    }
    assert_eq!(skipped(&mut chain, &child), None);
}

#[test]
fn a_relative_lock_in_time_counts_from_the_median_before_the_parents_block() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN]);
    chain.commit(&[&parent]);
    chain.ticks(1);
    let height = chain.ledger.tip().height;
    let before = query::block(&chain.tables, height.saturating_sub(1)).unwrap().unwrap();
    let mut child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    child.input[0].sequence = Sequence::from_512_second_intervals(1);
    let due = before.median_time_past + 512;
    let mut waited = 0;
    while chain.ledger.tip().median_time_past < due {
        assert_eq!(skipped(&mut chain, &child), Some(SkipReason::NonBip68Final));
        chain.now = chain.now.saturating_add(100_000);
        chain.ticks(1);
        waited += 1;
    }
    assert!(waited > 5, "the median lags behind");
    assert_eq!(skipped(&mut chain, &child), None);
}

#[test]
fn version_one_and_the_disabling_bit_have_no_relative_lock() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN, 10 * BITCOIN]);
    let mut old = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    old.version = bitcoin::transaction::Version::ONE;
    old.input[0].sequence = Sequence::from_height(5);
    let mut disabled = spend(&[outpoint(&parent, 1)], &[9 * BITCOIN]);
    disabled.input[0].sequence = Sequence(5 | 1 << 31);
    let applied = chain.commit(&[&parent, &old, &disabled]);
    assert_eq!(applied.finals.len(), 3);
    // A negative version is a large one to BIP 68.
    let mut negative = spend(&[outpoint(&old, 0)], &[8 * BITCOIN]);
    negative.version = bitcoin::transaction::Version(-1);
    negative.input[0].sequence = Sequence::from_height(5);
    assert_eq!(skipped(&mut chain, &negative), Some(SkipReason::NonBip68Final));
}

#[test]
fn fees_move_a_hundred_blocks_after_their_coinbase() {
    let mut chain = ledger();
    let payment = spend(&[chain.allocation(0)], &[49 * BITCOIN]);
    chain.commit(&[&payment]);
    let sealed = chain.ticks(1);
    let fees = bitcoin::OutPoint { txid: sealed.blocks[0].txids[0], vout: 0 };
    let made = chain.ledger.tip().height;
    let claim = spend(&[fees], &[BITCOIN]);
    assert_eq!(skipped(&mut chain, &claim), Some(SkipReason::PrematureCoinbaseSpend));
    chain.ticks(98);
    assert_eq!(skipped(&mut chain, &claim), Some(SkipReason::PrematureCoinbaseSpend));
    chain.ticks(1);
    assert_eq!(chain.ledger.next_block().height, Height::new(made.value() + 100));
    assert_eq!(skipped(&mut chain, &claim), None);
}
