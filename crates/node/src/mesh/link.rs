//! One connection to one peer, for as long as the node runs: it is made, used, lost, made again.

use std::pin::pin;
use std::sync::Arc;

use replica::wire::Class;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::BufWriter;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use types::Author;

use crate::mesh::FRAME_BYTES_MAX;
use crate::mesh::Frame;
use crate::mesh::dial::Dialer;
use crate::mesh::frame;
use crate::mesh::frame::FrameError;
use crate::mesh::frame::KEEP_ALIVE;
use crate::mesh::presence::LinkChange;
use crate::mesh::queue::SendQueue;
use crate::metrics::Metrics;

/// How many bytes are gathered before they go to TLS.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// How long a link stays down after its peer sent something invalid for the first time. It doubles
/// with every further time.
pub(super) const INVALID_PAUSE_LEAST: Duration = Duration::from_secs(1);
/// The longest such pause.
pub(super) const INVALID_PAUSE_MOST: Duration = Duration::from_secs(60);
/// A link that has stood for so long without anything invalid starts with the shortest pause again.
const INVALID_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A connection that has passed the handshake.
pub(super) type Stream = TlsStream<TcpStream>;

/// Where a link's connections come from.
#[derive(Debug)]
pub(super) enum Source {
    /// This node dials.
    Dial(Dialer),
    /// The peer dials; a newer connection replaces the one in use.
    Accept(mpsc::Receiver<Stream>),
}

/// What a link works with.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: Author,
    pub(super) class: Class,
    pub(super) queue: Arc<SendQueue>,
    pub(super) inlet: mpsc::Sender<Frame>,
    pub(super) room: Arc<Semaphore>,
    pub(super) changes: mpsc::Sender<LinkChange>,
    pub(super) metrics: Arc<Metrics>,
}

impl Link {
    /// Runs until the node stops.
    pub(super) async fn run(self, mut source: Source, stop: CancellationToken) {
        let mut next = None;
        let mut pause = INVALID_PAUSE_LEAST;
        loop {
            let stream = match next.take() {
                Some(stream) => stream,
                None => {
                    tokio::select! {
                        stream = source.next() => match stream {
                            Some(stream) => stream,
                            None => return,
                        },
                        () = stop.cancelled() => return,
                    }
                }
            };
            self.queue.open();
            self.tell(true).await;
            let began = Instant::now();
            let cut = CancellationToken::new();
            let end = tokio::select! {
                end = self.converse(stream, &cut) => Some(end),
                () = cut.cancelled() => Some(FrameError::Invalid),
                newer = source.replaced() => { next = newer; None }
                () = stop.cancelled() => Some(FrameError::Stopping),
            };
            self.queue.close();
            self.tell(false).await;
            match end {
                Some(FrameError::Stopping) => return,
                Some(FrameError::Invalid) => {
                    if began.elapsed() >= INVALID_FORGOTTEN_AFTER {
                        pause = INVALID_PAUSE_LEAST;
                    }
                    let (peer, class, seconds) = (self.peer, self.class, pause.as_secs());
                    tracing::warn!(%peer, ?class, seconds, "link cut for an invalid frame");
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = stop.cancelled() => return,
                    }
                    pause = (pause * 2).min(INVALID_PAUSE_MOST);
                }
                Some(reason @ FrameError::TooLong { .. }) => {
                    tracing::warn!(peer = %self.peer, class = ?self.class, %reason, "link cut");
                }
                Some(reason) => {
                    tracing::debug!(peer = %self.peer, class = ?self.class, %reason, "link lost");
                }
                None => {
                    tracing::debug!(peer = %self.peer, class = ?self.class, "link replaced");
                }
            }
        }
    }

    async fn tell(&self, up: bool) {
        let change = LinkChange { peer: self.peer, class: self.class, up };
        // Whoever listens goes away only when the node stops.
        let _ = self.changes.send(change).await;
    }

    /// Reads and writes until one of them fails. Not cancel safe: a frame may be cut in half, so
    /// the connection is of no use afterwards.
    async fn converse(&self, stream: Stream, cut: &CancellationToken) -> FrameError {
        let (reader, writer) = tokio::io::split(stream);
        let mut reading = pin!(self.read(reader, cut));
        let writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, writer);
        let mut writing = pin!(write(&self.queue, self.class, &self.metrics, writer));
        tokio::select! {
            error = &mut reading => error,
            error = &mut writing => error,
        }
    }

    async fn read(
        &self,
        mut reader: impl AsyncRead + Unpin,
        cut: &CancellationToken,
    ) -> FrameError {
        loop {
            match self.read_one(&mut reader, cut).await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    }

    async fn read_one(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        cut: &CancellationToken,
    ) -> Result<(), FrameError> {
        let length = frame::read_length(reader, FRAME_BYTES_MAX).await?;
        // Here a peer that is faster than this node waits: nothing more is read from it.
        let room = Arc::clone(&self.room).acquire_many_owned(length).await;
        let room = room.map_err(|_| FrameError::Stopping)?;
        let body = frame::read_body(reader, length).await?;
        self.metrics.frame_received(self.class, length);
        let frame = Frame { body, room, cut: cut.clone() };
        self.inlet.send(frame).await.map_err(|_| FrameError::Stopping)
    }
}

/// Writes what a queue gives until it fails.
pub(super) async fn write(
    queue: &SendQueue,
    class: Class,
    metrics: &Metrics,
    mut writer: impl AsyncWrite + Unpin,
) -> FrameError {
    loop {
        match write_one(queue, class, metrics, &mut writer).await {
            Ok(()) => {}
            Err(error) => return error,
        }
    }
}

async fn write_one(
    queue: &SendQueue,
    class: Class,
    metrics: &Metrics,
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<(), FrameError> {
    match timeout(KEEP_ALIVE, queue.next()).await {
        Ok(body) => {
            frame::write_frame(writer, &body).await?;
            metrics.frame_sent(class, body.len());
        }
        Err(_) => frame::write_frame(writer, &[]).await?,
    }
    if queue.has_due() { Ok(()) } else { frame::flush(writer).await }
}

impl Source {
    /// The next connection; none when there will be no more. Cancel safe.
    async fn next(&mut self) -> Option<Stream> {
        match self {
            Self::Dial(dialer) => Some(dialer.connect().await),
            Self::Accept(accepted) => accepted.recv().await,
        }
    }

    /// A connection that replaces the one in use. Cancel safe.
    async fn replaced(&mut self) -> Option<Stream> {
        match self {
            Self::Dial(_) => std::future::pending().await,
            Self::Accept(accepted) => accepted.recv().await,
        }
    }
}
