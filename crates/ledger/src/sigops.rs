//! Counts signature operations exactly as Bitcoin Core does.
//!
//! The library's own count forgets less than Core between two operations and so differs on odd
//! scripts; a block that Core refuses would be the price.
//!
//! Source: BIP 141, Sigops; Core's `GetSigOpCount`, `CountWitnessSigOps`.

use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::opcodes::all::OP_CHECKMULTISIGVERIFY;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::opcodes::all::OP_CHECKSIGVERIFY;
use bitcoin::script::Instruction;

const WITNESS_SCALE: u64 = 4;
const KEYS_PER_MULTISIG: u64 = 20;
const OP_1: u8 = 0x51;
const OP_16: u8 = 0x60;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    /// Every CHECKMULTISIG counts 20.
    Legacy,
    /// A CHECKMULTISIG behind OP_n counts n.
    Accurate,
}

/// What a transaction costs that spends these outputs, one an input.
pub(crate) fn cost<'a>(transaction: &Transaction, spent: impl Iterator<Item = &'a TxOut>) -> u64 {
    let mut cost = legacy_cost(transaction);
    for (input, output) in transaction.input.iter().zip(spent) {
        let script = &output.script_pubkey;
        if script.is_p2sh() {
            let Some(redeem) = last_push(&input.script_sig) else { continue };
            cost += WITNESS_SCALE * count(redeem, Count::Accurate);
            cost += witness_count(redeem, input);
        } else {
            cost += witness_count(script, input);
        }
    }
    cost
}

/// What a transaction costs without regard to what it spends.
pub(crate) fn legacy_cost(transaction: &Transaction) -> u64 {
    let inputs = transaction.input.iter().map(|input| script_cost(&input.script_sig));
    let outputs = transaction.output.iter().map(|output| script_cost(&output.script_pubkey));
    inputs.chain(outputs).sum()
}

/// What a script costs where it stands in an output.
pub(crate) fn script_cost(script: &Script) -> u64 {
    WITNESS_SCALE * count(script, Count::Legacy)
}

fn witness_count(program: &Script, input: &TxIn) -> u64 {
    if program.is_p2wpkh() {
        1
    } else if program.is_p2wsh() {
        let script = input.witness.last().map(Script::from_bytes);
        script.map_or(0, |script| count(script, Count::Accurate))
    } else {
        0
    }
}

fn count(script: &Script, how: Count) -> u64 {
    let mut total = 0;
    let mut before = None;
    for instruction in script.instructions() {
        let Ok(instruction) = instruction else { break };
        let Instruction::Op(opcode) = instruction else {
            before = None;
            continue;
        };
        if opcode == OP_CHECKSIG || opcode == OP_CHECKSIGVERIFY {
            total += 1;
        } else if opcode == OP_CHECKMULTISIG || opcode == OP_CHECKMULTISIGVERIFY {
            total += match how {
                Count::Legacy => KEYS_PER_MULTISIG,
                Count::Accurate => multisig_keys(before),
            };
        }
        before = Some(opcode.to_u8());
    }
    total
}

/// How many keys a CHECKMULTISIG has behind this opcode.
pub(crate) fn multisig_keys(before: Option<u8>) -> u64 {
    match before {
        Some(keys @ OP_1..=OP_16) => u64::from(keys - OP_1) + 1,
        _ => KEYS_PER_MULTISIG,
    }
}

/// What a scriptSig that only pushes pushes last: the script that pay-to-script-hash runs. Empty
/// when the last push is a small number.
pub(crate) fn last_push(script_sig: &Script) -> Option<&Script> {
    let mut last = Script::from_bytes(&[]);
    for instruction in script_sig.instructions() {
        match instruction.ok()? {
            Instruction::PushBytes(bytes) => last = Script::from_bytes(bytes.as_bytes()),
            Instruction::Op(opcode) if opcode.to_u8() <= OP_16 => last = Script::from_bytes(&[]),
            Instruction::Op(_) => return None,
        }
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;

    use super::*;

    fn counted(bytes: &[u8], how: Count) -> u64 {
        count(Script::from_bytes(bytes), how)
    }

    #[test]
    fn a_multisig_counts_its_keys_only_right_behind_the_number() {
        assert_eq!(counted(&[0x52, 0xae], Count::Legacy), 20);
        assert_eq!(counted(&[0x52, 0xae], Count::Accurate), 2);
        // OP_2 CHECKSIG CHECKMULTISIG: the number no longer stands right before.
        assert_eq!(counted(&[0x52, 0xac, 0xae], Count::Accurate), 21);
        // OP_2 <push> CHECKMULTISIG.
        assert_eq!(counted(&[0x52, 0x01, 0x07, 0xae], Count::Accurate), 20);
        // What stands before a broken push counts.
        assert_eq!(counted(&[0xac, 0x05, 0x01], Count::Legacy), 1);
    }

    #[test]
    fn only_a_pushing_script_sig_has_a_last_push() {
        let pushes = ScriptBuf::from_bytes(vec![0x51, 0x01, 0xac]);
        assert_eq!(last_push(&pushes).map(Script::as_bytes), Some([0xac].as_slice()));
        let number_last = ScriptBuf::from_bytes(vec![0x01, 0xac, 0x51]);
        assert_eq!(last_push(&number_last).map(Script::as_bytes), Some([].as_slice()));
        let operation = ScriptBuf::from_bytes(vec![0x76, 0x01, 0xac]);
        assert_eq!(last_push(&operation), None);
    }
}
