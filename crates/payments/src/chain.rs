//! Our chain for LDK: the event log tells at once what its Esplora source would see within ten
//! seconds.
//!
//! One task reads the log and says what the tip is and that something happened; another one has LDK
//! ask the node then. Asking is not cheap, so it is done at most once every [`SYNC_GAP`], however many
//! events there are.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use client::Client;
use client::ClientError;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::StreamExt as _;
use ldk_node::Node;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;
use types::Height;

/// The least time between two questions of LDK to the node.
const SYNC_GAP: Duration = Duration::from_millis(500);
/// How long to wait before the node is asked again after it could not be reached.
const RETRY_GAP: Duration = Duration::from_secs(1);
/// Over how many of the last blocks the pace is taken.
const PACE_BLOCKS: u32 = 20;
/// The pace that is assumed while it can not be measured.
const PACE_DEFAULT_S: u64 = 600;

/// What the chain is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The height of the last block.
    pub(crate) height: u32,
    /// How long blocks took lately, in milliseconds.
    pub(crate) pace_ms: u64,
}

/// What the tasks of a daemon know of the chain. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    tip: watch::Sender<Tip>,
    dirty: Arc<Notify>,
    /// How many times LDK has asked the node.
    synced: watch::Sender<u64>,
}

impl Tip {
    /// About when a height is reached, in seconds since 1970.
    pub(crate) fn about_unix_s(self, height: u32) -> u64 {
        let blocks = u64::from(height.saturating_sub(self.height));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs().saturating_add(blocks.saturating_mul(self.pace_ms) / 1_000)
    }
}

impl Chain {
    pub(crate) fn new() -> Self {
        let tip = Tip { height: 0, pace_ms: PACE_DEFAULT_S * 1_000 };
        Self {
            tip: watch::Sender::new(tip),
            dirty: Arc::new(Notify::new()),
            synced: watch::Sender::new(0),
        }
    }

    /// What the chain is at now, and from then on.
    pub(crate) fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// Counts the times that LDK has asked the node.
    pub(crate) fn synced(&self) -> watch::Receiver<u64> {
        self.synced.subscribe()
    }

    /// Has LDK ask the node soon.
    pub(crate) fn touch(&self) {
        self.dirty.notify_one();
    }

    /// Reads the event log until told to stop. Lost connections and a node that restarts are waited
    /// out by the client.
    pub(crate) async fn watch(self, client: Client, stop: CancellationToken) {
        let work = async {
            loop {
                if let Err(error) = self.read_events(&client).await {
                    warn!(%error, "the event log can not be read");
                }
                sleep(RETRY_GAP).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn read_events(&self, client: &Client) -> Result<(), ClientError> {
        let status = client.status().await?;
        self.at(client, status.height).await;
        self.touch();
        let query = EventQuery { after: status.last_event, ..EventQuery::default() };
        let mut events = pin!(client.events(query));
        while let Some(event) = events.next().await {
            match event?.kind {
                EventKind::Block { height, .. } => {
                    self.at(client, height).await;
                    self.touch();
                }
                EventKind::Outcome { status: TxState::Final, .. } => self.touch(),
                EventKind::Outcome { .. }
                | EventKind::Skipped { .. }
                | EventKind::Blob { .. }
                | EventKind::Checkpoint { .. } => {}
            }
        }
        Ok(())
    }

    async fn at(&self, client: &Client, height: Height) {
        let pace_ms = match measure(client, height.value()).await {
            Some(pace_ms) => pace_ms,
            None => self.tip.borrow().pace_ms,
        };
        self.tip.send_replace(Tip { height: height.value(), pace_ms });
    }

    /// Has LDK ask the node whenever something happened, until told to stop.
    pub(crate) async fn sync(self, node: Arc<Node>, stop: CancellationToken) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = self.dirty.notified() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = stop.cancelled() => return,
            }
            let node = Arc::clone(&node);
            let asked = tokio::task::spawn_blocking(move || node.sync_wallets()).await;
            match asked {
                Ok(Ok(())) => self.synced.send_modify(|count| *count += 1),
                Ok(Err(error)) => {
                    debug!(%error, "the node could not be asked");
                    self.touch();
                    next = Instant::now() + RETRY_GAP;
                    continue;
                }
                Err(error) => warn!(%error, "asking the node failed"),
            }
            next = Instant::now() + SYNC_GAP;
        }
    }
}

/// How long blocks took lately, by their own times.
async fn measure(client: &Client, height: u32) -> Option<u64> {
    let blocks = height.min(PACE_BLOCKS);
    let first = time_of(client, height.checked_sub(blocks)?).await?;
    let last = time_of(client, height).await?;
    let span_s = last.checked_sub(first)?;
    span_s.saturating_mul(1_000).checked_div(u64::from(blocks)).filter(|pace| *pace > 0)
}

async fn time_of(client: &Client, height: u32) -> Option<u64> {
    let hash = client.block_hash(Height::new(height)).await.ok()??;
    let block = client.block(&hash).await.ok()??;
    Some(u64::from(block.timestamp))
}
