//! What commits and the garbage line do to the pool, and how it comes back after a restart.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::Txid;
use bytes::Bytes;
use types::Author;
use types::table::TableFault;
use types::table::TableRead;

use super::Mempool;
use super::POOL;
use super::State;
use super::admission::Source;
use super::admission::backlog_is_full;
use super::entry::Entry;
use super::entry::Row;
use super::limits::MempoolLimits;
use super::limits::PARKED_MAX;
use super::limits::PROPOSALS_MAX;
use crate::Applied;
use crate::Ledger;
use crate::Skipped;
use crate::batch::PreparedTransaction;
use crate::rows::decode_row;
use crate::rows::txid_key;
use crate::rules;
use crate::rules::Lookup;
use crate::rules::SkipReason;
use crate::rules::SpentCoin;

/// How many rows a restart reads at a time.
const ROWS_PAGE: usize = 1_000;

/// Whether an entry could apply now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Once its parents in the pool do.
    Ready,
    /// Not yet.
    NotYet,
    /// Never, or it has.
    Never,
}

impl Mempool {
    /// Takes up the pool that the store holds. Everything waits again: what was in a vertex may be
    /// proposed twice, which is harmless, and none of it is replaced.
    ///
    /// # Errors
    /// When the store fails or a row does not decode.
    pub fn open(
        own: Option<Author>,
        limits: MempoolLimits,
        ledger: &Ledger,
        read: &dyn TableRead,
    ) -> Result<Self, TableFault> {
        let mut mempool = Self::new(own, limits);
        mempool.paused = backlog_is_full(ledger);
        for row in stored_rows(read)? {
            let Ok(transaction) = PreparedTransaction::decode(&row.raw) else {
                return Err(TableFault {
                    reason: format!("a row of {} is no transaction", POOL.name()),
                });
            };
            mempool.reload(ledger, read, row, transaction)?;
        }
        mempool.trim();
        Ok(mempool)
    }

    fn reload(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        row: Row,
        transaction: PreparedTransaction,
    ) -> Result<(), TableFault> {
        let txid = transaction.txid;
        let spent: Arc<[_]> = row.spent.into();
        let mut entry = Entry::new(transaction, spent, row.sigops_cost, row.arrival);
        entry.handed_out = true;
        let readiness = self.readiness(ledger, read, &entry)?;
        let conflict = entry.outpoints().any(|outpoint| self.spender(&outpoint).is_some());
        if readiness == Readiness::Never || conflict {
            self.pool.changes.remove(POOL, txid_key(&txid));
            return Ok(());
        }
        self.pool.insert(entry);
        if readiness == Readiness::NotYet {
            self.park(&txid);
        }
        Ok(())
    }

