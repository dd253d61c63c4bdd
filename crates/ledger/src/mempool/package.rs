//! Transactions that come together, so that a child may pay for parents that pay too little.
//!
//! As Core does it: every member is tried by itself first, so that no fee is counted twice; what
//! failed only for its fee, or for want of such a parent, is then judged together. Together they
//! may replace others when they are one parent and one child without further parents in the pool.
//! A member that is final already counts as there.
//!
//! Source: Core's `doc/policy/packages.md`, `AcceptPackage`, `PackageRBFChecks`; the words are its.

use std::collections::BTreeSet;

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::Txid;
use bitcoin::Wtxid;
use types::table::TableFault;
use types::table::TableRead;

use super::Mempool;
use super::admission::Examined;
use super::admission::check_verdict;
use super::limits::ANCESTORS_MAX;
use super::limits::CHAIN_VSIZE_MAX;
use super::limits::DESCENDANTS_MAX;
use super::limits::FeeRate;
use super::limits::PACKAGE_MAX;
use super::limits::PACKAGE_WEIGHT_MAX;
use super::limits::REPLACEMENTS_MAX;
use super::limits::Ratio;
use super::limits::Standardness;
use super::policy;
use super::reject::AdmissionError;
use super::reject::Reject;
use super::reject::RejectCode;
use crate::Ledger;
use crate::batch::PreparedTransaction;
use crate::rules::SkipReason;
use crate::script::ScriptCheck;
use crate::script::ScriptVerdict;
use crate::script::Verifier;

const FAILED: &str = "transaction failed";
const UNSPENT_DUST: &str = "unspent-dust";

/// A package whose scripts are to be judged before it can be admitted.
#[derive(Clone, Debug)]
pub struct PreparedPackage {
    members: Vec<PreparedTransaction>,
    checks: Vec<ScriptCheck>,
    /// Why nothing of it is looked at.
    fault: Option<&'static str>,
}

/// What became of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageAnswer {
    /// What is wrong with the whole; none when every member is in the pool or final.
    pub fault: Option<String>,
    /// What became of the members, in their order.
    pub members: Vec<MemberAnswer>,
    /// What they replaced.
    pub replaced: Vec<Txid>,
}

/// What became of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAnswer {
    /// Its name.
    pub txid: Txid,
    /// Its name with the witness.
    pub wtxid: Wtxid,
    /// What became of it.
    pub result: MemberResult,
}

/// What became of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberResult {
    /// It is new in the pool.
    Admitted {
        /// The size that it pays for, in virtual bytes.
        vsize: u64,
        /// What it pays.
        fee: Amount,
        /// What it pays together with those that were judged with it.
        effective: FeeRate,
        /// Who was judged with it, itself among them.
        includes: Vec<Wtxid>,
    },
    /// It was in the pool before.
    InPool {
        /// The size that it pays for, in virtual bytes.
        vsize: u64,
        /// What it pays.
        fee: Amount,
    },
    /// The same transaction with this witness was in the pool before.
    OtherWitness(Wtxid),
    /// It is refused.
    Refused(Reject),
    /// Nothing of the package was looked at.
    NotValidated,
}

/// Why transactions are not admitted together.
enum Together {
    /// For what they are as a whole.
    Package(String),
    /// For what one is. Its place among them.
    Member(usize, Reject),
    /// For what all of them pay.
    All(Reject),
    Fault(TableFault),
}

/// What is known of a package on the way.
#[derive(Default)]
struct Progress {
    results: Vec<Option<MemberResult>>,
    replaced: Vec<Txid>,
    /// Whether a member failed in a way that company does not change.
    failed: bool,
    /// The places of those that are judged together.
    open: Vec<usize>,
}

impl PreparedPackage {
    /// The scripts that are to be judged, on any thread.
    pub fn checks(&self) -> &[ScriptCheck] {
        &self.checks
    }

    fn verdict(&self, place: usize, verdicts: &[ScriptVerdict]) -> Option<ScriptVerdict> {
        let wtxid = self.members[place].wtxid;
        let known = self.checks.iter().position(|check| check.wtxid() == wtxid);
        known.and_then(|place| verdicts.get(place)).copied()
    }
}

impl PackageAnswer {
    /// Whether a member is new in the pool.
    pub fn has_admitted(&self) -> bool {
        let admitted = |one: &MemberAnswer| matches!(one.result, MemberResult::Admitted { .. });
        self.members.iter().any(admitted)
    }
}

