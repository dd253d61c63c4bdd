//! The ledger's tables and what their rows hold.
//!
//! Keys that are scanned are big endian, so that byte order is the order of numbers. Values start
//! with a version byte; what is Bitcoin's in them is in Bitcoin's encoding. Names of Bitcoin
//! objects (txid, block hash) lie in their natural byte order.
//!
//! | table | key | value |
//! |---|---|---|
//! | state | `state` | [`State`] |
//! | coins | outpoint | [`Coin`] |
//! | utxos | script hash, outpoint | amount |
//! | spends | outpoint | [`Spender`] |
//! | transactions | txid | [`TransactionRow`] |
//! | places | txid | [`Place`] |
//! | rejected | txid | [`RejectedRow`] |
//! | skipped | txid, event sequence | reason |
//! | history | script hash, order | [`HistoryRow`] |
//! | totals | script hash | [`Totals`] |
//! | unsealed | order | [`Unsealed`] |
//! | blocks | height | [`BlockRow`] |
//! | heights | block hash | height |
//! | block_txids | height, page | txids |
//! | events | sequence | [`Event`](crate::Event) |
//! | commits | index | [`CommitRow`] |
//! | checkpoints | index of its commit | [`CheckpointRow`] |
//! | blobs | blob's name | [`BlobRow`](crate::blobs::BlobRow) |
//! | blob_ends | end height, blob's name | a version byte: blobs that have not ended |
//!
//! The state table has a second row, `hashes`: [`Hashes`], written when they change; a third,
//! `base`: [`Base`], where it began with a snapshot; and a fourth, `oldest_event`: the number of the
//! oldest event, where older ones were removed.

use std::fmt;

use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::OutPoint;
use bitcoin::Script;
use bitcoin::ScriptBuf;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::block;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::hashes::sha256;
use bytes::Bytes;
use types::Author;
use types::BitcoinHash;
use types::Checkpoint;
use types::CommitIndex;
use types::DecodeError;
use types::Digest;
use types::Height;
use types::Results;
use types::TimestampMs;
use types::blob::BlobId;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::checkpoint::Hashes;
use crate::mempool::POOL;
use crate::muhash::MuHash;

pub(crate) const STATE: Table = Table::new("ledger_state");
pub(crate) const COINS: Table = Table::new("ledger_coins");
pub(crate) const UTXOS: Table = Table::new("ledger_utxos");
pub(crate) const SPENDS: Table = Table::new("ledger_spends");
pub(crate) const TRANSACTIONS: Table = Table::new("ledger_transactions");
pub(crate) const PLACES: Table = Table::new("ledger_places");
pub(crate) const REJECTED: Table = Table::new("ledger_rejected");
pub(crate) const SKIPPED: Table = Table::new("ledger_skipped");
pub(crate) const HISTORY: Table = Table::new("ledger_history");
pub(crate) const TOTALS: Table = Table::new("ledger_totals");
pub(crate) const UNSEALED: Table = Table::new("ledger_unsealed");
pub(crate) const BLOCKS: Table = Table::new("ledger_blocks");
pub(crate) const HEIGHTS: Table = Table::new("ledger_heights");
pub(crate) const BLOCK_TXIDS: Table = Table::new("ledger_block_txids");
pub(crate) const EVENTS: Table = Table::new("ledger_events");
pub(crate) const COMMITS: Table = Table::new("ledger_commits");
pub(crate) const CHECKPOINTS: Table = Table::new("ledger_checkpoints");
pub(crate) const BLOBS: Table = Table::new("ledger_blobs");
pub(crate) const BLOB_ENDS: Table = Table::new("ledger_blob_ends");

