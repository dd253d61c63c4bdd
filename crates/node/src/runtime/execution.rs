//! The execution half on its own thread: applies commits behind the order, answers submissions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bitcoin::Transaction;
use bitcoin::Txid;
use ledger::mempool::Entry;
use ledger::mempool::MemberResult;
use ledger::mempool::PackageAnswer;
use ledger::mempool::Reject;
use ledger::mempool::RejectKind;
use ledger::mempool::State;
use replica::Execution;
use replica::Step;
use replica::execution::Accepted;
use replica::execution::Action;
use replica::execution::Input;
use replica::execution::SUBMISSIONS_PER_STEP_MAX;
use replica::execution::SubmissionId;
use replica::execution::Summary;
use replica::ordering;
use store::Durability;
use store::Store;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::CommitIndex;
use types::Committee;
use types::blob::BlobStatement;
use types::bls;
use types::checkpoint;
use types::table::TableRead;

use crate::failpoints::Point;
use crate::handle::MempoolView;
use crate::handle::PooledTransaction;
use crate::handle::Rejection;
use crate::handle::SubmitError;
use crate::handle::Submitted;
use crate::metrics::Metrics;
use crate::metrics::OrderedResult;
use crate::metrics::SubmissionResult;
use crate::metrics::WriteKind;
use crate::runtime::NodeError;
use crate::runtime::checks::Workers;
use crate::runtime::ingress::Inbound;
use crate::runtime::thread::waiting_room;
use crate::status::NodeStatus;

/// A view of the store that holds still.
#[derive(Clone)]
pub(crate) struct Held(pub(crate) Arc<dyn TableRead + Send + Sync>);

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Held(..)")
    }
}

/// What a [`Handle`](crate::Handle) asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Admit a transaction.
    Submit { transaction: Transaction, reply: oneshot::Sender<Result<Submitted, SubmitError>> },
    /// Admit transactions that come together.
    SubmitPackage {
        transactions: Vec<Transaction>,
        reply: oneshot::Sender<Result<PackageAnswer, SubmitError>>,
    },
    /// Say what would become of transactions, one behind the other.
    Judge { transactions: Vec<Transaction>, reply: oneshot::Sender<Vec<Judged>> },
    /// Seal so many blocks.
    Ticks(u16),
    /// Say something about a blob.
    Say(BlobStatement),
    /// Show the pool.
    Mempool(oneshot::Sender<MempoolView>),
    /// Hold the store still at the next checkpoint.
    AtCheckpoint(oneshot::Sender<Held>),
    /// Show one transaction of the pool.
    Pooled(Txid, oneshot::Sender<Option<PooledTransaction>>),
}

/// What would become of a transaction.
pub(crate) type Judged = Result<Submitted, Rejection>;

/// What the thread owns.
pub(super) struct ExecutionThread {
    pub(super) execution: Execution,
    pub(super) runner: Workers,
    pub(super) committee: Arc<Committee>,
    /// Signs checkpoints; a follower has none.
    pub(super) checkpoint_key: Option<bls::SecretKey>,
    pub(super) store: Arc<dyn Store>,
    pub(super) fed: mpsc::Receiver<Input>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) inbox: mpsc::Sender<Inbound>,
    pub(super) status: Arc<watch::Sender<Arc<NodeStatus>>>,
    pub(super) events: watch::Sender<u64>,
    pub(super) last_event: u64,
    /// How many events are kept; all of them when nobody says.
    pub(super) events_kept: Option<u64>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
}

/// Who waits for an answer. As many as the machine holds submissions.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    replies: BTreeMap<SubmissionId, Reply>,
    /// Who waits for a checkpoint; HTTP bounds their number.
    at_checkpoint: Vec<oneshot::Sender<Held>>,
}

/// Where an answer goes.
#[derive(Debug)]
enum Reply {
    Transaction(oneshot::Sender<Result<Submitted, SubmitError>>),
    Package(oneshot::Sender<Result<PackageAnswer, SubmitError>>),
}

impl Waiting {
    fn add(&mut self, reply: Reply) -> SubmissionId {
        let id = SubmissionId(self.next);
        self.next += 1;
        self.replies.insert(id, reply);
        id
    }
}

/// What ended a wait.
enum Woken {
    Fed(Input),
    Command(Command),
    Stop,
}

