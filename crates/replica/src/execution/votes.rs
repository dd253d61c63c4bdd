//! Votes on checkpoints: which were heard, what they add up to, and when one's own is given.
//!
//! A vote counts as soon as the vertex that carries it is seen; it needs no order. Nothing is
//! checked until a quorum of votes for one digest is there: then they are added up and judged with
//! one pairing. Only if that fails each is judged by itself, and who sent a wrong one is asked last
//! from then on.
//!
//! **Invariant:** at most [`VOTES_BEHIND`] + [`VOTES_AHEAD`] commits have votes here, one a
//! validator. **Invariant:** this node signs a checkpoint only after it has computed it itself.
//! **Invariant:** once a checkpoint is proven that differs from this node's own, nothing follows.
//!
//! Source: `docs/checkpoints.md`, Votes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use ledger::Ledger;
use ledger::query;
use types::Author;
use types::Checkpoint;
use types::CheckpointProof;
use types::CheckpointVote;
use types::CommitIndex;
use types::Committee;
use types::Digest;
use types::Item;
use types::Vertex;
use types::bls;
use types::table::TableFault;
use types::table::TableRead;

use super::Action;
use crate::ordering::Pace;
use crate::step::Step;
use crate::tables;

/// How many commits below the last applied one have votes kept.
pub const VOTES_BEHIND: u64 = 256;
/// How many commits above the last applied one have votes kept: others may be that far ahead.
pub const VOTES_AHEAD: u64 = 256;
/// How many votes of one vertex are looked at.
pub const VOTES_PER_VERTEX_MAX: usize = 16;
/// A checkpoint that lies further behind the order is not signed: others have proven it, or a later
/// one.
pub const SIGNED_BEHIND_MAX: u64 = 64;
/// After so many commits the network paces on no longer for an outcome whose proof does not come.
pub const HURRY_COMMITS_MAX: u64 = 64;

/// Work that costs pairings and depends on nothing but itself: to be run on any thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointTask {
    /// Adds votes up.
    Prove {
        /// Which commit.
        commit: CommitIndex,
        /// The digest that all of them are for.
        digest: Digest,
        /// The votes of distinct authors: a quorum.
        votes: Vec<(Author, bls::Signature)>,
    },
    /// Judges two votes of one validator for one commit.
    Double(DoubleVote),
}

/// What came of a [`CheckpointTask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointOutcome {
    /// The votes add up.
    Proven {
        /// Which commit.
        commit: CommitIndex,
        /// The digest that a quorum signed.
        digest: Digest,
        /// The proof.
        proof: CheckpointProof,
    },
    /// Some of the votes are wrong.
    Wrong {
        /// Which commit.
        commit: CommitIndex,
        /// Whose.
        authors: Vec<Author>,
    },
    /// Both votes are signed.
    Double(DoubleVote),
    /// At most one of them is.
    NotDouble,
}

/// Two votes of one validator for two digests of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubleVote {
    /// Who gave them.
    pub author: Author,
    /// The one that was heard first.
    pub first: CheckpointVote,
    /// The other one.
    pub second: CheckpointVote,
}

/// This node's own state is not the one that a quorum signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// What this node computed.
    pub own: Checkpoint,
    /// The digest that a quorum signed.
    pub proven: Digest,
    /// Their signatures.
    pub proof: CheckpointProof,
}

