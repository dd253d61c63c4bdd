//! Takes a snapshot's parts, gives rows, and at the end says whether they are what was signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::hashes::Hash;
use types::Checkpoint;
use types::CommitIndex;
use types::Genesis;
use types::Height;
use types::Results;
use types::encoding::Encode;
use types::table::Changes;
use types::table::TableRead;

use super::CarryPart;
use super::KnownBlob;
use super::Part;
use super::RejectedTransaction;
use super::SealedCoin;
use super::SnapshotError;
use super::SpentOutput;
use super::UnsealedTransaction;
use crate::batch::PreparedTransaction;
use crate::checkpoint;
use crate::checkpoint::Carry;
use crate::checkpoint::Hashes;
use crate::checkpoint::coin_bytes;
use crate::overlay::Overlay;
use crate::rows;
use crate::rows::Base;
use crate::rows::BlockRow;
use crate::rows::CheckpointRow;
use crate::rows::Coin;
use crate::rows::MEDIAN_TIMES;
use crate::rows::POSITION_UNKNOWN;
use crate::rows::Place;
use crate::rows::RejectedRow;
use crate::rows::ScriptHash;
use crate::rows::Spender;
use crate::rows::State;
use crate::rows::Totals;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;
use crate::rules::Lookup;
use crate::sigops;

/// A snapshot on its way into empty tables.
#[derive(Debug)]
pub struct Import {
    checkpoint: Checkpoint,
    carry: Option<Carry>,
    state: State,
    hashes: Hashes,
    unsealed: Vec<UnsealedTransaction>,
    /// The kind of the last part.
    kind: u8,
    /// The rows that the tables begin with.
    first: Option<Changes>,
}

impl Import {
    /// Begins. That the checkpoint is proven is for the caller to have seen.
    pub fn new(genesis: &Genesis, checkpoint: Checkpoint) -> Self {
        let (state, first) = crate::genesis::first_block(genesis);
        Self {
            checkpoint,
            carry: None,
            state,
            hashes: Hashes::empty(),
            unsealed: Vec::new(),
            kind: 0,
            first: Some(first),
        }
    }

    /// Takes the next part and gives what is to be written before the one behind it. `read` shows
    /// what was written so far.
    ///
    /// # Errors
    /// When the part can not stand here, or the store fails.
    pub fn take(&mut self, read: &dyn TableRead, part: Part) -> Result<Changes, SnapshotError> {
        let kind = part.kind();
        if kind < self.kind || (self.kind == 0) != matches!(part, Part::Carry(_)) {
            return Err(SnapshotError::Order);
        }
        self.kind = kind;
        let mut changes = self.first.take().unwrap_or_default();
        match part {
            Part::Carry(CarryPart(carry)) => self.carry = Some(carry),
            Part::Headers(headers) => {
                for header in headers {
                    self.header(header, &mut changes)?;
                }
            }
            Part::Coins(coins) => self.coins(read, &coins, &mut changes)?,
            Part::Unsealed(transactions) => self.unsealed.extend(transactions),
            Part::Spent(spent) => self.spent(&spent, &mut changes),
            Part::Rejected(rejected) => self.rejected(&rejected, &mut changes),
            Part::Blobs(blobs) => self.blobs(&blobs, &mut changes),
        }
        Ok(changes)
    }

