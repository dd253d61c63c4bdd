//! Each refusal in its words, and what is let in.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;

use super::COIN_SAT;
use super::FEE;
use super::OTHER;
use super::World;
use super::fatten;
use super::output;
use super::spend;
use crate::mempool::FeeRate;
use crate::mempool::MempoolLimits;
use crate::mempool::RejectCode;
use crate::mempool::RejectKind;
use crate::mempool::Standardness;
use crate::rows::ScriptHash;
use crate::rules::SkipReason;
use crate::script::ScriptFailure;

fn refused(change: impl FnOnce(&mut Transaction)) -> RejectCode {
    let mut world = World::new();
    let mut transaction = spend(&[world.coin(0)], 2, FEE);
    change(&mut transaction);
    let code = world.refuse(&transaction);
    assert_eq!(world.mempool.totals().transactions, 0);
    code
}

#[test]
fn a_plain_payment_is_admitted_and_indexed() {
    let mut world = World::new();
    let payment = spend(&[world.coin(0)], 2, FEE);
    let txid = world.admit(&payment);
    let entry = world.mempool.get(&txid).unwrap();
    assert_eq!(entry.fee(), Amount::from_sat(FEE));
    assert_eq!(entry.vsize(), u64::try_from(payment.vsize()).unwrap());
    assert_eq!(entry.spent()[0].value, Amount::from_sat(COIN_SAT));
    assert_eq!(world.mempool.spender(&world.coins[0]), Some(txid));
    let script = ScriptHash::of(&payment.output[0].script_pubkey);
    assert_eq!(world.mempool.by_script(&script).count(), 1);
    assert_eq!(world.mempool.totals().fees, Amount::from_sat(FEE));
    assert!(world.mempool.has_waiting());
}

#[test]
fn rules_of_consensus_refuse_in_cores_words() {
    let rule = |change: fn(&mut Transaction)| refused(change).to_string();
    assert_eq!(rule(|tx| tx.input.clear()), "bad-txns-vin-empty");
    assert_eq!(rule(|tx| tx.output.clear()), "bad-txns-vout-empty");
    assert_eq!(rule(|tx| tx.input.push(tx.input[0].clone())), "bad-txns-inputs-duplicate");
    assert_eq!(
        rule(|tx| tx.output[0].value = Amount::from_sat(u64::MAX)),
        "bad-txns-vout-negative"
    );
    assert_eq!(rule(|tx| tx.output[0].value += Amount::from_sat(FEE + 1)), "bad-txns-in-belowout");
    assert_eq!(rule(|tx| tx.input[0].previous_output = OutPoint::null()), "coinbase");
    let missing = |tx: &mut Transaction| tx.input[0].previous_output.vout = 99;
    assert_eq!(refused(missing).to_string(), "bad-txns-inputs-missingorspent");
    assert_eq!(refused(missing).kind(), RejectKind::Premature);
}

#[test]
fn locks_that_are_not_reached_are_refused() {
    let far = |tx: &mut Transaction| tx.lock_time = LockTime::from_height(1_000_000).unwrap();
    assert_eq!(refused(far).to_string(), "non-final");
    let relative = |tx: &mut Transaction| tx.input[0].sequence = Sequence::from_height(60_000);
    assert_eq!(refused(relative).to_string(), "non-BIP68-final");
}

#[test]
fn an_unsealed_parent_holds_a_relative_lock() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    world.admit(&parent);
    let mut child = spend(&[output(&parent, 0)], 2, FEE);
    child.input[0].sequence = Sequence::from_height(1);
    assert_eq!(world.refuse(&child).to_string(), "non-BIP68-final");
    world.commit_taken();
    assert_eq!(world.refuse(&child).to_string(), "non-BIP68-final");
    world.seal(1);
    world.admit(&child);
}

