//! What becomes of a blob. Each is an outcome like that of a transaction: an event, and a leaf of the
//! results that validators sign.
//!
//! Source: `docs/blobs.md`, On the chain.

use serde::Deserialize;
use serde::Serialize;

use super::BlobId;
use crate::bitcoin_hash::BitcoinHash;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::ids::CommitIndex;
use crate::ids::Height;

const VERSION: u8 = 1;
const REGISTERED: u8 = 1;
const REFUSED: u8 = 2;
const CERTIFIED: u8 = 3;
const EXTENDED: u8 = 4;
const DELETED: u8 = 5;
const EXPIRED: u8 = 6;
const DISPUTED: u8 = 7;
const INVALID: u8 = 8;

/// Something became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobOutcome {
    /// Of which blob.
    pub blob: BlobId,
    /// The transaction that registered it; of what was refused, the one that was.
    pub registered_by: BitcoinHash,
    /// In which commit.
    pub commit: CommitIndex,
    /// What.
    pub change: BlobChange,
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BlobChange {
    /// It is known: validators take its shards.
    Registered {
        /// The first height at which it is not kept any more.
        end_height: Height,
    },
    /// The transaction is final, what it asked for is not done.
    Refused {
        /// Why.
        reason: BlobRefusal,
    },
    /// So many validators hold their shards that it can be read whatever happens.
    Certified {
        /// The first height at which it is not kept any more.
        end_height: Height,
    },
    /// It is kept longer.
    Extended {
        /// The first height at which it is not kept any more.
        end_height: Height,
    },
    /// Its owner has ended it.
    Deleted,
    /// Its time is over.
    Expired,
    /// A first validator says that its encoding is inconsistent. The others look for themselves.
    Disputed,
    /// F + 1 validators say so: nobody can tell what it was to be.
    Invalid,
}

/// Why what a transaction asks for is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BlobRefusal {
    /// One shard a validator, no more and no less.
    #[error(
        "a blob of {actual} shards: this network has {expected} validators, and each keeps one"
    )]
    Shards {
        /// The number of validators.
        expected: u16,
        /// The number of shards.
        actual: u16,
    },
    /// It is longer than this network allows.
    #[error("a blob of {actual} bytes: this network keeps at most {limit}")]
    Length {
        /// The longest allowed.
        limit: u64,
        /// Its length.
        actual: u64,
    },
    /// The end is not ahead.
    #[error("the end at height {end_height} is not above height {height}")]
    Ended {
        /// The end that was asked for.
        end_height: Height,
        /// The height it has to be above.
        height: Height,
    },
    /// The end lies too far ahead.
    #[error("the end at height {end_height} lies too far ahead: at most {limit} is allowed now")]
    TooFar {
        /// The end that was asked for.
        end_height: Height,
        /// The last one allowed.
        limit: Height,
    },
    /// The fee does not cover the price.
    #[error("the price is {price_sat} sat and the transaction's fee {fee_sat} sat")]
    Unpaid {
        /// The price.
        price_sat: u64,
        /// The fee.
        fee_sat: u64,
    },
    /// The transaction has no output 1, or one that nobody can spend.
    #[error("output 1 is to be the blob's handle: there is none that can be spent")]
    Handle,
    /// It is kept already.
    #[error("the blob is registered until height {end_height}; its owner can extend it")]
    Known {
        /// Its end.
        end_height: Height,
    },
    /// Its encoding was found to be inconsistent.
    #[error("the blob's encoding is inconsistent: it was ended for good")]
    Inconsistent,
    /// It is not kept.
    #[error("no such blob is registered")]
    Unknown,
    /// The blob is registered with other numbers.
    #[error("length, encoding and shards are not those of the registration")]
    Layout,
    /// The transaction does not spend the blob's handle.
    #[error("the transaction does not spend the blob's handle")]
    Owner,
}

impl BlobOutcome {
    /// Its leaf in the tree of results.
    pub fn leaf(&self) -> Digest {
        Hasher::new("meanwhile/ledger/blob-result/v1").value(self).finish()
    }
}

