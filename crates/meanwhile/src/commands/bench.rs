//! `meanwhile bench`: measurements on this machine.

mod blobs;
mod coin;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;

use crate::bench::load::LoadPlan;
use crate::bench::ordering;
use crate::bench::report::Report;
use crate::error::Failure;
use crate::output;
use crate::units::Time;

use super::block_on;

/// Measure on this machine
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ordering(Ordering),
    Coin(coin::Arguments),
    Blobs(blobs::Arguments),
}

/// Measure ordering alone: validators, links over loopback, disk, no ledger
///
/// All validators run in this process. Load is offered at a fixed rate, spread over them, whatever
/// the network does; latency runs from the moment a transaction is offered to the moment its own
/// validator has it in a commit. What the first seconds give is not counted.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile bench ordering --validators 4 --tx-bytes 512 --rate 40000 \
                  --duration 60s --json"
)]
struct Ordering {
    /// How many validators
    #[arg(long, default_value_t = 4)]
    validators: u16,
    /// The size of a transaction, in bytes
    #[arg(long, default_value_t = 512)]
    tx_bytes: usize,
    /// How many transactions are offered in a second, over all validators
    #[arg(long, default_value_t = 40_000)]
    rate: u64,
    /// How long is measured
    #[arg(long, default_value = "30s")]
    duration: Time,
    /// What is not counted at the beginning
    #[arg(long, default_value = "3s")]
    warm_up: Time,
    /// The folder for the databases; they are removed afterwards [default: the system's folder for
    /// temporary files]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Measures and prints.
    ///
    /// # Errors
    /// When the validators can not run.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Ordering(arguments) => arguments.run(),
            Command::Coin(arguments) => arguments.run(),
            Command::Blobs(arguments) => arguments.run(),
        }
    }
}

impl Ordering {
    fn run(self) -> Result<(), Failure> {
        let plan = LoadPlan {
            validators: self.validators,
            tx_bytes: self.tx_bytes,
            rate: self.rate,
            warm_up: self.warm_up.duration(),
            duration: self.duration.duration().max(Duration::from_secs(1)),
        };
        plan.check()?;
        let report = block_on(ordering::measure(plan, self.dir))?;
        if self.json { output::json(&report) } else { output::line(&render(&report)) }
    }
}

fn render(report: &Report) -> String {
    let mut text = format!(
        "committed  {:.0} tx/s, {:.2} MB/s of {:.0} tx/s offered ({} refused at the source)\n\
         latency    p50 {:.1} ms  p90 {:.1} ms  p99 {:.1} ms  max {:.1} ms\n\
         rounds     {:.1}/s, {:.1} commits/s\n\
         cpu        {:.1} s in {:.1} s\n\
         memory     {:.0} MB at most",
        report.committed_per_s,
        report.mb_per_s,
        report.offered_per_s,
        report.refused,
        report.p50_ms,
        report.p90_ms,
        report.p99_ms,
        report.max_ms,
        report.rounds_per_s,
        report.commits_per_s,
        report.cpu_s,
        report.seconds,
        report.peak_rss_mb
    );
    for minute in &report.rss_by_minute {
        text.push_str(&format!(
            "\n           minute {}: {:.0} MB at most, {:.0} MB on average",
            minute.minute, minute.peak_mb, minute.mean_mb
        ));
    }
    text
}
