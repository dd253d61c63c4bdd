//! `meanwhile simulate`: the same validators under a made-up clock, network and disk.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use simulator::Absence;
use simulator::Faults;
use simulator::HeldAt;
use simulator::Leaders;
use simulator::Load;
use simulator::Network;
use simulator::Options;
use simulator::Report;
use simulator::SUITE_ROUNDS;
use simulator::Scheduler;
use simulator::Suite;

use crate::error::Failure;
use crate::files;
use crate::output;
use crate::output::Progress;

/// Simulate a network: a seed decides everything, and replays it
///
/// The validators are the real machines; clock, network and disks are made up. Checkers of their
/// own judge what they did. Exit code 1 when a promise was broken.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile simulate --validators 7 --network random --seed 42\n  \
                  meanwhile simulate --validators 4 --network partition --faults crash --seeds 200 \
                  --json\n  \
                  meanwhile simulate --network adversary --scheduler aimer --faults equivocate\n  \
                  meanwhile simulate --suite --validators 4,7,10,31 --seeds 1100,550,220,110"
)]
pub(crate) struct Arguments {
    /// How many validators; several numbers for a suite
    #[arg(long, value_delimiter = ',', default_value = "4")]
    validators: Vec<u16>,
    /// Run until every honest validator has decided all slots up to this round [default: 40, or 24
    /// in a suite]
    #[arg(long)]
    rounds: Option<u64>,
    /// Decides everything that is left to chance
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rounds from a leader to its decision: 4 or 5
    #[arg(long, default_value_t = 5)]
    wave: u64,
    /// Leader slots a round [default: 2, or 1 when there is one validator]
    #[arg(long)]
    slots: Option<u16>,
    /// Who names the leaders: coin, or round-robin for comparison
    #[arg(long, default_value_t = Leaders::Coin)]
    leaders: Leaders,
    /// How messages travel: fifo, random, partition, adversary
    #[arg(long, default_value_t = Network::Random)]
    network: Network,
    /// Who decides on the network of an adversary: mix, starver, laggards, withheld-round,
    /// late-reveal, aimer, swizzle, slow-readers
    #[arg(long, default_value_t = Scheduler::Mix)]
    scheduler: Scheduler,
    /// Rounds that stay orderable below a committed leader [default: 500]
    #[arg(long)]
    gc_depth: Option<u64>,
    /// What breaks: none, crash, silent, equivocate, withhold-shares, forge-shares, garbage, poison,
    /// cartel, lost-disk, mix
    #[arg(long, default_value_t = Faults::None)]
    faults: Faults,
    /// What clients do: off, transactions
    #[arg(long, default_value_t = Load::Transactions)]
    load: Load,
    /// Run this many seeds, from --seed on, on all cores; one number for each of --validators, the
    /// last one for the rest
    #[arg(long, value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// Run every scheduler against every fault in turn, and print a table in Markdown
    #[arg(long, conflicts_with = "dump_dag")]
    suite: bool,
    /// Cut one validator off for so many rounds of the others and let it return: what the others
    /// hold meanwhile, and how fast it catches up
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["suite", "seeds", "dump_dag"])]
    absence: Option<u64>,
    /// End at the first broken promise
    #[arg(long)]
    stop: bool,
    /// Write the graph of vertices into a file: text, or Graphviz when it ends in .dot
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    dump_dag: Option<PathBuf>,
    /// Print JSON, one line a seed, or a line for each pair of a suite
    #[arg(long)]
    json: bool,
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Summary {
    runs: u64,
    commits: u64,
    gap_max: u64,
    leader: Spread,
    vertex: Spread,
    violations: Vec<(u64, String)>,
}

/// The mean of means, and the extremes.
#[derive(Debug, Default)]
struct Spread {
    sum: f64,
    least: f64,
    most: f64,
}

