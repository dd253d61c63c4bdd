//! Transactions, headers and blocks in JSON as Bitcoin Core shows them.
//!
//! Left out against Core: `desc` of a script, which no client of ours reads, and the names of
//! signature hash types in `asm`.
//!
//! Source: Bitcoin Core, `src/core_write.cpp`, `src/rpc/blockchain.cpp`.

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::Opcode;
use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::consensus::encode;
use bitcoin::opcodes::all as opcodes;
use bitcoin::p2p::ServiceFlags;
use bitcoin::script::Instruction;
use bitcoin::script::read_scriptint;
use ledger::mempool::FeeRate;
use ledger::query::BlockRecord;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use types::Height;

use crate::handle::Handle;
use crate::http::Found;
use crate::http::NETWORK;
use crate::http::Place;

/// The longest push that is shown as a number.
const NUMBER_BYTES_MAX: usize = 4;
/// Every block here meets this target, the easiest there is.
const DIFFICULTY: f64 = 4.656_542_373_906_925e-10;

/// What a node offers to others of Bitcoin's network: everything, or, where it began with a snapshot,
/// the newest blocks only (BIP 159).
pub(crate) fn services(handle: &Handle) -> ServiceFlags {
    let kept = match handle.base() {
        None => ServiceFlags::NETWORK,
        Some(_) => ServiceFlags::NETWORK_LIMITED,
    };
    kept | ServiceFlags::WITNESS
}

/// A transaction as `getrawtransaction` shows it: with `prevouts`, also what its inputs spend and
/// what it pays.
pub(crate) fn transaction(transaction: &Transaction, prevouts: Option<&[Option<TxOut>]>) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("txid", json!(transaction.compute_txid()));
    set("hash", json!(transaction.compute_wtxid()));
    set("version", json!(transaction.version.0));
    set("size", json!(transaction.total_size()));
    set("vsize", json!(transaction.vsize()));
    set("weight", json!(transaction.weight()));
    set("locktime", json!(transaction.lock_time.to_consensus_u32()));
    let inputs = (0..transaction.input.len()).map(|place| {
        let prevout = prevouts.and_then(|prevouts| prevouts.get(place)?.as_ref());
        input(transaction, place, prevout)
    });
    set("vin", inputs.collect());
    let outputs = transaction.output.iter().zip(0_u32..);
    let outputs = outputs.map(|(output, n)| {
        json!({
            "value": output.value.to_btc(),
            "n": n,
            "scriptPubKey": script(&output.script_pubkey),
        })
    });
    set("vout", outputs.collect());
    if let Some(fee) = prevouts.and_then(|prevouts| fee(transaction, prevouts)) {
        set("fee", json!(fee.to_btc()));
    }
    set("hex", json!(encode::serialize_hex(transaction)));
    Value::Object(object)
}

/// A transaction with where it stands, as `getrawtransaction` shows one that it looked up.
pub(crate) fn found(found: &Found, prevouts: Option<&[Option<TxOut>]>, tip: Height) -> Value {
    let mut object = transaction(&found.transaction, prevouts);
    if let Place::Sealed { height, hash, time, .. } = found.place {
        object["blockhash"] = json!(hash);
        object["confirmations"] = json!(confirmations(height, tip));
        object["time"] = json!(time);
        object["blocktime"] = json!(time);
    }
    object
}

/// A header as `getblockheader` shows it.
pub(crate) fn header(block: &BlockRecord, next: Option<BlockHash>, tip: Height) -> Value {
    let header = &block.header;
    let mut object = json!({
        "hash": block.hash,
        "confirmations": confirmations(block.height, tip),
        "height": block.height,
        "version": header.version.to_consensus(),
        "versionHex": format!("{:08x}", header.version.to_consensus()),
        "merkleroot": header.merkle_root,
        "time": header.time,
        "mediantime": block.median_time_past,
        "nonce": header.nonce,
        "bits": format!("{:08x}", header.bits.to_consensus()),
        "target": format!("{:064x}", header.target()),
        "difficulty": DIFFICULTY,
        "chainwork": chain_work(block.height),
        "nTx": block.transactions,
    });
    if block.height > Height::ZERO {
        object["previousblockhash"] = json!(header.prev_blockhash);
    }
    if let Some(next) = next {
        object["nextblockhash"] = json!(next);
    }
    object
}

/// The work in the chain up to a height: two hashes a block, as the easiest target takes.
pub(crate) fn chain_work(height: Height) -> String {
    format!("{:064x}", (u128::from(height.value()) + 1) * 2)
}

/// How difficult blocks are, as Core counts it.
pub(crate) const fn difficulty() -> f64 {
    DIFFICULTY
}

/// A fee rate as Core writes it, in bitcoin a thousand virtual bytes.
pub(crate) fn btc_per_kvb(rate: FeeRate) -> f64 {
    Amount::from_sat(rate.sat_per_kvb()).to_btc()
}

/// How many blocks stand on a block, itself counted.
pub(crate) fn confirmations(height: Height, tip: Height) -> u64 {
    u64::from(tip.distance_from(height)) + 1
}

/// An output's script.
pub(crate) fn script(script: &Script) -> Value {
    let mut object = json!({
        "asm": asm(script),
        "hex": script.to_hex_string(),
        "type": kind(script),
    });
    if let Ok(address) = Address::from_script(script, NETWORK) {
        object["address"] = json!(address);
    }
    object
}

