//! Calls about what waits for a block: the pool, and what is final and not sealed.
//!
//! Source: Bitcoin Core, `src/rpc/mempool.cpp`, `src/rpc/fees.cpp`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::Transaction;
use bitcoin::Txid;
use ledger::mempool::POOL_BYTES_MAX;
use ledger::mempool::RELAY_FEE;
use ledger::query;
use serde_json::Value;
use serde_json::json;
use types::Height;

use crate::http;
use crate::http::Reader;
use crate::http::View;
use crate::jsonrpc::Params;
use crate::jsonrpc::RpcError;
use crate::objects;

use super::chain;
use super::methods::Refusal;
use super::methods::core_code;
use super::methods::read;
use super::methods::refused;

/// How many final, unsealed transactions are shown at most.
const UNSEALED_MAX: usize = 50_000;
/// The furthest block that a fee is estimated for, as in Core.
const TARGET_MAX: u16 = 1_008;
/// No transaction that signals this or more can be replaced, BIP 125.
const SEQUENCE_FINAL: u32 = 0xffff_fffe;

/// One transaction that waits.
struct Waiting {
    transaction: Arc<Transaction>,
    fee_sat: u64,
    vsize: u64,
    time: u64,
    /// Whether it is final: then nothing replaces it.
    is_final: bool,
}

pub(super) async fn info(reader: &Reader) -> Result<Value, RpcError> {
    let status = reader.handle().status();
    let usage = status.pool_bytes;
    read(reader, move |view| {
        let waiting = waiting(view)?;
        let fees = waiting.values().map(|one| one.fee_sat).fold(0, u64::saturating_add);
        let relay = objects::btc_per_kvb(RELAY_FEE);
        Ok(json!({
            "loaded": true,
            "size": waiting.len(),
            "bytes": waiting.values().map(|one| one.vsize).sum::<u64>(),
            "usage": usage,
            "total_fee": Amount::from_sat(fees).to_btc(),
            "maxmempool": POOL_BYTES_MAX,
            "mempoolminfee": relay,
            "minrelaytxfee": relay,
            "incrementalrelayfee": relay,
            "unbroadcastcount": 0,
            "fullrbf": true,
        }))
    })
    .await
}

pub(super) async fn list(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let is_verbose = params.optional(0, "verbose")?.unwrap_or(false);
    let with_sequence = params.optional(1, "mempool_sequence")?.unwrap_or(false);
    params.at_most(2)?;
    if is_verbose && with_sequence {
        return Err(RpcError::new(
            core_code::INVALID_PARAMETER,
            "Verbose results cannot contain mempool sequence values.",
        ));
    }
    read(reader, move |view| {
        let waiting = waiting(view)?;
        if is_verbose {
            let family = Family::of(&waiting, view.summary()?.tip.height);
            let entries =
                waiting.keys().filter_map(|txid| Some((txid.to_string(), family.entry(txid)?)));
            return Ok(Value::Object(entries.collect()));
        }
        let txids: Vec<&Txid> = waiting.keys().collect();
        if with_sequence {
            let sequence = view.summary()?.last_event;
            return Ok(json!({ "txids": txids, "mempool_sequence": sequence }));
        }
        Ok(json!(txids))
    })
    .await
}

pub(super) async fn entry(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let txid: Txid = chain::name(params, 0, "txid")?;
    params.at_most(1)?;
    read(reader, move |view| {
        let waiting = waiting(view)?;
        let entry = Family::of(&waiting, view.summary()?.tip.height).entry(&txid);
        entry
            .ok_or_else(|| RpcError::new(core_code::NOT_FOUND, "Transaction not in mempool").into())
    })
    .await
}

pub(super) async fn estimate(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let target: i64 = params.required(0, "conf_target")?;
    let _mode: Option<String> = params.optional(1, "estimate_mode")?;
    params.at_most(2)?;
    let target = u16::try_from(target).ok().filter(|target| (1..=TARGET_MAX).contains(target));
    let target = target.ok_or_else(|| {
        RpcError::new(
            core_code::INVALID_PARAMETER,
            format!("Invalid conf_target, must be between 1 and {TARGET_MAX}"),
        )
    })?;
    let rate = http::fee_rate(reader, target).await.map_err(|failure| refused(&failure))?;
    Ok(json!({ "feerate": objects::btc_per_kvb(rate), "blocks": target }))
}

