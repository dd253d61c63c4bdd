//! Reads what the ledger has written: everything that an explorer or a wallet's server asks for.
//!
//! Every function reads rows and nothing else, so it may run beside the ledger over a snapshot.
//! Lists are given a page at a time; the caller names the limit. A row that does not decode is the
//! store's fault.
//!
//! Source: `docs/ledger.md`, Tables.

use bitcoin::Block;
use bitcoin::BlockHash;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::block;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::hashes::sha256d;
use bytes::Bytes;
use types::BitcoinHash;
use types::CommitIndex;
use types::Digest;
use types::Height;
use types::blob::BlobChange;
use types::blob::BlobId;
use types::blob::BlobOutcome;
use types::encoding::Decode;
use types::results;
use types::results::PathStep;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::apply::Tip;
use crate::blobs::BlobRow;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::rows;
pub use crate::rows::Base;
use crate::rows::BlockRow;
pub use crate::rows::CheckpointRow;
use crate::rows::Coin;
pub use crate::rows::CommitRow;
use crate::rows::HistoryRow;
use crate::rows::Place;
use crate::rows::RejectedRow;
use crate::rows::ScriptHash;
pub use crate::rows::Spender;
use crate::rows::State;
use crate::rows::TXIDS_PAGE;
use crate::rows::Totals;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;
use crate::rules::SkipReason;

/// How many unsealed entries of one script are added up; what lies behind counts as sealed.
pub const UNSEALED_ENTRIES_MAX: usize = 10_000;
/// How many events are read at a time.
const EVENTS_PAGE: usize = 1_024;

/// Where the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The network.
    pub chain: Digest,
    /// The last commit that was applied.
    pub applied: CommitIndex,
    /// Its digest.
    pub digest: Digest,
    /// The sealed end of the chain.
    pub tip: Tip,
    /// The number of the last event.
    pub last_event: u64,
    /// How many final transactions wait to be sealed.
    pub unsealed_transactions: u64,
    /// Their weight.
    pub unsealed_weight: u64,
}

/// A final transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    /// Its txid.
    pub txid: Txid,
    /// The transaction.
    pub transaction: Transaction,
    /// Its encoding with the witness.
    pub raw: Bytes,
    /// The commit that made it final; of a coinbase, the one that sealed it.
    pub commit: CommitIndex,
    /// Its number among all final transactions.
    pub order: u64,
    /// Where it is sealed, if it is.
    pub place: Option<Place>,
}

/// A sealed block without its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRecord {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its header.
    pub header: block::Header,
    /// The commit that sealed it; 0 for the blocks of genesis.
    pub commit: CommitIndex,
    /// How many transactions it holds, the coinbase included.
    pub transactions: u32,
    /// Its length in bytes.
    pub size: u64,
    /// Its weight.
    pub weight: u64,
    /// The median of its time and the ten before, in seconds.
    pub median_time_past: u32,
}

/// One transaction in the history of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its number among all final transactions: the cursor of a page.
    pub order: u64,
    /// The transaction.
    pub txid: Txid,
    /// Where it is sealed, if it is.
    pub place: Option<Place>,
    /// What it did to the script.
    pub change: Totals,
}

/// One unspent output of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utxo {
    /// Which output.
    pub outpoint: OutPoint,
    /// How much it holds, in satoshi.
    pub amount_sat: u64,
    /// Where the transaction that made it is sealed, if it is.
    pub place: Option<Place>,
}

/// What a script was paid and paid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptStats {
    /// By sealed transactions.
    pub sealed: Totals,
    /// By final transactions that wait to be sealed.
    pub unsealed: Totals,
}

/// A final transaction that waits to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsealedEntry {
    /// Its number among all final transactions: the cursor of a page.
    pub order: u64,
    /// The transaction.
    pub txid: Txid,
    /// Its weight.
    pub weight: u64,
    /// Its fee, in satoshi.
    pub fee_sat: u64,
}

