//! Calls about blocks, and about transactions and outputs by name.
//!
//! Source: Bitcoin Core, `src/rpc/blockchain.cpp`, `src/rpc/rawtransaction.cpp`.

use std::str::FromStr;

use bitcoin::BlockHash;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::ServiceFlags;
use ledger::mempool::RELAY_FEE;
use ledger::query;
use ledger::query::BlockRecord;
use serde_json::Value;
use serde_json::json;
use types::Height;

use crate::http::Found;
use crate::http::Place;
use crate::http::Reader;
use crate::http::View;
use crate::jsonrpc::Params;
use crate::jsonrpc::RpcError;
use crate::objects;

use super::methods::Refusal;
use super::methods::core_code;
use super::methods::read;
use super::methods::read_ledger;

/// What tools that ask for Core's version may rely on: that of 29.0.
const CORE_VERSION: u32 = 290_000;
const PROTOCOL_VERSION: u32 = 70_016;
const UNKNOWN_TRANSACTION: &str =
    "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";

pub(super) async fn blockchain_info(reader: &Reader) -> Result<Value, RpcError> {
    let bytes = reader.handle().store_bytes();
    read_ledger(reader, move |view| chain_info(view, bytes)).await
}

/// `getblockchaininfo`, and REST's `chaininfo`.
pub(super) fn chain_info(view: &View, size_on_disk: u64) -> Result<Value, Refusal> {
    let summary = view.summary()?;
    let tip = view.block(summary.tip.height)?.ok_or_else(unknown_block)?;
    let base = query::base(view.tables())?;
    let mut info = json!({
        "chain": "regtest",
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": tip.hash,
        "bits": format!("{:08x}", tip.header.bits.to_consensus()),
        "target": format!("{:064x}", tip.header.target()),
        "difficulty": objects::difficulty(),
        "time": tip.header.time,
        "mediantime": tip.median_time_past,
        "verificationprogress": 1.0,
        "initialblockdownload": false,
        "chainwork": objects::chain_work(tip.height),
        "size_on_disk": size_on_disk,
        "pruned": base.is_some(),
        "warnings": [],
    });
    if let Some(base) = base {
        info["pruneheight"] = json!(base.height.next());
        info["automatic_pruning"] = json!(false);
    }
    Ok(info)
}

pub(super) fn network_info(reader: &Reader) -> Value {
    let status = reader.handle().status();
    let connected = status.peers.iter().filter(|peer| peer.connected).count();
    let connections = connected.saturating_sub(usize::from(reader.handle().own().is_some()));
    let relay = objects::btc_per_kvb(RELAY_FEE);
    let services = objects::services(reader.handle());
    let kept = if services.has(ServiceFlags::NETWORK) { "NETWORK" } else { "NETWORK_LIMITED" };
    json!({
        "version": CORE_VERSION,
        "subversion": format!("/Meanwhile:{}/", env!("CARGO_PKG_VERSION")),
        "protocolversion": PROTOCOL_VERSION,
        "localservices": format!("{:016x}", services.to_u64()),
        "localservicesnames": [kept, "WITNESS"],
        "localrelay": true,
        "timeoffset": 0,
        "networkactive": true,
        "connections": connections,
        "connections_in": 0,
        "connections_out": connections,
        "networks": [],
        "relayfee": relay,
        "incrementalfee": relay,
        "localaddresses": [],
        "warnings": [],
    })
}

pub(super) async fn block_count(reader: &Reader) -> Result<Value, RpcError> {
    read_ledger(reader, |view| Ok(json!(view.summary()?.tip.height))).await
}

pub(super) async fn best_block_hash(reader: &Reader) -> Result<Value, RpcError> {
    read_ledger(reader, |view| Ok(json!(view.summary()?.tip.hash))).await
}

