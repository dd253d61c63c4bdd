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
mod library;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bitcoin::Script;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Wtxid;

use library::Library;

pub(crate) use direct::Plain;
pub(crate) use direct::Verifier;
pub(crate) use library::looks_around;

use crate::batch::PreparedTransaction;

pub use cache::SCRIPT_CACHE_ENTRIES_MAX;
pub use cache::ScriptCache;

/// The consensus rules of scripts, all of them.
const FLAGS: u32 = bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT | bitcoinconsensus::VERIFY_TAPROOT;

/// How many inputs one part of a check has: a millisecond or two of work.
const INPUTS_PER_PART: usize = 32;

/// The scripts of one transaction, to be judged: needs the processor and nothing else.
#[derive(Clone, Debug)]
pub struct ScriptCheck {
    transaction: Arc<Transaction>,
    wtxid: Wtxid,
    spent: Vec<TxOut>,
    verifier: Verifier,
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
        Self { transaction, wtxid, spent, verifier: Verifier::default() }
    }

    /// As [`Self::new`], without naming the transaction again.
    pub(crate) fn of(
        prepared: &PreparedTransaction,
        spent: Vec<TxOut>,
        verifier: &Verifier,
    ) -> Self {
        let PreparedTransaction { transaction, wtxid, .. } = prepared;
        let (transaction, verifier) = (Arc::clone(transaction), verifier.clone());
        Self { transaction, wtxid: *wtxid, spent, verifier }
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
        self.run_under(FLAGS)
    }

    /// Judges all inputs under some of the rules only, for vectors older than the others. The
    /// direct way may stand: what is valid under all rules is valid under fewer.
    #[cfg(any(test, feature = "test-utils"))]
    pub fn run_with_flags(&self, flags: u32) -> ScriptVerdict {
        self.run_under(flags & FLAGS)
    }

    /// Cuts a transaction of many inputs into parts that may run on as many threads.
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let inputs = self.transaction.input.len();
        (0..parts(inputs)).map(move |part| {
            let start = part * INPUTS_PER_PART;
            start..inputs.min(start + INPUTS_PER_PART)
        })
    }

    /// Judges some of the inputs.
    pub fn run_part(&self, part: Range<usize>) -> ScriptVerdict {
        self.run_inputs(part, FLAGS)
    }

    fn run_under(&self, flags: u32) -> ScriptVerdict {
        self.run_inputs(0..self.spent.len(), flags)
    }

    fn run_inputs(&self, inputs: Range<usize>, flags: u32) -> ScriptVerdict {
        if self.spent.len() != self.transaction.input.len() || self.spent.is_empty() {
            return ScriptVerdict::Invalid { input: 0, reason: ScriptFailure::Unknown };
        }
        let mut direct = direct::Direct::new(&self.transaction, &self.spent, &self.verifier);
        let mut library = None;
        for index in inputs {
            if direct.accepts(index) {
                continue;
            }
            let library =
                library.get_or_insert_with(|| Library::new(&self.transaction, &self.spent));
            if !library.accepts(index, flags) {
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
    /// The verdict on a transaction from those on its parts, in order.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = parts.into_iter();
        parts.find(|part| !part.is_valid()).unwrap_or(Self::Valid)
    }

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

/// Into how many parts a check of so many inputs is cut.
pub(crate) fn parts(inputs: usize) -> usize {
    inputs.div_ceil(INPUTS_PER_PART).max(1)
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