/// Leads from a transaction to its block's Merkle root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleProof {
    /// Where the transaction stands.
    pub place: Place,
    /// The siblings, from the leaves up.
    pub branch: Vec<sha256d::Hash>,
}

/// Where the ledger stands, or none when the tables are empty.
///
/// # Errors
/// When the store fails.
pub fn summary(read: &dyn TableRead) -> Result<Option<Summary>, TableFault> {
    Ok(state(read)?.map(|state| Summary {
        chain: state.chain,
        applied: state.applied,
        digest: state.digest,
        tip: Tip {
            height: state.height,
            hash: state.hash,
            time: state.tip_time(),
            median_time_past: state.median_time_past(),
        },
        last_event: state.last_event,
        unsealed_transactions: state.unsealed_count,
        unsealed_weight: state.unsealed_weight,
    }))
}

fn state(read: &dyn TableRead) -> Result<Option<State>, TableFault> {
    rows::read_row(read, rows::STATE, rows::STATE_KEY)
}

/// Where these tables begin, when they were filled from a snapshot: transactions, blocks and events
/// up to there are not kept here.
///
/// # Errors
/// When the store fails.
pub fn base(read: &dyn TableRead) -> Result<Option<Base>, TableFault> {
    rows::read_row(read, rows::STATE, rows::BASE_KEY)
}

/// A final transaction, coinbases included.
///
/// # Errors
/// When the store fails.
pub fn transaction(
    read: &dyn TableRead,
    txid: &Txid,
) -> Result<Option<TransactionRecord>, TableFault> {
    let Some(row) = transaction_row(read, txid)? else { return Ok(None) };
    let transaction = decode_transaction(&row.raw)?;
    Ok(Some(TransactionRecord {
        txid: *txid,
        transaction,
        raw: row.raw,
        commit: row.commit,
        order: row.order,
        place: place(read, txid)?,
    }))
}

fn transaction_row(
    read: &dyn TableRead,
    txid: &Txid,
) -> Result<Option<TransactionRow>, TableFault> {
    rows::read_row(read, rows::TRANSACTIONS, txid.as_byte_array())
}

fn decode_transaction(raw: &Bytes) -> Result<Transaction, TableFault> {
    encode::deserialize(raw).map_err(|_| rows::corrupt(rows::TRANSACTIONS))
}

/// Where a transaction is sealed, if it is.
///
/// # Errors
/// When the store fails.
pub fn place(read: &dyn TableRead, txid: &Txid) -> Result<Option<Place>, TableFault> {
    rows::read_row(read, rows::PLACES, txid.as_byte_array())
}

/// What became of a txid, if its outcome is known.
///
/// # Errors
/// When the store fails.
pub fn outcome(read: &dyn TableRead, txid: &Txid) -> Result<Option<Outcome>, TableFault> {
    if let Some(row) = transaction_row(read, txid)? {
        return Ok(Some(Outcome::Final { commit: row.commit }));
    }
    let row = rejected_row(read, txid)?;
    Ok(row.map(|row| Outcome::Rejected { conflict: row.winner }))
}

fn rejected_row(read: &dyn TableRead, txid: &Txid) -> Result<Option<RejectedRow>, TableFault> {
    rows::read_row(read, rows::REJECTED, txid.as_byte_array())
}

/// The commit that decided a txid, if one did; of a coinbase, the one that sealed it.
///
/// # Errors
/// When the store fails.
pub fn decided_in(read: &dyn TableRead, txid: &Txid) -> Result<Option<CommitIndex>, TableFault> {
    if let Some(row) = transaction_row(read, txid)? {
        return Ok(Some(row.commit));
    }
    Ok(rejected_row(read, txid)?.map(|row| row.commit))
}

/// The checkpoint of a commit, if it is one.
///
/// # Errors
/// When the store fails.
pub fn checkpoint(
    read: &dyn TableRead,
    commit: CommitIndex,
) -> Result<Option<CheckpointRow>, TableFault> {
    rows::read_row(read, rows::CHECKPOINTS, &rows::number_key(commit.value()))
}

