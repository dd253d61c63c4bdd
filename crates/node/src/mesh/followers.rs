//! Followers at a validator: nodes that ask and make nothing.
//!
//! A follower gets what is broadcast and answers to its requests, and nothing that it sends goes
//! further than this file. **Invariant:** no follower costs a validator anything that matters. Each
//! has queues of its own of [`FOLLOWER_SEND_QUEUE_BYTES`], one request under way, and so many bytes a
//! second; all together have [`FOLLOWER_REQUESTS_AT_ONCE`] reads of the store and as many places as
//! the configuration says. Whatever is full drops or waits on the follower's side only.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use replica::Request;
use replica::wire::Class;
use replica::wire::Message;
use tokio::io::AsyncRead;
use tokio::io::BufWriter;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::config::Admission;
use crate::config::LinkFaults;
use crate::mesh::CLASSES;
use crate::mesh::frame;
use crate::mesh::frame::FrameError;
use crate::mesh::hello::Refusal;
use crate::mesh::limited::LogLimit;
use crate::mesh::link;
use crate::mesh::link::Stream;
use crate::mesh::queue::Bounds;
use crate::mesh::queue::SendQueue;
use crate::metrics::DropReason;
use crate::metrics::Metrics;

/// The most bytes of a frame that a follower sends: a request is far smaller.
pub(super) const FOLLOWER_FRAME_BYTES_MAX: usize = 8 * 1024;
/// What may wait to be sent to one follower on one connection; a full queue drops.
pub(super) const FOLLOWER_SEND_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// How many bytes of answers one follower gets in a second on average.
pub(super) const FOLLOWER_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;
/// What a request costs beside the bytes of its answer.
pub(super) const FOLLOWER_REQUEST_BYTES: u64 = 64 * 1024;
/// How many requests of all followers are read from the store at a time.
pub(super) const FOLLOWER_REQUESTS_AT_ONCE: usize = 2;
/// How many new connections of followers may wait to be taken up.
pub(super) const SEATS_WAITING_MAX: usize = 16;

/// Answers a request from the store; none when the store fails, which whoever writes will notice.
pub(crate) type Serve = Arc<dyn Fn(&Request) -> Option<(Class, Bytes)> + Send + Sync>;

type Key = [u8; 32];

/// All followers of a validator.
pub(super) struct Followers {
    admission: Admission,
    faults: LinkFaults,
    // Shared by the door, the links and whoever broadcasts: every critical section is short and
    // never held across an await.
    places: Mutex<Places>,
    at_once: Arc<Semaphore>,
    serve: Serve,
    refusals: LogLimit,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Places {
    taken: BTreeMap<Key, BTreeMap<Class, Place>>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    queue: Arc<SendQueue>,
    replaced: CancellationToken,
}

/// The right of one connection of a follower to be there; given back when dropped.
pub(super) struct Seat {
    followers: Arc<Followers>,
    key: Key,
    class: Class,
    number: u64,
    queue: Arc<SendQueue>,
    replaced: CancellationToken,
}

/// Why a follower's connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("it sent what no follower sends")]
    Unexpected,
    #[error("a newer connection took its place")]
    Replaced,
    #[error("the node is stopping")]
    Stopping,
}

impl Followers {
    pub(super) fn new(
        admission: Admission,
        faults: LinkFaults,
        serve: Serve,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            admission,
            faults,
            places: Mutex::default(),
            at_once: Arc::new(Semaphore::new(FOLLOWER_REQUESTS_AT_ONCE)),
            serve,
            refusals: LogLimit::default(),
            metrics,
        })
    }

    /// A place for a connection of the follower that has proven `key`. A newer connection takes the
    /// place of an older one of the same key and class.
    pub(super) fn seat(self: &Arc<Self>, key: Key, class: Class) -> Result<Seat, Refusal> {
        if !self.admission.admits(&key) {
            return Err(Refusal::NotAdmitted);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !places.taken.contains_key(&key);
        if is_new && places.taken.len() >= self.admission.count_max() {
            drop(places);
            if let Some(more) = self.refusals.allow() {
                tracing::warn!(more, "a follower found every place taken");
            }
            return Err(Refusal::Full);
        }
        let bounds = Bounds {
            bytes_max: FOLLOWER_SEND_QUEUE_BYTES,
            full: DropReason::Follower,
            faults: self.faults,
        };
        let queue = Arc::new(SendQueue::new(class, bounds, Arc::clone(&self.metrics)));
        let replaced = CancellationToken::new();
        places.next += 1;
        let number = places.next;
        let place = Place { number, queue: Arc::clone(&queue), replaced: replaced.clone() };
        if let Some(older) = places.taken.entry(key).or_default().insert(class, place) {
            older.replaced.cancel();
        }
        self.metrics.followers_connected(places.taken.len());
        drop(places);
        Ok(Seat { followers: Arc::clone(self), key, class, number, queue, replaced })
    }

    /// Queues a frame for every follower.
    pub(super) fn broadcast(&self, class: Class, body: &Bytes) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.taken.values().filter_map(|places| places.get(&class)) {
            place.queue.push(body.clone());
        }
    }

    /// Runs the connections that were let in until the node stops.
    pub(super) async fn run(mut seats: mpsc::Receiver<(Seat, Stream)>, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                seat = seats.recv() => match seat {
                    Some((seat, stream)) => {
                        connections.spawn(seat.run(stream, stop.clone()));
                    }
                    None => break,
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }

    fn queue(&self, key: &Key, class: Class) -> Option<Arc<SendQueue>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.taken.get(key)?.get(&class)?;
        Some(Arc::clone(&place.queue))
    }
}

