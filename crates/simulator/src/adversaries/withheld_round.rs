//! Shows every vertex of some rounds to f validators only, until these have built on them or a while
//! has passed: a few run ahead, and all the others see the round late and all at once.

use std::collections::BTreeMap;

use types::Author;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;

use super::Fate;
use super::Letter;
use super::Scheduler;
use super::Sight;
use super::Until;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

/// One round in so many is withheld.
const ROUND_ONE_IN: u32 = 3;
/// How long a message is kept at most, in delays.
const WHILE: u64 = 12;

#[derive(Debug, Default)]
pub(super) struct WithheldRound {
    /// Who sees a withheld round; none when the round is not withheld.
    rounds: BTreeMap<Round, Option<Vec<Author>>>,
}

impl Scheduler for WithheldRound {
    fn made(&mut self, vertex: &Verified<Vertex>, sight: &Sight, chance: &mut Schedule) {
        self.rounds.entry(vertex.round()).or_insert_with(|| {
            chance
                .one_in(ROUND_ONE_IN)
                .then(|| chance.some_of(sight.quorums.validators(), sight.faults()))
        });
        if self.rounds.len() > 64 {
            self.rounds.pop_first();
        }
    }

    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate {
        let withheld = letter.vertices.iter().map(|vertex| vertex.round()).filter(|round| {
            let lucky = self.rounds.get(round).and_then(Option::as_ref);
            lucky.is_some_and(|lucky| !lucky.contains(&letter.to))
        });
        let Some(round) = withheld.max() else { return Fate::After(letter.usual) };
        let above = round.next();
        if sight.built.iter().any(|built| *built >= above) {
            return Fate::After(letter.usual);
        }
        // Half of them wait for somebody above, who may not be allowed to exist.
        match chance.one_in(2) {
            true => Fate::Hold(Until::Anybody(above)),
            false => Fate::After(Span::new(DELAY.value() * WHILE / 2 + letter.usual.value())),
        }
    }
}
