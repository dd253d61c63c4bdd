//! How many answers each peer still owes: one a request. Answers are large and cost worker threads a
//! long check, so one that nobody asked for is refused before that.
//!
//! **Invariant:** of the answers of a peer no more are checked than requests were sent to it. A
//! request that was lost on its way leaves one more for later, never one less: an answer that is due
//! is never refused, whichever connections broke meanwhile.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::Ordering::Acquire;

use replica::wire::Message;
use types::Author;

/// Counted up by the ordering thread and down by worker threads.
#[derive(Debug)]
pub(super) struct Asked {
    peers: Vec<Due>,
}

/// Answers that one peer owes.
#[derive(Debug, Default)]
struct Due {
    vertices: AtomicU64,
    rounds: AtomicU64,
}

impl Asked {
    pub(super) fn new(validators: usize) -> Self {
        Self { peers: (0..validators).map(|_| Due::default()).collect() }
    }

    /// Notes that a message is about to be sent: if it is a request, an answer is due.
    pub(super) fn note(&self, to: Author, message: &Message) {
        let Some(peer) = self.peers.get(to.index()) else { return };
        match message {
            Message::FetchVertices(_) => peer.vertices.fetch_add(1, AcqRel),
            Message::FetchRounds(_) => peer.rounds.fetch_add(1, AcqRel),
            _ => return,
        };
    }

    /// Whether a message may be taken: it is no answer, or one that is due, and then no longer.
    pub(super) fn take(&self, from: Author, message: &Message) -> bool {
        let Some(peer) = self.peers.get(from.index()) else { return false };
        let due = match message {
            Message::Vertices(_) => &peer.vertices,
            Message::Range(_) => &peer.rounds,
            _ => return true,
        };
        due.fetch_update(AcqRel, Acquire, |count| count.checked_sub(1)).is_ok()
    }
}
