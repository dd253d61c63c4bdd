//! Worker threads for what costs time and needs no state.

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
pub(super) struct Workers(ThreadPool);

/// Starts `threads` threads.
pub(super) fn pool(name: &'static str, threads: usize) -> Result<ThreadPool, NodeError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("{name}-{index}"))
        .build()
        .map_err(|error| NodeError::Spawn { name, error: std::io::Error::other(error) })
}

impl Workers {
    pub(super) fn new(threads: usize) -> Result<Self, NodeError> {
        pool("scripts", threads).map(Self)
    }
}

impl CheckRunner for Workers {
    fn run(&self, checks: &[ScriptCheck]) -> Vec<ScriptVerdict> {
        match checks {
            // One check is not worth a change of threads.
            [] | [_] => checks.iter().map(ScriptCheck::run).collect(),
            _ => self.0.install(|| checks.par_iter().map(ScriptCheck::run).collect()),
        }
    }
}
