//! Judges the scripts of one transaction, apart from everything else about it.
//!
//! Scripts cost a thousand times what the rest of a transaction costs, so they are judged ahead,
//! on any thread, and the verdicts wait in a [`ScriptCache`]. Only consensus rules decide here
//! (BIP 16, 65, 66, 112, 141, 143, 147, 341, 342); what is merely policy, low S for one, does not.
//!
//! **Invariant:** the verdict is a function of the wtxid. A transaction names its outpoints, an
//! outpoint names the transaction that made the output, and every soft fork is active from genesis.
//!
//! **Invariant:** the verdict is libbitcoinconsensus' verdict. The direct way in `direct` only ever
//! says yes, and only where that library says yes too; whatever it does not recognise goes there.

mod cache;
mod direct;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Wtxid;
use bitcoin::consensus::encode;
use types::PAYLOAD_BYTES_MAX;

pub use cache::SCRIPT_CACHE_ENTRIES_MAX;
pub use cache::ScriptCache;

/// The consensus rules of scripts, all of them.
const FLAGS: u32 = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;

/// The scripts of one transaction, to be judged: needs the processor and nothing else.
#[derive(Clone, Debug)]
pub struct ScriptCheck {
    transaction: Arc<Transaction>,
    wtxid: Wtxid,
    spent: Vec<TxOut>,
}

/// What scripts say about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptVerdict {
    /// Every input may be spent so.
    Valid,
    /// An input may not be spent so.
    Invalid {
        /// The first such input.
        input: u32,
        /// Why, as far as it can be told.
        reason: ScriptFailure,
    },
}

/// Why a script fails. The words are Core's; libbitcoinconsensus itself answers only yes or no,
/// so all but the plain cases are [`ScriptFailure::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ScriptFailure {
    /// A witness program is spent with bytes in the scriptSig.
    #[error("Witness requires empty scriptSig")]
    WitnessMalleated,
    /// A witness program is spent without a witness.
    #[error("Witness program was passed an empty witness")]
    WitnessEmpty,
    /// The witness is not the one that the program commits to.
    #[error("Witness program hash mismatch")]
    WitnessMismatch,
    /// A witness stands where no witness program is spent.
    #[error("Witness provided for non-witness script")]
    WitnessUnexpected,
    /// A Schnorr signature has neither 64 nor 65 bytes.
    #[error("Invalid Schnorr signature size")]
    SchnorrSize,
    /// A Schnorr signature does not fit.
    #[error("Invalid Schnorr signature")]
    Schnorr,
    /// The script ran to its end and left false: a signature that does not fit, mostly.
    #[error("Script evaluated without error but finished with a false/empty top stack element")]
    EvaluatedFalse,
    /// Anything else.
    #[error("unknown error")]
    Unknown,
}

impl ScriptCheck {
    /// Takes a transaction and the outputs that its inputs spend, in the order of the inputs.
    pub fn new(transaction: Arc<Transaction>, spent: Vec<TxOut>) -> Self {
        let wtxid = transaction.compute_wtxid();
        Self { transaction, wtxid, spent }
    }

    /// The transaction.
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// Names the transaction with its witness: the verdict's key in a [`ScriptCache`].
    pub fn wtxid(&self) -> Wtxid {
        self.wtxid
    }

    /// The outputs that the inputs spend.
    pub fn spent(&self) -> &[TxOut] {
        &self.spent
    }

    /// Judges all inputs. Any transaction whatsoever gets a verdict.
    pub fn run(&self) -> ScriptVerdict {
        if self.spent.len() != self.transaction.input.len() || self.spent.is_empty() {
            return ScriptVerdict::Invalid { input: 0, reason: ScriptFailure::Unknown };
        }
        let mut direct = direct::Direct::new(&self.transaction, &self.spent);
        let mut library = None;
        for index in 0..self.spent.len() {
            if direct.accepts(index) {
                continue;
            }
            let library = library.get_or_insert_with(|| Library::new(self));
            if !library.accepts(index) {
                return ScriptVerdict::Invalid {
                    input: u32::try_from(index).unwrap_or(u32::MAX),
                    reason: explain(&self.transaction.input[index], &self.spent[index]),
                };
            }
        }
        ScriptVerdict::Valid
    }
}

