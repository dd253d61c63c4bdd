//! The ledger and the pool at one moment, as the routes ask for them.
//!
//! **Invariant.** The ledger is asked before the pool: what is in both counts as final.

use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::Txid;
use client::esplora;
use client::esplora::BlockFacts;
use ledger::Outcome;
use ledger::Place as InBlock;
use ledger::ScriptHash;
use ledger::query;
use ledger::query::BlockRecord;
use ledger::query::HistoryEntry;
use ledger::query::Summary;
use ledger::query::TransactionRecord;
use types::CommitIndex;
use types::Height;
use types::table::TableFault;
use types::table::TableRead;

use super::failure::Failure;
use super::parse::NETWORK;
use super::pool::Pool;

/// One moment of the ledger and the pool.
pub(crate) struct View {
    read: Arc<dyn TableRead + Send + Sync>,
    pool: Arc<Pool>,
}

/// A transaction and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The transaction.
    pub(crate) transaction: Arc<Transaction>,
    /// Where it stands.
    pub(crate) place: Place,
}

/// An output of a script that may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unspent {
    /// Which output.
    pub(crate) outpoint: OutPoint,
    /// How much it holds.
    pub(crate) value: Amount,
    /// Where the transaction that made it stands.
    pub(crate) place: Place,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this node's pool.
    Pool {
        /// Whether a vertex carries it already.
        proposed: bool,
    },
    /// Final, and not in a block yet.
    Final {
        /// The commit that made it final.
        commit: CommitIndex,
    },
    /// In a block.
    Sealed {
        /// The commit that made it final.
        commit: CommitIndex,
        /// The height of the block.
        height: Height,
        /// Its place in the block, from 0.
        position: u32,
        /// The hash of the block.
        hash: BlockHash,
        /// The time of the block, in seconds.
        time: u32,
    },
}

impl Place {
    /// As Esplora says it, with our own fields.
    pub(crate) fn status(&self) -> esplora::Status {
        match *self {
            Self::Pool { .. } => esplora::Status::default(),
            Self::Final { commit } => esplora::Status {
                is_final: true,
                commit: Some(commit),
                ..esplora::Status::default()
            },
            Self::Sealed { commit, height, hash, time, .. } => esplora::Status {
                confirmed: true,
                block_height: Some(height.value()),
                block_hash: Some(hash),
                block_time: Some(time),
                is_final: true,
                commit: Some(commit),
            },
        }
    }

    /// The commit that made it final.
    pub(crate) fn commit(&self) -> Option<CommitIndex> {
        match *self {
            Self::Pool { .. } => None,
            Self::Final { commit } | Self::Sealed { commit, .. } => Some(commit),
        }
    }

    /// The height of its block.
    pub(crate) fn height(&self) -> Option<Height> {
        match *self {
            Self::Pool { .. } | Self::Final { .. } => None,
            Self::Sealed { height, .. } => Some(height),
        }
    }
}

impl View {
    /// Joins the two. `pool` was fetched before `read` was taken.
    pub(crate) fn new(read: Arc<dyn TableRead + Send + Sync>, pool: Arc<Pool>) -> Self {
        Self { read, pool }
    }

    /// The tables, for what this type has no word for.
    pub(crate) fn tables(&self) -> &dyn TableRead {
        self.read.as_ref()
    }

    /// The pool.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where the ledger stands.
    pub(crate) fn summary(&self) -> Result<Summary, Failure> {
        query::summary(self.tables())?
            .ok_or_else(|| Failure::unavailable("the ledger is not open yet"))
    }

    /// A transaction, wherever it stands.
    pub(crate) fn find(&self, txid: &Txid) -> Result<Option<Found>, TableFault> {
        if let Some(record) = query::transaction(self.tables(), txid)? {
            return self.of_record(record).map(Some);
        }
        Ok(self.pool.get(txid).map(|pooled| Found {
            transaction: Arc::clone(&pooled.transaction),
            place: Place::Pool { proposed: pooled.proposed },
        }))
    }

    fn of_record(&self, record: TransactionRecord) -> Result<Found, TableFault> {
        let place = self.place(record.commit, record.place)?;
        Ok(Found { transaction: Arc::new(record.transaction), place })
    }

    /// Where a final transaction stands.
    pub(crate) fn place(
        &self,
        commit: CommitIndex,
        sealed: Option<InBlock>,
    ) -> Result<Place, TableFault> {
        let block = sealed.map(|sealed| query::block(self.tables(), sealed.height)).transpose()?;
        Ok(match (sealed, block.flatten()) {
            (Some(sealed), Some(block)) => Place::Sealed {
                commit,
                height: sealed.height,
                position: sealed.position,
                hash: block.hash,
                time: block.header.time,
            },
            _ => Place::Final { commit },
        })
    }

    /// Whether a block holds a transaction.
    pub(crate) fn is_sealed(&self, txid: &Txid) -> Result<bool, TableFault> {
        Ok(query::place(self.tables(), txid)?.is_some())
    }

    /// The outcome of a txid.
    pub(crate) fn outcome(&self, txid: &Txid) -> Result<Option<Outcome>, TableFault> {
        query::outcome(self.tables(), txid)
    }

    /// What an input spends, if that is known here.
    pub(crate) fn prevout(&self, outpoint: &OutPoint) -> Result<Option<TxOut>, TableFault> {
        if outpoint.is_null() {
            return Ok(None);
        }
        let output = query::output(self.tables(), outpoint)?;
        Ok(output.or_else(|| self.pool.output(outpoint).cloned()))
    }

