//! The ledger at a checkpoint, in parts that can be checked, and the way back into empty tables.
//!
//! [`Export`] reads the parts from tables that stand at a checkpoint; [`Import`] takes them, gives
//! rows to write, and at the end holds what it has counted against the checkpoint: the chain of
//! headers against the tip, the coins against `utxo_hash`, everything else against `state_hash`.
//! **Invariant:** until [`Import::finish`] has said yes, nothing that was written is to be used.
//! **Invariant:** neither holds more in memory than one part and the unsealed transactions, which
//! the backlog bounds.
//!
//! A ledger that began with a snapshot knows what the next commits depend on, and no history: see
//! [`crate::query::base`].
//!
//! Source: `docs/checkpoints.md`, Snapshots.

use bitcoin::OutPoint;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::block;
use bitcoin::consensus::encode;
use bytes::Bytes;
use types::BitcoinHash;
use types::CommitIndex;
use types::DecodeError;
use types::Digest;
use types::Results;
use types::TimestampMs;
use types::blob::BlobId;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;
use types::table::TableFault;

use crate::blobs::BlobRow;
use crate::checkpoint::Carry;
use crate::rows::decode_hash;
use crate::rows::encode_hash;

mod export;
mod import;

pub use export::Export;
pub use import::Import;

/// How many rows one part holds at most.
pub const PART_ROWS_MAX: usize = 4_096;
/// A part is closed once its rows take this much.
pub(crate) const PART_BYTES: usize = 1024 * 1024;
/// The longest transaction or script in a part: what fits into a payload does.
const BYTES_MAX: usize = 32 * 1024 * 1024;

const CARRY: u8 = 1;
const HEADERS: u8 = 2;
const COINS: u8 = 3;
const UNSEALED: u8 = 4;
const SPENT: u8 = 5;
const REJECTED: u8 = 6;
const BLOBS: u8 = 7;

/// One part of a snapshot. Parts come in the order of the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The counters; the first part.
    Carry(CarryPart),
    /// Headers of the chain, from height 1 on.
    Headers(Vec<block::Header>),
    /// Coins as of the tip.
    Coins(Vec<SealedCoin>),
    /// Final transactions that wait for their block, in order.
    Unsealed(Vec<UnsealedTransaction>),
    /// Outputs that sealed transactions have spent.
    Spent(Vec<SpentOutput>),
    /// Transactions that lost.
    Rejected(Vec<RejectedTransaction>),
    /// What is known of blobs.
    Blobs(Vec<KnownBlob>),
}

/// What [`Part::Carry`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarryPart(pub(crate) Carry);

/// A coin of a sealed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCoin {
    pub(crate) outpoint: OutPoint,
    /// Height and coinbase, as Core packs them.
    pub(crate) code: u32,
    pub(crate) output: TxOut,
}

/// A final transaction that waits for its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsealedTransaction {
    pub(crate) order: u64,
    pub(crate) commit: CommitIndex,
    pub(crate) raw: Bytes,
}

/// An output that a sealed transaction has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentOutput {
    pub(crate) outpoint: OutPoint,
    pub(crate) by: Txid,
    pub(crate) input: u32,
}

/// A transaction that lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedTransaction {
    pub(crate) txid: Txid,
    pub(crate) winner: Txid,
    pub(crate) commit: CommitIndex,
}

/// A blob, live or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBlob {
    pub(crate) blob: BlobId,
    pub(crate) row: BlobRow,
}

/// Why a snapshot is not made or not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The store failed.
    #[error(transparent)]
    Table(#[from] TableFault),
    /// The genesis is refused.
    #[error(transparent)]
    Ledger(#[from] crate::LedgerError),
    /// The tables hold no ledger, or do not stand at a checkpoint.
    #[error("the ledger does not stand at a checkpoint, it is at commit {applied}")]
    NotAtCheckpoint {
        /// Where it stands.
        applied: CommitIndex,
    },
    /// Bytes are no part.
    #[error("a part of the snapshot is damaged: {0}")]
    Decode(#[from] DecodeError),
    /// A part comes too early or too late.
    #[error("the parts of the snapshot are out of order")]
    Order,
    /// A header does not follow on the one before.
    #[error("header {height} does not follow on the one before")]
    Header {
        /// Its height.
        height: u32,
    },
    /// A transaction that waits for its block spends what is not there.
    #[error("the unsealed transaction {txid} does not apply")]
    Unsealed {
        /// Which one.
        txid: Txid,
    },
    /// A hash is not the one that the validators signed.
    #[error("{what}: the snapshot comes to {actual}, the validators signed {expected}")]
    Mismatch {
        /// What was hashed.
        what: &'static str,
        /// What was signed.
        expected: String,
        /// What the snapshot comes to.
        actual: String,
    },
}

impl Part {
    /// How many rows it holds.
    pub fn rows(&self) -> usize {
        match self {
            Self::Carry(_) => 1,
            Self::Headers(rows) => rows.len(),
            Self::Coins(rows) => rows.len(),
            Self::Unsealed(rows) => rows.len(),
            Self::Spent(rows) => rows.len(),
            Self::Rejected(rows) => rows.len(),
            Self::Blobs(rows) => rows.len(),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Carry(_) => CARRY,
            Self::Headers(_) => HEADERS,
            Self::Coins(_) => COINS,
            Self::Unsealed(_) => UNSEALED,
            Self::Spent(_) => SPENT,
            Self::Rejected(_) => REJECTED,
            Self::Blobs(_) => BLOBS,
        }
    }
}

impl Encode for Part {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind());
        match self {
            Self::Carry(carry) => carry.0.encode(writer),
            Self::Headers(rows) => {
                writer.length(rows.len());
                rows.iter().for_each(|row| writer.raw(&encode::serialize(row)));
            }
            Self::Coins(rows) => writer.list(rows),
            Self::Unsealed(rows) => writer.list(rows),
            Self::Spent(rows) => writer.list(rows),
            Self::Rejected(rows) => writer.list(rows),
            Self::Blobs(rows) => writer.list(rows),
        }
    }
}

