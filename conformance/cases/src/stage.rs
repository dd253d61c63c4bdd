//! A ledger in which any transaction can be judged: the coins that it spends are planted, and the
//! chain stands where every lock that can open has opened.

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use ledger::Mempool;
use ledger::PreparedTransaction;
use ledger::ScriptVerdict;
use ledger::mempool::AdmissionError;
use ledger::mempool::FeeRate;
use ledger::mempool::MempoolLimits;
use ledger::mempool::Standardness;
use ledger::test_utils::TestLedger;
use types::Author;
use types::Height;
use types::test_utils::TestNetwork;

/// As far as the two clocks go, less some air for the block behind the tip.
const HEIGHT: u32 = u32::MAX - 100_000;
const TIME: u32 = u32::MAX - 100_000;

/// The ledger and a pool of no policy.
pub(crate) struct Stage {
    ledger: TestLedger,
}

/// What our two ways say of one transaction: nothing when it is valid, else the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdicts {
    pub(crate) apply: Option<String>,
    pub(crate) admission: Option<String>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let mut ledger = TestLedger::new(TestNetwork::new(1).genesis);
        ledger.leap(Height::new(HEIGHT), TIME);
        Self { ledger }
    }

    /// Judges a transaction that spends these outputs. Nothing of it stays but the coins.
    pub(crate) fn judge(
        &mut self,
        transaction: &Transaction,
        spent: &[(OutPoint, TxOut)],
    ) -> Verdicts {
        let mut stage = TestLedger {
            tables: self.ledger.tables.clone(),
            ledger: self.ledger.ledger.clone(),
            genesis: self.ledger.genesis.clone(),
            cache: self.ledger.cache.clone(),
            now: self.ledger.now,
        };
        for (outpoint, output) in spent {
            stage.plant(*outpoint, output.clone());
        }
        Verdicts { admission: admit(&stage, transaction), apply: apply(&mut stage, transaction) }
    }
}

fn apply(stage: &mut TestLedger, transaction: &Transaction) -> Option<String> {
    let applied = stage.commit(&[transaction]);
    if applied.finals == [transaction.compute_txid()] {
        return None;
    }
    let skipped = applied.skipped.first().map(|skipped| skipped.reason.to_string());
    Some(skipped.unwrap_or_else(|| "conflict".to_owned()))
}

fn admit(stage: &TestLedger, transaction: &Transaction) -> Option<String> {
    let limits = MempoolLimits {
        relay_fee: FeeRate::from_sat_per_kvb(0),
        standardness: Standardness::Waived,
        ..MempoolLimits::default()
    };
    let mut pool = Mempool::new(Some(Author::ZERO), limits);
    let transaction = PreparedTransaction::new(transaction.clone());
    let prepared = pool.prepare(&stage.ledger, &stage.tables, transaction);
    let admitted = prepared.and_then(|prepared| {
        let verdict: ScriptVerdict = prepared.check().run();
        pool.admit(&stage.ledger, &stage.tables, prepared, verdict)
    });
    match admitted {
        Ok(_) => None,
        Err(AdmissionError::Reject(reject)) => Some(reject.reason),
        Err(AdmissionError::Fault(fault)) => Some(fault.to_string()),
    }
}