/// A checkpoint that this node has computed.
#[derive(Debug)]
struct Own {
    checkpoint: Checkpoint,
    digest: Digest,
    state: OwnState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnState {
    /// No task is out.
    Open,
    /// A task is out.
    Asked,
    Proven,
}

/// Everything about votes.
#[derive(Debug)]
pub(super) struct Votes {
    own: Option<Author>,
    quorum: usize,
    checkpoints: BTreeMap<CommitIndex, Own>,
    heard: BTreeMap<CommitIndex, BTreeMap<Author, CheckpointVote>>,
    /// Who sent a wrong signature since the start.
    doubted: BTreeSet<Author>,
    /// Double votes that were handed out to be judged.
    doubles: BTreeSet<(CommitIndex, Author)>,
    /// Own checkpoints to sign.
    unsigned: VecDeque<CommitIndex>,
    /// Own votes to be proposed.
    waiting: VecDeque<CheckpointVote>,
    tasks: VecDeque<CheckpointTask>,
    /// The highest commit that is proven to be a checkpoint.
    proven: CommitIndex,
    /// The last commit that decided something.
    decided: CommitIndex,
    has_diverged: bool,
}

impl CheckpointTask {
    /// Does it.
    pub fn run(&self, committee: &Committee) -> CheckpointOutcome {
        match self {
            Self::Prove { commit, digest, votes } => prove(committee, *commit, digest, votes),
            Self::Double(double) => {
                let member = committee.validator(double.author);
                let is_signed = |vote: &CheckpointVote| {
                    member.is_some_and(|member| vote.verify(&member.checkpoint_key).is_ok())
                };
                match is_signed(&double.first) && is_signed(&double.second) {
                    true => CheckpointOutcome::Double(*double),
                    false => CheckpointOutcome::NotDouble,
                }
            }
        }
    }
}

fn prove(
    committee: &Committee,
    commit: CommitIndex,
    digest: &Digest,
    votes: &[(Author, bls::Signature)],
) -> CheckpointOutcome {
    if let Ok(proof) = CheckpointProof::aggregate(votes, committee)
        && proof.verify(digest, committee).is_ok()
    {
        return CheckpointOutcome::Proven { commit, digest: *digest, proof };
    }
    let is_wrong = |(author, signature): &&(Author, bls::Signature)| {
        let vote = CheckpointVote { commit, digest: *digest, signature: *signature };
        let member = committee.validator(*author);
        member.is_none_or(|member| vote.verify(&member.checkpoint_key).is_err())
    };
    let authors = votes.iter().filter(is_wrong).map(|(author, _)| *author).collect();
    CheckpointOutcome::Wrong { commit, authors }
}

impl Votes {
    /// Takes up the checkpoints that are not proven yet.
    pub(super) fn open(
        own: Option<Author>,
        committee: &Committee,
        ledger: &Ledger,
        read: &dyn TableRead,
    ) -> Result<Self, TableFault> {
        let mut votes = Self {
            own,
            quorum: committee.quorums().quorum(),
            checkpoints: BTreeMap::new(),
            heard: BTreeMap::new(),
            doubted: BTreeSet::new(),
            doubles: BTreeSet::new(),
            unsigned: VecDeque::new(),
            waiting: VecDeque::new(),
            tasks: VecDeque::new(),
            proven: tables::last_proven(read)?,
            decided: CommitIndex::ZERO,
            has_diverged: false,
        };
        let applied = ledger.applied();
        let limit = usize::try_from(VOTES_BEHIND).unwrap_or(usize::MAX);
        for row in query::checkpoints_from(read, applied.saturating_sub(VOTES_BEHIND), limit)? {
            let is_proven = tables::proof(read, row.checkpoint.commit)?.is_some();
            votes.computed(row.checkpoint, is_proven);
        }
        if ledger.uncovered_outcomes() > 0 {
            votes.decided = applied;
        }
        Ok(votes)
    }

    /// Looks for votes in a vertex.
    pub(super) fn hear(&mut self, vertex: &Vertex, applied: CommitIndex) {
        let votes = vertex.payload().items().iter().filter_map(|item| match item {
            Item::CheckpointVote(vote) => Some(*vote),
            _ => None,
        });
        for vote in votes.take(VOTES_PER_VERTEX_MAX) {
            self.take(vertex.author(), vote, applied);
        }
    }

    fn take(&mut self, author: Author, vote: CheckpointVote, applied: CommitIndex) {
        let commit = vote.commit;
        let is_ahead = commit > applied && commit.distance_from(applied) <= VOTES_AHEAD;
        if !is_ahead && !self.checkpoints.contains_key(&commit) {
            return;
        }
        let heard = self.heard.entry(commit).or_default();
        match heard.get(&author) {
            None => {
                heard.insert(author, vote);
                self.count(commit);
            }
            Some(first) if first.digest != vote.digest => {
                if self.doubles.insert((commit, author)) {
                    let double = DoubleVote { author, first: *first, second: vote };
                    self.tasks.push_back(CheckpointTask::Double(double));
                }
            }
            Some(_) => {}
        }
    }

    /// Takes a checkpoint that this node has computed.
    pub(super) fn computed(&mut self, checkpoint: Checkpoint, is_proven: bool) {
        let (commit, digest) = (checkpoint.commit, checkpoint.digest());
        let state = if is_proven { OwnState::Proven } else { OwnState::Open };
        if checkpoint.has_outcomes() {
            self.decided = self.decided.max(commit);
        }
        self.checkpoints.insert(commit, Own { checkpoint, digest, state });
        if self.own.is_some() && !is_proven {
            self.unsigned.push_back(commit);
        }
        self.count(commit);
    }

    /// Takes note that a commit was applied, and forgets what lies far behind.
    pub(super) fn applied(&mut self, commit: CommitIndex, has_outcomes: bool) {
        if has_outcomes {
            self.decided = commit;
        }
        let line = commit.saturating_sub(VOTES_BEHIND);
        self.checkpoints = self.checkpoints.split_off(&line);
        self.heard = self.heard.split_off(&line);
        self.doubles = self.doubles.split_off(&(line, Author::ZERO));
        // Commits that turned out to be no checkpoints are not waited for.
        self.heard.retain(|at, _| *at > commit || self.checkpoints.contains_key(at));
    }

