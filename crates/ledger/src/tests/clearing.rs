//! Rows that are taken away to be made anew.

use types::table::Changes;
use types::table::TableRead as _;

use super::*;
use crate::Clearing;
use crate::Ledger;
use crate::mempool::POOL;
use crate::query;
use crate::test_utils::spend;

/// A chain with something in every kind of row, and something in the pool.
fn used() -> TestLedger {
    let mut chain = ledger_with(|genesis| genesis.ledger.checkpoint_every = 2);
    let first = spend(&[chain.allocation(0)], &[20 * BITCOIN, 29 * BITCOIN]);
    let loser = spend(&[chain.allocation(0)], &[BITCOIN]);
    chain.commit(&[&first, &loser]);
    chain.ticks(2);
    let mut pooled = Changes::default();
    pooled.put(POOL, &b"acknowledged"[..], &b"1"[..]);
    chain.tables.write(pooled);
    chain
}

fn is_empty(tables: &MemoryTables) -> bool {
    let mut kept = crate::tables().iter().filter(|table| **table != POOL);
    kept.all(|table| tables.scan(*table, &[], &[], 1).unwrap().is_empty())
}

#[test]
fn everything_but_the_pool_goes() {
    let TestLedger { mut tables, .. } = used();
    let (mut clearing, first) = Clearing::begin();
    tables.write(first);
    while let Some(changes) = clearing.next(&tables).unwrap() {
        assert_eq!(Clearing::is_under_way(&tables), Ok(true));
        tables.write(changes);
    }
    assert!(is_empty(&tables));
    assert_eq!(Clearing::is_under_way(&tables), Ok(false));
    assert!(tables.get(POOL, b"acknowledged").unwrap().is_some());
}

#[test]
fn whoever_is_cut_short_at_any_step_goes_on_and_no_ledger_opens_meanwhile() {
    for steps in 0.. {
        let TestLedger { mut tables, genesis, .. } = used();
        let (mut clearing, first) = Clearing::begin();
        tables.write(first);
        let mut cut_short = false;
        for _ in 0..steps {
            let Some(changes) = clearing.next(&tables).unwrap() else { return };
            cut_short = true;
            tables.write(changes);
        }
        if !Clearing::is_under_way(&tables).unwrap() {
            assert!(cut_short && is_empty(&tables));
            return;
        }
        assert!(Ledger::open(&genesis, &tables).is_err());
        assert_eq!(query::summary(&tables), Ok(None));
        let (mut clearing, first) = Clearing::begin();
        tables.write(first);
        while let Some(changes) = clearing.next(&tables).unwrap() {
            tables.write(changes);
        }
        assert!(is_empty(&tables));
    }
}