impl BlobChange {
    /// Whether it ends the blob.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Deleted | Self::Expired | Self::Invalid)
    }

    /// What it is called in events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::Refused { .. } => "refused",
            Self::Certified { .. } => "certified",
            Self::Extended { .. } => "extended",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Disputed => "disputed",
            Self::Invalid => "invalid",
        }
    }
}

impl Encode for BlobOutcome {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.blob.encode(writer);
        self.registered_by.encode(writer);
        self.commit.encode(writer);
        self.change.encode(writer);
    }
}

impl Decode for BlobOutcome {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("blob outcome", VERSION)?;
        Ok(Self {
            blob: BlobId::decode(reader)?,
            registered_by: BitcoinHash::decode(reader)?,
            commit: CommitIndex::decode(reader)?,
            change: BlobChange::decode(reader)?,
        })
    }
}

impl Encode for BlobChange {
    fn encode(&self, writer: &mut Writer) {
        let mut ending = |tag, end_height: &Height| {
            writer.u8(tag);
            end_height.encode(writer);
        };
        match self {
            Self::Registered { end_height } => ending(REGISTERED, end_height),
            Self::Certified { end_height } => ending(CERTIFIED, end_height),
            Self::Extended { end_height } => ending(EXTENDED, end_height),
            Self::Refused { reason } => {
                writer.u8(REFUSED);
                reason.encode(writer);
            }
            Self::Deleted => writer.u8(DELETED),
            Self::Expired => writer.u8(EXPIRED),
            Self::Disputed => writer.u8(DISPUTED),
            Self::Invalid => writer.u8(INVALID),
        }
    }
}

impl Decode for BlobChange {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            REGISTERED => Self::Registered { end_height: Height::decode(reader)? },
            REFUSED => Self::Refused { reason: BlobRefusal::decode(reader)? },
            CERTIFIED => Self::Certified { end_height: Height::decode(reader)? },
            EXTENDED => Self::Extended { end_height: Height::decode(reader)? },
            DELETED => Self::Deleted,
            EXPIRED => Self::Expired,
            DISPUTED => Self::Disputed,
            INVALID => Self::Invalid,
            tag => return Err(DecodeError::UnknownTag { what: "blob change", tag }),
        })
    }
}

impl Encode for BlobRefusal {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Shards { expected, actual } => {
                writer.u8(1);
                writer.u16(*expected);
                writer.u16(*actual);
            }
            Self::Length { limit, actual } => {
                writer.u8(2);
                writer.u64(*limit);
                writer.u64(*actual);
            }
            Self::Ended { end_height, height } => {
                writer.u8(3);
                end_height.encode(writer);
                height.encode(writer);
            }
            Self::TooFar { end_height, limit } => {
                writer.u8(4);
                end_height.encode(writer);
                limit.encode(writer);
            }
            Self::Unpaid { price_sat, fee_sat } => {
                writer.u8(5);
                writer.u64(*price_sat);
                writer.u64(*fee_sat);
            }
            Self::Handle => writer.u8(6),
            Self::Known { end_height } => {
                writer.u8(7);
                end_height.encode(writer);
            }
            Self::Inconsistent => writer.u8(8),
            Self::Unknown => writer.u8(9),
            Self::Layout => writer.u8(10),
            Self::Owner => writer.u8(11),
        }
    }
}

impl Decode for BlobRefusal {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Shards { expected: reader.u16()?, actual: reader.u16()? },
            2 => Self::Length { limit: reader.u64()?, actual: reader.u64()? },
            3 => {
                let end_height = Height::decode(reader)?;
                Self::Ended { end_height, height: Height::decode(reader)? }
            }
            4 => {
                let end_height = Height::decode(reader)?;
                Self::TooFar { end_height, limit: Height::decode(reader)? }
            }
            5 => Self::Unpaid { price_sat: reader.u64()?, fee_sat: reader.u64()? },
            6 => Self::Handle,
            7 => Self::Known { end_height: Height::decode(reader)? },
            8 => Self::Inconsistent,
            9 => Self::Unknown,
            10 => Self::Layout,
            11 => Self::Owner,
            tag => return Err(DecodeError::UnknownTag { what: "blob refusal", tag }),
        })
    }
}
