//! Outcomes: one a txid, for ever, and nothing that a hostile order can burn.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::hashes::Hash;
use bytes::Bytes;
use types::Author;
use types::CommitIndex;
use types::Item;

use super::*;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::query;
use crate::rules::SkipReason;
use crate::script::ScriptCache;
use crate::test_utils::anyone;
use crate::test_utils::item;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

fn skip_reasons(applied: &crate::apply::Applied) -> Vec<SkipReason> {
    applied.skipped.iter().map(|skipped| skipped.reason).collect()
}

#[test]
fn a_payment_is_final_in_its_commit() {
    let mut chain = ledger();
    let before = supply(&chain.tables);
    let coin = chain.allocation(0);
    let payment = spend(&[coin], &[30 * BITCOIN, 19 * BITCOIN]);
    let applied = chain.commit(&[&payment]);
    let txid = payment.compute_txid();
    let outcome = Outcome::Final { commit: CommitIndex::new(1) };
    assert_eq!(applied.finals, [txid]);
    assert_eq!(applied.spent, [(coin, txid)]);
    assert_eq!(applied.events[0].kind, EventKind::Outcome { txid, outcome });
    assert_eq!(query::outcome(&chain.tables, &txid), Ok(Some(outcome)));
    assert_eq!(query::coin(&chain.tables, &coin), Ok(None));
    assert_eq!(supply(&chain.tables), before);
}

#[test]
fn of_two_conflicting_transactions_the_later_names_the_winner() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let [first, second, third] = [1, 2, 3].map(|amount| spend(&[coin], &[amount * BITCOIN]));
    let applied = chain.commit(&[&first, &second]);
    let conflict = first.compute_txid();
    assert_eq!(applied.finals, [conflict]);
    assert_eq!(applied.rejected[0].conflict, conflict);
    chain.commit(&[&third]);
    for loser in [&second, &third] {
        let outcome = query::outcome(&chain.tables, &loser.compute_txid());
        assert_eq!(outcome, Ok(Some(Outcome::Rejected { conflict })));
    }
}

#[test]
fn a_conflict_decides_even_where_another_input_is_missing() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let winner = spend(&[coin], &[BITCOIN]);
    let missing = OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 0 };
    let loser = spend(&[missing, coin], &[BITCOIN]);
    let applied = chain.commit(&[&winner, &loser]);
    assert_eq!(applied.rejected[0].conflict, winner.compute_txid());
}

#[test]
fn a_known_outcome_is_silently_kept() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let winner = spend(&[coin], &[BITCOIN]);
    let loser = spend(&[coin], &[2 * BITCOIN]);
    chain.commit(&[&winner, &loser, &winner, &loser]);
    let events = chain.ledger.last_event();
    let applied = chain.commit(&[&winner, &loser]);
    assert_eq!(applied.repeated, 2);
    assert!(applied.events.is_empty());
    assert_eq!(events, 2);
    assert_eq!(chain.ledger.last_event(), 2);
}

#[test]
fn a_child_before_its_parent_is_passed_over_and_final_later() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN]);
    let child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    let applied = chain.commit(&[&child, &parent]);
    assert_eq!(skip_reasons(&applied), [SkipReason::InputsMissingOrSpent]);
    let txid = child.compute_txid();
    assert_eq!(query::outcome(&chain.tables, &txid), Ok(None));
    let reasons = query::skipped(&chain.tables, &txid, 10).unwrap();
    assert_eq!(reasons, [(1, SkipReason::InputsMissingOrSpent)]);
    assert_eq!(chain.commit(&[&child]).finals, [txid]);
}

#[test]
fn a_child_may_follow_its_parent_in_the_same_commit() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN]);
    let child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    let grandchild = spend(&[outpoint(&child, 0)], &[8 * BITCOIN]);
    let applied = chain.commit(&[&parent, &child, &grandchild]);
    assert_eq!(applied.finals.len(), 3);
    assert_eq!(query::coin(&chain.tables, &outpoint(&parent, 0)), Ok(None));
    assert!(query::coin(&chain.tables, &outpoint(&grandchild, 0)).unwrap().is_some());
    let spender = query::spender(&chain.tables, &outpoint(&child, 0)).unwrap().unwrap();
    assert_eq!((spender.txid, spender.input), (grandchild.compute_txid(), 0));
}

/// A coin under a witness script, and a transaction that spends it with the right witness.
fn witness_spend(chain: &mut TestLedger) -> Transaction {
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let mut funding = spend(&[chain.allocation(0)], &[]);
    funding.output.push(anyone(40 * BITCOIN));
    funding.output[0].script_pubkey = script.to_p2wsh();
    chain.commit(&[&funding]);
    let mut spending = spend(&[outpoint(&funding, 0)], &[39 * BITCOIN]);
    spending.input[0].witness = Witness::from_slice(&[script.as_bytes()]);
    spending
}