/// Everything that waits for a block.
fn waiting(view: &View) -> Result<BTreeMap<Txid, Waiting>, Refusal> {
    let mut waiting = BTreeMap::new();
    let mut newest = u64::from(view.summary()?.tip.time);
    for entry in query::unsealed(view.tables(), 0, UNSEALED_MAX)? {
        let Some(record) = query::transaction(view.tables(), &entry.txid)? else { continue };
        let commit = query::commit(view.tables(), record.commit)?;
        let time = commit.map_or(newest, |commit| commit.timestamp.value() / 1_000);
        newest = newest.max(time);
        waiting.insert(
            entry.txid,
            Waiting {
                transaction: Arc::new(record.transaction),
                fee_sat: entry.fee_sat,
                vsize: entry.weight.div_ceil(4),
                time,
                is_final: true,
            },
        );
    }
    for pooled in view.pool().transactions() {
        if view.outcome(&pooled.txid)?.is_none() {
            waiting.insert(
                pooled.txid,
                Waiting {
                    transaction: Arc::clone(&pooled.transaction),
                    fee_sat: pooled.fee_sat,
                    vsize: pooled.vsize,
                    // Nobody agrees on when something came here: the last agreed time stands.
                    time: newest,
                    is_final: pooled.proposed,
                },
            );
        }
    }
    Ok(waiting)
}

/// What waits, with who spends whose outputs.
struct Family<'a> {
    tip: Height,
    waiting: &'a BTreeMap<Txid, Waiting>,
    children: BTreeMap<Txid, BTreeSet<Txid>>,
}

impl<'a> Family<'a> {
    fn of(waiting: &'a BTreeMap<Txid, Waiting>, tip: Height) -> Self {
        let mut children: BTreeMap<Txid, BTreeSet<Txid>> = BTreeMap::new();
        for (txid, one) in waiting {
            for input in &one.transaction.input {
                let parent = input.previous_output.txid;
                if waiting.contains_key(&parent) {
                    children.entry(parent).or_default().insert(*txid);
                }
            }
        }
        Self { tip, waiting, children }
    }

    fn parents(&self, txid: &Txid) -> BTreeSet<Txid> {
        let inputs = self.waiting.get(txid).into_iter().flat_map(|one| &one.transaction.input);
        let parents = inputs.map(|input| input.previous_output.txid);
        parents.filter(|parent| self.waiting.contains_key(parent)).collect()
    }

    fn children(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.children.get(txid).cloned().unwrap_or_default()
    }

    /// Everything that can be reached, the start included.
    fn closure(&self, start: &Txid, next: impl Fn(&Txid) -> BTreeSet<Txid>) -> Sum {
        let (mut open, mut found) = (vec![*start], BTreeSet::new());
        while let Some(txid) = open.pop() {
            if found.insert(txid) {
                open.extend(next(&txid));
            }
        }
        let members = found.iter().filter_map(|txid| self.waiting.get(txid));
        members.fold(Sum::default(), |sum, one| Sum {
            count: sum.count.saturating_add(1),
            vsize: sum.vsize.saturating_add(one.vsize),
            fee_sat: sum.fee_sat.saturating_add(one.fee_sat),
        })
    }

    fn entry(&self, txid: &Txid) -> Option<Value> {
        let one = self.waiting.get(txid)?;
        let (parents, children) = (self.parents(txid), self.children(txid));
        let above = self.closure(txid, |txid| self.parents(txid));
        let below = self.closure(txid, |txid| self.children(txid));
        let mut inputs = one.transaction.input.iter();
        let signals = inputs.any(|input| input.sequence.to_consensus_u32() < SEQUENCE_FINAL);
        let btc = |sat: u64| Amount::from_sat(sat).to_btc();
        Some(json!({
            "vsize": one.vsize,
            "weight": one.transaction.weight(),
            "time": one.time,
            "height": self.tip,
            "descendantcount": below.count,
            "descendantsize": below.vsize,
            "ancestorcount": above.count,
            "ancestorsize": above.vsize,
            "wtxid": one.transaction.compute_wtxid(),
            "fees": {
                "base": btc(one.fee_sat),
                "modified": btc(one.fee_sat),
                "ancestor": btc(above.fee_sat),
                "descendant": btc(below.fee_sat),
            },
            "depends": parents,
            "spentby": children,
            "bip125-replaceable": signals && !one.is_final,
            "unbroadcast": false,
        }))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    vsize: u64,
    fee_sat: u64,
}
