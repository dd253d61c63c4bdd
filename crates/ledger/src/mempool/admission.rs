//! The way into the pool, in the order of Core's checks.
//!
//! Everything but the scripts is judged twice: before they run, so that they run for nothing
//! obviously refused, and after, since commits were applied and the pool changed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::TxOut;
use bitcoin::Txid;
use types::PAYLOAD_BYTES_MAX;
use types::Payload;
use types::table::TableFault;
use types::table::TableRead;

use super::Mempool;
use super::entry::Entry;
use super::entry::SPENT_BYTES_MAX;
use super::item_bytes;
use super::limits::ANCESTORS_MAX;
use super::limits::CHAIN_VSIZE_MAX;
use super::limits::DESCENDANTS_MAX;
use super::limits::Ratio;
use super::limits::Standardness;
use super::policy;
use super::reject::AdmissionError;
use super::reject::Reject;
use super::reject::RejectCode;
use crate::Ledger;
use crate::batch::PreparedTransaction;
use crate::rules;
use crate::rules::Age;
use crate::rules::Lookup;
use crate::rules::SkipReason;
use crate::rules::SpentCoin;
use crate::script::ScriptCheck;
use crate::script::ScriptVerdict;
use crate::script::Verifier;

/// A transaction that is admitted once its scripts are found valid.
#[derive(Clone, Debug)]
pub struct Prepared {
    transaction: PreparedTransaction,
    check: ScriptCheck,
}

/// A transaction that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Its name.
    pub txid: Txid,
    /// What it replaced, parents first.
    pub replaced: Vec<Txid>,
    /// What was evicted to make room.
    pub evicted: Vec<Txid>,
}

/// Everything about a transaction that could be admitted by itself.
struct Judged {
    examined: Examined,
    /// What it replaces, with everything that depends on it.
    replaced: BTreeSet<Txid>,
}

/// Everything about a transaction that holds whatever it pays.
#[derive(Clone, Debug)]
pub(super) struct Examined {
    pub(super) spent: Arc<[TxOut]>,
    pub(super) sigops_cost: u64,
    /// What it pays for its virtual size.
    pub(super) offer: Ratio,
    /// The entries that spend what it spends.
    pub(super) conflicts: BTreeSet<Txid>,
}

/// An input's place in the world.
pub(super) enum Source {
    /// An output of an entry of the pool.
    Pool(SpentCoin),
    /// What the ledger knows.
    Ledger(Lookup),
}

impl Prepared {
    /// The scripts that are to be judged, on any thread.
    pub fn check(&self) -> &ScriptCheck {
        &self.check
    }

    /// The transaction.
    pub fn transaction(&self) -> &PreparedTransaction {
        &self.transaction
    }
}

impl Mempool {
    /// Judges everything about a transaction but its scripts.
    ///
    /// # Errors
    /// When it is refused, in Core's words, or when the store fails.
    pub fn prepare(
        &self,
        ledger: &Ledger,
        read: &dyn TableRead,
        transaction: PreparedTransaction,
    ) -> Result<Prepared, AdmissionError> {
        let Judged { examined, .. } = self.judge(ledger, read, &transaction)?;
        let check = ScriptCheck::of(&transaction, examined.spent.to_vec(), &Verifier::default());
        Ok(Prepared { transaction, check })
    }

    /// Takes a prepared transaction in when its scripts are valid and it still can be.
    ///
    /// # Errors
    /// When it is refused, in Core's words, or when the store fails.
    pub fn admit(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        prepared: Prepared,
        verdict: ScriptVerdict,
    ) -> Result<Admission, AdmissionError> {
        self.admit_one(ledger, read, prepared.transaction, verdict)
    }

    pub(super) fn admit_one(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        transaction: PreparedTransaction,
        verdict: ScriptVerdict,
    ) -> Result<Admission, AdmissionError> {
        check_verdict(&transaction, verdict)?;
        let Judged { examined, replaced } = self.judge(ledger, read, &transaction)?;
        let replaced = self.pool.remove_families(replaced);
        let txid = transaction.txid;
        self.take_in(transaction, examined);
        let evicted = self.trim();
        if evicted.contains(&txid) {
            return Err(RejectCode::MempoolFull.into());
        }
        Ok(Admission { txid, replaced, evicted })
    }

    /// Puts a transaction that was judged into the pool, before what is parked for want of it.
    pub(super) fn take_in(&mut self, transaction: PreparedTransaction, examined: Examined) {
        self.lone.remove(&transaction.txid);
        let orphans = self.orphans(&transaction);
        let orphans = self.pool.take_families(orphans);
        self.arrive(transaction, examined.spent, examined.sigops_cost, false);
        for orphan in orphans {
            self.arrive(orphan.transaction, orphan.spent, orphan.sigops_cost, orphan.handed_out);
        }
    }

    /// Gives a transaction the next arrival number, so that it stands behind its parents.
    fn arrive(
        &mut self,
        transaction: PreparedTransaction,
        spent: Arc<[TxOut]>,
        sigops_cost: u64,
        handed_out: bool,
    ) {
        let txid = transaction.txid;
        let mut entry = Entry::new(transaction, spent, sigops_cost, self.pool.next_arrival);
        entry.handed_out = handed_out;
        self.pool.insert(entry);
        self.pool.persist(&txid);
    }