    /// Takes note of an applied commit, once its changes are written: `read` shows the state after
    /// it. What is final or can never be leaves; what was ordered too early in this validator's own
    /// vertex is proposed again, now or when its parent or its lock is there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn applied(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        applied: &Applied,
    ) -> Result<(), TableFault> {
        self.paused = backlog_is_full(ledger);
        let finals: BTreeSet<Txid> = applied.finals.iter().copied().collect();
        self.lone.commit();
        for txid in &applied.finals {
            self.lone.remove(txid);
            self.pool.remove(txid);
        }
        for (outpoint, _) in &applied.spent {
            // The winner itself has left: whoever spends this now has lost.
            self.pool.remove_families(self.spender(outpoint));
        }
        for rejected in &applied.rejected {
            self.pool.remove_families([rejected.txid]);
        }
        for skipped in &applied.skipped {
            if self.own == Some(skipped.author) {
                self.settle_skipped(ledger, read, skipped)?;
            }
        }
        if !self.pool.parked.is_empty() {
            self.wake(ledger, read, &finals, !applied.blocks.is_empty())?;
        }
        Ok(())
    }

    /// Takes back the payload of an own vertex that fell below the garbage line unordered.
    pub fn returned(&mut self, transactions: &[Bytes]) {
        for raw in transactions {
            let Ok(transaction) = PreparedTransaction::decode(raw) else { continue };
            let entry = self.pool.entries.get(&transaction.txid);
            if entry.is_some_and(|entry| entry.state == State::Proposed) {
                self.pool.set_state(&transaction.txid, State::Waiting);
            }
        }
    }

    fn settle_skipped(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        skipped: &Skipped,
    ) -> Result<(), TableFault> {
        let Some(entry) = self.pool.entries.get(&skipped.txid) else { return Ok(()) };
        if entry.transaction.wtxid != skipped.wtxid || entry.state != State::Proposed {
            return Ok(());
        }
        let passing = matches!(
            skipped.reason,
            SkipReason::InputsMissingOrSpent
                | SkipReason::NonFinal
                | SkipReason::NonBip68Final
                | SkipReason::PrematureCoinbaseSpend
                | SkipReason::BacklogFull
        );
        if !passing || entry.proposals >= PROPOSALS_MAX {
            self.pool.remove_families([skipped.txid]);
            return Ok(());
        }
        self.reconsider(ledger, read, &skipped.txid)
    }

    /// Looks again at what is parked: at what spends a new final output, and after a block at
    /// everything, since heights and times have moved.
    fn wake(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        finals: &BTreeSet<Txid>,
        sealed: bool,
    ) -> Result<(), TableFault> {
        let parked = self.pool.parked.iter().filter_map(|arrival| self.pool.arrivals.get(arrival));
        let concerned = parked.filter(|txid| {
            sealed
                || self.pool.entries.get(*txid).is_some_and(|entry| {
                    entry.outpoints().any(|outpoint| finals.contains(&outpoint.txid))
                })
        });
        let concerned: Vec<Txid> = concerned.copied().collect();
        for txid in concerned {
            self.reconsider(ledger, read, &txid)?;
        }
        Ok(())
    }

    /// Lets an entry wait, parks it or drops it, as it stands now.
    fn reconsider(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        txid: &Txid,
    ) -> Result<(), TableFault> {
        let Some(entry) = self.pool.entries.get(txid) else { return Ok(()) };
        match self.readiness(ledger, read, entry)? {
            Readiness::Ready => self.pool.set_state(txid, State::Waiting),
            Readiness::NotYet => self.park(txid),
            Readiness::Never => {
                self.pool.remove_families([*txid]);
            }
        }
        Ok(())
    }

    /// Parks an entry; the one that came first makes room.
    fn park(&mut self, txid: &Txid) {
        self.pool.set_state(txid, State::Parked);
        while self.pool.parked.len() > PARKED_MAX {
            let first = self.pool.parked.first();
            let Some(first) = first.and_then(|arrival| self.pool.arrivals.get(arrival)) else {
                break;
            };
            self.pool.remove_families([*first]);
        }
    }

    fn readiness(
        &self,
        ledger: &Ledger,
        read: &dyn TableRead,
        entry: &Entry,
    ) -> Result<Readiness, TableFault> {
        let mut coins: Vec<SpentCoin> = Vec::new();
        for place in 0..entry.spent.len() {
            match self.source(read, &entry.transaction, place)? {
                Source::Pool(coin) | Source::Ledger(Lookup::Coin(coin)) => coins.push(coin),
                Source::Ledger(Lookup::Spent { .. }) => return Ok(Readiness::Never),
                Source::Ledger(Lookup::Missing) => return Ok(Readiness::NotYet),
            }
        }
        let transaction = &entry.transaction.transaction;
        let judged =
            rules::check_inputs(transaction, &coins, &ledger.next_block(), ledger.limits());
        Ok(match judged {
            Ok(_) => Readiness::Ready,
            Err(
                SkipReason::NonFinal
                | SkipReason::NonBip68Final
                | SkipReason::PrematureCoinbaseSpend,
            ) => Readiness::NotYet,
            Err(_) => Readiness::Never,
        })
    }
}

/// Every row of the pool, in the order of arrival.
fn stored_rows(read: &dyn TableRead) -> Result<Vec<Row>, TableFault> {
    let mut rows: Vec<Row> = Vec::new();
    let mut from = Vec::new();
    loop {
        let page = read.scan(POOL, &[], &from, ROWS_PAGE)?;
        let Some((last, _)) = page.last() else { break };
        from = [last.as_ref(), &[0]].concat();
        for (_, value) in &page {
            rows.push(decode_row(POOL, value)?);
        }
        if page.len() < ROWS_PAGE {
            break;
        }
    }
    rows.sort_by_key(|row| row.arrival);
    Ok(rows)
}
