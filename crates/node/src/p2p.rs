//! A door on Bitcoin's own network: an unmodified full node connects, syncs headers and blocks,
//! follows every sealed block, and relays transactions both ways.
//!
//! This side only answers and announces: it dials nobody, asks for no blocks and believes no
//! header, for blocks come from the order alone. Version 2 transport is not spoken: its first bytes
//! are no message of this network, the connection is closed, and Bitcoin Core tries again with
//! version 1.
//!
//! **Invariants.** A connection is one task that reads a message, answers it and reads the next:
//! who does not read is not read either. The log of events is the buffer of what is announced, so a
//! slow peer costs nothing and misses no block. Everything that a peer can grow has a bound with a
//! name here.
//!
//! Source: Bitcoin Core, `src/net_processing.cpp`; BIP 31, 130, 133, 144; `docs/bitcoin.md`.

mod answers;
mod connection;
mod frames;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bitcoin::p2p::Magic;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::door;
use crate::door::Bound;
use crate::http::Reader;
use crate::metrics::Door;

#[cfg(feature = "test-utils")]
pub(crate) use self::frames::Frames;
#[cfg(feature = "test-utils")]
pub(crate) use self::frames::bytes;

/// The network whose messages are spoken.
const NETWORK_MAGIC: Magic = Magic::REGTEST;
/// The version of the protocol.
const PROTOCOL_VERSION: u32 = 70_016;
/// How many peers are connected at one time, as in Core.
const PEERS_MAX: usize = 125;
/// How many bytes a message takes, as in Core.
const MESSAGE_BYTES_MAX: usize = 4_000_000;
/// How many bytes a message takes without asking for room.
const MESSAGE_SHORT_MAX: usize = 64 << 10;
/// How many longer messages are read at one time, over all peers.
const LONG_MESSAGES_MAX: usize = 16;
/// How long a message may take from its first byte to its last.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a peer may take to shake hands.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a peer may be silent; it is pinged before.
const IDLE_TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// How often a peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(120);
/// How long a peer may take to read one message.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// How many headers one message has, as in Core.
const HEADERS_MAX: usize = 2_000;
/// How many blocks are announced by their headers; a peer that lies further behind is told of the
/// newest by name. As in Core.
const BLOCKS_ANNOUNCED_MAX: u32 = 8;
/// How many blocks `getblocks` is answered with, as in Core.
const BLOCK_NAMES_MAX: usize = 500;
/// How many names a message has, as in Core.
const NAMES_MAX: usize = 50_000;
/// How many hashes a locator has, as in Core.
const LOCATOR_MAX: usize = 101;
/// How many blocks are in memory to be sent at one time, over all peers.
const BLOCKS_MAX: usize = 16;
/// How many transactions one peer may have been asked for and not sent yet; what it names beyond
/// that is not asked for.
const WANTED_MAX: usize = 1_000;
/// How many transactions one announcement names.
const ANNOUNCED_MAX: usize = 1_000;
/// How far a peer may lag behind the log of events before it is told of blocks only.
const ANNOUNCE_LAG_MAX: u64 = 20_000;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    reader: Reader,
    long_messages: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Serves until `shutdown` is cancelled, then ends every connection.
pub(crate) async fn serve(listener: TcpListener, reader: Reader, shutdown: CancellationToken) {
    let metrics = Arc::clone(reader.handle().metrics());
    let shared = Arc::new(Shared {
        reader,
        long_messages: Arc::new(Semaphore::new(LONG_MESSAGES_MAX)),
        blocks: Arc::new(Semaphore::new(BLOCKS_MAX)),
        shutdown: shutdown.clone(),
    });
    let bound = Bound { door: Door::Bitcoin, connections: PEERS_MAX };
    door::serve(listener, bound, metrics, shutdown, |stream, address| {
        connection::run(stream, address, Arc::clone(&shared))
    })
    .await;
}
