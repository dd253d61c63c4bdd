//! Holds back all that f validators send, or all that is sent to them, or both, by a large factor.
//! Now and then it turns to others.

use types::Author;
use types::Quorums;
use types::Span;

use super::Fate;
use super::Letter;
use super::Scheduler;
use super::Sight;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

/// How long it stays with the same ones, in delays.
const TURN: u64 = 60;

#[derive(Debug)]
pub(super) struct Laggards {
    validators: u16,
    chosen: Vec<Author>,
    factor: u64,
    holds_sent: bool,
    holds_received: bool,
    turn: u64,
}

impl Laggards {
    pub(super) fn new(quorums: Quorums, chance: &mut Schedule) -> Self {
        let faults = usize::from(quorums.faults());
        let which = chance.below(3);
        Self {
            validators: quorums.validators(),
            chosen: chance.some_of(quorums.validators(), faults),
            factor: 5 + u64::try_from(chance.below(45)).unwrap_or(0),
            holds_sent: which != 0,
            holds_received: which != 1,
            turn: 0,
        }
    }
}

impl Scheduler for Laggards {
    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate {
        let turn = sight.now.value() / (DELAY.value() * TURN);
        if turn != self.turn {
            self.turn = turn;
            self.chosen = chance.some_of(self.validators, sight.faults());
        }
        let is_held = self.holds_sent && self.chosen.contains(&letter.from)
            || self.holds_received && self.chosen.contains(&letter.to);
        let factor = if is_held { self.factor } else { 1 };
        Fate::After(Span::new(letter.usual.value().saturating_mul(factor)))
    }
}