#[test]
fn unusual_forms_are_refused_in_cores_words() {
    let word = |change: fn(&mut Transaction)| refused(change).to_string();
    assert_eq!(word(|tx| tx.version = Version(4)), "version");
    assert_eq!(word(|tx| tx.version = Version(0)), "version");
    assert_eq!(word(|tx| tx.version = Version(-1)), "version");
    assert_eq!(
        word(|tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x61])),
        "scriptsig-not-pushonly"
    );
    assert_eq!(
        word(|tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0; 1_651])),
        "scriptsig-size"
    );
    assert_eq!(
        word(|tx| tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51])),
        "scriptpubkey"
    );
    assert_eq!(word(|tx| tx.output[0].value = Amount::from_sat(329)), "dust");
    assert_eq!(word(|tx| fatten(tx, 60_000)), "min relay fee not met");
    let carriers = |tx: &mut Transaction| {
        fatten(tx, 60_000);
        fatten(tx, 60_000);
    };
    assert_eq!(refused(carriers).to_string(), "tx-size");
    let tiny = |tx: &mut Transaction| {
        tx.output.truncate(1);
        tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a]);
    };
    assert_eq!(refused(tiny).to_string(), "tx-size-small");
}

#[test]
fn data_carriers_together_are_bounded() {
    let limits = MempoolLimits { data_carrier_bytes_max: 100, ..MempoolLimits::default() };
    let mut world = World::with(limits, |_| {});
    let mut payment = spend(&[world.coin(0)], 1, FEE);
    fatten(&mut payment, 64);
    world.admit(&payment);
    let mut payment = spend(&[world.coin(1)], 1, FEE);
    fatten(&mut payment, 64);
    fatten(&mut payment, 64);
    assert_eq!(world.refuse(&payment), RejectCode::DataCarrier);
}

#[test]
fn versions_one_to_three_and_anchors_are_usual() {
    let mut world = World::new();
    for (place, version) in (0..3).zip(1..) {
        let mut payment = spend(&[world.coin(place)], 2, FEE);
        payment.version = Version(version);
        payment.output[1].script_pubkey = ScriptBuf::from_bytes(vec![0x51, 2, 0x4e, 0x73]);
        world.admit(&payment);
    }
}

#[test]
fn a_waived_standardness_lets_everything_valid_in() {
    let limits = MempoolLimits { standardness: Standardness::Waived, ..MempoolLimits::default() };
    let mut world = World::with(limits, |_| {});
    let mut payment = spend(&[world.coin(0)], 2, FEE);
    payment.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51]);
    payment.version = Version(7);
    world.admit(&payment);
}

#[test]
fn scripts_are_judged_and_the_input_is_named() {
    let mut world = World::new();
    let mut payment = spend(&[world.coin(0), world.coin(1)], 2, FEE);
    payment.input[1].witness = Witness::from_slice(&[[0x52]]);
    let reject = world.submit(&payment).unwrap_err();
    assert_eq!(reject.code, RejectCode::Script(ScriptFailure::WitnessMismatch));
    let words = "mempool-script-verify-flag-failed (Witness program hash mismatch), input 1 of";
    assert!(reject.reason.starts_with(words), "{}", reject.reason);
    assert_eq!(reject.code.kind(), RejectKind::Invalid);
}

#[test]
fn a_wide_witness_is_unusual() {
    let mut world = World::new();
    let mut payment = spend(&[world.coin(0)], 2, FEE);
    payment.input[0].witness = Witness::from_slice(&[vec![1; 81], vec![0x51]]);
    assert_eq!(world.refuse(&payment), RejectCode::NonStandardWitness);
}

#[test]
fn the_least_fee_is_a_satoshi_a_byte() {
    let mut world = World::new();
    let size = u64::try_from(spend(&[world.coin(0)], 2, FEE).vsize()).unwrap();
    let poor = spend(&[world.coin(0)], 2, size - 1);
    let reject = world.submit(&poor).unwrap_err();
    assert_eq!(reject.reason, format!("min relay fee not met, {} < {size}", size - 1));
    world.admit(&spend(&[world.coin(0)], 2, size));
    assert_eq!(world.mempool.iter().next().unwrap().fee_rate(), FeeRate::from_sat_per_kvb(1_000));
}

