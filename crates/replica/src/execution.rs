//! The execution half: applies commits behind the order and keeps the pool.
//!
//! **Invariant:** nothing here is needed for agreement. A commit that never arrived, or that did not
//! fit into the queue, is read from the store: ordering wrote it before it said so.
//!
//! **Invariant:** what is answered as accepted has been synced. After a restart the pool is what it
//! was, and everything in it is proposed again; what was ordered meanwhile is passed over as known.
//!
//! Source: `docs/ledger.md`, Applying a commit and Mempool.

use std::collections::VecDeque;
use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::Txid;
use consensus::Ordered;
use ledger::Applied;
use ledger::Batch;
use ledger::BatchItem;
use ledger::Ledger;
use ledger::Mempool;
use ledger::Rejected;
use ledger::ScriptCache;
use ledger::ScriptCheck;
use ledger::SealedBlock;
use ledger::Skipped;
use ledger::mempool::MempoolLimits;
use ledger::mempool::PackageAnswer;
use ledger::mempool::Reject;
use store::Durability;
use types::Author;
use types::Checkpoint;
use types::CommitIndex;
use types::Digest;
use types::Genesis;
use types::Item;
use types::Verified;
use types::Vertex;
use types::blob::BlobOutcome;
use types::blob::BlobStatement;
use types::bls;
use types::table::TableFault;
use types::table::TableRead;

use crate::checks::CheckRunner;
use crate::error::OpenError;
use crate::ordering::PROPOSAL_ROOM;
use crate::ordering::Pace;
use crate::ordering::Room;
use crate::step::Step;
use crate::tables;

use commits::Commits;
use statements::Statements;
use submissions::Answered;
use submissions::Pool;
use submissions::Submissions;
use votes::Votes;

mod commits;
mod statements;
mod submissions;
#[cfg(test)]
pub(crate) mod tests;
mod votes;

pub use statements::BLOB_STATEMENTS_WAITING_MAX;
pub use votes::CheckpointOutcome;
pub use votes::CheckpointTask;
pub use votes::Divergence;
pub use votes::DoubleVote;
pub use votes::HURRY_COMMITS_MAX;
pub use votes::SIGNED_BEHIND_MAX;
pub use votes::VOTES_AHEAD;
pub use votes::VOTES_BEHIND;
pub use votes::VOTES_PER_VERTEX_MAX;

/// How far execution may lie behind the order before this validator proposes nothing more, in
/// commits; also how many of them wait in memory.
pub const EXECUTION_QUEUE_MAX: usize = 64;
/// How many submissions are judged and made durable in one step.
pub const SUBMISSIONS_PER_STEP_MAX: usize = 256;
/// How many submissions may wait; what comes on top is refused.
pub const SUBMISSIONS_WAITING_MAX: usize = 8192;
/// How many received vertices may wait for their scripts to be judged ahead; the oldest one goes.
pub const AHEAD_MAX: usize = 64;
/// How many items that are no transactions may wait to be proposed.
pub const TICKS_WAITING_MAX: usize = 64;

/// What the execution half has to know.
#[derive(Clone, Debug)]
pub struct ExecutionConfig {
    /// The parameters of the network.
    pub genesis: Arc<Genesis>,
    /// Which validator this is; none for a follower, which proposes nothing.
    pub own: Option<Author>,
    /// What the pool allows.
    pub limits: MempoolLimits,
}

/// Names one submission, so that its answer finds back. The caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(pub u64);

