//! libbitcoinconsensus, shown no more of a transaction than an input can look at.
//!
//! The library reads the whole transaction again for every input, so a transaction of many inputs
//! costs the square of their number. Two things make it cheaper and change no verdict:
//!
//! - No signature covers the scriptSig or the witness of another input (BIP 143, BIP 341, and the
//!   digest before them, which empties them), so those of all others are left away.
//! - A script without any signature opcode sees its own input, the version and the lock time, and
//!   nothing else: there all other inputs and all outputs are left away, too.
//!
//! The spent outputs are handed over only where BIP 341 signs them: to version 1 programs. For all
//! other outputs its rules say nothing, and the flag is left away with them.

use std::cell::OnceCell;

use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::VarInt;
use bitcoin::consensus::Encodable;
use bitcoin::consensus::encode;
use types::PAYLOAD_BYTES_MAX;

/// CHECKSIG, CHECKSIGVERIFY, CHECKMULTISIG, CHECKMULTISIGVERIFY, CHECKSIGADD.
const SIGNATURE_OPCODES: [u8; 5] = [0xac, 0xad, 0xae, 0xaf, 0xba];
/// How a scriptSig begins that redeems a P2WPKH program, whose CHECKSIG is not written out.
const NESTED_P2WPKH: [u8; 3] = [0x16, 0x00, 0x14];
/// An input without its scripts.
const BARE_INPUT_BYTES: usize = 41;
const MARKER_AND_FLAG: [u8; 2] = [0, 1];

/// The library with what it needs to know of one transaction, laid out once.
pub(super) struct Library<'a> {
    transaction: &'a Transaction,
    spent: &'a [TxOut],
    bare: OnceCell<Bare>,
    /// None when the library's own preconditions do not hold.
    utxos: Option<Vec<bitcoinconsensus::Utxo>>,
}

impl<'a> Library<'a> {
    pub(super) fn new(transaction: &'a Transaction, spent: &'a [TxOut]) -> Self {
        let utxos: Option<Vec<_>> = spent.iter().map(utxo).collect();
        let utxos = utxos.filter(|_| transaction.total_size() <= PAYLOAD_BYTES_MAX);
        Self { transaction, spent, bare: OnceCell::new(), utxos }
    }

    pub(super) fn accepts(&self, index: usize, flags: u32) -> bool {
        let Some(utxos) = &self.utxos else { return false };
        let (input, spent) = (&self.transaction.input[index], &self.spent[index]);
        let alone = !looks_around(input, spent);
        let (raw, place, utxos) = if alone {
            (self.alone(input), 0, &utxos[index..=index])
        } else {
            (self.bare().with(input, index), index, utxos.as_slice())
        };
        let (flags, utxos) = match spent.script_pubkey.is_p2tr() {
            true => (flags, Some(utxos)),
            false => (flags & !bitcoinconsensus::VERIFY_TAPROOT, None),
        };
        let (script, value) = (spent.script_pubkey.as_bytes(), spent.value.to_sat());
        bitcoinconsensus::verify_with_flags(script, value, &raw, utxos, place, flags).is_ok()
    }

    fn bare(&self) -> &Bare {
        self.bare.get_or_init(|| Bare::new(self.transaction))
    }

    /// As [`Self::accepts`] with the whole transaction shown: what the short ways are held against.
    #[cfg(test)]
    pub(super) fn accepts_in_full(&self, index: usize, flags: u32) -> bool {
        let Some(utxos) = &self.utxos else { return false };
        let raw = encode::serialize(self.transaction);
        let (script, value) =
            (self.spent[index].script_pubkey.as_bytes(), self.spent[index].value.to_sat());
        bitcoinconsensus::verify_with_flags(script, value, &raw, Some(utxos), index, flags).is_ok()
    }

    fn alone(&self, input: &TxIn) -> Vec<u8> {
        let output = TxOut { value: bitcoin::Amount::ZERO, script_pubkey: Default::default() };
        encode::serialize(&Transaction {
            version: self.transaction.version,
            lock_time: self.transaction.lock_time,
            input: vec![input.clone()],
            output: vec![output],
        })
    }
}

/// Whether a script of the input may ask for a digest of the transaction. A byte that could be a
/// signature opcode counts as one wherever it stands.
pub(crate) fn looks_around(input: &TxIn, spent: &TxOut) -> bool {
    let script = &spent.script_pubkey;
    let implied = script.is_p2wpkh()
        || (script.is_p2tr() && input.witness.len() < 3)
        || input.script_sig.as_bytes().starts_with(&NESTED_P2WPKH);
    let has_opcode = |bytes: &[u8]| bytes.iter().any(|byte| SIGNATURE_OPCODES.contains(byte));
    implied
        || has_opcode(script.as_bytes())
        || has_opcode(input.script_sig.as_bytes())
        || input.witness.iter().any(has_opcode)
}

/// An output as the library wants it; it points into `output`, which outlives every call.
fn utxo(output: &TxOut) -> Option<bitcoinconsensus::Utxo> {
    Some(bitcoinconsensus::Utxo {
        script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
        script_pubkey_len: u32::try_from(output.script_pubkey.len()).ok()?,
        value: i64::try_from(output.value.to_sat()).ok()?,
    })
}

/// A transaction's encoding without scriptSigs and witnesses, in pieces.
struct Bare {
    version: Vec<u8>,
    count: Vec<u8>,
    inputs: Vec<u8>,
    outputs: Vec<u8>,
    lock_time: Vec<u8>,
}

impl Bare {
    fn new(transaction: &Transaction) -> Self {
        let mut inputs = Vec::with_capacity(transaction.input.len() * BARE_INPUT_BYTES);
        for input in &transaction.input {
            inputs.extend(encode::serialize(&input.previous_output));
            inputs.push(0);
            inputs.extend(encode::serialize(&input.sequence));
        }
        let count = u64::try_from(transaction.input.len()).unwrap_or(u64::MAX);
        Self {
            version: encode::serialize(&transaction.version),
            count: encode::serialize(&VarInt(count)),
            inputs,
            outputs: encode::serialize(&transaction.output),
            lock_time: encode::serialize(&transaction.lock_time),
        }
    }

    /// The encoding with the scripts of this input.
    fn with(&self, input: &TxIn, index: usize) -> Vec<u8> {
        let start = index * BARE_INPUT_BYTES;
        let witnesses = self.inputs.len() / BARE_INPUT_BYTES;
        let length = self.inputs.len() + self.outputs.len() + witnesses;
        let mut raw = Vec::with_capacity(length + input.total_size() + 32);
        raw.extend(&self.version);
        if !input.witness.is_empty() {
            raw.extend(MARKER_AND_FLAG);
        }
        raw.extend(&self.count);
        raw.extend(&self.inputs[..start]);
        append(&mut raw, &input.previous_output);
        append(&mut raw, &input.script_sig);
        append(&mut raw, &input.sequence);
        raw.extend(&self.inputs[start + BARE_INPUT_BYTES..]);
        raw.extend(&self.outputs);
        if !input.witness.is_empty() {
            raw.resize(raw.len() + index, 0);
            append(&mut raw, &input.witness);
            raw.resize(raw.len() + witnesses - index - 1, 0);
        }
        raw.extend(&self.lock_time);
        raw
    }
}

fn append(raw: &mut Vec<u8>, part: &impl Encodable) {
    // Writing into memory does not fail.
    let _ = part.consensus_encode(raw);
}
