//! The coin experiment as a whole: which trials, and what they come to.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;

use super::Ambuscade;
use super::Ambushed;
use super::Progress;
use super::Starver;
use super::Trial;
use super::chart;
use crate::options::Leaders;
use crate::report::to_f64;

/// The networks that are tried: validators and rounds of a wave.
const NETWORKS: [(u16, u64); 6] = [(4, 4), (7, 4), (10, 4), (4, 5), (7, 5), (10, 5)];

/// All trials, and what has come of them.
#[derive(Clone, Debug)]
pub struct Study {
    rounds: u64,
    seeds: u64,
    cells: Vec<Cell>,
    ambushed: BTreeMap<Ground, Fates>,
}

/// Where an ambush is laid: n, w and the leader slots of the round.
type Ground = (u16, u64, u16);

/// What became of the leaders of ambushed rounds.
#[derive(Clone, Debug, Default)]
struct Fates {
    led: u64,
    direct: u64,
    committed: u64,
    /// Who was committed directly at least once.
    safe: BTreeSet<Author>,
}

/// One network under one scheduler.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) starver: Starver,
    pub(super) validators: u16,
    pub(super) wave: u64,
    pub(super) in_turn: Outcome,
    pub(super) coin: Outcome,
}

/// What the seeds of one way to name leaders came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// By round, the sum over seeds and the extremes of the commits.
    commits: Vec<Spread>,
    /// Vertices ordered at the end.
    ordered: Spread,
    seeds: u64,
}

/// A sum and the extremes.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    sum: u64,
    least: u64,
    most: u64,
}

impl Study {
    /// A study that nobody has played yet.
    pub fn new(rounds: u64, seeds: u64) -> Self {
        let cell = |starver: Starver| {
            NETWORKS.into_iter().map(move |(validators, wave)| Cell {
                starver,
                validators,
                wave,
                in_turn: Outcome::default(),
                coin: Outcome::default(),
            })
        };
        Self {
            rounds,
            seeds,
            cells: Starver::ALL.into_iter().flat_map(cell).collect(),
            ambushed: BTreeMap::new(),
        }
    }

    /// Every trial that is to be played.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for seed in 0..self.seeds {
            for cell in &self.cells {
                for leaders in [Leaders::RoundRobin, Leaders::Coin] {
                    let Cell { starver, validators, wave, .. } = *cell;
                    let rounds = self.rounds;
                    trials.push(Trial { validators, wave, leaders, starver, rounds, seed });
                }
            }
        }
        trials
    }

    /// Takes what came of a trial. Leaders in turn count with the commits that somebody has who sees
    /// everything at once, the coin with those that everybody has: both against the coin.
    pub fn add(&mut self, trial: &Trial, progress: &[Progress]) {
        let same = |cell: &&mut Cell| {
            (cell.starver, cell.validators, cell.wave)
                == (trial.starver, trial.validators, trial.wave)
        };
        let Some(cell) = self.cells.iter_mut().find(same) else { return };
        match trial.leaders {
            Leaders::RoundRobin => cell.in_turn.add(progress, |progress| progress.commits_seen),
            Leaders::Coin => cell.coin.add(progress, |progress| progress.commits),
        }
    }

    /// Every ambush that is to be laid.
    pub fn ambushes(&self) -> Vec<Ambuscade> {
        let mut ambushes = Vec::new();
        for seed in 0..self.seeds {
            for (validators, wave) in NETWORKS {
                for slots in 1..=2 {
                    ambushes.push(Ambuscade { validators, wave, slots, seed });
                }
            }
        }
        ambushes
    }

    /// Takes what came of an ambush.
    pub fn add_ambushed(&mut self, ambush: &Ambuscade, ambushed: &Ambushed) {
        let ground = (ambush.validators, ambush.wave, ambush.slots);
        let fates = self.ambushed.entry(ground).or_default();
        for fate in &ambushed.leaders {
            fates.led += 1;
            fates.direct += u64::from(fate.is_direct);
            fates.committed += u64::from(fate.is_committed);
            if fate.is_direct {
                fates.safe.insert(fate.author);
            }
        }
    }

    /// The table of ambushes, in Markdown.
    pub fn ambush_table(&self) -> String {
        let mut text = format!(
            "One round ambushed, f equivocators, {} seeds.\n\n\
             | n | w | slots | validators that are safe as leaders | slots committed directly \
             | slots committed at all |\n|---|---|---|---|---|---|\n",
            self.seeds
        );
        for ((validators, wave, slots), fates) in &self.ambushed {
            let percent = |count: u64| 100.0 * to_f64(count) / to_f64(fates.led.max(1));
            text.push_str(&format!(
                "| {validators} | {wave} | {slots} | {} of {validators} | {:.0} % | {:.0} % |\n",
                fates.safe.len(),
                percent(fates.direct),
                percent(fates.committed)
            ));
        }
        text
    }

    /// The table of starved leaders, in Markdown.
    pub fn table(&self) -> String {
        let mut text = format!(
            "After {} rounds, one slot a round, {} seeds: mean (least to most).\n\n\
             | scheduler | n | w | in turn: commits | in turn: vertices ordered \
             | coin: commits | coin: vertices ordered |\n\
             |---|---|---|---|---|---|---|\n",
            self.rounds, self.seeds
        );
        for cell in &self.cells {
            let columns = |outcome: &Outcome| {
                format!(
                    "{} | {}",
                    outcome.last().text(outcome.seeds),
                    outcome.ordered.text(outcome.seeds)
                )
            };
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                cell.starver,
                cell.validators,
                cell.wave,
                columns(&cell.in_turn),
                columns(&cell.coin)
            ));
        }
        text
    }

    /// The figure, as SVG: for n = 4, 7, 10, shunned with w = 4 and detained with w = 5.
    pub fn figure(&self) -> String {
        let drawn = |wave: u64, starver: Starver| {
            let cells = self.cells.iter();
            cells.filter(move |cell| cell.wave == wave && cell.starver == starver)
        };
        let cells: Vec<&Cell> = drawn(4, Starver::Shun).chain(drawn(5, Starver::Detain)).collect();
        chart::draw(&cells, self.rounds, self.seeds)
    }
}

impl Outcome {
    fn add(&mut self, progress: &[Progress], commits: impl Fn(&Progress) -> usize) {
        self.commits.resize(progress.len(), Spread::default());
        let is_first = self.seeds == 0;
        for (spread, progress) in self.commits.iter_mut().zip(progress) {
            spread.add(commits(progress), is_first);
        }
        let ordered = progress.last().map_or(0, |last| last.ordered);
        self.ordered.add(ordered, is_first);
        self.seeds += 1;
    }

    fn last(&self) -> Spread {
        self.commits.last().copied().unwrap_or_default()
    }

    /// By round: the mean, the least and the most commits.
    pub(super) fn curve(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let commits = self.commits.iter();
        commits.map(|spread| (spread.mean(self.seeds), to_f64(spread.least), to_f64(spread.most)))
    }
}

impl Spread {
    fn add(&mut self, value: usize, is_first: bool) {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        self.sum += value;
        self.least = if is_first { value } else { self.least.min(value) };
        self.most = self.most.max(value);
    }

    fn mean(self, seeds: u64) -> f64 {
        to_f64(self.sum) / to_f64(seeds.max(1))
    }

    fn text(self, seeds: u64) -> String {
        if self.least == self.most {
            return self.least.to_string();
        }
        format!("{:.1} ({} to {})", self.mean(seeds), self.least, self.most)
    }
}