/// What the execution half is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Ordering's next commit. One that is missing, or comes again, does no harm.
    Commit(Ordered),
    /// A transaction of a client.
    Submit {
        /// For the answer.
        id: SubmissionId,
        /// The transaction.
        transaction: Transaction,
    },
    /// Transactions of a client that come together, parents first.
    SubmitPackage {
        /// For the answer.
        id: SubmissionId,
        /// The transactions.
        transactions: Vec<Transaction>,
    },
    /// Seal so many blocks now: development networks only.
    Ticks(u16),
    /// Put this into the next own vertex. Whoever says it sees to it that it is true and durable, and
    /// says it again while the ledger has not heard it: it may get lost.
    Say(BlobStatement),
    /// Ordering's [`Action::Returned`](crate::ordering::Action::Returned).
    Returned(Vec<Item>),
    /// Ordering's [`Action::Taken`](crate::ordering::Action::Taken).
    Taken(Room),
    /// Ordering's [`Action::Ahead`](crate::ordering::Action::Ahead). Losing one costs time only.
    Ahead(Verified<Vertex>),
    /// The answer to [`Action::SignCheckpoint`].
    CheckpointSigned {
        /// Which commit.
        commit: CommitIndex,
        /// This validator's signature.
        signature: bls::Signature,
    },
    /// The answer to [`Action::CheckVotes`].
    VotesChecked(CheckpointOutcome),
}

/// What the execution half asks for.
#[derive(Clone, Debug)]
pub enum Action {
    /// The answer to a submission. What is accepted is durable.
    Answer {
        /// Which submission.
        id: SubmissionId,
        /// Whether it is in the pool.
        result: Result<Accepted, Reject>,
    },
    /// The answer to a package. What is admitted is durable.
    AnswerPackage {
        /// Which submission.
        id: SubmissionId,
        /// What became of its members, or why it was not looked at.
        result: Result<PackageAnswer, Reject>,
    },
    /// For ordering's queue.
    Propose(Vec<Item>),
    /// For ordering: everything up to this commit is applied.
    Executed(CommitIndex),
    /// A commit was applied and written.
    Applied(Summary),
    /// Sign [`vote_message`](types::checkpoint::vote_message) of this digest with the checkpoint key,
    /// and answer with [`Input::CheckpointSigned`].
    SignCheckpoint {
        /// Which commit.
        commit: CommitIndex,
        /// The digest of the checkpoint that this node computed.
        digest: Digest,
    },
    /// Run this, on whatever thread, and answer with [`Input::VotesChecked`].
    CheckVotes(CheckpointTask),
    /// The checkpoint of this commit is proven; the proof has been written.
    CheckpointProven(CommitIndex),
    /// For ordering: whether rounds should go on for the sake of a proof.
    Pace(Pace),
    /// A validator signed two states for one commit; it has been written.
    DoubleVote(DoubleVote),
    /// A quorum signed another state than this node's. It has been written and synced; nothing
    /// follows, and the node must stop.
    Diverged(Box<Divergence>),
}

/// What became of a submission that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is new in the pool.
    Pooled,
    /// It is in the pool already.
    AlreadyPooled,
    /// It is final already.
    AlreadyFinal {
        /// In which commit.
        commit: CommitIndex,
    },
}

/// What one commit did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Which commit.
    pub commit: CommitIndex,
    /// Transactions that are final now.
    pub finals: Vec<Txid>,
    /// Transactions that can never become final.
    pub rejected: Vec<Rejected>,
    /// Occurrences that were passed over.
    pub skipped: Vec<Skipped>,
    /// Blocks that were sealed.
    pub blocks: Vec<SealedBlock>,
    /// What became of blobs.
    pub blobs: Vec<BlobOutcome>,
    /// The checkpoint that the state is now, if it is one.
    pub checkpoint: Option<Checkpoint>,
    /// The number of the newest event; zero when there is none.
    pub last_event: u64,
}

/// The execution half.
#[derive(Debug)]
pub struct Execution {
    config: ExecutionConfig,
    ledger: Ledger,
    mempool: Mempool,
    cache: ScriptCache,
    commits: Commits,
    submissions: Submissions,
    ahead: VecDeque<Verified<Vertex>>,
    ticks: VecDeque<Item>,
    statements: Statements,
    votes: Votes,
    checked: VecDeque<CheckpointOutcome>,
    /// The pace that ordering was told last.
    pace: Pace,
    /// What fits into ordering's queue.
    room: Room,
    /// What was applied and is written by the next call, for the pool.
    applied: Option<Applied>,
    /// What is applied was told since the start.
    has_reported: bool,
    /// Whether submissions go before commits next: they take turns.
    submissions_next: bool,
}

