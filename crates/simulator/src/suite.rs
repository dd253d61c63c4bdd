//! Every schedule against every fault: which runs there are, and the table that comes of them.
//!
//! Runs take turns over all pairs, so that any number of seeds covers them evenly. What is kept is a
//! few numbers a pair, however many runs there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::options::Faults;
use crate::options::Network;
use crate::options::Options;
use crate::options::Scheduler;
use crate::report::Report;
use crate::report::to_f64;

/// How many rounds a run of the suite has, unless somebody asks for others.
pub const SUITE_ROUNDS: u64 = 24;

/// One way in which messages travel: a network, or a scheduler on that of an adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Travel {
    network: Network,
    scheduler: Scheduler,
}

/// The numbers of some runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// What the rows have in common, in words.
    pub against: String,
    /// n.
    pub validators: u16,
    /// How many runs there were.
    pub seeds: u64,
    /// How many of them broke a promise.
    pub violations: u64,
    /// Slots that every honest validator decided, over all runs.
    pub slots: u64,
    /// Commits, over all runs.
    pub commits: u64,
    /// Of the worst undecided gap of each run, in rounds, the middle one.
    pub gap_median: u64,
    /// The worst undecided gap of all, in rounds.
    pub gap_worst: u64,
    /// From making a leader to its commit, in message delays: the mean over the runs' means.
    pub latency_mean: f64,
    /// How often an honest validator proved a fault.
    pub accusations: u64,
    /// The most vertices that an honest validator held.
    pub held_vertices_max: u64,
    /// The most vertices that one wanted at a time.
    pub fetching_max: u64,
}

/// A row as it grows.
#[derive(Clone, Debug, Default)]
struct Sum {
    seeds: u64,
    violations: u64,
    slots: u64,
    commits: u64,
    gaps: BTreeMap<u64, u64>,
    latency: f64,
    accusations: u64,
    held_vertices_max: u64,
    fetching_max: u64,
}

/// All runs over all pairs, and what they came to so far.
#[derive(Clone, Debug)]
pub struct Suite {
    base: Options,
    cells: BTreeMap<(u16, usize, usize), Sum>,
    violations: Vec<(Options, String)>,
}

/// The ways that rows may have: those of the suite, and the mix of somebody who asks for it.
fn all_travels() -> Vec<Travel> {
    let mix = Travel { network: Network::Adversary, scheduler: Scheduler::Mix };
    [travels(), vec![mix]].concat()
}

/// The ways in which messages travel in a suite. The table names them in this order.
fn travels() -> Vec<Travel> {
    let plain = [Network::Fifo, Network::Random, Network::Partition];
    let plain = plain.map(|network| Travel { network, scheduler: Scheduler::Mix });
    let named = Scheduler::ALL.iter().filter(|name| **name != Scheduler::Mix);
    let aimed =
        named.map(|scheduler| Travel { network: Network::Adversary, scheduler: *scheduler });
    plain.into_iter().chain(aimed).collect()
}

impl Travel {
    const fn name(self) -> &'static str {
        match self.network {
            Network::Adversary => self.scheduler.name(),
            network => network.name(),
        }
    }
}

impl Suite {
    /// A suite whose runs take everything else from `base`.
    pub const fn new(base: Options) -> Self {
        Self { base, cells: BTreeMap::new(), violations: Vec::new() }
    }

    /// The runs of a network of `validators`: seed by seed, and pair by pair.
    pub fn runs(
        &self,
        validators: u16,
        seeds: u64,
    ) -> impl Iterator<Item = Options> + Send + use<> {
        let base = self.base;
        let travels = travels();
        (0..seeds).map(move |run| {
            let pairs = travels.len() * Faults::ALL.len();
            let pair = usize::try_from(run).unwrap_or(0) % pairs;
            let travel = travels[pair % travels.len()];
            Options {
                validators,
                slots: base.slots.min(validators),
                seed: base.seed.saturating_add(run),
                network: travel.network,
                scheduler: travel.scheduler,
                faults: Faults::ALL[pair / travels.len()],
                ..base
            }
        })
    }

    /// Takes what a run came to.
    pub fn note(&mut self, options: &Options, report: &Report) {
        let place = |travel: &Travel| {
            let is_named = options.network == Network::Adversary;
            travel.network == options.network
                && (!is_named || travel.scheduler == options.scheduler)
        };
        let travel = all_travels().iter().position(place).unwrap_or(0);
        let fault = Faults::ALL.iter().position(|fault| *fault == options.faults).unwrap_or(0);
        let key = (options.validators, travel, fault);
        self.cells.entry(key).or_default().note(options, report);
        if !report.safety.is_ok() {
            self.violations.push((*options, report.safety.to_string()));
        }
    }

    /// The runs that broke a promise, and which.
    pub fn violations(&self) -> &[(Options, String)] {
        &self.violations
    }

    /// A row for each pair, and so for each network size.
    pub fn cells(&self) -> Vec<Row> {
        let travels = all_travels();
        let row = |((validators, travel, fault), sum): (&(u16, usize, usize), &Sum)| {
            let fault = Faults::ALL[*fault].name();
            sum.row(*validators, format!("{}, {fault}", travels[*travel].name()))
        };
        self.cells.iter().map(row).collect()
    }