#[test]
fn a_spoilt_witness_does_not_burn_the_txid() {
    let mut chain = ledger();
    let spending = witness_spend(&mut chain);
    let mut spoilt = spending.clone();
    spoilt.input[0].witness = Witness::from_slice(&[[0x52]]);
    assert_eq!(spoilt.compute_txid(), spending.compute_txid());
    let applied = chain.commit(&[&spoilt]);
    assert_eq!(skip_reasons(&applied), [SkipReason::Script]);
    assert_eq!(applied.skipped[0].wtxid, spoilt.compute_wtxid());
    let applied = chain.commit(&[&spoilt, &spending, &spoilt]);
    assert_eq!(applied.finals, [spending.compute_txid()]);
    assert_eq!((applied.skipped.len(), applied.repeated), (1, 1));
}

#[test]
fn the_script_cache_changes_nothing_but_the_work() {
    let mut chain = ledger();
    let spending = witness_spend(&mut chain);
    let mut spoilt = spending.clone();
    spoilt.input[0].witness = Witness::from_slice(&[[0x52]]);
    let child = spend(&[outpoint(&spending, 0)], &[BITCOIN]);
    let batch = chain.batch(&[item(&spoilt), item(&spending), item(&child)]);
    let checks = chain.ledger.script_checks(&chain.tables, &batch, &ScriptCache::new()).unwrap();
    assert_eq!(checks.len(), 3);
    let mut warm = ScriptCache::new();
    for check in &checks {
        warm.insert(check.wtxid(), check.run());
    }
    let rest = chain.ledger.script_checks(&chain.tables, &batch, &warm).unwrap();
    assert!(rest.is_empty());
    let mut twin = chain.ledger.clone();
    let with = chain.ledger.apply(&chain.tables, &batch, &warm).unwrap();
    let without = twin.apply(&chain.tables, &batch, &ScriptCache::new()).unwrap();
    assert_eq!(with, without);
    assert_eq!(with.finals.len(), 2);
}

#[test]
fn what_breaks_a_rule_is_passed_over_in_core_s_words() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let make = |change: fn(&mut Transaction)| {
        let mut transaction = spend(&[coin], &[BITCOIN]);
        change(&mut transaction);
        transaction
    };
    let rows: [(Transaction, &str); 8] = [
        (make(|t| t.output.clear()), "bad-txns-vout-empty"),
        (make(|t| t.output[0].value = Amount::from_sat(u64::MAX)), "bad-txns-vout-negative"),
        (make(|t| t.output[0].value = Amount::from_int_btc(22_000_000)), "bad-txns-vout-toolarge"),
        (
            make(|t| t.output = vec![anyone(15_000_000 * BITCOIN); 2]),
            "bad-txns-txouttotal-toolarge",
        ),
        (make(|t| t.input.push(t.input[0].clone())), "bad-txns-inputs-duplicate"),
        (make(|t| t.input[0].previous_output = OutPoint::null()), "coinbase"),
        (make(|t| t.output[0].value = Amount::from_int_btc(51)), "bad-txns-in-belowout"),
        (
            make(|t| t.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0xae; 5_000])),
            "bad-txns-too-many-sigops",
        ),
    ];
    for (transaction, words) in rows {
        let applied = chain.commit(&[&transaction]);
        let reasons: Vec<String> =
            applied.skipped.iter().map(|skipped| skipped.reason.to_string()).collect();
        assert_eq!(reasons, [words]);
        assert_eq!(query::outcome(&chain.tables, &transaction.compute_txid()), Ok(None));
    }
    assert_eq!(chain.commit(&[&make(|_| {})]).finals.len(), 1);
}

#[test]
fn bytes_that_are_no_transaction_leave_only_a_count() {
    let mut chain = ledger();
    let junk = [&b""[..], b"junk", &[0xff; 200], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
    let items: Vec<Item> =
        junk.iter().map(|bytes| Item::Transaction(Bytes::copy_from_slice(bytes))).collect();
    let applied = chain.commit_items(&items);
    assert_eq!(applied.ignored, 4);
    assert!(applied.events.is_empty());
    let row = query::commit(&chain.tables, CommitIndex::new(1)).unwrap().unwrap();
    assert_eq!((row.ignored, row.finals, row.leader), (4, 0, Author::ZERO));
}

#[test]
fn unsealed_weight_has_an_end() {
    let mut chain = ledger_with(|genesis| {
        genesis.ledger.max_block_weight = 400_000;
        genesis.ledger.backlog_blocks = 1;
    });
    let coins: Vec<OutPoint> = (0..4).map(|number| chain.allocation(number)).collect();
    let mut reasons = Vec::new();
    for coin in coins {
        let mut large = spend(&[coin], &[BITCOIN]);
        large.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; 70_000]);
        reasons.extend(skip_reasons(&chain.commit(&[&large])));
    }
    // Two of 280,000 stay below twice the backlog of 400,000.
    assert_eq!(reasons, [SkipReason::BacklogFull; 2]);
    let backlog = chain.ledger.backlog();
    assert_eq!(backlog.transactions, 2);
    assert!(backlog.weight > backlog.weight_max);
}

#[test]
#[should_panic(expected = "commits are applied in order")]
fn a_commit_is_applied_once() {
    let mut chain = ledger();
    let batch = chain.batch(&[]);
    chain.ledger.apply(&chain.tables, &batch, &chain.cache).unwrap();
    let _ = chain.ledger.apply(&chain.tables, &batch, &chain.cache);
}
