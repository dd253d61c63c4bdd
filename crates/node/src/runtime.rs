//! A running node: two threads for the two halves of the replica, worker threads that verify, and
//! tasks for everything that waits for the world.
//!
//! ```text
//! socket -> link -> worker: decode, verify -> ordering thread -> store -> mesh
//!                                              |  commits          ^ proposals, progress
//!                                              v                   |
//! HTTP -> Handle -> submissions ---------> execution thread -> store -> answers, events
//! ```
//! **Invariants.** What a step asks to be written is written before anything of it is done; a
//! write that fails ends the node. Ordering never waits for execution: what execution has no room
//! for it reads from the store. Every queue is bounded, every thread and task has this owner.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use replica::OpenError;
use store::Store;
use store::StoreError;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use types::CommitIndex;
use types::Digest;
use types::table::TableFault;

use crate::config::Checked;
use crate::handle::Handle;
use crate::handle::Parts;
use crate::mesh::Mesh;
use crate::mesh::MeshConfig;
use crate::mesh::MeshError;
use crate::mesh::Sender;
use crate::metrics::Metrics;

mod asked;
pub(crate) mod bench;
mod checks;
mod clock;
mod coins;
mod doors;
pub(crate) mod execution;
mod feed;
mod ingress;
mod open;
mod ordering;
mod thread;

use asked::Asked;
pub(crate) use checks::Workers;
use clock::Clock;
use coins::Coins;
use doors::Doors;
use doors::Listeners;
use execution::ExecutionThread;
use feed::Feed;
use ingress::Inbound;
use ingress::Ingress;
use open::Opened;
pub(crate) use open::STORE_DIR;
pub(crate) use open::open_error;
pub(crate) use open::open_store;
pub(crate) use open::write_genesis;
use ordering::OrderingThread;
use thread::Owned;

pub use doors::DoorAddresses;

/// How long HTTP, links and threads each may take to end.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How many inputs may wait for the ordering thread; whoever has more waits.
const INBOX_MAX: usize = 1_024;
/// How many client requests may wait for the execution thread; what comes on top is refused.
const COMMANDS_MAX: usize = 1_024;
/// How many changes of peers may wait.
const NOTICES_MAX: usize = 64;
/// How many failures are kept until somebody asks; the first one is the one that matters.
const FAILURES_MAX: usize = 8;

/// Starts nodes.
#[derive(Clone, Copy, Debug)]
pub struct Node {}

/// A node that runs. It owns every task and thread; [`Running::stop`] ends them.
pub struct Running {
    handle: Handle,
    peer_address: Option<SocketAddr>,
    doors: Doors,
    mesh: Mesh,
    ingress: Ingress,
    threads: Vec<Owned>,
    store: Arc<dyn Store>,
    stop: Stops,
    // Whoever drops a running node without stopping it leaves no thread behind.
    _guards: [DropGuard; 3],
    failures: mpsc::Receiver<NodeError>,
}

/// What ends what, outermost first.
#[derive(Clone, Debug, Default)]
struct Stops {
    doors: CancellationToken,
    links: CancellationToken,
    machines: CancellationToken,
}

impl Stops {
    fn guards(&self) -> [DropGuard; 3] {
        [&self.doors, &self.links, &self.machines].map(|token| token.clone().drop_guard())
    }
}

/// Why a node could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store can not be opened.
    #[error("data_dir: {0}")]
    Store(#[from] StoreError),
    /// The store belongs to another network.
    #[error(
        "data_dir: {} holds network {actual}, the genesis is of network {expected}; take the \
         genesis file that the folder was made with, or an empty folder", data_dir.display()
    )]
    OtherNetwork {
        /// The folder.
        data_dir: PathBuf,
        /// The network of the genesis.
        expected: Digest,
        /// The network of the store.
        actual: Digest,
    },
    /// What the store holds can not be taken up.
    #[error("data_dir: {} can not be taken up: {error}", data_dir.display())]
    Open {
        /// The folder.
        data_dir: PathBuf,
        /// Why.
        error: Box<OpenError>,
    },
    /// An address to listen on is not to be had.
    #[error(
        "{key}: can not listen on {address}: {error}; choose another port or stop what uses it"
    )]
    Listen {
        /// Which address of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The password of remote procedure calls can not be written.
    #[error(
        "rpc.cookie_file: {}: {error}; name a file in a folder that the node may write to",
        file.display()
    )]
    Cookie {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The TLS library refuses the keys.
    #[error("TLS can not be set up: {reason}")]
    Tls {
        /// What it said.
        reason: String,
    },
    /// The store failed while the node ran.
    #[error("{0}; nothing was sent that is not written: check the disk, then start again")]
    Write(#[from] TableFault),
    /// The mark of unused keys can not be taken away, so nothing may leave.
    #[error(
        "secrets_dir: {} can not be deleted: {error}; nothing that was signed has left: let the node's user \
         write to the folder", file.display()
    )]
    UnusedMark {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A quorum of validators signed another state than this node's.
    #[error(
        "the state after commit {commit} is not the one that a quorum of validators signed; this \
         node stops for good. The evidence is in its data folder: keep that for whoever finds out \
         why, and start with an empty one, or from a snapshot"
    )]
    Diverged {
        /// After which commit.
        commit: CommitIndex,
    },
    /// The system gives no thread.
    #[error("the thread {name} can not be started: {error}")]
    Spawn {
        /// Which thread.
        name: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// A thread ended by a fault of the program.
    #[error("the thread {name} broke off; please report what it printed")]
    Broken {
        /// Which thread.
        name: &'static str,
    },
    /// A server failed.
    #[error("a server failed: {0}")]
    Http(std::io::Error),
    /// Something did not end in time.
    #[error("{what} did not end within {} s; what is written is safe", STOP_DEADLINE.as_secs())]
    Stuck {
        /// What.
        what: &'static str,
    },
}

