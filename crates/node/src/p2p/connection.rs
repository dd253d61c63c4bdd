//! One peer's connection: the handshake, then a message, its answer, the next message;
//! announcements in between.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bitcoin::BlockHash;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::p2p::Address;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use ledger::mempool::RELAY_FEE;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::timeout;
use tracing::debug;
use types::Height;

use crate::http::Failure;
use crate::metrics::Answered;
use crate::metrics::Closed;
use crate::metrics::Door;
use crate::objects;

use super::ANNOUNCE_LAG_MAX;
use super::HANDSHAKE_TIME_MAX;
use super::IDLE_TIME_MAX;
use super::LOCATOR_MAX;
use super::MESSAGE_TIME_MAX;
use super::NAMES_MAX;
use super::PING_EVERY;
use super::PROTOCOL_VERSION;
use super::Shared;
use super::WANTED_MAX;
use super::WRITE_TIME_MAX;
use super::answers;
use super::answers::Announcement;
use super::answers::Form;
use super::answers::Headers;
use super::frames;
use super::frames::Frames;

struct Peer {
    shared: Arc<Shared>,
    address: SocketAddr,
    write: OwnedWriteHalf,
    events: watch::Receiver<u64>,
    /// It has said what it is.
    version: Option<VersionMessage>,
    /// It has heard what we are.
    is_ready: bool,
    /// It wants blocks announced by their headers.
    wants_headers: bool,
    /// The chain that it is known to have.
    known: Option<Height>,
    /// The last block that it was told of.
    told: Height,
    /// The last event that it was told of.
    event: u64,
    /// The transactions that it was asked for.
    wanted: HashSet<Txid>,
}

/// Serves a peer until it leaves, breaks a bound, or the node stops.
pub(super) async fn run(stream: TcpStream, address: SocketAddr, shared: Arc<Shared>) -> Closed {
    let (read, write) = stream.into_split();
    let mut frames = Frames::new(read, Arc::clone(&shared.long_messages));
    let events = shared.reader.handle().events();
    let shutdown = shared.shutdown.clone();
    let mut peer = Peer {
        shared,
        address,
        write,
        events,
        version: None,
        is_ready: false,
        wants_headers: false,
        known: None,
        told: Height::ZERO,
        event: 0,
        wanted: HashSet::new(),
    };
    tokio::select! {
        () = shutdown.cancelled() => Closed::Stopped,
        closed = peer.serve(&mut frames) => closed,
    }
}

impl Peer {
    async fn serve(&mut self, frames: &mut Frames<OwnedReadHalf>) -> Closed {
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        let opened = heard;
        loop {
            let quiet =
                if self.is_ready { heard + IDLE_TIME_MAX } else { opened + HANDSHAKE_TIME_MAX };
            let deadline = frames.since().map_or(quiet, |since| since + MESSAGE_TIME_MAX);
            let done = tokio::select! {
                message = frames.next() => {
                    heard = Instant::now();
                    match message {
                        Ok(message) => self.take(message).await,
                        Err(closed) => return closed,
                    }
                }
                changed = self.events.changed(), if self.is_ready => match changed {
                    Ok(()) => self.announce().await,
                    Err(_) => return Closed::Stopped,
                },
                () = tokio::time::sleep_until(pinged + PING_EVERY), if self.is_ready => {
                    pinged = Instant::now();
                    self.send(NetworkMessage::Ping(nonce())).await
                }
                () = tokio::time::sleep_until(deadline) => return Closed::Idle,
            };
            if let Err(closed) = done {
                return closed;
            }
        }
    }