#[test]
fn what_is_known_is_answered_as_known() {
    let mut world = World::new();
    let payment = spend(&[world.coin(0)], 2, FEE);
    world.admit(&payment);
    assert_eq!(world.refuse(&payment), RejectCode::AlreadyInMempool);
    let mut other = payment.clone();
    other.input[0].witness = Witness::from_slice(&[vec![1], vec![0x51]]);
    assert_eq!(world.refuse(&other), RejectCode::SameNonWitnessData);
    world.commit_taken();
    assert_eq!(world.refuse(&payment), RejectCode::AlreadyKnown);
    assert_eq!(world.refuse(&other), RejectCode::AlreadyKnown);
    assert_eq!(RejectCode::AlreadyKnown.kind(), RejectKind::Known);
    let late = spend(&[world.coin(0)], 3, FEE);
    let reject = world.submit(&late).unwrap_err();
    assert_eq!(reject.code, RejectCode::Rule(SkipReason::InputsMissingOrSpent));
    assert!(reject.reason.ends_with(&format!("spent by {}", payment.compute_txid())));
}

#[test]
fn a_young_coinbase_is_refused_until_it_is_mature() {
    let mut world = World::with(MempoolLimits::default(), |genesis| {
        genesis.validators[0].payout_script.0 = super::free().into_bytes();
    });
    let payment = spend(&[world.coin(0)], 2, FEE);
    world.admit(&payment);
    world.commit_taken();
    let sealed = world.seal(1);
    let height = sealed.blocks[0].height;
    let block = crate::query::full_block(&world.rows, height).unwrap().unwrap();
    let reward = output(&block.txdata[0], 0);
    let early = spend(&[reward], 1, 400);
    assert_eq!(world.refuse(&early).to_string(), "bad-txns-premature-spend-of-coinbase");
    world.seal(99);
    world.admit(&early);
}

#[test]
fn chains_are_bounded_in_number() {
    let mut world = World::new();
    let mut last = spend(&[world.coin(0)], 1, FEE);
    world.admit(&last);
    for _ in 1..25 {
        let next = spend(&[output(&last, 0)], 1, FEE);
        world.admit(&next);
        last = next;
    }
    let next = spend(&[output(&last, 0)], 1, FEE);
    let reject = world.submit(&next).unwrap_err();
    assert_eq!(reject.code, RejectCode::ChainTooLong);
    let words = "too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]";
    assert_eq!(reject.reason, words);
    world.commit_taken();
    world.admit(&next);
}

#[test]
fn families_are_bounded_in_number_and_size() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 30, 10_000);
    world.admit(&parent);
    for vout in 0..24 {
        world.admit(&spend(&[output(&parent, vout)], 1, FEE));
    }
    let next = spend(&[output(&parent, 24)], 1, FEE);
    assert!(world.submit(&next).unwrap_err().reason.contains("too many descendants"));

    let mut fat = spend(&[world.coin(1)], 2, 60_000);
    fatten(&mut fat, 50_000);
    world.admit(&fat);
    let mut child = spend(&[output(&fat, 0)], 1, 60_000);
    fatten(&mut child, 51_000);
    assert!(world.submit(&child).unwrap_err().reason.contains("ancestor size limit"));
}

#[test]
fn a_full_sealing_backlog_refuses() {
    let mut world = World::with(MempoolLimits::default(), |genesis| {
        genesis.ledger.max_block_weight = 400_000;
        genesis.ledger.backlog_blocks = 1;
    });
    world.admit(&spend(&[world.coin(4)], 2, FEE));
    let mut parents = Vec::new();
    for place in 0..4 {
        let mut payment = spend(&[world.coin(place)], 2, 60_000);
        fatten(&mut payment, 30_000);
        parents.push(payment);
    }
    world.commit(OTHER, &parents);
    assert!(world.mempool.take(usize::MAX, usize::MAX).is_empty());
    let late = spend(&[world.coin(5)], 2, FEE);
    let code = world.refuse(&late);
    assert_eq!(code, RejectCode::Rule(SkipReason::BacklogFull));
    assert_eq!(code.kind(), RejectKind::Busy);
    world.seal(2);
    world.admit(&late);
    assert_eq!(world.mempool.take(usize::MAX, usize::MAX).len(), 2);
}

#[test]
fn an_unknown_parent_is_a_missing_input() {
    let mut world = World::new();
    let outpoint = OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 0 };
    let code = world.refuse(&spend(&[(outpoint, 10_000)], 1, FEE));
    assert_eq!(code, RejectCode::Rule(SkipReason::InputsMissingOrSpent));
}