impl Mempool {
    /// Looks at a package as far as it can be judged without its scripts.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prepare_package(
        &self,
        ledger: &Ledger,
        read: &dyn TableRead,
        members: Vec<PreparedTransaction>,
    ) -> Result<PreparedPackage, TableFault> {
        let fault = package_fault(&members);
        let mut checks = Vec::new();
        for (place, member) in members.iter().enumerate().filter(|_| fault.is_none()) {
            match self.examine(ledger, read, member, &members[..place]) {
                Ok(examined) => {
                    let spent = examined.spent.to_vec();
                    checks.push(ScriptCheck::of(member, spent, &Verifier::default()));
                }
                Err(AdmissionError::Reject(_)) => {}
                Err(AdmissionError::Fault(fault)) => return Err(fault),
            }
        }
        Ok(PreparedPackage { members, checks, fault })
    }

    /// Takes in what can be of a prepared package; one verdict a check.
    ///
    /// # Errors
    /// When the store fails.
    pub fn admit_package(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        package: &PreparedPackage,
        verdicts: &[ScriptVerdict],
    ) -> Result<PackageAnswer, TableFault> {
        let mut progress = Progress::default();
        if let Some(fault) = package.fault {
            progress.results = vec![Some(MemberResult::NotValidated); package.members.len()];
            return Ok(answer(package, progress, Some(fault.to_owned())));
        }
        for place in 0..package.members.len() {
            let verdict = package.verdict(place, verdicts);
            self.try_alone(ledger, read, package, (place, verdict), &mut progress)?;
        }
        let mut fault = progress.failed.then(|| FAILED.to_owned());
        if !progress.failed && !progress.open.is_empty() {
            match self.admit_together(ledger, read, package, verdicts, &mut progress) {
                Ok(()) => {}
                Err(Together::Fault(fault)) => return Err(fault),
                Err(Together::Package(words)) => fault = Some(words),
                Err(Together::Member(place, reject)) => {
                    let is_dust = reject.code == RejectCode::MissingEphemeralSpends;
                    fault = Some(if is_dust { UNSPENT_DUST } else { FAILED }.to_owned());
                    progress.results[place] = Some(MemberResult::Refused(reject));
                }
                Err(Together::All(reject)) => {
                    for place in &progress.open {
                        progress.results[*place] = Some(MemberResult::Refused(reject.clone()));
                    }
                    fault = Some(FAILED.to_owned());
                }
            }
        }
        self.trim();
        for (member, result) in package.members.iter().zip(&mut progress.results) {
            let here =
                matches!(result, Some(MemberResult::Admitted { .. } | MemberResult::InPool { .. }));
            if here && !self.contains(&member.txid) {
                *result = Some(MemberResult::Refused(RejectCode::MempoolFull.plain()));
                fault = Some(FAILED.to_owned());
            }
        }
        Ok(answer(package, progress, fault))
    }

    fn try_alone(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        package: &PreparedPackage,
        (place, verdict): (usize, Option<ScriptVerdict>),
        progress: &mut Progress,
    ) -> Result<(), TableFault> {
        let member = &package.members[place];
        if let Some(entry) = self.get(&member.txid) {
            let wtxid = entry.transaction().wtxid;
            progress.results.push(Some(if wtxid == member.wtxid {
                MemberResult::InPool { vsize: entry.vsize(), fee: entry.fee() }
            } else {
                MemberResult::OtherWitness(wtxid)
            }));
            return Ok(());
        }
        let admitted = match verdict {
            Some(verdict) => self.admit_one(ledger, read, member.clone(), verdict),
            // Its inputs came between: it is judged here and now.
            None => self.prepare(ledger, read, member.clone()).and_then(|prepared| {
                let verdict = prepared.check().run();
                self.admit_one(ledger, read, member.clone(), verdict)
            }),
        };
        let reject = match admitted {
            Ok(admission) => {
                progress.replaced.extend(admission.replaced);
                progress.results.push(self.admitted(member, None));
                return Ok(());
            }
            Err(AdmissionError::Fault(fault)) => return Err(fault),
            Err(AdmissionError::Reject(reject)) => reject,
        };
        let missing = RejectCode::Rule(SkipReason::InputsMissingOrSpent);
        if package.members.len() > 1 && (reject.code.is_reconsiderable() || reject.code == missing)
        {
            progress.open.push(place);
        } else if reject.code != RejectCode::AlreadyKnown {
            progress.failed = true;
        }
        progress.results.push(Some(MemberResult::Refused(reject)));
        Ok(())
    }

    /// What is told of a member that is in the pool now. `group` is what it was judged with.
    fn admitted(
        &self,
        member: &PreparedTransaction,
        group: Option<(Ratio, Vec<Wtxid>)>,
    ) -> Option<MemberResult> {
        let entry = self.get(&member.txid)?;
        let (vsize, fee) = (entry.vsize(), entry.fee());
        let (ratio, includes) = group.unwrap_or_else(|| (entry.ratio(), vec![member.wtxid]));
        let effective = FeeRate::of(Amount::from_sat(ratio.fee), ratio.size);
        Some(MemberResult::Admitted { vsize, fee, effective, includes })
    }

    fn admit_together(
        &mut self,
        ledger: &Ledger,
        read: &dyn TableRead,
        package: &PreparedPackage,
        verdicts: &[ScriptVerdict],
        progress: &mut Progress,
    ) -> Result<(), Together> {
        let places = progress.open.clone();
        let members: Vec<PreparedTransaction> =
            places.iter().map(|place| package.members[*place].clone()).collect();
        let mut examined = Vec::new();
        for (number, member) in members.iter().enumerate() {
            let own = self.examine(ledger, read, member, &members[..number]);
            let own = own.and_then(|own| {
                self.check_truc(member, &own.conflicts, own.offer.size)?;
                Ok(own)
            });
            examined.push(own.map_err(|error| together(places[number], error))?);
        }
        let offer = examined.iter().map(|one: &Examined| one.offer);
        let offer = offer.fold(Ratio { fee: 0, size: 0 }, Ratio::plus);
        let vsizes: Vec<u64> = examined.iter().map(|one| one.offer.size).collect();
        self.check_truc_package(&members, &vsizes)
            .map_err(|words| Together::Package(format!("TRUC-violation, {words}")))?;
        self.check_fee(offer).map_err(Together::All)?;
        let replaced = self.check_package_replacement(&members, &examined, offer)?;
        self.check_package_chains(&members, &replaced, offer.size)
            .map_err(|words| Together::Package(format!("too-long-mempool-chain, {words}")))?;
        for (number, member) in members.iter().enumerate() {
            let spent = self.check_dust_is_spent(member, &members[..number]);
            spent.map_err(|reject| Together::Member(places[number], reject))?;
        }
        for (number, member) in members.iter().enumerate() {
            let verdict = package.verdict(places[number], verdicts).unwrap_or_else(|| {
                let spent = examined[number].spent.to_vec();
                ScriptCheck::of(member, spent, &Verifier::default()).run()
            });
            let checked = check_verdict(member, verdict);
            checked.map_err(|reject| Together::Member(places[number], reject))?;
        }
        progress.replaced.extend(self.pool.remove_families(replaced));
        for (member, examined) in members.iter().zip(examined) {
            self.take_in(member.clone(), examined);
        }
        let includes: Vec<Wtxid> = members.iter().map(|member| member.wtxid).collect();
        for (place, member) in places.iter().zip(&members) {
            progress.results[*place] = self.admitted(member, Some((offer, includes.clone())));
        }
        Ok(())
    }

    /// What a package takes the place of, when it may. A little stricter than Core: its rate has
    /// to lie above that of everything it replaces, where Core compares feerate diagrams.
    fn check_package_replacement(
        &self,
        members: &[PreparedTransaction],
        examined: &[Examined],
        offer: Ratio,
    ) -> Result<BTreeSet<Txid>, Together> {
        let conflicts = examined.iter().flat_map(|one| one.conflicts.iter().copied());
        let conflicts: BTreeSet<Txid> = conflicts.collect();
        if conflicts.is_empty() {
            return Ok(BTreeSet::new());
        }
        let refused = |words: &str| Together::Package(format!("package RBF failed: {words}"));
        let ([parent, _], [_, child]) = (examined, members) else {
            return Err(refused("package must be 1-parent-1-child"));
        };
        if members.iter().any(|member| !self.parents(member).is_empty()) {
            return Err(refused("new transaction cannot have mempool ancestors"));
        }
        let replaced = self.replaceable(&conflicts);
        let replaced = replaced.map_err(|reject| Together::Package(reject.reason))?;
        if replaced.len() > REPLACEMENTS_MAX {
            return Err(refused("too many potential replacements"));
        }
        self.check_replacement_pays(&replaced, offer, &child.txid)
            .map_err(|words| refused(&format!("insufficient anti-DoS fees, {words}")))?;
        if offer <= parent.offer {
            return Err(refused("package feerate is less than or equal to parent feerate"));
        }
        let mut old = replaced.iter().filter_map(|txid| self.get(txid));
        if old.any(|old| old.ratio() >= offer) {
            let words = "insufficient feerate: does not improve feerate diagram";
            return Err(refused(words));
        }
        Ok(replaced)
    }

    fn check_package_chains(
        &self,
        members: &[PreparedTransaction],
        replaced: &BTreeSet<Txid>,
        vsize: u64,
    ) -> Result<(), String> {
        let parents: BTreeSet<Txid> =
            members.iter().flat_map(|member| self.parents(member)).collect();
        let ancestors = self.pool.with_ancestors(parents);
        let sum = self.pool.sum(&ancestors).size.saturating_add(vsize);
        if ancestors.len() + members.len() > ANCESTORS_MAX {
            return Err(format!("too many unconfirmed ancestors [limit: {ANCESTORS_MAX}]"));
        }
        if sum > CHAIN_VSIZE_MAX {
            return Err(format!("exceeds ancestor size limit [limit: {CHAIN_VSIZE_MAX}]"));
        }
        for ancestor in &ancestors {
            let mut family = self.pool.with_descendants([*ancestor]);
            family.retain(|txid| !replaced.contains(txid));
            let sum = self.pool.sum(&family).size.saturating_add(vsize);
            if family.len() + members.len() > DESCENDANTS_MAX || sum > CHAIN_VSIZE_MAX {
                return Err(format!("too many descendants for tx {ancestor}"));
            }
        }
        Ok(())
    }

    /// Whoever spends from a parent that waits spends its dust, too. `company` are the members of
    /// its package that stand before it.
    pub(super) fn check_dust_is_spent(
        &self,
        transaction: &PreparedTransaction,
        company: &[PreparedTransaction],
    ) -> Result<(), Reject> {
        if self.limits.standardness == Standardness::Waived {
            return Ok(());
        }
        let inputs = transaction.transaction.input.iter().map(|input| input.previous_output);
        let spent: BTreeSet<OutPoint> = inputs.collect();
        let parents: BTreeSet<Txid> = spent.iter().map(|outpoint| outpoint.txid).collect();
        for txid in parents {
            let pooled = self.get(&txid).map(|entry| entry.transaction());
            let Some(parent) = company.iter().find(|one| one.txid == txid).or(pooled) else {
                continue;
            };
            let mut dust = policy::dust(&parent.transaction, &self.limits);
            if dust.any(|vout| !spent.contains(&OutPoint { txid, vout })) {
                let PreparedTransaction { txid, wtxid, .. } = transaction;
                let details =
                    format!("tx {txid} (wtxid={wtxid}) did not spend parent's ephemeral dust");
                return Err(RejectCode::MissingEphemeralSpends.because(details));
            }
        }
        Ok(())
    }
}