impl ExecutionThread {
    /// Runs until the node stops.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn run(mut self) -> Result<(), NodeError> {
        let room = waiting_room()?;
        let mut waiting = Waiting::default();
        loop {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            self.take(&mut waiting)?;
            let began = Instant::now();
            match self.execution.poll_step(&*self.store, &self.runner)? {
                Some(step) => self.perform(step, began, &mut waiting)?,
                None => {
                    self.tell();
                    match self.wait(&room) {
                        Woken::Fed(input) => self.execution.handle(input),
                        Woken::Command(command) => self.command(command, &mut waiting)?,
                        Woken::Stop => return Ok(()),
                    }
                }
            }
        }
    }

    /// Takes what waits: all that ordering has sent, and no more commands than one step takes
    /// submissions, so that clients never hold commits up.
    fn take(&mut self, waiting: &mut Waiting) -> Result<(), NodeError> {
        while let Ok(input) = self.fed.try_recv() {
            self.execution.handle(input);
        }
        for _ in waiting.replies.len()..SUBMISSIONS_PER_STEP_MAX {
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(command, waiting)?;
        }
        Ok(())
    }

    fn command(&mut self, command: Command, waiting: &mut Waiting) -> Result<(), NodeError> {
        match command {
            Command::Submit { transaction, reply } => {
                let id = waiting.add(Reply::Transaction(reply));
                self.execution.handle(Input::Submit { id, transaction });
            }
            Command::SubmitPackage { transactions, reply } => {
                let id = waiting.add(Reply::Package(reply));
                self.execution.handle(Input::SubmitPackage { id, transactions });
            }
            Command::Ticks(count) => self.execution.handle(Input::Ticks(count)),
            Command::Say(statement) => self.execution.handle(Input::Say(statement)),
            // Whoever asked may be gone; then nobody needs the answer.
            Command::Mempool(reply) => {
                let transactions = self.execution.mempool().iter().map(pooled).collect();
                let _ = reply.send(MempoolView { transactions });
            }
            Command::Pooled(txid, reply) => {
                let _ = reply.send(self.execution.mempool().get(&txid).map(pooled));
            }
            Command::Judge { transactions, reply } => {
                let judged = self.execution.rehearse(transactions, &*self.store, &self.runner)?;
                let judged = judged.into_iter().map(|result| {
                    result.map(submitted).map_err(|reject| Rejection { reason: reject.reason })
                });
                let _ = reply.send(judged.collect());
            }
            Command::AtCheckpoint(reply) => {
                waiting.at_checkpoint.push(reply);
                let applied = self.execution.ledger().applied();
                if ledger::query::checkpoint(&*self.store, applied)?.is_some() {
                    self.hold(waiting)?;
                }
            }
        }
        Ok(())
    }

    /// Gives those who wait the store as it is now, at a checkpoint.
    fn hold(&self, waiting: &mut Waiting) -> Result<(), NodeError> {
        if waiting.at_checkpoint.is_empty() {
            return Ok(());
        }
        let held = Held(self.store.snapshot()?);
        for reply in waiting.at_checkpoint.drain(..) {
            // Whoever asked may be gone.
            let _ = reply.send(held.clone());
        }
        Ok(())
    }

    fn perform(
        &mut self,
        step: Step<Action>,
        began: Instant,
        waiting: &mut Waiting,
    ) -> Result<(), NodeError> {
        for action in write(Half::Execution, step, &*self.store, &self.metrics)? {
            Point::ExecutionActing.reach();
            match action {
                Action::Answer { id, result } => self.answer(waiting.replies.remove(&id), result),
                Action::AnswerPackage { id, result } => {
                    self.answer_package(waiting.replies.remove(&id), result);
                }
                Action::Propose(items) => self.to_ordering(ordering::Input::Submit(items)),
                Action::Executed(commit) => {
                    self.to_ordering(ordering::Input::Executed(commit));
                }
                Action::Applied(summary) => {
                    self.applied(&summary, began);
                    self.prune()?;
                    if summary.checkpoint.is_some() {
                        self.hold(waiting)?;
                    }
                }
                Action::SignCheckpoint { commit, digest } => {
                    if let Some(key) = &self.checkpoint_key {
                        let message = checkpoint::vote_message(&digest);
                        let signature = key.sign(message.as_bytes());
                        self.execution.handle(Input::CheckpointSigned { commit, signature });
                    }
                }
                Action::CheckVotes(task) => {
                    let outcome = task.run(&self.committee);
                    self.execution.handle(Input::VotesChecked(outcome));
                }
                Action::CheckpointProven(commit) => self.proven(commit),
                Action::Pace(pace) => self.to_ordering(ordering::Input::Pace(pace)),
                Action::DoubleVote(double) => {
                    self.metrics.evidence();
                    let (author, commit) = (double.author, double.first.commit);
                    tracing::warn!(%author, %commit, "two states signed for one commit");
                }
                Action::Diverged(divergence) => {
                    let commit = divergence.own.commit;
                    let (own, proven) = (divergence.own.digest(), divergence.proven);
                    tracing::error!(%commit, %own, %proven, "a quorum signed another state");
                    return Err(NodeError::Diverged { commit });
                }
            }
        }
        Ok(())
    }

    /// Hands something to ordering, and waits when it is busy: ordering never waits for this side,
    /// so the two can not wait for each other.
    fn to_ordering(&self, input: ordering::Input) {
        // The ordering thread goes away only when the node stops.
        let _ = self.inbox.blocking_send(Inbound { input, room: None });
    }

    fn answer(&self, reply: Option<Reply>, result: Result<Accepted, Reject>) {
        let result = match result {
            Ok(accepted) => Ok(submitted(accepted)),
            Err(reject) if reject.code.kind() == RejectKind::Busy => Err(SubmitError::Busy),
            Err(reject) => Err(Rejection { reason: reject.reason }.into()),
        };
        self.metrics.submission(match &result {
            Ok(_) => SubmissionResult::Accepted,
            Err(SubmitError::Busy) => SubmissionResult::Busy,
            Err(_) => SubmissionResult::Rejected,
        });
        if let Some(Reply::Transaction(reply)) = reply {
            // Whoever asked may be gone; the transaction stays.
            let _ = reply.send(result);
        }
    }

    fn answer_package(&self, reply: Option<Reply>, result: Result<PackageAnswer, Reject>) {
        let result = result.map_err(|_| SubmitError::Busy);
        match &result {
            Err(_) => self.metrics.submission(SubmissionResult::Busy),
            Ok(answer) => answer.members.iter().for_each(|member| {
                self.metrics.submission(match member.result {
                    MemberResult::Admitted { .. } | MemberResult::InPool { .. } => {
                        SubmissionResult::Accepted
                    }
                    _ => SubmissionResult::Rejected,
                });
            }),
        }
        if let Some(Reply::Package(reply)) = reply {
            // Whoever asked may be gone; the transactions stay.
            let _ = reply.send(result);
        }
    }

    fn applied(&mut self, summary: &Summary, began: Instant) {
        let results = [
            (OrderedResult::Final, summary.finals.len()),
            (OrderedResult::Rejected, summary.rejected.len()),
            (OrderedResult::Skipped, summary.skipped.len()),
        ];
        self.metrics.applied(began.elapsed(), results);
        for block in &summary.blocks {
            tracing::info!(height = %block.height, hash = %block.hash, "block sealed");
        }
        self.last_event = self.last_event.max(summary.last_event);
        self.tell();
        self.events.send_if_modified(|last| {
            let is_newer = self.last_event > *last;
            *last = self.last_event;
            is_newer
        });
    }

    /// Removes events that are not to be kept.
    fn prune(&self) -> Result<(), NodeError> {
        let Some(keep) = self.events_kept else { return Ok(()) };
        if let Some(changes) = ledger::retention::prune_events(&*self.store, keep)? {
            self.store.write(changes, Durability::Buffered)?;
        }
        Ok(())
    }

    fn proven(&self, commit: CommitIndex) {
        self.status.send_modify(|status| {
            let mut changed = NodeStatus::clone(status);
            changed.proven = changed.proven.max(commit);
            self.metrics.status(&changed);
            *status = Arc::new(changed);
        });
    }

    fn tell(&self) {
        self.status.send_if_modified(|status| {
            let mut changed = NodeStatus::clone(status);
            changed.take_execution(&self.execution);
            changed.last_event = self.last_event;
            let is_new = changed != **status;
            if is_new {
                self.metrics.status(&changed);
                *status = Arc::new(changed);
            }
            is_new
        });
    }

    fn wait(&mut self, room: &Runtime) -> Woken {
        let (fed, commands, stop) = (&mut self.fed, &mut self.commands, &self.stop);
        room.block_on(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => Woken::Stop,
                input = fed.recv() => input.map_or(Woken::Stop, Woken::Fed),
                Some(command) = commands.recv() => Woken::Command(command),
            }
        })
    }
}

