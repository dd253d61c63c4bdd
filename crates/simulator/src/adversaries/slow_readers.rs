//! f validators read one message after the other, much slower than they are written to. What does
//! not fit into the queue before them is lost, as the network's queues are bounded.

use std::collections::BTreeMap;

use types::Author;
use types::Moment;
use types::Quorums;
use types::Span;

use super::Fate;
use super::Letter;
use super::Scheduler;
use super::Sight;
use crate::schedule::DELAY;
use crate::schedule::Schedule;

/// How many messages wait before a slow reader.
const QUEUE_MAX: u64 = 64;

#[derive(Debug)]
pub(super) struct SlowReaders {
    /// When each slow reader has read what waits.
    free: BTreeMap<Author, Moment>,
    /// How long one takes to read a message.
    pace: Span,
}

impl SlowReaders {
    pub(super) fn new(quorums: Quorums, chance: &mut Schedule) -> Self {
        let validators = quorums.validators();
        let chosen = chance.some_of(validators, usize::from(quorums.faults()));
        // All others write at least one message a delay: it reads between a half and a twentieth.
        let parts = 2 + u64::try_from(chance.below(18)).unwrap_or(0);
        let pace = Span::new(DELAY.value() * parts / u64::from(validators));
        Self { free: chosen.into_iter().map(|author| (author, Moment::ZERO)).collect(), pace }
    }
}

impl Scheduler for SlowReaders {
    fn cut_off(&mut self, author: Author) {
        if let Some(free) = self.free.get_mut(&author) {
            *free = Moment::ZERO;
        }
    }

    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, _: &mut Schedule) -> Fate {
        let arrives = sight.now.after(letter.usual);
        let Some(free) = self.free.get_mut(&letter.to) else { return Fate::After(letter.usual) };
        if free.since(arrives).value() > QUEUE_MAX * self.pace.value() {
            return Fate::Lost;
        }
        *free = arrives.max(*free).after(self.pace);
        Fate::After(free.since(sight.now))
    }
}
