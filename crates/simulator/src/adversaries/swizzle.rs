//! Stops the links one after the other until none is left, then restores them in another order. What
//! is sent over a stopped link arrives when it is restored.

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

/// How long it takes to stop all links, and to restore them, in delays.
const CLOG: u64 = 20;
const RESTORE: u64 = 15;
/// How long all is well between two clogs, in delays.
const PEACE: u64 = 15;

#[derive(Debug)]
pub(super) struct Swizzle {
    validators: u16,
    /// When the present cycle is over.
    end: Moment,
    /// From when until when each link is stopped.
    stopped: BTreeMap<(Author, Author), (Moment, Moment)>,
}

impl Swizzle {
    pub(super) fn new(quorums: Quorums) -> Self {
        let validators = quorums.validators();
        Self { validators, end: Moment::ZERO, stopped: BTreeMap::new() }
    }

    fn begin(&mut self, now: Moment, chance: &mut Schedule) {
        let authors = || (0..self.validators).map(Author::new);
        let links = authors().flat_map(|from| authors().map(move |to| (from, to)));
        let mut stops: Vec<_> = links.filter(|(from, to)| from != to).collect();
        chance.shuffle(&mut stops);
        let mut restores = stops.clone();
        chance.shuffle(&mut restores);
        let count = u64::try_from(stops.len()).unwrap_or(1).max(1);
        let unit = DELAY.value();
        let calm = now.after(chance.delays(1, PEACE));
        let clogged = calm.after(Span::new(CLOG * unit));
        let steps = || 0_u64..;
        self.stopped.clear();
        for (link, step) in stops.into_iter().zip(steps()) {
            let from = calm.after(Span::new(CLOG * unit * step / count));
            self.stopped.insert(link, (from, clogged));
        }
        for (link, step) in restores.into_iter().zip(steps()) {
            if let Some((_, until)) = self.stopped.get_mut(&link) {
                *until = clogged.after(Span::new(RESTORE * unit * (step + 1) / count));
            }
        }
        self.end = clogged.after(Span::new(RESTORE * unit));
    }
}

impl Scheduler for Swizzle {
    fn fate(&mut self, letter: &Letter<'_>, sight: &Sight, chance: &mut Schedule) -> Fate {
        if sight.now >= self.end {
            self.begin(sight.now, chance);
        }
        let stopped = self.stopped.get(&(letter.from, letter.to));
        let stopped = stopped.filter(|(from, until)| *from <= sight.now && sight.now < *until);
        let wait = stopped.map_or(Span::ZERO, |(_, until)| until.since(sight.now));
        Fate::After(Span::new(wait.value() + letter.usual.value()))
    }
}
