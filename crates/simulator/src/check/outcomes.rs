//! Every validator makes the same state of the same commit, a transaction has one outcome, and no
//! output is spent twice.
//!
//! The state is compared by what is written for each commit: equal from genesis on means equal
//! tables, whatever is in them.

use std::collections::BTreeMap;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use ledger::mempool;
use replica::execution::Summary;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Hasher;
use types::table::Changes;

use super::Verdict;
use super::ensure;

/// All outcomes, and what each commit wrote.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    written: Vec<Digest>,
    finals: BTreeMap<Txid, CommitIndex>,
    rejected: BTreeMap<Txid, Txid>,
    inputs: BTreeMap<Txid, Vec<OutPoint>>,
    spent: BTreeMap<OutPoint, Txid>,
}

/// What one validator says that a commit did.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Which commit.
    pub(crate) commit: CommitIndex,
    /// What it wrote into the tables of the ledger.
    pub(crate) rows: Digest,
    /// What became final.
    pub(crate) finals: Vec<Txid>,
    /// What can not become final any more, with what won.
    pub(crate) rejected: Vec<(Txid, Txid)>,
}

impl Report {
    pub(crate) fn new(summary: &Summary, rows: Digest) -> Self {
        let rejected = summary.rejected.iter();
        Self {
            commit: summary.commit,
            rows,
            finals: summary.finals.clone(),
            rejected: rejected.map(|rejected| (rejected.txid, rejected.conflict)).collect(),
        }
    }
}

/// The hash of all that is written into the tables of the ledger. The pool is one validator's own,
/// and so is what ordering keeps, proofs of checkpoints among it.
pub(crate) fn ledger_rows(changes: &Changes) -> Digest {
    let mut hasher = Hasher::new("meanwhile/simulator/rows/v1");
    let is_shared = |table| table != mempool::POOL && ledger::tables().contains(&table);
    for change in changes.iter().filter(|change| is_shared(change.table)) {
        let mut writer = types::encoding::Writer::default();
        writer.bytes(change.table.name().as_bytes());
        writer.bytes(&change.key);
        match &change.value {
            None => writer.u8(0),
            Some(value) => {
                writer.u8(1);
                writer.bytes(value);
            }
        }
        hasher = hasher.bytes(&writer.finish());
    }
    hasher.finish()
}

impl Outcomes {
    /// A client made a transaction: what it spends is known from now on.
    pub(crate) fn made(&mut self, transaction: &Transaction) {
        let inputs = transaction.input.iter().map(|input| input.previous_output).collect();
        self.inputs.insert(transaction.compute_txid(), inputs);
    }

    /// In which commit a transaction became final.
    pub(crate) fn commit_of(&self, txid: &Txid) -> Option<CommitIndex> {
        self.finals.get(txid).copied()
    }

    /// What a transaction lost to.
    pub(crate) fn lost_to(&self, txid: &Txid) -> Option<Txid> {
        self.rejected.get(txid).copied()
    }

    /// A validator applied a commit. Says whether it is the first one that did.
    pub(crate) fn applied(
        &mut self,
        by: Author,
        report: &Report,
    ) -> Result<bool, super::Violation> {
        let index = report.commit;
        let place = usize::try_from(index.value()).unwrap_or(usize::MAX);
        let known = place.checked_sub(1).and_then(|place| self.written.get(place));
        if let Some(known) = known {
            let is_same = *known == report.rows;
            ensure(is_same, || format!("one state: validator {by} differs at commit {index}"))?;
            return Ok(false);
        }
        ensure(place == self.written.len() + 1, || {
            format!("validator {by} applied commit {index} before the ones below")
        })?;
        self.written.push(report.rows);
        for txid in &report.finals {
            self.finalise(*txid, index)?;
        }
        for (txid, conflict) in &report.rejected {
            self.reject(*txid, *conflict)?;
        }
        Ok(true)
    }

