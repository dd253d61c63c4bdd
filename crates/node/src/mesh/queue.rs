//! What waits to be sent on one connection: bounded, pushed from any thread, taken by one task.
//!
//! **Full-queue rule.** Control: the oldest frames go, since a newer vertex leads to what was lost
//! and it is fetched. Bulk: the new frame is refused, since whoever asked asks again. While the
//! connection is down nothing is queued at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use replica::wire::Class;
use tokio::sync::Notify;
use tokio::time::Duration;
use tokio::time::Instant;

use crate::config::LinkFaults;
use crate::metrics::DropReason;
use crate::metrics::Metrics;

/// What a queued frame takes beside its bytes, so that empty frames are not free.
const FRAME_OVERHEAD: usize = 64;

/// What bounds a queue and makes it worse on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many bytes may wait.
    pub(crate) bytes_max: usize,
    /// What a frame that found no room is counted as.
    pub(crate) full: DropReason,
    /// Faults that are added.
    pub(crate) faults: LinkFaults,
}

/// Frames for one connection.
#[derive(Debug)]
pub(crate) struct SendQueue {
    class: Class,
    bytes_max: usize,
    full: DropReason,
    delay: Duration,
    loss_percent: u8,
    // A mutex and no task of its own: the pushing threads must not wait, and every critical
    // section is a few pointer moves long. It is never held across an await.
    state: Mutex<State>,
    wake: Notify,
    /// Something was taken out.
    taken: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    frames: VecDeque<Queued>,
    bytes: usize,
    random: u64,
}

#[derive(Debug)]
struct Queued {
    body: Bytes,
    due: Instant,
}

impl SendQueue {
    pub(crate) fn new(class: Class, bounds: Bounds, metrics: Arc<Metrics>) -> Self {
        // Only deliberate loss draws from it, so a fixed start does when the system gives nothing.
        let random = getrandom::u64().unwrap_or(1) | 1;
        Self {
            class,
            bytes_max: bounds.bytes_max,
            full: bounds.full,
            delay: bounds.faults.delay,
            loss_percent: bounds.faults.loss_percent,
            state: Mutex::new(State { random, ..State::default() }),
            wake: Notify::new(),
            taken: Notify::new(),
            metrics,
        }
    }

    /// Queues a frame, or drops one by the rule above.
    pub(crate) fn push(&self, body: Bytes) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.open {
            self.dropped(DropReason::Disconnected);
            return;
        }
        if self.class == Class::Control && state.draws_below(self.loss_percent) {
            self.dropped(DropReason::Fault);
            return;
        }
        let cost = body.len() + FRAME_OVERHEAD;
        if self.class == Class::Control {
            while state.bytes + cost > self.bytes_max && state.pop().is_some() {
                self.dropped(self.full);
            }
        }
        if state.bytes + cost > self.bytes_max {
            self.dropped(self.full);
            return;
        }
        state.bytes += cost;
        state.frames.push_back(Queued { body, due: Instant::now() + self.delay });
        drop(state);
        self.wake.notify_one();
    }

    /// The next frame, once it is due. Cancel safe: a frame is taken only when it is returned.
    pub(super) async fn next(&self) -> Bytes {
        loop {
            let due = match self.take_due() {
                Ok(body) => {
                    self.taken.notify_one();
                    return body;
                }
                Err(due) => due,
            };
            match due {
                None => self.wake.notified().await,
                Some(due) => tokio::time::sleep_until(due).await,
            }
        }
    }

    /// Waits until less than so many bytes wait here, or nothing is taken at all. Cancel safe; for
    /// one waiter at a time.
    pub(super) async fn drained(&self, bytes: usize) {
        while self.holds(bytes) {
            self.taken.notified().await;
        }
    }

    fn holds(&self, bytes: usize) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open && state.bytes >= bytes
    }

    /// Whether a frame could be taken now.
    pub(super) fn has_due(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.frames.front().is_some_and(|first| first.due <= Instant::now())
    }

    /// Starts to take frames: the connection stands.
    pub(super) fn open(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
    }

    /// Forgets what waits and takes nothing more: the connection is gone.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = false;
        while state.pop().is_some() {
            self.dropped(DropReason::Disconnected);
        }
        self.taken.notify_one();
    }

    fn take_due(&self) -> Result<Bytes, Option<Instant>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.frames.front() {
            None => Err(None),
            Some(first) if first.due > Instant::now() => Err(Some(first.due)),
            Some(_) => state.pop().ok_or(None),
        }
    }

    fn dropped(&self, reason: DropReason) {
        self.metrics.frame_dropped(self.class, reason);
    }
}

impl State {
    fn pop(&mut self) -> Option<Bytes> {
        let first = self.frames.pop_front()?;
        self.bytes -= first.body.len() + FRAME_OVERHEAD;
        Some(first.body)
    }

    fn draws_below(&mut self, percent: u8) -> bool {
        if percent == 0 {
            return false;
        }
        // Xorshift: chance enough for an experiment.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 100 < u64::from(percent)
    }
}
