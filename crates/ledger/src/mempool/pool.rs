//! The entries and every index over them.
//!
//! **Invariant:** an entry's parents and children in the pool are linked both ways, its outpoints
//! are in `spends`, its scripts in `scripts`, and its two keys are where `queue` and `evictable`
//! have them. Arrival numbers ascend, so a parent's is smaller than its child's. A changed row is
//! in `changes` until it is drained.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Txid;
use types::encoding::Encode;
use types::table::Changes;

use super::POOL;
use super::entry::Entry;
use super::entry::State;
use super::limits::FeeRate;
use super::limits::Ratio;
use crate::rows::ScriptHash;
use crate::rows::txid_key;

/// What the pool holds altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MempoolTotals {
    /// How many transactions.
    pub transactions: u64,
    /// Their sizes in virtual bytes.
    pub vsize: u64,
    /// What they pay.
    pub fees: Amount,
    /// The memory that they take, roughly.
    pub memory: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    pub(super) entries: BTreeMap<Txid, Entry>,
    pub(super) arrivals: BTreeMap<u64, Txid>,
    pub(super) spends: BTreeMap<OutPoint, Txid>,
    pub(super) scripts: BTreeMap<ScriptHash, BTreeSet<u64>>,
    pub(super) parked: BTreeSet<u64>,
    pub(super) totals: MempoolTotals,
    pub(super) changes: Changes,
    pub(super) next_arrival: u64,
    /// The least rate at which an entry with its waiting ancestors is handed out.
    pub(super) floor: FeeRate,
    /// What may be handed out, best first: the rate of an entry with its waiting ancestors.
    queue: BTreeSet<(Reverse<Ratio>, u64)>,
    /// What may be evicted, worst first: the better of an entry's own rate and its family's.
    evictable: BTreeSet<(Ratio, Reverse<u64>)>,
}

impl Pool {
    /// An empty pool that hands out nothing below this rate.
    pub(super) fn new(floor: FeeRate) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Everything in the pool that these depend on, themselves included.
    pub(super) fn with_ancestors(&self, start: impl IntoIterator<Item = Txid>) -> BTreeSet<Txid> {
        self.closure(start, |entry| &entry.parents)
    }

    /// Everything in the pool that depends on these, themselves included.
    pub(super) fn with_descendants(&self, start: impl IntoIterator<Item = Txid>) -> BTreeSet<Txid> {
        self.closure(start, |entry| &entry.children)
    }

    fn closure(
        &self,
        start: impl IntoIterator<Item = Txid>,
        next: impl Fn(&Entry) -> &BTreeSet<Txid>,
    ) -> BTreeSet<Txid> {
        let mut open: Vec<Txid> = start.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(txid) = open.pop() {
            let Some(entry) = self.entries.get(&txid) else { continue };
            if found.insert(txid) {
                open.extend(next(entry));
            }
        }
        found
    }

    pub(super) fn sum(&self, txids: &BTreeSet<Txid>) -> Ratio {
        let entries = txids.iter().filter_map(|txid| self.entries.get(txid));
        entries.map(Entry::ratio).fold(Ratio { fee: 0, size: 0 }, Ratio::plus)
    }