    /// For one network size: a row for each way of travelling over all faults, one for each fault
    /// over all ways, and one for everything.
    pub fn rows(&self, validators: u16) -> Vec<Row> {
        let mut rows = Vec::new();
        for (place, travel) in all_travels().iter().enumerate() {
            let name = format!("scheduler: {}", travel.name());
            rows.push(self.gather(validators, name, |(_, travel, _)| *travel == place));
        }
        for (place, fault) in Faults::ALL.iter().enumerate() {
            let name = format!("faults: {fault}");
            rows.push(self.gather(validators, name, |(_, _, fault)| *fault == place));
        }
        rows.push(self.gather(validators, "all".to_owned(), |_| true));
        rows.retain(|row| row.seeds > 0);
        rows
    }

    fn gather(
        &self,
        validators: u16,
        name: String,
        belongs: impl Fn(&(u16, usize, usize)) -> bool,
    ) -> Row {
        let mut sum = Sum::default();
        let cells = self.cells.iter().filter(|(key, _)| key.0 == validators);
        cells.filter(|(key, _)| belongs(key)).for_each(|(_, cell)| sum.add(cell));
        sum.row(validators, name)
    }

    /// The table of all network sizes, as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut sizes: Vec<u16> = self.cells.keys().map(|(validators, ..)| *validators).collect();
        sizes.dedup();
        let mut text = String::from(
            "| n | adversary | runs | violations | slots decided | commits | undecided gap, median \
             | worst | leader committed after | faults proven |\n\
             |--:|:--|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for validators in sizes {
            for row in self.rows(validators) {
                // Writing into a string does not fail.
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {:.1} delays | {} |",
                    row.validators,
                    row.against,
                    row.seeds,
                    row.violations,
                    row.slots,
                    row.commits,
                    row.gap_median,
                    row.gap_worst,
                    row.latency_mean,
                    row.accusations,
                );
            }
        }
        text
    }
}

impl Sum {
    fn note(&mut self, options: &Options, report: &Report) {
        self.seeds += 1;
        self.violations += u64::from(!report.safety.is_ok());
        self.slots += report.last_decided_round * u64::from(options.slots);
        self.commits += report.commits;
        *self.gaps.entry(report.undecided_gap_max).or_default() += 1;
        self.latency += report.leader_latency.mean;
        self.accusations += report.accusations;
        self.held_vertices_max = self.held_vertices_max.max(report.held_vertices_max);
        self.fetching_max = self.fetching_max.max(report.fetching_max);
    }

    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.violations += other.violations;
        self.slots += other.slots;
        self.commits += other.commits;
        for (gap, count) in &other.gaps {
            *self.gaps.entry(*gap).or_default() += count;
        }
        self.latency += other.latency;
        self.accusations += other.accusations;
        self.held_vertices_max = self.held_vertices_max.max(other.held_vertices_max);
        self.fetching_max = self.fetching_max.max(other.fetching_max);
    }

    fn row(&self, validators: u16, against: String) -> Row {
        let mut below = 0;
        let median = self.gaps.iter().find_map(|(gap, count)| {
            below += count;
            (2 * below >= self.seeds).then_some(*gap)
        });
        Row {
            against,
            validators,
            seeds: self.seeds,
            violations: self.violations,
            slots: self.slots,
            commits: self.commits,
            gap_median: median.unwrap_or(0),
            gap_worst: self.gaps.last_key_value().map_or(0, |(gap, _)| *gap),
            latency_mean: self.latency / to_f64(self.seeds.max(1)),
            accusations: self.accusations,
            held_vertices_max: self.held_vertices_max,
            fetching_max: self.fetching_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_every_pair_evenly_and_seeds_are_used_once() {
        let suite = Suite::new(Options::new(4));
        let pairs = u64::try_from(travels().len() * Faults::ALL.len()).unwrap();
        let runs: Vec<Options> = suite.runs(4, 3 * pairs).collect();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for run in &runs {
            *counts
                .entry(format!("{} {} {}", run.network, run.scheduler, run.faults))
                .or_default() += 1;
        }
        assert_eq!(u64::try_from(counts.len()).unwrap(), pairs);
        assert!(counts.values().all(|count| *count == 3));
        let seeds: std::collections::BTreeSet<u64> = runs.iter().map(|run| run.seed).collect();
        assert_eq!(seeds.len(), runs.len());
    }

    #[test]
    fn a_table_sums_up_what_runs_came_to() {
        let base = Options { rounds: 4, load: crate::Load::Off, ..Options::new(4) };
        let mut suite = Suite::new(base);
        let runs: Vec<Options> = suite.runs(4, 2).collect();
        for options in &runs {
            let report = crate::run(options).unwrap();
            suite.note(options, &report);
        }
        let rows = suite.rows(4);
        let all = rows.last().unwrap();
        assert_eq!((all.seeds, all.violations), (2, 0));
        assert!(all.slots >= 16 && all.commits > 0 && all.latency_mean > 0.0, "{all:?}");
        assert_eq!(suite.to_markdown().lines().count(), 2 + rows.len());
        assert_eq!(suite.cells().len(), 2);
    }
}