    async fn take(&mut self, message: NetworkMessage) -> Result<(), Closed> {
        self.shared.reader.handle().metrics().request_answered(Door::Bitcoin, Answered::Ok);
        match message {
            NetworkMessage::Version(version) => self.greet(version).await,
            // Nobody speaks before it has said what it is.
            _ if self.version.is_none() => Err(Closed::Malformed),
            NetworkMessage::Verack => self.begin().await,
            _ if !self.is_ready => Ok(()),
            NetworkMessage::Ping(nonce) => self.send(NetworkMessage::Pong(nonce)).await,
            NetworkMessage::SendHeaders => {
                self.wants_headers = true;
                Ok(())
            }
            NetworkMessage::GetHeaders(asked) => {
                self.headers(asked.locator_hashes, asked.stop_hash).await
            }
            NetworkMessage::GetBlocks(asked) => {
                bounded(asked.locator_hashes.len(), LOCATOR_MAX)?;
                let (reader, stop) = (&self.shared.reader, asked.stop_hash);
                let names = answers::block_names(reader, asked.locator_hashes, stop).await;
                match self.or_nothing(names) {
                    Some(names) if !names.is_empty() => self.send(NetworkMessage::Inv(names)).await,
                    _ => Ok(()),
                }
            }
            NetworkMessage::GetData(names) => self.data(names).await,
            NetworkMessage::Inv(names) => self.named(names).await,
            NetworkMessage::NotFound(names) => {
                names.iter().filter_map(txid_of).for_each(|(txid, _)| {
                    self.wanted.remove(&txid);
                });
                Ok(())
            }
            NetworkMessage::Tx(transaction) => {
                self.submit(transaction).await;
                Ok(())
            }
            // Addresses, filters, blocks of others and what is not known say nothing to this side.
            _ => Ok(()),
        }
    }

    async fn greet(&mut self, version: VersionMessage) -> Result<(), Closed> {
        if self.version.is_some() {
            return Ok(());
        }
        let status = self.shared.reader.handle().status();
        let services = objects::services(self.shared.reader.handle());
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let own = VersionMessage {
            version: PROTOCOL_VERSION,
            services,
            timestamp: now(),
            receiver: Address::new(&self.address, ServiceFlags::NONE),
            sender: Address::new(&unspecified, services),
            nonce: nonce(),
            user_agent: format!("/Meanwhile:{}/", env!("CARGO_PKG_VERSION")),
            start_height: i32::try_from(status.height.value()).unwrap_or(i32::MAX),
            relay: true,
        };
        debug!(agent = ?version.user_agent, height = version.start_height, "bitcoin peer");
        self.version = Some(version);
        self.send(NetworkMessage::Version(own)).await?;
        self.send(NetworkMessage::Verack).await
    }

    async fn begin(&mut self) -> Result<(), Closed> {
        if self.is_ready {
            return Ok(());
        }
        self.is_ready = true;
        let status = self.shared.reader.handle().status();
        self.event = status.last_event;
        // It is told of the newest block at once, so that it asks for what it has not.
        self.told = status.height.previous().unwrap_or(Height::ZERO);
        self.events.mark_changed();
        let rate = RELAY_FEE.sat_per_kvb();
        self.send(NetworkMessage::FeeFilter(i64::try_from(rate).unwrap_or(i64::MAX))).await
    }

    async fn headers(&mut self, locator: Vec<BlockHash>, stop: BlockHash) -> Result<(), Closed> {
        bounded(locator.len(), LOCATOR_MAX)?;
        let found = answers::headers(&self.shared.reader, locator, stop).await;
        let Some(found) = self.or_nothing(found) else { return Ok(()) };
        self.known = self.known.max(Some(found.height));
        self.told = self.told.max(found.height);
        self.send(NetworkMessage::Headers(found.headers)).await
    }

