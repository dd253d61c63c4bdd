//! Links to the other validators: TCP and TLS 1.3 with raw public keys, two connections a peer.
//!
//! Of two validators the one with the lower place in the genesis dials. The control connection
//! carries vertices and small questions, the bulk connection everything large, so that agreement
//! never starves behind catch-up. **Invariants:** no byte of a stranger is read beyond the TLS
//! handshake; a frame's length is held against its limit before memory is reserved; no queue
//! grows past its bound; nothing that happens to a link can end the process. Keep-alives and
//! deadlines only decide when to dial again: safety and liveness of agreement use none of them.
//! Written up in `docs/network.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use replica::wire::Class;
use replica::wire::Hello;
use replica::wire::MESSAGE_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Author;
use types::Committee;
use types::SecretKey;

use crate::config::Checked;
use crate::config::Limits;
use crate::config::LinkFaults;
use crate::metrics::Metrics;

mod accept;
mod dial;
mod frame;
mod hello;
mod link;
mod presence;
mod queue;
mod tls;

#[cfg(test)]
mod tests;

use accept::Acceptor;
use dial::Dialer;
use link::Link;
use link::Source;
use queue::SendQueue;

/// How many frames of one link may wait between its socket and whoever handles them. Their bytes
/// are bounded apart, by `limits.peer_inflight_mib`.
pub(crate) const INLET_FRAMES_MAX: usize = 256;
/// How many changes of links may wait to be told. A link waits when there are more.
const NOTICES_MAX: usize = 64;

/// The connections that a peer has.
pub(crate) const CLASSES: [Class; 2] = [Class::Control, Class::Bulk];
/// The most bytes of a frame. Vertices that somebody waits for go over the control connection, so
/// both take the same.
pub(crate) const FRAME_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// A frame that a peer sent. Its bytes count against the peer until it is dropped.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What was in it.
    pub(crate) body: Bytes,
    /// Gives the peer its room back.
    pub(crate) room: OwnedSemaphorePermit,
}

/// A peer came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Both connections to it stand.
    Connected(Author),
    /// One of them broke.
    Gone(Author),
}

/// Why the mesh could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeshError {
    /// The address to listen on is not to be had.
    #[error("network.listen: can not listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The TLS library refuses the keys or its own settings.
    #[error("TLS can not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What the mesh needs to know.
#[derive(Clone, Debug)]
pub(crate) struct MeshConfig {
    pub(crate) committee: Arc<Committee>,
    pub(crate) own: Author,
    pub(crate) key: SecretKey,
    pub(crate) listen: SocketAddr,
    pub(crate) peers: BTreeMap<Author, String>,
    pub(crate) limits: Limits,
    pub(crate) faults: LinkFaults,
}

/// All links of a node. Stopped by its token, then joined by [`Mesh::join`].
pub(crate) struct Mesh {
    address: SocketAddr,
    sender: Sender,
    tasks: JoinSet<()>,
}

/// Sends frames to peers; clones share the queues. Never waits.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    queues: Arc<BTreeMap<(Author, Class), Arc<SendQueue>>>,
}

impl MeshConfig {
    pub(crate) fn new(checked: &Checked) -> Self {
        Self {
            committee: Arc::clone(&checked.committee),
            own: checked.identity.author,
            key: checked.identity.keys.transport.clone(),
            listen: checked.listen,
            peers: checked.peers.clone(),
            limits: checked.limits,
            faults: checked.link,
        }
    }

    fn hello(&self, class: Class) -> Hello {
        Hello {
            chain: *self.committee.chain(),
            epoch: self.committee.epoch(),
            author: self.own,
            class,
        }
    }
}

impl Mesh {
    /// Starts listening and dialling. Each link hands its frames to the channel that `inlets`
    /// gives it, in the order in which the peer sent them; a full channel stops the reading of that link.
    pub(crate) async fn start(
        config: MeshConfig,
        metrics: Arc<Metrics>,
        mut inlets: impl FnMut(Author, Class) -> mpsc::Sender<Frame>,
        notices: mpsc::Sender<Notice>,
        stop: CancellationToken,
    ) -> Result<Self, MeshError> {
        let address = config.listen;
        let listen = |error| MeshError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut tasks = JoinSet::new();
        let (changes, changed) = mpsc::channel(NOTICES_MAX);
        tasks.spawn(presence::run(changed, notices, Arc::clone(&metrics)));
        let mut queues = BTreeMap::new();
        let mut gates = BTreeMap::new();
        for (peer, address) in &config.peers {
            for class in CLASSES {
                let queue = Arc::new(SendQueue::new(class, &config, Arc::clone(&metrics)));
                let source = if dials(config.own, *peer) {
                    Source::Dial(Dialer::new(&config, *peer, class, address)?)
                } else {
                    let (gate, accepted) = mpsc::channel(1);
                    gates.insert((*peer, class), gate);
                    Source::Accept(accepted)
                };
                let link = Link {
                    peer: *peer,
                    class,
                    queue: Arc::clone(&queue),
                    inlet: inlets(*peer, class),
                    room: Arc::new(Semaphore::new(config.limits.peer_inflight_bytes / 2)),
                    changes: changes.clone(),
                    metrics: Arc::clone(&metrics),
                };
                tasks.spawn(link.run(source, stop.clone()));
                queues.insert((*peer, class), queue);
            }
        }
        let acceptor = Acceptor::new(&config, gates, metrics)?;
        tasks.spawn(acceptor.run(listener, stop));
        Ok(Self { address, sender: Sender { queues: Arc::new(queues) }, tasks })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way out.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits for every task to end, after the token was cancelled.
    pub(crate) async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Sender {
    /// Reaches nobody.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { queues: Arc::default() }
    }

    /// Queues a frame for one peer. When the queue is full, a control queue drops its oldest frames
    /// (what is lost is fetched) and a bulk queue refuses the new one (who asked asks again).
    pub(crate) fn send(&self, peer: Author, class: Class, body: Bytes) {
        if let Some(queue) = self.queues.get(&(peer, class)) {
            queue.push(body);
        }
    }

    /// Queues a frame for every peer.
    pub(crate) fn broadcast(&self, class: Class, body: &Bytes) {
        for ((_, of), queue) in self.queues.iter() {
            if *of == class {
                queue.push(body.clone());
            }
        }
    }
}

/// Whether `own` is the one of the two that dials.
fn dials(own: Author, peer: Author) -> bool {
    own < peer
}

impl fmt::Debug for Mesh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mesh").field("address", &self.address).finish_non_exhaustive()
    }
}