impl Decode for Part {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "rows of a part";
        Ok(match reader.u8()? {
            CARRY => Self::Carry(CarryPart(Carry::decode(reader)?)),
            HEADERS => {
                let length = reader.length(WHAT, PART_ROWS_MAX)?;
                let mut rows = Vec::new();
                for _ in 0..length {
                    let header = encode::deserialize(reader.raw(block::Header::SIZE)?);
                    rows.push(header.map_err(|_| DecodeError::InvalidValue { what: "header" })?);
                }
                Self::Headers(rows)
            }
            COINS => Self::Coins(reader.list(WHAT, PART_ROWS_MAX)?),
            UNSEALED => Self::Unsealed(reader.list(WHAT, PART_ROWS_MAX)?),
            SPENT => Self::Spent(reader.list(WHAT, PART_ROWS_MAX)?),
            REJECTED => Self::Rejected(reader.list(WHAT, PART_ROWS_MAX)?),
            BLOBS => Self::Blobs(reader.list(WHAT, PART_ROWS_MAX)?),
            tag => return Err(DecodeError::UnknownTag { what: "part", tag }),
        })
    }
}

impl Decode for Carry {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            last_tick: TimestampMs::decode(reader)?,
            last_event: reader.u64()?,
            next_order: reader.u64()?,
            first_unsealed: reader.u64()?,
            sealed_chain: Digest::decode(reader)?,
            final_chain: Digest::decode(reader)?,
            block_results: Results::decode(reader)?,
            past_hash: BitcoinHash::decode(reader)?,
        })
    }
}

fn encode_outpoint(writer: &mut Writer, outpoint: &OutPoint) {
    encode_hash(writer, outpoint.txid);
    writer.u32(outpoint.vout);
}

fn decode_outpoint(reader: &mut Reader<'_>) -> Result<OutPoint, DecodeError> {
    Ok(OutPoint { txid: decode_hash(reader)?, vout: reader.u32()? })
}

impl Encode for SealedCoin {
    fn encode(&self, writer: &mut Writer) {
        encode_outpoint(writer, &self.outpoint);
        writer.u32(self.code);
        writer.u64(self.output.value.to_sat());
        writer.bytes(self.output.script_pubkey.as_bytes());
    }
}

impl Decode for SealedCoin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outpoint = decode_outpoint(reader)?;
        let code = reader.u32()?;
        let value = bitcoin::Amount::from_sat(reader.u64()?);
        let script = reader.bytes("coin script", BYTES_MAX)?;
        let script_pubkey = bitcoin::ScriptBuf::from_bytes(script.to_vec());
        Ok(Self { outpoint, code, output: TxOut { value, script_pubkey } })
    }
}

impl Encode for UnsealedTransaction {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.order);
        self.commit.encode(writer);
        writer.bytes(&self.raw);
    }
}

impl Decode for UnsealedTransaction {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            order: reader.u64()?,
            commit: CommitIndex::decode(reader)?,
            raw: reader.bytes("unsealed transaction", BYTES_MAX)?,
        })
    }
}

impl Encode for SpentOutput {
    fn encode(&self, writer: &mut Writer) {
        encode_outpoint(writer, &self.outpoint);
        encode_hash(writer, self.by);
        writer.u32(self.input);
    }
}

impl Decode for SpentOutput {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outpoint = decode_outpoint(reader)?;
        Ok(Self { outpoint, by: decode_hash(reader)?, input: reader.u32()? })
    }
}

impl Encode for RejectedTransaction {
    fn encode(&self, writer: &mut Writer) {
        encode_hash(writer, self.txid);
        encode_hash(writer, self.winner);
        self.commit.encode(writer);
    }
}

impl Decode for RejectedTransaction {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            txid: decode_hash(reader)?,
            winner: decode_hash(reader)?,
            commit: CommitIndex::decode(reader)?,
        })
    }
}

impl Encode for KnownBlob {
    fn encode(&self, writer: &mut Writer) {
        self.blob.encode(writer);
        self.row.encode(writer);
    }
}

impl Decode for KnownBlob {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { blob: BlobId::decode(reader)?, row: BlobRow::decode(reader)? })
    }
}
