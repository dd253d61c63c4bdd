//! Reads a snapshot's parts from tables that stand at a checkpoint.
//!
//! The tables hold the coins after every final transaction; the checkpoint hashes the coins as of
//! the tip. So what unsealed transactions made is left out, and what they spent is put back: both
//! are known, since the backlog bounds them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bytes::Bytes;
use types::Checkpoint;
use types::Height;
use types::blob::BlobId;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use super::CarryPart;
use super::KnownBlob;
use super::PART_BYTES;
use super::PART_ROWS_MAX;
use super::Part;
use super::RejectedTransaction;
use super::SealedCoin;
use super::SnapshotError;
use super::SpentOutput;
use super::UnsealedTransaction;
use crate::checkpoint::Carry;
use crate::checkpoint::Hashes;
use crate::checkpoint::coin_code;
use crate::query::CheckpointRow;
use crate::rows;
use crate::rows::BlockRow;
use crate::rows::Coin;
use crate::rows::Place;
use crate::rows::RejectedRow;
use crate::rows::Spender;
use crate::rows::State;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;

/// How many rows are read at a time: with scripts of the usual length far below a part.
const PAGE_ROWS: usize = 1_024;

/// Gives the parts one after the other.
#[derive(Debug)]
pub struct Export {
    checkpoint: Checkpoint,
    carry: Option<Carry>,
    height: Height,
    tip: Height,
    unsealed: BTreeSet<Txid>,
    /// Unsealed transactions, in order, that were not given yet.
    waiting: BTreeMap<u64, UnsealedTransaction>,
    /// Coins of the tip that unsealed transactions have spent.
    restored: BTreeMap<OutPoint, SealedCoin>,
    stage: Stage,
    /// Where the next page of the stage starts.
    from: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Carry,
    Headers,
    Coins,
    Restored,
    Unsealed,
    Spent,
    Rejected,
    Blobs,
    End,
}

impl Export {
    /// Starts, when the tables stand at a checkpoint.
    ///
    /// # Errors
    /// When they do not, or the store fails.
    pub fn new(read: &dyn TableRead) -> Result<Self, SnapshotError> {
        let state: Option<State> = rows::read_row(read, rows::STATE, rows::STATE_KEY)?;
        let hashes: Option<Hashes> = rows::read_row(read, rows::STATE, rows::HASHES_KEY)?;
        let none = SnapshotError::NotAtCheckpoint { applied: types::CommitIndex::ZERO };
        let (Some(state), Some(hashes)) = (state, hashes) else { return Err(none) };
        let row = crate::query::checkpoint(read, state.applied)?;
        let Some(CheckpointRow { checkpoint, .. }) = row else {
            return Err(SnapshotError::NotAtCheckpoint { applied: state.applied });
        };
        let mut export = Self {
            checkpoint,
            carry: Some(Carry::of(&state, &hashes)),
            height: Height::ZERO,
            tip: state.height,
            unsealed: BTreeSet::new(),
            waiting: BTreeMap::new(),
            restored: BTreeMap::new(),
            stage: Stage::Carry,
            from: Bytes::new(),
        };
        export.read_unsealed(read, state.first_unsealed)?;
        Ok(export)
    }

    /// The checkpoint that the tables stand at.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The next part, or none behind the last one. `read` must still show the same state.
    ///
    /// # Errors
    /// When the store fails.
    pub fn next_part(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        loop {
            let part = match self.stage {
                Stage::Carry => self.carry.take().map(|carry| Part::Carry(CarryPart(carry))),
                Stage::Headers => self.headers(read)?,
                Stage::Coins => self.coins(read)?,
                Stage::Restored => self.restored(),
                Stage::Unsealed => self.waiting(),
                Stage::Spent => self.spent(read)?,
                Stage::Rejected => self.rejected(read)?,
                Stage::Blobs => self.blobs(read)?,
                Stage::End => return Ok(None),
            };
            match part {
                Some(part) if part.rows() > 0 => return Ok(Some(part)),
                // A page of which nothing is left over is no end.
                Some(_) => {}
                None => {
                    self.stage = self.stage.next();
                    self.from = Bytes::new();
                }
            }
        }
    }

    fn read_unsealed(&mut self, read: &dyn TableRead, first: u64) -> Result<(), TableFault> {
        let mut spent: BTreeMap<OutPoint, Coin> = BTreeMap::new();
        let mut from = rows::number_key(first);
        loop {
            let page = read.scan(rows::UNSEALED, &[], &from, PAGE_ROWS)?;
            let is_last = page.len() < PAGE_ROWS;
            for (key, value) in page {
                let order = rows::number_at_end(rows::UNSEALED, &key)?;
                from = rows::number_key(order.saturating_add(1));
                let row: Unsealed = rows::decode_row(rows::UNSEALED, &value)?;
                let stored: Option<TransactionRow> =
                    rows::read_row(read, rows::TRANSACTIONS, row.txid.as_byte_array())?;
                let stored = stored.ok_or_else(|| rows::corrupt(rows::TRANSACTIONS))?;
                let transaction: Transaction = encode::deserialize(&stored.raw)
                    .map_err(|_| rows::corrupt(rows::TRANSACTIONS))?;
                let inputs = transaction.input.iter().map(|input| input.previous_output);
                spent.extend(inputs.zip(row.spent));
                self.unsealed.insert(row.txid);
                let unsealed =
                    UnsealedTransaction { order, commit: stored.commit, raw: stored.raw };
                self.waiting.insert(order, unsealed);
            }
            if is_last {
                break;
            }
        }
        for (outpoint, coin) in spent {
            if !self.unsealed.contains(&outpoint.txid) {
                self.restored.insert(outpoint, sealed_coin(read, outpoint, coin)?);
            }
        }
        Ok(())
    }

