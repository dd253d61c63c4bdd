//! The execution half: applies commits behind the order and keeps the pool.
//!
//! **Invariant:** nothing here is needed for agreement. A commit that never arrived, or that did not
//! fit into the queue, is read from the store: ordering wrote it before it said so.

use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::Txid;
use consensus::Ordered;
use ledger::Ledger;
use ledger::Mempool;
use ledger::Rejected;
use ledger::SealedBlock;
use ledger::Skipped;
use ledger::mempool::MempoolLimits;
use ledger::mempool::Reject;
use types::Author;
use types::CommitIndex;
use types::Genesis;
use types::Item;
use types::table::TableFault;
use types::table::TableRead;

use crate::checks::CheckRunner;
use crate::error::OpenError;
use crate::ordering::Room;
use crate::step::Step;

/// How far execution may lie behind the order before this validator proposes nothing more, in
/// commits; also how many of them wait in memory.
pub const EXECUTION_QUEUE_MAX: usize = 64;
/// How many submissions are judged and made durable in one step.
pub const SUBMISSIONS_PER_STEP_MAX: usize = 256;
/// How many submissions may wait; what comes on top is refused.
pub const SUBMISSIONS_WAITING_MAX: usize = 8192;

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
    /// Seal so many blocks now: development networks only.
    Ticks(u16),
    /// Ordering's [`Action::Returned`](crate::ordering::Action::Returned).
    Returned(Vec<Item>),
    /// Ordering's [`Action::Taken`](crate::ordering::Action::Taken).
    Taken(Room),
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
    /// For ordering's queue.
    Propose(Vec<Item>),
    /// For ordering: everything up to this commit is applied.
    Executed(CommitIndex),
    /// A commit was applied and written.
    Applied(Summary),
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
    /// The number of the newest event; zero when there is none.
    pub last_event: u64,
}

/// The execution half.
#[derive(Debug)]
pub struct Execution {}

#[allow(unused_variables, clippy::unimplemented, clippy::needless_pass_by_value)]
impl Execution {
    /// Opens the ledger and the pool and finds the commits that were not applied yet. An empty
    /// store must have got the rows of [`Ledger::genesis`] before.
    ///
    /// # Errors
    /// When the store fails or does not hold this network's ledger.
    pub fn open(config: ExecutionConfig, read: &dyn TableRead) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Takes an input. The work is done by [`Self::poll_step`].
    pub fn handle(&mut self, input: Input) {
        unimplemented!()
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
        unimplemented!()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        unimplemented!()
    }

    /// The pool.
    pub fn mempool(&self) -> &Mempool {
        unimplemented!()
    }
}