impl Execution {
    /// Says what submissions would be answered now, one after the other, and takes nothing in. It
    /// tries them on a copy of the pool, so it costs as much as the pool is large.
    ///
    /// # Errors
    /// When the store fails.
    pub fn rehearse(
        &self,
        transactions: Vec<Transaction>,
        read: &dyn TableRead,
        runner: &dyn CheckRunner,
    ) -> Result<Vec<Result<Accepted, Reject>>, TableFault> {
        let mut mempool = self.mempool.clone();
        let mut cache = ScriptCache::new();
        let mut answers = Vec::with_capacity(transactions.len());
        // One by one: each is judged behind those before it, and the order of answers is theirs.
        for transaction in transactions {
            let mut submissions = Submissions::default();
            submissions.add(SubmissionId(0), transaction);
            let mut pool = Pool { ledger: &self.ledger, read, cache: &mut cache, runner };
            let judged = submissions.admit(&mut mempool, &mut pool)?;
            answers.extend(judged.answers.into_iter().filter_map(|answered| match answered {
                Answered::Transaction { result, .. } => Some(result),
                Answered::Package { .. } => None,
            }));
        }
        Ok(answers)
    }

    /// Opens the ledger and the pool and finds the commits that were not applied yet. An empty
    /// store must have got the rows of [`Ledger::genesis`] before.
    ///
    /// # Errors
    /// When the store fails or does not hold this network's ledger.
    pub fn open(config: ExecutionConfig, read: &dyn TableRead) -> Result<Self, OpenError> {
        if let Some(divergence) = tables::divergence(read)? {
            let commit = divergence.own.commit;
            return Err(OpenError::Diverged { commit });
        }
        let ledger = Ledger::open(&config.genesis, read)?;
        let mempool = Mempool::open(config.own, config.limits, &ledger, read)?;
        let commits = Commits::open(&config.genesis, &ledger, read)?;
        let votes = Votes::open(config.own, commits.committee(), &ledger, read)?;
        Ok(Self {
            config,
            ledger,
            mempool,
            cache: ScriptCache::new(),
            commits,
            submissions: Submissions::default(),
            ahead: VecDeque::new(),
            ticks: VecDeque::new(),
            statements: Statements::default(),
            votes,
            checked: VecDeque::new(),
            pace: Pace::Idle,
            room: PROPOSAL_ROOM,
            applied: None,
            has_reported: false,
            submissions_next: false,
        })
    }

