//! What the routes under `/v1` take and answer, as JSON.
//!
//! Field names are the wire format: a renamed field breaks clients. Whoever reads an answer
//! ignores fields that it does not know, so that a newer node can say more; requests are strict,
//! so that a misspelt field is an error and not a default. Quantities carry their unit in the name
//! or in the type.

pub mod blobs;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::address::NetworkUnchecked;
use serde::Deserialize;
use serde::Serialize;
use types::Author;
use types::Checkpoint;
use types::CommitIndex;
use types::Digest;
use types::Epoch;
use types::Height;
use types::PublicKey;
use types::Round;
use types::TimestampMs;
use types::VertexRef;
use types::blob::BlobId;
use types::receipt::ProvenCheckpoint;
use types::receipt::Receipt;

/// `GET /v1/status`: the network as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The network's identifier.
    pub chain: Digest,
    /// The network's name.
    pub name: String,
    /// Whether this is a development network, where money comes from a faucet and anybody may seal
    /// a block.
    pub development: bool,
    /// The committee in force.
    pub epoch: Epoch,
    /// The answering node's version.
    pub version: String,
    /// The answering validator; absent when the node only follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<Author>,
    /// The highest round of which this node holds a quorum.
    pub round: Round,
    /// The last commit that is ordered here.
    pub commit: CommitIndex,
    /// The last commit whose state a quorum of validators has signed, as far as this node knows;
    /// 0 when there is none.
    #[serde(default)]
    pub proven: CommitIndex,
    /// The height of the last sealed block.
    pub height: Height,
    /// How many ordered commits are not applied yet.
    pub lag_commits: u64,
    /// The number of the newest event, zero before the first.
    pub last_event: u64,
    /// Whether this validator lost its store and is silent until it is safe to sign again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovering: Option<Recovering>,
    /// How many pieces of evidence this node keeps; `GET /v1/evidence` has them.
    #[serde(default)]
    pub evidence: u64,
    /// Where the network's Lightning service providers answer, on a development network that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lsps: Vec<String>,
    /// Every validator, ascending by index.
    pub validators: Vec<ValidatorStatus>,
}

/// A validator that lost its store: it signs nothing until enough others have told it how far its
/// own vertices went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovering {
    /// How many validators have answered, itself left out.
    pub answers: u64,
    /// How many have to.
    pub needed: u64,
    /// The round from which it signs again; absent until enough have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_round: Option<Round>,
}

/// One validator as another node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorStatus {
    /// Its place in the committee.
    pub index: Author,
    /// Its name.
    pub name: String,
    /// Whether it takes part.
    pub state: ValidatorState,
    /// How many rounds its newest vertex lies below the highest round.
    pub behind_rounds: u64,
    /// How many commits the last one that it told of lies below this node's; zero when it keeps up,
    /// absent when it never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_commits: Option<u64>,
    /// The round of its newest vertex.
    pub round: Round,
    /// The last commit that it has told of.
    pub commit: CommitIndex,
    /// Milliseconds since something came from it; absent when nothing came yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
}

/// Whether a validator takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorState {
    /// Its vertices keep up.
    Live,
    /// It is heard, and its newest vertex lies rounds below the others'. Slow is not hostile.
    Behind,
    /// Nothing has come from it for a while.
    Silent,
}

/// `POST /v1/tx`: the transaction is known. The answer comes before the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The transaction.
    pub txid: Txid,
    /// What is known of it now: a known transaction is answered with its outcome.
    pub status: TxState,
}

/// `GET /v1/tx/{txid}`, and `POST /v1/tx?wait=final`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxStatus {
    /// The transaction.
    pub txid: Txid,
    /// What is known of it.
    pub status: TxState,
    /// The commit that decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitIndex>,
    /// The height of the block that sealed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<Height>,
    /// The final transaction that spent one of its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Txid>,
    /// Why it was passed over when it was ordered, each time, oldest first. It may still become
    /// final.
    #[serde(default)]
    pub skipped: Vec<String>,
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxState {
    /// This node has never seen it.
    Unknown,
    /// It waits in this node's pool or in a vertex.
    Pending,
    /// It is final, for ever.
    Final,
    /// An input went to another final transaction: it can never become final.
    Rejected,
}

impl TxState {
    /// Whether this never changes again.
    pub const fn is_outcome(self) -> bool {
        matches!(self, Self::Final | Self::Rejected)
    }
}