/// At most `limit` checkpoints, ascending, from the first one at or behind a commit on: the one
/// that covers the commit's outcomes comes first.
///
/// # Errors
/// When the store fails.
pub fn checkpoints_from(
    read: &dyn TableRead,
    commit: CommitIndex,
    limit: usize,
) -> Result<Vec<CheckpointRow>, TableFault> {
    let key = rows::number_key(commit.value());
    let page = read.scan(rows::CHECKPOINTS, &[], &key, limit)?;
    page.iter().map(|(_, value)| rows::decode_row(rows::CHECKPOINTS, value)).collect()
}

/// At most `limit` checkpoints, the newest first.
///
/// # Errors
/// When the store fails.
pub fn checkpoints_back(
    read: &dyn TableRead,
    limit: usize,
) -> Result<Vec<CheckpointRow>, TableFault> {
    let page = read.scan_back(rows::CHECKPOINTS, &[], &[], limit)?;
    page.iter().map(|(_, value)| rows::decode_row(rows::CHECKPOINTS, value)).collect()
}

/// The outcome of a txid among the results of a checkpoint, and the path from it to their root.
/// None when it is not among them, or when some of them are no longer kept here.
///
/// # Errors
/// When the store fails.
pub fn results_path(
    read: &dyn TableRead,
    row: &CheckpointRow,
    txid: &Txid,
) -> Result<Option<(Outcome, Vec<PathStep>)>, TableFault> {
    path_to(read, row, |kind| match kind {
        EventKind::Outcome { txid: decided, outcome } if decided == txid => Some(*outcome),
        _ => None,
    })
}

/// The certificate of a blob, or that it is invalid, among the results of a checkpoint, and the path
/// from it to their root. None when neither is among them; the last one when several are.
///
/// # Errors
/// When the store fails.
pub fn blob_path(
    read: &dyn TableRead,
    row: &CheckpointRow,
    blob: &BlobId,
) -> Result<Option<(BlobOutcome, Vec<PathStep>)>, TableFault> {
    path_to(read, row, |kind| match kind {
        EventKind::Blob(outcome) if outcome.blob == *blob => match outcome.change {
            BlobChange::Certified { .. } | BlobChange::Invalid => Some(*outcome),
            _ => None,
        },
        _ => None,
    })
}

