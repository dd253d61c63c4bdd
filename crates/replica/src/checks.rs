//! Who runs the scripts: the node on its worker threads, the simulator in place.

use ledger::ScriptCheck;
use ledger::ScriptVerdict;

/// Runs script checks, on however many threads. The verdicts depend on the checks alone.
pub trait CheckRunner {
    /// One verdict a check, in the order of the checks.
    fn run(&self, checks: &[ScriptCheck]) -> Vec<ScriptVerdict>;
}

/// Runs checks one after the other on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct InPlace;

impl CheckRunner for InPlace {
    fn run(&self, checks: &[ScriptCheck]) -> Vec<ScriptVerdict> {
        checks.iter().map(ScriptCheck::run).collect()
    }
}
