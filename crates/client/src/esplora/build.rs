//! Answers made from Bitcoin's own types, in the words and order of tests that `electrs` uses.

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::Network;
use bitcoin::Script;
use bitcoin::ScriptBuf;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::hex::DisplayHex;
use bitcoin::script::Instruction;

use super::Block;
use super::Input;
use super::Output;
use super::Status;
use super::Transaction;

/// What a block's header does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Its height.
    pub height: u32,
    /// How many transactions it holds.
    pub tx_count: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Its weight.
    pub weight: u64,
    /// The median time of the last eleven blocks, itself included, in seconds since 1970.
    pub mediantime: u32,
}

impl Block {
    /// The answer for one block.
    pub fn new(header: &Header, facts: BlockFacts) -> Self {
        let previous = header.prev_blockhash;
        Self {
            id: header.block_hash(),
            height: facts.height,
            version: header.version.to_consensus().cast_unsigned(),
            timestamp: header.time,
            tx_count: facts.tx_count,
            size: facts.size,
            weight: facts.weight,
            merkle_root: header.merkle_root,
            previousblockhash: (previous.to_byte_array() != [0; 32]).then_some(previous),
            mediantime: facts.mediantime,
            nonce: header.nonce,
            bits: header.bits,
            difficulty: header.difficulty_float(),
        }
    }
}

impl Transaction {
    /// The answer for one transaction. `prevouts` are the outputs that its inputs spend, in order;
    /// one that is not known is none, and the fee is then zero.
    pub fn new(
        transaction: &bitcoin::Transaction,
        prevouts: &[Option<TxOut>],
        network: Network,
        status: Status,
    ) -> Self {
        let coinbase = transaction.is_coinbase();
        let mut paid = Some(Amount::ZERO);
        let mut vin = Vec::with_capacity(transaction.input.len());
        for (position, input) in transaction.input.iter().enumerate() {
            let prevout = prevouts.get(position).and_then(Option::as_ref);
            paid = paid.and_then(|sum| sum.checked_add(prevout?.value));
            vin.push(Input::new(input, prevout, network));
        }
        let got = transaction
            .output
            .iter()
            .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        let fee = paid.zip(got).and_then(|(paid, got)| paid.checked_sub(got));
        Self {
            txid: transaction.compute_txid(),
            version: transaction.version.0.cast_unsigned(),
            locktime: transaction.lock_time.to_consensus_u32(),
            vin,
            vout: transaction.output.iter().map(|output| Output::new(output, network)).collect(),
            size: u32::try_from(transaction.total_size()).unwrap_or(u32::MAX),
            weight: transaction.weight().to_wu(),
            fee: fee.filter(|_| !coinbase).unwrap_or_default(),
            status,
        }
    }
}

impl Input {
    /// The answer for one input.
    pub fn new(input: &TxIn, prevout: Option<&TxOut>, network: Network) -> Self {
        let inner = prevout.map(|prevout| InnerScripts::of(input, &prevout.script_pubkey));
        let inner = inner.unwrap_or_default();
        let witness =
            input.witness.iter().map(|element| element.to_lower_hex_string()).collect::<Vec<_>>();
        Self {
            txid: input.previous_output.txid,
            vout: input.previous_output.vout,
            prevout: prevout.map(|prevout| Output::new(prevout, network)),
            scriptsig: input.script_sig.clone(),
            scriptsig_asm: input.script_sig.to_asm_string(),
            witness: (!witness.is_empty()).then_some(witness),
            is_coinbase: input.previous_output.is_null(),
            sequence: input.sequence.to_consensus_u32(),
            inner_redeemscript_asm: inner.redeem.map(|script| script.to_asm_string()),
            inner_witnessscript_asm: inner.witness.map(|script| script.to_asm_string()),
        }
    }
}

impl Output {
    /// The answer for one output.
    pub fn new(output: &TxOut, network: Network) -> Self {
        let script = &output.script_pubkey;
        Self {
            scriptpubkey: script.clone(),
            scriptpubkey_asm: script.to_asm_string(),
            scriptpubkey_type: script_type(script).to_owned(),
            scriptpubkey_address: Address::from_script(script, network)
                .ok()
                .map(|address| address.to_string()),
            value: output.value,
        }
    }
}

/// What kind of script this is, in Esplora's words.
pub fn script_type(script: &Script) -> &'static str {
    if script.is_empty() {
        "empty"
    } else if script.is_op_return() {
        "op_return"
    } else if script.is_p2pk() {
        "p2pk"
    } else if script.is_p2pkh() {
        "p2pkh"
    } else if script.is_p2sh() {
        "p2sh"
    } else if script.is_p2wpkh() {
        "v0_p2wpkh"
    } else if script.is_p2wsh() {
        "v0_p2wsh"
    } else if script.is_p2tr() {
        "v1_p2tr"
    } else {
        "unknown"
    }
}

/// The scripts that an input reveals.
#[derive(Default)]
struct InnerScripts {
    redeem: Option<ScriptBuf>,
    witness: Option<ScriptBuf>,
}

impl InnerScripts {
    fn of(input: &TxIn, spent: &Script) -> Self {
        let redeem = if spent.is_p2sh() { last_push(&input.script_sig) } else { None };
        let wrapped = redeem.as_ref().is_some_and(|script| script.is_p2wsh());
        let witness = if spent.is_p2wsh() || wrapped {
            input.witness.last().map(|script| ScriptBuf::from_bytes(script.to_vec()))
        } else if spent.is_p2tr() {
            input.witness.taproot_leaf_script().map(|leaf| leaf.script.to_owned())
        } else {
            None
        };
        Self { redeem, witness }
    }
}

fn last_push(script: &Script) -> Option<ScriptBuf> {
    match script.instructions().last() {
        Some(Ok(Instruction::PushBytes(bytes))) => {
            Some(ScriptBuf::from_bytes(bytes.as_bytes().to_vec()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