impl Node {
    /// Opens the store, starts threads and sockets, and gives back what owns them.
    ///
    /// # Errors
    /// When the store or a socket can not be opened, or the store belongs to another network.
    pub async fn start(checked: Checked) -> Result<Running, NodeError> {
        let metrics = Arc::new(Metrics::default());
        metrics.know_peers(checked.peers.keys().copied());
        metrics.know_keepers(checked.committee.authors());
        let listeners = Listeners::bind(&checked).await?;
        let own = checked.identity.author();
        if own.is_none() {
            let key = hex::encode(checked.identity.transport().public().to_bytes());
            tracing::info!(key, "this node follows; validators may have to list its key");
        }
        let opened = open::open(checked.clone(), Arc::clone(&metrics)).await?;
        let store = Arc::clone(&opened.store);
        let stop = Stops::default();
        let Links { inbox, mesh, ingress } = Links::open(&checked, &store, &metrics, &stop).await?;
        let (failed, failures) = mpsc::channel(FAILURES_MAX);
        let (threads, handle) =
            start_machines(checked, opened, inbox, mesh.sender(), metrics, &stop, &failed)?;
        let doors = listeners.serve(&handle, &stop.doors, &failed);
        let peer_address = mesh.address();
        let addresses = doors.addresses();
        tracing::info!(
            ?peer_address,
            http_address = ?addresses.http,
            electrum_address = ?addresses.electrum,
            bitcoin_p2p_address = ?addresses.bitcoin_p2p,
            rpc_address = ?addresses.rpc,
            ?own,
            "node started"
        );
        Ok(Running {
            handle,
            peer_address,
            doors,
            mesh,
            ingress,
            threads,
            store,
            _guards: stop.guards(),
            stop,
            failures,
        })
    }
}

/// Both ends of the ordering thread's inbox, its way to the worker threads, and what it asked for.
struct Inbox {
    sender: mpsc::Sender<Inbound>,
    waiting: mpsc::Receiver<Inbound>,
    coins: Coins,
    asked: Arc<Asked>,
}

/// The connections to the other validators, and the way from them to the ordering thread.
struct Links {
    inbox: Inbox,
    mesh: Mesh,
    ingress: Ingress,
}

impl Links {
    /// Listens, dials, and verifies what comes in. It waits in the inbox.
    async fn open(
        checked: &Checked,
        store: &Arc<dyn Store>,
        metrics: &Arc<Metrics>,
        stop: &Stops,
    ) -> Result<Self, NodeError> {
        let (sender, waiting) = mpsc::channel(INBOX_MAX);
        let (notices, notices_waiting) = mpsc::channel(NOTICES_MAX);
        let pool = Arc::new(checks::pool("verify", checked.limits.verify_threads)?);
        let mut ingress = Ingress::new(checked, store, sender.clone(), metrics, &pool);
        let coins = Coins::new(&pool, &checked.committee);
        let mesh = Mesh::start(
            MeshConfig::new(checked),
            Arc::clone(metrics),
            |peer, class| ingress.open(peer, class),
            notices,
            ingress::serving(store),
            stop.links.clone(),
        )
        .await?;
        ingress.start(&mesh.sender(), notices_waiting);
        let inbox = Inbox { sender, waiting, coins, asked: ingress.asked() };
        Ok(Self { inbox, mesh, ingress })
    }
}

