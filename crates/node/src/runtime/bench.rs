//! The ordering half alone, under the real mesh, threads and disk, for measurements: whoever holds
//! [`OrderingNode`] stands where execution would stand.
//!
//! **Invariant:** everything below ordering is what [`Node`](crate::Node) runs, unchanged; only the
//! ledger, HTTP and the pool are absent.

use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use consensus::Ordered;
use replica::Ordering;
use replica::OrderingConfig;
use replica::execution;
use replica::ordering::Input;
use replica::ordering::Pacing;
use replica::ordering::Room;
use replica::ordering::Start;
use store::DiskStore;
use store::Store;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::timeout;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Height;
use types::Item;
use types::Moment;
use types::Round;

use crate::config::Checked;
use crate::mesh::Mesh;
use crate::metrics::Metrics;
use crate::runtime::FAILURES_MAX;
use crate::runtime::Links;
use crate::runtime::NodeError;
use crate::runtime::STOP_DEADLINE;
use crate::runtime::Stops;
use crate::runtime::clock::Clock;
use crate::runtime::feed::Feed;
use crate::runtime::ingress::Inbound;
use crate::runtime::ingress::Ingress;
use crate::runtime::ordering::OrderingThread;
use crate::runtime::thread;
use crate::runtime::thread::Owned;
use crate::status::NodeStatus;

/// One validator's ordering half; [`OrderingNode::stop`] ends it.
#[derive(Debug)]
pub struct OrderingNode {
    author: Author,
    inbox: mpsc::Sender<Inbound>,
    given: mpsc::Receiver<execution::Input>,
    failures: mpsc::Receiver<NodeError>,
    mesh: Mesh,
    ingress: Ingress,
    thread: Owned,
    stop: Stops,
}

/// What ordering gives.
#[derive(Debug)]
pub enum Given {
    /// The next commit.
    Commit(Ordered),
    /// Room that became free for proposals.
    Room(Room),
    /// Proposals that will not be ordered.
    Returned(Vec<Item>),
}

impl OrderingNode {
    /// Opens the store and starts the links and the ordering thread.
    ///
    /// # Errors
    /// When the store or the socket can not be opened.
    pub async fn start(checked: Checked) -> Result<Self, NodeError> {
        let opening = checked.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening)).await;
        let (store, ordering) = opened.map_err(|_| NodeError::Broken { name: "opening" })??;
        let metrics = Arc::new(Metrics::default());
        let (failed, failures) = mpsc::channel(FAILURES_MAX);
        let (feed, given) = Feed::new();
        let (status, _) = watch::channel(Arc::new(first_status(&ordering)));
        let stop = Stops::default();
        let Links { inbox, mesh, ingress } = Links::open(&checked, &store, &metrics, &stop).await?;
        let own = checked.identity.author();
        let author = own.unwrap_or(Author::ZERO);
        let ordering = OrderingThread {
            ordering,
            keys: checked.identity.keys().cloned(),
            unused: checked.identity.unused().cloned(),
            committee: Arc::clone(&checked.committee),
            own,
            store,
            mesh: mesh.sender(),
            asked: inbox.asked,
            inbox: inbox.waiting,
            coins: inbox.coins,
            feed,
            status: Arc::new(status),
            metrics,
            clock: Clock::start(checked.clock_offset_ms),
            stop: stop.machines.clone(),
        };
        let thread = thread::spawn("ordering", failed, move || ordering.run())?;
        let inbox = inbox.sender;
        Ok(Self { author, inbox, given, failures, mesh, ingress, thread, stop })
    }

    /// Which validator this is.
    pub const fn author(&self) -> Author {
        self.author
    }

    /// The next thing that ordering gives; none when it has stopped. Cancel safe.
    pub async fn next(&mut self) -> Option<Given> {
        loop {
            return Some(match self.given.recv().await? {
                execution::Input::Commit(ordered) => Given::Commit(ordered),
                execution::Input::Taken(room) => Given::Room(room),
                execution::Input::Returned(items) => Given::Returned(items),
                execution::Input::Submit { .. }
                | execution::Input::SubmitPackage { .. }
                | execution::Input::Ticks(_)
                | execution::Input::Say(_)
                | execution::Input::CheckpointSigned { .. }
                | execution::Input::VotesChecked(_)
                | execution::Input::Ahead(_) => continue,
            });
        }
    }

    /// Proposes items: no more than there is room for. Not cancel safe: the items may be lost.
    pub async fn propose(&self, items: Vec<Item>) {
        self.tell(Input::Submit(items)).await;
    }

    /// Says that everything up to a commit is dealt with. Not cancel safe.
    pub async fn executed(&self, commit: CommitIndex) {
        self.tell(Input::Executed(commit)).await;
    }

    /// Stops: links close, the thread ends its step, everything is joined.
    ///
    /// # Errors
    /// When something failed before or while stopping.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.stop.links.cancel();
        let links = async {
            self.mesh.join().await;
            self.ingress.join().await;
        };
        let links = timeout(STOP_DEADLINE, links).await;
        self.stop.machines.cancel();
        self.thread.join(STOP_DEADLINE).await?;
        links.map_err(|_| NodeError::Stuck { what: "the links" })?;
        self.failures.try_recv().map_or(Ok(()), Err)
    }

    async fn tell(&self, input: Input) {
        // The ordering thread goes away only when this value stops or it has failed, which `stop`
        // tells.
        let _ = self.inbox.send(Inbound { input, room: None }).await;
    }
}

/// Where the ledger would stand is zero: there is none.
fn first_status(ordering: &Ordering) -> NodeStatus {
    let mut status = NodeStatus {
        own_round: Round::ZERO,
        round: Round::ZERO,
        commit: CommitIndex::ZERO,
        commit_digest: Digest::ZERO,
        gc_round: Round::ZERO,
        applied: CommitIndex::ZERO,
        proven: CommitIndex::ZERO,
        height: Height::ZERO,
        tip: BlockHash::all_zeros(),
        last_event: 0,
        pool_transactions: 0,
        pool_bytes: 0,
        fetching: 0,
        peers: Vec::new(),
        alarm: None,
        evidence: 0,
        recovering: None,
    };
    status.take_ordering(&ordering.status(Moment::ZERO));
    status
}

fn open(checked: &Checked) -> Result<(Arc<dyn Store>, Ordering), NodeError> {
    let path = &checked.data_dir;
    std::fs::create_dir_all(path)
        .map_err(|source| NodeError::Store(store::StoreError::Io { path: path.clone(), source }))?;
    let store = DiskStore::open(path, replica::tables())?;
    let own = checked.identity.author();
    let start = Start::First;
    let mut config =
        OrderingConfig::new(Arc::clone(&checked.committee), own, &checked.genesis, start);
    config.pacing = Pacing {
        min_round_interval: checked.min_round_interval,
        idle_interval: checked.idle_interval,
    };
    let ordering = Ordering::open(config, &store)
        .map_err(|error| NodeError::Open { data_dir: path.clone(), error: Box::new(error) })?;
    Ok((Arc::new(store), ordering))
}
