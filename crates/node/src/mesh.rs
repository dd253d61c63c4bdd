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
use replica::wire::Speaker;
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Author;
use types::Committee;
use types::SecretKey;

use crate::config::Admission;
use crate::config::Checked;
use crate::config::Limits;
use crate::config::LinkFaults;
use crate::metrics::DropReason;
use crate::metrics::Metrics;

mod accept;
mod dial;
mod followers;
mod frame;
mod hello;
pub(crate) mod limited;
mod link;
mod presence;
mod queue;
mod tls;

#[cfg(test)]
mod tests;

use accept::Acceptor;
use dial::Dialer;
use followers::Followers;
use followers::SEATS_WAITING_MAX;
pub(crate) use followers::Serve;
use link::Link;
use link::Source;
use queue::Bounds;
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
    /// Cuts the connection that it came on: for whoever finds something invalid in it.
    pub(crate) cut: CancellationToken,
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
    /// Which validator this is; none for a follower, which only dials.
    pub(crate) own: Option<Author>,
    pub(crate) key: SecretKey,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) peers: BTreeMap<Author, String>,
    pub(crate) followers: Admission,
    pub(crate) limits: Limits,
    pub(crate) faults: LinkFaults,
}

/// All links of a node. Stopped by its token, then joined by [`Mesh::join`].
pub(crate) struct Mesh {
    address: Option<SocketAddr>,
    sender: Sender,
    tasks: JoinSet<()>,
}

/// Sends frames to peers; clones share the queues. Never waits.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    queues: Arc<BTreeMap<(Author, Class), Arc<SendQueue>>>,
    followers: Option<Arc<Followers>>,
}

impl MeshConfig {
    pub(crate) fn new(checked: &Checked) -> Self {
        Self {
            committee: Arc::clone(&checked.committee),
            own: checked.identity.author(),
            key: checked.identity.transport().clone(),
            listen: checked.listen,
            peers: checked.peers.clone(),
            followers: checked.followers.clone(),
            limits: checked.limits,
            faults: checked.link,
        }
    }

    fn bounds(&self) -> Bounds {
        let bytes_max = self.limits.peer_send_queue_bytes;
        Bounds { bytes_max, full: DropReason::Full, faults: self.faults }
    }

    fn hello(&self, class: Class) -> Hello {
        Hello {
            chain: *self.committee.chain(),
            epoch: self.committee.epoch(),
            speaker: self.own.map_or(Speaker::Follower, Speaker::Validator),
            class,
        }
    }
}

impl Mesh {
    /// Starts listening and dialling. Each link hands its frames to the channel that `inlets`
    /// gives it, in the order in which the peer sent them; a full channel stops the reading of that
    /// link. Followers are answered by `serve`.
    pub(crate) async fn start(
        config: MeshConfig,
        metrics: Arc<Metrics>,
        mut inlets: impl FnMut(Author, Class) -> mpsc::Sender<Frame>,
        notices: mpsc::Sender<Notice>,
        serve: Serve,
        stop: CancellationToken,
    ) -> Result<Self, MeshError> {
        let listener = listen(config.listen).await?;
        let mut tasks = JoinSet::new();
        let (changes, changed) = mpsc::channel(NOTICES_MAX);
        tasks.spawn(presence::run(changed, notices, Arc::clone(&metrics)));
        let mut queues = BTreeMap::new();
        let mut gates = BTreeMap::new();
        for (peer, address) in &config.peers {
            for class in CLASSES {
                let bounds = config.bounds();
                let queue = Arc::new(SendQueue::new(class, bounds, Arc::clone(&metrics)));
                let source = if dials(config.own, Some(*peer)) {
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
        let mut sender = Sender { queues: Arc::new(queues), followers: None };
        let Some((listener, address)) = listener else {
            return Ok(Self { address: None, sender, tasks });
        };
        let (admission, faults) = (config.followers.clone(), config.faults);
        let followers = Followers::new(admission, faults, serve, Arc::clone(&metrics));
        sender.followers = Some(Arc::clone(&followers));
        let (seats, seated) = mpsc::channel(SEATS_WAITING_MAX);
        tasks.spawn(Followers::run(seated, stop.clone()));
        let acceptor = Acceptor::new(&config, gates, (followers, seats), metrics)?;
        tasks.spawn(acceptor.run(listener, stop));
        Ok(Self { address: Some(address), sender, tasks })
    }

    /// Where it listens, if it does.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
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
        Self { queues: Arc::default(), followers: None }
    }

    /// Queues a frame for one peer. When the queue is full, a control queue drops its oldest frames
    /// (what is lost is fetched) and a bulk queue refuses the new one (who asked asks again).
    pub(crate) fn send(&self, peer: Author, class: Class, body: Bytes) {
        if let Some(queue) = self.queues.get(&(peer, class)) {
            queue.push(body);
        }
    }

    /// Queues a frame for every peer, and then for every follower.
    pub(crate) fn broadcast(&self, class: Class, body: &Bytes) {
        for ((_, of), queue) in self.queues.iter() {
            if *of == class {
                queue.push(body.clone());
            }
        }
        if let Some(followers) = &self.followers {
            followers.broadcast(class, body);
        }
    }
}

async fn listen(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, MeshError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error| MeshError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let actual = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, actual)))
}

/// Whether `own` is the one of the two that dials: the lower of two validators, and every follower.
/// A follower is none, and none is below every validator.
fn dials(own: Option<Author>, peer: Option<Author>) -> bool {
    own < peer
}

impl fmt::Debug for Mesh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mesh").field("address", &self.address).finish_non_exhaustive()
    }
}
