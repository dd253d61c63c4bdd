//! The pool against a ledger in memory. Money lies in P2WSH programs that anybody may spend, so
//! that every script check here is a real one.

mod admission;
mod lone;
mod package;
mod properties;
mod replacement;
mod settle;
mod taking;
mod truc;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Script;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use types::Author;
use types::Digest;
use types::Genesis;
use types::Item;
use types::TimestampMs;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::test_utils::TestNetwork;

use super::Admission;
use super::AdmissionError;
use super::Mempool;
use super::MempoolLimits;
use super::PackageAnswer;
use super::Reject;
use super::RejectCode;
use crate::Applied;
use crate::Batch;
use crate::BatchItem;
use crate::Ledger;
use crate::PreparedTransaction;
use crate::ScriptCache;
use crate::ScriptVerdict;
use crate::query;
use crate::rows::ScriptHash;
use crate::test_utils::MemoryTables;

/// What the pool's own validator is called, and another.
const OWN: Author = Author::new(0);
const OTHER: Author = Author::new(1);
/// How many coins of 50 BTC there are.
const COINS: usize = 6;
const COIN_SAT: u64 = 5_000_000_000;
const FEE: u64 = 1_000;

struct World {
    genesis: Genesis,
    rows: MemoryTables,
    ledger: Ledger,
    cache: ScriptCache,
    mempool: Mempool,
    coins: Vec<OutPoint>,
}

impl World {
    fn new() -> Self {
        Self::with(MempoolLimits::default(), |_| {})
    }

    fn with(limits: MempoolLimits, change: impl FnOnce(&mut Genesis)) -> Self {
        let network = TestNetwork::with(1, |genesis| {
            genesis.allocations = (0..COINS)
                .map(|_| Allocation { script: HexBytes(free().into_bytes()), amount_sat: COIN_SAT })
                .collect();
            change(genesis);
        });
        let genesis = network.genesis;
        let mut rows = MemoryTables::default();
        rows.write(Ledger::genesis(&genesis).unwrap());
        let ledger = Ledger::open(&genesis, &rows).unwrap();
        let coins = query::utxos(&rows, &ScriptHash::of(&free()), None, COINS).unwrap();
        Self {
            genesis,
            rows,
            ledger,
            cache: ScriptCache::new(),
            mempool: Mempool::new(Some(OWN), limits),
            coins: coins.iter().map(|coin| coin.outpoint).collect(),
        }
    }

    fn coin(&self, place: usize) -> (OutPoint, u64) {
        (self.coins[place], COIN_SAT)
    }

    fn submit(&mut self, transaction: &Transaction) -> Result<Admission, Reject> {
        let transaction = PreparedTransaction::new(transaction.clone());
        let admitted = self.mempool.prepare(&self.ledger, &self.rows, transaction);
        let admitted = admitted.and_then(|prepared| {
            let verdict = prepared.check().run();
            self.cache.insert(prepared.check().wtxid(), verdict);
            self.mempool.admit(&self.ledger, &self.rows, prepared, verdict)
        });
        let changes = self.mempool.drain_changes();
        self.rows.write(changes);
        match admitted {
            Ok(admission) => Ok(admission),
            Err(AdmissionError::Reject(reject)) => Err(reject),
            Err(AdmissionError::Fault(fault)) => panic!("{fault}"),
        }
    }

    fn admit(&mut self, transaction: &Transaction) -> Txid {
        self.submit(transaction).unwrap().txid
    }

    fn refuse(&mut self, transaction: &Transaction) -> RejectCode {
        self.submit(transaction).unwrap_err().code
    }

    /// Orders transactions of one author, applies them and tells the pool.
    fn commit(&mut self, author: Author, transactions: &[Transaction]) -> Applied {
        let items =
            transactions.iter().map(|transaction| PreparedTransaction::new(transaction.clone()));
        let items: Vec<Item> = items.map(|prepared| Item::Transaction(prepared.raw)).collect();
        self.commit_items(author, &items)
    }

    /// Seals blocks.
    fn seal(&mut self, blocks: u16) -> Applied {
        self.commit_items(OTHER, &[Item::DevelopmentTicks(blocks)])
    }

    /// Orders what the pool hands out.
    fn commit_taken(&mut self) -> Applied {
        let taken = self.mempool.take(usize::MAX, usize::MAX);
        let items: Vec<Item> = taken.into_iter().map(Item::Transaction).collect();
        self.commit_items(OWN, &items)
    }

