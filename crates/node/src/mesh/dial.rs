//! Dials one peer until it answers: each attempt has a deadline, the pause between two grows to a
//! cap, and chance spreads the attempts of many nodes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use replica::wire::Class;
use replica::wire::Hello;
use replica::wire::Message;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use types::Author;
use types::Decode as _;
use types::DecodeError;
use types::Encode as _;

use crate::mesh::MeshConfig;
use crate::mesh::MeshError;
use crate::mesh::frame;
use crate::mesh::frame::FrameError;
use crate::mesh::hello::Answer;
use crate::mesh::hello::HELLO_BYTES_MAX;
use crate::mesh::hello::Refusal;
use crate::mesh::limited::LogLimit;
use crate::mesh::link::Stream;
use crate::mesh::tls;

/// The pause after the first attempt that fails.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(3);
/// A connection that stood for less counts as an attempt that failed. Two machines with the same key
/// put each other out: they take turns at this pace and not at that of the processor.
const STOOD_LEAST: Duration = Duration::from_secs(1);

/// Makes connections of one class to one peer.
#[derive(Debug)]
pub(super) struct Dialer {
    peer: Author,
    class: Class,
    address: String,
    hello: Hello,
    tls: Arc<ClientConfig>,
    deadline: Duration,
    pause: Duration,
    /// When the last connection was made.
    since: Option<Instant>,
    /// The public key of this node, for whoever has to list it.
    key: String,
    refusals: LogLimit,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("the answer does not decode: {0}")]
    Answer(#[from] DecodeError),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error(
        "the key of this node is not known there ({0}): a validator must be in the genesis, a \
         follower must be listed there under network.followers"
    )]
    Unknown(io::Error),
}

impl Dialer {
    pub(super) fn new(
        config: &MeshConfig,
        peer: Author,
        class: Class,
        address: &str,
    ) -> Result<Self, MeshError> {
        let unknown = || rustls::Error::General(format!("validator {peer} is not in the genesis"));
        let member = config.committee.validator(peer).ok_or_else(unknown)?;
        Ok(Self {
            peer,
            class,
            address: address.to_owned(),
            hello: config.hello(class),
            tls: tls::client_config(&config.key, &member.transport_key)?,
            deadline: config.limits.handshake_timeout,
            pause: PAUSE_LEAST,
            since: None,
            key: hex::encode(config.key.public().to_bytes()),
            refusals: LogLimit::default(),
        })
    }

    /// Dials until a connection stands. Cancel safe: a broken-off attempt is just closed.
    pub(super) async fn connect(&mut self) -> Stream {
        match self.since.take() {
            Some(since) if since.elapsed() < STOOD_LEAST => self.wait().await,
            _ => self.pause = PAUSE_LEAST,
        }
        loop {
            match self.attempt().await {
                Ok(stream) => {
                    self.since = Some(Instant::now());
                    return stream;
                }
                Err(error @ (DialError::Refused(_) | DialError::Unknown(_))) => {
                    if let Some(more) = self.refusals.allow() {
                        tracing::warn!(
                            peer = %self.peer, class = ?self.class, address = self.address,
                            key = self.key, %error, more, "peer refused the connection"
                        );
                    }
                }
                Err(error) => {
                    tracing::debug!(
                        peer = %self.peer, class = ?self.class, address = self.address, %error,
                        "peer not reached"
                    );
                }
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        sleep(jittered(self.pause)).await;
        self.pause = (self.pause * 2).min(PAUSE_MOST);
    }

    async fn attempt(&self) -> Result<Stream, DialError> {
        match timeout(self.deadline, self.handshake()).await {
            // A client's key is judged after the client has finished: the alert comes as a read.
            Ok(Err(DialError::Io(error) | DialError::Frame(FrameError::Io(error))))
                if is_alert(&error) =>
            {
                Err(DialError::Unknown(error))
            }
            Ok(result) => result,
            Err(_) => Err(DialError::Deadline(self.deadline)),
        }
    }

    async fn handshake(&self) -> Result<Stream, DialError> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let mut stream = connector.connect(tls::server_name(), socket).await?;
        frame::write_frame(&mut stream, &Message::Hello(self.hello).to_bytes()).await?;
        frame::flush(&mut stream).await?;
        let length = frame::read_length(&mut stream, HELLO_BYTES_MAX).await?;
        let answer = frame::read_body(&mut stream, length).await?;
        match Answer::from_bytes(&answer)? {
            Answer::Welcome => Ok(stream.into()),
            Answer::Refused(refusal) => Err(DialError::Refused(refusal)),
        }
    }
}

/// Whether the other side ended the connection with a TLS alert.
fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// Between a half and the whole of `pause`.
fn jittered(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(0) % 512;
    pause / 2 + pause / 1024 * chance
}