    /// What the inputs of a transaction spend, in order. Inputs of one parent are often
    /// neighbours: it is decoded once for a row of them.
    pub(crate) fn prevouts(
        &self,
        transaction: &Transaction,
    ) -> Result<Vec<Option<TxOut>>, TableFault> {
        let mut parent: Option<(Txid, Option<Found>)> = None;
        let mut outputs = Vec::with_capacity(transaction.input.len());
        for input in &transaction.input {
            let OutPoint { txid, vout } = input.previous_output;
            if input.previous_output.is_null() {
                outputs.push(None);
                continue;
            }
            if parent.as_ref().is_none_or(|(known, _)| *known != txid) {
                parent = Some((txid, self.find(&txid)?));
            }
            let found = parent.as_ref().and_then(|(_, found)| found.as_ref());
            let place = usize::try_from(vout).unwrap_or(usize::MAX);
            outputs.push(found.and_then(|found| found.transaction.output.get(place).cloned()));
        }
        Ok(outputs)
    }

    /// Which transaction spends an output, with which input.
    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Result<Option<(Txid, u32)>, TableFault> {
        let spender = query::spender(self.tables(), outpoint)?;
        let spender = spender.map(|spender| (spender.txid, spender.input));
        Ok(spender.or_else(|| self.pool.spender(outpoint)))
    }

    /// A transaction as Esplora shows it.
    pub(crate) fn transaction_json(
        &self,
        found: &Found,
    ) -> Result<esplora::Transaction, TableFault> {
        let prevouts = self.prevouts(&found.transaction)?;
        let status = found.place.status();
        Ok(esplora::Transaction::new(&found.transaction, &prevouts, NETWORK, status))
    }

    /// Transactions by their ids, as Esplora shows them. One that is not known is left out.
    pub(crate) fn transactions_json(
        &self,
        txids: impl IntoIterator<Item = Txid>,
    ) -> Result<Vec<esplora::Transaction>, TableFault> {
        let mut transactions = Vec::new();
        for txid in txids {
            if let Some(found) = self.find(&txid)? {
                transactions.push(self.transaction_json(&found)?);
            }
        }
        Ok(transactions)
    }

    /// A block, without its transactions.
    pub(crate) fn block(&self, height: Height) -> Result<Option<BlockRecord>, TableFault> {
        query::block(self.tables(), height)
    }

    /// A block, without its transactions.
    pub(crate) fn block_by_hash(
        &self,
        hash: &BlockHash,
    ) -> Result<Option<BlockRecord>, TableFault> {
        query::block_by_hash(self.tables(), hash)
    }

    /// The txids of the pool that touch a script, the newest first, at most `limit`. What is final
    /// by now is left out.
    pub(crate) fn pooled(
        &self,
        script: &ScriptHash,
        limit: usize,
    ) -> Result<Vec<Txid>, TableFault> {
        let mut txids = Vec::new();
        for pooled in self.pool.touching(script, |outpoint| self.prevout(outpoint))?.iter().rev() {
            if txids.len() == limit {
                break;
            }
            if self.outcome(&pooled.txid)?.is_none() {
                txids.push(pooled.txid);
            }
        }
        Ok(txids)
    }

    /// The scripts that anything in the pool touches.
    pub(crate) fn pooled_scripts(&self) -> Result<Vec<ScriptHash>, TableFault> {
        Ok(self.pool.scripts(|outpoint| self.prevout(outpoint))?.copied().collect())
    }

    /// Every output of a script that may be spent, less what the pool spends, and what the pool
    /// makes; none when the ledger alone has more than `limit`.
    pub(crate) fn unspent(
        &self,
        script: &ScriptHash,
        limit: usize,
    ) -> Result<Option<Vec<Unspent>>, TableFault> {
        let coins = query::utxos(self.tables(), script, None, limit.saturating_add(1))?;
        if coins.len() > limit {
            return Ok(None);
        }
        let mut unspent = Vec::with_capacity(coins.len());
        for coin in coins.iter().filter(|coin| self.pool.spender(&coin.outpoint).is_none()) {
            // Final outputs are all that the ledger lists, so the transaction is there.
            let Some(found) = self.find(&coin.outpoint.txid)? else { continue };
            let value = Amount::from_sat(coin.amount_sat);
            unspent.push(Unspent { outpoint: coin.outpoint, value, place: found.place });
        }
        for txid in self.pooled(script, esplora::MEMPOOL_TXS_MAX)? {
            let Some(found) = self.find(&txid)? else { continue };
            for (output, vout) in found.transaction.output.iter().zip(0_u32..) {
                let outpoint = OutPoint { txid, vout };
                let is_own = ScriptHash::of(&output.script_pubkey) == *script;
                if is_own && self.pool.spender(&outpoint).is_none() {
                    unspent.push(Unspent { outpoint, value: output.value, place: found.place });
                }
            }
        }
        Ok(Some(unspent))
    }

    /// The final, unsealed transactions of a script, the newest first.
    pub(crate) fn unsealed(&self, script: &ScriptHash) -> Result<Vec<HistoryEntry>, TableFault> {
        let mut entries = query::unsealed_history(self.tables(), script)?;
        entries.reverse();
        Ok(entries)
    }
}

/// A block as Esplora shows it.
pub(crate) fn block_json(record: &BlockRecord) -> esplora::Block {
    esplora::Block::new(
        &record.header,
        BlockFacts {
            height: record.height.value(),
            tx_count: record.transactions,
            size: u32::try_from(record.size).unwrap_or(u32::MAX),
            weight: record.weight,
            mediantime: record.median_time_past,
        },
    )
}