fn input(transaction: &Transaction, place: usize, prevout: Option<&TxOut>) -> Value {
    let Some(input) = transaction.input.get(place) else { return Value::Null };
    let mut object = if transaction.is_coinbase() {
        json!({ "coinbase": input.script_sig.to_hex_string() })
    } else {
        json!({
            "txid": input.previous_output.txid,
            "vout": input.previous_output.vout,
            "scriptSig": {
                "asm": asm(&input.script_sig),
                "hex": input.script_sig.to_hex_string(),
            },
        })
    };
    if !input.witness.is_empty() {
        object["txinwitness"] = input.witness.iter().map(hex::encode).collect();
    }
    if let Some(prevout) = prevout {
        object["prevout"] = json!({
            "value": prevout.value.to_btc(),
            "scriptPubKey": script(&prevout.script_pubkey),
        });
    }
    object["sequence"] = json!(input.sequence);
    object
}

/// What a transaction pays, when everything that it spends is known.
fn fee(transaction: &Transaction, prevouts: &[Option<TxOut>]) -> Option<Amount> {
    if transaction.is_coinbase() {
        return None;
    }
    let mut spent = prevouts.iter().map(|output| Some(output.as_ref()?.value.to_sat()));
    let spent = spent.try_fold(0_u64, |sum, value| sum.checked_add(value?))?;
    let paid = transaction.output.iter().map(|output| output.value.to_sat());
    spent.checked_sub(paid.fold(0, u64::saturating_add)).map(Amount::from_sat)
}

/// What kind of script, in Core's words.
fn kind(script: &Script) -> &'static str {
    if script.is_p2pkh() {
        "pubkeyhash"
    } else if script.is_p2sh() {
        "scripthash"
    } else if script.is_p2wpkh() {
        "witness_v0_keyhash"
    } else if script.is_p2wsh() {
        "witness_v0_scripthash"
    } else if script.is_p2tr() {
        "witness_v1_taproot"
    } else if script.as_bytes() == [0x51, 0x02, 0x4e, 0x73] {
        "anchor"
    } else if script.is_witness_program() {
        "witness_unknown"
    } else if script.is_op_return() {
        "nulldata"
    } else if script.is_p2pk() {
        "pubkey"
    } else if script.is_multisig() {
        "multisig"
    } else {
        "nonstandard"
    }
}

/// A script in words.
fn asm(script: &Script) -> String {
    let mut words = Vec::new();
    for instruction in script.instructions() {
        words.push(match instruction {
            Ok(Instruction::PushBytes(bytes)) if bytes.len() <= NUMBER_BYTES_MAX => {
                // As Core does, a number need not be written in the shortest way here.
                let number = read_scriptint(bytes.as_bytes());
                number.map_or_else(|_| hex::encode(bytes.as_bytes()), |number| number.to_string())
            }
            Ok(Instruction::PushBytes(bytes)) => hex::encode(bytes.as_bytes()),
            Ok(Instruction::Op(opcode)) => word(opcode),
            Err(_) => {
                words.push("[error]".to_owned());
                break;
            }
        });
    }
    words.join(" ")
}

fn word(opcode: Opcode) -> String {
    match opcode {
        opcodes::OP_PUSHNUM_NEG1 => "-1".to_owned(),
        opcodes::OP_CLTV => "OP_CHECKLOCKTIMEVERIFY".to_owned(),
        opcodes::OP_CSV => "OP_CHECKSEQUENCEVERIFY".to_owned(),
        opcode => {
            let name = opcode.to_string();
            name.strip_prefix("OP_PUSHNUM_").map_or(name.clone(), str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;
    use bitcoin::hashes::Hash as _;

    use super::*;

    #[test]
    fn scripts_read_as_core_writes_them() {
        let rows = [
            ("51", "1", "nonstandard"),
            ("4f", "-1", "nonstandard"),
            ("00", "0", "nonstandard"),
            ("51024e73", "1 29518", "anchor"),
            ("6a03aabbcc", "OP_RETURN -5028778", "nulldata"),
            ("6a05aabbccddee", "OP_RETURN aabbccddee", "nulldata"),
            ("b1b2", "OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY", "nonstandard"),
            ("05aa", "[error]", "nonstandard"),
        ];
        for (hex, words, kind) in rows {
            let object = script(&ScriptBuf::from_hex(hex).unwrap());
            assert_eq!((&object["asm"], &object["type"]), (&json!(words), &json!(kind)), "{hex}");
        }
        let pays = ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::all_zeros());
        let object = script(&pays);
        assert_eq!(object["asm"], format!("0 {}", "00".repeat(20)));
        assert_eq!(object["type"], "witness_v0_keyhash");
        assert!(object["address"].as_str().unwrap().starts_with("bcrt1q"));
    }

    #[test]
    fn the_genesis_coinbase_reads_as_core_writes_it() {
        let block = bitcoin::constants::genesis_block(NETWORK);
        let object = transaction(&block.txdata[0], Some(&[None]));
        assert_eq!(object["vin"][0]["sequence"], u32::MAX);
        assert!(object["vin"][0]["coinbase"].is_string() && object["vin"][0]["txid"].is_null());
        assert_eq!(object["vout"][0]["value"], 50.0);
        assert_eq!(object["vout"][0]["scriptPubKey"]["type"], "pubkey");
        assert!(object["fee"].is_null());
        let tip = Height::new(9);
        assert_eq!(confirmations(Height::ZERO, tip), 10);
        assert_eq!(chain_work(Height::new(1)), format!("{:064x}", 4));
    }
}
