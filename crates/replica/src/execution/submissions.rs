//! Clients' transactions on their way into the pool, in groups: one sync makes a whole group durable.

use std::collections::VecDeque;

use bitcoin::Transaction;
use ledger::Ledger;
use ledger::Mempool;
use ledger::Outcome;
use ledger::PreparedTransaction;
use ledger::ScriptCache;
use ledger::ScriptCheck;
use ledger::ScriptVerdict;
use ledger::SkipReason;
use ledger::mempool::AdmissionError;
use ledger::mempool::MemberResult;
use ledger::mempool::PackageAnswer;
use ledger::mempool::Prepared;
use ledger::mempool::PreparedPackage;
use ledger::mempool::Reject;
use ledger::mempool::RejectCode;
use ledger::mempool::RejectKind;
use ledger::query;
use types::table::TableFault;
use types::table::TableRead;

use super::Accepted;
use super::SUBMISSIONS_PER_STEP_MAX;
use super::SUBMISSIONS_WAITING_MAX;
use super::SubmissionId;
use crate::checks::CheckRunner;

/// What waits to be judged, and what was refused for want of room.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    waiting: VecDeque<Submission>,
    refused: Vec<Answered>,
}

/// One submission.
#[derive(Debug)]
struct Submission {
    id: SubmissionId,
    work: Work,
}

/// What is submitted.
#[derive(Debug)]
enum Work {
    Transaction(PreparedTransaction),
    Package(Vec<PreparedTransaction>),
}

/// One answer.
#[derive(Debug)]
pub(super) enum Answered {
    Transaction { id: SubmissionId, result: Result<Accepted, Reject> },
    Package { id: SubmissionId, result: Result<PackageAnswer, Reject> },
}

/// What one step has judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) answers: Vec<Answered>,
    /// Whether the pool has grown: then it must be synced before anything is answered.
    pub(super) has_admitted: bool,
}

/// What admission looks at.
pub(super) struct Pool<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) read: &'a dyn TableRead,
    pub(super) cache: &'a mut ScriptCache,
    pub(super) runner: &'a dyn CheckRunner,
}

/// What is ready for its scripts to be judged, in the order of submission.
#[derive(Debug)]
enum Ready {
    One(Box<Prepared>),
    Package(PreparedPackage),
    /// A child behind parents that waited for it. It alone is answered.
    Child(PreparedPackage, Box<PreparedTransaction>),
}

impl Submissions {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.refused.is_empty()
    }

    pub(super) fn add(&mut self, id: SubmissionId, transaction: Transaction) {
        if self.waiting.len() < SUBMISSIONS_WAITING_MAX {
            let work = Work::Transaction(PreparedTransaction::new(transaction));
            return self.waiting.push_back(Submission { id, work });
        }
        self.refused.push(Answered::Transaction { id, result: Err(full()) });
    }

    pub(super) fn add_package(&mut self, id: SubmissionId, transactions: Vec<Transaction>) {
        if self.waiting.len() < SUBMISSIONS_WAITING_MAX {
            let members = transactions.into_iter().map(PreparedTransaction::new).collect();
            return self.waiting.push_back(Submission { id, work: Work::Package(members) });
        }
        self.refused.push(Answered::Package { id, result: Err(full()) });
    }

    /// Judges the next group. What is admitted must be written and synced before it is answered.
    pub(super) fn admit(
        &mut self,
        mempool: &mut Mempool,
        pool: &mut Pool<'_>,
    ) -> Result<Judged, TableFault> {
        let mut judged = Judged { answers: std::mem::take(&mut self.refused), has_admitted: false };
        let mut ready: Vec<(SubmissionId, Ready)> = Vec::new();
        let mut deferred = Vec::new();
        for _ in 0..SUBMISSIONS_PER_STEP_MAX {
            let Some(Submission { id, work }) = self.waiting.pop_front() else { break };
            let transaction = match work {
                Work::Package(members) => {
                    let package = mempool.prepare_package(pool.ledger, pool.read, members)?;
                    ready.push((id, Ready::Package(package)));
                    continue;
                }
                Work::Transaction(transaction) => transaction,
            };
            match mempool.prepare(pool.ledger, pool.read, transaction.clone()) {
                Ok(prepared) => ready.push((id, Ready::One(Box::new(prepared)))),
                Err(error) if is_missing(&error) && mempool.has_lone_parent(&transaction) => {
                    let mut members = mempool.lone_parents(&transaction);
                    members.push(transaction.clone());
                    let package = mempool.prepare_package(pool.ledger, pool.read, members)?;
                    ready.push((id, Ready::Child(package, Box::new(transaction))));
                }
                // What it spends may be made by one that is about to be admitted.
                Err(error) if is_premature(&error) && !ready.is_empty() => {
                    let work = Work::Transaction(transaction);
                    deferred.push(Submission { id, work });
                }
                Err(error) => {
                    let result = refuse(mempool, pool, transaction, error)?;
                    judged.answers.push(Answered::Transaction { id, result });
                }
            }
        }
        deferred.into_iter().rev().for_each(|submission| self.waiting.push_front(submission));
        admit_ready(mempool, pool, ready, &mut judged)?;
        Ok(judged)
    }
}