/// The value of a place in the list of ends: the key says everything.
pub(crate) const END_VALUE: &[u8] = &[1];
/// The key of the state in its table.
pub(crate) const STATE_KEY: &[u8] = b"state";
/// The key of the hashes in the state table.
pub(crate) const HASHES_KEY: &[u8] = b"hashes";
/// The key of the row that says where tables begin which began with a snapshot.
pub(crate) const BASE_KEY: &[u8] = b"base";
/// The key of the row that says which event is the oldest one here, where older ones were removed.
pub(crate) const OLDEST_EVENT_KEY: &[u8] = b"oldest_event";
/// The position of a transaction of which only the height of its block is known.
pub(crate) const POSITION_UNKNOWN: u32 = u32::MAX;
/// How many txids one row of the block_txids table holds.
pub(crate) const TXIDS_PAGE: usize = 256;
/// The median-time-past is the median of this many headers.
pub(crate) const MEDIAN_TIMES: usize = 11;

/// Every table of the ledger, the pool's among them.
pub fn tables() -> &'static [Table] {
    const ALL: [Table; 20] = [
        STATE,
        COINS,
        UTXOS,
        SPENDS,
        TRANSACTIONS,
        PLACES,
        REJECTED,
        SKIPPED,
        HISTORY,
        TOTALS,
        UNSEALED,
        BLOCKS,
        HEIGHTS,
        BLOCK_TXIDS,
        EVENTS,
        COMMITS,
        CHECKPOINTS,
        BLOBS,
        BLOB_ENDS,
        POOL,
    ];
    &ALL
}

/// SHA-256 of a script, as Esplora names scripts: natural order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptHash([u8; 32]);

/// An output that may be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// The output.
    pub output: TxOut,
    /// The height of the coinbase that made it, if one did.
    pub coinbase: Option<Height>,
}

/// Where a sealed transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The height of its block.
    pub height: Height,
    /// Its place in the block, from 0.
    pub position: u32,
}

/// Which input spends an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The spending transaction.
    pub txid: Txid,
    /// Its input, from 0.
    pub input: u32,
}

/// How often and how much a script was paid and paid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many transactions touch it.
    pub transactions: u64,
    /// How many outputs pay to it.
    pub funded: u64,
    /// How much they pay.
    pub funded_sat: u64,
    /// How many of them are spent.
    pub spent: u64,
    /// How much these held.
    pub spent_sat: u64,
}

/// A final transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionRow {
    pub(crate) commit: CommitIndex,
    /// Its number among all final transactions.
    pub(crate) order: u64,
    pub(crate) raw: Bytes,
}

/// What one transaction did to one script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryRow {
    pub(crate) txid: Txid,
    pub(crate) change: Totals,
}

/// A final transaction that waits for its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsealed {
    /// The commit that made it final.
    pub(crate) commit: CommitIndex,
    pub(crate) txid: Txid,
    pub(crate) wtxid: Wtxid,
    pub(crate) weight: u64,
    pub(crate) size: u64,
    pub(crate) sigops_cost: u64,
    pub(crate) fee_sat: u64,
    /// What its inputs spend, in their order: no coins any more, and in no block yet either.
    pub(crate) spent: Vec<Coin>,
}

/// A transaction that lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RejectedRow {
    pub(crate) winner: Txid,
    /// The commit that decided it.
    pub(crate) commit: CommitIndex,
}

/// A sealed block without its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRow {
    pub(crate) commit: CommitIndex,
    pub(crate) header: block::Header,
    pub(crate) transactions: u32,
    pub(crate) size: u64,
    pub(crate) weight: u64,
    /// The median of this block's time and the ten before.
    pub(crate) median_time_past: u32,
}

/// What an applied commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitRow {
    /// Its digest.
    pub digest: Digest,
    /// The agreed time.
    pub timestamp: TimestampMs,
    /// The author of its leader.
    pub leader: Author,
    /// How many transactions became final.
    pub finals: u32,
    /// How many were rejected.
    pub rejected: u32,
    /// How many occurrences were skipped.
    pub skipped: u32,
    /// How many occurrences had their outcome already.
    pub repeated: u32,
    /// How many items were no transaction, or ticks that were not obeyed.
    pub ignored: u32,
    /// How many blocks it sealed.
    pub blocks: u32,
    /// The number of the last event up to here.
    pub last_event: u64,
}

