//! What a vertex carries for the ledger, opaque to agreement.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::blob::BLOB_STATEMENTS_PER_VERTEX_MAX;
use crate::blob::BlobStatement;
use crate::checkpoint::CheckpointVote;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;

/// The most bytes that a vertex's encoded payload takes: 512 KiB.
pub const PAYLOAD_BYTES_MAX: usize = 512 * 1024;
/// The most items that a vertex carries.
pub const ITEMS_MAX: usize = 4096;

const TRANSACTION: u8 = 1;
const DEVELOPMENT_TICKS: u8 = 2;
const CHECKPOINT_VOTE: u8 = 3;
const BLOB_STATEMENT: u8 = 4;

/// One thing to be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A Bitcoin transaction with its witness, in Bitcoin's encoding. The bytes may be anything:
    /// whether they are a transaction is for the ledger to judge.
    Transaction(Bytes),
    /// Seal this many blocks now. Only a ledger whose genesis says "development" obeys.
    DevelopmentTicks(u16),
    /// The author's signature on a checkpoint. It counts as soon as it is seen, ordered or not.
    CheckpointVote(CheckpointVote),
    /// What the author says about a blob: it counts where it is ordered.
    BlobStatement(BlobStatement),
}

/// The items of one vertex, in the order in which they are to be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    items: Vec<Item>,
}

impl Item {
    /// How many bytes the item takes inside a payload.
    pub fn encoded_length(&self) -> usize {
        match self {
            Self::Transaction(bytes) => 1 + 4 + bytes.len(),
            Self::DevelopmentTicks(_) => 1 + 2,
            Self::CheckpointVote(_) => 1 + CheckpointVote::ENCODED_LENGTH,
            Self::BlobStatement(_) => 1 + BlobStatement::ENCODED_LENGTH,
        }
    }

    /// Whether it waits to be ordered. A vote does not, so it is no reason to hurry.
    pub const fn wants_order(&self) -> bool {
        !matches!(self, Self::CheckpointVote(_))
    }
}

impl Payload {
    /// How many bytes a payload takes beside its items.
    pub const OVERHEAD: usize = 4;

    /// Wraps items that fit: at most [`ITEMS_MAX`], at most [`PAYLOAD_BYTES_MAX`] when encoded, and
    /// at most [`BLOB_STATEMENTS_PER_VERTEX_MAX`] statements about blobs.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn new(items: Vec<Item>) -> Result<Self, DecodeError> {
        if items.len() > ITEMS_MAX {
            return Err(DecodeError::TooLong {
                what: "payload items",
                limit: ITEMS_MAX,
                actual: items.len(),
            });
        }
        check_statements(&items)?;
        let payload = Self { items };
        let actual = payload.encoded_length();
        if actual > PAYLOAD_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "payload", limit: PAYLOAD_BYTES_MAX, actual });
        }
        Ok(payload)
    }

    /// The items in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether anything in it waits to be ordered.
    pub fn wants_order(&self) -> bool {
        self.items.iter().any(Item::wants_order)
    }

    /// How many bytes its encoding takes.
    pub fn encoded_length(&self) -> usize {
        Self::OVERHEAD + self.items.iter().map(Item::encoded_length).sum::<usize>()
    }

    /// The hash that a vertex's header names.
    pub fn root(encoded: &[u8]) -> Digest {
        Hasher::new("meanwhile/types/payload/v1").bytes(encoded).finish()
    }
}

impl Encode for Item {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Transaction(bytes) => {
                writer.u8(TRANSACTION);
                writer.bytes(bytes);
            }
            Self::DevelopmentTicks(count) => {
                writer.u8(DEVELOPMENT_TICKS);
                writer.u16(*count);
            }
            Self::CheckpointVote(vote) => {
                writer.u8(CHECKPOINT_VOTE);
                vote.encode(writer);
            }
            Self::BlobStatement(statement) => {
                writer.u8(BLOB_STATEMENT);
                statement.encode(writer);
            }
        }
    }
}

impl Decode for Item {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            TRANSACTION => Ok(Self::Transaction(reader.bytes("transaction", PAYLOAD_BYTES_MAX)?)),
            DEVELOPMENT_TICKS => Ok(Self::DevelopmentTicks(reader.u16()?)),
            CHECKPOINT_VOTE => CheckpointVote::decode(reader).map(Self::CheckpointVote),
            BLOB_STATEMENT => BlobStatement::decode(reader).map(Self::BlobStatement),
            tag => Err(DecodeError::UnknownTag { what: "payload item", tag }),
        }
    }
}

impl Encode for Payload {
    fn encode(&self, writer: &mut Writer) {
        writer.list(&self.items);
    }
}

impl Decode for Payload {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.position();
        let items: Vec<Item> = reader.list("payload items", ITEMS_MAX)?;
        check_statements(&items)?;
        let actual = reader.position() - start;
        if actual > PAYLOAD_BYTES_MAX {
            return Err(DecodeError::TooLong { what: "payload", limit: PAYLOAD_BYTES_MAX, actual });
        }
        Ok(Self { items })
    }
}

/// A vertex says so much about blobs and no more: each statement costs everybody a row.
fn check_statements(items: &[Item]) -> Result<(), DecodeError> {
    let statements = items.iter().filter(|item| matches!(item, Item::BlobStatement(_)));
    let (actual, limit) = (statements.count(), BLOB_STATEMENTS_PER_VERTEX_MAX);
    if actual > limit {
        return Err(DecodeError::TooLong { what: "statements about blobs", limit, actual });
    }
    Ok(())
}
