//! Checkpoints: when there is one, what it covers, and that its hashes are those of the state.

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::hashes::Hash;
use types::BitcoinHash;
use types::Checkpoint;
use types::Height;
use types::Item;
use types::results;

use super::*;
use crate::checkpoint;
use crate::checkpoint::Hashes;
use crate::muhash::MuHash;
use crate::query;
use crate::test_utils::item;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

/// The coins that the sealed blocks leave, as Bitcoin Core would build and hash them: from nothing
/// but the blocks.
pub(super) fn utxo_hash_of_blocks(chain: &TestLedger) -> BitcoinHash {
    let mut coins: BTreeMap<OutPoint, (u32, TxOut)> = BTreeMap::new();
    for height in 1..=chain.ledger.tip().height.value() {
        let block = query::full_block(&chain.tables, Height::new(height)).unwrap().unwrap();
        for transaction in &block.txdata {
            if !transaction.is_coinbase() {
                for input in &transaction.input {
                    assert!(coins.remove(&input.previous_output).is_some(), "height {height}");
                }
            }
            let txid = transaction.compute_txid();
            let code = height * 2 + u32::from(transaction.is_coinbase());
            for (vout, output) in (0_u32..).zip(&transaction.output) {
                if !output.script_pubkey.is_op_return() && output.script_pubkey.len() <= 10_000 {
                    coins.insert(OutPoint { txid, vout }, (code, output.clone()));
                }
            }
        }
    }
    let mut hash = MuHash::default();
    for (outpoint, (code, output)) in &coins {
        hash.insert(&checkpoint::coin_bytes(outpoint, *code, output));
    }
    hash.finish()
}

fn stored_hashes(chain: &TestLedger) -> Hashes {
    rows::read_row(&chain.tables, rows::STATE, rows::HASHES_KEY).unwrap().unwrap()
}

fn last(chain: &TestLedger) -> Checkpoint {
    query::checkpoints_back(&chain.tables, 1).unwrap()[0].checkpoint
}

#[test]
fn genesis_has_the_hash_of_its_allocations() {
    let chain = ledger();
    assert_eq!(stored_hashes(&chain).utxo_hash, utxo_hash_of_blocks(&chain));
}

#[test]
fn every_eighth_commit_and_every_one_that_seals_is_a_checkpoint() {
    let mut chain = ledger();
    let mut seen = Vec::new();
    for number in 1..=20_u64 {
        let applied = if number == 11 { chain.ticks(1) } else { chain.commit(&[]) };
        seen.extend(applied.checkpoint.map(|checkpoint| checkpoint.commit.value()));
    }
    assert_eq!(seen, [8, 11, 16]);
    let rows = query::checkpoints_from(&chain.tables, types::CommitIndex::new(9), 10).unwrap();
    assert_eq!(rows.len(), 2);
    let first = query::checkpoint(&chain.tables, types::CommitIndex::new(8)).unwrap().unwrap();
    assert_eq!(rows[0].checkpoint.previous, first.checkpoint.digest());
    assert_eq!(rows[1].checkpoint.previous, rows[0].checkpoint.digest());
    assert_eq!(first.checkpoint.previous, types::Digest::ZERO);
    assert_eq!((rows[0].first_event, rows[0].last_event), (2, 3), "a block and the checkpoint");
}

#[test]
fn the_coins_hash_is_that_of_the_sealed_blocks_whatever_waits() {
    let mut chain = ledger_with(|genesis| genesis.ledger.checkpoint_every = 1);
    let parent = spend(&[chain.allocation(0)], &[20 * BITCOIN, 29 * BITCOIN]);
    let sealed_hash = utxo_hash_of_blocks(&chain);
    chain.commit(&[&parent]);
    assert_eq!(last(&chain).utxo_hash, sealed_hash, "nothing is sealed yet");
    let child = spend(&[outpoint(&parent, 0)], &[19 * BITCOIN]);
    // In one commit: a child, a block, and a grandchild that is left for the next block.
    let grandchild = spend(&[outpoint(&child, 0), outpoint(&parent, 1)], &[40 * BITCOIN]);
    chain.commit_items(&[item(&child), Item::DevelopmentTicks(1), item(&grandchild)]);
    assert_eq!(last(&chain).utxo_hash, utxo_hash_of_blocks(&chain));
    assert_ne!(last(&chain).utxo_hash, sealed_hash);
    let between = last(&chain).utxo_hash;
    chain.commit(&[]);
    assert_eq!(last(&chain).utxo_hash, between);
    chain.ticks(3);
    assert_eq!(last(&chain).utxo_hash, utxo_hash_of_blocks(&chain));
    assert_eq!(last(&chain).height, chain.ledger.tip().height);
}