impl Arguments {
    /// Runs and prints.
    ///
    /// # Errors
    /// When the options make no network or a promise was broken.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if self.suite {
            return self.run_suite();
        }
        if let Some(rounds) = self.absence {
            return self.run_absence(rounds);
        }
        if let Some(path) = &self.dump_dag {
            let (report, dag) = simulator::run_and_draw(&self.options(self.seed))?;
            let is_graph = path.extension().is_some_and(|extension| extension == "dot");
            files::write(path, &if is_graph { dag.to_dot() } else { dag.to_string() })?;
            let mut summary = Summary::default();
            self.note(&report, &mut summary)?;
            return self.conclude(&summary);
        }
        self.run_seeds()
    }

    fn options(&self, seed: u64) -> Options {
        let validators = self.validators.first().copied().unwrap_or(4);
        let defaults = Options::new(validators);
        let rounds = if self.suite { SUITE_ROUNDS } else { defaults.rounds };
        Options {
            validators,
            rounds: self.rounds.unwrap_or(rounds),
            seed,
            wave: self.wave,
            slots: self.slots.unwrap_or(defaults.slots),
            leaders: self.leaders,
            network: self.network,
            scheduler: self.scheduler,
            faults: self.faults,
            load: self.load,
            gc_depth: self.gc_depth.unwrap_or(defaults.gc_depth),
        }
    }

    fn seeds(&self) -> u64 {
        self.seeds.first().copied().unwrap_or(1)
    }

    /// Runs every scheduler against every fault, for each number of validators.
    fn run_suite(&self) -> Result<(), Failure> {
        let mut suite = Suite::new(self.options(self.seed));
        let mut is_stopped = false;
        for (place, validators) in self.validators.iter().enumerate() {
            if is_stopped {
                break;
            }
            let seeds = self.seeds.get(place).or(self.seeds.last()).copied().unwrap_or(1);
            let mut progress = Progress::new("seeds run", seeds);
            let mut done = 0;
            simulator::run_all(suite.runs(*validators, seeds), |options, report| {
                done += 1;
                suite.note(options, report);
                progress.at(done, "");
                if !report.safety.is_ok() {
                    self.tell(options, report);
                    is_stopped = self.stop;
                }
                Ok::<_, Failure>(flow(is_stopped))
            })?;
            progress.finish();
        }
        if self.json {
            suite.cells().iter().try_for_each(output::json)?;
        } else {
            output::line(suite.to_markdown().trim_end())?;
        }
        match suite.violations().len() {
            0 => Ok(()),
            count => Err(Failure::Violations { count }),
        }
    }

    fn run_absence(&self, rounds: u64) -> Result<(), Failure> {
        let validators = self.options(self.seed).validators;
        let absence = simulator::absence(validators, rounds, self.seed)?;
        if self.json {
            output::json(&absence)?;
        } else {
            output::line(&render_absence(&absence))?;
        }
        match absence.safety.is_ok() {
            true => Ok(()),
            false => Err(Failure::Violations { count: 1 }),
        }
    }

    /// Runs the seeds side by side and prints them in their order.
    fn run_seeds(&self) -> Result<(), Failure> {
        let mut summary = Summary::default();
        let mut progress = (!self.json).then(|| Progress::new("seeds run", self.seeds()));
        let end = self.seed.saturating_add(self.seeds());
        let options = |seed| self.options(seed);
        simulator::run_all((self.seed..end).map(options), |_, report| {
            self.note(report, &mut summary)?;
            if let Some(progress) = &mut progress {
                progress.at(summary.runs, "");
            }
            Ok::<_, Failure>(flow(self.stop && !report.safety.is_ok()))
        })?;
        if let Some(progress) = progress {
            progress.finish();
        }
        self.conclude(&summary)
    }

    fn note(&self, report: &Report, summary: &mut Summary) -> Result<(), Failure> {
        summary.note(report);
        if !report.safety.is_ok() {
            self.tell(&self.options(report.seed), report);
        }
        if self.json {
            output::json(report)?;
        } else if self.seeds() == 1 {
            output::line(&render(report))?;
        }
        Ok(())
    }

    fn conclude(&self, summary: &Summary) -> Result<(), Failure> {
        if !self.json && self.seeds() > 1 {
            output::line(&summary.render())?;
        }
        if summary.violations.is_empty() {
            return Ok(());
        }
        Err(Failure::Violations { count: summary.violations.len() })
    }

    /// Says at once which promise was broken, and how to see it again.
    fn tell(&self, options: &Options, report: &Report) {
        let what = format!("seed {}: {} ({})", report.seed, report.safety, report.against);
        output::say(&format!("{what}\nreplay it: meanwhile simulate {options} --dump-dag dag.txt"));
    }
}

