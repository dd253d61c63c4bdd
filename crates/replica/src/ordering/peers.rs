//! What is known of the other validators: who can be reached, who was heard when, and how far each
//! says it is. Claims steer whom to ask and nothing else: a lie costs a request.

use types::Author;
use types::CommitIndex;
use types::Moment;
use types::Round;
use types::Span;

use super::status::PeerState;
use super::status::PeerStatus;
use crate::wire::Status;

/// How many rounds behind the rest a validator counts as behind. A wave and its neighbours are the
/// ordinary spread of a network whose messages overtake each other.
pub const BEHIND_ROUNDS: u64 = 10;
/// How long nothing may be heard of a validator before it counts as silent.
pub const SILENT_AFTER: Span = Span::from_millis(5_000);

/// Every validator, by author.
#[derive(Debug)]
pub(super) struct Peers {
    own: Option<Author>,
    peers: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    is_connected: bool,
    heard: Option<Moment>,
    /// The highest round of a vertex of its own that is held.
    round: Round,
    /// The round at which it says that it holds a quorum.
    claimed: Round,
    commit: CommitIndex,
}

impl Peers {
    pub(super) fn new(size: usize, own: Option<Author>) -> Self {
        Self { own, peers: vec![Peer::default(); size] }
    }

    /// Whether there is such a validator and it is not this one.
    pub(super) fn knows(&self, author: Author) -> bool {
        author.index() < self.peers.len() && self.own != Some(author)
    }

    pub(super) fn connect(&mut self, author: Author, is_connected: bool) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.is_connected = is_connected;
        }
    }

    pub(super) fn heard(&mut self, author: Author, now: Moment) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.heard = Some(now);
        }
    }

    /// A vertex of `author` is held.
    pub(super) fn holds(&mut self, author: Author, round: Round) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.round = peer.round.max(round);
        }
    }

    pub(super) fn told(&mut self, author: Author, status: &Status) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.claimed = status.round;
            peer.commit = status.commit;
        }
    }

    /// `author` sent something that only somebody at `round` has.
    pub(super) fn claims(&mut self, author: Author, round: Round) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.claimed = peer.claimed.max(round);
        }
    }

    /// What `author` claimed turned out to be worth nothing.
    pub(super) fn disbelieve(&mut self, author: Author) {
        if let Some(peer) = self.peers.get_mut(author.index()) {
            peer.claimed = Round::ZERO;
        }
    }

    /// The highest round of a vertex of `author` that was ever held in this life.
    pub(super) fn round(&self, author: Author) -> Round {
        self.peers.get(author.index()).map_or(Round::ZERO, |peer| peer.round)
    }

    pub(super) fn is_connected(&self, author: Author) -> bool {
        self.knows(author) && self.peers.get(author.index()).is_some_and(|peer| peer.is_connected)
    }

    /// Those who can be reached, ascending.
    pub(super) fn connected(&self) -> impl Iterator<Item = Author> {
        self.authors().filter(|author| self.is_connected(*author))
    }

    /// Those who can be reached and claim to be above `round`, with what they claim.
    pub(super) fn above(&self, round: Round) -> impl Iterator<Item = (Author, Round)> {
        self.authors()
            .zip(&self.peers)
            .filter(move |(author, peer)| peer.claimed > round && self.is_connected(*author))
            .map(|(author, peer)| (author, peer.claimed))
    }

    pub(super) fn status(&self, now: Moment, highest: Round) -> Vec<PeerStatus> {
        let states = self.authors().zip(&self.peers);
        states
            .map(|(author, peer)| PeerStatus {
                author,
                state: self.state(author, peer, now, highest),
                is_connected: peer.is_connected || self.own == Some(author),
                round: peer.round,
                commit: peer.commit,
                heard_ago: peer.heard.map(|heard| now.since(heard)),
            })
            .collect()
    }

    fn state(&self, author: Author, peer: &Peer, now: Moment, highest: Round) -> PeerState {
        if self.own == Some(author) {
            return PeerState::Own;
        }
        let is_heard = peer.heard.is_some_and(|heard| now.since(heard) < SILENT_AFTER);
        let rounds = highest.distance_from(peer.round.max(peer.claimed));
        match (is_heard, rounds) {
            (false, _) => PeerState::Silent { since: peer.heard },
            (true, rounds) if rounds > BEHIND_ROUNDS => PeerState::Behind { rounds },
            (true, _) => PeerState::Live,
        }
    }

    fn authors(&self) -> impl Iterator<Item = Author> + use<> {
        (0..self.peers.len()).filter_map(|index| u16::try_from(index).ok()).map(Author::new)
    }
}
