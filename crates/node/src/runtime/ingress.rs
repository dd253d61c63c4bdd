//! From a link's frames to the ordering thread: decoded and verified on worker threads, handed on
//! in the order in which the peer sent them; requests are answered from the store.
//!
//! **Bounds.** A link has at most [`VERIFY_AHEAD_MAX`] frames under way, one request at a time, and
//! its bytes in memory are bounded by the room that each frame carries until ordering has taken
//! it. Whatever is full stops the reading of that one link. An answer that nobody asked for is refused
//! before it is checked ([`Asked`]). A peer's bad frame is counted, told now and then, dropped, and
//! ends the connection that it came on: a valid peer never sends one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use rayon::ThreadPool;
use replica::InvalidMessage;
use replica::Received;
use replica::Request;
use replica::ordering::Input;
use replica::wire::Class;
use replica::wire::Message;
use store::Store;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Author;
use types::Committee;
use types::Encode as _;
use types::Rules;

use crate::config::Checked;
use crate::mesh::Frame;
use crate::mesh::INLET_FRAMES_MAX;
use crate::mesh::Notice;
use crate::mesh::Sender;
use crate::mesh::Serve;
use crate::mesh::limited::LogLimit;
use crate::metrics::InvalidReason;
use crate::metrics::Metrics;
use crate::runtime::asked::Asked;

/// How many frames of one link are verified at a time or wait for their turn after it.
const VERIFY_AHEAD_MAX: usize = 32;

/// An input for the ordering thread, with the room that it takes of its peer's bound.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) input: Input,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The tasks between links and the ordering thread.
#[derive(Debug)]
pub(super) struct Ingress {
    shared: Arc<Shared>,
    links: Vec<(Author, Class, mpsc::Receiver<Frame>)>,
    tasks: JoinSet<()>,
}

struct Shared {
    pool: Arc<ThreadPool>,
    committee: Arc<Committee>,
    rules: Rules,
    asked: Arc<Asked>,
    store: Arc<dyn Store>,
    inbox: mpsc::Sender<Inbound>,
    metrics: Arc<Metrics>,
}

struct Verified {
    result: Result<Received, Fault>,
    room: OwnedSemaphorePermit,
    cut: CancellationToken,
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no message: {0}")]
    Message(types::DecodeError),
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    #[error("a message of the {0:?} connection")]
    Class(Class),
    #[error("a second hello")]
    Hello,
    #[error("an answer that nobody asked for")]
    Unasked,
}

impl Ingress {
    pub(super) fn new(
        checked: &Checked,
        store: &Arc<dyn Store>,
        inbox: mpsc::Sender<Inbound>,
        metrics: &Arc<Metrics>,
        pool: &Arc<ThreadPool>,
    ) -> Self {
        let shared = Shared {
            pool: Arc::clone(pool),
            committee: Arc::clone(&checked.committee),
            rules: checked.genesis.consensus.rules(),
            asked: Arc::new(Asked::new(checked.committee.size())),
            store: Arc::clone(store),
            inbox,
            metrics: Arc::clone(metrics),
        };
        Self { shared: Arc::new(shared), links: Vec::new(), tasks: JoinSet::new() }
    }

    /// What is asked of whom: whoever sends a request notes it there.
    pub(super) fn asked(&self) -> Arc<Asked> {
        Arc::clone(&self.shared.asked)
    }

    /// Makes the inlet of one link.
    pub(super) fn open(&mut self, peer: Author, class: Class) -> mpsc::Sender<Frame> {
        let (sender, frames) = mpsc::channel(INLET_FRAMES_MAX);
        self.links.push((peer, class, frames));
        sender
    }

