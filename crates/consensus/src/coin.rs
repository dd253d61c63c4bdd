//! The common coin: shares come in with vertices, the group's signature comes out.
//!
//! Combining shares costs milliseconds, so it is put out as a [`CoinTask`] and its outcome comes
//! back when it does. Who gave a wrong share is passed over from then on.
//!
//! **Invariant:** at most one task a round and [`COIN_TASKS_MAX`] in all are out. A round with
//! usable shares of a threshold of authors has one out, unless so many others have.
//!
//! Source: `docs/consensus.md`, Common coin.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use types::Author;
use types::Round;
use types::Verified;
use types::Vertex;
use types::coin::CoinShare;
use types::coin::CoinSignature;

use crate::coin_task::CoinOutcome;
use crate::coin_task::CoinTask;
use crate::coin_task::Found;
use crate::parameters::COIN_TASKS_MAX;

/// What is known of the common coin. One share an author and round is kept: one who sends two
/// different ones is faulty, and f + 1 others are enough.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coin {
    shares: BTreeMap<Round, BTreeMap<Author, Share>>,
    signatures: BTreeMap<Round, CoinSignature>,
    culprits: BTreeSet<Author>,
    out: BTreeMap<Round, Out>,
    /// Whether a task was held back because too many were out.
    is_held_back: bool,
}

#[derive(Clone, Debug)]
struct Share {
    share: CoinShare,
    /// Who carries it: the evidence, should it be wrong.
    vertex: Verified<Vertex>,
    is_proven: bool,
}

/// A task that was put out, with the vertices whose shares are in it.
#[derive(Clone, Debug)]
struct Out {
    task: CoinTask,
    carriers: Vec<Verified<Vertex>>,
}

impl Coin {
    pub(crate) fn signature(&self, round: Round) -> Option<&CoinSignature> {
        self.signatures.get(&round)
    }

    /// Keeps a signature that has been checked; the shares have served.
    pub(crate) fn keep(&mut self, round: Round, signature: CoinSignature) {
        self.signatures.insert(round, signature);
        self.shares.remove(&round);
    }

    /// Adds the share for `round`, whose coin is not known, that a vertex carries.
    pub(crate) fn add(&mut self, round: Round, share: CoinShare, vertex: &Verified<Vertex>) {
        if self.culprits.contains(&vertex.author()) {
            return;
        }
        let shares = self.shares.entry(round).or_default();
        shares.entry(vertex.author()).or_insert_with(|| {
            let vertex = vertex.clone();
            Share { share, vertex, is_proven: false }
        });
    }

    /// The task of a round, when there are shares enough and none is out.
    pub(crate) fn task(&mut self, round: Round, threshold: usize) -> Option<CoinTask> {
        if self.out.contains_key(&round) {
            return None;
        }
        let carriers = self.choose(round, threshold)?;
        if self.out.len() >= COIN_TASKS_MAX {
            self.is_held_back = true;
            return None;
        }
        let shares = carriers.iter().map(|kept| (kept.vertex.author(), kept.share)).collect();
        let carriers = carriers.iter().map(|kept| kept.vertex.clone()).collect();
        let task = CoinTask::new(round, shares);
        self.out.insert(round, Out { task: task.clone(), carriers });
        Some(task)
    }

    /// A task that was held back and need not be any more, the lowest round first.
    pub(crate) fn held_back(&mut self, threshold: usize) -> Option<CoinTask> {
        if !self.is_held_back || self.out.len() >= COIN_TASKS_MAX {
            return None;
        }
        let rounds: Vec<Round> = self.shares.keys().copied().collect();
        let task = rounds.into_iter().find_map(|round| self.task(round, threshold));
        self.is_held_back = task.is_some();
        task
    }

    /// Takes an outcome. Gives the vertices that carry a wrong share, of authors who gave none
    /// before. An outcome of no task that is out says nothing about shares.
    pub(crate) fn done(&mut self, outcome: CoinOutcome) -> Vec<Verified<Vertex>> {
        let CoinOutcome { task, found, .. } = outcome;
        let round = task.round();
        let Some(out) = self.out.remove(&round) else { return Vec::new() };
        if out.task != task {
            self.out.insert(round, out);
            return Vec::new();
        }
        let Found::Wrong(wrong) = found else { return Vec::new() };
        if wrong.is_empty() {
            // Right shares recover: the committee's keys do not fit each other. Trying again with
            // the same ones would never end.
            self.shares.remove(&round);
        }
        for kept in self.shares.get_mut(&round).into_iter().flat_map(BTreeMap::values_mut) {
            let own = (kept.vertex.author(), kept.share);
            kept.is_proven |= task.shares().contains(&own) && !wrong.contains(&own.0);
        }
        let is_new = |vertex: &Verified<Vertex>| {
            wrong.contains(&vertex.author()) && self.culprits.insert(vertex.author())
        };
        out.carriers.into_iter().filter(is_new).collect()
    }

    /// A threshold of shares of distinct authors, proven ones first; none when there are too few.
    fn choose(&self, round: Round, threshold: usize) -> Option<Vec<&Share>> {
        let shares = self.shares.get(&round)?;
        let usable = |is_proven: bool| {
            let shares = shares.iter().filter(|(author, _)| !self.culprits.contains(author));
            shares.map(|(_, kept)| kept).filter(move |kept| kept.is_proven == is_proven)
        };
        let chosen: Vec<_> = usable(true).chain(usable(false)).take(threshold).collect();
        (chosen.len() == threshold).then_some(chosen)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shares.len() + self.signatures.len() + self.out.len()
    }

    /// Forgets the shares of rounds below `decided_below` and the signatures up to the line. Tasks
    /// that are out end with their outcome.
    pub(crate) fn forget(&mut self, decided_below: Round, line: Round) {
        if self.shares.first_key_value().is_some_and(|(round, _)| *round < decided_below) {
            self.shares = self.shares.split_off(&decided_below);
        }
        if self.signatures.first_key_value().is_some_and(|(round, _)| *round <= line) {
            self.signatures = self.signatures.split_off(&line.next());
        }
    }
}