    /// Sends what was asked for, one after the other, and says what there is not.
    async fn data(&mut self, names: Vec<Inventory>) -> Result<(), Closed> {
        bounded(names.len(), NAMES_MAX)?;
        let mut missing = Vec::new();
        for name in names {
            let is_sent = match name {
                Inventory::WitnessBlock(hash) | Inventory::CompactBlock(hash) => {
                    self.block(hash, Form::Whole).await?
                }
                Inventory::Block(hash) => self.block(hash, Form::Stripped).await?,
                name => match txid_of(&name) {
                    Some((txid, form)) => self.transaction(txid, form).await?,
                    None => true,
                },
            };
            if !is_sent {
                missing.push(name);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.send(NetworkMessage::NotFound(missing)).await
    }

    async fn block(&mut self, hash: BlockHash, form: Form) -> Result<bool, Closed> {
        let place = Arc::clone(&self.shared.blocks).acquire_owned().await;
        let _place = place.map_err(|_| Closed::Stopped)?;
        let block = answers::block(&self.shared.reader, hash, form).await;
        match self.or_nothing(block).flatten() {
            Some(block) => self.send(NetworkMessage::Block(block)).await.map(|()| true),
            None => Ok(false),
        }
    }

    async fn transaction(&mut self, txid: Txid, form: Form) -> Result<bool, Closed> {
        let transaction = answers::transaction(&self.shared.reader, txid, form).await;
        match self.or_nothing(transaction).flatten() {
            Some(transaction) => self.send(NetworkMessage::Tx(transaction)).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Asks for the transactions that are new here. Blocks of others are no news.
    async fn named(&mut self, names: Vec<Inventory>) -> Result<(), Closed> {
        bounded(names.len(), NAMES_MAX)?;
        let room = WANTED_MAX.saturating_sub(self.wanted.len());
        let txids = names.iter().filter_map(txid_of).map(|(txid, _)| txid);
        let txids: Vec<Txid> =
            txids.filter(|txid| !self.wanted.contains(txid)).take(room).collect();
        if txids.is_empty() {
            return Ok(());
        }
        let unknown = answers::unknown(&self.shared.reader, txids).await;
        let unknown = self.or_nothing(unknown).unwrap_or_default();
        if unknown.is_empty() {
            return Ok(());
        }
        let asked = unknown.iter().copied().map(Inventory::WitnessTransaction).collect();
        self.wanted.extend(unknown);
        self.send(NetworkMessage::GetData(asked)).await
    }

    async fn submit(&mut self, transaction: Transaction) {
        let txid = transaction.compute_txid();
        self.wanted.remove(&txid);
        if let Err(error) = self.shared.reader.submit(transaction).await {
            debug!(%txid, %error, "a relayed transaction was not taken");
        }
    }

    /// Tells of new blocks, then of what became final and waits for one.
    async fn announce(&mut self) -> Result<(), Closed> {
        let newest = *self.events.borrow_and_update();
        let news = answers::new_blocks(&self.shared.reader, self.known, self.told).await;
        if let Some(news) = self.or_nothing(news).flatten() {
            self.tell_of(news).await?;
        }
        let relays = self.version.as_ref().is_some_and(|version| version.relay);
        if !relays || newest.saturating_sub(self.event) > ANNOUNCE_LAG_MAX {
            self.event = newest;
            return Ok(());
        }
        let news = answers::news(&self.shared.reader, self.event).await;
        let Some(news) = self.or_nothing(news) else { return Ok(()) };
        self.event = news.event;
        if news.is_more {
            self.events.mark_changed();
        }
        if news.finals.is_empty() {
            return Ok(());
        }
        let names = news.finals.into_iter().map(Inventory::Transaction).collect();
        self.send(NetworkMessage::Inv(names)).await
    }

    async fn tell_of(&mut self, news: Announcement) -> Result<(), Closed> {
        let names = |hashes: Vec<BlockHash>| {
            NetworkMessage::Inv(hashes.into_iter().map(Inventory::Block).collect())
        };
        let message = match news {
            Announcement::Newest { hash, height } => {
                self.told = height;
                names(vec![hash])
            }
            Announcement::Next(Headers { headers, height }) => {
                self.told = height;
                self.known = Some(height);
                if self.wants_headers {
                    NetworkMessage::Headers(headers)
                } else {
                    names(headers.iter().map(|header| header.block_hash()).collect())
                }
            }
        };
        self.send(message).await
    }

    /// What could not be read is not sent; the peer asks again, or somebody else.
    fn or_nothing<T>(&self, read: Result<T, Failure>) -> Option<T> {
        read.map_err(|failure| {
            let metrics = self.shared.reader.handle().metrics();
            metrics.request_answered(Door::Bitcoin, Answered::Error);
            debug!(reason = failure.reason, "a peer's question is not answered");
        })
        .ok()
    }

    async fn send(&mut self, message: NetworkMessage) -> Result<(), Closed> {
        let bytes = frames::bytes(message);
        match timeout(WRITE_TIME_MAX, self.write.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Left),
            Err(_) => Err(Closed::Slow),
        }
    }
}

fn bounded(count: usize, most: usize) -> Result<(), Closed> {
    if count > most { Err(Closed::Oversized) } else { Ok(()) }
}

/// The transaction that is named, and in which form it is wanted.
fn txid_of(name: &Inventory) -> Option<(Txid, Form)> {
    match name {
        Inventory::WitnessTransaction(txid) => Some((*txid, Form::Whole)),
        Inventory::Transaction(txid) => Some((*txid, Form::Stripped)),
        _ => None,
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A number that nobody guesses; without randomness one that says nothing.
fn nonce() -> u64 {
    getrandom::u64().unwrap_or_default()
}