#[test]
fn the_state_hash_follows_from_what_the_next_commit_depends_on() {
    let mut chain = ledger_with(|genesis| genesis.ledger.checkpoint_every = 1);
    let mut seen = vec![types::Digest::ZERO];
    let coin = chain.allocation(0);
    let winner = spend(&[coin], &[BITCOIN]);
    let loser = spend(&[coin], &[2 * BITCOIN]);
    for commit in [vec![], vec![&winner], vec![&loser], vec![&loser]] {
        chain.commit(&commit);
        let state_hash = last(&chain).state_hash;
        assert!(!seen.contains(&state_hash));
        seen.push(state_hash);
    }
    // Where the rows stand, the hash can be computed again.
    let reopened = crate::Ledger::open(&chain.genesis, &chain.tables).unwrap();
    assert_eq!(reopened.checkpoint_now().state_hash, last(&chain).state_hash);
    assert_eq!(reopened.checkpoint_now().utxo_hash, last(&chain).utxo_hash);
}

#[test]
fn spent_and_rejected_are_remembered_in_one_hash() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let winner = spend(&[coin, chain.allocation(1)], &[BITCOIN]);
    let loser = spend(&[coin], &[2 * BITCOIN]);
    chain.commit(&[&winner, &loser]);
    chain.ticks(1);
    let mut hash = MuHash::default();
    for (key, value) in chain.tables.rows(rows::SPENDS) {
        let spent = rows::outpoint_of_key(key).unwrap();
        let spender = query::Spender::from_bytes(value).unwrap();
        hash.insert(&checkpoint::spent_bytes(&spent, &spender.txid, spender.input));
    }
    for (key, value) in chain.tables.rows(rows::REJECTED) {
        let txid = Txid::from_slice(key).unwrap();
        let row = rows::RejectedRow::from_bytes(value).unwrap();
        hash.insert(&checkpoint::rejected_bytes(&txid, &row.winner, row.commit));
    }
    assert_eq!(stored_hashes(&chain).past, hash);
}

#[test]
fn outcomes_have_a_path_to_the_checkpoint_that_covers_them() {
    let mut chain = ledger();
    let coin = chain.allocation(0);
    let winner = spend(&[coin], &[BITCOIN]);
    let losers: Vec<_> = (2..6).map(|amount| spend(&[coin], &[amount * BITCOIN])).collect();
    chain.commit(&[&winner]);
    assert_eq!(chain.ledger.uncovered_outcomes(), 1);
    for loser in &losers {
        chain.commit(&[loser]);
    }
    chain.ticks(1);
    assert_eq!(chain.ledger.uncovered_outcomes(), 0);
    let later = spend(&[chain.allocation(1)], &[BITCOIN]);
    chain.commit(&[&later]);
    chain.ticks(1);
    for transaction in losers.iter().chain([&winner, &later]) {
        let txid = transaction.compute_txid();
        let decided = query::decided_in(&chain.tables, &txid).unwrap().unwrap();
        let rows = query::checkpoints_from(&chain.tables, decided, 2).unwrap();
        let row = &rows[0];
        let (outcome, path) = query::results_path(&chain.tables, row, &txid).unwrap().unwrap();
        assert_eq!(Some(outcome), query::outcome(&chain.tables, &txid).unwrap());
        let leaf = results::leaf(&BitcoinHash::new(txid.to_byte_array()), &outcome.in_receipts());
        assert_eq!(results::root_of_path(leaf, &path), row.checkpoint.results_root);
        assert!(row.checkpoint.has_outcomes());
    }
    let coinbase = query::block_txids(&chain.tables, chain.ledger.tip().height, 0, 1).unwrap()[0];
    let row = query::checkpoints_back(&chain.tables, 1).unwrap()[0];
    assert_eq!(query::results_path(&chain.tables, &row, &coinbase).unwrap(), None);
}
