//! The one door through which HTTP asks the node: it is cheap to clone and holds no lock.
//!
//! Reads go to the store; everything that changes something is a message to the execution thread
//! over a bounded queue. **Full-queue rule:** a submission that finds it full is refused with
//! [`SubmitError::Busy`]; nothing of a client ever waits in unbounded memory.

use std::sync::Arc;

use bitcoin::PrivateKey;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::Wtxid;
use client::api::TxState;
use ledger::Outcome;
use ledger::mempool::PackageAnswer;
use ledger::query;
use ledger::query::Base;
use store::Store;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use types::Author;
use types::CommitIndex;
use types::Committee;
use types::Genesis;
use types::blob::BlobStatement;
use types::table::TableFault;
use types::table::TableRead;

use crate::blobs::Blobs;
use crate::config::Forwarding;
use crate::forward;
use crate::metrics::Metrics;
use crate::metrics::SubmissionResult;
use crate::runtime::execution::Command;
use crate::runtime::execution::Judged;
use crate::status::NodeStatus;

/// Asks a running node. Clones ask the same one.
#[derive(Clone)]
pub struct Handle(Arc<Parts>);

/// What a handle reaches.
pub(crate) struct Parts {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) own: Option<Author>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) status: watch::Receiver<Arc<NodeStatus>>,
    pub(crate) events: watch::Receiver<u64>,
    /// Where this node's past begins, if it began with a snapshot.
    pub(crate) base: Option<Base>,
    pub(crate) faucet_key: Option<PrivateKey>,
    pub(crate) blobs: Blobs,
    pub(crate) lsp_urls: Vec<String>,
    /// Where a follower hands submissions on to.
    pub(crate) forwarding: Forwarding,
}

/// What became of a submitted transaction at once. Its outcome follows with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is new, it is in the pool and this node proposes it.
    Accepted,
    /// It is in the pool already.
    AlreadyPooled,
    /// It is final already.
    AlreadyFinal {
        /// The commit that made it final.
        commit: CommitIndex,
    },
}

/// Why a transaction is refused, in Bitcoin Core's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    /// For instance `bad-txns-inputs-missingorspent`, with details behind a comma where Core has
    /// them.
    pub reason: String,
}

/// Why a submission did not get in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The transaction itself is refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much waits already: try again in a moment.
    #[error("the node is busy, try again in a moment")]
    Busy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// This node follows and proposes nothing.
    #[error("this node is a follower and proposes nothing: submit to a validator")]
    Follower,
    /// This node follows, and none of the validators that it submits to answers.
    #[error("no validator answers this follower, try again in a moment")]
    NoValidator,
    /// Only a development network does this.
    #[error("only a development network seals blocks on demand")]
    NotDevelopment,
    /// The store failed; the node is about to stop.
    #[error(transparent)]
    Store(#[from] TableFault),
}

/// The pool as it stood when it was asked.
#[derive(Clone, Debug, Default)]
pub struct MempoolView {
    /// What waits, oldest first.
    pub transactions: Vec<PooledTransaction>,
}

/// One transaction that waits.
#[derive(Clone, Debug)]
pub struct PooledTransaction {
    /// Its id.
    pub txid: Txid,
    /// Its id with the witness.
    pub wtxid: Wtxid,
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// What it pays, in satoshi.
    pub fee_sat: u64,
    /// Its virtual size, in virtual bytes.
    pub vsize: u64,
    /// Whether a vertex carries it already: then it can not be replaced any more.
    pub proposed: bool,
}