/// The state after a commit, as validators sign it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The number of the first event since the checkpoint before.
    pub first_event: u64,
    /// The number of the checkpoint's own event, the last one.
    pub last_event: u64,
}

/// Where tables begin that were filled from a snapshot: what lies before is not kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The commit of the snapshot.
    pub commit: CommitIndex,
    /// The height of its last block: of it and those below only the headers are here.
    pub height: Height,
    /// The number of its last event.
    pub event: u64,
}

/// Everything about the ledger that is one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) chain: Digest,
    pub(crate) applied: CommitIndex,
    pub(crate) digest: Digest,
    /// The agreed time of the commit that sealed the last block.
    pub(crate) last_tick: TimestampMs,
    pub(crate) height: Height,
    pub(crate) hash: BlockHash,
    /// The times of the last headers, the tip's last; at most [`MEDIAN_TIMES`].
    pub(crate) times: Vec<u64>,
    pub(crate) last_event: u64,
    /// The number of the next final transaction.
    pub(crate) next_order: u64,
    /// No transaction below this number is unsealed.
    pub(crate) first_unsealed: u64,
    pub(crate) unsealed_count: u64,
    pub(crate) unsealed_weight: u64,
    /// Outcomes since the last block.
    pub(crate) block_results: Results,
    /// Outcomes since the last checkpoint.
    pub(crate) checkpoint_results: Results,
    /// The digest of the last checkpoint, zero before the first.
    pub(crate) checkpoint: Digest,
    /// The number of the last checkpoint's event.
    pub(crate) checkpoint_event: u64,
    /// The chain of hashes over final transactions, up to the last one that is sealed.
    pub(crate) sealed_chain: Digest,
    /// The chain of hashes over final transactions, up to the last one.
    pub(crate) final_chain: Digest,
}

impl State {
    /// The median of the last headers' times, in seconds.
    pub(crate) fn median_time_past(&self) -> u32 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let middle = times.get(times.len() / 2).copied().unwrap_or(0);
        u32::try_from(middle).unwrap_or(u32::MAX)
    }

    /// The tip's own time, in seconds.
    pub(crate) fn tip_time(&self) -> u32 {
        u32::try_from(self.times.last().copied().unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

impl ScriptHash {
    /// Names a script.
    pub fn of(script: &Script) -> Self {
        Self(sha256::Hash::hash(script.as_bytes()).to_byte_array())
    }

    /// Wraps bytes in natural order.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes in natural order.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ScriptHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest::new(self.0), formatter)
    }
}

impl fmt::Debug for ScriptHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Totals {
    /// Adds up.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            transactions: self.transactions.saturating_add(other.transactions),
            funded: self.funded.saturating_add(other.funded),
            funded_sat: self.funded_sat.saturating_add(other.funded_sat),
            spent: self.spent.saturating_add(other.spent),
            spent_sat: self.spent_sat.saturating_add(other.spent_sat),
        }
    }

    /// What is left when a part is taken away.
    #[must_use]
    pub fn minus(self, part: &Self) -> Self {
        Self {
            transactions: self.transactions.saturating_sub(part.transactions),
            funded: self.funded.saturating_sub(part.funded),
            funded_sat: self.funded_sat.saturating_sub(part.funded_sat),
            spent: self.spent.saturating_sub(part.spent),
            spent_sat: self.spent_sat.saturating_sub(part.spent_sat),
        }
    }

    /// How much is there to spend, in satoshi.
    pub const fn balance_sat(&self) -> u64 {
        self.funded_sat.saturating_sub(self.spent_sat)
    }
}