pub(super) async fn block_hash(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let height: i64 = params.required(0, "height")?;
    params.at_most(1)?;
    let out_of_range = || RpcError::new(core_code::INVALID_PARAMETER, "Block height out of range");
    let height = u32::try_from(height).map_err(|_| out_of_range())?;
    read_ledger(reader, move |view| {
        let block = view.block(Height::new(height))?.ok_or_else(out_of_range)?;
        Ok(json!(block.hash))
    })
    .await
}

pub(super) async fn block_header(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let hash: BlockHash = name(params, 0, "blockhash")?;
    let is_verbose = params.optional(1, "verbose")?.unwrap_or(true);
    params.at_most(2)?;
    read_ledger(reader, move |view| {
        let block = view.block_by_hash(&hash)?.ok_or_else(unknown_block)?;
        if !is_verbose {
            return Ok(json!(encode::serialize_hex(&block.header)));
        }
        header_json(view, &block)
    })
    .await
}

/// A header as `getblockheader` shows it.
pub(super) fn header_json(view: &View, block: &BlockRecord) -> Result<Value, Refusal> {
    let next = view.block(block.height.next())?.map(|next| next.hash);
    Ok(objects::header(block, next, view.summary()?.tip.height))
}

pub(super) async fn block(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let hash: BlockHash = name(params, 0, "blockhash")?;
    let verbosity = verbosity(params, 1, 1)?;
    params.at_most(2)?;
    read_ledger(reader, move |view| {
        let record = view.block_by_hash(&hash)?.ok_or_else(unknown_block)?;
        if verbosity <= 0 {
            let block = query::full_block(view.tables(), record.height)?;
            return Ok(json!(encode::serialize_hex(&block.ok_or_else(unknown_block)?)));
        }
        block_json(view, &record, verbosity)
    })
    .await
}

/// A block as `getblock` shows it from verbosity 1 on.
pub(super) fn block_json(
    view: &View,
    record: &BlockRecord,
    verbosity: i64,
) -> Result<Value, Refusal> {
    let block = query::full_block(view.tables(), record.height)?.ok_or_else(unknown_block)?;
    let mut object = header_json(view, record)?;
    let stripped = (block.weight().to_wu().saturating_sub(record.size)) / 3;
    object["strippedsize"] = json!(stripped);
    object["size"] = json!(record.size);
    object["weight"] = json!(record.weight);
    let mut shown = Vec::with_capacity(block.txdata.len());
    for transaction in &block.txdata {
        shown.push(match verbosity {
            1 => json!(transaction.compute_txid()),
            2 => {
                let prevouts = view.prevouts(transaction)?;
                let mut object = objects::transaction(transaction, Some(&prevouts));
                without_prevouts(&mut object);
                object
            }
            _ => objects::transaction(transaction, Some(&view.prevouts(transaction)?)),
        });
    }
    object["tx"] = json!(shown);
    Ok(object)
}

/// Verbosity 2 shows what a transaction pays, and not what its inputs spend.
fn without_prevouts(object: &mut Value) {
    let inputs = object.get_mut("vin").and_then(Value::as_array_mut);
    for input in inputs.into_iter().flatten().filter_map(Value::as_object_mut) {
        input.remove("prevout");
    }
}

pub(super) async fn output(reader: &Reader, params: &mut Params) -> Result<Value, RpcError> {
    let txid: Txid = name(params, 0, "txid")?;
    let vout: u32 = params.required(1, "n")?;
    let with_pool = params.optional(2, "include_mempool")?.unwrap_or(true);
    params.at_most(3)?;
    let outpoint = OutPoint { txid, vout };
    read(reader, move |view| {
        let tip = view.summary()?.tip;
        if with_pool && view.pool().spender(&outpoint).is_some() {
            return Ok(Value::Null);
        }
        let (output, found): (TxOut, Option<Found>) =
            match (query::coin(view.tables(), &outpoint)?, with_pool) {
                (Some(coin), _) => (coin.output, view.find(&txid)?),
                (None, true) => match view.pool().output(&outpoint) {
                    // What is final is asked in the ledger alone: there it was spent.
                    Some(output) if view.outcome(&txid)?.is_none() => (output.clone(), None),
                    _ => return Ok(Value::Null),
                },
                (None, false) => return Ok(Value::Null),
            };
        let height = found.as_ref().and_then(|found| found.place.height());
        if height.is_none() && !with_pool {
            return Ok(Value::Null);
        }
        Ok(json!({
            "bestblock": tip.hash,
            "confirmations": height.map_or(0, |height| objects::confirmations(height, tip.height)),
            "value": output.value.to_btc(),
            "scriptPubKey": objects::script(&output.script_pubkey),
            "coinbase": found.is_some_and(|found| found.transaction.is_coinbase()),
        }))
    })
    .await
}

