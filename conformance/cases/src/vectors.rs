//! Core's published data files, through our admission and apply paths.
//!
//! A row is judged three ways: its scripts under the rules that it names; and the whole transaction
//! by apply and by admission, which know all rules and no others. A row that is about policy alone
//! is counted as skipped with its reason: no block is refused for it, and no engine of ours has it.

mod addresses;
mod scripts;
mod sighashes;
mod taproot;
mod transactions;

use std::sync::Arc;

use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::TxOut;
use ledger::ScriptCheck;

use crate::Failure;
use crate::asm::Flags;
use crate::stage::Stage;
use crate::tally;
use crate::tally::Tally;

/// What a row says.
pub(crate) struct Row {
    /// Says which one.
    pub(crate) name: String,
    /// What is judged.
    pub(crate) transaction: Transaction,
    /// What it spends.
    pub(crate) spent: Vec<(OutPoint, TxOut)>,
    /// Under which rules.
    pub(crate) flags: Flags,
    /// Core's verdict.
    pub(crate) verdict: Verdict,
}

/// Core's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    /// A script fails, with this error where the file names one.
    Fails(Option<String>),
    /// Already refused without a look at what it spends.
    BadTransaction,
}

/// The errors that only a policy flag brings about.
const POLICY_ERRORS: [&str; 14] = [
    "MINIMALDATA",
    "SCRIPTNUM",
    "CLEANSTACK",
    "MINIMALIF",
    "WITNESS_PUBKEYTYPE",
    "PUBKEYTYPE",
    "DISCOURAGE_UPGRADABLE_NOPS",
    "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
    "SIG_PUSHONLY",
    "NULLFAIL",
    "SIG_DER",
    "SIG_HASHTYPE",
    "SIG_HIGH_S",
    "CONST_SCRIPTCODE",
];

/// What only the pool's policy says, whose limits are narrower than consensus.
const POOL_POLICY: [&str; 2] = ["tx-size-small", "tx-size"];

/// What apply refuses for reasons that the files do not look at.
const BY_SCRIPTS_ALONE: [&str; 4] =
    ["non-final", "bad-txns-in-belowout", "coinbase", "bad-txns-too-much-script-work"];

/// Runs every file; whether nothing disagreed.
pub(crate) fn run() -> Result<bool, Failure> {
    let tallies = [
        scripts::run()?,
        transactions::run(transactions::File::Valid)?,
        transactions::run(transactions::File::Invalid)?,
        sighashes::run()?,
        taproot::run()?,
        addresses::run(addresses::File::Valid)?,
        addresses::run(addresses::File::Invalid)?,
    ];
    Ok(tally::print_all(&tallies.iter().collect::<Vec<_>>()))
}

/// Judges a row in all three ways.
pub(crate) fn judge(stage: &mut Stage, tally: &mut Tally, row: &Row) {
    if row.verdict == Verdict::BadTransaction {
        let verdicts = stage.judge(&row.transaction, &row.spent);
        let refused = verdicts.apply.is_some() && verdicts.admission.is_some();
        return tally.check(refused, || format!("{}: {verdicts:?}", row.name));
    }
    let outputs = row.spent.iter().map(|(_, output)| output.clone()).collect();
    let check = ScriptCheck::new(Arc::new(row.transaction.clone()), outputs);
    let named = check.run_with_flags(row.flags.consensus).is_valid();
    let all = check.run().is_valid();
    if all && !named {
        return tally.check(false, || format!("{}: more rules allow more", row.name));
    }
    match (&row.verdict, named) {
        (Verdict::Valid, false) => {
            return tally.check(false, || format!("{}: valid, and refused", row.name));
        }
        (Verdict::Fails(error), true) => {
            let known = error.as_deref().is_none_or(|error| POLICY_ERRORS.contains(&error));
            if row.flags.policy.is_empty() || !known {
                let error = error.as_deref().unwrap_or("invalid");
                return tally.check(false, || format!("{}: {error}, and accepted", row.name));
            }
            let why = error.clone().unwrap_or_else(|| row.flags.policy.join(","));
            return tally.skip(format!("policy alone refuses it ({why})"));
        }
        _ => {}
    }
    check_paths(stage, tally, row, all);
}

/// Apply and admission know all rules: they say what the scripts say under all of them.
fn check_paths(stage: &mut Stage, tally: &mut Tally, row: &Row, scripts: bool) {
    let verdicts = stage.judge(&row.transaction, &row.spent);
    let apply = match verdicts.apply.as_deref() {
        None => true,
        Some("mandatory-script-verify-flag-failed") => false,
        // A lock that never opens, amounts that Core's tests do not look at, a coinbase outside a
        // block, and our own bound on work, which odd scripts in the smallest transactions exceed.
        Some(reason) if BY_SCRIPTS_ALONE.contains(&reason) => {
            tally.note(format!("by their scripts alone: apply says {reason}"));
            return tally.pass();
        }
        Some(reason) => {
            let reason = reason.to_owned();
            return tally.check(false, || format!("{}: apply says {reason}", row.name));
        }
    };
    let policy = |reason: &&str| POOL_POLICY.contains(reason);
    let admission = match verdicts.admission.as_deref() {
        Some(reason) if policy(&reason) => {
            tally.note(format!("through scripts and apply; the pool's policy says {reason}"));
            apply
        }
        Some(reason) if reason.starts_with("mempool-script-verify-flag-failed") => false,
        Some(reason) => {
            let reason = reason.to_owned();
            return tally.check(false, || format!("{}: admission says {reason}", row.name));
        }
        None => true,
    };
    if !scripts && row.verdict == Verdict::Valid {
        tally.note("valid under fewer rules than ours: refused as the others demand");
    }
    let agree = apply == scripts && admission == scripts;
    tally.check(agree, || format!("{}: scripts {scripts}, {verdicts:?}", row.name));
}