/// One entry of the event log, the data of one server-sent event. Its sequence number is the
/// event's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, without gaps and the same at every node.
    pub sequence: u64,
    /// The commit that it follows from.
    pub commit: CommitIndex,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. The field `kind` names the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// A transaction has its outcome.
    Outcome {
        /// The transaction.
        txid: Txid,
        /// `final` or `rejected`.
        status: TxState,
        /// The final transaction that spent one of its inputs, when rejected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conflict: Option<Txid>,
    },
    /// A transaction was ordered and passed over; it may still become final.
    Skipped {
        /// The transaction.
        txid: Txid,
        /// The transaction with the witness that was ordered.
        wtxid: Wtxid,
        /// Whose vertex held it.
        author: Author,
        /// Why, in Core's words where it has some.
        reason: String,
    },
    /// A block was sealed.
    Block {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// How many transactions it holds, the coinbase included.
        transactions: u64,
    },
    /// The state after the commit is a checkpoint; its proof follows within moments.
    Checkpoint {
        /// What names it.
        digest: Digest,
    },
    /// Something became of a blob.
    Blob {
        /// Which blob.
        blob: BlobId,
        /// What.
        change: BlobChange,
        /// The transaction that registered it; of what was refused, the one that was.
        registered_by: Txid,
        /// The first height at which it is not kept any more, where the change is about that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_height: Option<Height>,
        /// Why what the transaction asked for was not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobChange {
    /// It is known: validators take its shards.
    Registered,
    /// The transaction is final, what it asked for is not done.
    Refused,
    /// So many validators hold their shards that it can be read.
    Certified,
    /// It is kept longer.
    Extended,
    /// Its owner has ended it.
    Deleted,
    /// Its time is over.
    Expired,
    /// A first validator says that its encoding is inconsistent.
    Disputed,
    /// Enough validators say so: it was ended for good.
    Invalid,
    /// A change that this version does not know.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// The name in the field `kind`, which is also the server-sent event's type.
    pub const fn name(&self) -> EventName {
        match self {
            Self::Outcome { .. } => EventName::Outcome,
            Self::Skipped { .. } => EventName::Skipped,
            Self::Block { .. } => EventName::Block,
            Self::Checkpoint { .. } => EventName::Checkpoint,
            Self::Blob { .. } => EventName::Blob,
        }
    }
}

/// The name of a kind of event, as the filter `kind` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// A transaction's outcome.
    Outcome,
    /// A transaction passed over.
    Skipped,
    /// A sealed block.
    Block,
    /// A checkpoint.
    Checkpoint,
    /// Something about a blob.
    Blob,
}

impl EventName {
    /// The name as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Skipped => "skipped",
            Self::Block => "block",
            Self::Checkpoint => "checkpoint",
            Self::Blob => "blob",
        }
    }
}

/// The query of `GET /v1/events`: where to start, and which events to send. Filters narrow: an
/// event must pass all that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Send events after this number; 0 starts at the first. `Last-Event-ID` wins over it.
    #[serde(default)]
    pub after: u64,
    /// Only transactions that pay to or spend from this script: SHA-256 of the script, in the byte
    /// order of Esplora.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripthash: Option<String>,
    /// Only this transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txid: Option<Txid>,
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventName>,
}

/// `GET /v1/tx/{txid}/receipt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptAnswer {
    /// The receipt. It proves nothing until it is verified.
    Ready(Box<Receipt>),
    /// There is none yet; this is known so far.
    NotYet(TxStatus),
}

/// `GET /v1/checkpoints/{index}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointAnswer {
    /// The checkpoint with its proof, which is to be verified.
    Proven(Box<ProvenCheckpoint>),
    /// The checkpoint; its proof is still to come.
    NotYet(Box<Checkpoint>),
}

/// `GET /v1/commits/{index}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Its number.
    pub index: CommitIndex,
    /// The digest that chains over everything ordered up to it.
    pub digest: Digest,
    /// The digest of the commit before.
    pub previous: Digest,
    /// The committed leader.
    pub leader: VertexId,
    /// Which leader slot of its round it fills, from 0.
    pub slot: u16,
    /// The agreed time.
    pub timestamp_ms: TimestampMs,
    /// What it orders, in order.
    pub vertices: Vec<VertexId>,
    /// Whether its transactions are applied here.
    pub applied: bool,
}

/// Names one vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexId {
    /// Its round.
    pub round: Round,
    /// Who made it.
    pub author: Author,
    /// The digest of its header.
    pub digest: Digest,
}

