//! Everything that leaves the machine.

use alloc::vec::Vec;

use types::Author;
use types::Commit;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::coin::CoinSignature;

use crate::coin_task::CoinTask;

/// What the machine tells whoever drives it, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// In the DAG now, with everything that it refers to: to be persisted.
    Accepted(Verified<Vertex>),
    /// A vertex waits for others, which are to be fetched: its sender and its author have them.
    Missing {
        /// The vertex that waits.
        vertex: VertexRef,
        /// What it refers to and what is neither held nor waiting itself, ascending.
        missing: Vec<VertexRef>,
    },
    /// The next commit.
    Commit(Ordered),
    /// Shares are to be combined, which takes milliseconds and may be done anywhere: the outcome goes
    /// to `Consensus::coin_done`. Until then the leaders of that round are unknown.
    CoinDue(CoinTask),
    /// The common coin of a round is known. The signature proves itself: it may be kept and sent to
    /// whoever lacks the shares.
    CoinRevealed {
        /// The round whose leaders it names.
        round: Round,
        /// The group's signature.
        signature: CoinSignature,
    },
    /// A vertex was not taken, or is given up while it waited. It may come again.
    Refused {
        /// Which one.
        vertex: VertexRef,
        /// Why.
        reason: Refusal,
    },
    /// Somebody broke the rule and signed it.
    Fault(Evidence),
    /// An own vertex fell below the garbage line and will never be ordered: its payload goes back.
    Unordered(Verified<Vertex>),
    /// More than f validators are faulty. No commit follows this one.
    Alarm(Alarm),
}

/// A commit together with the vertices that it orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The commit.
    pub commit: Commit,
    /// Its vertices, in its order.
    pub vertices: Vec<Verified<Vertex>>,
}

/// What a new vertex refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    /// Every held vertex of the round before, one an author, ascending.
    pub parents: Vec<VertexRef>,
    /// Older vertices that are not in the parents' history, one an author, ascending; and the own
    /// previous vertex unless it is a parent.
    pub late: Vec<VertexRef>,
    /// The round whose share of the common coin is due, if there is one.
    pub coin_round: Option<Round>,
}

/// Why a vertex was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It stands too high above what is held; the rounds between come first.
    #[error("round {round} is above {limit}, the highest round that is taken now")]
    TooFarAhead {
        /// Its round.
        round: Round,
        /// The highest round that is taken.
        limit: Round,
    },
    /// Everything at its round has been ordered or given up.
    #[error("round {round} is not above the garbage line {line}")]
    BelowGarbageLine {
        /// Its round.
        round: Round,
        /// The line.
        line: Round,
    },
    /// Too many vertices of its author wait for others.
    #[error("{limit} vertices of validator {author} wait already")]
    SuspendedFull {
        /// The author.
        author: Author,
        /// How many may wait.
        limit: usize,
    },
    /// Its author made too many vertices for the round, and nobody refers to this one.
    #[error("{limit} vertices of validator {author} for round {round} are held already")]
    TooManyTwins {
        /// The author.
        author: Author,
        /// The round.
        round: Round,
        /// How many are held.
        limit: usize,
    },
    /// It stands at round 1 and names a vertex of round 0 that does not exist.
    #[error("the vertex {actual} of round 0 does not exist")]
    UnknownFirst {
        /// What it names.
        actual: VertexRef,
    },
    /// It was made by nobody in the committee: whoever verified it used another committee.
    #[error("validator {author} is not in the committee")]
    UnknownAuthor {
        /// The author.
        author: Author,
    },
}

/// Proof of a fault, signed by whoever is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two vertices of one author for one round.
    Equivocation {
        /// The one that was accepted first here.
        first: Verified<Vertex>,
        /// The other one.
        second: Verified<Vertex>,
    },
    /// A vertex whose share of the common coin is wrong.
    WrongCoinShare {
        /// The vertex.
        vertex: Verified<Vertex>,
        /// The round that the share is for.
        round: Round,
    },
}

/// What can only happen when more than f validators are faulty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Two vertices of one author for one round are both certified as a leader.
    CertifiedTwins {
        /// One of them.
        first: VertexRef,
        /// A vertex that certifies it.
        first_certificate: VertexRef,
        /// The other one.
        second: VertexRef,
        /// A vertex that certifies it.
        second_certificate: VertexRef,
    },
    /// A leader is certified although a quorum voted for nobody at its slot.
    CertifiedAndSkipped {
        /// The leader.
        leader: VertexRef,
        /// A vertex that certifies it.
        certificate: VertexRef,
    },
}
