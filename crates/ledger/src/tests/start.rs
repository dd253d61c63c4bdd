//! Genesis: the prefix is what Bitcoin Core accepts and its money moves at once.

use types::Height;
use types::genesis::Allocation;
use types::genesis::HexBytes;

use super::*;
use crate::apply::Ledger;
use crate::error::LedgerError;
use crate::query;
use crate::test_utils::outpoint;
use crate::test_utils::spend;

#[test]
fn the_prefix_is_a_chain_that_bitcoin_core_accepts() {
    let chain = ledger();
    let tip = chain.ledger.tip();
    assert_eq!(tip.height, Height::new(4 + 99));
    let start = u32::try_from(chain.genesis.start_ms.value() / 1_000).unwrap();
    assert!(tip.time < start && tip.time >= start - 2, "stamped close below the start");

    let block = |height| query::full_block(&chain.tables, Height::new(height)).unwrap().unwrap();
    let regtest = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
    assert_eq!(block(0).block_hash().to_string(), regtest);
    let mut times = vec![block(0).header.time];
    for height in 1..=tip.height.value() {
        let (block, parent) = (block(height), block(height - 1));
        check_block(&block, &parent, height);
        let mut last: Vec<u32> = times.iter().rev().take(11).copied().collect();
        last.sort_unstable();
        assert!(block.header.time > last[last.len() / 2], "height {height}");
        times.push(block.header.time);
        let paid: Amount = block.txdata[0].output.iter().map(|output| output.value).sum();
        assert!(paid <= Amount::from_int_btc(50));
    }
}

#[test]
fn every_allocation_moves_in_the_first_commit() {
    let mut chain = ledger();
    let spends: Vec<_> =
        (0..4).map(|number| spend(&[chain.allocation(number)], &[50 * BITCOIN - 1_000])).collect();
    let applied = chain.commit(&spends.iter().collect::<Vec<_>>());
    assert_eq!(applied.finals.len(), 4, "{:?}", applied.skipped);
}

#[test]
fn the_last_allocation_is_mature_to_the_block() {
    // One block less and the youngest allocation would have to wait.
    let chain = ledger();
    let youngest = 4;
    assert_eq!(chain.ledger.next_block().height.value() - youngest, 100);
}

#[test]
fn the_same_genesis_gives_the_same_bytes() {
    let genesis = TestNetwork::new(4).genesis;
    assert_eq!(Ledger::genesis(&genesis), Ledger::genesis(&genesis));
}

#[test]
fn two_networks_share_no_block_but_the_first() {
    let one = ledger();
    let other = ledger_with(|genesis| genesis.name.push('x'));
    for height in 1..=3 {
        let hash = |chain: &TestLedger| {
            query::block(&chain.tables, Height::new(height)).unwrap().unwrap().hash
        };
        assert_ne!(hash(&one), hash(&other));
    }
}

#[test]
fn allocations_are_packed_in_order_up_to_fifty_bitcoin() {
    let chain = ledger_with(|genesis| {
        let allocation =
            |bitcoin| Allocation { script: HexBytes(vec![0x51]), amount_sat: bitcoin * BITCOIN };
        genesis.allocations = [20, 30, 1, 50, 10, 10].map(allocation).to_vec();
    });
    let paid = |height| {
        let block = query::full_block(&chain.tables, Height::new(height)).unwrap().unwrap();
        let outputs = block.txdata[0].output.iter().map(|output| output.value.to_sat() / BITCOIN);
        outputs.filter(|value| *value > 0).collect::<Vec<_>>()
    };
    assert_eq!(
        (1..=5).map(paid).collect::<Vec<_>>(),
        [vec![20, 30], vec![1], vec![50], vec![10, 10], vec![],]
    );
    assert_eq!(chain.ledger.tip().height, Height::new(4 + 99));
}

#[test]
fn allocations_that_fill_more_blocks_than_pay_fifty_bitcoin_are_refused() {
    let network = TestNetwork::with(4, |genesis| {
        let allocation = Allocation { script: HexBytes(vec![0x51]), amount_sat: 26 * BITCOIN };
        genesis.allocations = vec![allocation; 150];
    });
    let refused = Ledger::genesis(&network.genesis);
    assert_eq!(refused, Err(LedgerError::TooManyAllocationBlocks { limit: 149 }));
}

#[test]
fn many_allocations_are_spread_by_weight() {
    let chain = ledger_with(|genesis| {
        genesis.ledger.max_block_weight = 400_000;
        let allocation = Allocation { script: HexBytes(vec![0x51; 100]), amount_sat: 1_000 };
        genesis.allocations = vec![allocation; 1_000];
    });
    for height in 1..=3 {
        let record = query::block(&chain.tables, Height::new(height)).unwrap().unwrap();
        assert!(record.weight <= 400_000, "height {height}: {}", record.weight);
    }
    assert_eq!(chain.ledger.tip().height, Height::new(2 + 99));
    assert_eq!(supply(&chain.tables), 1_000_000);
}

#[test]
fn a_ledger_opens_only_over_its_own_rows() {
    let chain = ledger();
    let other = TestNetwork::with(4, |genesis| genesis.name.push('x')).genesis;
    assert!(matches!(Ledger::open(&other, &chain.tables), Err(LedgerError::WrongChain { .. })));
    let empty = MemoryTables::default();
    assert!(matches!(Ledger::open(&other, &empty), Err(LedgerError::Empty)));
}

#[test]
fn a_reopened_ledger_goes_on_as_if_it_had_never_closed() {
    let mut chain = ledger();
    let first = spend(&[chain.allocation(0)], &[BITCOIN, BITCOIN]);
    chain.commit(&[&first]);
    let mut reopened = Ledger::open(&chain.genesis, &chain.tables).unwrap();
    let second = spend(&[outpoint(&first, 1)], &[BITCOIN / 2]);
    chain.now = chain.now.saturating_add(20_000);
    let batch = chain.batch(&[crate::test_utils::item(&second)]);
    let one = chain.ledger.apply(&chain.tables, &batch, &chain.cache).unwrap();
    let other = reopened.apply(&chain.tables, &batch, &chain.cache).unwrap();
    assert_eq!(one, other);
    assert_eq!(one.blocks.len(), 1);
}