impl ScriptVerdict {
    /// Whether the scripts allow the transaction.
    pub fn is_valid(self) -> bool {
        self == Self::Valid
    }
}

impl fmt::Display for ScriptVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => formatter.write_str("valid"),
            Self::Invalid { input, reason } => write!(formatter, "{reason}, input {input}"),
        }
    }
}

/// libbitcoinconsensus with what it needs to know of one transaction, laid out once.
struct Library<'a> {
    /// None when the library's own preconditions do not hold.
    prepared: Option<(Vec<u8>, Vec<bitcoinconsensus::Utxo>)>,
    spent: &'a [TxOut],
}

impl<'a> Library<'a> {
    fn new(check: &'a ScriptCheck) -> Self {
        let raw = encode::serialize(&*check.transaction);
        let spent: Option<Vec<_>> = check.spent.iter().map(utxo).collect();
        let prepared = spent.filter(|_| raw.len() <= PAYLOAD_BYTES_MAX).map(|spent| (raw, spent));
        Self { prepared, spent: &check.spent }
    }

    fn accepts(&self, index: usize) -> bool {
        let Some((raw, utxos)) = &self.prepared else { return false };
        let spent = &self.spent[index];
        bitcoinconsensus::verify_with_flags(
            spent.script_pubkey.as_bytes(),
            spent.value.to_sat(),
            raw,
            Some(utxos),
            index,
            FLAGS,
        )
        .is_ok()
    }
}

/// An output as the library wants it; it points into `output`, which outlives every call.
fn utxo(output: &TxOut) -> Option<bitcoinconsensus::Utxo> {
    Some(bitcoinconsensus::Utxo {
        script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
        script_pubkey_len: u32::try_from(output.script_pubkey.len()).ok()?,
        value: i64::try_from(output.value.to_sat()).ok()?,
    })
}

/// Says why the library refused an input, where that is plain. Never decides anything.
fn explain(input: &TxIn, spent: &TxOut) -> ScriptFailure {
    let script: &Script = &spent.script_pubkey;
    if !script.is_witness_program() {
        return if !input.witness.is_empty() && !script.is_p2sh() {
            ScriptFailure::WitnessUnexpected
        } else {
            ScriptFailure::Unknown
        };
    }
    if !input.script_sig.is_empty() {
        return ScriptFailure::WitnessMalleated;
    }
    if input.witness.is_empty() {
        return ScriptFailure::WitnessEmpty;
    }
    if script.is_p2wpkh() {
        return explain_p2wpkh(input, script);
    }
    if script.is_p2wsh() {
        let program = input.witness.last().map(|last| Script::from_bytes(last).to_p2wsh());
        return match program.as_deref() == Some(script) {
            true => ScriptFailure::Unknown,
            false => ScriptFailure::WitnessMismatch,
        };
    }
    match (script.is_p2tr(), input.witness.len(), input.witness.last()) {
        (true, 1, Some(signature)) if !matches!(signature.len(), 64 | 65) => {
            ScriptFailure::SchnorrSize
        }
        (true, 1, Some(_)) => ScriptFailure::Schnorr,
        _ => ScriptFailure::Unknown,
    }
}

fn explain_p2wpkh(input: &TxIn, script: &Script) -> ScriptFailure {
    match (input.witness.len(), input.witness.last()) {
        (2, Some(key)) if !direct::key_matches(key, script) => ScriptFailure::Unknown,
        (2, Some(_)) => ScriptFailure::EvaluatedFalse,
        _ => ScriptFailure::WitnessMismatch,
    }
}
