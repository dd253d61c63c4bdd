//! Lets any number of requests wait for outcomes while the event log is read once.
//!
//! One task owns the list of who waits. It follows the log only while somebody does.

use std::collections::HashMap;
use std::time::Duration;

use bitcoin::Txid;
use ledger::EventKind;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use types::table::TableFault;

use crate::handle::Handle;

use super::gate::WAITING_MAX;

/// How many events are read at one time.
const PAGE: usize = 1_000;
/// How many events one pass reads before it looks for new waiters again.
const PAGES_MAX: usize = 16;
/// After how many registrations those who went away are struck from the list.
const SWEEP_EVERY: usize = WAITING_MAX;
/// How long the task pauses when the store can not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Registers with the task. Clones register with the same one.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes {
    waiters: mpsc::Sender<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    txid: Txid,
    decided: oneshot::Sender<()>,
    registered: oneshot::Sender<()>,
}

struct Task {
    handle: Handle,
    events: watch::Receiver<u64>,
    read_until: u64,
    waiting: HashMap<Txid, Vec<oneshot::Sender<()>>>,
    since_sweep: usize,
}

impl Outcomes {
    /// Makes the list and the task that owns it; the caller runs the task until `shutdown`.
    pub(crate) fn new(
        handle: Handle,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (waiters, queue) = mpsc::channel(WAITING_MAX);
        let task = Task {
            events: handle.events(),
            handle,
            read_until: 0,
            waiting: HashMap::new(),
            since_sweep: 0,
        };
        (Self { waiters }, task.run(queue, shutdown))
    }

    /// Registers for the outcome of `txid`. The receiver fires for every outcome that comes after
    /// this returns; the caller looks into the ledger once more before it waits. It is closed when
    /// the node stops.
    pub(crate) async fn register(&self, txid: Txid) -> oneshot::Receiver<()> {
        let (decided, receiver) = oneshot::channel();
        let (registered, done) = oneshot::channel();
        // A task that is gone drops the sender, which closes the receiver.
        if self.waiters.send(Waiter { txid, decided, registered }).await.is_ok() {
            drop(done.await);
        }
        receiver
    }
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiter>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                waiter = queue.recv() => match waiter {
                    Some(waiter) => self.register(waiter),
                    None => return,
                },
                changed = self.events.changed(), if !self.waiting.is_empty() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow().await;
                }
            }
        }
    }

    fn register(&mut self, waiter: Waiter) {
        if self.waiting.is_empty() {
            // What is in the log by now is for the caller to find in the ledger.
            self.read_until = *self.events.borrow_and_update();
        }
        self.since_sweep += 1;
        if self.since_sweep > SWEEP_EVERY {
            self.since_sweep = 0;
            self.waiting.retain(|_, waiters| {
                waiters.retain(|waiter| !waiter.is_closed());
                !waiters.is_empty()
            });
        }
        self.waiting.entry(waiter.txid).or_default().push(waiter.decided);
        let _ = waiter.registered.send(());
    }

    async fn follow(&mut self) {
        for _ in 0..PAGES_MAX {
            let (handle, after) = (self.handle.clone(), self.read_until);
            let page = tokio::task::spawn_blocking(move || page(&handle, after)).await;
            let (read_until, decided) = match page {
                Ok(Ok(page)) => page,
                Ok(Err(fault)) => {
                    error!(%fault, "events can not be read");
                    tokio::time::sleep(PAUSE).await;
                    return;
                }
                Err(_) => return,
            };
            let done = read_until == self.read_until;
            self.read_until = read_until;
            for txid in decided {
                for waiter in self.waiting.remove(&txid).unwrap_or_default() {
                    let _ = waiter.send(());
                }
            }
            if done || self.waiting.is_empty() {
                return;
            }
        }
        // More may be there than one pass reads.
        self.events.mark_changed();
    }
}

fn page(handle: &Handle, after: u64) -> Result<(u64, Vec<Txid>), TableFault> {
    let events = ledger::query::events(handle.read()?.as_ref(), after, PAGE)?;
    let last = events.last().map_or(after, |event| event.sequence);
    let decided = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Outcome { txid, .. } => Some(txid),
        EventKind::Skipped { .. }
        | EventKind::Block { .. }
        | EventKind::Checkpoint { .. }
        | EventKind::Blob(_) => None,
    });
    Ok((last, decided.collect()))
}