    /// Takes the own signature.
    pub(super) fn signed(
        &mut self,
        commit: CommitIndex,
        signature: bls::Signature,
        applied: CommitIndex,
    ) {
        let (Some(own), Some(checkpoint)) = (self.own, self.checkpoints.get(&commit)) else {
            return;
        };
        let vote = CheckpointVote { commit, digest: checkpoint.digest, signature };
        self.waiting.push_back(vote);
        self.take(own, vote, applied);
    }

    /// Takes back an own vote whose vertex was not ordered; it goes out again while it matters.
    pub(super) fn returned(&mut self, vote: CheckpointVote) {
        let is_open = |own: &Own| own.state != OwnState::Proven;
        if self.checkpoints.get(&vote.commit).is_some_and(is_open) {
            self.waiting.push_back(vote);
        }
    }

    /// The next own vote to be proposed.
    pub(super) fn next_vote(&mut self) -> Option<CheckpointVote> {
        self.waiting.pop_front()
    }

    /// Puts a vote back that there was no room for.
    pub(super) fn put_back(&mut self, vote: CheckpointVote) {
        self.waiting.push_front(vote);
    }

    /// Takes what came of a task, and writes what is to be kept.
    pub(super) fn checked(&mut self, outcome: CheckpointOutcome, step: &mut Step<Action>) {
        match outcome {
            CheckpointOutcome::Proven { commit, digest, proof } => {
                self.prove(commit, &digest, proof, step);
            }
            CheckpointOutcome::Wrong { commit, authors } => {
                let heard = self.heard.entry(commit).or_default();
                heard.retain(|author, _| !authors.contains(author));
                self.doubted.extend(authors);
                if let Some(own) = self.checkpoints.get_mut(&commit) {
                    own.state = OwnState::Open;
                }
                self.count(commit);
            }
            CheckpointOutcome::Double(double) => {
                tables::put_double_vote(&mut step.persist, &double);
                step.then.push(Action::DoubleVote(double));
            }
            CheckpointOutcome::NotDouble => {}
        }
    }

    fn prove(
        &mut self,
        commit: CommitIndex,
        digest: &Digest,
        proof: CheckpointProof,
        step: &mut Step<Action>,
    ) {
        let Some(own) = self.checkpoints.get_mut(&commit) else { return };
        own.state = OwnState::Proven;
        if own.digest == *digest {
            self.proven = self.proven.max(commit);
            tables::put_proof(&mut step.persist, commit, &proof);
            step.then.push(Action::CheckpointProven(commit));
            return;
        }
        let divergence = Divergence { own: own.checkpoint, proven: *digest, proof };
        tables::put_divergence(&mut step.persist, &divergence);
        step.durability = store::Durability::Synced;
        step.then.push(Action::Diverged(Box::new(divergence)));
        self.has_diverged = true;
    }

    /// Whether this node's state was proven wrong.
    pub(super) const fn has_diverged(&self) -> bool {
        self.has_diverged
    }

    /// Asks for signatures and pairings. `ordered` is where the order ends.
    pub(super) fn ask(&mut self, ordered: CommitIndex, step: &mut Step<Action>) {
        while let Some(commit) = self.unsigned.pop_front() {
            let Some(own) = self.checkpoints.get(&commit) else { continue };
            let is_late = ordered.distance_from(commit) > SIGNED_BEHIND_MAX;
            if own.state != OwnState::Proven && !is_late {
                step.then.push(Action::SignCheckpoint { commit, digest: own.digest });
            }
        }
        step.then.extend(self.tasks.drain(..).map(Action::CheckVotes));
    }

    /// Whether the network should pace on for a proof.
    pub(super) fn pace(&self, applied: CommitIndex) -> Pace {
        let is_open = self.decided > self.proven;
        match is_open && applied.distance_from(self.decided) <= HURRY_COMMITS_MAX {
            true => Pace::Hurry,
            false => Pace::Idle,
        }
    }

    /// Hands out a quorum of votes for one digest, when it is there. Doubted ones come last.
    fn count(&mut self, commit: CommitIndex) {
        let Some(own) = self.checkpoints.get_mut(&commit) else { return };
        let Some(heard) = self.heard.get(&commit) else { return };
        if own.state != OwnState::Open {
            return;
        }
        let digests: BTreeSet<Digest> = heard.values().map(|vote| vote.digest).collect();
        for digest in digests {
            let votes = heard.iter().filter(|(_, vote)| vote.digest == digest);
            let mut votes: Vec<(Author, bls::Signature)> =
                votes.map(|(author, vote)| (*author, vote.signature)).collect();
            if votes.len() < self.quorum {
                continue;
            }
            votes.sort_by_key(|(author, _)| (self.doubted.contains(author), *author));
            votes.truncate(self.quorum);
            own.state = OwnState::Asked;
            self.tasks.push_back(CheckpointTask::Prove { commit, digest, votes });
            return;
        }
    }
}

#[cfg(test)]
mod tests;
