//! The way into the pool, in the order of Core's checks.
//!
//! Everything but the scripts is judged twice: before they run, so that they run for nothing
//! obviously refused, and after, since commits were applied and the pool changed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::Amount;
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
use super::limits::REPLACEMENTS_MAX;
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

/// Everything about a transaction that could be admitted.
struct Judged {
    spent: Arc<[TxOut]>,
    sigops_cost: u64,
    /// What it replaces, with everything that depends on it.
    replaced: BTreeSet<Txid>,
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
        let judged = self.judge(ledger, read, &transaction)?;
        let check = ScriptCheck::new(transaction.transaction.clone(), judged.spent.to_vec());
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
        let transaction = prepared.transaction;
        check_verdict(&transaction, verdict)?;
        let judged = self.judge(ledger, read, &transaction)?;
        let replaced = self.pool.remove_families(judged.replaced);
        let txid = transaction.txid;
        let orphans = self.orphans(&transaction);
        let orphans = self.pool.take_families(orphans);
        self.arrive(transaction, judged.spent, judged.sigops_cost, false);
        for orphan in orphans {
            self.arrive(orphan.transaction, orphan.spent, orphan.sigops_cost, orphan.handed_out);
        }
        let evicted = self.trim();
        if evicted.contains(&txid) {
            return Err(RejectCode::MempoolFull.into());
        }
        Ok(Admission { txid, replaced, evicted })
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
        let coins = self.coins(read, transaction)?;
        let judgement = rules::check_inputs(inner, &coins, &ledger.next_block(), ledger.limits())?;
        let spent: Arc<[TxOut]> = coins.into_iter().map(|coin| coin.output).collect();
        if spent.iter().map(TxOut::size).fold(0, usize::saturating_add) > SPENT_BYTES_MAX {
            return Err(RejectCode::NonStandardInputs.into());
        }
        if standard {
            policy::check_inputs(inner, &spent)?;
        }
        if judgement.sigops_cost > policy::SIGOPS_COST_MAX {
            return Err(SkipReason::TooManySigops.into());
        }
        let vsize = policy::vsize(judgement.weight, judgement.sigops_cost);
        let offer = Ratio { fee: judgement.fee.to_sat(), size: vsize };
        self.check_fee(offer)?;
        let replaced = self.check_replacement(transaction, &conflicts, offer)?;
        self.check_chains(transaction, &replaced, vsize)?;
        Ok(Judged { spent, sigops_cost: judgement.sigops_cost, replaced })
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
    ) -> Result<Vec<SpentCoin>, AdmissionError> {
        let mut coins = Vec::new();
        for (place, input) in transaction.transaction.input.iter().enumerate() {
            let missing = RejectCode::Rule(SkipReason::InputsMissingOrSpent);
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
        let outputs = &parent.transaction.transaction.output;
        let output = usize::try_from(outpoint.vout).ok().and_then(|vout| outputs.get(vout));
        Ok(match output {
            None => Source::Ledger(Lookup::Missing),
            Some(output) => Source::Pool(SpentCoin {
                output: output.clone(),
                coinbase: None,
                age: if with_age { Age::Unsealed } else { Age::Irrelevant },
            }),
        })
    }

    fn check_fee(&self, offer: Ratio) -> Result<(), Reject> {
        let least = self.limits.relay_fee.fee(offer.size);
        if offer.fee < least.to_sat() {
            let details = format!("{} < {}", offer.fee, least.to_sat());
            return Err(RejectCode::MinRelayFee.because(details));
        }
        Ok(())
    }

    /// BIP 125's rules 2 to 5, and Core's that a replacement pays a higher rate. Any transaction
    /// may be replaced, whether it signals or not, as in Core since version 28.
    fn check_replacement(
        &self,
        transaction: &PreparedTransaction,
        conflicts: &BTreeSet<Txid>,
        offer: Ratio,
    ) -> Result<BTreeSet<Txid>, Reject> {
        if conflicts.is_empty() {
            return Ok(BTreeSet::new());
        }
        let txid = transaction.txid;
        let replaced = self.pool.with_descendants(conflicts.iter().copied());
        let fixed =
            |txid: &&Txid| self.pool.entries.get(*txid).is_some_and(|entry| entry.handed_out);
        if let Some(fixed) = replaced.iter().find(fixed) {
            return Err(RejectCode::MempoolConflict.because(format!("{fixed} is proposed")));
        }
        let parents = self.parents(transaction);
        let ancestors = self.pool.with_ancestors(parents.iter().copied());
        if let Some(conflict) = ancestors.intersection(conflicts).next() {
            let details = format!("{txid} spends conflicting transaction {conflict}");
            return Err(RejectCode::SpendsConflicting.because(details));
        }
        let rejecting = format!("rejecting replacement {txid}");
        if conflicts.iter().filter_map(|txid| self.get(txid)).any(|old| old.ratio() >= offer) {
            let details = format!("{rejecting}; its feerate is not above what it replaces");
            return Err(RejectCode::InsufficientFee.because(details));
        }
        if replaced.len() > REPLACEMENTS_MAX {
            let details = format!("{rejecting}; {} > {REPLACEMENTS_MAX}", replaced.len());
            return Err(RejectCode::TooManyReplacements.because(details));
        }
        let old_parents = conflicts.iter().filter_map(|txid| self.get(txid));
        let old_parents: BTreeSet<&Txid> = old_parents.flat_map(Entry::parents).collect();
        if let Some(new) = parents.iter().find(|parent| !old_parents.contains(parent)) {
            let details = format!("replacement {txid} adds unconfirmed input of {new}");
            return Err(RejectCode::ReplacementAddsUnconfirmed.because(details));
        }
        self.check_replacement_pays(&replaced, offer, &rejecting)?;
        Ok(replaced)
    }

    fn check_replacement_pays(
        &self,
        replaced: &BTreeSet<Txid>,
        offer: Ratio,
        rejecting: &str,
    ) -> Result<(), Reject> {
        let old = self.pool.sum(replaced).fee;
        let Some(more) = offer.fee.checked_sub(old) else {
            let details = format!(
                "{rejecting}, less fees than conflicting txs; {} < {}",
                money(offer.fee),
                money(old)
            );
            return Err(RejectCode::InsufficientFee.because(details));
        };
        let least = self.limits.incremental_fee.fee(offer.size).to_sat();
        if more < least {
            let details = format!(
                "{rejecting}, not enough additional fees to relay; {} < {}",
                money(more),
                money(least)
            );
            return Err(RejectCode::InsufficientFee.because(details));
        }
        Ok(())
    }

    /// The entries whose outputs it spends.
    fn parents(&self, transaction: &PreparedTransaction) -> BTreeSet<Txid> {
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

fn check_verdict(transaction: &PreparedTransaction, verdict: ScriptVerdict) -> Result<(), Reject> {
    let ScriptVerdict::Invalid { input, reason } = verdict else { return Ok(()) };
    let PreparedTransaction { txid, wtxid, .. } = transaction;
    let details = format!("input {input} of {txid} (wtxid {wtxid})");
    Err(RejectCode::Script(reason).because(details))
}

/// An amount as Core writes it.
fn money(sat: u64) -> String {
    format!("{:.8}", Amount::from_sat(sat).display_in(bitcoin::Denomination::Bitcoin))
}
