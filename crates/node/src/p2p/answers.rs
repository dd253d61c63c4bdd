//! What a peer is told of the chain: read from the ledger, bounded in number.

use std::collections::HashSet;

use bitcoin::Block;
use bitcoin::BlockHash;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::Witness;
use bitcoin::block::Header;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message_blockdata::Inventory;
use ledger::EventKind;
use ledger::Outcome;
use ledger::query;
use ledger::query::BlockRecord;
use types::Height;

use crate::http::Failure;
use crate::http::Reader;
use crate::http::View;

use super::ANNOUNCED_MAX;
use super::BLOCK_NAMES_MAX;
use super::BLOCKS_ANNOUNCED_MAX;
use super::HEADERS_MAX;
use super::LOCATOR_MAX;

/// Headers, and the height of the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// The headers, ascending.
    pub(super) headers: Vec<Header>,
    /// The height up to which the peer knows the chain once it has them.
    pub(super) height: Height,
}

/// What a peer is told of new blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Announcement {
    /// What comes behind the last one that it knows.
    Next(Headers),
    /// The newest one, whatever lies between.
    Newest {
        /// Its name.
        hash: BlockHash,
        /// Its height.
        height: Height,
    },
}

/// What happened since a peer was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The last event that was looked at.
    pub(super) event: u64,
    /// Whether more is in the log.
    pub(super) is_more: bool,
    /// Transactions that became final.
    pub(super) finals: Vec<Txid>,
}

/// With or without what BIP 144 added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With witnesses.
    Whole,
    /// Without.
    Stripped,
}

/// The headers behind the last one that a locator and this chain have in common.
pub(super) async fn headers(
    reader: &Reader,
    locator: Vec<BlockHash>,
    stop: BlockHash,
) -> Result<Headers, Failure> {
    let work = move |view: &View| {
        let known = fork(view, &locator)?;
        if locator.is_empty() {
            let block = view.block_by_hash(&stop)?;
            let height = block.map_or(known, |block| block.height);
            return Ok(Headers { headers: block.iter().map(|b| b.header).collect(), height });
        }
        let mut blocks = query::blocks(view.tables(), known.next(), HEADERS_MAX)?;
        cut(&mut blocks, &stop);
        let height = blocks.last().map_or(known, |block| block.height);
        Ok(Headers { headers: blocks.iter().map(|block| block.header).collect(), height })
    };
    reader.read_ledger(work).await
}

/// The names of blocks behind the last one that a locator and this chain have in common.
pub(super) async fn block_names(
    reader: &Reader,
    locator: Vec<BlockHash>,
    stop: BlockHash,
) -> Result<Vec<Inventory>, Failure> {
    let work = move |view: &View| {
        let known = fork(view, &locator)?;
        let mut blocks = query::blocks(view.tables(), known.next(), BLOCK_NAMES_MAX)?;
        cut(&mut blocks, &stop);
        Ok(blocks.iter().map(|block| Inventory::Block(block.hash)).collect())
    };
    reader.read_ledger(work).await
}

/// What a peer is to be told of blocks when it was told of the one at `told`: those behind the last
/// one that it knows, or, when it has not said what it knows or lies far behind, the name of the
/// newest alone. It then asks for what lies between.
pub(super) async fn new_blocks(
    reader: &Reader,
    known: Option<Height>,
    told: Height,
) -> Result<Option<Announcement>, Failure> {
    let work = move |view: &View| {
        let tip = view.summary()?.tip;
        if tip.height <= told {
            return Ok(None);
        }
        let near = known.filter(|known| tip.height.distance_from(*known) <= BLOCKS_ANNOUNCED_MAX);
        let Some(known) = near else {
            return Ok(Some(Announcement::Newest { hash: tip.hash, height: tip.height }));
        };
        let blocks = query::blocks(view.tables(), known.next(), HEADERS_MAX)?;
        let height = blocks.last().map_or(known, |block| block.height);
        let headers = blocks.iter().map(|block| block.header).collect();
        Ok(Some(Announcement::Next(Headers { headers, height })))
    };
    reader.read_ledger(work).await
}

/// What became final behind an event.
pub(super) async fn news(reader: &Reader, after: u64) -> Result<News, Failure> {
    let work = move |view: &View| {
        let events = query::events(view.tables(), after, ANNOUNCED_MAX)?;
        let event = events.last().map_or(after, |event| event.sequence);
        let is_more = events.len() == ANNOUNCED_MAX;
        let finals = events.into_iter().filter_map(|event| match event.kind {
            EventKind::Outcome { txid, outcome: Outcome::Final { .. } } => Some(txid),
            _ => None,
        });
        let mut news = News { event, is_more, finals: finals.collect() };
        // What a block has sealed meanwhile comes with the block.
        let mut waiting = Vec::with_capacity(news.finals.len());
        for txid in news.finals {
            if !view.is_sealed(&txid)? {
                waiting.push(txid);
            }
        }
        news.finals = waiting;
        Ok(news)
    };
    reader.read_ledger(work).await
}

/// A block, or none when there is no such.
pub(super) async fn block(
    reader: &Reader,
    hash: BlockHash,
    form: Form,
) -> Result<Option<Block>, Failure> {
    let work = move |view: &View| {
        let Some(height) = query::height(view.tables(), &hash)? else { return Ok(None) };
        let mut block = query::full_block(view.tables(), height)?;
        if form == Form::Stripped
            && let Some(block) = &mut block
        {
            block.txdata.iter_mut().for_each(strip);
        }
        Ok(block)
    };
    reader.read_ledger(work).await
}

/// A transaction that is in no block yet, or none: those in blocks are not relayed.
pub(super) async fn transaction(
    reader: &Reader,
    txid: Txid,
    form: Form,
) -> Result<Option<Transaction>, Failure> {
    let work = move |view: &View| {
        let found = view.find(&txid)?.filter(|found| found.place.height().is_none());
        let mut transaction = found.map(|found| found.transaction.as_ref().clone());
        if form == Form::Stripped
            && let Some(transaction) = &mut transaction
        {
            strip(transaction);
        }
        Ok(transaction)
    };
    reader.read_one(txid, work).await
}

/// Which of these transactions are neither known nor settled here.
pub(super) async fn unknown(reader: &Reader, txids: Vec<Txid>) -> Result<Vec<Txid>, Failure> {
    let work = move |view: &View| {
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for txid in txids {
            let is_new = view.pool().get(&txid).is_none() && view.outcome(&txid)?.is_none();
            if is_new && seen.insert(txid) {
                unknown.push(txid);
            }
        }
        Ok(unknown)
    };
    reader.read(work).await
}

/// The height of the last block that a locator and this chain have in common: at least genesis.
fn fork(view: &View, locator: &[BlockHash]) -> Result<Height, Failure> {
    for hash in locator.iter().take(LOCATOR_MAX) {
        if let Some(height) = query::height(view.tables(), hash)? {
            return Ok(height);
        }
    }
    Ok(Height::ZERO)
}

fn cut(blocks: &mut Vec<BlockRecord>, stop: &BlockHash) {
    if *stop != BlockHash::all_zeros()
        && let Some(place) = blocks.iter().position(|block| block.hash == *stop)
    {
        blocks.truncate(place + 1);
    }
}

fn strip(transaction: &mut Transaction) {
    for input in &mut transaction.input {
        input.witness = Witness::new();
    }
}