impl Handle {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The parameters of the network.
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.0.genesis
    }

    /// The validators.
    pub fn committee(&self) -> &Arc<Committee> {
        &self.0.committee
    }

    /// Which validator this is; none for a follower.
    pub fn own(&self) -> Option<Author> {
        self.0.own
    }

    /// Where this node's past begins, if it began with a snapshot: of blocks up to there it has the
    /// headers alone.
    pub fn base(&self) -> Option<&Base> {
        self.0.base.as_ref()
    }

    /// About how much room the store takes, in bytes; zero when it has failed, which stops the node.
    pub fn store_bytes(&self) -> u64 {
        self.0.store.bytes().unwrap_or_default()
    }

    /// The key that the faucet pays from: development networks only.
    pub fn faucet_key(&self) -> Option<&PrivateKey> {
        self.0.faucet_key.as_ref()
    }

    /// The shards of blobs.
    pub(crate) fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// Says something about a blob in one of the next vertices, unless the node is busy: whoever says
    /// it says it again until the ledger knows.
    pub(crate) fn say(&self, statement: BlobStatement) {
        if self.ask(Command::Say(statement)).is_err() {
            tracing::debug!(blob = %statement.blob, "a statement found no room");
        }
    }

    /// Where the network's Lightning service providers answer, on a development network that has some.
    pub fn lsp_urls(&self) -> &[String] {
        &self.0.lsp_urls
    }

    /// The counters, for `/metrics`.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Submits a transaction and answers once this node keeps it. Cancel safe: a caller that goes
    /// away only misses the answer.
    ///
    /// # Errors
    /// When it is refused, or the node is busy or stopping.
    pub async fn submit(&self, transaction: Transaction) -> Result<Submitted, SubmitError> {
        if self.0.own.is_none() {
            return self.hand_on(transaction).await;
        }
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.ask(Command::Submit { transaction, reply }) {
            self.0.metrics.submission(SubmissionResult::Busy);
            return Err(error);
        }
        answer.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Submits transactions that come together, parents first, and answers once this node keeps
    /// what it takes of them. Cancel safe, as [`Handle::submit`].
    ///
    /// # Errors
    /// When the node follows only, is busy or is stopping. A refusal is part of the answer.
    pub async fn submit_package(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<PackageAnswer, SubmitError> {
        if self.0.own.is_none() {
            return Err(SubmitError::Follower);
        }
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.ask(Command::SubmitPackage { transactions, reply }) {
            self.0.metrics.submission(SubmissionResult::Busy);
            return Err(error);
        }
        answer.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Says what would become of transactions if they were submitted now, one behind the other.
    /// Nothing is taken in. Cancel safe. It costs as much as the pool is large: not for strangers.
    ///
    /// # Errors
    /// When the node follows only, is busy or is stopping.
    pub(crate) async fn judge(
        &self,
        transactions: Vec<Transaction>,
    ) -> Result<Vec<Judged>, SubmitError> {
        if self.0.own.is_none() {
            return Err(SubmitError::Follower);
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Judge { transactions, reply })?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    /// Seals `count` blocks as soon as the order is in: development networks only. Answers once
    /// the wish is queued.
    ///
    /// # Errors
    /// When the network is no development network, or the node is busy or stopping.
    pub async fn ticks(&self, count: u16) -> Result<(), SubmitError> {
        if !self.0.genesis.development {
            return Err(SubmitError::NotDevelopment);
        }
        if self.0.own.is_none() {
            return Err(SubmitError::Follower);
        }
        self.ask(Command::Ticks(count))
    }

    /// The state of the node now.
    pub fn status(&self) -> Arc<NodeStatus> {
        Arc::clone(&self.0.status.borrow())
    }

    /// The state of the node as it changes.
    pub fn watch_status(&self) -> watch::Receiver<Arc<NodeStatus>> {
        self.0.status.clone()
    }

    /// The number of the newest event as it grows: it is raised after the event can be read from
    /// [`Handle::read`].
    pub fn events(&self) -> watch::Receiver<u64> {
        self.0.events.clone()
    }

    /// A view of the store that holds still. Reading it takes disk time: call it where blocking is
    /// allowed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(&self) -> Result<Arc<dyn TableRead + Send + Sync>, TableFault> {
        self.0.store.snapshot()
    }

    /// A view of the store as it is when a checkpoint has just been applied: now, or as soon as one
    /// is.
    ///
    /// # Errors
    /// When the node is busy or stopping.
    pub async fn at_checkpoint(&self) -> Result<Arc<dyn TableRead + Send + Sync>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::AtCheckpoint(reply))?;
        answer.await.map(|held| held.0).map_err(|_| SubmitError::Stopping)
    }

    /// The pool as it stands.
    ///
    /// # Errors
    /// When the node is busy or stopping.
    pub async fn mempool(&self) -> Result<MempoolView, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Mempool(reply))?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    /// One transaction of the pool.
    ///
    /// # Errors
    /// When the node is busy or stopping.
    pub async fn pooled(&self, txid: Txid) -> Result<Option<PooledTransaction>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Pooled(txid, reply))?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    async fn hand_on(&self, transaction: Transaction) -> Result<Submitted, SubmitError> {
        let result = forward::submit(&self.0.forwarding, &transaction).await;
        self.0.metrics.submission(match &result {
            Ok(_) => SubmissionResult::Accepted,
            Err(SubmitError::Rejected(_)) => SubmissionResult::Rejected,
            Err(_) => SubmissionResult::Busy,
        });
        if result? != TxState::Final {
            return Ok(Submitted::Accepted);
        }
        // This node may lie a little behind the one that answered.
        let txid = transaction.compute_txid();
        let store = Arc::clone(&self.0.store);
        let read = move || query::outcome(&*store, &txid);
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(Some(Outcome::Final { commit }))) => Ok(Submitted::AlreadyFinal { commit }),
            Ok(Err(fault)) => Err(fault.into()),
            Ok(Ok(_)) | Err(_) => Ok(Submitted::Accepted),
        }
    }

    fn ask(&self, command: Command) -> Result<(), SubmitError> {
        self.0.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Handle").field("own", &self.0.own).finish_non_exhaustive()
    }
}