    /// Holds everything against the checkpoint, and gives the last rows: with them written, the
    /// tables hold the ledger.
    ///
    /// # Errors
    /// When the snapshot is not what was signed, or the store fails.
    pub fn finish(mut self, read: &dyn TableRead) -> Result<Changes, SnapshotError> {
        let carry = self.carry.take().ok_or(SnapshotError::Order)?;
        let signed = self.checkpoint;
        let height = u64::from(self.state.height.value());
        equal("the number of headers", &u64::from(signed.height.value()), &height)?;
        let tip = types::BitcoinHash::new(self.state.hash.to_byte_array());
        equal("the chain of headers", &signed.tip, &tip)?;
        self.hashes.settle();
        equal("the coins", &signed.utxo_hash, &self.hashes.utxo_hash)?;
        equal("spent, rejected and blobs", &carry.past_hash, &self.hashes.past.finish())?;
        equal("the counters", &signed.state_hash, &carry.hash())?;
        self.state.sealed_chain = carry.sealed_chain;
        self.state.final_chain = carry.sealed_chain;
        self.state.first_unsealed = carry.first_unsealed;
        self.state.next_order = carry.next_order;
        self.state.last_tick = carry.last_tick;
        self.state.last_event = carry.last_event;
        self.state.block_results = carry.block_results;
        self.state.applied = signed.commit;
        self.state.digest = signed.commit_digest;
        self.state.checkpoint = signed.digest();
        self.state.checkpoint_event = carry.last_event;
        self.state.checkpoint_results = Results::default();
        let mut overlay = Overlay::new(read);
        let waiting = self.unsealed()?;
        equal("the unsealed transactions", &carry.final_chain, &self.state.final_chain)?;
        // From here on every byte is one that was signed.
        for (order, commit, prepared) in waiting {
            self.apply_unsealed(&mut overlay, (order, commit), &prepared)?;
        }
        let last_event = self.state.last_event;
        let row = CheckpointRow { checkpoint: signed, first_event: last_event, last_event };
        let key = rows::number_key(signed.commit.value());
        overlay.changes.put(rows::CHECKPOINTS, key, row.to_bytes());
        let base = Base { commit: signed.commit, height: signed.height, event: last_event };
        overlay.changes.put(rows::STATE, rows::BASE_KEY, base.to_bytes());
        overlay.changes.put(rows::STATE, rows::HASHES_KEY, self.hashes.to_bytes());
        Ok(overlay.finish(&self.state).0)
    }

    fn header(
        &mut self,
        header: bitcoin::block::Header,
        changes: &mut Changes,
    ) -> Result<(), SnapshotError> {
        let height = self.state.height.next();
        let has_work = header.target().is_met_by(header.block_hash());
        if header.prev_blockhash != self.state.hash || !has_work {
            return Err(SnapshotError::Header { height: height.value() });
        }
        self.state.height = height;
        self.state.hash = header.block_hash();
        self.state.times.push(u64::from(header.time));
        if self.state.times.len() > MEDIAN_TIMES {
            self.state.times.remove(0);
        }
        let row = BlockRow {
            commit: CommitIndex::ZERO,
            header,
            // What stands in the block is not known here.
            transactions: 0,
            size: 0,
            weight: 0,
            median_time_past: self.state.median_time_past(),
        };
        let hash: BlockHash = header.block_hash();
        changes.put(rows::BLOCKS, rows::height_key(height), row.to_bytes());
        let key: &[u8] = hash.as_ref();
        changes.put(rows::HEIGHTS, key.to_vec(), height.to_bytes());
        Ok(())
    }

    fn coins(
        &mut self,
        read: &dyn TableRead,
        coins: &[SealedCoin],
        changes: &mut Changes,
    ) -> Result<(), SnapshotError> {
        let mut totals: BTreeMap<ScriptHash, Totals> = BTreeMap::new();
        let mut places: BTreeMap<Txid, Height> = BTreeMap::new();
        for SealedCoin { outpoint, code, output } in coins {
            self.hashes.coins.insert(&coin_bytes(outpoint, *code, output));
            let height = Height::new(code >> 1);
            let coinbase = (code & 1 == 1).then_some(height);
            let script = ScriptHash::of(&output.script_pubkey);
            let amount = output.value.to_sat();
            let coin = Coin { output: output.clone(), coinbase };
            changes.put(rows::COINS, rows::outpoint_key(outpoint), coin.to_bytes());
            changes.put(rows::UTXOS, rows::utxo_key(&script, outpoint), amount.to_bytes());
            places.insert(outpoint.txid, height);
            let change = totals.entry(script).or_default();
            change.funded += 1;
            change.funded_sat = change.funded_sat.saturating_add(amount);
        }
        for (txid, height) in places {
            let place = Place { height, position: POSITION_UNKNOWN };
            changes.put(rows::PLACES, rows::txid_key(&txid), place.to_bytes());
        }
        for (script, change) in totals {
            let before: Option<Totals> = rows::read_row(read, rows::TOTALS, script.as_bytes())?;
            let after = before.unwrap_or_default().plus(&change);
            changes.put(rows::TOTALS, script.as_bytes().to_vec(), after.to_bytes());
        }
        Ok(())
    }