    fn commit_items(&mut self, author: Author, items: &[Item]) -> Applied {
        let index = self.ledger.applied().next();
        let batch = Batch {
            index,
            digest: Digest::default(),
            timestamp: TimestampMs::new(self.genesis.start_ms.value() + index.value()),
            leader: OWN,
            items: items.iter().map(|item| BatchItem::new(author, item)).collect(),
        };
        let applied = self.ledger.apply(&self.rows, &batch, &self.cache).unwrap();
        self.rows.write(applied.changes.clone());
        self.mempool.applied(&self.ledger, &self.rows, &applied).unwrap();
        let changes = self.mempool.drain_changes();
        self.rows.write(changes);
        applied
    }

    /// Loses the pool and takes it up from its rows.
    fn restart(&mut self) {
        let limits = *self.mempool.limits();
        self.mempool = Mempool::open(Some(OWN), limits, &self.ledger, &self.rows).unwrap();
        let changes = self.mempool.drain_changes();
        self.rows.write(changes);
    }

    fn submit_package(&mut self, members: &[&Transaction]) -> PackageAnswer {
        let members: Vec<PreparedTransaction> =
            members.iter().map(|member| PreparedTransaction::new((*member).clone())).collect();
        let package = self.mempool.prepare_package(&self.ledger, &self.rows, members).unwrap();
        let verdicts: Vec<ScriptVerdict> =
            package.checks().iter().map(crate::ScriptCheck::run).collect();
        let answer =
            self.mempool.admit_package(&self.ledger, &self.rows, &package, &verdicts).unwrap();
        let changes = self.mempool.drain_changes();
        self.rows.write(changes);
        answer
    }

    fn names(&self) -> Vec<Txid> {
        self.mempool.txids().collect()
    }
}

/// A program that anybody may spend by showing it.
fn free_program() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

fn free() -> ScriptBuf {
    free_program().to_p2wsh()
}

/// Spends outputs of [`free`] to as many equal ones.
fn spend(inputs: &[(OutPoint, u64)], outputs: u64, fee: u64) -> Transaction {
    let total: u64 = inputs.iter().map(|(_, sat)| sat).sum();
    let input = inputs.iter().map(|(previous_output, _)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
        witness: Witness::from_slice(&[free_program().as_bytes()]),
    });
    let share = (total - fee) / outputs;
    let change = total - fee - share * (outputs - 1);
    let values = std::iter::once(change).chain((1..outputs).map(|_| share));
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: values
            .map(|value| TxOut { value: Amount::from_sat(value), script_pubkey: free() })
            .collect(),
    }
}

/// The output of a transaction with what it holds.
fn output(transaction: &Transaction, vout: u32) -> (OutPoint, u64) {
    let place = usize::try_from(vout).unwrap();
    let outpoint = OutPoint { txid: transaction.compute_txid(), vout };
    (outpoint, transaction.output[place].value.to_sat())
}

/// Adds an output that weighs this many virtual bytes more than nothing.
fn fatten(transaction: &mut Transaction, vsize: usize) {
    let mut script = vec![0x6a, 0x4d];
    let data = vsize - 14;
    script.extend(u16::try_from(data).unwrap().to_le_bytes());
    script.resize(data + 4, 7);
    transaction
        .output
        .push(TxOut { value: Amount::ZERO, script_pubkey: Script::from_bytes(&script).to_owned() });
}

/// An output that anybody may spend without a witness, for nothing or for something.
fn anchor(value_sat: u64) -> TxOut {
    let script_pubkey = ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]);
    TxOut { value: Amount::from_sat(value_sat), script_pubkey }
}

/// A commitment transaction as Lightning makes them: version 3, no fee, an anchor worth nothing.
fn commitment(input: (OutPoint, u64)) -> Transaction {
    let mut transaction = spend(&[input], 1, 0);
    transaction.version = Version(3);
    transaction.output.push(anchor(0));
    transaction
}

/// Spends the anchor of a commitment and a coin that pays for both.
fn bump(commitment: &Transaction, coin: (OutPoint, u64), fee: u64) -> Transaction {
    let vout = u32::try_from(commitment.output.len() - 1).unwrap();
    let mut transaction = spend(&[coin, output(commitment, vout)], 1, fee);
    transaction.version = Version(3);
    transaction.input[1].witness = Witness::new();
    transaction
}