pub(super) async fn raw_transaction(
    reader: &Reader,
    params: &mut Params,
) -> Result<Value, RpcError> {
    let txid: Txid = name(params, 0, "txid")?;
    let verbosity = verbosity(params, 1, 0)?;
    let within: Option<String> = params.optional(2, "blockhash")?;
    let within: Option<BlockHash> = within.map(|text| parsed(&text, "blockhash")).transpose()?;
    params.at_most(3)?;
    read(reader, move |view| {
        if let Some(hash) = &within
            && query::height(view.tables(), hash)?.is_none()
        {
            return Err(RpcError::new(core_code::NOT_FOUND, "Block hash not found").into());
        }
        let found = view.find(&txid)?.filter(|found| match (&within, found.place) {
            (None, _) => true,
            (Some(wanted), Place::Sealed { hash, .. }) => *wanted == hash,
            (Some(_), _) => false,
        });
        let found = found.ok_or_else(|| {
            let message = match within {
                None => UNKNOWN_TRANSACTION,
                Some(_) => {
                    "No such transaction found in the provided block. Use gettransaction \
                            for wallet transactions."
                }
            };
            RpcError::new(core_code::NOT_FOUND, message)
        })?;
        let tip = view.summary()?.tip.height;
        let mut object = match verbosity {
            i64::MIN..=0 => {
                return Ok(json!(encode::serialize_hex::<Transaction>(&found.transaction)));
            }
            1 => objects::found(&found, None, tip),
            _ => objects::found(&found, Some(&view.prevouts(&found.transaction)?), tip),
        };
        if within.is_some() {
            object["in_active_chain"] = json!(true);
        }
        Ok(object)
    })
    .await
}

/// How much is to be shown: a number, or as in older versions whether anything.
fn verbosity(params: &mut Params, place: usize, default: i64) -> Result<i64, RpcError> {
    let value: Option<Value> = match params.optional(place, "verbosity")? {
        None => params.optional(place, "verbose")?,
        some => some,
    };
    match value {
        None => Ok(default),
        Some(Value::Bool(flag)) => Ok(i64::from(flag)),
        Some(value) => value.as_i64().ok_or_else(|| {
            RpcError::new(core_code::TYPE, "JSON value is not of expected type number")
        }),
    }
}

/// A hash among the parameters, in Core's words when it is none.
pub(super) fn name<T: FromStr>(
    params: &mut Params,
    place: usize,
    what: &str,
) -> Result<T, RpcError> {
    let text: String = params.required(place, what)?;
    parsed(&text, what)
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, RpcError> {
    text.parse().map_err(|_| {
        let length = text.chars().count();
        let wanted = 2 * BlockHash::LEN;
        let message = if length == wanted {
            format!("{what} must be hexadecimal string (not '{text}')")
        } else {
            format!("{what} must be of length {wanted} (not {length}, for '{text}')")
        };
        RpcError::new(core_code::INVALID_PARAMETER, message)
    })
}

/// What Core says of a block that it does not know.
pub(super) fn unknown_block() -> RpcError {
    RpcError::new(core_code::NOT_FOUND, "Block not found")
}
