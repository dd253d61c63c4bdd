//! A transaction from a stranger, at the pool's door and in a commit.
//!
//! Its first inputs are pointed at coins that exist, so that more than the first check is reached.
//! What the pool admits, apply must not refuse for good; and neither may panic.
#![no_main]

use std::cell::RefCell;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::consensus::encode;
use fuzz::NETWORK;
use ledger::Mempool;
use ledger::PreparedTransaction;
use ledger::mempool::MempoolLimits;
use ledger::mempool::Standardness;
use ledger::test_utils::TestLedger;
use libfuzzer_sys::fuzz_target;
use types::Author;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

struct World {
    ledger: TestLedger,
    coins: Vec<OutPoint>,
}

impl World {
    fn new() -> Self {
        let ledger = TestLedger::new(NETWORK.genesis.clone());
        let coins = (0..3).map(|number| ledger.allocation(number)).collect();
        Self { ledger, coins }
    }

    fn admit(&self, transaction: &Transaction) -> bool {
        let TestLedger { ledger, tables, .. } = &self.ledger;
        let limits =
            MempoolLimits { standardness: Standardness::Waived, ..MempoolLimits::default() };
        let mut pool = Mempool::new(Some(Author::ZERO), limits);
        let prepared = PreparedTransaction::new(transaction.clone());
        let Ok(prepared) = pool.prepare(ledger, tables, prepared) else { return false };
        let verdict = prepared.check().run();
        if pool.admit(ledger, tables, prepared, verdict).is_err() {
            return false;
        }
        let taken = pool.take(types::PAYLOAD_BYTES_MAX, types::ITEMS_MAX);
        assert_eq!(taken.len(), 1, "what was admitted is proposed");
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut transaction) = encode::deserialize::<Transaction>(bytes) else { return };
    assert_eq!(encode::serialize(&transaction), bytes, "taken, but not canonical");
    WORLD.with_borrow_mut(|world| {
        world.admit(&transaction);
        for (input, coin) in transaction.input.iter_mut().zip(&world.coins) {
            input.previous_output = *coin;
        }
        let admitted = world.admit(&transaction);
        let applied = world.ledger.commit(&[&transaction]);
        let txid = transaction.compute_txid();
        if admitted {
            assert_eq!(applied.finals, [txid], "the pool takes what apply takes");
        }
        if !applied.finals.is_empty() {
            *world = World::new();
        }
    });
});