/// The last outcome among the results of a checkpoint that is wanted, and its path to their root.
fn path_to<T>(
    read: &dyn TableRead,
    row: &CheckpointRow,
    wanted: impl Fn(&EventKind) -> Option<T>,
) -> Result<Option<(T, Vec<PathStep>)>, TableFault> {
    if row.first_event < oldest_event(read)? {
        return Ok(None);
    }
    let mut leaves = Vec::new();
    let mut found = None;
    let mut after = row.first_event.saturating_sub(1);
    while after < row.last_event {
        let page = events(read, after, EVENTS_PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        for event in page.iter().filter(|event| event.sequence <= row.last_event) {
            let Some(leaf) = leaf(&event.kind) else { continue };
            found = wanted(&event.kind).map(|wanted| (wanted, leaves.len())).or(found);
            leaves.push(leaf);
        }
    }
    let Some((wanted, index)) = found else { return Ok(None) };
    Ok(results::path(&leaves, index).map(|path| (wanted, path)))
}

/// The leaf that an event has in the tree of results, if it is an outcome.
fn leaf(kind: &EventKind) -> Option<Digest> {
    match kind {
        EventKind::Outcome { txid, outcome } => {
            let name = BitcoinHash::new(txid.to_byte_array());
            Some(results::leaf(&name, &outcome.in_receipts()))
        }
        EventKind::Blob(outcome) => Some(outcome.leaf()),
        EventKind::Skipped { .. } | EventKind::Block { .. } | EventKind::Checkpoint { .. } => None,
    }
}

/// What is known of a blob.
///
/// # Errors
/// When the store fails.
pub fn blob(read: &dyn TableRead, blob: &BlobId) -> Result<Option<BlobRow>, TableFault> {
    rows::read_row(read, rows::BLOBS, blob.as_bytes())
}

/// At most `limit` blobs that have not ended, those that end first before the others, from behind
/// this one on.
///
/// # Errors
/// When the store fails.
pub fn live_blobs(
    read: &dyn TableRead,
    after: Option<&(Height, BlobId)>,
    limit: usize,
) -> Result<Vec<(Height, BlobId)>, TableFault> {
    let from = after.map_or_else(Bytes::new, |(height, blob)| {
        // The first key behind its own.
        [rows::end_key(*height, blob).as_ref(), &[0]].concat().into()
    });
    let page = read.scan(rows::BLOB_ENDS, &[], &from, limit)?;
    page.iter().map(|(key, _)| rows::end_of_key(key)).collect()
}

/// Why occurrences of a txid were passed over, the newest first, with the number of the event.
///
/// # Errors
/// When the store fails.
pub fn skipped(
    read: &dyn TableRead,
    txid: &Txid,
    limit: usize,
) -> Result<Vec<(u64, SkipReason)>, TableFault> {
    let page = read.scan_back(rows::SKIPPED, txid.as_byte_array(), &[], limit)?;
    let page = page.into_iter().map(|(key, value)| {
        let sequence = rows::number_at_end(rows::SKIPPED, &key)?;
        Ok((sequence, rows::decode_row(rows::SKIPPED, &value)?))
    });
    page.collect()
}

/// An output that may be spent.
///
/// # Errors
/// When the store fails.
pub fn coin(read: &dyn TableRead, outpoint: &OutPoint) -> Result<Option<Coin>, TableFault> {
    rows::read_row(read, rows::COINS, &rows::outpoint_key(outpoint))
}

/// An output of a final transaction, spent or not.
///
/// # Errors
/// When the store fails.
pub fn output(read: &dyn TableRead, outpoint: &OutPoint) -> Result<Option<TxOut>, TableFault> {
    let Some(row) = transaction_row(read, &outpoint.txid)? else { return Ok(None) };
    let transaction = decode_transaction(&row.raw)?;
    let place = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
    Ok(transaction.output.get(place).cloned())
}

/// The outputs that a transaction's inputs spend, in their order; none where it is not known.
///
/// # Errors
/// When the store fails.
pub fn spent_outputs(
    read: &dyn TableRead,
    transaction: &Transaction,
) -> Result<Vec<Option<TxOut>>, TableFault> {
    let inputs = transaction.input.iter();
    inputs.map(|input| output(read, &input.previous_output)).collect()
}

/// Which final transaction spends an output, if one does.
///
/// # Errors
/// When the store fails.
pub fn spender(read: &dyn TableRead, outpoint: &OutPoint) -> Result<Option<Spender>, TableFault> {
    rows::read_row(read, rows::SPENDS, &rows::outpoint_key(outpoint))
}

/// A sealed block without its transactions.
///
/// # Errors
/// When the store fails.
pub fn block(read: &dyn TableRead, height: Height) -> Result<Option<BlockRecord>, TableFault> {
    let row: Option<BlockRow> = rows::read_row(read, rows::BLOCKS, &rows::height_key(height))?;
    Ok(row.map(|row| block_record(height, row)))
}

fn block_record(height: Height, row: BlockRow) -> BlockRecord {
    BlockRecord {
        height,
        hash: row.header.block_hash(),
        header: row.header,
        commit: row.commit,
        transactions: row.transactions,
        size: row.size,
        weight: row.weight,
        median_time_past: row.median_time_past,
    }
}

/// At most `limit` sealed blocks without their transactions, from a height on, ascending.
///
/// # Errors
/// When the store fails.
pub fn blocks(
    read: &dyn TableRead,
    from: Height,
    limit: usize,
) -> Result<Vec<BlockRecord>, TableFault> {
    let page = read.scan(rows::BLOCKS, &[], &rows::height_key(from), limit)?;
    let records = page.iter().map(|(key, value)| {
        let height = key.as_ref().try_into().map_err(|_| rows::corrupt(rows::BLOCKS))?;
        let height = Height::new(u32::from_be_bytes(height));
        Ok(block_record(height, rows::decode_row(rows::BLOCKS, value)?))
    });
    records.collect()
}

/// The height of a block.
///
/// # Errors
/// When the store fails.
pub fn height(read: &dyn TableRead, hash: &BlockHash) -> Result<Option<Height>, TableFault> {
    rows::read_row(read, rows::HEIGHTS, hash.as_byte_array())
}

/// A sealed block without its transactions, by its hash.
///
/// # Errors
/// When the store fails.
pub fn block_by_hash(
    read: &dyn TableRead,
    hash: &BlockHash,
) -> Result<Option<BlockRecord>, TableFault> {
    match height(read, hash)? {
        Some(height) => block(read, height),
        None => Ok(None),
    }
}

/// At most `limit` transactions of a block, from the place `from` on, the coinbase at 0.
///
/// # Errors
/// When the store fails.
pub fn block_txids(
    read: &dyn TableRead,
    height: Height,
    from: u32,
    limit: usize,
) -> Result<Vec<Txid>, TableFault> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let page = u32::try_from(from / TXIDS_PAGE).unwrap_or(u32::MAX);
    let offset = from % TXIDS_PAGE;
    let pages = offset.saturating_add(limit).div_ceil(TXIDS_PAGE);
    let key = rows::page_key(height, page);
    let pages = read.scan(rows::BLOCK_TXIDS, &rows::height_key(height), &key, pages)?;
    let txids = pages.iter().flat_map(|(_, value)| value.chunks(32)).skip(offset).take(limit);
    let txids = txids.map(Txid::from_slice);
    txids.collect::<Result<_, _>>().map_err(|_| rows::corrupt(rows::BLOCK_TXIDS))
}