    /// What is parked for want of this transaction.
    fn orphans(&self, transaction: &PreparedTransaction) -> Vec<Txid> {
        if self.pool.parked.is_empty() {
            return Vec::new();
        }
        let outputs = 0..u32::try_from(transaction.transaction.output.len()).unwrap_or(u32::MAX);
        let outpoints = outputs.map(|vout| OutPoint { txid: transaction.txid, vout });
        outpoints.filter_map(|outpoint| self.spender(&outpoint)).collect()
    }

    /// Evicts until the pool keeps its bound or nothing is left that may be evicted.
    pub(super) fn trim(&mut self) -> Vec<Txid> {
        let mut evicted = Vec::new();
        while self.pool.totals.memory > self.limits.bytes_max {
            let Some(worst) = self.pool.worst() else { break };
            evicted.extend(self.pool.remove_families([worst]));
        }
        evicted
    }

    fn judge(
        &self,
        ledger: &Ledger,
        read: &dyn TableRead,
        transaction: &PreparedTransaction,
    ) -> Result<Judged, AdmissionError> {
        let examined = self.examine(ledger, read, transaction, &[])?;
        let Examined { offer, conflicts, .. } = &examined;
        self.check_fee(*offer)?;
        let sibling = self.check_truc(transaction, conflicts, offer.size)?;
        let replaced = self.check_replacement(transaction, conflicts, sibling, *offer)?;
        self.check_chains(transaction, &replaced, offer.size)?;
        self.check_dust_is_spent(transaction, &[])?;
        Ok(Judged { examined, replaced })
    }

    /// Judges everything about a transaction but its scripts and what it pays. `company` are the
    /// members of its package that stand before it.
    pub(super) fn examine(
        &self,
        ledger: &Ledger,
        read: &dyn TableRead,
        transaction: &PreparedTransaction,
        company: &[PreparedTransaction],
    ) -> Result<Examined, AdmissionError> {
        let standard = self.limits.standardness == Standardness::Required;
        let inner = &*transaction.transaction;
        self.check_known(transaction)?;
        rules::check_transaction(inner, ledger.limits())?;
        if item_bytes(&transaction.raw) > PAYLOAD_BYTES_MAX - Payload::OVERHEAD {
            return Err(RejectCode::Size.into());
        }
        if standard {
            policy::check_transaction(inner, &self.limits)?;
        }
        if inner.base_size() < policy::BASE_SIZE_MIN {
            return Err(RejectCode::SizeSmall.into());
        }
        rules::check_finality(inner, &ledger.next_block())?;
        if backlog_is_full(ledger) {
            return Err(SkipReason::BacklogFull.into());
        }
        let conflicts = self.conflicts(transaction);
        let coins = self.coins(read, transaction, company)?;
        let judgement = rules::check_inputs(inner, &coins, &ledger.next_block(), ledger.limits())?;
        let spent: Arc<[TxOut]> = coins.into_iter().map(|coin| coin.output).collect();
        if spent.iter().map(TxOut::size).fold(0, usize::saturating_add) > SPENT_BYTES_MAX {
            return Err(RejectCode::NonStandardInputs.into());
        }
        if standard {
            policy::check_inputs(inner, &spent)?;
            policy::check_dust_pays_nothing(inner, judgement.fee, &self.limits)?;
        }
        if judgement.sigops_cost > policy::SIGOPS_COST_MAX {
            return Err(SkipReason::TooManySigops.into());
        }
        let vsize = policy::vsize(judgement.weight, judgement.sigops_cost);
        let offer = Ratio { fee: judgement.fee.to_sat(), size: vsize };
        Ok(Examined { spent, sigops_cost: judgement.sigops_cost, offer, conflicts })
    }

    fn check_known(&self, transaction: &PreparedTransaction) -> Result<(), RejectCode> {
        match self.pool.entries.get(&transaction.txid) {
            None => Ok(()),
            Some(entry) if entry.transaction.wtxid == transaction.wtxid => {
                Err(RejectCode::AlreadyInMempool)
            }
            Some(_) => Err(RejectCode::SameNonWitnessData),
        }
    }

    /// The entries that spend what this one spends.
    fn conflicts(&self, transaction: &PreparedTransaction) -> BTreeSet<Txid> {
        let inputs = transaction.transaction.input.iter();
        inputs.filter_map(|input| self.spender(&input.previous_output)).collect()
    }

