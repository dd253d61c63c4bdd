//! The ordering half.

use std::sync::Arc;

use consensus::Alarm;
use consensus::Parameters;
use types::Author;
use types::CommitIndex;
use types::Committee;
use types::Digest;
use types::Genesis;
use types::Moment;
use types::Round;
use types::Span;
use types::TimestampMs;
use types::table::TableRead;

use crate::error::OpenError;
use crate::step::Step;

mod input;

pub use input::Action;
pub use input::Draft;
pub use input::Input;
pub use input::Room;

/// What the ordering half has to know.
#[derive(Clone, Debug)]
pub struct OrderingConfig {
    /// The validators.
    pub committee: Arc<Committee>,
    /// Which validator this is; none for a follower, which builds nothing.
    pub own: Option<Author>,
    /// How vertices are ordered.
    pub parameters: Parameters,
    /// How fast vertices are made.
    pub pacing: Pacing,
}

/// How fast vertices are made. Policy only: agreement depends on none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The least time between two own vertices.
    pub min_round_interval: Span,
    /// The time between two own vertices when nothing happens.
    pub idle_interval: Span,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { min_round_interval: Span::from_millis(10), idle_interval: Span::from_millis(1_000) }
    }
}

impl OrderingConfig {
    /// The configuration that follows from a genesis, with default pacing.
    pub fn new(committee: Arc<Committee>, own: Option<Author>, genesis: &Genesis) -> Self {
        let parameters = Parameters::from(genesis.consensus);
        Self { committee, own, parameters, pacing: Pacing::default() }
    }
}

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
    /// Why ordering stopped for good, when it did.
    pub alarm: Option<Alarm>,
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
    /// The highest round of a vertex of its own that was seen here.
    pub round: Round,
    /// The last commit that it told of.
    pub commit: CommitIndex,
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

/// The ordering half.
#[derive(Debug)]
pub struct Ordering {}

#[allow(unused_variables, clippy::unimplemented, clippy::needless_pass_by_value)]
impl Ordering {
    /// Starts from what the store holds, from genesis when it holds nothing.
    ///
    /// # Errors
    /// When the store fails, or holds the order of another network.
    pub fn open(config: OrderingConfig, read: &dyn TableRead) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Takes an input. `now` is this machine's monotonic clock, `wall` what goes into vertices as
    /// their time. Call it with [`Input::Wake`] at the start and at every deadline; a late or
    /// repeated call is harmless.
    pub fn handle(&mut self, now: Moment, wall: TimestampMs, input: Input) {
        unimplemented!()
    }

    /// What to write and to do. Poll until there is none.
    pub fn poll_step(&mut self) -> Option<Step<Action>> {
        unimplemented!()
    }

    /// When [`Input::Wake`] is due.
    pub fn next_deadline(&self) -> Option<Moment> {
        unimplemented!()
    }

    /// How far this node is at `now`.
    pub fn status(&self, now: Moment) -> OrderingStatus {
        unimplemented!()
    }
}