    fn spent(&mut self, spent: &[SpentOutput], changes: &mut Changes) {
        for SpentOutput { outpoint, by, input } in spent {
            self.hashes.add_spent(outpoint, by, *input);
            let spender = Spender { txid: *by, input: *input };
            changes.put(rows::SPENDS, rows::outpoint_key(outpoint), spender.to_bytes());
        }
    }

    fn rejected(&mut self, rejected: &[RejectedTransaction], changes: &mut Changes) {
        for RejectedTransaction { txid, winner, commit } in rejected {
            self.hashes.add_rejected(txid, winner, *commit);
            let row = RejectedRow { winner: *winner, commit: *commit };
            changes.put(rows::REJECTED, rows::txid_key(txid), row.to_bytes());
        }
    }

    fn blobs(&mut self, blobs: &[KnownBlob], changes: &mut Changes) {
        for KnownBlob { blob, row } in blobs {
            self.hashes.change_blob(blob, None, row);
            changes.put(rows::BLOBS, blob.as_bytes().to_vec(), row.to_bytes());
            if row.ended.is_none() {
                let key = rows::end_key(row.end_height, blob);
                changes.put(rows::BLOB_ENDS, key, rows::END_VALUE);
            }
        }
    }

    /// Decodes what waits for its block, and follows the chain of hashes over it.
    fn unsealed(&mut self) -> Result<Vec<(u64, CommitIndex, PreparedTransaction)>, SnapshotError> {
        let mut decoded = Vec::new();
        for UnsealedTransaction { order, commit, raw } in std::mem::take(&mut self.unsealed) {
            let prepared = PreparedTransaction::decode(&raw)
                .map_err(|_| types::DecodeError::InvalidValue { what: "unsealed transaction" })?;
            let before = self.state.final_chain;
            self.state.final_chain = checkpoint::chained(&before, order, commit, &prepared.wtxid);
            decoded.push((order, commit, prepared));
        }
        Ok(decoded)
    }

    /// Puts a final transaction on the coins of the tip, as its commit did.
    fn apply_unsealed(
        &mut self,
        overlay: &mut Overlay<'_>,
        (order, commit): (u64, CommitIndex),
        prepared: &PreparedTransaction,
    ) -> Result<(), SnapshotError> {
        let txid = prepared.txid;
        let transaction = Arc::clone(&prepared.transaction);
        let mut spent = Vec::new();
        for input in &transaction.input {
            match overlay.lookup(&input.previous_output, false)? {
                Lookup::Coin(coin) => spent.push(coin.output),
                Lookup::Spent { .. } | Lookup::Missing => {
                    return Err(SnapshotError::Unsealed { txid });
                }
            }
        }
        let sum = |outputs: &[TxOut]| {
            let amounts = outputs.iter().map(|output| output.value.to_sat());
            amounts.fold(0, u64::saturating_add)
        };
        let fee_sat = sum(&spent).saturating_sub(sum(&transaction.output));
        let row = TransactionRow { commit, order, raw: prepared.raw.clone() };
        overlay.add_transaction(&transaction, txid, &row, None)?;
        let unsealed = Unsealed {
            commit,
            txid,
            wtxid: prepared.wtxid,
            weight: prepared.weight,
            size: u64::try_from(prepared.raw.len()).unwrap_or(u64::MAX),
            sigops_cost: sigops::cost(&transaction, spent.iter()),
            fee_sat,
            spent: overlay.spent_coins(&transaction),
        };
        self.state.unsealed_count += 1;
        self.state.unsealed_weight += prepared.weight;
        overlay.unsealed.insert(order, unsealed);
        overlay.fresh.insert(txid, transaction);
        Ok(())
    }
}

fn equal<T: PartialEq + ToString>(
    what: &'static str,
    expected: &T,
    actual: &T,
) -> Result<(), SnapshotError> {
    if expected == actual {
        return Ok(());
    }
    Err(SnapshotError::Mismatch {
        what,
        expected: expected.to_string(),
        actual: actual.to_string(),
    })
}
