//! What a transaction must pay that takes others' place in the pool.
//!
//! Any transaction may be replaced, whether it signals or not, as in Core since version 28, until
//! it is handed out for a vertex. Source: BIP 125, rules 2 to 5; Core's `doc/policy`.

use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::Txid;

use super::Mempool;
use super::entry::Entry;
use super::limits::REPLACEMENTS_MAX;
use super::limits::Ratio;
use super::reject::Reject;
use super::reject::RejectCode;
use crate::batch::PreparedTransaction;

impl Mempool {
    /// BIP 125's rules 2 to 5, and Core's that a replacement pays a higher rate. `sibling` is what
    /// leaves for want of room below their common parent.
    pub(super) fn check_replacement(
        &self,
        transaction: &PreparedTransaction,
        conflicts: &BTreeSet<Txid>,
        sibling: Option<Txid>,
        offer: Ratio,
    ) -> Result<BTreeSet<Txid>, Reject> {
        let conflicts: BTreeSet<Txid> = conflicts.iter().copied().chain(sibling).collect();
        if conflicts.is_empty() {
            return Ok(BTreeSet::new());
        }
        let txid = transaction.txid;
        let replaced = self.replaceable(&conflicts)?;
        let parents = self.parents(transaction);
        let ancestors = self.pool.with_ancestors(parents.iter().copied());
        if let Some(conflict) = ancestors.intersection(&conflicts).next() {
            let details = format!("{txid} spends conflicting transaction {conflict}");
            return Err(RejectCode::SpendsConflicting.because(details));
        }
        let rejecting = format!("rejecting replacement {txid}");
        let noted = |code: RejectCode, details: String| {
            let note = sibling.map_or("", |_| " (including sibling eviction)");
            Reject { code, reason: format!("{code}{note}, {details}") }
        };
        if conflicts.iter().filter_map(|txid| self.get(txid)).any(|old| old.ratio() >= offer) {
            let details = format!("{rejecting}; its feerate is not above what it replaces");
            return Err(noted(RejectCode::InsufficientFee, details));
        }
        if replaced.len() > REPLACEMENTS_MAX {
            let details = format!("{rejecting}; {} > {REPLACEMENTS_MAX}", replaced.len());
            return Err(noted(RejectCode::TooManyReplacements, details));
        }
        let old_parents = conflicts.iter().filter_map(|txid| self.get(txid));
        let old_parents: BTreeSet<&Txid> = old_parents.flat_map(Entry::parents).collect();
        if let Some(new) = parents.iter().find(|parent| !old_parents.contains(parent)) {
            let details = format!("replacement {txid} adds unconfirmed input of {new}");
            return Err(RejectCode::ReplacementAddsUnconfirmed.because(details));
        }
        let paid = self.check_replacement_pays(&replaced, offer, &txid);
        paid.map_err(|details| noted(RejectCode::InsufficientFee, details))?;
        Ok(replaced)
    }

    /// These and everything that depends on them, when none of it was handed out.
    pub(super) fn replaceable(&self, conflicts: &BTreeSet<Txid>) -> Result<BTreeSet<Txid>, Reject> {
        let replaced = self.pool.with_descendants(conflicts.iter().copied());
        let fixed =
            |txid: &&Txid| self.pool.entries.get(*txid).is_some_and(|entry| entry.handed_out);
        match replaced.iter().find(fixed) {
            Some(fixed) => Err(RejectCode::MempoolConflict.because(format!("{fixed} is proposed"))),
            None => Ok(replaced),
        }
    }

    /// Rules 3 and 4; what is wrong, in Core's words.
    pub(super) fn check_replacement_pays(
        &self,
        replaced: &BTreeSet<Txid>,
        offer: Ratio,
        txid: &Txid,
    ) -> Result<(), String> {
        let rejecting = format!("rejecting replacement {txid}");
        let old = self.pool.sum(replaced).fee;
        let Some(more) = offer.fee.checked_sub(old) else {
            return Err(format!(
                "{rejecting}, less fees than conflicting txs; {} < {}",
                money(offer.fee),
                money(old)
            ));
        };
        let least = self.limits.incremental_fee.fee(offer.size).to_sat();
        if more < least {
            return Err(format!(
                "{rejecting}, not enough additional fees to relay; {} < {}",
                money(more),
                money(least)
            ));
        }
        Ok(())
    }
}

/// An amount as Core writes it.
fn money(sat: u64) -> String {
    format!("{:.8}", Amount::from_sat(sat).display_in(bitcoin::Denomination::Bitcoin))
}
