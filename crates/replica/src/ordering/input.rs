//! Everything that enters and leaves the ordering half.

use consensus::Alarm;
use consensus::CoinOutcome;
use consensus::CoinTask;
use consensus::Evidence;
use consensus::Ordered;
use consensus::VerifiedCoin;
use types::Author;
use types::CommitIndex;
use types::Committee;
use types::Header;
use types::Item;
use types::Payload;
use types::Round;
use types::SecretKey;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::coin::CoinSecret;

use crate::wire::Message;
use crate::wire::Range;
use crate::wire::Status;

/// What the ordering half is told. A peer's inputs come from [`receive`](crate::receive()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A peer sent its newest vertex.
    Vertex {
        /// Who sent it.
        from: Author,
        /// The vertex.
        vertex: Verified<Vertex>,
    },
    /// A peer answered a request for vertices by name.
    Vertices {
        /// Who sent them.
        from: Author,
        /// What it holds of them.
        vertices: Vec<Verified<Vertex>>,
    },
    /// A peer answered a request for rounds.
    Range {
        /// Who sent it.
        from: Author,
        /// The answer.
        range: Range<Verified<Vertex>, VerifiedCoin>,
    },
    /// A peer said how far it is.
    Status {
        /// Who said it.
        from: Author,
        /// What it said.
        status: Status,
    },
    /// A validator that lost its disk asks what it may have signed.
    Recall {
        /// Who asks.
        from: Author,
        /// The question, which the answer repeats.
        question: TimestampMs,
    },
    /// A peer answered such a question.
    Recalled {
        /// Who answered.
        from: Author,
        /// The question.
        question: TimestampMs,
        /// The highest round that this validator may have signed, less one.
        round: Round,
    },
    /// Messages to this peer can be sent now.
    Connected(Author),
    /// Messages to this peer are lost from now on.
    Gone(Author),
    /// Things to be proposed; not more than what [`Action::Taken`] and the bound of one payload
    /// leave room for, else what does not fit comes back as [`Action::Returned`].
    Submit(Vec<Item>),
    /// The draft was signed: the answer to [`Action::Sign`].
    Signed(Verified<Vertex>),
    /// Shares of the common coin were combined: the answer to [`Action::Coin`].
    Coin(CoinOutcome),
    /// The execution half has applied this commit and everything before.
    Executed(CommitIndex),
    /// Whether execution wants rounds to go on although nothing waits to be ordered.
    Pace(Pace),
    /// Time has passed: the deadline is reached.
    Wake,
}

/// What the ordering half asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sign this, and answer with [`Input::Signed`]. No second draft comes before the answer.
    Sign(Box<Draft>),
    /// Run this, on whatever thread has time, and answer with [`Input::Coin`]. At most
    /// [`consensus::COIN_TASKS_MAX`] wait for their answer at a time. One that is never answered
    /// leaves its round without leaders, unless a peer tells the coin.
    Coin(CoinTask),
    /// Send to every connected peer.
    Broadcast(Message),
    /// Send to one peer.
    Send {
        /// To whom.
        to: Author,
        /// What.
        message: Message,
    },
    /// The next commit, for the execution half. It has been written: whoever misses one finds it
    /// and its vertices in the store.
    Commit(Ordered),
    /// A vertex of somebody else that will probably be ordered soon, for the execution half to judge
    /// scripts ahead. May be dropped.
    Ahead(Verified<Vertex>),
    /// Items of this validator that will not be ordered, for the execution half.
    Returned(Vec<Item>),
    /// Items were taken out of the queue into a draft: there is room for as much again.
    Taken(Room),
    /// Somebody broke the rule and signed it; it has been written.
    Evidence(Evidence),
    /// More than f validators are faulty: no commit follows.
    Alarm(Alarm),
}

/// Whether rounds should follow each other when nothing waits to be ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// There is no hurry.
    #[default]
    Idle,
    /// An outcome waits for its proof, which takes votes, and these take rounds.
    Hurry,
}

/// A size in a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of encoded items.
    pub bytes: usize,
    /// Number of items.
    pub items: usize,
}

/// A vertex that lacks its share of the common coin and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The header, without a share.
    pub header: Header,
    /// The payload that the header names.
    pub payload: Payload,
    /// The round whose share of the common coin is due, if there is one.
    pub coin_round: Option<Round>,
}

impl Room {
    /// What items take.
    pub fn of(items: &[Item]) -> Self {
        Self { bytes: items.iter().map(Item::encoded_length).sum(), items: items.len() }
    }
}

impl Draft {
    /// Makes the share and signs, as whoever keeps the keys does.
    pub fn sign(
        self,
        vertex_key: &SecretKey,
        coin_secret: &CoinSecret,
        committee: &Committee,
    ) -> Verified<Vertex> {
        let mut header = self.header;
        header.coin_share =
            self.coin_round.map(|round| coin_secret.share(&committee.coin_message(round)));
        let signature = vertex_key.sign(&Header::signing_bytes(&header.digest()));
        Verified::own(header, self.payload, signature)
    }
}
