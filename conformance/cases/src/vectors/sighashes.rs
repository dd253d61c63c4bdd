//! `sighash.json`: digests that signatures of the oldest kind sign.
//!
//! These rows have no spend to judge: they are held against the digests that our own signers take.
//! Their scripts hold OP_CODESEPARATOR, which a signer never does and the engine removes.

use bitcoin::ScriptBuf;
use bitcoin::Transaction;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::opcodes::all::OP_CODESEPARATOR;
use bitcoin::script::Instruction;
use bitcoin::sighash::SighashCache;
use serde_json::Value;

use crate::Failure;
use crate::data;
use crate::tally::Tally;

pub(crate) fn run() -> Result<Tally, Failure> {
    let mut tally = Tally::new("sighash.json");
    for row in data::rows("sighash.json")? {
        let [raw, script, input, kind, expected] = row.as_slice() else {
            return Err("a row of another form".into());
        };
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a field is no text");
        let transaction: Transaction = encode::deserialize_hex(&text(raw)?)?;
        let script = without_separators(&hex::decode(text(script)?)?);
        let input = input.as_u64().map(usize::try_from).ok_or("no input")??;
        let kind = kind.as_i64().and_then(|kind| i32::try_from(kind).ok()).ok_or("no type")?;
        let digest = SighashCache::new(&transaction).legacy_signature_hash(
            input,
            &script,
            kind.cast_unsigned(),
        )?;
        let mut digest = digest.to_byte_array();
        digest.reverse();
        let expected = text(expected)?;
        tally.check(hex::encode(digest) == expected, || Value::from(row.clone()).to_string());
    }
    Ok(tally)
}

/// The script without its separators; what stands behind a broken push stays as it is.
fn without_separators(script: &[u8]) -> ScriptBuf {
    let script = ScriptBuf::from_bytes(script.to_vec());
    let mut kept = Vec::new();
    let mut end = 0;
    for item in script.instruction_indices() {
        let Ok((start, instruction)) = item else { break };
        kept.extend_from_slice(&script.as_bytes()[end.min(start)..start]);
        end = start;
        if matches!(instruction, Instruction::Op(opcode) if opcode == OP_CODESEPARATOR) {
            end = start + 1;
        }
    }
    kept.extend_from_slice(&script.as_bytes()[end..]);
    ScriptBuf::from_bytes(kept)
}