    /// The transactions of these in the order in which they came: parents first.
    pub(super) fn by_arrival(&self, txids: &BTreeSet<Txid>) -> Vec<Txid> {
        let known = txids.iter().filter_map(|txid| self.entries.get(txid));
        let mut order: Vec<_> = known.map(|entry| (entry.arrival, entry.txid())).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, txid)| txid).collect()
    }

    /// Takes an entry in. Its arrival number is new or comes from its row, and nothing in the pool
    /// spends what it spends.
    pub(super) fn insert(&mut self, mut entry: Entry) {
        let txid = entry.txid();
        self.next_arrival = self.next_arrival.max(entry.arrival.saturating_add(1));
        entry.parents = entry
            .outpoints()
            .map(|outpoint| outpoint.txid)
            .filter(|parent| self.entries.contains_key(parent))
            .collect();
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.insert(txid);
            }
        }
        self.spends.extend(entry.outpoints().map(|outpoint| (outpoint, txid)));
        for script in entry.scripts() {
            self.scripts.entry(script).or_default().insert(entry.arrival);
        }
        if entry.state == State::Parked {
            self.parked.insert(entry.arrival);
        }
        self.arrivals.insert(entry.arrival, txid);
        self.totals.transactions = self.totals.transactions.saturating_add(1);
        self.totals.vsize = self.totals.vsize.saturating_add(entry.vsize);
        self.totals.fees = sat_sum(self.totals.fees, entry.fee);
        self.totals.memory = self.totals.memory.saturating_add(entry.memory());
        self.entries.insert(txid, entry);
        self.touch(&txid);
    }

    /// Asks for the entry's row to be written.
    pub(super) fn persist(&mut self, txid: &Txid) {
        if let Some(entry) = self.entries.get(txid) {
            self.changes.put(POOL, txid_key(txid), entry.row().to_bytes());
        }
    }

    /// Takes an entry out and leaves its children.
    pub(super) fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        self.unlink(&entry);
        for outpoint in entry.outpoints() {
            self.spends.remove(&outpoint);
        }
        for script in entry.scripts() {
            if let Some(arrivals) = self.scripts.get_mut(&script) {
                arrivals.remove(&entry.arrival);
                if arrivals.is_empty() {
                    self.scripts.remove(&script);
                }
            }
        }
        self.parked.remove(&entry.arrival);
        self.arrivals.remove(&entry.arrival);
        self.totals.transactions = self.totals.transactions.saturating_sub(1);
        self.totals.vsize = self.totals.vsize.saturating_sub(entry.vsize);
        let fees = self.totals.fees.to_sat().saturating_sub(entry.fee.to_sat());
        self.totals.fees = Amount::from_sat(fees);
        self.totals.memory = self.totals.memory.saturating_sub(entry.memory());
        self.changes.remove(POOL, txid_key(txid));
        for relative in entry.parents.iter().chain(&entry.children) {
            self.touch(relative);
        }
        Some(entry)
    }

    fn unlink(&mut self, entry: &Entry) {
        let txid = entry.txid();
        for parent in &entry.parents {
            if let Some(parent) = self.entries.get_mut(parent) {
                parent.children.remove(&txid);
            }
        }
        for child in &entry.children {
            if let Some(child) = self.entries.get_mut(child) {
                child.parents.remove(&txid);
            }
        }
        if let Some(key) = entry.queue_key {
            self.queue.remove(&(Reverse(key), entry.arrival));
        }
        if let Some(key) = entry.evict_key {
            self.evictable.remove(&(key, Reverse(entry.arrival)));
        }
    }

    /// Takes out these and everything that depends on them; gives their names, parents first.
    pub(super) fn remove_families(&mut self, start: impl IntoIterator<Item = Txid>) -> Vec<Txid> {
        self.take_families(start).iter().map(Entry::txid).collect()
    }

    /// Takes out these and everything that depends on them, parents first.
    pub(super) fn take_families(&mut self, start: impl IntoIterator<Item = Txid>) -> Vec<Entry> {
        let family = self.with_descendants(start);
        let order = self.by_arrival(&family);
        let mut taken: Vec<Entry> =
            order.iter().rev().filter_map(|txid| self.remove(txid)).collect();
        taken.reverse();
        taken
    }

    pub(super) fn set_state(&mut self, txid: &Txid, state: State) {
        let Some(entry) = self.entries.get_mut(txid) else { return };
        entry.state = state;
        if state == State::Proposed {
            entry.proposals = entry.proposals.saturating_add(1);
            entry.handed_out = true;
        }
        if state == State::Parked {
            self.parked.insert(entry.arrival);
        } else {
            self.parked.remove(&entry.arrival);
        }
        self.touch(txid);
    }

    /// The best entry that may be handed out and is not in `passed_over`, by arrival number.
    pub(super) fn best(&self, passed_over: &BTreeSet<u64>) -> Option<Txid> {
        let mut queue = self.queue.iter().map(|(_, arrival)| arrival);
        let arrival = queue.find(|arrival| !passed_over.contains(arrival))?;
        self.arrivals.get(arrival).copied()
    }

    /// The worst entry that may be evicted.
    pub(super) fn worst(&self) -> Option<Txid> {
        let (_, Reverse(arrival)) = self.evictable.first()?;
        self.arrivals.get(arrival).copied()
    }

    /// Sets the keys of an entry and of everything that they may have changed for.
    fn touch(&mut self, txid: &Txid) {
        let mut family = self.with_ancestors([*txid]);
        family.extend(self.with_descendants([*txid]));
        for txid in family {
            self.rescore(&txid);
        }
    }

    fn rescore(&mut self, txid: &Txid) {
        let (queue_key, evict_key) = (self.queue_key(txid), self.evict_key(txid));
        let Some(entry) = self.entries.get_mut(txid) else { return };
        let arrival = entry.arrival;
        let old_queue = std::mem::replace(&mut entry.queue_key, queue_key);
        let old_evict = std::mem::replace(&mut entry.evict_key, evict_key);
        if let Some(key) = old_queue {
            self.queue.remove(&(Reverse(key), arrival));
        }
        if let Some(key) = old_evict {
            self.evictable.remove(&(key, Reverse(arrival)));
        }
        if let Some(key) = queue_key {
            self.queue.insert((Reverse(key), arrival));
        }
        if let Some(key) = evict_key {
            self.evictable.insert((key, Reverse(arrival)));
        }
    }

    /// What an entry and the ancestors that have to be handed out with it pay; none when it may
    /// not be handed out.
    fn queue_key(&self, txid: &Txid) -> Option<Ratio> {
        let entry = self.entries.get(txid)?;
        if entry.state != State::Waiting {
            return None;
        }
        let mut sum = Ratio { fee: 0, size: 0 };
        for ancestor in self.with_ancestors([*txid]) {
            let ancestor = self.entries.get(&ancestor)?;
            match ancestor.state {
                State::Waiting => sum = sum.plus(ancestor.ratio()),
                State::Proposed => {}
                State::Parked => return None,
            }
        }
        // A parent that pays nothing leaves with its child or not at all.
        (sum.fee >= self.floor.fee(sum.size).to_sat()).then_some(sum)
    }

    /// What the pool would lose with an entry; none when it may not be evicted.
    fn evict_key(&self, txid: &Txid) -> Option<Ratio> {
        let own = self.entries.get(txid)?.ratio();
        let family = self.with_descendants([*txid]);
        let free = |txid: &Txid| {
            self.entries.get(txid).is_some_and(|entry| entry.state != State::Proposed)
        };
        family.iter().all(free).then(|| own.max(self.sum(&family)))
    }
}

fn sat_sum(left: Amount, right: Amount) -> Amount {
    Amount::from_sat(left.to_sat().saturating_add(right.to_sat()))
}