const fn flow(stops: bool) -> ControlFlow<()> {
    if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl Summary {
    fn note(&mut self, report: &Report) {
        self.runs += 1;
        self.commits += report.commits;
        self.gap_max = self.gap_max.max(report.undecided_gap_max);
        self.leader.note(report.leader_latency.mean);
        self.vertex.note(report.vertex_latency.mean);
        if !report.safety.is_ok() {
            self.violations.push((report.seed, report.safety.to_string()));
        }
    }

    fn render(&self) -> String {
        let rows = [
            ("seeds", self.runs.to_string()),
            ("promises broken", self.violations.len().to_string()),
            ("commits", self.commits.to_string()),
            ("undecided at most", format!("{} rounds", self.gap_max)),
            ("leaders committed after", self.leader.render(self.runs)),
            ("vertices ordered after", self.vertex.render(self.runs)),
        ];
        rows.map(|(name, value)| format!("{name:<24} {value}")).join("\n")
    }
}

impl Spread {
    fn note(&mut self, value: f64) {
        self.least = if self.sum > 0.0 { self.least.min(value) } else { value };
        self.most = self.most.max(value);
        self.sum += value;
    }

    fn render(&self, count: u64) -> String {
        let mean = self.sum / crate::bench::load::to_f64(count.max(1));
        format!("{mean:.2} message delays ({:.2} to {:.2} by seed)", self.least, self.most)
    }
}

fn render_absence(absence: &Absence) -> String {
    let mut text = format!("{:<10} {:>10} {:>12} {:>10}", "round", "vertices", "bytes", "wanted");
    for held in &absence.held {
        let HeldAt { round, vertices, bytes, fetching } = held;
        text += &format!("\n{round:<10} {vertices:>10} {bytes:>12} {fetching:>10}");
    }
    let ratio = absence.caught_up_rounds_per_second / absence.live_rounds_per_second;
    text + &format!(
        "\n\npromises {}; live {:.1} rounds a second, caught up at {:.1}, {ratio:.1} times as fast",
        absence.safety, absence.live_rounds_per_second, absence.caught_up_rounds_per_second
    )
}

fn render(report: &Report) -> String {
    let latency = |latency: &simulator::Latency| {
        format!(
            "{:.2} message delays on average, p50 {:.2}, p90 {:.2} ({} measured)",
            latency.mean, latency.p50, latency.p90, latency.count
        )
    };
    let transactions = &report.transactions;
    let rows = [
        ("seed", report.seed.to_string()),
        ("against", report.against.clone()),
        ("promises", report.safety.to_string()),
        ("rounds", format!("{} asked for, {} built", report.rounds, report.last_round)),
        ("decided up to round", report.last_decided_round.to_string()),
        ("undecided at most", format!("{} rounds", report.undecided_gap_max)),
        ("commits", report.commits.to_string()),
        ("leaders committed after", latency(&report.leader_latency)),
        ("vertices ordered after", latency(&report.vertex_latency)),
        (
            "transactions",
            format!(
                "{} submitted, {} accepted, {} final, {} rejected",
                transactions.submitted,
                transactions.accepted,
                transactions.finals,
                transactions.rejected
            ),
        ),
        ("crashes", report.crashes.to_string()),
        ("order digest", report.order_digest.to_string()),
        ("trace digest", report.trace_digest.to_string()),
    ];
    rows.map(|(name, value)| format!("{name:<24} {value}")).join("\n")
}