/// Runs the scripts of all that is ready at once, then admits one after the other.
fn admit_ready(
    mempool: &mut Mempool,
    pool: &mut Pool<'_>,
    ready: Vec<(SubmissionId, Ready)>,
    judged: &mut Judged,
) -> Result<(), TableFault> {
    let checks: Vec<ScriptCheck> =
        ready.iter().flat_map(|(_, one)| one.checks()).cloned().collect();
    let mut verdicts = judge(&checks, pool.cache, pool.runner).into_iter();
    for (id, one) in ready {
        let own: Vec<ScriptVerdict> = verdicts.by_ref().take(one.checks().len()).collect();
        match one {
            Ready::One(prepared) => {
                let transaction = prepared.transaction().clone();
                let Some(verdict) = own.first() else { continue };
                let result = match mempool.admit(pool.ledger, pool.read, *prepared, *verdict) {
                    Ok(_) => Ok(Accepted::Pooled),
                    Err(error) => refuse(mempool, pool, transaction, error)?,
                };
                judged.has_admitted |= result == Ok(Accepted::Pooled);
                judged.answers.push(Answered::Transaction { id, result });
            }
            Ready::Package(package) => {
                let answer = mempool.admit_package(pool.ledger, pool.read, &package, &own)?;
                judged.has_admitted |= answer.has_admitted();
                judged.answers.push(Answered::Package { id, result: Ok(answer) });
            }
            Ready::Child(package, child) => {
                let answer = mempool.admit_package(pool.ledger, pool.read, &package, &own)?;
                judged.has_admitted |= answer.has_admitted();
                let result = match of_child(&answer, &child) {
                    Ok(accepted) => Ok(accepted),
                    Err(reject) => refuse(mempool, pool, *child, reject.into())?,
                };
                judged.answers.push(Answered::Transaction { id, result });
            }
        }
    }
    Ok(())
}

impl Ready {
    fn checks(&self) -> &[ScriptCheck] {
        match self {
            Self::One(prepared) => std::slice::from_ref(prepared.check()),
            Self::Package(package) | Self::Child(package, _) => package.checks(),
        }
    }
}

fn full() -> Reject {
    let code = RejectCode::MempoolFull;
    Reject { code, reason: code.to_string() }
}

/// What the sender of a child is told, which knows nothing of a package.
fn of_child(answer: &PackageAnswer, child: &PreparedTransaction) -> Result<Accepted, Reject> {
    let known = answer.members.iter().find(|member| member.wtxid == child.wtxid);
    match known.map(|member| &member.result) {
        Some(MemberResult::Admitted { .. }) => Ok(Accepted::Pooled),
        Some(MemberResult::InPool { .. }) => Ok(Accepted::AlreadyPooled),
        Some(MemberResult::Refused(reject)) => Err(reject.clone()),
        Some(MemberResult::OtherWitness(_)) => {
            let code = RejectCode::SameNonWitnessData;
            Err(Reject { code, reason: code.to_string() })
        }
        Some(MemberResult::NotValidated) | None => {
            let code = RejectCode::Rule(SkipReason::InputsMissingOrSpent);
            Err(Reject { code, reason: code.to_string() })
        }
    }
}

fn is_missing(error: &AdmissionError) -> bool {
    let missing = RejectCode::Rule(SkipReason::InputsMissingOrSpent);
    matches!(error, AdmissionError::Reject(reject) if reject.code == missing)
}

/// Answers a transaction that was not taken in now. One that pays too little waits for its child.
fn refuse(
    mempool: &mut Mempool,
    pool: &Pool<'_>,
    transaction: PreparedTransaction,
    error: AdmissionError,
) -> Result<Result<Accepted, Reject>, TableFault> {
    let waits = matches!(
        &error,
        AdmissionError::Reject(Reject {
            code: RejectCode::MinRelayFee | RejectCode::InsufficientFee,
            ..
        })
    );
    let answer = answer(pool.read, &transaction, error)?;
    if waits {
        mempool.keep_lone(transaction);
    }
    Ok(answer)
}

fn is_premature(error: &AdmissionError) -> bool {
    matches!(error, AdmissionError::Reject(reject) if reject.code.kind() == RejectKind::Premature)
}

/// One verdict a check, the known ones without work.
fn judge(
    checks: &[ScriptCheck],
    cache: &mut ScriptCache,
    runner: &dyn CheckRunner,
) -> Vec<ScriptVerdict> {
    let known: Vec<_> = checks.iter().map(|check| cache.get(&check.wtxid())).collect();
    let open = checks.iter().zip(&known).filter(|(_, known)| known.is_none());
    let open: Vec<ScriptCheck> = open.map(|(check, _)| check.clone()).collect();
    let mut found = match open.is_empty() {
        true => Vec::new(),
        false => runner.run(&open),
    }
    .into_iter();
    let verdict = |(check, known): (&ScriptCheck, Option<ScriptVerdict>)| {
        known.unwrap_or_else(|| {
            let verdict = found.next().unwrap_or_else(|| check.run());
            cache.insert(check.wtxid(), verdict);
            verdict
        })
    };
    checks.iter().zip(known).map(verdict).collect()
}

/// What a client is told of a transaction that was not taken in now.
fn answer(
    read: &dyn TableRead,
    transaction: &PreparedTransaction,
    error: AdmissionError,
) -> Result<Result<Accepted, Reject>, TableFault> {
    let reject = match error {
        AdmissionError::Fault(fault) => return Err(fault),
        AdmissionError::Reject(reject) => reject,
    };
    Ok(match reject.code {
        RejectCode::AlreadyInMempool => Ok(Accepted::AlreadyPooled),
        RejectCode::AlreadyKnown => match query::outcome(read, &transaction.txid)? {
            Some(Outcome::Final { commit }) => Ok(Accepted::AlreadyFinal { commit }),
            _ => Err(reject),
        },
        _ => Err(reject),
    })
}