    /// Takes an input. The work is done by [`Self::poll_step`].
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Commit(ordered) => self.commits.add(ordered, self.ledger.applied()),
            Input::Submit { id, transaction } => self.submissions.add(id, transaction),
            Input::SubmitPackage { id, transactions } => {
                self.submissions.add_package(id, transactions);
            }
            Input::Ticks(count) => self.add_ticks(Item::DevelopmentTicks(count)),
            Input::Say(statement) => self.say(statement),
            Input::Returned(items) => self.take_back(items),
            Input::Taken(room) => {
                self.statements.taken();
                self.room.bytes = PROPOSAL_ROOM.bytes.min(self.room.bytes + room.bytes);
                self.room.items = PROPOSAL_ROOM.items.min(self.room.items + room.items);
            }
            Input::Ahead(vertex) => {
                // A vote counts before it is ordered, however long scripts have to wait.
                self.votes.hear(&vertex, self.ledger.applied());
                self.ahead.push_back(vertex);
                if self.ahead.len() > AHEAD_MAX {
                    self.ahead.pop_front();
                }
            }
            Input::CheckpointSigned { commit, signature } => {
                self.votes.signed(commit, signature, self.ledger.applied());
            }
            Input::VotesChecked(outcome) => self.checked.push_back(outcome),
        }
    }

    /// Does the next piece of work: a commit, or a group of submissions. The step must be written
    /// before the next call. None when there is nothing to do.
    ///
    /// # Errors
    /// When the store fails: the process stops.
    pub fn poll_step(
        &mut self,
        read: &dyn TableRead,
        runner: &dyn CheckRunner,
    ) -> Result<Option<Step<Action>>, TableFault> {
        if let Some(applied) = self.applied.take() {
            self.mempool.applied(&self.ledger, read, &applied)?;
        }
        let mut step = Step::default();
        if self.votes.has_diverged() {
            return Ok(None);
        }
        while let Some(outcome) = self.checked.pop_front() {
            self.votes.checked(outcome, &mut step);
            if self.votes.has_diverged() {
                return Ok(Some(step));
            }
        }
        if !std::mem::replace(&mut self.has_reported, true) {
            step.then.push(Action::Executed(self.ledger.applied()));
        }
        let has_commit = self.commits.has_more(self.ledger.applied());
        let has_submission = !self.submissions.is_empty();
        if has_submission && (self.submissions_next || !has_commit) {
            self.submissions_next = false;
            self.admit(read, runner, &mut step)?;
        } else if has_commit {
            self.submissions_next = true;
            self.apply(read, runner, &mut step)?;
        } else if let Some(vertex) = self.ahead.pop_front() {
            self.judge_ahead(&vertex, read, runner)?;
        }
        self.votes.ask(self.commits.ordered(), &mut step);
        self.propose(&mut step);
        self.set_pace(&mut step);
        step.persist.append(self.mempool.drain_changes());
        let is_idle = step.is_empty() && self.ahead.is_empty();
        Ok((!is_idle).then_some(step))
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The pool.
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Applies the next commit.
    fn apply(
        &mut self,
        read: &dyn TableRead,
        runner: &dyn CheckRunner,
        step: &mut Step<Action>,
    ) -> Result<(), TableFault> {
        let ordered = self.commits.take(read, self.ledger.applied().next())?;
        let batch = Batch::from_commit(&ordered.commit, &ordered.vertices);
        let checks = self.ledger.script_checks(read, &batch, &self.cache)?;
        self.judge(&checks, runner);
        let mut applied = self.ledger.apply(read, &batch, &self.cache)?;
        self.take_votes(&ordered, &applied);
        step.persist.append(std::mem::take(&mut applied.changes));
        step.then.push(Action::Executed(batch.index));
        step.then.push(Action::Applied(Summary {
            commit: batch.index,
            finals: applied.finals.clone(),
            rejected: applied.rejected.clone(),
            skipped: applied.skipped.clone(),
            blocks: applied.blocks.clone(),
            blobs: applied.blobs.clone(),
            checkpoint: applied.checkpoint,
            last_event: self.ledger.last_event(),
        }));
        self.applied = Some(applied);
        Ok(())
    }

    /// What a commit means for checkpoints: a new one, perhaps, and votes for those before.
    fn take_votes(&mut self, ordered: &Ordered, applied: &Applied) {
        let commit = ordered.commit.index;
        if let Some(checkpoint) = applied.checkpoint {
            self.votes.computed(checkpoint, false);
        }
        let has_outcomes =
            !applied.finals.is_empty() || !applied.rejected.is_empty() || !applied.blobs.is_empty();
        self.votes.applied(commit, has_outcomes);
        ordered.vertices.iter().for_each(|vertex| self.votes.hear(vertex, commit));
    }

    /// Judges a group of submissions and answers them once they are durable.
    fn admit(
        &mut self,
        read: &dyn TableRead,
        runner: &dyn CheckRunner,
        step: &mut Step<Action>,
    ) -> Result<(), TableFault> {
        let mut pool = Pool { ledger: &self.ledger, read, cache: &mut self.cache, runner };
        let judged = self.submissions.admit(&mut self.mempool, &mut pool)?;
        if judged.has_admitted {
            step.durability = Durability::Synced;
        }
        step.then.extend(judged.answers.into_iter().map(|answer| match answer {
            Answered::Transaction { id, result } => Action::Answer { id, result },
            Answered::Package { id, result } => Action::AnswerPackage { id, result },
        }));
        Ok(())
    }

    /// Judges the scripts of a vertex that was received and not ordered yet.
    fn judge_ahead(
        &mut self,
        vertex: &Verified<Vertex>,
        read: &dyn TableRead,
        runner: &dyn CheckRunner,
    ) -> Result<(), TableFault> {
        let author = vertex.author();
        let items = vertex.payload().items().iter();
        let batch = Batch {
            index: self.ledger.applied().next(),
            digest: Digest::ZERO,
            timestamp: vertex.header().timestamp,
            leader: author,
            items: items.map(|item| BatchItem::new(author, item)).collect(),
        };
        let checks = self.ledger.script_checks(read, &batch, &self.cache)?;
        self.judge(&checks, runner);
        Ok(())
    }

    fn judge(&mut self, checks: &[ScriptCheck], runner: &dyn CheckRunner) {
        if checks.is_empty() {
            return;
        }
        for (check, verdict) in checks.iter().zip(runner.run(checks)) {
            self.cache.insert(check.wtxid(), verdict);
        }
    }

    /// Fills ordering's queue. What is proposed is chosen as late as there is room for it.
    fn propose(&mut self, step: &mut Step<Action>) {
        if self.config.own.is_none() {
            return;
        }
        let mut items = Vec::new();
        while let Some(vote) = self.votes.next_vote() {
            let item = Item::CheckpointVote(vote);
            let room = Room::of(std::slice::from_ref(&item));
            if room.bytes > self.room.bytes || self.room.items == 0 {
                self.votes.put_back(vote);
                break;
            }
            self.take_room(room);
            items.push(item);
        }
        while let Some(item) = self.ticks.pop_front() {
            let room = Room::of(std::slice::from_ref(&item));
            if room.bytes > self.room.bytes || self.room.items == 0 {
                self.ticks.push_front(item);
                break;
            }
            self.take_room(room);
            items.push(item);
        }
        while let Some(statement) = self.statements.next() {
            let item = Item::BlobStatement(statement);
            let room = Room::of(std::slice::from_ref(&item));
            if room.bytes > self.room.bytes || self.room.items == 0 {
                self.statements.put_back(statement);
                break;
            }
            self.take_room(room);
            items.push(item);
        }
        if self.room.items > 0 && self.mempool.has_waiting() {
            let taken = self.mempool.take(self.room.bytes, self.room.items);
            let taken: Vec<Item> = taken.into_iter().map(Item::Transaction).collect();
            self.take_room(Room::of(&taken));
            items.extend(taken);
        }
        if !items.is_empty() {
            step.then.push(Action::Propose(items));
        }
    }

    fn set_pace(&mut self, step: &mut Step<Action>) {
        let pace = self.votes.pace(self.ledger.applied());
        if pace != self.pace {
            self.pace = pace;
            step.then.push(Action::Pace(pace));
        }
    }

    fn take_room(&mut self, taken: Room) {
        self.room.bytes = self.room.bytes.saturating_sub(taken.bytes);
        self.room.items = self.room.items.saturating_sub(taken.items);
    }

    fn take_back(&mut self, items: Vec<Item>) {
        let mut transactions = Vec::new();
        for item in items {
            match item {
                Item::Transaction(bytes) => transactions.push(bytes),
                Item::DevelopmentTicks(_) => self.add_ticks(item),
                Item::CheckpointVote(vote) => self.votes.returned(vote),
                Item::BlobStatement(statement) => self.say(statement),
            }
        }
        self.mempool.returned(&transactions);
    }

    fn say(&mut self, statement: BlobStatement) {
        if self.config.own.is_some() {
            self.statements.say(statement);
        }
    }

    fn add_ticks(&mut self, item: Item) {
        if self.config.own.is_some() && self.ticks.len() < TICKS_WAITING_MAX {
            self.ticks.push_back(item);
        }
    }
}
