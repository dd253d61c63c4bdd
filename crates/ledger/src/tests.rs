//! The ledger as a whole, over tables in memory.

mod applying;
mod blobs;
mod checkpoints;
mod clearing;
mod locks;
mod property;
mod reading;
mod retention;
mod rules;
mod sealing;
mod snapshots;
mod start;
mod vectors;

use bitcoin::Amount;
use bitcoin::Block;
use types::Genesis;
use types::encoding::Decode;
use types::test_utils::TestNetwork;

use crate::rows;
use crate::rows::Coin;
use crate::rows::Unsealed;
use crate::test_utils::MemoryTables;
use crate::test_utils::TestLedger;

pub(crate) const BITCOIN: u64 = 100_000_000;

fn ledger() -> TestLedger {
    ledger_with(|_| {})
}

fn ledger_with(change: impl FnOnce(&mut Genesis)) -> TestLedger {
    TestLedger::new(TestNetwork::with(4, change).genesis)
}

/// Everything that exists: coins, and fees that no coinbase has paid out yet.
fn supply(tables: &MemoryTables) -> u64 {
    let coins = tables.rows(rows::COINS);
    let coins = coins.map(|(_, row)| Coin::from_bytes(row).unwrap().output.value);
    let fees = tables.rows(rows::UNSEALED);
    let fees = fees.map(|(_, row)| Amount::from_sat(Unsealed::from_bytes(row).unwrap().fee_sat));
    coins.chain(fees).sum::<Amount>().to_sat()
}

/// What Bitcoin Core asks of a block apart from its transactions' own validity.
fn check_block(block: &Block, parent: &Block, height: u32) {
    assert_eq!(block.header.prev_blockhash, parent.block_hash(), "height {height}");
    assert_eq!(block.header.bits.to_consensus(), 0x207f_ffff);
    assert!(block.header.validate_pow(block.header.target()).is_ok(), "height {height}");
    assert!(block.check_merkle_root(), "height {height}");
    assert!(block.check_witness_commitment(), "height {height}");
    let script_sig = block.coinbase().unwrap().input[0].script_sig.as_bytes();
    assert!((2..=100).contains(&script_sig.len()), "height {height}");
    let pushed = bitcoin::script::Builder::new().push_int(i64::from(height)).into_script();
    assert!(script_sig.starts_with(pushed.as_bytes()), "height {height}");
}
