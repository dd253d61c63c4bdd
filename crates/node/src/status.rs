//! What a node says about itself and its peers: one small value, published after every change, so
//! that whoever asks never waits for the machines.

use bitcoin::BlockHash;
use replica::Execution;
use replica::ordering;
use replica::ordering::BEHIND_ROUNDS;
use replica::ordering::OrderingStatus;
use replica::ordering::Recovering;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Genesis;
use types::Height;
use types::Round;

/// The state of a node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The round of the last vertex of its own, zero before the first and for a follower.
    pub own_round: Round,
    /// The highest round at which vertices of a quorum are held.
    pub round: Round,
    /// The highest committed index: what is ordered.
    pub commit: CommitIndex,
    /// The digest that chains over everything ordered so far.
    pub commit_digest: Digest,
    /// The round below which unordered vertices are dropped.
    pub gc_round: Round,
    /// The highest commit that the ledger has applied: it runs behind [`Self::commit`].
    pub applied: CommitIndex,
    /// The highest commit whose state a quorum has signed, as far as this node knows.
    pub proven: CommitIndex,
    /// The height of the last sealed block.
    pub height: Height,
    /// The hash of the last sealed block.
    pub tip: BlockHash,
    /// The number of the newest event, zero before the first.
    pub last_event: u64,
    /// How many transactions wait in this node's pool.
    pub pool_transactions: usize,
    /// How much memory they take, in bytes and roughly.
    pub pool_bytes: usize,
    /// How many vertices are being fetched.
    pub fetching: usize,
    /// Every validator, by author, this node included.
    pub peers: Vec<PeerStatus>,
    /// Why ordering stopped for good, when it did: more faults than the network can bear.
    pub alarm: Option<String>,
    /// How many pieces of evidence are kept here.
    pub evidence: u64,
    /// What a validator that lost its store waits for.
    pub recovering: Option<Recovering>,
}

/// What a node knows about one validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Which one.
    pub author: Author,
    /// What the genesis calls it.
    pub name: String,
    /// Whether it takes part, as seen from here.
    pub state: PeerState,
    /// Whether both connections to it stand; true for this node itself.
    pub connected: bool,
    /// The highest round of a vertex of its own that is held here.
    pub round: Round,
    /// The highest commit that it has told of.
    pub commit: CommitIndex,
    /// How long ago it was last heard, in milliseconds; none when never, or for this node itself.
    pub heard_ms: Option<u64>,
}

/// Whether a validator takes part, as one node sees it. Never blame: a slow validator is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It is this very node.
    Own,
    /// Its vertices arrive at the current rounds.
    Live,
    /// It is heard, at older rounds.
    Behind {
        /// How many rounds lie between.
        rounds: u64,
    },
    /// Nothing of it has been held since this node started, or no connection stands.
    Silent,
}

impl NodeStatus {
    pub(crate) fn new(genesis: &Genesis, execution: &Execution, last_event: u64) -> Self {
        let names = genesis.validators.iter().map(|validator| validator.name.clone());
        let peers = names.zip(0..).map(|(name, author)| PeerStatus {
            author: Author::new(author),
            name,
            state: PeerState::Silent,
            connected: false,
            round: Round::ZERO,
            commit: CommitIndex::ZERO,
            heard_ms: None,
        });
        let tip = execution.ledger().tip();
        let mut status = Self {
            own_round: Round::ZERO,
            round: Round::ZERO,
            commit: CommitIndex::ZERO,
            commit_digest: Digest::ZERO,
            gc_round: Round::ZERO,
            applied: CommitIndex::ZERO,
            proven: CommitIndex::ZERO,
            height: tip.height,
            tip: tip.hash,
            last_event,
            pool_transactions: 0,
            pool_bytes: 0,
            fetching: 0,
            peers: peers.collect(),
            alarm: None,
            evidence: 0,
            recovering: None,
        };
        status.take_execution(execution);
        status
    }

    /// Takes over what the ordering half knows.
    pub(crate) fn take_ordering(&mut self, state: &OrderingStatus) {
        self.own_round = state.own_round;
        self.round = state.round;
        self.commit = state.commit;
        self.commit_digest = state.commit_digest;
        self.gc_round = state.gc_round;
        self.fetching = state.fetching;
        self.recovering = state.recovering;
        self.alarm = state.alarm.as_ref().map(|alarm| format!("{alarm:?}"));
        let follows = state.peers.iter().all(|peer| peer.state != ordering::PeerState::Own);
        for (peer, seen) in self.peers.iter_mut().zip(&state.peers) {
            peer.state = match seen.state {
                ordering::PeerState::Own => PeerState::Own,
                ordering::PeerState::Live => PeerState::Live,
                ordering::PeerState::Behind { rounds } => PeerState::Behind { rounds },
                // A follower hears of some validators through others only.
                ordering::PeerState::Silent { .. }
                    if follows && !seen.is_connected && seen.round > Round::ZERO =>
                {
                    match state.round.distance_from(seen.round) {
                        0..=BEHIND_ROUNDS => PeerState::Live,
                        rounds => PeerState::Behind { rounds },
                    }
                }
                ordering::PeerState::Silent { .. } => PeerState::Silent,
            };
            peer.connected = seen.is_connected || peer.state == PeerState::Own;
            peer.round = seen.round;
            peer.commit = match peer.state {
                PeerState::Own => state.commit,
                _ => seen.commit,
            };
            peer.heard_ms = seen.heard_ago.map(|ago| ago.value() / 1_000);
        }
    }

    /// Takes over what the execution half knows.
    pub(crate) fn take_execution(&mut self, execution: &Execution) {
        let (tip, totals) = (execution.ledger().tip(), execution.mempool().totals());
        self.applied = execution.ledger().applied();
        self.height = tip.height;
        self.tip = tip.hash;
        self.pool_transactions = usize::try_from(totals.transactions).unwrap_or(usize::MAX);
        self.pool_bytes = usize::try_from(totals.memory).unwrap_or(usize::MAX);
    }

    /// Whether this node has caught up: the ledger follows the order closely and most validators
    /// are heard. Readiness for traffic, not a statement about safety.
    pub fn is_ready(&self) -> bool {
        let heard = self.peers.iter().filter(|peer| peer.state != PeerState::Silent).count();
        let faults = self.peers.len().saturating_sub(1) / 3;
        let lag = self.commit.distance_from(self.applied);
        self.alarm.is_none() && lag <= READY_LAG_COMMITS && heard + faults >= self.peers.len()
    }
}

/// How many commits the ledger may lie behind while the node still counts as ready.
pub const READY_LAG_COMMITS: u64 = 100;
