//! `meanwhile bench coin`: does the common coin help against a scheduler that starves leaders?

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use clap::Args;
use simulator::lockstep;
use simulator::lockstep::Study;

use crate::error::Failure;
use crate::files;
use crate::output;
use crate::output::Progress;

/// Starve the expected leader: the common coin against leaders in turn
///
/// The scheduler decides by delay alone what each validator has seen when it builds; nobody is
/// hostile. Prints tables in Markdown. `docs/coin.md` says what they mean.
#[derive(Debug, Args)]
#[command(
    after_help = "Example, the tables and the figure of docs/coin.md:\n  meanwhile bench coin \
                  --seeds 100 --rounds 80 --svg docs/coin.svg"
)]
pub(crate) struct Arguments {
    /// How many seeds each network is played with
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// How many rounds are played
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,
    /// Write the figure into a file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Arguments {
    /// Plays and prints.
    ///
    /// # Errors
    /// When the figure can not be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut study = Study::new(self.rounds, self.seeds);
        let trials = study.trials();
        on_all_cores("trials", &trials, lockstep::starve, |trial, progress| {
            study.add(trial, &progress);
        });
        let ambushes = study.ambushes();
        on_all_cores("ambushes", &ambushes, lockstep::ambush, |ambush, ambushed| {
            study.add_ambushed(ambush, &ambushed);
        });
        if let Some(path) = &self.svg {
            files::write(path, &study.figure())?;
        }
        output::line(&format!("{}\n{}", study.table(), study.ambush_table()))
    }
}

/// Plays everything, side by side. What comes of it is a sum, so the order does not matter.
fn on_all_cores<T: Sync, O: Send>(
    what: &'static str,
    tasks: &[T],
    play: impl Fn(&T) -> O + Sync,
    mut done: impl FnMut(&T, O),
) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    // Each worker is at most two outcomes ahead of the sum.
    let (sender, receiver) = mpsc::sync_channel(2 * workers);
    let mut progress = Progress::new(what, u64::try_from(tasks.len()).unwrap_or(u64::MAX));
    let mut played = 0;
    thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, next, play) = (sender.clone(), &next, &play);
            scope.spawn(move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((task, play(task))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (task, outcome) in receiver {
            done(task, outcome);
            played += 1;
            progress.at(played, "");
        }
    });
    progress.finish();
}
