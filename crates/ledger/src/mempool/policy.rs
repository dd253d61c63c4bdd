//! Standardness: what Core relays by default, beyond what consensus demands.
//!
//! Source: Bitcoin Core 30, `doc/policy` and the rules it links to; BIP 16, 54, 141, 341. Not here,
//! since libbitcoinconsensus runs consensus rules alone: the script flags that are policy only (low
//! S, minimal pushes, clean stacks, null failures).

use bitcoin::Amount;
use bitcoin::Opcode;
use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::opcodes;
use bitcoin::script::Instruction;

use super::limits::MempoolLimits;
use super::reject::Reject;
use super::reject::RejectCode;

/// The heaviest transaction that is relayed.
pub(super) const WEIGHT_MAX: u64 = 400_000;
/// The fewest bytes without witness: 64 could be taken for an inner node of a Merkle tree.
pub(super) const BASE_SIZE_MIN: usize = 65;
/// The longest scriptSig: 15 of 15 keys, and some air.
pub(super) const SCRIPT_SIG_BYTES_MAX: usize = 1_650;
/// The most signature operations of a relayed transaction, a fifth of a block's.
pub(super) const SIGOPS_COST_MAX: u64 = 16_000;
/// How many units of weight a signature operation counts at least.
pub(super) const WEIGHT_PER_SIGOP: u64 = 20;
/// How many outputs may be dust, where dust is bearable at all.
const DUST_OUTPUTS_MAX: usize = 1;
const SIGOPS_OF_P2SH_MAX: usize = 15;
const SIGOPS_OUTSIDE_WITNESS_MAX: usize = 2_500;
const WITNESS_SCRIPT_BYTES_MAX: usize = 3_600;
const WITNESS_ITEMS_MAX: usize = 100;
const WITNESS_ITEM_BYTES_MAX: usize = 80;
const SCRIPT_BYTES_MAX: usize = 10_000;
const ANNEX_TAG: u8 = 0x50;
const TAPSCRIPT_LEAF: u8 = 0xc0;
const TAPSCRIPT_LEAF_MASK: u8 = 0xfe;
const ANCHOR: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];

/// The usual forms of an output script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    NonStandard,
    PublicKey,
    PublicKeyHash,
    ScriptHash,
    Multisig,
    DataCarrier,
    WitnessKeyHash,
    WitnessScriptHash,
    Taproot,
    Anchor,
    WitnessUnknown,
}

/// The size that a transaction pays for: its weight, or its signature operations if those are more.
pub(super) fn vsize(weight: u64, sigops_cost: u64) -> u64 {
    weight.max(sigops_cost.saturating_mul(WEIGHT_PER_SIGOP)).div_ceil(4)
}

/// Checks what shows without the outputs that are spent.
pub(super) fn check_transaction(
    transaction: &Transaction,
    limits: &MempoolLimits,
) -> Result<(), RejectCode> {
    if !matches!(transaction.version.0, 1..=3) {
        return Err(RejectCode::Version);
    }
    if transaction.weight().to_wu() > WEIGHT_MAX {
        return Err(RejectCode::Size);
    }
    for input in &transaction.input {
        if input.script_sig.len() > SCRIPT_SIG_BYTES_MAX {
            return Err(RejectCode::ScriptSigSize);
        }
        if !input.script_sig.is_push_only() {
            return Err(RejectCode::ScriptSigNotPushOnly);
        }
    }
    let mut data_left = limits.data_carrier_bytes_max;
    for output in &transaction.output {
        match form(&output.script_pubkey) {
            Form::NonStandard => return Err(RejectCode::ScriptPubKey),
            Form::DataCarrier => {
                data_left = data_left
                    .checked_sub(output.script_pubkey.len())
                    .ok_or(RejectCode::DataCarrier)?;
            }
            _ => {}
        }
    }
    if dust(transaction, limits).count() > DUST_OUTPUTS_MAX {
        return Err(RejectCode::Dust);
    }
    Ok(())
}

/// Dust is bearable only in a transaction that nobody would order by itself: its child pays, and
/// sweeps the dust away.
pub(super) fn check_dust_pays_nothing(
    transaction: &Transaction,
    fee: Amount,
    limits: &MempoolLimits,
) -> Result<(), Reject> {
    if fee > Amount::ZERO && dust(transaction, limits).next().is_some() {
        return Err(RejectCode::Dust.because("tx with dust output must be 0-fee"));
    }
    Ok(())
}

/// The outputs of a transaction that are dust.
pub(super) fn dust(transaction: &Transaction, limits: &MempoolLimits) -> impl Iterator<Item = u32> {
    let outputs = (0_u32..).zip(&transaction.output);
    outputs.filter(|(_, output)| is_dust(output, limits)).map(|(vout, _)| vout)
}

/// Checks how the outputs, one an input, are spent.
pub(super) fn check_inputs(transaction: &Transaction, spent: &[TxOut]) -> Result<(), RejectCode> {
    let mut sigops = 0_usize;
    for (input, output) in transaction.input.iter().zip(spent) {
        sigops = sigops.saturating_add(sigops_outside_witness(input, output));
        let redeemable = match form(&output.script_pubkey) {
            Form::NonStandard | Form::WitnessUnknown => false,
            Form::ScriptHash => last_push(&input.script_sig).is_some_and(|redeem| {
                Script::from_bytes(redeem).count_sigops() <= SIGOPS_OF_P2SH_MAX
            }),
            _ => true,
        };
        if !redeemable || sigops > SIGOPS_OUTSIDE_WITNESS_MAX {
            return Err(RejectCode::NonStandardInputs);
        }
    }
    let mut pairs = transaction.input.iter().zip(spent);
    if pairs.all(|(input, output)| witness_is_standard(input, output)) {
        Ok(())
    } else {
        Err(RejectCode::NonStandardWitness)
    }
}

