//! How far this node is, and how it sees the others.

use consensus::Alarm;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Moment;
use types::Round;
use types::Span;

/// How far this node is, and how it sees the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderingStatus {
    /// The round of the newest own vertex; zero when there is none.
    pub own_round: Round,
    /// The highest round at which vertices of a quorum are held.
    pub round: Round,
    /// The highest round of which every slot is decided.
    pub decided_round: Round,
    /// The round at or below which nothing is held or will be ordered.
    pub gc_round: Round,
    /// The last commit.
    pub commit: CommitIndex,
    /// The digest that chains over everything ordered so far.
    pub commit_digest: Digest,
    /// How many vertices are being fetched.
    pub fetching: usize,
    /// The round up to which this node catches up, when it lies far behind.
    pub catching_up_to: Option<Round>,
    /// Every validator, by author; this one included.
    pub peers: Vec<PeerStatus>,
    /// How far this validator is in finding out what it signed before it lost its disk, when it did.
    pub recovering: Option<Recovering>,
    /// Why ordering stopped for good, when it did.
    pub alarm: Option<Alarm>,
}

/// What a validator that lost its disk waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovering {
    /// How many others have told it how far it was.
    pub answers: usize,
    /// How many have to.
    pub needed: usize,
    /// The first round that it may build, once enough have answered: it waits for what it may have
    /// signed to be past.
    pub until: Option<Round>,
}

/// One validator as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which one.
    pub author: Author,
    /// Whether it takes part.
    pub state: PeerState,
    /// Whether messages to it can be sent.
    pub is_connected: bool,
    /// The highest round of a vertex of its own that is held here.
    pub round: Round,
    /// The last commit that it told of.
    pub commit: CommitIndex,
    /// How long ago it was last heard; none when never, or for this node itself.
    pub heard_ago: Option<Span>,
}

/// Whether a validator takes part. Never blame: a slow one is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// This node itself.
    Own,
    /// Its vertices arrive at the current rounds.
    Live,
    /// It is heard, at older rounds.
    Behind {
        /// How many rounds lie between.
        rounds: u64,
    },
    /// Nothing has been heard of it for a while.
    Silent {
        /// When it was last heard; none when never.
        since: Option<Moment>,
    },
}
