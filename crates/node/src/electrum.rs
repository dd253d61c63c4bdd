//! Electrum's protocol, version 1.4, over TCP: one JSON-RPC message a line.
//!
//! What is final and in no block yet is told at height 0, as a transaction of the pool; one that
//! spends what is not final itself at height -1. Blocks are never undone, so a header that was told
//! stays.
//!
//! **Invariants.** A connection is one task that reads a line, answers it and reads the next: who
//! does not read is not read either. Statuses and headers come in order and none is lost: whoever
//! reads them too slowly is closed, and told why. Everything that a client can grow has a bound
//! with a name here.
//!
//! Source: ElectrumX's documentation of the protocol; `docs/electrum.md`.

mod connection;
mod headers;
mod history;
mod lines;
mod methods;
mod watcher;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::door;
use crate::door::Bound;
use crate::http::Reader;
use crate::metrics::Door;

use self::headers::HeaderTree;
use self::watcher::Watcher;

#[cfg(feature = "test-utils")]
pub(crate) use self::lines::Lines;

/// How many connections are open at one time.
const CONNECTIONS_MAX: usize = 1_024;
/// How many bytes a line takes: a transaction of the largest usual size in hex, and room.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How many bytes a line takes without asking for room.
const LINE_SHORT_MAX: usize = 64 << 10;
/// How many longer lines are read at one time, over all connections.
const LONG_LINES_MAX: usize = 64;
/// How long a line may take from its first byte to its last.
const LINE_TIME_MAX: Duration = Duration::from_secs(30);
/// How many requests a batch holds.
const BATCH_MAX: usize = 1_000;
/// How many bytes the answer to one line takes; in a batch what does not fit is answered with an
/// error.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How many bytes an answer takes without asking for room.
const ANSWER_SHORT_MAX: usize = 256 << 10;
/// How many longer answers wait to be read at one time, over all connections.
const LONG_ANSWERS_MAX: usize = 32;
/// How long a client may take to read what it was sent.
const WRITE_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a connection may stand still.
const IDLE_TIME_MAX: Duration = Duration::from_secs(600);
/// How many transactions of one script are told.
const HISTORY_MAX: usize = 20_000;
/// How many of them may be in the pool.
const POOLED_MAX: usize = 1_000;
/// How many unspent outputs of one script are told.
const UNSPENT_MAX: usize = 20_000;
/// How many scripts one connection subscribes to.
const SCRIPTS_MAX: usize = 10_000;
/// How many scripts are subscribed to over all connections.
const SCRIPTS_ALL_MAX: usize = 250_000;
/// How many notices wait for one connection. One more, and it is closed.
const NOTICES_MAX: usize = 1_024;
/// How many headers one answer has, as the protocol says.
const HEADERS_MAX: usize = 2_016;

/// What all connections share.
#[derive(Debug)]
struct Shared {
    reader: Reader,
    watcher: Watcher,
    headers: HeaderTree,
    long_lines: Arc<Semaphore>,
    long_answers: Arc<Semaphore>,
    followed: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Serves until `shutdown` is cancelled, then ends every connection.
pub(crate) async fn serve(listener: TcpListener, reader: Reader, shutdown: CancellationToken) {
    let metrics = Arc::clone(reader.handle().metrics());
    let (watcher, watching) = Watcher::new(reader.clone(), shutdown.clone());
    let watching = tokio::spawn(watching);
    let shared = Arc::new(Shared {
        reader,
        watcher,
        headers: HeaderTree::default(),
        long_lines: Arc::new(Semaphore::new(LONG_LINES_MAX)),
        long_answers: Arc::new(Semaphore::new(LONG_ANSWERS_MAX)),
        followed: Arc::new(Semaphore::new(SCRIPTS_ALL_MAX)),
        shutdown: shutdown.clone(),
    });
    let bound = Bound { door: Door::Electrum, connections: CONNECTIONS_MAX };
    door::serve(listener, bound, metrics, shutdown, |stream, _| {
        connection::run(stream, Arc::clone(&shared))
    })
    .await;
    drop(shared);
    if let Err(fault) = watching.await {
        tracing::error!(%fault, "the watcher of scripts broke off");
    }
}
