//! Lets a validator have one share of each common coin less than it needs, and delays the vertices
//! that carry any further one: the votes are there long before anybody knows for whom they count.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use types::Author;
use types::Round;
use types::Span;

use super::Fate;
use super::Letter;
use super::Scheduler;
use super::Sight;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

/// How long a share that completes a coin is delayed, in delays.
const LEAST: u64 = 3;
const MOST: u64 = 15;

#[derive(Debug, Default)]
pub(super) struct LateReveal {
    /// Whose shares each validator has got, or will get, by round.
    given: BTreeMap<(Round, Author), BTreeSet<Author>>,
}

impl Scheduler for LateReveal {
    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate {
        let mut completes = false;
        for vertex in letter.vertices {
            let Some(round) = sight.coin_round(vertex.round()) else { continue };
            let given = self.given.entry((round, letter.to)).or_default();
            // Its own share it has anyway.
            given.insert(letter.to);
            if given.contains(&vertex.author()) {
                continue;
            }
            if given.len() + 1 < sight.quorums.coin_threshold() {
                given.insert(vertex.author());
            } else {
                completes = true;
            }
        }
        while self.given.len() > 64 * usize::from(sight.quorums.validators()) {
            self.given.pop_first();
        }
        match completes {
            true => Fate::After(chance.delays(LEAST, MOST)),
            false => Fate::After(Span::new(letter.usual.value().min(2 * DELAY.value()))),
        }
    }
}
