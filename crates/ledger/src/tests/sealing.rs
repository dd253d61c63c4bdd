//! Ticks and blocks.

use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::Witness;
use bitcoin::hashes::Hash;
use types::CommitIndex;
use types::Height;
use types::Item;
use types::genesis::HexBytes;

use super::*;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::query;
use crate::test_utils::anyone;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

fn full_block(chain: &TestLedger, height: Height) -> Block {
    query::full_block(&chain.tables, height).unwrap().unwrap()
}

fn check_tip(chain: &TestLedger) -> Block {
    let height = chain.ledger.tip().height;
    let block = full_block(chain, height);
    check_block(&block, &full_block(chain, height.saturating_sub(1)), height.value());
    let record = query::block(&chain.tables, height).unwrap().unwrap();
    assert_eq!(record.weight, block.weight().to_wu());
    assert_eq!(record.size, u64::try_from(block.total_size()).unwrap());
    assert_eq!(usize::try_from(record.transactions).unwrap(), block.txdata.len());
    assert_eq!(record.hash, chain.ledger.tip().hash);
    block
}

#[test]
fn a_tick_falls_due_with_the_interval_and_missed_ones_are_not_made_up() {
    let mut chain = ledger();
    let start = chain.now;
    let rows = [
        (9_998, 0),
        (9_999, 1),
        (15_000, 0),
        (19_998, 0),
        (19_999, 1),
        (95_000, 1),
        (95_100, 0),
        (104_999, 0),
        (105_000, 1),
    ];
    for (after, blocks) in rows {
        chain.now = start.saturating_add(after);
        let applied = chain.commit(&[]);
        assert_eq!(applied.blocks.len(), blocks, "{after} ms");
        let tip = chain.ledger.tip();
        if blocks == 1 {
            assert_eq!(u64::from(tip.time), chain.now.value() / 1_000);
            check_tip(&chain);
        }
    }
}

#[test]
fn a_block_holds_what_is_final_and_pays_the_leader_its_fees() {
    let mut chain = ledger_with(|genesis| {
        genesis.validators[0].payout_script = HexBytes(vec![0x52]);
    });
    let before = supply(&chain.tables);
    let payment = spend(&[chain.allocation(0)], &[49 * BITCOIN]);
    let child = spend(&[outpoint(&payment, 0)], &[48 * BITCOIN]);
    chain.commit(&[&payment]);
    chain.now = chain.now.saturating_add(10_000);
    let applied = chain.commit(&[&child]);
    let block = check_tip(&chain);
    assert_eq!(block.txdata[1..], [payment.clone(), child]);
    let paid = &block.txdata[0].output[0];
    assert_eq!((paid.value.to_sat(), paid.script_pubkey.as_bytes()), (2 * BITCOIN, &[0x52][..]));
    assert_eq!(chain.ledger.backlog().weight, 0);
    assert_eq!(supply(&chain.tables), before);
    let kind = EventKind::Block { height: chain.ledger.tip().height, hash: block.block_hash() };
    let [.., sealed, proof] = &applied.events[..] else { panic!("{:?}", applied.events) };
    assert_eq!(sealed.kind, kind);
    assert!(matches!(proof.kind, EventKind::Checkpoint { .. }), "{proof:?}");
    let place = query::place(&chain.tables, &payment.compute_txid()).unwrap().unwrap();
    assert_eq!((place.height, place.position), (chain.ledger.tip().height, 1));
}

#[test]
fn a_block_with_witnesses_commits_to_them() {
    let mut chain = ledger();
    let script = ScriptBuf::from_bytes(vec![0x51]);
    let mut funding = spend(&[chain.allocation(0)], &[]);
    funding.output.push(anyone(40 * BITCOIN));
    funding.output[0].script_pubkey = script.to_p2wsh();
    let mut spending = spend(&[outpoint(&funding, 0)], &[39 * BITCOIN]);
    spending.input[0].witness = Witness::from_slice(&[script.as_bytes()]);
    assert_eq!(chain.commit(&[&funding, &spending]).finals.len(), 2);
    chain.ticks(1);
    let block = check_tip(&chain);
    assert_eq!(block.txdata[2].compute_wtxid(), spending.compute_wtxid());
}

fn heavy(coin: OutPoint, bytes: usize) -> Transaction {
    let mut transaction = spend(&[coin], &[BITCOIN, BITCOIN]);
    transaction.output[1].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; bytes]);
    transaction
}

#[test]
fn what_does_not_fit_waits_final_for_the_next_tick() {
    let mut chain = ledger_with(|genesis| genesis.ledger.max_block_weight = 400_000);
    let mut coin = chain.allocation(0);
    let mut made = Vec::new();
    for _ in 0..5 {
        // Two of 180,000 fit into a block, the third does not.
        let mut transaction = heavy(coin, 45_000);
        transaction.output[0].value = Amount::from_sat(50 * BITCOIN - 1_000);
        if !made.is_empty() {
            transaction.output[0].value = Amount::from_sat(40 * BITCOIN);
        }
        transaction.output[1].value = Amount::ZERO;
        coin = outpoint(&transaction, 0);
        made.push(transaction);
        if made.len() > 1 {
            made.last_mut().unwrap().output[0].value =
                Amount::from_sat((50 - u64::try_from(made.len()).unwrap()) * BITCOIN);
            coin = outpoint(made.last().unwrap(), 0);
        }
    }
    let applied = chain.commit(&made.iter().collect::<Vec<_>>());
    assert_eq!(applied.finals.len(), 5, "{:?}", applied.skipped);
    let mut sealed = Vec::new();
    for expected in [2, 2, 1, 0] {
        chain.ticks(1);
        let block = check_tip(&chain);
        assert!(block.weight().to_wu() <= 400_000);
        assert_eq!(block.txdata.len() - 1, expected);
        sealed.extend(block.txdata.into_iter().skip(1));
    }
    assert_eq!(sealed, made, "in the order in which they became final");
    let backlog = chain.ledger.backlog();
    assert_eq!((backlog.transactions, backlog.weight), (0, 0));
    assert_eq!(query::unsealed(&chain.tables, 0, 10), Ok(vec![]));
}

