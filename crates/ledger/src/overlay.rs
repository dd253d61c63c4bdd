//! The written state with the changes of one commit on top.
//!
//! What a commit makes and spends by itself never becomes a row of the coins table. Everything is
//! kept in ordered maps, so that the changes come out in the same order everywhere.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bytes::Bytes;
use types::CommitIndex;
use types::Height;
use types::blob::BlobId;
use types::encoding::Encode;
use types::encoding::Writer;
use types::table::Changes;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::blobs::BlobRow;
use crate::event::Event;
use crate::event::EventKind;
use crate::rows;
use crate::rows::BlockRow;
use crate::rows::Coin;
use crate::rows::HistoryRow;
use crate::rows::Place;
use crate::rows::ScriptHash;
use crate::rows::Spender;
use crate::rows::State;
use crate::rows::Totals;
use crate::rows::TransactionRow;
use crate::rows::Unsealed;
use crate::rules::Age;
use crate::rules::Lookup;
use crate::rules::SpentCoin;

/// Bitcoin Core keeps no coin for a longer script: it can never be spent.
const SCRIPT_BYTES_MAX: usize = 10_000;
const OP_RETURN: u8 = 0x6a;

pub(crate) struct Overlay<'a> {
    read: &'a dyn TableRead,
    coins: BTreeMap<OutPoint, Entry>,
    places: BTreeMap<Txid, Place>,
    medians: BTreeMap<Height, u32>,
    totals: BTreeMap<ScriptHash, Totals>,
    /// Blobs that this commit has changed.
    blobs: BTreeMap<BlobId, BlobRow>,
    /// Places in the list of ends that this commit has made or taken away.
    ends: BTreeMap<(Height, BlobId), bool>,
    /// What became final in this commit and is not sealed yet.
    pub(crate) unsealed: BTreeMap<u64, Unsealed>,
    /// What became final in this commit.
    pub(crate) fresh: BTreeMap<Txid, Arc<Transaction>>,
    pub(crate) events: Vec<Event>,
    pub(crate) changes: Changes,
    /// Where values are encoded, so that each row is allocated once and at its size.
    buffer: Writer,
}

/// A coin that this commit has touched.
struct Entry {
    coin: Coin,
    script: ScriptHash,
    /// Whether it is a row of the coins table.
    stored: bool,
    spent_by: Option<Txid>,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(read: &'a dyn TableRead) -> Self {
        Self {
            read,
            coins: BTreeMap::new(),
            places: BTreeMap::new(),
            medians: BTreeMap::new(),
            totals: BTreeMap::new(),
            blobs: BTreeMap::new(),
            ends: BTreeMap::new(),
            unsealed: BTreeMap::new(),
            fresh: BTreeMap::new(),
            events: Vec::new(),
            changes: Changes::default(),
            buffer: Writer::default(),
        }
    }

    /// Writes a row.
    pub(crate) fn put(&mut self, table: Table, key: impl Into<Bytes>, value: &impl Encode) {
        self.buffer.clear();
        value.encode(&mut self.buffer);
        self.changes.put(table, key, Bytes::copy_from_slice(self.buffer.as_bytes()));
    }

