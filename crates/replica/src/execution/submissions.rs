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
use ledger::mempool::AdmissionError;
use ledger::mempool::Prepared;
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
    transaction: PreparedTransaction,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) id: SubmissionId,
    pub(super) result: Result<Accepted, Reject>,
}

/// What admission looks at.
pub(super) struct Pool<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) read: &'a dyn TableRead,
    pub(super) cache: &'a mut ScriptCache,
    pub(super) runner: &'a dyn CheckRunner,
}

impl Submissions {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.refused.is_empty()
    }

    pub(super) fn add(&mut self, id: SubmissionId, transaction: Transaction) {
        if self.waiting.len() < SUBMISSIONS_WAITING_MAX {
            let transaction = PreparedTransaction::new(transaction);
            return self.waiting.push_back(Submission { id, transaction });
        }
        let code = RejectCode::MempoolFull;
        let result = Err(Reject { code, reason: code.to_string() });
        self.refused.push(Answered { id, result });
    }

    /// Judges the next group. What is admitted must be written and synced before it is answered.
    pub(super) fn admit(
        &mut self,
        mempool: &mut Mempool,
        pool: &mut Pool<'_>,
    ) -> Result<Vec<Answered>, TableFault> {
        let mut answers = std::mem::take(&mut self.refused);
        let mut prepared: Vec<(SubmissionId, Prepared)> = Vec::new();
        let mut deferred = Vec::new();
        for _ in 0..SUBMISSIONS_PER_STEP_MAX {
            let Some(Submission { id, transaction }) = self.waiting.pop_front() else { break };
            match mempool.prepare(pool.ledger, pool.read, transaction.clone()) {
                Ok(ready) => prepared.push((id, ready)),
                // What it spends may be made by one that is about to be admitted.
                Err(error) if is_premature(&error) && !prepared.is_empty() => {
                    deferred.push(Submission { id, transaction });
                }
                Err(error) => {
                    let result = answer(pool.read, &transaction, error)?;
                    answers.push(Answered { id, result });
                }
            }
        }
        deferred.into_iter().rev().for_each(|submission| self.waiting.push_front(submission));
        let checks: Vec<ScriptCheck> =
            prepared.iter().map(|(_, one)| one.check().clone()).collect();
        let verdicts = judge(&checks, pool.cache, pool.runner);
        for ((id, ready), verdict) in prepared.into_iter().zip(verdicts) {
            let transaction = ready.transaction().clone();
            let result = match mempool.admit(pool.ledger, pool.read, ready, verdict) {
                Ok(_) => Ok(Accepted::Pooled),
                Err(error) => answer(pool.read, &transaction, error)?,
            };
            answers.push(Answered { id, result });
        }
        Ok(answers)
    }
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
