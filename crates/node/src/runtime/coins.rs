//! Combines shares of the common coin on the worker threads that verify what peers send.
//!
//! **Invariant:** no outcome is lost and no worker waits: the way back has room for as many
//! outcomes as there can be tasks without one.

use std::sync::Arc;

use consensus::COIN_TASKS_MAX;
use consensus::CoinOutcome;
use consensus::CoinTask;
use rayon::ThreadPool;
use tokio::sync::mpsc;
use types::Committee;

/// The way to the worker threads and back.
#[derive(Debug)]
pub(super) struct Coins {
    pool: Arc<ThreadPool>,
    committee: Arc<Committee>,
    done: mpsc::Sender<CoinOutcome>,
    waiting: mpsc::Receiver<CoinOutcome>,
}

impl Coins {
    pub(super) fn new(pool: &Arc<ThreadPool>, committee: &Arc<Committee>) -> Self {
        let (done, waiting) = mpsc::channel(COIN_TASKS_MAX);
        Self { pool: Arc::clone(pool), committee: Arc::clone(committee), done, waiting }
    }

    /// Lets a worker thread run the task.
    pub(super) fn begin(&self, task: CoinTask) {
        let (committee, done) = (Arc::clone(&self.committee), self.done.clone());
        self.pool.spawn(move || {
            // It is refused only when the ordering thread has gone, which is when the node stops.
            let _ = done.try_send(task.run(&committee));
        });
    }

    /// An outcome that is there already.
    pub(super) fn try_next(&mut self) -> Option<CoinOutcome> {
        self.waiting.try_recv().ok()
    }

    /// The next outcome. Cancel safe.
    pub(super) async fn next(&mut self) -> CoinOutcome {
        match self.waiting.recv().await {
            Some(outcome) => outcome,
            // This value holds a sender.
            None => std::future::pending().await,
        }
    }
}