    pub(crate) fn read(&self) -> &'a dyn TableRead {
        self.read
    }

    pub(crate) fn lookup(
        &mut self,
        outpoint: &OutPoint,
        with_age: bool,
    ) -> Result<Lookup, TableFault> {
        if !self.coins.contains_key(outpoint) {
            let key = rows::outpoint_key(outpoint);
            let Some(coin) = rows::read_row::<Coin>(self.read, rows::COINS, &key)? else {
                let spender: Option<Spender> = rows::read_row(self.read, rows::SPENDS, &key)?;
                return Ok(spender.map_or(Lookup::Missing, |by| Lookup::Spent { by: by.txid }));
            };
            let script = ScriptHash::of(&coin.output.script_pubkey);
            self.coins.insert(*outpoint, Entry { coin, script, stored: true, spent_by: None });
        }
        let Some(entry) = self.coins.get(outpoint) else { return Ok(Lookup::Missing) };
        if let Some(by) = entry.spent_by {
            return Ok(Lookup::Spent { by });
        }
        let Coin { output, coinbase } = entry.coin.clone();
        let age = if with_age { self.age(&outpoint.txid)? } else { Age::Irrelevant };
        Ok(Lookup::Coin(SpentCoin { output, coinbase, age }))
    }

    fn age(&self, txid: &Txid) -> Result<Age, TableFault> {
        let Some(Place { height, .. }) = self.place(txid)? else { return Ok(Age::Unsealed) };
        let median_time_past_before = self.median(height.saturating_sub(1))?;
        Ok(Age::Sealed { height, median_time_past_before })
    }

    /// Where a transaction is sealed, if it is.
    pub(crate) fn place(&self, txid: &Txid) -> Result<Option<Place>, TableFault> {
        match self.places.get(txid) {
            Some(place) => Ok(Some(*place)),
            None => rows::read_row(self.read, rows::PLACES, txid.as_byte_array()),
        }
    }

    /// A final transaction.
    pub(crate) fn transaction(&self, txid: &Txid) -> Result<Arc<Transaction>, TableFault> {
        if let Some(transaction) = self.fresh.get(txid) {
            return Ok(Arc::clone(transaction));
        }
        let row: Option<TransactionRow> =
            rows::read_row(self.read, rows::TRANSACTIONS, txid.as_byte_array())?;
        let decoded = row.and_then(|row| encode::deserialize(&row.raw).ok());
        decoded.map(Arc::new).ok_or_else(|| rows::corrupt(rows::TRANSACTIONS))
    }

    /// The coins that a transaction spends, which have all been looked up and found.
    pub(crate) fn spent_coins(&self, transaction: &Transaction) -> Vec<Coin> {
        let entries = transaction.input.iter().map(|input| self.coins.get(&input.previous_output));
        entries.flatten().map(|entry| entry.coin.clone()).collect()
    }

    fn median(&self, height: Height) -> Result<u32, TableFault> {
        if let Some(median) = self.medians.get(&height) {
            return Ok(*median);
        }
        let row: Option<BlockRow> =
            rows::read_row(self.read, rows::BLOCKS, &rows::height_key(height))?;
        row.map(|row| row.median_time_past).ok_or_else(|| rows::corrupt(rows::BLOCKS))
    }

    /// Writes a transaction: its inputs are spent, its outputs are there, every script that it
    /// touches has it in its history. All its inputs have been looked up and found.
    pub(crate) fn add_transaction(
        &mut self,
        transaction: &Transaction,
        txid: Txid,
        row: &TransactionRow,
        coinbase: Option<Height>,
    ) -> Result<(), TableFault> {
        let mut touched: BTreeMap<ScriptHash, Totals> = BTreeMap::new();
        if coinbase.is_none() {
            for (input, outpoint) in (0_u32..).zip(transaction.input.iter()) {
                self.spend(&outpoint.previous_output, Spender { txid, input }, &mut touched);
            }
        }
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if is_unspendable(&output.script_pubkey) {
                continue;
            }
            let script = ScriptHash::of(&output.script_pubkey);
            let change = touched.entry(script).or_default();
            change.funded += 1;
            change.funded_sat = change.funded_sat.saturating_add(output.value.to_sat());
            let coin = Coin { output: output.clone(), coinbase };
            let entry = Entry { coin, script, stored: false, spent_by: None };
            self.coins.insert(OutPoint { txid, vout }, entry);
        }
        for (script, mut change) in touched {
            change.transactions = 1;
            self.add_history(&script, row.order, HistoryRow { txid, change })?;
        }
        self.put(rows::TRANSACTIONS, rows::txid_key(&txid), row);
        Ok(())
    }

    fn spend(
        &mut self,
        outpoint: &OutPoint,
        spender: Spender,
        touched: &mut BTreeMap<ScriptHash, Totals>,
    ) {
        let Some(entry) = self.coins.get_mut(outpoint) else { return };
        entry.spent_by = Some(spender.txid);
        let change = touched.entry(entry.script).or_default();
        change.spent += 1;
        change.spent_sat = change.spent_sat.saturating_add(entry.coin.output.value.to_sat());
        self.put(rows::SPENDS, rows::outpoint_key(outpoint), &spender);
    }

    fn add_history(
        &mut self,
        script: &ScriptHash,
        order: u64,
        row: HistoryRow,
    ) -> Result<(), TableFault> {
        let before = match self.totals.get(script) {
            Some(totals) => *totals,
            None => rows::read_row(self.read, rows::TOTALS, script.as_bytes())?.unwrap_or_default(),
        };
        self.totals.insert(*script, before.plus(&row.change));
        self.put(rows::HISTORY, rows::history_key(script, order), &row);
        Ok(())
    }

    /// What is known of a blob.
    pub(crate) fn blob(&self, blob: &BlobId) -> Result<Option<BlobRow>, TableFault> {
        match self.blobs.get(blob) {
            Some(row) => Ok(Some(*row)),
            None => rows::read_row(self.read, rows::BLOBS, blob.as_bytes()),
        }
    }

    /// Changes what is known of a blob, and its place in the list of ends.
    pub(crate) fn set_blob(&mut self, blob: BlobId, before: Option<&BlobRow>, after: BlobRow) {
        let listed = |row: &&BlobRow| row.ended.is_none();
        if let Some(before) = before.filter(listed) {
            self.ends.insert((before.end_height, blob), false);
        }
        if listed(&&after) {
            self.ends.insert((after.end_height, blob), true);
        }
        self.blobs.insert(blob, after);
    }

    /// At most `limit` blobs that end at this height or below and have not ended yet, those that end
    /// first before the others.
    pub(crate) fn blobs_due(
        &self,
        height: Height,
        limit: usize,
    ) -> Result<Vec<BlobId>, TableFault> {
        // What is taken away here may fill the front of the list that is written.
        let page = limit.saturating_add(self.ends.len());
        let page = self.read.scan(rows::BLOB_ENDS, &[], &[], page)?;
        let written: Result<Vec<_>, _> =
            page.iter().map(|(key, _)| rows::end_of_key(key)).collect();
        let written = written?.into_iter().filter(|end| self.ends.get(end) != Some(&false));
        let made = self.ends.iter().filter(|(_, is_made)| **is_made).map(|(end, _)| *end);
        let due: BTreeSet<(Height, BlobId)> =
            written.chain(made).filter(|(end, _)| *end <= height).collect();
        Ok(due.into_iter().take(limit).map(|(_, blob)| blob).collect())
    }

    pub(crate) fn add_place(&mut self, txid: Txid, place: Place) {
        self.places.insert(txid, place);
        self.put(rows::PLACES, rows::txid_key(&txid), &place);
    }

    pub(crate) fn add_block(&mut self, height: Height, row: &BlockRow) {
        self.medians.insert(height, row.median_time_past);
        let hash = row.header.block_hash();
        self.changes.put(rows::BLOCKS, rows::height_key(height), row.to_bytes());
        let key: &[u8] = hash.as_ref();
        self.changes.put(rows::HEIGHTS, key.to_vec(), height.to_bytes());
    }

    pub(crate) fn add_event(&mut self, state: &mut State, commit: CommitIndex, kind: EventKind) {
        state.last_event += 1;
        let event = Event { sequence: state.last_event, commit, kind };
        let key = rows::number_key(event.sequence);
        self.put(rows::EVENTS, key, &event);
        if let EventKind::Skipped { txid, reason, .. } = kind {
            let key = rows::skipped_key(&txid, event.sequence);
            self.changes.put(rows::SKIPPED, key, reason.to_bytes());
        }
        self.events.push(event);
    }

    /// Everything to be written, the new state included.
    pub(crate) fn finish(mut self, state: &State) -> (Changes, Vec<Event>) {
        for (outpoint, entry) in std::mem::take(&mut self.coins) {
            let coin_key = rows::outpoint_key(&outpoint);
            let utxo_key = rows::utxo_key(&entry.script, &outpoint);
            match (entry.stored, entry.spent_by.is_some()) {
                (true, true) => {
                    self.changes.remove(rows::COINS, coin_key);
                    self.changes.remove(rows::UTXOS, utxo_key);
                }
                (false, false) => {
                    self.put(rows::COINS, coin_key, &entry.coin);
                    self.put(rows::UTXOS, utxo_key, &entry.coin.output.value.to_sat());
                }
                (true, false) | (false, true) => {}
            }
        }
        for (script, totals) in std::mem::take(&mut self.totals) {
            self.put(rows::TOTALS, Bytes::copy_from_slice(script.as_bytes()), &totals);
        }
        for (blob, row) in std::mem::take(&mut self.blobs) {
            self.put(rows::BLOBS, Bytes::copy_from_slice(blob.as_bytes()), &row);
        }
        for ((height, blob), is_made) in std::mem::take(&mut self.ends) {
            let key = rows::end_key(height, &blob);
            match is_made {
                true => self.changes.put(rows::BLOB_ENDS, key, rows::END_VALUE),
                false => self.changes.remove(rows::BLOB_ENDS, key),
            }
        }
        for (order, unsealed) in std::mem::take(&mut self.unsealed) {
            self.put(rows::UNSEALED, rows::number_key(order), &unsealed);
        }
        self.put(rows::STATE, rows::STATE_KEY, state);
        (self.changes, self.events)
    }
}

/// Whether Bitcoin Core keeps no coin for the output.
pub(crate) fn is_unspendable(script: &Script) -> bool {
    script.as_bytes().first() == Some(&OP_RETURN) || script.len() > SCRIPT_BYTES_MAX
}
