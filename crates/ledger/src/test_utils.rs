//! A ledger over tables in memory, for tests.

pub mod script_load;

use std::collections::BTreeMap;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute;
use bitcoin::consensus::encode;
use bitcoin::transaction;
use bytes::Bytes;
use types::Author;
use types::Digest;
use types::Genesis;
use types::Height;
use types::Item;
use types::TimestampMs;
use types::encoding::Encode;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::apply::Applied;
use crate::apply::Ledger;
use crate::batch::Batch;
use crate::batch::BatchItem;
use crate::query;
use crate::rows;
use crate::rows::Coin;
use crate::rows::Place;
use crate::rows::State;
use crate::script::ScriptCache;

/// Tables in memory. Whatever is written is there at once and stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTables(Vec<(Table, BTreeMap<Bytes, Bytes>)>);

/// A ledger with its tables and the agreed time.
#[derive(Debug)]
pub struct TestLedger {
    /// What the network was born with.
    pub genesis: Genesis,
    /// Everything written.
    pub tables: MemoryTables,
    /// The ledger.
    pub ledger: Ledger,
    /// Verdicts that are known.
    pub cache: ScriptCache,
    /// The agreed time of the next commit.
    pub now: TimestampMs,
}

impl MemoryTables {
    /// Applies changes in order.
    pub fn write(&mut self, changes: Changes) {
        for change in changes {
            let place = self.0.iter().position(|(table, _)| *table == change.table);
            let place = place.unwrap_or_else(|| {
                let place = self.0.partition_point(|(table, _)| *table < change.table);
                self.0.insert(place, (change.table, BTreeMap::new()));
                place
            });
            let rows = &mut self.0[place].1;
            match change.value {
                Some(value) => rows.insert(change.key, value),
                None => rows.remove(&change.key),
            };
        }
    }

    /// How many bytes keys and values have together.
    pub fn bytes(&self) -> usize {
        let rows = self.0.iter().flat_map(|(_, rows)| rows);
        rows.map(|(key, value)| key.len() + value.len()).sum()
    }

    fn table(&self, table: Table) -> Option<&BTreeMap<Bytes, Bytes>> {
        self.0.iter().find(|(one, _)| *one == table).map(|(_, rows)| rows)
    }

    /// Every row of a table, ascending.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.table(table).into_iter().flatten()
    }
}

impl TableRead for MemoryTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault> {
        Ok(self.table(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let from = Bytes::copy_from_slice(prefix.max(from));
        let rows = self.table(table).into_iter().flat_map(|rows| rows.range(from.clone()..));
        let rows = rows.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let rows = self.table(table).into_iter().flatten().rev();
        let rows = rows.filter(|(key, _)| key.starts_with(prefix));
        let rows = rows.filter(|(key, _)| from.is_empty() || key.as_ref() <= from).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl TestLedger {
    /// A ledger right after genesis.
    ///
    /// # Panics
    /// When the genesis is refused.
    pub fn new(genesis: Genesis) -> Self {
        let mut tables = MemoryTables::default();
        tables.write(Ledger::genesis(&genesis).expect("the genesis is accepted"));
        let ledger = Ledger::open(&genesis, &tables).expect("the rows of genesis are there");
        let now = genesis.start_ms;
        Self { genesis, tables, ledger, cache: ScriptCache::new(), now }
    }

    /// The next commit, whose leader and only author is validator 0.
    pub fn batch(&self, items: &[Item]) -> Batch {
        let author = Author::ZERO;
        Batch {
            index: self.ledger.applied().next(),
            digest: Digest::ZERO,
            timestamp: self.now,
            leader: author,
            items: items.iter().map(|item| BatchItem::new(author, item)).collect(),
        }
    }

    /// Applies a commit of these transactions a millisecond later and writes it.
    pub fn commit(&mut self, transactions: &[&Transaction]) -> Applied {
        let items: Vec<Item> = transactions.iter().map(|transaction| item(transaction)).collect();
        self.commit_items(&items)
    }

    /// Applies a commit of these items a millisecond later and writes it.
    ///
    /// # Panics
    /// Never: tables in memory do not fail.
    pub fn commit_items(&mut self, items: &[Item]) -> Applied {
        self.now = self.now.next();
        let batch = self.batch(items);
        let applied = self.ledger.apply(&self.tables, &batch, &self.cache);
        let applied = applied.expect("tables in memory do not fail");
        self.tables.write(applied.changes.clone());
        applied
    }

    /// Seals blocks now.
    pub fn ticks(&mut self, count: u16) -> Applied {
        self.commit_items(&[Item::DevelopmentTicks(count)])
    }

    /// Makes a coin that no transaction has made, old enough for every lock.
    pub fn plant(&mut self, outpoint: OutPoint, output: TxOut) {
        let mut changes = Changes::default();
        let coin = Coin { output, coinbase: None };
        let place = Place { height: Height::ZERO, position: 0 };
        changes.put(rows::COINS, rows::outpoint_key(&outpoint), coin.to_bytes());
        changes.put(rows::PLACES, rows::txid_key(&outpoint.txid), place.to_bytes());
        self.tables.write(changes);
    }

    /// Stands the ledger at another height and time, as if that much had been sealed.
    ///
    /// # Panics
    /// Never: the rows of genesis are there.
    pub fn leap(&mut self, height: Height, median_time_past: u32) {
        let state = rows::read_row(&self.tables, rows::STATE, rows::STATE_KEY);
        let mut state: State = state.ok().flatten().expect("the rows of genesis are there");
        state.height = height;
        state.times = vec![u64::from(median_time_past)];
        let mut changes = Changes::default();
        changes.put(rows::STATE, rows::STATE_KEY, state.to_bytes());
        self.tables.write(changes);
        let ledger = Ledger::open(&self.genesis, &self.tables);
        self.ledger = ledger.expect("the rows of genesis are there");
    }

    /// The output that pays the allocation with this number, when each fills a block.
    ///
    /// # Panics
    /// When there is no such allocation.
    pub fn allocation(&self, number: u32) -> OutPoint {
        let height = Height::new(number + 1);
        let txids = query::block_txids(&self.tables, height, 0, 1);
        let txid = txids.expect("tables in memory do not fail")[0];
        OutPoint { txid, vout: 0 }
    }
}

/// A transaction as an item.
pub fn item(transaction: &Transaction) -> Item {
    Item::Transaction(Bytes::from(encode::serialize(transaction)))
}

/// Spends outputs under `OP_TRUE` and makes outputs under `OP_TRUE` that hold these amounts.
pub fn spend(inputs: &[OutPoint], amounts_sat: &[u64]) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: inputs
            .iter()
            .map(|outpoint| TxIn {
                previous_output: *outpoint,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                witness: Witness::new(),
            })
            .collect(),
        output: amounts_sat.iter().map(|amount| anyone(*amount)).collect(),
    }
}

/// An output under `OP_TRUE`.
pub fn anyone(amount_sat: u64) -> TxOut {
    TxOut { value: Amount::from_sat(amount_sat), script_pubkey: ScriptBuf::from_bytes(vec![0x51]) }
}

/// One output of a transaction.
pub fn outpoint(transaction: &Transaction, vout: u32) -> OutPoint {
    OutPoint { txid: transaction.compute_txid(), vout }
}