impl Seat {
    async fn run(self, stream: Stream, stop: CancellationToken) {
        let follower = self.name();
        let class = self.class;
        if class == Class::Control {
            tracing::info!(follower, "follower connected");
        }
        self.queue.open();
        let end = tokio::select! {
            end = self.converse(stream) => end,
            () = self.replaced.cancelled() => End::Replaced,
            () = stop.cancelled() => End::Stopping,
        };
        self.queue.close();
        match end {
            End::Unexpected | End::Frame(FrameError::TooLong { .. }) => {
                if let Some(more) = self.followers.refusals.allow() {
                    tracing::warn!(follower, ?class, reason = %end, more, "follower cut off");
                }
            }
            _ if class == Class::Control => {
                tracing::info!(follower, reason = %end, "follower gone");
            }
            _ => tracing::debug!(follower, ?class, reason = %end, "follower's link lost"),
        }
    }

    async fn converse(&self, stream: Stream) -> End {
        let (reader, writer) = tokio::io::split(stream);
        let writer = BufWriter::with_capacity(link::WRITE_BUFFER_BYTES, writer);
        let mut reading = pin!(self.read(reader));
        let mut writing =
            pin!(link::write(&self.queue, self.class, &self.followers.metrics, writer));
        tokio::select! {
            end = &mut reading => end,
            error = &mut writing => error.into(),
        }
    }

    async fn read(&self, mut reader: impl AsyncRead + Unpin) -> End {
        let mut bucket = Bucket::new();
        loop {
            let request = match self.next(&mut reader).await {
                Ok(Some(request)) => request,
                Ok(None) => continue,
                Err(end) => return end,
            };
            bucket.wait().await;
            self.drained().await;
            let sent = self.answer(request).await;
            bucket.take(sent);
        }
    }

    /// The next frame, if it asks for something. A status is of no use to anybody: a follower
    /// has nothing that a validator would fetch.
    async fn next(&self, reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Request>, End> {
        let length = frame::read_length(reader, FOLLOWER_FRAME_BYTES_MAX).await?;
        let body = frame::read_body(reader, length).await?;
        self.followers.metrics.frame_received(self.class, length);
        match Message::decode(&body) {
            Ok(message) if message.class() != self.class => Err(End::Unexpected),
            Ok(Message::FetchVertices(references)) => Ok(Some(Request::Vertices(references))),
            Ok(Message::FetchRounds(rounds)) => Ok(Some(Request::Rounds(rounds))),
            Ok(Message::Status(_)) => Ok(None),
            _ => Err(End::Unexpected),
        }
    }

    /// Waits until the follower has read most of what it asked for before: an answer that found
    /// no room would have been read in vain.
    async fn drained(&self) {
        for class in CLASSES {
            if let Some(queue) = self.followers.queue(&self.key, class) {
                queue.drained(FOLLOWER_SEND_QUEUE_BYTES / 4).await;
            }
        }
    }

    /// Reads the answer and queues it. Gives how many bytes it had.
    async fn answer(&self, request: Request) -> usize {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&self.followers.at_once).acquire_owned().await else {
            return 0;
        };
        let serve = Arc::clone(&self.followers.serve);
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            serve(&request)
        });
        let Ok(Some((class, body))) = answer.await else { return 0 };
        let length = body.len();
        if let Some(queue) = self.followers.queue(&self.key, class) {
            queue.push(body);
        }
        length
    }

    fn name(&self) -> String {
        hex::encode(self.key)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut places = self.followers.places.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mine) = places.taken.get_mut(&self.key) else { return };
        if mine.get(&self.class).is_some_and(|place| place.number == self.number) {
            mine.remove(&self.class);
        }
        if mine.is_empty() {
            places.taken.remove(&self.key);
        }
        self.followers.metrics.followers_connected(places.taken.len());
    }
}

/// Bytes of answers that a follower has to its credit: a second's worth at most.
#[derive(Debug)]
struct Bucket {
    /// When everything that was sent has been paid for.
    paid: Instant,
}

impl Bucket {
    fn new() -> Self {
        Self { paid: Instant::now() }
    }

    /// Waits until no more than a second's worth is owed.
    async fn wait(&self) {
        let credit = Duration::from_secs(1);
        if let Some(due) = self.paid.checked_sub(credit) {
            sleep_until(due).await;
        }
    }

    fn take(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let cost = bytes.saturating_add(FOLLOWER_REQUEST_BYTES);
        let micros = cost.saturating_mul(1_000_000) / FOLLOWER_BYTES_PER_SECOND;
        self.paid = self.paid.max(Instant::now()) + Duration::from_micros(micros);
    }
}

impl fmt::Debug for Followers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Followers").field("places", &self.places).finish_non_exhaustive()
    }
}