    /// Starts a task for every link, and one that tells of peers that come and go. Each ends when
    /// its link has.
    pub(super) fn start(&mut self, mesh: &Sender, mut notices: mpsc::Receiver<Notice>) {
        for (peer, class, frames) in self.links.drain(..) {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(pump(shared, mesh.clone(), peer, class, frames));
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            while let Some(notice) = notices.recv().await {
                let input = match notice {
                    Notice::Connected(peer) => Input::Connected(peer),
                    Notice::Gone(peer) => Input::Gone(peer),
                };
                // The ordering thread goes away only when the node stops.
                let _ = shared.inbox.send(Inbound { input, room: None }).await;
            }
        });
    }

    /// Waits for the tasks to end, after the links have.
    pub(super) async fn join(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn pump(
    shared: Arc<Shared>,
    mesh: Sender,
    peer: Author,
    class: Class,
    mut frames: mpsc::Receiver<Frame>,
) {
    let mut under_way: FuturesOrdered<oneshot::Receiver<Verified>> = FuturesOrdered::new();
    let mut is_open = true;
    let log = LogLimit::default();
    while is_open || !under_way.is_empty() {
        tokio::select! {
            frame = frames.recv(), if is_open && under_way.len() < VERIFY_AHEAD_MAX => match frame {
                Some(frame) => under_way.push_back(verify(&shared, peer, class, frame)),
                None => is_open = false,
            },
            Some(verified) = under_way.next() => {
                // A worker that broke off takes its frame with it.
                if let Ok(verified) = verified {
                    shared.take(&mesh, peer, verified, &log).await;
                }
            }
        }
    }
}

fn verify(
    shared: &Arc<Shared>,
    peer: Author,
    class: Class,
    frame: Frame,
) -> oneshot::Receiver<Verified> {
    let (sender, receiver) = oneshot::channel();
    let work = Arc::clone(shared);
    shared.pool.spawn(move || {
        let Frame { body, room, cut } = frame;
        let result = work.judge(peer, class, &body);
        // The link's task is gone when the node stops.
        let _ = sender.send(Verified { result, room, cut });
    });
    receiver
}

impl Shared {
    fn judge(&self, peer: Author, class: Class, body: &Bytes) -> Result<Received, Fault> {
        let message = Message::decode(body).map_err(Fault::Message)?;
        if message.class() != class {
            return Err(Fault::Class(message.class()));
        }
        if !self.asked.take(peer, &message) {
            return Err(Fault::Unasked);
        }
        let message = unshare(message);
        match replica::receive(peer, message, &self.committee, self.rules)? {
            Received::Hello(_) => Err(Fault::Hello),
            received => Ok(received),
        }
    }

    async fn take(&self, mesh: &Sender, peer: Author, verified: Verified, log: &LogLimit) {
        let Verified { result, room, cut } = verified;
        match result {
            Ok(Received::Input(input)) => {
                // The ordering thread goes away only when the node stops.
                let _ = self.inbox.send(Inbound { input, room: Some(room) }).await;
            }
            Ok(Received::Request(request)) => self.answer(mesh, peer, request).await,
            // A hello never comes this far.
            Ok(Received::Hello(_)) => {}
            Err(fault) => {
                self.metrics.message_invalid(peer, fault.reason());
                if let Some(more) = log.allow() {
                    tracing::warn!(%peer, %fault, more, "invalid frame");
                }
                cut.cancel();
            }
        }
    }

    async fn answer(&self, mesh: &Sender, peer: Author, request: Request) {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || serve(&*store, &request)).await {
            Ok(Some((class, answer))) => mesh.send(peer, class, answer),
            Ok(None) => {}
            Err(_) => tracing::error!("serving a request broke off"),
        }
    }
}

/// The answer to a request, encoded; none when the store fails: whoever writes will meet the fault,
/// too, and stop the node.
fn serve(store: &dyn Store, request: &Request) -> Option<(Class, Bytes)> {
    match replica::serve(store, request) {
        Ok(answer) => Some((answer.class(), answer.to_bytes().into())),
        Err(fault) => {
            tracing::error!(%fault, "a request could not be served");
            None
        }
    }
}

/// What answers followers, from the same store.
pub(super) fn serving(store: &Arc<dyn Store>) -> Serve {
    let store = Arc::clone(store);
    Arc::new(move |request| serve(&*store, request))
}

/// Gives each vertex of a batch a buffer of its own: else one that is kept would keep them all.
fn unshare(message: Message) -> Message {
    let copy = |vertices: Vec<Bytes>| -> Vec<Bytes> {
        vertices.iter().map(|vertex| Bytes::copy_from_slice(vertex)).collect()
    };
    match message {
        Message::Vertices(vertices) => Message::Vertices(copy(vertices)),
        Message::Range(mut range) => {
            range.vertices = copy(range.vertices);
            Message::Range(range)
        }
        message => message,
    }
}

impl Fault {
    fn reason(&self) -> InvalidReason {
        match self {
            Self::Message(_) => InvalidReason::Message,
            Self::Invalid(InvalidMessage::Decode(_)) => InvalidReason::Encoding,
            Self::Invalid(InvalidMessage::Vertex(_)) => InvalidReason::Vertex,
            Self::Invalid(InvalidMessage::Coin { .. }) => InvalidReason::Coin,
            Self::Class(_) | Self::Hello => InvalidReason::Class,
            Self::Unasked => InvalidReason::Unasked,
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