impl From<VertexRef> for VertexId {
    fn from(reference: VertexRef) -> Self {
        let VertexRef { round, author, digest } = reference;
        Self { round, author, digest }
    }
}

/// `GET /v1/dag?from=R`: the newest part of the graph of vertices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dag {
    /// The first round in this answer.
    pub from: Round,
    /// The highest round of which this node holds a quorum.
    pub round: Round,
    /// The last commit that is ordered here.
    pub commit: CommitIndex,
    /// The vertices, ascending by round and author.
    pub vertices: Vec<DagVertex>,
}

/// One vertex of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagVertex {
    /// Its name.
    #[serde(flatten)]
    pub id: VertexId,
    /// The vertices of the round before that it builds on.
    pub parents: Vec<VertexId>,
    /// Older vertices that it brings in.
    #[serde(default)]
    pub late: Vec<VertexId>,
    /// How many items its payload holds.
    pub items: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The commit that ordered it; absent while it is undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitIndex>,
    /// Whether it is the leader of that commit.
    #[serde(default)]
    pub leader: bool,
}

/// `GET /v1/evidence`: what validators signed that nobody may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidencePage {
    /// The network's identifier, which signatures cover.
    pub chain: Digest,
    /// The committee in force.
    pub epoch: Epoch,
    /// One entry for each kind, round and author, in this order.
    pub evidence: Vec<Evidence>,
    /// What to give as `after` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Proof that a validator signed what nobody may sign. Everybody who has the genesis can check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was signed.
    pub kind: EvidenceKind,
    /// By whom: a place in the committee.
    pub author: Author,
    /// What the genesis calls it.
    pub name: String,
    /// In which round.
    pub round: Round,
    /// The key that verifies the signatures, as in the genesis.
    pub vertex_key: PublicKey,
    /// The signed headers: two for an equivocation, one for a wrong share.
    pub vertices: Vec<SignedHeader>,
}

/// What was signed that nobody may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// Two vertices of one round.
    Equivocation,
    /// A wrong share of the common coin.
    WrongCoinShare,
}

impl EvidenceKind {
    /// The name as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equivocation => "equivocation",
            Self::WrongCoinShare => "wrong_coin_share",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Equivocation, Self::WrongCoinShare].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The part of a vertex that its author signs, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHeader {
    /// The digest of the header.
    pub digest: Digest,
    /// The encoded header, in hex.
    pub header: String,
    /// The ed25519 signature of the digest in its domain, in hex.
    pub signature: String,
}

/// `POST /v1/faucet`, on development networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaucetRequest {
    /// Who is paid.
    pub address: Address<NetworkUnchecked>,
    /// How much, in satoshis.
    #[serde(rename = "amount_sat", with = "bitcoin::amount::serde::as_sat")]
    pub amount: Amount,
}

/// The faucet has paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaucetAnswer {
    /// The payment.
    pub txid: Txid,
}

/// `POST /v1/dev/ticks`, on development networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicksRequest {
    /// How many blocks to seal.
    pub count: u16,
}

/// The blocks are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicksAnswer {
    /// The height of the last one.
    pub height: Height,
}

/// The body of every answer with a status of 400 and above, under `/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// What a program decides by.
    pub code: ErrorCode,
    /// What happened, in Core's words where it has some (`bad-txns-inputs-missingorspent`).
    pub reason: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request can not be read (400).
    Malformed,
    /// The transaction is refused; the same bytes may pass later (400).
    Refused,
    /// There is no such thing here (404).
    NotFound,
    /// It was here, or would have been, and is not kept any more (410): the reason names what is.
    Gone,
    /// The route exists, the method does not (405).
    MethodNotAllowed,
    /// The body is above its limit (413).
    TooLarge,
    /// Too many requests (429); `Retry-After` says when to come back.
    TooMany,
    /// There is no room for it (507): the reason says what to do.
    NoRoom,
    /// The node is starting, stopping or full (503); `Retry-After` says when to come back.
    Unavailable,
    /// The node did not answer in time (504).
    Timeout,
    /// The node failed (500).
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// The code that an HTTP status stands for when an answer gives none.
    pub const fn of_status(status: u16) -> Self {
        match status {
            400 => Self::Malformed,
            404 => Self::NotFound,
            410 => Self::Gone,
            405 => Self::MethodNotAllowed,
            413 => Self::TooLarge,
            429 => Self::TooMany,
            500 => Self::Internal,
            503 => Self::Unavailable,
            504 => Self::Timeout,
            507 => Self::NoRoom,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
