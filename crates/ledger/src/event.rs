//! Outcomes and the event log: one sequence without gaps, the same at every validator.
//!
//! Source: `docs/ledger.md`, Outcomes and Events. Everything here follows from execution alone;
//! what happens in one validator's pool is not in the log.

use bitcoin::BlockHash;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::hashes::Hash;
use types::Author;
use types::BitcoinHash;
use types::CommitIndex;
use types::DecodeError;
use types::Digest;
use types::Height;
use types::blob::BlobOutcome;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;

use crate::rows::decode_hash;
use crate::rows::encode_hash;
use crate::rules::SkipReason;

/// What became of a txid, kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It applied.
    Final {
        /// In which commit.
        commit: CommitIndex,
    },
    /// It can never apply: another final transaction has spent one of its inputs.
    Rejected {
        /// The transaction that won.
        conflict: Txid,
    },
}

impl Outcome {
    /// The outcome as receipts carry it.
    pub fn in_receipts(&self) -> types::results::Outcome {
        match self {
            Self::Final { commit } => types::results::Outcome::Final { commit: *commit },
            Self::Rejected { conflict } => types::results::Outcome::Rejected {
                conflict: BitcoinHash::new(conflict.to_byte_array()),
            },
        }
    }
}

/// One entry of the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number, from 1, without gaps.
    pub sequence: u64,
    /// The commit that it follows from.
    pub commit: CommitIndex,
    /// What happened.
    pub kind: EventKind,
}

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A txid has its outcome.
    Outcome {
        /// Which txid.
        txid: Txid,
        /// The outcome.
        outcome: Outcome,
    },
    /// An occurrence of a transaction was passed over. The txid may come again and become final.
    Skipped {
        /// Which txid.
        txid: Txid,
        /// Which witness.
        wtxid: Wtxid,
        /// Whose vertex carried it.
        author: Author,
        /// Why.
        reason: SkipReason,
    },
    /// A block was sealed.
    Block {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
    },
    /// The state after the commit is a checkpoint.
    Checkpoint {
        /// What names it.
        digest: Digest,
    },
    /// Something became of a blob.
    Blob(BlobOutcome),
}

const FINAL: u8 = 1;
const REJECTED: u8 = 2;
const SKIPPED: u8 = 3;
const BLOCK: u8 = 4;
const CHECKPOINT: u8 = 5;
const BLOB: u8 = 6;
const VERSION: u8 = 1;

impl Encode for EventKind {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Outcome { txid, outcome: Outcome::Final { commit } } => {
                writer.u8(FINAL);
                encode_hash(writer, *txid);
                commit.encode(writer);
            }
            Self::Outcome { txid, outcome: Outcome::Rejected { conflict } } => {
                writer.u8(REJECTED);
                encode_hash(writer, *txid);
                encode_hash(writer, *conflict);
            }
            Self::Skipped { txid, wtxid, author, reason } => {
                writer.u8(SKIPPED);
                encode_hash(writer, *txid);
                encode_hash(writer, *wtxid);
                author.encode(writer);
                reason.encode(writer);
            }
            Self::Block { height, hash } => {
                writer.u8(BLOCK);
                height.encode(writer);
                encode_hash(writer, *hash);
            }
            Self::Checkpoint { digest } => {
                writer.u8(CHECKPOINT);
                digest.encode(writer);
            }
            Self::Blob(outcome) => {
                writer.u8(BLOB);
                outcome.encode(writer);
            }
        }
    }
}

impl Decode for EventKind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            FINAL => Self::Outcome {
                txid: decode_hash(reader)?,
                outcome: Outcome::Final { commit: CommitIndex::decode(reader)? },
            },
            REJECTED => Self::Outcome {
                txid: decode_hash(reader)?,
                outcome: Outcome::Rejected { conflict: decode_hash(reader)? },
            },
            SKIPPED => Self::Skipped {
                txid: decode_hash(reader)?,
                wtxid: decode_hash(reader)?,
                author: Author::decode(reader)?,
                reason: SkipReason::decode(reader)?,
            },
            BLOCK => Self::Block { height: Height::decode(reader)?, hash: decode_hash(reader)? },
            CHECKPOINT => Self::Checkpoint { digest: Digest::decode(reader)? },
            BLOB => Self::Blob(BlobOutcome::decode(reader)?),
            tag => return Err(DecodeError::UnknownTag { what: "event", tag }),
        })
    }
}

impl Encode for Event {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u64(self.sequence);
        self.commit.encode(writer);
        self.kind.encode(writer);
    }
}

impl Decode for Event {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("event", VERSION)?;
        Ok(Self {
            sequence: reader.u64()?,
            commit: CommitIndex::decode(reader)?,
            kind: EventKind::decode(reader)?,
        })
    }
}
