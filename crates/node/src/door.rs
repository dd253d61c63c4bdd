//! What the servers that speak over bare TCP share: how many connections each takes, and how one
//! ends.
//!
//! **Full rule:** at the bound nothing is accepted until a connection ends; those that wait stay in
//! the system's own queue. Every connection is a task of the door's own set: the door ends when
//! all of them have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;

use crate::metrics::Closed;
use crate::metrics::Door;
use crate::metrics::Metrics;

/// How long nothing is accepted after the system refused, for want of files or memory.
const PAUSE: Duration = Duration::from_secs(1);
/// How long connections may take to end when the node stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// What a door is called and how many it takes at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Its name in the metrics.
    pub(crate) door: Door,
    /// How many connections it takes.
    pub(crate) connections: usize,
}

/// Takes connections until `shutdown` is cancelled, then lets what is under way end within a
/// deadline. `open` makes the task of a connection, which ends by itself at `shutdown`.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    bound: Bound,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    mut open: impl FnMut(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = Closed> + Send + 'static,
{
    let door = bound.door;
    let permits = Arc::new(Semaphore::new(bound.connections));
    let mut connections = JoinSet::new();
    loop {
        let room = Arc::clone(&permits).acquire_owned();
        let next = async { (room.await, listener.accept().await) };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => note(&metrics, door, ended),
            (permit, accepted) = next => match (permit, accepted) {
                (Ok(permit), Ok((stream, address))) => {
                    // Answers are small and wanted now. Without the option they are only later.
                    drop(stream.set_nodelay(true));
                    metrics.connection_opened(door);
                    let connection = open(stream, address);
                    connections.spawn(async move {
                        let _permit = permit;
                        connection.await
                    });
                }
                (_, Err(error)) => {
                    warn!(%error, ?door, "connections can not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
                // The semaphore is never closed.
                (Err(_), _) => break,
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN_TIME_MAX, async {
        while let Some(ended) = connections.join_next().await {
            note(&metrics, door, ended);
        }
    });
    if drained.await.is_err() {
        warn!(?door, "connections are left behind: they did not end in time");
    }
}

fn note(metrics: &Metrics, door: Door, ended: Result<Closed, tokio::task::JoinError>) {
    let closed = ended.unwrap_or_else(|fault| {
        tracing::error!(%fault, ?door, "a connection's task broke off");
        Closed::Fault
    });
    debug!(?door, ?closed, "connection closed");
    metrics.connection_closed(door, closed);
}