    /// The outputs that it spends, all of them there.
    fn coins(
        &self,
        read: &dyn TableRead,
        transaction: &PreparedTransaction,
        company: &[PreparedTransaction],
    ) -> Result<Vec<SpentCoin>, AdmissionError> {
        let mut coins = Vec::new();
        for (place, input) in transaction.transaction.input.iter().enumerate() {
            let missing = RejectCode::Rule(SkipReason::InputsMissingOrSpent);
            if let Some(coin) = waiting_coin(company, transaction, place) {
                coins.push(coin);
                continue;
            }
            match self.source(read, transaction, place)? {
                Source::Pool(coin) | Source::Ledger(Lookup::Coin(coin)) => coins.push(coin),
                Source::Ledger(Lookup::Spent { by }) if by == transaction.txid => {
                    return Err(RejectCode::AlreadyKnown.into());
                }
                Source::Ledger(Lookup::Spent { by }) => {
                    let outpoint = input.previous_output;
                    return Err(missing.because(format!("{outpoint} is spent by {by}")).into());
                }
                Source::Ledger(Lookup::Missing) => {
                    let outpoint = input.previous_output;
                    return Err(missing.because(format!("no {outpoint}")).into());
                }
            }
        }
        Ok(coins)
    }

    /// Where the output comes from that an input spends.
    pub(super) fn source(
        &self,
        read: &dyn TableRead,
        transaction: &PreparedTransaction,
        place: usize,
    ) -> Result<Source, TableFault> {
        let with_age = rules::relative_lock_applies(&transaction.transaction, place);
        let Some(input) = transaction.transaction.input.get(place) else {
            return Ok(Source::Ledger(Lookup::Missing));
        };
        let outpoint = input.previous_output;
        let Some(parent) = self.pool.entries.get(&outpoint.txid) else {
            return rules::lookup(read, &outpoint, with_age).map(Source::Ledger);
        };
        let parents = std::slice::from_ref(&parent.transaction);
        let coin = waiting_coin(parents, transaction, place);
        Ok(coin.map_or(Source::Ledger(Lookup::Missing), Source::Pool))
    }

    pub(super) fn check_fee(&self, offer: Ratio) -> Result<(), Reject> {
        let least = self.limits.relay_fee.fee(offer.size);
        if offer.fee < least.to_sat() {
            let details = format!("{} < {}", offer.fee, least.to_sat());
            return Err(RejectCode::MinRelayFee.because(details));
        }
        Ok(())
    }

    /// The entries whose outputs it spends.
    pub(super) fn parents(&self, transaction: &PreparedTransaction) -> BTreeSet<Txid> {
        let inputs = transaction.transaction.input.iter();
        let parents = inputs.map(|input| input.previous_output.txid);
        parents.filter(|parent| self.contains(parent)).collect()
    }

    /// Chains of what is not final are bounded both ways, so that no walk over a family is long.
    fn check_chains(
        &self,
        transaction: &PreparedTransaction,
        replaced: &BTreeSet<Txid>,
        vsize: u64,
    ) -> Result<(), Reject> {
        let too_long = |what: &str, limit: &dyn std::fmt::Display| {
            RejectCode::ChainTooLong.because(format!("{what} [limit: {limit}]"))
        };
        let ancestors = self.pool.with_ancestors(self.parents(transaction));
        if ancestors.len() >= ANCESTORS_MAX {
            return Err(too_long("too many unconfirmed ancestors", &ANCESTORS_MAX));
        }
        if self.pool.sum(&ancestors).size.saturating_add(vsize) > CHAIN_VSIZE_MAX {
            return Err(too_long("exceeds ancestor size limit", &CHAIN_VSIZE_MAX));
        }
        for ancestor in &ancestors {
            let mut family = self.pool.with_descendants([*ancestor]);
            family.retain(|txid| !replaced.contains(txid));
            if family.len() >= DESCENDANTS_MAX {
                let what = format!("too many descendants for tx {ancestor}");
                return Err(too_long(&what, &DESCENDANTS_MAX));
            }
            if self.pool.sum(&family).size.saturating_add(vsize) > CHAIN_VSIZE_MAX {
                let what = format!("exceeds descendant size limit for tx {ancestor}");
                return Err(too_long(&what, &CHAIN_VSIZE_MAX));
            }
        }
        Ok(())
    }
}

/// Whether so much waits for its block that nothing new is to be ordered.
pub(super) fn backlog_is_full(ledger: &Ledger) -> bool {
    let backlog = ledger.backlog();
    backlog.weight > backlog.weight_max
}

/// The output that an input spends, when one of these makes it.
fn waiting_coin(
    parents: &[PreparedTransaction],
    transaction: &PreparedTransaction,
    place: usize,
) -> Option<SpentCoin> {
    let outpoint = transaction.transaction.input.get(place)?.previous_output;
    let parent = parents.iter().find(|parent| parent.txid == outpoint.txid)?;
    let output = parent.transaction.output.get(usize::try_from(outpoint.vout).ok()?)?;
    let with_age = rules::relative_lock_applies(&transaction.transaction, place);
    let age = if with_age { Age::Unsealed } else { Age::Irrelevant };
    Some(SpentCoin { output: output.clone(), coinbase: None, age })
}

pub(super) fn check_verdict(
    transaction: &PreparedTransaction,
    verdict: ScriptVerdict,
) -> Result<(), Reject> {
    let ScriptVerdict::Invalid { input, reason } = verdict else { return Ok(()) };
    let PreparedTransaction { txid, wtxid, .. } = transaction;
    let details = format!("input {input} of {txid} (wtxid {wtxid})");
    Err(RejectCode::Script(reason).because(details))
}
