//! Lets peers in: TLS first, then the hello, then the connection goes to its link.
//!
//! **Bounds.** So many connections may be unproven at a time (`limits.pending_handshakes`), a
//! quarter of them from one address, each for so long (`limits.handshake_timeout_ms`). What comes
//! on top is closed at once; a validator dials again.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use replica::wire::Class;
use replica::wire::Hello;
use replica::wire::Message;
use replica::wire::Speaker;
use replica::wire::WIRE_VERSION;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use types::Author;
use types::Committee;
use types::Encode as _;

use crate::config::Admission;
use crate::mesh::MeshConfig;
use crate::mesh::MeshError;
use crate::mesh::dials;
use crate::mesh::followers::Followers;
use crate::mesh::followers::Seat;
use crate::mesh::frame;
use crate::mesh::frame::FrameError;
use crate::mesh::hello::Answer;
use crate::mesh::hello::HELLO_BYTES_MAX;
use crate::mesh::hello::Refusal;
use crate::mesh::limited::LogLimit;
use crate::mesh::link::Stream;
use crate::mesh::tls;
use crate::metrics::Metrics;
use crate::metrics::RefuseReason;

/// The pause after the system could not hand out a socket, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Gates = BTreeMap<(Author, Class), mpsc::Sender<Stream>>;

/// Accepts connections.
pub(super) struct Acceptor {
    door: Arc<Door>,
    pending_max: usize,
    pending_per_address_max: usize,
    metrics: Arc<Metrics>,
}

/// What a handshake needs.
struct Door {
    tls: TlsAcceptor,
    committee: Arc<Committee>,
    own: Option<Author>,
    deadline: Duration,
    gates: Gates,
    followers: Arc<Followers>,
    seats: mpsc::Sender<(Seat, Stream)>,
    strangers: LogLimit,
    metrics: Arc<Metrics>,
}