fn together(place: usize, error: AdmissionError) -> Together {
    match error {
        AdmissionError::Reject(reject) => Together::Member(place, reject),
        AdmissionError::Fault(fault) => Together::Fault(fault),
    }
}

fn answer(package: &PreparedPackage, progress: Progress, fault: Option<String>) -> PackageAnswer {
    let members = package.members.iter().zip(progress.results).map(|(member, result)| {
        let result = result.unwrap_or(MemberResult::NotValidated);
        MemberAnswer { txid: member.txid, wtxid: member.wtxid, result }
    });
    PackageAnswer { fault, members: members.collect(), replaced: progress.replaced }
}

/// What shows without any state. Core's `IsWellFormedPackage` and `IsChildWithParents`.
fn package_fault(members: &[PreparedTransaction]) -> Option<&'static str> {
    if members.len() > PACKAGE_MAX {
        return Some("package-too-many-transactions");
    }
    let weight = members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.weight));
    if members.len() > 1 && weight > PACKAGE_WEIGHT_MAX {
        return Some("package-too-large");
    }
    let names: BTreeSet<Txid> = members.iter().map(|member| member.txid).collect();
    if names.len() != members.len() {
        return Some("package-contains-duplicates");
    }
    let mut spent = BTreeSet::new();
    let mut conflict = false;
    for (place, member) in members.iter().enumerate() {
        for input in &member.transaction.input {
            let outpoint = input.previous_output;
            if members[place..].iter().any(|later| later.txid == outpoint.txid) {
                return Some("package-not-sorted");
            }
            // A transaction that names an output twice is refused by itself.
            conflict |= spent.contains(&outpoint);
        }
        spent.extend(member.transaction.input.iter().map(|input| input.previous_output));
    }
    if conflict {
        return Some("conflict-in-package");
    }
    let (child, parents) = members.split_last()?;
    let inputs = child.transaction.input.iter();
    let spent: BTreeSet<Txid> = inputs.map(|input| input.previous_output.txid).collect();
    if parents.iter().any(|parent| !spent.contains(&parent.txid)) {
        return Some("package-not-child-with-parents");
    }
    None
}
