//! A commit with its items decoded: what [`crate::Ledger::apply`] takes.
//!
//! Decoding and hashing happen here, once, so that a caller can do them ahead on another thread
//! and the sequential step does neither.

use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::consensus::encode;
use bytes::Bytes;
use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Digest;
use types::Item;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::blob::BlobStatement;

/// One commit, ready to be applied.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its number.
    pub index: CommitIndex,
    /// Its digest, which chains over everything ordered so far.
    pub digest: Digest,
    /// The agreed time.
    pub timestamp: TimestampMs,
    /// The author of the committed leader, who earns the fees of a block sealed here.
    pub leader: Author,
    /// What is to be applied, in order.
    pub items: Vec<BatchItem>,
}

/// One item of a batch.
#[derive(Clone, Debug)]
pub struct BatchItem {
    /// Whose vertex carried it.
    pub author: Author,
    /// What it is.
    pub content: Content,
}

/// A decoded item.
#[derive(Clone, Debug)]
pub enum Content {
    /// A transaction.
    Transaction(PreparedTransaction),
    /// Bytes that are no transaction. They have no name, so nothing but a count remembers them.
    Malformed,
    /// Seal this many blocks now.
    DevelopmentTicks(u16),
    /// A signature on a checkpoint: it changes nothing in the ledger.
    CheckpointVote,
    /// What the author says about a blob.
    BlobStatement(BlobStatement),
}

/// A decoded transaction with everything that is computed from its bytes alone. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTransaction {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Its encoding with the witness.
    pub raw: Bytes,
    /// Names it without its witness.
    pub txid: Txid,
    /// Names it with its witness.
    pub wtxid: Wtxid,
    /// Its weight.
    pub weight: u64,
}

/// Bytes that are not the encoding of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TX decode failed")]
pub struct TransactionFault;

impl Batch {
    /// Decodes the items of a commit. `vertices` are those that the commit names, in its order.
    pub fn from_commit(commit: &Commit, vertices: &[Verified<Vertex>]) -> Self {
        let items = vertices.iter().flat_map(|vertex| {
            let author = vertex.author();
            vertex.payload().items().iter().map(move |item| BatchItem::new(author, item))
        });
        Self {
            index: commit.index,
            digest: commit.digest(),
            timestamp: commit.timestamp,
            leader: commit.leader.author,
            items: items.collect(),
        }
    }

    /// The transactions in order.
    pub fn transactions(&self) -> impl Iterator<Item = &PreparedTransaction> {
        self.items.iter().filter_map(|item| match &item.content {
            Content::Transaction(transaction) => Some(transaction),
            Content::Malformed
            | Content::DevelopmentTicks(_)
            | Content::CheckpointVote
            | Content::BlobStatement(_) => None,
        })
    }
}

impl BatchItem {
    /// Decodes one item of `author`'s payload.
    pub fn new(author: Author, item: &Item) -> Self {
        let content = match item {
            Item::DevelopmentTicks(count) => Content::DevelopmentTicks(*count),
            Item::CheckpointVote(_) => Content::CheckpointVote,
            Item::BlobStatement(statement) => Content::BlobStatement(*statement),
            Item::Transaction(bytes) => {
                PreparedTransaction::decode(bytes).map_or(Content::Malformed, Content::Transaction)
            }
        };
        Self { author, content }
    }
}

impl PreparedTransaction {
    /// Decodes a transaction that must fill `bytes` entirely.
    ///
    /// # Errors
    /// When the bytes are not a transaction's one encoding.
    pub fn decode(bytes: &Bytes) -> Result<Self, TransactionFault> {
        let transaction: Transaction = encode::deserialize(bytes).map_err(|_| TransactionFault)?;
        Ok(Self::from_parts(transaction, bytes.clone()))
    }

    /// Takes a transaction that is already decoded.
    pub fn new(transaction: Transaction) -> Self {
        let raw = Bytes::from(encode::serialize(&transaction));
        Self::from_parts(transaction, raw)
    }

    fn from_parts(transaction: Transaction, raw: Bytes) -> Self {
        let txid = transaction.compute_txid();
        let has_witness = transaction.input.iter().any(|input| !input.witness.is_empty());
        let wtxid = if has_witness {
            transaction.compute_wtxid()
        } else {
            Wtxid::from_raw_hash(txid.to_raw_hash())
        };
        let weight = transaction.weight().to_wu();
        Self { transaction: Arc::new(transaction), raw, txid, wtxid, weight }
    }
}
