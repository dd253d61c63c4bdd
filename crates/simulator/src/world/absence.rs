//! One validator is away for thousands of rounds: what the others hold meanwhile must not grow with
//! its absence, and it catches up when it returns.

use serde::Serialize;
use types::Author;
use types::Moment;
use types::Round;
use types::Span;

use super::Violation;
use super::World;
use crate::check::Bounds;
use crate::error::SimulationError;
use crate::memo::Memo;
use crate::options::Options;
use crate::report::Safety;
use crate::report::ratio;
use crate::report::to_f64;
use crate::schedule::DELAY;

/// When it is cut off.
const LEAVES_AT: Round = Round::new(20);
/// How many rounds behind the others it may be in the end: they go on, and messages take a while.
const NEAR: u64 = 10;
/// How often the others are looked at.
const LOOKS: u64 = 10;
/// A round takes at most so many delays.
const DELAYS_PER_ROUND_MAX: u64 = 20;
const MICROS_PER_SECOND: f64 = 1_000_000.0;

/// What came of an absence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Absence {
    /// How many rounds the others made without it.
    pub rounds: u64,
    /// What the others held, at even distances.
    pub held: Vec<Held>,
    /// How many rounds the others made in a second of their time.
    pub live_rounds_per_second: f64,
    /// How many rounds a second it went through until it was there.
    pub caught_up_rounds_per_second: f64,
    /// Whether every promise was kept.
    pub safety: Safety,
}

/// The most that one of the others held at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The highest round with a quorum.
    pub round: u64,
    /// Vertices.
    pub vertices: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Vertices that are wanted.
    pub fetching: u64,
}

pub(crate) fn absence(options: &Options, memo: &mut Memo) -> Result<Absence, SimulationError> {
    let mut world = World::new(options, memo)?;
    let away = Author::new(options.validators.saturating_sub(1));
    world.begin();
    world.until_round(LEAVES_AT);
    let start = (world.now, world.highest_of_others(away));
    world.cut_off(away, Span::MAX);
    let mut held = Vec::new();
    for look in 1..=LOOKS {
        world.until_round(LEAVES_AT.saturating_add(options.rounds * look / LOOKS));
        held.push(world.held_by_others(away));
    }
    let left = world.highest_of_others(away);
    let rate = |rounds: u64, span: Span| to_f64(rounds) / ratio(span.value(), MICROS_PER_SECOND);
    let live = rate(left.distance_from(start.1), world.now.since(start.0));
    world.make_whole();
    let returned = (world.now, world.round_of(away));
    let end = world.deadline();
    while world.goes_on(end)
        && world.round_of(away).saturating_add(NEAR) < world.highest_of_others(away)
    {}
    let through = world.round_of(away).distance_from(returned.1);
    let caught_up = rate(through, world.now.since(returned.0));
    Ok(Absence {
        rounds: left.distance_from(start.1),
        held,
        live_rounds_per_second: live,
        caught_up_rounds_per_second: caught_up,
        safety: world.violation.map_or(Safety::Kept, |Violation(what)| Safety::Broken(what)),
    })
}

impl World<'_> {
    fn deadline(&self) -> Moment {
        let delays = DELAYS_PER_ROUND_MAX * (self.options.rounds + 1_000);
        self.now.after(Span::new(DELAY.value() * delays))
    }

    /// Lets one thing happen; false when nothing does any more, or too late.
    fn goes_on(&mut self, end: Moment) -> bool {
        let Some(((at, _, _), event)) = self.queue.pop_first() else { return false };
        if self.violation.is_some() {
            return false;
        }
        if at > end {
            self.violation = Some(self.stalled());
            return false;
        }
        self.now = at;
        self.happen(event);
        true
    }

    fn until_round(&mut self, round: Round) {
        let end = self.deadline();
        while self.round_of(Author::ZERO) < round && self.goes_on(end) {}
    }

    fn round_of(&self, author: Author) -> Round {
        let machines = self.node(author).machines.as_ref();
        machines.map_or(Round::ZERO, |machines| machines.ordering.consensus().highest_round())
    }

    fn others(&self, away: Author) -> impl Iterator<Item = Author> + use<> {
        self.network.committee.authors().filter(move |author| *author != away)
    }

    fn highest_of_others(&self, away: Author) -> Round {
        self.others(away).map(|author| self.round_of(author)).max().unwrap_or(Round::ZERO)
    }

    fn held_by_others(&mut self, away: Author) -> Held {
        let Bounds { validators, gc_depth, .. } = self.bounds;
        self.bounds = Bounds::new(validators, gc_depth);
        for author in self.others(away) {
            self.look_closely(author);
        }
        let peak = self.bounds.peak;
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Held {
            round: self.highest_of_others(away).value(),
            vertices: number(peak.vertices),
            bytes: number(peak.bytes),
            fetching: number(peak.fetching),
        }
    }
}
