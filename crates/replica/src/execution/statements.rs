//! This validator's own statements about blobs, on their way into its vertices.
//!
//! Nothing here is durable: whoever keeps shards says again, after a restart or when there was no
//! room, whatever the ledger has not heard yet. Saying a thing twice is harmless.

use std::collections::BTreeSet;

use types::blob::BLOB_STATEMENTS_PER_VERTEX_MAX;
use types::blob::BlobStatement;

/// How many statements may wait to be proposed; what comes on top is dropped, to be said again.
pub const BLOB_STATEMENTS_WAITING_MAX: usize = 4096;

/// What waits. **Invariant:** ordering's queue never holds more statements than a vertex may.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// In the order of claims and registrations.
    waiting: BTreeSet<BlobStatement>,
    /// How many went into ordering's queue since it was emptied last.
    queued: usize,
}

impl Statements {
    pub(super) fn say(&mut self, statement: BlobStatement) {
        if self.waiting.len() < BLOB_STATEMENTS_WAITING_MAX {
            self.waiting.insert(statement);
        }
    }

    /// The next statement for ordering's queue, if it may hold another one.
    pub(super) fn next(&mut self) -> Option<BlobStatement> {
        if self.queued >= BLOB_STATEMENTS_PER_VERTEX_MAX {
            return None;
        }
        let next = self.waiting.pop_first()?;
        self.queued += 1;
        Some(next)
    }

    /// Puts a statement back that there was no room for.
    pub(super) fn put_back(&mut self, statement: BlobStatement) {
        self.queued = self.queued.saturating_sub(1);
        self.say(statement);
    }

    /// Ordering's queue went into a vertex.
    pub(super) fn taken(&mut self) {
        self.queued = 0;
    }
}

#[cfg(test)]
mod tests {
    use types::blob::BlobClaim;
    use types::blob::BlobId;

    use super::*;

    fn statement(registration: u64) -> BlobStatement {
        BlobStatement { claim: BlobClaim::Held, registration, blob: BlobId::new([1; 32]) }
    }

    #[test]
    fn a_queue_holds_what_a_vertex_may_and_is_filled_again_when_it_was_taken() {
        let mut statements = Statements::default();
        (0..300).for_each(|number| statements.say(statement(number)));
        let first = std::iter::from_fn(|| statements.next()).count();
        assert_eq!(first, BLOB_STATEMENTS_PER_VERTEX_MAX);
        statements.put_back(statement(255));
        assert_eq!(statements.next(), Some(statement(255)));
        assert_eq!(statements.next(), None);
        statements.taken();
        assert_eq!(std::iter::from_fn(|| statements.next()).count(), 300 - first);
    }

    #[test]
    fn what_waits_has_a_bound_and_is_there_once() {
        let mut statements = Statements::default();
        for number in 0..=u64::try_from(BLOB_STATEMENTS_WAITING_MAX).unwrap() {
            statements.say(statement(number));
            statements.say(statement(number));
        }
        assert_eq!(statements.waiting.len(), BLOB_STATEMENTS_WAITING_MAX);
    }
}