/// Reads a row that decodes or is not there; one that does not decode is the store's fault.
pub(crate) fn read_row<T: Decode>(
    read: &dyn TableRead,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, TableFault> {
    let Some(value) = read.get(table, key)? else { return Ok(None) };
    decode_row(table, &value).map(Some)
}

/// Decodes a row's value; one that does not decode is the store's fault.
pub(crate) fn decode_row<T: Decode>(table: Table, value: &Bytes) -> Result<T, TableFault> {
    let mut reader = Reader::shared(value);
    let row = T::decode(&mut reader).and_then(|row| reader.finish().map(|()| row));
    row.map_err(|error| fault(table, &error))
}

/// Reads a big-endian number at the end of a key.
pub(crate) fn number_at_end(table: Table, key: &[u8]) -> Result<u64, TableFault> {
    let bytes = key.last_chunk().ok_or_else(|| corrupt(table))?;
    Ok(u64::from_be_bytes(*bytes))
}

pub(crate) fn corrupt(table: Table) -> TableFault {
    fault(table, &DecodeError::InvalidValue { what: "key" })
}

fn fault(table: Table, error: &DecodeError) -> TableFault {
    TableFault { reason: format!("a row of {} does not decode: {error}", table.name()) }
}

pub(crate) fn txid_key(txid: &Txid) -> Bytes {
    Bytes::copy_from_slice(txid.as_byte_array())
}

pub(crate) fn outpoint_key(outpoint: &OutPoint) -> Bytes {
    [outpoint.txid.as_byte_array().as_slice(), &outpoint.vout.to_be_bytes()].concat().into()
}

/// The outpoint that a key names.
pub(crate) fn outpoint_of_key(key: &[u8]) -> Option<OutPoint> {
    let (txid, vout) = key.split_first_chunk::<32>()?;
    let vout = u32::from_be_bytes(vout.try_into().ok()?);
    Some(OutPoint { txid: Txid::from_byte_array(*txid), vout })
}

pub(crate) fn utxo_key(script: &ScriptHash, outpoint: &OutPoint) -> Bytes {
    [&script.0, outpoint.txid.as_byte_array().as_slice(), &outpoint.vout.to_be_bytes()]
        .concat()
        .into()
}

pub(crate) fn number_key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(crate) fn height_key(height: Height) -> Bytes {
    Bytes::copy_from_slice(&height.value().to_be_bytes())
}

pub(crate) fn end_key(height: Height, blob: &BlobId) -> Bytes {
    [height.value().to_be_bytes().as_slice(), blob.as_bytes()].concat().into()
}

/// The end that a key of the list names.
pub(crate) fn end_of_key(key: &[u8]) -> Result<(Height, BlobId), TableFault> {
    let parts = key.split_first_chunk::<4>();
    let parts = parts.and_then(|(height, blob)| Some((*height, blob.try_into().ok()?)));
    let (height, blob) = parts.ok_or_else(|| corrupt(BLOB_ENDS))?;
    Ok((Height::new(u32::from_be_bytes(height)), BlobId::new(blob)))
}

pub(crate) fn page_key(height: Height, page: u32) -> Bytes {
    [height.value().to_be_bytes(), page.to_be_bytes()].concat().into()
}

pub(crate) fn history_key(script: &ScriptHash, order: u64) -> Bytes {
    [script.0.as_slice(), &order.to_be_bytes()].concat().into()
}

pub(crate) fn skipped_key(txid: &Txid, sequence: u64) -> Bytes {
    [txid.as_byte_array().as_slice(), &sequence.to_be_bytes()].concat().into()
}

pub(crate) fn encode_hash<T: Hash<Bytes = [u8; 32]>>(writer: &mut Writer, hash: T) {
    writer.raw(&hash.to_byte_array());
}

pub(crate) fn decode_hash<T: Hash<Bytes = [u8; 32]>>(
    reader: &mut Reader<'_>,
) -> Result<T, DecodeError> {
    Ok(T::from_byte_array(reader.array()?))
}

mod codec;
