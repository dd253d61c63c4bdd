//! The commits that wait to be applied: some in memory, all in the store.

use std::collections::BTreeMap;

use consensus::Ordered;
use ledger::Ledger;
use types::Commit;
use types::CommitIndex;
use types::Committee;
use types::Digest;
use types::Genesis;
use types::Rules;
use types::Unverified;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::table::TableFault;
use types::table::TableRead;

use super::EXECUTION_QUEUE_MAX;
use crate::error::OpenError;
use crate::tables;

/// Knows how far the order goes. **Invariant:** at most [`EXECUTION_QUEUE_MAX`] commits are held.
#[derive(Debug)]
pub(super) struct Commits {
    committee: Committee,
    rules: Rules,
    ordered: CommitIndex,
    held: BTreeMap<CommitIndex, Ordered>,
}

impl Commits {
    /// Finds where the order ends and that the ledger lies on it.
    pub(super) fn open(
        genesis: &Genesis,
        ledger: &Ledger,
        read: &dyn TableRead,
    ) -> Result<Self, OpenError> {
        let committee = genesis.check()?;
        let last = tables::last_commit(read)?;
        let ordered = last.map_or(CommitIndex::ZERO, |last| last.index);
        let applied = ledger.applied();
        if applied > ordered {
            return Err(OpenError::LedgerAhead { applied, ordered });
        }
        let digest = match applied {
            CommitIndex::ZERO => Digest::ZERO,
            applied => stored_commit(read, applied)?.digest(),
        };
        if digest != ledger.digest() {
            return Err(OpenError::LedgerAstray { applied });
        }
        let rules = genesis.consensus.rules();
        Ok(Self { committee, rules, ordered, held: BTreeMap::new() })
    }

    /// The validators.
    pub(super) const fn committee(&self) -> &Committee {
        &self.committee
    }

    /// Where the order ends, as far as is known here.
    pub(super) const fn ordered(&self) -> CommitIndex {
        self.ordered
    }

    /// Takes a commit, in memory when there is room.
    pub(super) fn add(&mut self, ordered: Ordered, applied: CommitIndex) {
        let index = ordered.commit.index;
        self.ordered = self.ordered.max(index);
        if index > applied && self.held.len() < EXECUTION_QUEUE_MAX {
            self.held.insert(index, ordered);
        }
    }

    /// Whether there are commits behind the one that was applied last.
    pub(super) fn has_more(&self, applied: CommitIndex) -> bool {
        self.ordered > applied
    }

    /// The commit at `index`, from memory or from the store.
    pub(super) fn take(
        &mut self,
        read: &dyn TableRead,
        index: CommitIndex,
    ) -> Result<Ordered, TableFault> {
        match self.held.remove(&index) {
            Some(ordered) => Ok(ordered),
            None => self.load(read, index),
        }
    }

    fn load(&self, read: &dyn TableRead, index: CommitIndex) -> Result<Ordered, TableFault> {
        let commit = stored_commit(read, index)?;
        let vertices = commit.vertices.iter().map(|vertex| self.load_vertex(read, vertex));
        let vertices = vertices.collect::<Result<_, _>>()?;
        Ok(Ordered { commit, vertices })
    }

    fn load_vertex(
        &self,
        read: &dyn TableRead,
        reference: &VertexRef,
    ) -> Result<Verified<Vertex>, TableFault> {
        let fault = |reason: &dyn std::fmt::Display| TableFault {
            reason: format!("the committed vertex {reference}: {reason}"),
        };
        let encoded = tables::vertex(read, reference)?.ok_or_else(|| fault(&"is not there"))?;
        let vertex = Unverified::decode(&encoded).map_err(|error| fault(&error))?;
        vertex.verify(&self.committee, self.rules).map_err(|error| fault(&error))
    }
}

fn stored_commit(read: &dyn TableRead, index: CommitIndex) -> Result<Commit, TableFault> {
    let commit = tables::commit(read, index)?;
    commit.ok_or_else(|| TableFault { reason: format!("commit {index} is not there") })
}