/// Starts the two threads and makes the door to them.
fn start_machines(
    checked: Checked,
    opened: Opened,
    inbox: Inbox,
    mesh: Sender,
    metrics: Arc<Metrics>,
    stop: &Stops,
    failed: &mpsc::Sender<NodeError>,
) -> Result<(Vec<Owned>, Handle), NodeError> {
    let (status, status_seen) = watch::channel(Arc::new(opened.status));
    let status = Arc::new(status);
    let (events, events_seen) = watch::channel(opened.last_event);
    let (commands, commands_waiting) = mpsc::channel(COMMANDS_MAX);
    let (feed, fed) = Feed::new();
    let own = checked.identity.author();
    let checkpoint_key = checked.identity.keys().map(|keys| keys.checkpoint.clone());
    let ordering = OrderingThread {
        ordering: opened.ordering,
        keys: checked.identity.keys().cloned(),
        unused: checked.identity.unused().cloned(),
        committee: Arc::clone(&checked.committee),
        own,
        store: Arc::clone(&opened.store),
        mesh,
        asked: inbox.asked,
        inbox: inbox.waiting,
        coins: inbox.coins,
        feed,
        status: Arc::clone(&status),
        metrics: Arc::clone(&metrics),
        clock: Clock::start(checked.clock_offset_ms),
        stop: stop.machines.clone(),
    };
    let execution = ExecutionThread {
        execution: opened.execution,
        runner: Workers::new(checked.limits.verify_threads)?,
        committee: Arc::clone(&checked.committee),
        checkpoint_key,
        store: Arc::clone(&opened.store),
        fed,
        commands: commands_waiting,
        inbox: inbox.sender,
        status,
        events,
        last_event: opened.last_event,
        events_kept: checked.events_kept,
        metrics: Arc::clone(&metrics),
        stop: stop.machines.clone(),
    };
    let threads = vec![
        thread::spawn("ordering", failed.clone(), move || ordering.run())?,
        thread::spawn("execution", failed.clone(), move || execution.run())?,
    ];
    let handle = Handle::new(Parts {
        genesis: checked.genesis,
        committee: checked.committee,
        own,
        store: opened.store,
        metrics,
        commands,
        status: status_seen,
        events: events_seen,
        base: opened.base,
        faucet_key: checked.faucet_key,
        blobs: opened.blobs,
        lsp_urls: checked.lsp_urls,
        forwarding: checked.identity.into_forwarding(),
    });
    Ok((threads, handle))
}

impl Running {
    /// The door for questions.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where others connect to; none for a follower.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Where HTTP is served, if at all.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.doors.addresses().http
    }

    /// Where what is served to everybody outside the committee.
    pub fn addresses(&self) -> DoorAddresses {
        self.doors.addresses()
    }

    /// Waits until the node has to stop because of a fault of its own, and says which. Cancel safe.
    pub async fn failed(&mut self) -> NodeError {
        match self.failures.recv().await {
            Some(error) => error,
            // Every sender is gone: nothing is left that could fail.
            None => std::future::pending().await,
        }
    }

    /// Stops: servers end what is under way, links close, both halves finish their step, what is
    /// written becomes durable, every thread is joined. Each part has a deadline.
    ///
    /// # Errors
    /// When something failed before or while stopping; everything that could be stopped is.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        let mut first_error = None;
        self.stop.doors.cancel();
        self.doors.close(|error| note(&mut first_error, error)).await;
        self.stop.links.cancel();
        let links = async {
            self.mesh.join().await;
            self.ingress.join().await;
        };
        if timeout(STOP_DEADLINE, links).await.is_err() {
            note(&mut first_error, NodeError::Stuck { what: "the links" });
        }
        self.stop.machines.cancel();
        for thread in self.threads {
            if let Err(error) = thread.join(STOP_DEADLINE).await {
                note(&mut first_error, error);
            }
        }
        while let Ok(error) = self.failures.try_recv() {
            note(&mut first_error, error);
        }
        let store = self.store;
        let synced = tokio::task::spawn_blocking(move || store.sync());
        match timeout(STOP_DEADLINE, synced).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(fault))) => note(&mut first_error, fault.into()),
            Ok(Err(_)) => note(&mut first_error, NodeError::Broken { name: "store" }),
            Err(_) => note(&mut first_error, NodeError::Stuck { what: "the store" }),
        }
        tracing::info!("node stopped");
        first_error.map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Running")
            .field("peer_address", &self.peer_address)
            .field("doors", &self.doors.addresses())
            .finish_non_exhaustive()
    }
}

fn note(first: &mut Option<NodeError>, error: NodeError) {
    tracing::error!(%error, "while stopping");
    first.get_or_insert(error);
}

impl From<MeshError> for NodeError {
    fn from(error: MeshError) -> Self {
        match error {
            MeshError::Listen { address, error } => {
                Self::Listen { key: "network.listen", address, error }
            }
            MeshError::Tls(error) => Self::Tls { reason: error.to_string() },
        }
    }
}
