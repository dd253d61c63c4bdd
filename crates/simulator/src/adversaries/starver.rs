//! Guesses who leads a round and keeps that vertex out of everybody's cone until the votes are cast:
//! for w - 2 rounds. It guesses before the coin can be known, so with n validators it is right once
//! in n / l rounds. A leader that is known beforehand would never be voted for.
//!
//! It starves at most f authors at a time: with more of them held back no quorum is left, and then
//! nothing goes on that could be decided wrongly.

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
use crate::schedule::Schedule;

#[derive(Debug, Default)]
pub(super) struct Starver {
    /// Whose vertex of a round is kept back, if anybody's.
    guesses: BTreeMap<Round, Option<Author>>,
}

impl Starver {
    /// Guesses for a round when the first vertex of it is made, unless f others are starved still.
    fn guess(&mut self, round: Round, sight: &Sight, chance: &mut Schedule) {
        if self.guesses.contains_key(&round) {
            return;
        }
        let starved = self.guesses.range(round.saturating_sub(sight.wave - 3)..round);
        let may_guess = starved.filter(|(_, guess)| guess.is_some()).count() < sight.faults();
        let mut guess = chance.some_of(sight.quorums.validators(), 1);
        self.guesses.insert(round, guess.pop().filter(|_| may_guess));
        if self.guesses.len() > 64 {
            self.guesses.pop_first();
        }
    }

    fn is_starved(&self, vertex: &Vertex) -> bool {
        self.guesses.get(&vertex.round()) == Some(&Some(vertex.author()))
    }
}

impl Scheduler for Starver {
    fn made(&mut self, vertex: &Verified<Vertex>, sight: &Sight, chance: &mut Schedule) {
        self.guess(vertex.round(), sight, chance);
    }

    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, _: &mut Schedule) -> Fate {
        let starved = letter.vertices.iter().filter(|vertex| self.is_starved(vertex));
        let until = starved.map(|vertex| sight.vote_round(vertex.round())).max();
        match until.filter(|round| sight.built(letter.to) < *round) {
            Some(round) => Fate::Hold(Until::Built(letter.to, round)),
            None => Fate::After(Span::new(letter.usual.value() / 4)),
        }
    }
}