/// A sealed block with its transactions. A large one takes as much memory as it has bytes.
///
/// # Errors
/// When the store fails.
pub fn full_block(read: &dyn TableRead, height: Height) -> Result<Option<Block>, TableFault> {
    let Some(record) = block(read, height)? else { return Ok(None) };
    if record.transactions == 0 {
        // Only the header came with the snapshot.
        return Ok(None);
    }
    let limit = usize::try_from(record.transactions).unwrap_or(usize::MAX);
    let txids = block_txids(read, height, 0, limit)?;
    let txdata = txids.iter().map(|txid| {
        let row = transaction_row(read, txid)?;
        let row = row.ok_or_else(|| rows::corrupt(rows::TRANSACTIONS))?;
        decode_transaction(&row.raw)
    });
    Ok(Some(Block { header: record.header, txdata: txdata.collect::<Result<_, _>>()? }))
}

/// At most `limit` transactions that touch a script, the newest first, all of them older than the
/// one with the number `before`.
///
/// # Errors
/// When the store fails.
pub fn history(
    read: &dyn TableRead,
    script: &ScriptHash,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<HistoryEntry>, TableFault> {
    let from = match before {
        None => Bytes::new(),
        Some(0) => return Ok(Vec::new()),
        Some(before) => rows::history_key(script, before - 1),
    };
    let page = read.scan_back(rows::HISTORY, script.as_bytes(), &from, limit)?;
    page.iter().map(|(key, value)| history_entry(read, key, value)).collect()
}

/// At most `limit` transactions that touch a script, the oldest first, from the number `from` on.
///
/// # Errors
/// When the store fails.
pub fn history_from(
    read: &dyn TableRead,
    script: &ScriptHash,
    from: u64,
    limit: usize,
) -> Result<Vec<HistoryEntry>, TableFault> {
    let from = rows::history_key(script, from);
    let page = read.scan(rows::HISTORY, script.as_bytes(), &from, limit)?;
    page.iter().map(|(key, value)| history_entry(read, key, value)).collect()
}

/// The number below which every final transaction is sealed.
///
/// # Errors
/// When the store fails.
pub fn first_unsealed(read: &dyn TableRead) -> Result<u64, TableFault> {
    Ok(state(read)?.map_or(0, |state| state.first_unsealed))
}

fn history_entry(
    read: &dyn TableRead,
    key: &Bytes,
    value: &Bytes,
) -> Result<HistoryEntry, TableFault> {
    let HistoryRow { txid, change } = rows::decode_row(rows::HISTORY, value)?;
    Ok(HistoryEntry {
        order: rows::number_at_end(rows::HISTORY, key)?,
        txid,
        place: place(read, &txid)?,
        change,
    })
}

/// The final but unsealed transactions that touch a script, the oldest first, at most
/// [`UNSEALED_ENTRIES_MAX`].
///
/// # Errors
/// When the store fails.
pub fn unsealed_history(
    read: &dyn TableRead,
    script: &ScriptHash,
) -> Result<Vec<HistoryEntry>, TableFault> {
    let first = state(read)?.map_or(0, |state| state.first_unsealed);
    let from = rows::history_key(script, first);
    let page = read.scan(rows::HISTORY, script.as_bytes(), &from, UNSEALED_ENTRIES_MAX)?;
    let entries = page.iter().map(|(key, value)| history_entry(read, key, value));
    let unsealed = entries.filter(|entry| entry.as_ref().map_or(true, |e| e.place.is_none()));
    unsealed.collect()
}

/// What a script was paid and paid out.
///
/// # Errors
/// When the store fails.
pub fn script_stats(read: &dyn TableRead, script: &ScriptHash) -> Result<ScriptStats, TableFault> {
    let all: Option<Totals> = rows::read_row(read, rows::TOTALS, script.as_bytes())?;
    let unsealed = unsealed_history(read, script)?;
    let unsealed = unsealed.iter().fold(Totals::default(), |sum, entry| sum.plus(&entry.change));
    Ok(ScriptStats { sealed: all.unwrap_or_default().minus(&unsealed), unsealed })
}

/// At most `limit` unspent outputs of a script, by outpoint, from behind `after` on.
///
/// # Errors
/// When the store fails.
pub fn utxos(
    read: &dyn TableRead,
    script: &ScriptHash,
    after: Option<&OutPoint>,
    limit: usize,
) -> Result<Vec<Utxo>, TableFault> {
    let from = after.map_or_else(Bytes::new, |outpoint| {
        // The first key behind the outpoint's own.
        [rows::utxo_key(script, outpoint).as_ref(), &[0]].concat().into()
    });
    let page = read.scan(rows::UTXOS, script.as_bytes(), &from, limit)?;
    page.iter().map(|(key, value)| utxo(read, key, value)).collect()
}

fn utxo(read: &dyn TableRead, key: &Bytes, value: &Bytes) -> Result<Utxo, TableFault> {
    let corrupt = || rows::corrupt(rows::UTXOS);
    let (txid, vout) =
        key.get(32..).and_then(|rest| rest.split_at_checked(32)).ok_or_else(corrupt)?;
    let outpoint = OutPoint {
        txid: Txid::from_slice(txid).map_err(|_| corrupt())?,
        vout: u32::from_be_bytes(vout.try_into().map_err(|_| corrupt())?),
    };
    let amount_sat = rows::decode_row(rows::UTXOS, value)?;
    Ok(Utxo { outpoint, amount_sat, place: place(read, &outpoint.txid)? })
}

/// At most `limit` events behind the one with the number `after`, ascending.
///
/// # Errors
/// When the store fails.
pub fn events(read: &dyn TableRead, after: u64, limit: usize) -> Result<Vec<Event>, TableFault> {
    scan_numbers(read, rows::EVENTS, after.saturating_add(1), limit, |_, event| event)
}

/// The number of the oldest event that is kept here: 1 where nothing was removed.
///
/// # Errors
/// When the store fails.
pub fn oldest_event(read: &dyn TableRead) -> Result<u64, TableFault> {
    let first = base(read)?.map_or(0, |base| base.event).saturating_add(1);
    let oldest: Option<u64> = rows::read_row(read, rows::STATE, rows::OLDEST_EVENT_KEY)?;
    Ok(oldest.map_or(first, |oldest| oldest.max(first)))
}

/// What an applied commit did.
///
/// # Errors
/// When the store fails.
pub fn commit(read: &dyn TableRead, index: CommitIndex) -> Result<Option<CommitRow>, TableFault> {
    rows::read_row(read, rows::COMMITS, &rows::number_key(index.value()))
}

/// At most `limit` final transactions that wait to be sealed, in the order in which they will be,
/// from the number `from` on.
///
/// # Errors
/// When the store fails.
pub fn unsealed(
    read: &dyn TableRead,
    from: u64,
    limit: usize,
) -> Result<Vec<UnsealedEntry>, TableFault> {
    let first = state(read)?.map_or(0, |state| state.first_unsealed);
    scan_numbers(read, rows::UNSEALED, first.max(from), limit, |order, row: Unsealed| {
        UnsealedEntry { order, txid: row.txid, weight: row.weight, fee_sat: row.fee_sat }
    })
}

fn scan_numbers<R: Decode, T>(
    read: &dyn TableRead,
    table: Table,
    from: u64,
    limit: usize,
    make: impl Fn(u64, R) -> T,
) -> Result<Vec<T>, TableFault> {
    let page = read.scan(table, &[], &rows::number_key(from), limit)?;
    let rows = page.iter().map(|(key, value)| {
        Ok(make(rows::number_at_end(table, key)?, rows::decode_row(table, value)?))
    });
    rows.collect()
}

/// The Merkle proof of a sealed transaction, or none while it is not sealed.
///
/// # Errors
/// When the store fails.
pub fn merkle_proof(read: &dyn TableRead, txid: &Txid) -> Result<Option<MerkleProof>, TableFault> {
    let Some(place) = place(read, txid)? else { return Ok(None) };
    if place.position == rows::POSITION_UNKNOWN {
        return Ok(None);
    }
    let txids = block_txids(read, place.height, 0, usize::MAX / 2)?;
    let mut level: Vec<sha256d::Hash> = txids.iter().map(|txid| txid.to_raw_hash()).collect();
    let mut position = usize::try_from(place.position).unwrap_or(usize::MAX);
    let mut branch = Vec::new();
    while level.len() > 1 {
        // Bitcoin's tree pairs an odd last node with itself.
        let sibling = level.get(position ^ 1).or_else(|| level.get(position));
        branch.push(*sibling.ok_or_else(|| rows::corrupt(rows::PLACES))?);
        position /= 2;
        level =
            level.chunks(2).map(|pair| parent(pair[0], *pair.last().unwrap_or(&pair[0]))).collect();
    }
    Ok(Some(MerkleProof { place, branch }))
}

fn parent(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    sha256d::Hash::hash(&[left.to_byte_array(), right.to_byte_array()].concat())
}

/// The results root that a sealed block carries.
///
/// # Errors
/// When the store fails.
pub fn results_root(read: &dyn TableRead, height: Height) -> Result<Option<Digest>, TableFault> {
    let coinbase = block_txids(read, height, 0, 1)?;
    let Some(txid) = coinbase.first() else { return Ok(None) };
    let record = transaction(read, txid)?;
    Ok(record.and_then(|record| crate::seal::results_root(&record.transaction)))
}
