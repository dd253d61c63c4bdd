//! One hash over everything that arrived and everything that came out, in its order.

use types::Author;
use types::Digest;
use types::Hasher;
use types::Moment;

/// Hashes a run as it goes.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    last: Digest,
}

/// What is noted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note {
    /// A message arrived.
    Arrived { from: Author },
    /// A commit came out.
    Committed,
    /// A commit was applied.
    Applied,
    /// A client was answered.
    Answered,
    /// The power went.
    Crashed,
    /// The power came back.
    Started,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self { last: Digest::ZERO }
    }

    /// Adds something that happened at a validator; `what` stands for its content.
    pub(crate) fn note(&mut self, at: Moment, who: Author, note: Note, what: &Digest) {
        let (kind, from) = match note {
            Note::Arrived { from } => (0_u8, from),
            Note::Committed => (1, who),
            Note::Applied => (2, who),
            Note::Answered => (3, who),
            Note::Crashed => (4, who),
            Note::Started => (5, who),
        };
        self.last = Hasher::new("meanwhile/simulator/trace/v1")
            .value(&self.last)
            .value(&at.value())
            .value(&who)
            .bytes(&[kind])
            .value(&from)
            .value(what)
            .finish();
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.last
    }
}

/// The hash of bytes.
pub(crate) fn digest_of_bytes(bytes: &[u8]) -> Digest {
    Hasher::new("meanwhile/simulator/content/v1").bytes(bytes).finish()
}
