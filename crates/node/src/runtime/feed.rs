//! From ordering to execution, without ever waiting.
//!
//! **Full-queue rule.** A commit that finds the queue full is not sent: execution reads it from the
//! store. What execution must learn in any case, room that became free and items that came back,
//! is kept here and sent later; rooms add up to one, and the items are bounded by what this
//! validator has under way, for it proposes nothing more while execution lies far behind.

use consensus::Ordered;
use replica::execution;
use replica::execution::AHEAD_MAX;
use replica::execution::EXECUTION_QUEUE_MAX;
use replica::ordering::Room;
use tokio::sync::mpsc;
use types::Item;
use types::Verified;
use types::Vertex;

/// The sending end.
#[derive(Debug)]
pub(super) struct Feed {
    sender: mpsc::Sender<execution::Input>,
    taken: Option<Room>,
    returned: Vec<Item>,
}

impl Feed {
    pub(super) fn new() -> (Self, mpsc::Receiver<execution::Input>) {
        let (sender, receiver) = mpsc::channel(EXECUTION_QUEUE_MAX + AHEAD_MAX);
        (Self { sender, taken: None, returned: Vec::new() }, receiver)
    }

    pub(super) fn commit(&mut self, ordered: Ordered) {
        // Full: execution finds it in the store. Closed: the node is stopping.
        let _ = self.sender.try_send(execution::Input::Commit(ordered));
    }

    /// Vertices whose scripts may be judged ahead. They are dropped while the queue is busy, so that
    /// they never take the room of a commit.
    pub(super) fn ahead(&self, vertex: Verified<Vertex>) {
        if self.sender.capacity() > EXECUTION_QUEUE_MAX {
            let _ = self.sender.try_send(execution::Input::Ahead(vertex));
        }
    }

    pub(super) fn taken(&mut self, room: Room) {
        let sum = self.taken.get_or_insert_default();
        sum.bytes = sum.bytes.saturating_add(room.bytes);
        sum.items = sum.items.saturating_add(room.items);
    }

    pub(super) fn returned(&mut self, mut items: Vec<Item>) {
        self.returned.append(&mut items);
    }

    /// Sends what is kept, as far as there is room. Says whether something is left.
    pub(super) fn flush(&mut self) -> bool {
        if let Some(room) = self.taken.take()
            && self.sender.try_send(execution::Input::Taken(room)).is_err()
        {
            self.taken = Some(room);
        }
        if !self.returned.is_empty() {
            let items = std::mem::take(&mut self.returned);
            if let Err(error) = self.sender.try_send(execution::Input::Returned(items))
                && let execution::Input::Returned(items) = error.into_inner()
            {
                self.returned = items;
            }
        }
        self.taken.is_some() || !self.returned.is_empty()
    }
}