/// Whose step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Ordering,
    Execution,
}

impl Half {
    const fn unwritten(self) -> Point {
        match self {
            Self::Ordering => Point::OrderingUnwritten,
            Self::Execution => Point::ExecutionUnwritten,
        }
    }

    const fn written(self) -> Point {
        match self {
            Self::Ordering => Point::OrderingWritten,
            Self::Execution => Point::ExecutionWritten,
        }
    }
}

/// Writes a step and measures it; what is to be done comes back.
///
/// # Errors
/// When the store fails: nothing of the step may be done.
pub(super) fn write<A>(
    half: Half,
    step: Step<A>,
    store: &dyn Store,
    metrics: &Metrics,
) -> Result<Vec<A>, NodeError> {
    let kind = match step.durability {
        Durability::Buffered => WriteKind::Buffered,
        Durability::Synced => WriteKind::Synced,
    };
    let is_written = !step.persist.is_empty() || kind == WriteKind::Synced;
    let began = Instant::now();
    if is_written {
        half.unwritten().reach();
    }
    let then = step.write(store)?;
    if is_written {
        metrics.written(kind, began.elapsed());
        half.written().reach();
    }
    Ok(then)
}

fn submitted(accepted: Accepted) -> Submitted {
    match accepted {
        Accepted::Pooled => Submitted::Accepted,
        Accepted::AlreadyPooled => Submitted::AlreadyPooled,
        Accepted::AlreadyFinal { commit } => Submitted::AlreadyFinal { commit },
    }
}

fn pooled(entry: &Entry) -> PooledTransaction {
    let transaction = entry.transaction();
    PooledTransaction {
        txid: transaction.txid,
        wtxid: transaction.wtxid,
        transaction: Arc::clone(&transaction.transaction),
        fee_sat: entry.fee().to_sat(),
        vsize: entry.vsize(),
        proposed: entry.state() == State::Proposed,
    }
}
