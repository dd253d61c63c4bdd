//! What a script's history is to Electrum, and the status that stands for all of it.
//!
//! The status is SHA-256 over `txid:height:` of every transaction: sealed ones by their place in
//! the chain, then those that are final, then those of the pool, each group in a fixed order. The
//! answer to `get_history` lists them in the very same order, since clients compute the status from
//! it.
//!
//! **Invariant.** A sealed transaction stays where it is, so the sealed part is hashed once and
//! carried on: a new transaction costs what is new, however long the history is.
//!
//! Source: ElectrumX's documentation, Status; electrs, `src/status.rs`.

use std::fmt;
use std::fmt::Write as _;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use bitcoin::hashes::HashEngine as _;
use bitcoin::hashes::sha256;
use ledger::Place as InBlock;
use ledger::ScriptHash;
use ledger::query;
use ledger::query::HistoryEntry;
use types::table::TableFault;

use crate::http::View;

use super::HISTORY_MAX;
use super::POOLED_MAX;

/// How many entries are read at one time.
const PAGE: usize = 1_000;

/// Stands for the whole history of a script; none when there is no history.
pub(super) type Status = Option<sha256::Hash>;

/// One transaction of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The transaction.
    pub(super) txid: Txid,
    /// The height of its block; 0 when it is in none, -1 when it also spends what is not final.
    pub(super) height: i64,
    /// What it pays, in satoshi; none once it is sealed.
    pub(super) fee_sat: Option<u64>,
}

/// The history is longer than is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Follows the history of one script.
#[derive(Clone)]
pub(super) struct Follower {
    script: ScriptHash,
    /// Has taken in every sealed transaction up to `place`.
    engine: sha256::HashEngine,
    place: Option<(u32, u32)>,
    /// Every transaction below this number is taken in.
    from: u64,
}

/// Where a script stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its status.
    pub(super) status: Status,
    /// Whether something of it is final and waits for its block.
    pub(super) is_unsealed: bool,
    /// Whether something of it is in the pool.
    pub(super) is_pooled: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Follower").field("script", &self.script).finish_non_exhaustive()
    }
}

impl Follower {
    /// Follows from the very beginning.
    pub(super) fn new(script: ScriptHash) -> Self {
        Self { script, engine: sha256::HashEngine::default(), place: None, from: 0 }
    }

    /// Takes in what is new and says where the script stands.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn advance(&mut self, view: &View) -> Result<Standing, TableFault> {
        let first_unsealed = query::first_unsealed(view.tables())?;
        let (sealed, unsealed) = split(self.read_on(view)?);
        // A coinbase has a higher number than what was sealed before it and a lower place.
        let is_new = |place: &(u32, u32)| self.place.is_none_or(|known| *place > known);
        let sealed: Vec<_> = sealed.into_iter().filter(|(place, _)| is_new(place)).collect();
        for ((height, position), txid) in sealed {
            take(&mut self.engine, &txid, i64::from(height));
            self.place = Some((height, position));
        }
        self.from = first_unsealed;
        let mut engine = self.engine.clone();
        for entry in &unsealed {
            take(&mut engine, &entry.txid, 0);
        }
        let pooled = pooled(view, &self.script)?;
        for item in &pooled {
            take(&mut engine, &item.txid, item.height);
        }
        let is_empty = self.place.is_none() && unsealed.is_empty() && pooled.is_empty();
        Ok(Standing {
            status: (!is_empty).then(|| sha256::Hash::from_engine(engine)),
            is_unsealed: !unsealed.is_empty(),
            is_pooled: !pooled.is_empty(),
        })
    }

    fn read_on(&self, view: &View) -> Result<Vec<HistoryEntry>, TableFault> {
        let (mut entries, mut from) = (Vec::new(), self.from);
        loop {
            let page = query::history_from(view.tables(), &self.script, from, PAGE)?;
            let is_last = page.len() < PAGE;
            from = page.last().map_or(from, |entry| entry.order.saturating_add(1));
            entries.extend(page);
            if is_last {
                return Ok(entries);
            }
        }
    }
}

