//! Worker threads for what costs time and needs no state.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use replica::CheckRunner;

use ledger::ScriptCheck;
use ledger::ScriptVerdict;

use crate::runtime::NodeError;

/// Runs the scripts of a commit or of submissions on all its threads. Vertices have a pool of
/// their own, so that ordering never waits behind scripts.
#[derive(Debug)]
pub(crate) struct Workers(ThreadPool);

/// Starts `threads` threads.
pub(super) fn pool(name: &'static str, threads: usize) -> Result<ThreadPool, NodeError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("{name}-{index}"))
        .build()
        .map_err(|error| NodeError::Spawn { name, error: std::io::Error::other(error) })
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Result<Self, NodeError> {
        pool("scripts", threads).map(Self)
    }
}

impl CheckRunner for Workers {
    /// A transaction of many inputs is shared out, so that it does not keep one thread alone.
    fn run(&self, checks: &[ScriptCheck]) -> Vec<ScriptVerdict> {
        let parts: Vec<(&ScriptCheck, Range<usize>)> =
            checks.iter().flat_map(|check| check.parts().map(move |part| (check, part))).collect();
        if parts.len() < 2 {
            // One part is not worth a change of threads.
            return checks.iter().map(ScriptCheck::run).collect();
        }
        let run = |(check, part): &(&ScriptCheck, Range<usize>)| check.run_part(part.clone());
        let verdicts: Vec<ScriptVerdict> = self.0.install(|| parts.par_iter().map(run).collect());
        let mut verdicts = verdicts.into_iter();
        let joined = |check: &ScriptCheck| {
            ScriptVerdict::joined(verdicts.by_ref().take(check.parts().count()).collect::<Vec<_>>())
        };
        checks.iter().map(joined).collect()
    }
}
