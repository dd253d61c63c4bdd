//! `bip341_wallet_vectors.json`: output scripts of trees, and a signed spend by key.

use bitcoin::OutPoint;
use bitcoin::ScriptBuf;
use bitcoin::TapNodeHash;
use bitcoin::TapSighashType;
use bitcoin::Transaction;
use bitcoin::TxOut;
use bitcoin::XOnlyPublicKey;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::sighash::Prevouts;
use bitcoin::sighash::SighashCache;
use bitcoin::taproot::LeafVersion;
use bitcoin::taproot::TaprootBuilder;
use serde_json::Value;

use crate::Failure;
use crate::asm::Flags;
use crate::data;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::vectors::Row;
use crate::vectors::Verdict;
use crate::vectors::judge;

const FILE: &str = "bip341_wallet_vectors.json";

pub(crate) fn run() -> Result<Tally, Failure> {
    let mut tally = Tally::new(FILE);
    let file = data::file(FILE)?;
    for case in list(&file["scriptPubKey"]) {
        check_output(&mut tally, case)?;
    }
    for case in list(&file["keyPathSpending"]) {
        check_spend(&mut tally, case)?;
    }
    Ok(tally)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<&str, Failure> {
    value.as_str().ok_or_else(|| format!("{value} is no text").into())
}

fn check_output(tally: &mut Tally, case: &Value) -> Result<(), Failure> {
    let secp = Secp256k1::new();
    let internal: XOnlyPublicKey = text(&case["given"]["internalPubkey"])?.parse()?;
    let tree = &case["given"]["scriptTree"];
    let expected = hex::decode(text(&case["expected"]["scriptPubKey"])?)?;
    if tree.is_null() {
        let script = ScriptBuf::new_p2tr(&secp, internal, None);
        tally.check(script.as_bytes() == expected, || case.to_string());
        return Ok(());
    }
    let builder = add(TaprootBuilder::new(), tree, 0)?;
    let spend = builder.finalize(&secp, internal).map_err(|_| "a tree is not whole")?;
    let script = ScriptBuf::new_p2tr_tweaked(spend.output_key());
    let blocks = list(&case["expected"]["scriptPathControlBlocks"]);
    let blocks = blocks.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let ours: Vec<String> = leaves(tree)?
        .into_iter()
        .filter_map(|leaf| spend.control_block(&leaf))
        .map(|block| hex::encode(block.serialize()))
        .collect();
    tally.check(script.as_bytes() == expected && ours == blocks, || case.to_string());
    Ok(())
}

fn leaf(tree: &Value) -> Result<(ScriptBuf, LeafVersion), Failure> {
    let script = ScriptBuf::from_bytes(hex::decode(text(&tree["script"])?)?);
    let version = tree["leafVersion"].as_u64().ok_or("a leaf without a version")?;
    Ok((script, LeafVersion::from_consensus(u8::try_from(version)?)?))
}

fn add(builder: TaprootBuilder, tree: &Value, depth: u8) -> Result<TaprootBuilder, Failure> {
    match tree {
        Value::Array(branches) => {
            branches.iter().try_fold(builder, |builder, branch| add(builder, branch, depth + 1))
        }
        tree => {
            let (script, version) = leaf(tree)?;
            Ok(builder.add_leaf_with_ver(depth, script, version)?)
        }
    }
}

fn leaves(tree: &Value) -> Result<Vec<(ScriptBuf, LeafVersion)>, Failure> {
    match tree {
        Value::Array(branches) => {
            let found = branches.iter().map(leaves).collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().flatten().collect())
        }
        tree => Ok(vec![leaf(tree)?]),
    }
}

fn check_spend(tally: &mut Tally, case: &Value) -> Result<(), Failure> {
    let mut outputs = Vec::new();
    for output in list(&case["given"]["utxosSpent"]) {
        let script_pubkey = ScriptBuf::from_bytes(hex::decode(text(&output["scriptPubKey"])?)?);
        let value = output["amountSats"].as_u64().ok_or("an amount is no number")?;
        outputs.push(TxOut { value: bitcoin::Amount::from_sat(value), script_pubkey });
    }
    let unsigned: Transaction = encode::deserialize_hex(text(&case["given"]["rawUnsignedTx"])?)?;
    for input in list(&case["inputSpending"]) {
        let given = &input["given"];
        let place = usize::try_from(given["txinIndex"].as_u64().ok_or("no input")?)?;
        let kind = u8::try_from(given["hashType"].as_u64().ok_or("no type")?)?;
        let digest = SighashCache::new(&unsigned).taproot_key_spend_signature_hash(
            place,
            &Prevouts::All(&outputs),
            TapSighashType::from_consensus_u8(kind)?,
        )?;
        let internal: XOnlyPublicKey = text(&input["intermediary"]["internalPubkey"])?.parse()?;
        let root = given["merkleRoot"].as_str().map(str::parse::<TapNodeHash>).transpose()?;
        let script = ScriptBuf::new_p2tr(&Secp256k1::new(), internal, root);
        let expected = text(&input["intermediary"]["sigHash"])?;
        let fits = hex::encode(digest.to_byte_array()) == expected
            && script == outputs.get(place).ok_or("no such output")?.script_pubkey;
        tally.check(fits, || input.to_string());
    }
    let transaction: Transaction =
        encode::deserialize_hex(text(&case["auxiliary"]["fullySignedTx"])?)?;
    let outpoints = transaction.input.iter().map(|input| input.previous_output);
    let spent: Vec<(OutPoint, TxOut)> = outpoints.zip(outputs).collect();
    let flags = Flags { consensus: Flags::all(), policy: Vec::new() };
    let name = "the signed transaction".to_owned();
    let row = Row { name, transaction, spent, flags, verdict: Verdict::Valid };
    judge(&mut Stage::new(), tally, &row);
    Ok(())
}