/// Where a connection that is let in goes.
enum Place<'a> {
    Link(mpsc::Permit<'a, Stream>),
    Seat(Seat, mpsc::Permit<'a, (Seat, Stream)>),
}

/// Why a connection did not get in.
#[derive(Debug, thiserror::Error)]
enum AcceptError {
    #[error("no TLS with a known key: {0}")]
    Tls(io::Error),
    #[error("the handshake took more than {} ms", .0.as_millis())]
    Deadline(Duration),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("the socket failed: {0}")]
    Socket(#[from] io::Error),
}

impl Acceptor {
    pub(super) fn new(
        config: &MeshConfig,
        gates: Gates,
        (followers, seats): (Arc<Followers>, mpsc::Sender<(Seat, Stream)>),
        metrics: Arc<Metrics>,
    ) -> Result<Self, MeshError> {
        let members = config.committee.authors().zip(config.committee.validators());
        let others = members.filter(|(author, _)| Some(*author) != config.own);
        let mut keys: Vec<_> = others.map(|(_, member)| member.transport_key.to_bytes()).collect();
        let allowed = match &config.followers {
            Admission::Nobody => tls::Allowed::Keys(keys),
            Admission::Listed { keys: listed, .. } => {
                keys.extend(listed);
                tls::Allowed::Keys(keys)
            }
            Admission::Any { .. } => tls::Allowed::Any,
        };
        let pending_max = config.limits.pending_handshakes;
        Ok(Self {
            door: Arc::new(Door {
                tls: TlsAcceptor::from(tls::server_config(&config.key, allowed)?),
                committee: Arc::clone(&config.committee),
                own: config.own,
                deadline: config.limits.handshake_timeout,
                gates,
                followers,
                seats,
                strangers: LogLimit::default(),
                metrics: Arc::clone(&metrics),
            }),
            pending_max,
            pending_per_address_max: pending_max.div_ceil(4).max(PER_ADDRESS_LEAST),
            metrics,
        })
    }

    /// Runs until the node stops.
    pub(super) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let mut pending: JoinSet<IpAddr> = JoinSet::new();
        let mut addresses: BTreeMap<IpAddr, usize> = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = pending.join_next() => forget(&mut addresses, ended.ok()),
                accepted = listener.accept() => match accepted {
                    Ok((socket, from)) => {
                        let address = from.ip();
                        let count = addresses.entry(address).or_default();
                        if pending.len() >= self.pending_max
                            || *count >= self.pending_per_address_max
                        {
                            forget_zero(&mut addresses, address);
                            self.metrics.connection_refused(RefuseReason::Full);
                            continue;
                        }
                        *count += 1;
                        let door = Arc::clone(&self.door);
                        pending.spawn(async move {
                            door.let_in(socket, address).await;
                            address
                        });
                    }
                    Err(error) => {
                        tracing::error!(%error, "no connection can be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// Validators of a development network share one address.
const PER_ADDRESS_LEAST: usize = 16;

/// A handshake has ended. A task that panicked leaves its count behind: it can not happen, and
/// costs one place of many.
fn forget(addresses: &mut BTreeMap<IpAddr, usize>, address: Option<IpAddr>) {
    if let Some(address) = address {
        if let Some(count) = addresses.get_mut(&address) {
            *count = count.saturating_sub(1);
        }
        forget_zero(addresses, address);
    }
}

fn forget_zero(addresses: &mut BTreeMap<IpAddr, usize>, address: IpAddr) {
    if addresses.get(&address) == Some(&0) {
        addresses.remove(&address);
    }
}

impl Door {
    async fn let_in(&self, socket: TcpStream, address: IpAddr) {
        let result = match timeout(self.deadline, self.handshake(socket)).await {
            Ok(result) => result,
            Err(_) => Err(AcceptError::Deadline(self.deadline)),
        };
        let error = match result {
            Ok(()) => return,
            Err(error) => error,
        };
        self.metrics.connection_refused(error.reason());
        match error {
            // Anybody can cause these, so they are told now and then only.
            AcceptError::Refused(_) => {
                if let Some(more) = self.strangers.allow() {
                    tracing::warn!(%address, %error, more, "connection refused");
                }
            }
            AcceptError::Tls(_) => {
                if let Some(more) = self.strangers.allow() {
                    tracing::info!(%address, %error, more, "connection refused");
                }
            }
            _ => tracing::debug!(%address, %error, "connection refused"),
        }
    }

    async fn handshake(&self, socket: TcpStream) -> Result<(), AcceptError> {
        socket.set_nodelay(true)?;
        let mut stream = self.tls.accept(socket).await.map_err(AcceptError::Tls)?;
        let length = frame::read_length(&mut stream, HELLO_BYTES_MAX).await?;
        let hello = frame::read_body(&mut stream, length).await?;
        let proven = tls::proven_key(stream.get_ref().1.peer_certificates());
        // A place is held before the peer is welcomed.
        let place = self.place(&hello, proven);
        let answer = match &place {
            Ok(_) => Answer::Welcome,
            Err(refusal) => Answer::Refused(*refusal),
        };
        frame::write_frame(&mut stream, &answer.to_bytes()).await?;
        frame::flush(&mut stream).await?;
        match place {
            Ok(Place::Link(permit)) => {
                permit.send(stream.into());
                Ok(())
            }
            Ok(Place::Seat(seat, permit)) => {
                permit.send((seat, stream.into()));
                Ok(())
            }
            Err(refusal) => Err(AcceptError::Refused(refusal)),
        }
    }

    fn place(&self, hello: &Bytes, proven: Option<[u8; 32]>) -> Result<Place<'_>, Refusal> {
        let Ok(Message::Hello(hello)) = Message::decode(hello) else {
            return Err(Refusal::Version { spoken: WIRE_VERSION });
        };
        if hello.chain != *self.committee.chain() {
            return Err(Refusal::Chain { here: *self.committee.chain() });
        }
        if hello.epoch != self.committee.epoch() {
            return Err(Refusal::Epoch { here: self.committee.epoch() });
        }
        // TLS lets nobody in who has proven no key.
        let proven = proven.ok_or(Refusal::NotAdmitted)?;
        match hello.speaker {
            Speaker::Validator(_) => {
                let place = self.validator(&hello, proven)?;
                let gate = self.gates.get(&place).ok_or(Refusal::Direction)?;
                gate.try_reserve().map(Place::Link).map_err(|_| Refusal::Busy)
            }
            Speaker::Follower => {
                let seat = self.followers.seat(proven, hello.class)?;
                let permit = self.seats.try_reserve().map_err(|_| Refusal::Busy)?;
                Ok(Place::Seat(seat, permit))
            }
        }
    }

    fn validator(&self, hello: &Hello, proven: [u8; 32]) -> Result<(Author, Class), Refusal> {
        let mut members = self.committee.authors().zip(self.committee.validators());
        let proven = members.find(|(_, member)| member.transport_key.to_bytes() == proven);
        let (proven, _) = proven.ok_or(Refusal::NotAdmitted)?;
        if hello.speaker != Speaker::Validator(proven) {
            return Err(Refusal::Author { proven });
        }
        if !dials(Some(proven), self.own) {
            return Err(Refusal::Direction);
        }
        Ok((proven, hello.class))
    }
}

impl AcceptError {
    fn reason(&self) -> RefuseReason {
        match self {
            Self::Tls(_) => RefuseReason::Tls,
            Self::Deadline(_) => RefuseReason::Deadline,
            Self::Frame(_) | Self::Socket(_) => RefuseReason::Malformed,
            Self::Refused(_) => RefuseReason::Hello,
        }
    }
}
