//! What a validator says about a blob in a vertex of its own: that it holds its shard, or that the
//! encoding is inconsistent.
//!
//! A statement has no signature of its own, since the vertex has one, and names no shard, since a
//! validator keeps one shard of a blob and which one follows from the blob's name. It names the
//! registration that it is about: what somebody held for an earlier one says nothing about the next.

use super::BlobId;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;

/// The most statements that one vertex carries.
pub const BLOB_STATEMENTS_PER_VERTEX_MAX: usize = 256;

const VERSION: u8 = 1;
const HELD: u8 = 1;
const INCONSISTENT: u8 = 2;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobClaim {
    /// The acknowledgement: the author's shard is verified and durable.
    Held,
    /// What the shards decode to encodes to other shards.
    Inconsistent,
}

/// One statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobStatement {
    /// What is said.
    pub claim: BlobClaim,
    /// About which registration: the number of its event.
    pub registration: u64,
    /// Of which blob.
    pub blob: BlobId,
}

impl BlobStatement {
    /// How many bytes it takes.
    pub const ENCODED_LENGTH: usize = 1 + 1 + 8 + 32;
}

impl Encode for BlobStatement {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(match self.claim {
            BlobClaim::Held => HELD,
            BlobClaim::Inconsistent => INCONSISTENT,
        });
        writer.u64(self.registration);
        self.blob.encode(writer);
    }
}

impl Decode for BlobStatement {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("blob statement", VERSION)?;
        let claim = match reader.u8()? {
            HELD => BlobClaim::Held,
            INCONSISTENT => BlobClaim::Inconsistent,
            tag => return Err(DecodeError::UnknownTag { what: "blob claim", tag }),
        };
        Ok(Self { claim, registration: reader.u64()?, blob: BlobId::decode(reader)? })
    }
}