/// BIP 54's count.
fn sigops_outside_witness(input: &TxIn, output: &TxOut) -> usize {
    let spent = if output.script_pubkey.is_p2sh() {
        last_push(&input.script_sig).map_or(0, |redeem| Script::from_bytes(redeem).count_sigops())
    } else {
        output.script_pubkey.count_sigops()
    };
    spent.saturating_add(input.script_sig.count_sigops())
}

fn witness_is_standard(input: &TxIn, output: &TxOut) -> bool {
    let witness = &input.witness;
    let Some(last) = witness.last() else { return true };
    let wrapped = output.script_pubkey.is_p2sh();
    let program: &Script = if wrapped {
        match last_push(&input.script_sig) {
            Some(redeem) => Script::from_bytes(redeem),
            None => return false,
        }
    } else {
        &output.script_pubkey
    };
    if !program.is_witness_program() || form(program) == Form::Anchor {
        return false;
    }
    let small =
        |count: usize| witness.iter().take(count).all(|item| item.len() <= WITNESS_ITEM_BYTES_MAX);
    if program.is_p2wsh() {
        let items = witness.len() - 1;
        return last.len() <= WITNESS_SCRIPT_BYTES_MAX
            && items <= WITNESS_ITEMS_MAX
            && small(items);
    }
    if !program.is_p2tr() || wrapped || witness.len() < 2 {
        return true;
    }
    match last.first() {
        // The last of two or more elements: an annex, or else the control block.
        Some(&ANNEX_TAG) => false,
        Some(leaf) if leaf & TAPSCRIPT_LEAF_MASK == TAPSCRIPT_LEAF => small(witness.len() - 2),
        Some(_) => true,
        None => false,
    }
}

/// Whether spending the output would cost more than it is worth.
fn is_dust(output: &TxOut, limits: &MempoolLimits) -> bool {
    let script = &output.script_pubkey;
    if script.is_op_return() || script.len() > SCRIPT_BYTES_MAX {
        return false;
    }
    let input = if script.is_witness_program() { 32 + 4 + 1 + 107 / 4 + 4 } else { 148 };
    let size = u64::try_from(output.size()).unwrap_or(u64::MAX).saturating_add(input);
    output.value < limits.dust_fee.fee(size)
}

fn form(script: &Script) -> Form {
    let bytes = script.as_bytes();
    if script.is_p2sh() {
        return Form::ScriptHash;
    }
    if script.is_witness_program() {
        return match (bytes[0], bytes.len()) {
            (0, 22) => Form::WitnessKeyHash,
            (0, 34) => Form::WitnessScriptHash,
            (0, _) => Form::NonStandard,
            _ if script.is_p2tr() => Form::Taproot,
            _ if bytes == ANCHOR => Form::Anchor,
            _ => Form::WitnessUnknown,
        };
    }
    if script.is_op_return() {
        return match Script::from_bytes(&bytes[1..]).is_push_only() {
            true => Form::DataCarrier,
            false => Form::NonStandard,
        };
    }
    if script.is_p2pkh() {
        return Form::PublicKeyHash;
    }
    if is_public_key(script) {
        return Form::PublicKey;
    }
    if is_multisig(script) { Form::Multisig } else { Form::NonStandard }
}

fn is_public_key(script: &Script) -> bool {
    let bytes = script.as_bytes();
    match bytes.split_last() {
        Some((&last, rest)) if Opcode::from(last) == opcodes::all::OP_CHECKSIG => rest
            .split_first()
            .is_some_and(|(&length, key)| usize::from(length) == key.len() && has_key_size(key)),
        _ => false,
    }
}

/// Up to three keys, all of the sizes that their first bytes announce.
fn is_multisig(script: &Script) -> bool {
    let Ok(instructions) = script.instructions().collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    let [needed, keys @ .., count, check] = instructions.as_slice() else { return false };
    let number = |instruction: &Instruction<'_>| match instruction.opcode()?.to_u8() {
        opcode @ 0x51..=0x53 => Some(usize::from(opcode - 0x50)),
        _ => None,
    };
    let (Some(needed), Some(count)) = (number(needed), number(count)) else { return false };
    let sized =
        |key: &Instruction<'_>| key.push_bytes().is_some_and(|key| has_key_size(key.as_bytes()));
    check.opcode() == Some(opcodes::all::OP_CHECKMULTISIG)
        && count == keys.len()
        && needed <= count
        && keys.iter().all(sized)
}

fn has_key_size(key: &[u8]) -> bool {
    match key.first() {
        Some(2 | 3) => key.len() == 33,
        Some(4 | 6 | 7) => key.len() == 65,
        _ => false,
    }
}

/// What a scriptSig of pushes leaves on top of the stack.
fn last_push(script: &Script) -> Option<&[u8]> {
    const SMALL: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    match script.instructions().last()?.ok()? {
        Instruction::PushBytes(bytes) => Some(bytes.as_bytes()),
        Instruction::Op(opcode) => match opcode.to_u8() {
            0x4f => Some(&[0x81]),
            opcode @ 0x51..=0x60 => {
                let place = usize::from(opcode - 0x51);
                SMALL.get(place..=place)
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests;
