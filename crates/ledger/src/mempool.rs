//! Transactions that wait at this validator to be proposed, ordered and applied.
//!
//! Admission is consensus rules and the standardness of Core's current policy. It has two halves so
//! that scripts run elsewhere: [`Mempool::prepare`] judges everything cheap and hands out a
//! [`ScriptCheck`](crate::ScriptCheck); [`Mempool::admit`] takes the verdict and judges again what
//! may have changed. An admitted transaction waits, is handed out by [`Mempool::take`] for a
//! vertex, and leaves when it is final, can never be final, is replaced or is evicted. One that was
//! ordered too early is parked and handed out again when it makes sense.
//!
//! **Invariant:** a transaction that was handed out is never replaced, and not evicted before it
//! comes back: it may be in a vertex. **Invariant:** of two entries none spends what the other
//! spends. **Invariant:** a parent that is in the pool is handed out before its child.
//!
//! Nothing here touches agreement or execution: two validators may hold different pools.
//! Source: `docs/ledger.md`, Mempool; Bitcoin Core's `doc/policy`; BIP 125.

mod admission;
mod entry;
mod fees;
mod limits;
mod lone;
mod package;
mod policy;
mod pool;
mod reject;
mod replacement;
mod settle;
#[cfg(test)]
mod tests;
mod truc;

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use bitcoin::Txid;
use bytes::Bytes;
use types::Author;
use types::Item;
use types::table::Changes;
use types::table::Table;

use lone::Lone;
use pool::Pool;

use crate::rows::ScriptHash;

pub use admission::Admission;
pub use admission::Prepared;
pub use entry::Entry;
pub use entry::State;
pub use fees::Demand;
pub use limits::ANCESTORS_MAX;
pub use limits::CHAIN_VSIZE_MAX;
pub use limits::DESCENDANTS_MAX;
pub use limits::FeeRate;
pub use limits::LONE_BYTES_MAX;
pub use limits::LONE_COMMITS_MAX;
pub use limits::LONE_MAX;
pub use limits::MempoolLimits;
pub use limits::PACKAGE_MAX;
pub use limits::PACKAGE_WEIGHT_MAX;
pub use limits::PARKED_MAX;
pub use limits::POOL_BYTES_MAX;
pub use limits::PROPOSALS_MAX;
pub use limits::RELAY_FEE;
pub use limits::REPLACEMENTS_MAX;
pub use limits::Standardness;
pub use limits::TAKE_MISSES_MAX;
pub use limits::TRUC_CHILD_VSIZE_MAX;
pub use limits::TRUC_VSIZE_MAX;
pub use package::MemberAnswer;
pub use package::MemberResult;
pub use package::PackageAnswer;
pub use package::PreparedPackage;
pub use pool::MempoolTotals;
pub use reject::AdmissionError;
pub use reject::Reject;
pub use reject::RejectCode;
pub use reject::RejectKind;

/// The pool's table: txid to arrival number, encoding and spent outputs.
pub const POOL: Table = Table::new("ledger_pool");

/// The transactions that wait at one validator.
#[derive(Clone, Debug)]
pub struct Mempool {
    own: Option<Author>,
    limits: MempoolLimits,
    pool: Pool,
    /// Parents that wait for a child that pays for them.
    lone: Lone,
    /// Whether too much waits for its block for anything new to be ordered.
    paused: bool,
}

impl Mempool {
    /// An empty pool of the validator `own`; a follower has none.
    pub fn new(own: Option<Author>, limits: MempoolLimits) -> Self {
        let pool = Pool::new(limits.relay_fee);
        Self { own, limits, pool, lone: Lone::default(), paused: false }
    }

    /// What the pool allows.
    pub fn limits(&self) -> &MempoolLimits {
        &self.limits
    }

    /// Hands out transactions for the next vertex, the best paying first, parents before their
    /// children: at most `items_max`, which take at most `bytes_max` inside a payload. Nothing
    /// while the sealing backlog is full.
    pub fn take(&mut self, bytes_max: usize, items_max: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        let mut bytes_left = bytes_max;
        let mut passed_over = BTreeSet::new();
        while !self.paused && taken.len() < items_max && passed_over.len() < TAKE_MISSES_MAX {
            let Some(best) = self.pool.best(&passed_over) else { break };
            let package = self.waiting_package(&best);
            let items: Vec<Bytes> = package.iter().filter_map(|txid| self.raw(txid)).collect();
            let bytes: usize = items.iter().map(item_bytes).sum();
            if bytes > bytes_left || items.len() > items_max - taken.len() {
                passed_over.extend(self.pool.entries.get(&best).map(|entry| entry.arrival));
                continue;
            }
            bytes_left -= bytes;
            taken.extend(items);
            for txid in &package {
                self.pool.set_state(txid, State::Proposed);
            }
        }
        taken
    }

    /// Whether [`Mempool::take`] has something to hand out.
    pub fn has_waiting(&self) -> bool {
        !self.paused && self.pool.best(&BTreeSet::new()).is_some()
    }

    /// The rows that changed since the last call: to be written before an admission is answered.
    pub fn drain_changes(&mut self) -> Changes {
        std::mem::take(&mut self.pool.changes)
    }

    /// One transaction.
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.pool.entries.get(txid)
    }

    /// Whether it is in the pool.
    pub fn contains(&self, txid: &Txid) -> bool {
        self.pool.entries.contains_key(txid)
    }

    /// All names, in the order of their arrival.
    pub fn txids(&self) -> impl Iterator<Item = Txid> {
        self.pool.arrivals.values().copied()
    }

    /// All transactions, in the order of their arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.pool.arrivals.values().filter_map(|txid| self.pool.entries.get(txid))
    }

    /// All transactions, the last first.
    pub fn recent(&self) -> impl Iterator<Item = &Entry> {
        self.iter().rev()
    }

    /// The transactions that pay to a script or take from it, in the order of their arrival.
    pub fn by_script(&self, script: &ScriptHash) -> impl Iterator<Item = &Entry> {
        let arrivals = self.pool.scripts.get(script).into_iter().flatten();
        arrivals
            .filter_map(|arrival| self.pool.arrivals.get(arrival))
            .filter_map(|txid| self.pool.entries.get(txid))
    }

    /// Which transaction in the pool spends an output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.pool.spends.get(outpoint).copied()
    }

    /// What the pool holds altogether.
    pub fn totals(&self) -> MempoolTotals {
        self.pool.totals
    }

    /// An entry behind the ancestors that have to be handed out with it.
    fn waiting_package(&self, txid: &Txid) -> Vec<Txid> {
        let mut package = self.pool.with_ancestors([*txid]);
        package.retain(|txid| {
            self.pool.entries.get(txid).is_some_and(|entry| entry.state == State::Waiting)
        });
        self.pool.by_arrival(&package)
    }

    fn raw(&self, txid: &Txid) -> Option<Bytes> {
        self.pool.entries.get(txid).map(|entry| entry.transaction.raw.clone())
    }
}

/// What a transaction takes inside a payload.
fn item_bytes(raw: &Bytes) -> usize {
    Item::Transaction(raw.clone()).encoded_length()
}