#[test]
fn a_block_stays_below_its_limit_of_signature_operations() {
    let mut chain = ledger();
    let fan = {
        let mut fan = spend(&[chain.allocation(0)], &[]);
        fan.output = vec![anyone(BITCOIN); 3];
        fan
    };
    chain.commit(&[&fan]);
    chain.ticks(1);
    // 500 CHECKMULTISIG cost 40,000 each; with a third the block would hold 120,000.
    let costly: Vec<Transaction> = (0..3)
        .map(|vout| {
            let mut costly = spend(&[outpoint(&fan, vout)], &[BITCOIN / 2]);
            costly.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0xae; 500]);
            costly
        })
        .collect();
    assert_eq!(chain.commit(&costly.iter().collect::<Vec<_>>()).finals.len(), 3);
    chain.ticks(1);
    assert_eq!(check_tip(&chain).txdata.len(), 3);
    chain.ticks(1);
    assert_eq!(check_tip(&chain).txdata.len(), 2);
}

#[test]
fn development_ticks_seal_at_once_and_only_where_allowed() {
    let mut chain = ledger();
    let tip = chain.ledger.tip().height.value();
    let applied = chain.commit_items(&[Item::DevelopmentTicks(40), Item::DevelopmentTicks(0)]);
    assert_eq!(applied.blocks.len(), 40);
    assert_eq!(chain.ledger.tip().height, Height::new(tip + 40));
    for height in tip + 1..=tip + 40 {
        let block = full_block(&chain, Height::new(height));
        let before = query::block(&chain.tables, Height::new(height - 1)).unwrap().unwrap();
        check_block(&block, &full_block(&chain, Height::new(height - 1)), height);
        assert!(block.header.time > before.median_time_past);
    }
    assert_eq!(chain.ticks(1_001).ignored, 1);
    let mut other = ledger_with(|genesis| genesis.development = false);
    let applied = other.ticks(3);
    assert_eq!((applied.blocks.len(), applied.ignored), (0, 1));
}

#[test]
fn headers_run_ahead_of_agreed_time_only_so_far() {
    let mut chain = ledger();
    let mut sealed = 0;
    for _ in 0..30 {
        sealed += chain.ticks(1_000).blocks.len();
    }
    assert!(sealed < 30_000, "the run ends");
    assert!(sealed > 15_000, "but late");
    let now = u32::try_from(chain.now.value() / 1_000).unwrap();
    assert!(chain.ledger.tip().time <= now + 3_600);
    assert_eq!(chain.ticks(1).ignored, 1);
    chain.now = chain.now.saturating_add(2_000);
    assert!(!chain.ticks(1).blocks.is_empty());
}

#[test]
fn ticks_between_transactions_seal_what_stands_before_them() {
    let mut chain = ledger();
    let parent = spend(&[chain.allocation(0)], &[10 * BITCOIN]);
    let mut child = spend(&[outpoint(&parent, 0)], &[9 * BITCOIN]);
    child.input[0].sequence = bitcoin::Sequence::from_height(2);
    let applied = chain.commit_items(&[
        crate::test_utils::item(&parent),
        Item::DevelopmentTicks(1),
        crate::test_utils::item(&child),
        Item::DevelopmentTicks(1),
        crate::test_utils::item(&child),
        Item::DevelopmentTicks(1),
    ]);
    assert_eq!(applied.skipped.len(), 1);
    let counts: Vec<usize> = applied.blocks.iter().map(|block| block.txids.len()).collect();
    assert_eq!(counts, [2, 1, 2]);
    check_tip(&chain);
}

#[test]
fn the_results_root_covers_what_was_decided_since_the_block_before() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let winner = spend(&[coin], &[BITCOIN]);
    let loser = spend(&[coin], &[2 * BITCOIN]);
    chain.commit(&[&winner]);
    chain.commit(&[&loser]);
    chain.ticks(2);
    let mut results = types::Results::default();
    let conflict = winner.compute_txid();
    let outcomes = [
        (conflict, Outcome::Final { commit: CommitIndex::new(1) }),
        (loser.compute_txid(), Outcome::Rejected { conflict }),
    ];
    for (txid, outcome) in outcomes {
        let txid = types::BitcoinHash::new(txid.to_byte_array());
        results.push(&txid, &outcome.in_receipts());
    }
    let tip = chain.ledger.tip().height;
    let root = |height| query::results_root(&chain.tables, height).unwrap();
    assert_eq!(root(tip.saturating_sub(1)), Some(results.root()));
    assert_eq!(root(tip), Some(crate::empty_root()));
    assert_ne!(conflict.to_byte_array(), [0; 32]);
}