/// Everything about a script, in the order of its status.
///
/// # Errors
/// When the store fails. The inner error: when it is more than [`HISTORY_MAX`].
pub(super) fn whole(
    view: &View,
    script: &ScriptHash,
) -> Result<Result<Vec<Item>, TooLong>, TableFault> {
    let entries = query::history_from(view.tables(), script, 0, HISTORY_MAX.saturating_add(1))?;
    if entries.len() > HISTORY_MAX {
        return Ok(Err(TooLong));
    }
    let (sealed, unsealed) = split(entries);
    let sealed = sealed.into_iter();
    let mut items: Vec<Item> = sealed
        .map(|((height, _), txid)| Item { txid, height: i64::from(height), fee_sat: None })
        .collect();
    items.extend(waiting(view, script, &unsealed)?);
    Ok(Ok(items))
}

/// Holds a history against the bound.
///
/// # Errors
/// When the store fails. The inner error: when it is more than [`HISTORY_MAX`].
pub(super) fn check_length(
    view: &View,
    script: &ScriptHash,
) -> Result<Result<(), TooLong>, TableFault> {
    let stats = query::script_stats(view.tables(), script)?;
    let all = stats.sealed.transactions.saturating_add(stats.unsealed.transactions);
    let fits = usize::try_from(all).is_ok_and(|all| all <= HISTORY_MAX);
    Ok(if fits { Ok(()) } else { Err(TooLong) })
}

/// What is in no block yet, in the order of the status.
///
/// # Errors
/// When the store fails.
pub(super) fn unconfirmed(view: &View, script: &ScriptHash) -> Result<Vec<Item>, TableFault> {
    waiting(view, script, &query::unsealed_history(view.tables(), script)?)
}

fn waiting(
    view: &View,
    script: &ScriptHash,
    unsealed: &[HistoryEntry],
) -> Result<Vec<Item>, TableFault> {
    let mut items = Vec::with_capacity(unsealed.len());
    for entry in unsealed {
        let row = query::unsealed(view.tables(), entry.order, 1)?;
        let fee_sat = row.first().map_or(0, |row| row.fee_sat);
        items.push(Item { txid: entry.txid, height: 0, fee_sat: Some(fee_sat) });
    }
    items.extend(pooled(view, script)?);
    Ok(items)
}

/// The transactions of the pool, the oldest first.
fn pooled(view: &View, script: &ScriptHash) -> Result<Vec<Item>, TableFault> {
    let mut items = Vec::new();
    for txid in view.pooled(script, POOLED_MAX)?.iter().rev() {
        let Some(pooled) = view.pool().get(txid) else { continue };
        let mut parents = pooled.transaction.input.iter().map(|input| input.previous_output.txid);
        let waits = parents.any(|parent| view.pool().get(&parent).is_some());
        let height = if waits { -1 } else { 0 };
        items.push(Item { txid: *txid, height, fee_sat: Some(pooled.fee_sat) });
    }
    Ok(items)
}

type Sealed = ((u32, u32), Txid);

/// Sealed transactions by their place in the chain, and the others in the order they have.
fn split(entries: Vec<HistoryEntry>) -> (Vec<Sealed>, Vec<HistoryEntry>) {
    let mut sealed = Vec::with_capacity(entries.len());
    let mut unsealed = Vec::new();
    for entry in entries {
        match entry.place {
            Some(InBlock { height, position }) => {
                sealed.push(((height.value(), position), entry.txid));
            }
            None => unsealed.push(entry),
        }
    }
    sealed.sort_unstable();
    (sealed, unsealed)
}

fn take(engine: &mut sha256::HashEngine, txid: &Txid, height: i64) {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write!(text, "{txid}:{height}:");
    engine.input(text.as_bytes());
}

/// The status of a history that was told, as a client computes it.
#[cfg(test)]
pub(super) fn status_of(items: &[Item]) -> Status {
    let mut engine = sha256::HashEngine::default();
    for item in items {
        take(&mut engine, &item.txid, item.height);
    }
    (!items.is_empty()).then(|| sha256::Hash::from_engine(engine))
}