    fn headers(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        let mut headers = Vec::new();
        while self.height < self.tip && headers.len() < PART_ROWS_MAX {
            self.height = self.height.next();
            let row: Option<BlockRow> =
                rows::read_row(read, rows::BLOCKS, &rows::height_key(self.height))?;
            headers.push(row.ok_or_else(|| rows::corrupt(rows::BLOCKS))?.header);
        }
        Ok((!headers.is_empty()).then_some(Part::Headers(headers)))
    }

    fn coins(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        let Some(page) = self.page(read, rows::COINS)? else { return Ok(None) };
        let mut coins = Vec::new();
        for (key, value) in page {
            let outpoint = rows::outpoint_of_key(&key);
            let outpoint = outpoint.ok_or_else(|| rows::corrupt(rows::COINS))?;
            if !self.unsealed.contains(&outpoint.txid) {
                let coin = rows::decode_row(rows::COINS, &value)?;
                coins.push(sealed_coin(read, outpoint, coin)?);
            }
        }
        Ok(Some(Part::Coins(coins)))
    }

    fn restored(&mut self) -> Option<Part> {
        let mut coins = Vec::new();
        while coins.len() < PAGE_ROWS {
            let Some((_, coin)) = self.restored.pop_first() else { break };
            coins.push(coin);
        }
        (!coins.is_empty()).then_some(Part::Coins(coins))
    }

    fn waiting(&mut self) -> Option<Part> {
        let (mut transactions, mut bytes) = (Vec::new(), 0);
        while transactions.len() < PART_ROWS_MAX && bytes < PART_BYTES {
            let Some((_, transaction)) = self.waiting.pop_first() else { break };
            bytes += transaction.raw.len();
            transactions.push(transaction);
        }
        (!transactions.is_empty()).then_some(Part::Unsealed(transactions))
    }

    fn spent(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        let Some(page) = self.page(read, rows::SPENDS)? else { return Ok(None) };
        let mut spent = Vec::new();
        for (key, value) in page {
            let outpoint = rows::outpoint_of_key(&key);
            let outpoint = outpoint.ok_or_else(|| rows::corrupt(rows::SPENDS))?;
            let Spender { txid: by, input } = rows::decode_row(rows::SPENDS, &value)?;
            if !self.unsealed.contains(&by) {
                spent.push(SpentOutput { outpoint, by, input });
            }
        }
        Ok(Some(Part::Spent(spent)))
    }

    fn rejected(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        let Some(page) = self.page(read, rows::REJECTED)? else { return Ok(None) };
        let rejected = page.iter().map(|(key, value)| {
            let txid = Txid::from_slice(key).map_err(|_| rows::corrupt(rows::REJECTED))?;
            let RejectedRow { winner, commit } = rows::decode_row(rows::REJECTED, value)?;
            Ok(RejectedTransaction { txid, winner, commit })
        });
        rejected.collect::<Result<_, TableFault>>().map(|rows| Some(Part::Rejected(rows)))
    }

    fn blobs(&mut self, read: &dyn TableRead) -> Result<Option<Part>, TableFault> {
        let Some(page) = self.page(read, rows::BLOBS)? else { return Ok(None) };
        let blobs = page.iter().map(|(key, value)| {
            let blob = key.as_ref().try_into().map_err(|_| rows::corrupt(rows::BLOBS))?;
            let row = rows::decode_row(rows::BLOBS, value)?;
            Ok(KnownBlob { blob: BlobId::new(blob), row })
        });
        blobs.collect::<Result<_, TableFault>>().map(|rows| Some(Part::Blobs(rows)))
    }

    /// The next rows of a table, or none at its end.
    fn page(&mut self, read: &dyn TableRead, table: Table) -> Result<Option<Vec<Row>>, TableFault> {
        let page = read.scan(table, &[], &self.from, PAGE_ROWS)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        // The key that follows directly.
        self.from = [last.as_ref(), &[0]].concat().into();
        Ok(Some(page))
    }
}

impl Stage {
    const fn next(self) -> Self {
        match self {
            Self::Carry => Self::Headers,
            Self::Headers => Self::Coins,
            Self::Coins => Self::Restored,
            Self::Restored => Self::Unsealed,
            Self::Unsealed => Self::Spent,
            Self::Spent => Self::Rejected,
            Self::Rejected => Self::Blobs,
            Self::Blobs | Self::End => Self::End,
        }
    }
}

fn sealed_coin(
    read: &dyn TableRead,
    outpoint: OutPoint,
    coin: Coin,
) -> Result<SealedCoin, TableFault> {
    let code = match coin.coinbase {
        Some(height) => coin_code(height, true),
        None => {
            let place: Option<Place> =
                rows::read_row(read, rows::PLACES, outpoint.txid.as_byte_array())?;
            coin_code(place.ok_or_else(|| rows::corrupt(rows::PLACES))?.height, false)
        }
    };
    Ok(SealedCoin { outpoint, code, output: coin.output })
}
