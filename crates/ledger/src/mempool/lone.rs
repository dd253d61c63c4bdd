//! Parents that pay too little by themselves and wait for the child that pays for both.
//!
//! Wallets send the members of a package one by one, too: the parent is refused, as Core refuses
//! it, and is here when its child arrives. **Invariant:** nothing here is in the pool; there are
//! [`LONE_MAX`] at most, in [`LONE_BYTES_MAX`], and none stays for more than [`LONE_COMMITS_MAX`]
//! commits. Whoever floods the room loses a stranger's parent, which its owner sends again.

use std::collections::BTreeMap;

use bitcoin::Txid;

use super::Mempool;
use super::limits::LONE_BYTES_MAX;
use super::limits::LONE_COMMITS_MAX;
use super::limits::LONE_MAX;
use crate::batch::PreparedTransaction;

/// The waiting room.
#[derive(Clone, Debug, Default)]
pub(super) struct Lone {
    waiting: BTreeMap<Txid, Guest>,
    /// Who came when, the first first.
    arrivals: BTreeMap<u64, Txid>,
    next_arrival: u64,
    commits: u64,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Guest {
    transaction: PreparedTransaction,
    arrival: u64,
    /// The number of the commit after which it leaves.
    until: u64,
}

impl Lone {
    fn insert(&mut self, transaction: PreparedTransaction) {
        let txid = transaction.txid;
        self.remove(&txid);
        if transaction.raw.len() > LONE_BYTES_MAX {
            return;
        }
        while self.waiting.len() >= LONE_MAX
            || self.bytes.saturating_add(transaction.raw.len()) > LONE_BYTES_MAX
        {
            let Some(first) = self.arrivals.first_key_value().map(|(_, txid)| *txid) else { break };
            self.remove(&first);
        }
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        self.bytes += transaction.raw.len();
        self.arrivals.insert(arrival, txid);
        let until = self.commits.saturating_add(LONE_COMMITS_MAX);
        self.waiting.insert(txid, Guest { transaction, arrival, until });
    }

    pub(super) fn remove(&mut self, txid: &Txid) {
        if let Some(guest) = self.waiting.remove(txid) {
            self.arrivals.remove(&guest.arrival);
            self.bytes -= guest.transaction.raw.len();
        }
    }

    /// One commit more has been applied. Arrivals and departures have the same order.
    pub(super) fn commit(&mut self) {
        self.commits = self.commits.saturating_add(1);
        while let Some(first) = self.arrivals.first_key_value().map(|(_, txid)| *txid) {
            if self.waiting.get(&first).is_some_and(|guest| guest.until > self.commits) {
                break;
            }
            self.remove(&first);
        }
    }
}

impl Mempool {
    /// Keeps a transaction that was refused for what it pays until its child comes.
    pub fn keep_lone(&mut self, transaction: PreparedTransaction) {
        if !self.contains(&transaction.txid) {
            self.lone.insert(transaction);
        }
    }

    /// What waits for this child, in the order of its inputs, each once.
    pub fn lone_parents(&self, child: &PreparedTransaction) -> Vec<PreparedTransaction> {
        let mut parents: Vec<PreparedTransaction> = Vec::new();
        for input in &child.transaction.input {
            let txid = input.previous_output.txid;
            if parents.iter().all(|parent| parent.txid != txid)
                && let Some(guest) = self.lone.waiting.get(&txid)
            {
                parents.push(guest.transaction.clone());
            }
        }
        parents
    }

    /// Whether something waits for this child.
    pub fn has_lone_parent(&self, child: &PreparedTransaction) -> bool {
        let mut inputs = child.transaction.input.iter();
        inputs.any(|input| self.lone.waiting.contains_key(&input.previous_output.txid))
    }

    /// How many transactions wait for their child.
    pub fn lone_count(&self) -> usize {
        self.lone.waiting.len()
    }
}