    fn finalise(&mut self, txid: Txid, index: CommitIndex) -> Verdict {
        let before = self.finals.insert(txid, index);
        ensure(before.is_none(), || {
            format!("one outcome: {txid} is final in {before:?} and in {index}")
        })?;
        ensure(!self.rejected.contains_key(&txid), || {
            format!("one outcome: {txid} was rejected and is final in {index}")
        })?;
        for input in self.inputs.get(&txid).into_iter().flatten() {
            let other = self.spent.insert(*input, txid);
            ensure(other.is_none(), || format!("{input} is spent by {txid} and by {other:?}"))?;
        }
        Ok(())
    }

    fn reject(&mut self, txid: Txid, conflict: Txid) -> Verdict {
        ensure(!self.finals.contains_key(&txid), || {
            format!("one outcome: {txid} is final and was rejected")
        })?;
        ensure(self.finals.contains_key(&conflict), || {
            format!("{txid} was rejected for {conflict}, which is not final")
        })?;
        let before = self.rejected.insert(txid, conflict);
        ensure(before.is_none(), || format!("one outcome: {txid} was rejected twice"))
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;

    fn txid(number: u8) -> Txid {
        Txid::from_byte_array([number; 32])
    }

    fn report(commit: u64, finals: &[u8], rejected: &[(u8, u8)]) -> Report {
        let commit = CommitIndex::new(commit);
        Report {
            commit,
            rows: Hasher::new("test").value(&commit).finish(),
            finals: finals.iter().copied().map(txid).collect(),
            rejected: rejected.iter().map(|(lost, won)| (txid(*lost), txid(*won))).collect(),
        }
    }

    fn refused(outcomes: &mut Outcomes, report: &Report, word: &str) {
        let violation = outcomes.applied(Author::new(1), report).unwrap_err();
        assert!(violation.0.contains(word), "{violation:?}");
    }

    #[test]
    fn the_same_from_everybody_is_fine_and_another_state_is_noticed() {
        let mut outcomes = Outcomes::default();
        let first = report(1, &[1], &[(2, 1)]);
        assert_eq!(outcomes.applied(Author::new(0), &first), Ok(true));
        assert_eq!(outcomes.applied(Author::new(1), &first), Ok(false));
        assert_eq!(outcomes.commit_of(&txid(1)), Some(CommitIndex::new(1)));
        assert_eq!(outcomes.lost_to(&txid(2)), Some(txid(1)));
        refused(&mut outcomes, &Report { rows: Digest::ZERO, ..first }, "one state");
        refused(&mut outcomes, &report(3, &[], &[]), "before the ones below");
    }

    #[test]
    fn a_second_outcome_is_noticed() {
        let start = || {
            let mut outcomes = Outcomes::default();
            outcomes.applied(Author::new(0), &report(1, &[1], &[(2, 1)])).unwrap();
            outcomes
        };
        refused(&mut start(), &report(2, &[1], &[]), "one outcome");
        refused(&mut start(), &report(2, &[2], &[]), "one outcome");
        refused(&mut start(), &report(2, &[3], &[(1, 3)]), "one outcome");
        refused(&mut start(), &report(2, &[3], &[(2, 3)]), "one outcome");
        refused(&mut start(), &report(2, &[], &[(3, 4)]), "not final");
    }

    #[test]
    fn an_output_that_is_spent_twice_is_noticed() {
        let mut outcomes = Outcomes::default();
        let input = OutPoint { txid: txid(9), vout: 0 };
        outcomes.inputs.insert(txid(1), vec![input]);
        outcomes.inputs.insert(txid(2), vec![input]);
        refused(&mut outcomes, &report(1, &[1, 2], &[]), "is spent by");
    }

    #[test]
    fn the_pool_is_not_part_of_the_common_state() {
        let table = ledger::tables().iter().find(|table| **table != mempool::POOL).unwrap();
        let mut changes = Changes::default();
        changes.put(mempool::POOL, &b"a"[..], &b"b"[..]);
        assert_eq!(ledger_rows(&changes), ledger_rows(&Changes::default()));
        changes.put(*table, &b"a"[..], &b"b"[..]);
        assert_ne!(ledger_rows(&changes), ledger_rows(&Changes::default()));
    }
}
