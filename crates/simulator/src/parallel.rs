//! Many runs on all cores: the one place where threads are started. A run itself knows of none.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;

use crate::error::SimulationError;
use crate::memo::Memo;
use crate::options::Options;
use crate::report::Report;

/// Runs everything that `jobs` names, on all cores, and gives each report to `each` in the order of
/// the jobs. **Invariant:** the number of reports that wait is bounded, however many jobs there are.
///
/// # Errors
/// When the options of a job make no network, or `each` breaks off with an error of its own.
pub fn run_all<E: From<SimulationError>>(
    jobs: impl Iterator<Item = Options> + Send,
    mut each: impl FnMut(&Options, &Report) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let jobs = Mutex::new(jobs.enumerate());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    // Each worker is at most two reports ahead of the one that is awaited.
    let (sender, receiver) = mpsc::sync_channel(2 * workers);
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            let jobs = &jobs;
            scope.spawn(move || {
                let mut memo = Memo::default();
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((place, options)) = job else { return };
                    let report = crate::run_with(&options, &mut memo);
                    // A receiver that is gone has broken off and waits for nothing more.
                    if sender.send((place, options, report)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        // Leaving this closure drops the receiver, which ends the workers.
        let receiver = receiver;
        for (place, options, report) in &receiver {
            early.insert(place, (options, report?));
            while let Some((options, report)) = early.remove(&wanted) {
                wanted += 1;
                if each(&options, &report)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}
