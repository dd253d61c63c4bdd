//! Catches up by whole rounds, from one peer at a time, when this node lies far behind.
//!
//! Several requests are under way at once and their answers are taken in the order of their rounds,
//! since vertices that stand too high above what is held are refused. A peer that stops answering,
//! or has less than it claimed, is left for another one and believed later again.
//!
//! **Invariant:** at most [`PIPELINE_MAX`] answers wait in memory.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use consensus::VerifiedCoin;
use types::Author;
use types::Moment;
use types::Round;
use types::Span;
use types::Verified;
use types::Vertex;

use crate::tables::first_of;
use crate::wire::FetchRounds;
use crate::wire::RANGE_ROUNDS_MAX;
use crate::wire::Range;
use crate::wire::SERVED_BYTES_MAX;

/// How many requests for rounds are under way at a time.
pub const PIPELINE_MAX: usize = 4;
/// How long a peer has to bring this node forward.
pub const CATCH_UP_DEADLINE: Span = Span::from_millis(3_000);
/// How long a peer that did not is not asked. It doubles with every time in a row.
pub const CATCH_UP_BACKOFF: Span = Span::from_millis(1_000);
/// How often that doubles.
const DOUBLINGS_MAX: u32 = 5;
/// How many rounds the first request spans.
const SPAN_FIRST: u64 = 64;

/// One run after another, each with one peer.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    run: Option<Run>,
    turn: usize,
    failures: BTreeMap<Author, Failures>,
}

#[derive(Debug)]
struct Run {
    peer: Author,
    /// The first round of the run.
    start: Round,
    /// The last round that the peer claims.
    target: Round,
    /// The first round that has not been asked for.
    next: Round,
    /// Rounds a request.
    span: u64,
    slots: VecDeque<Slot>,
    /// The highest round that was held when the deadline was last set.
    highest: Round,
    deadline: Moment,
    /// Whether the peer had nothing more.
    is_stopped: bool,
}

/// One request and, once it is there, its answer.
#[derive(Debug)]
struct Slot {
    request: FetchRounds,
    is_asked: bool,
    answer: Option<Range<Verified<Vertex>, VerifiedCoin>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    until: Moment,
}

/// What is known when the next requests are chosen.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) now: Moment,
    /// The highest round with a quorum.
    pub(super) highest: Round,
    /// Peers that claim to be far above, with what they claim.
    pub(super) ahead: Vec<(Author, Round)>,
}

impl CatchUp {
    /// The round up to which the present run goes.
    pub(super) fn target(&self) -> Option<Round> {
        self.run.as_ref().map(|run| run.target)
    }

    /// Whether vertices of this round are on their way.
    pub(super) fn awaits(&self, round: Round) -> bool {
        self.run.as_ref().is_some_and(|run| run.start <= round && round <= run.target)
    }

    /// Takes an answer, if it answers something.
    pub(super) fn answered(&mut self, from: Author, range: Range<Verified<Vertex>, VerifiedCoin>) {
        let Some(run) = self.run.as_mut().filter(|run| run.peer == from) else { return };
        let mut slots = run.slots.iter_mut();
        if let Some(slot) = slots.find(|slot| slot.request.from == range.from) {
            slot.answer.get_or_insert(range);
        }
    }

    /// The next answer in the order of rounds: insert it, and ask again.
    pub(super) fn take_answer(&mut self) -> Option<Range<Verified<Vertex>, VerifiedCoin>> {
        let run = self.run.as_mut()?;
        let front = run.slots.front_mut()?;
        let answer = front.answer.take()?;
        let request = front.request;
        run.slots.pop_front();
        let bytes: usize = answer.vertices.iter().map(|vertex| vertex.encoded().len()).sum();
        match answer.next {
            Some(next) if request.from < next && next.round < request.until => {
                run.span = (run.span / 2).max(1);
                let request = FetchRounds { from: next, until: request.until };
                run.slots.push_front(Slot::new(request));
            }
            // The peer has nothing from here on, whatever it claims.
            _ if answer.vertices.is_empty() => run.stop(),
            _ if bytes < SERVED_BYTES_MAX / 4 => {
                run.span = run.span.saturating_mul(2).min(RANGE_ROUNDS_MAX);
            }
            _ => {}
        }
        Some(answer)
    }

    /// A peer will not answer any more. Whether what was awaited is to be fetched otherwise.
    pub(super) fn gone(&mut self, peer: Author) -> bool {
        self.run.take_if(|run| run.peer == peer).is_some()
    }

    /// Ends a run that is through or leads nowhere. Gives the peer whose claim was worth nothing,
    /// or none when it kept its word.
    pub(super) fn end(&mut self, view: &View) -> Option<Ended> {
        let run = self.run.as_mut()?;
        if view.highest > run.highest {
            run.highest = view.highest;
            run.deadline = view.now.after(CATCH_UP_DEADLINE);
            self.failures.remove(&run.peer);
        }
        let is_through = run.slots.is_empty() && run.next > run.target;
        if !is_through && view.now < run.deadline {
            return None;
        }
        let Run { peer, start, .. } = *run;
        self.run = None;
        self.turn = self.turn.wrapping_add(1);
        if is_through && view.highest > start {
            return Some(Ended { unworthy: None });
        }
        let failures = self.failures.entry(peer).or_insert(Failures { count: 0, until: view.now });
        let times = failures.count.min(DOUBLINGS_MAX);
        failures.count = failures.count.saturating_add(1);
        let backoff = Span::new(CATCH_UP_BACKOFF.value().saturating_mul(1 << times));
        failures.until = view.now.after(backoff);
        Some(Ended { unworthy: Some(peer) })
    }

    /// What to ask next, and of whom.
    pub(super) fn requests(&mut self, view: &View) -> Vec<(Author, FetchRounds)> {
        if self.run.is_none() {
            self.run = self.start(view);
        }
        let Some(run) = &mut self.run else { return Vec::new() };
        run.extend(view);
        let peer = run.peer;
        let open = run.slots.iter_mut().filter(|slot| !slot.is_asked);
        open.map(|slot| {
            slot.is_asked = true;
            (peer, slot.request)
        })
        .collect()
    }

    /// When the present run has to have brought something, or an avoided peer may be asked again.
    pub(super) fn next_deadline(&self, view: &View) -> Option<Moment> {
        if let Some(run) = &self.run {
            return Some(run.deadline);
        }
        let waits = view.ahead.iter().filter_map(|(peer, _)| self.failures.get(peer));
        waits.map(|failures| failures.until).filter(|until| *until > view.now).min()
    }

    fn start(&self, view: &View) -> Option<Run> {
        let may_ask = |peer: &Author| {
            self.failures.get(peer).is_none_or(|failures| failures.until <= view.now)
        };
        let able: Vec<_> = view.ahead.iter().filter(|(peer, _)| may_ask(peer)).collect();
        let (peer, target) = **able.get(self.turn % able.len().max(1))?;
        Some(Run {
            peer,
            start: view.highest,
            target,
            // The highest round with a quorum may lack some: it is asked for again.
            next: view.highest.max(Round::new(1)),
            span: SPAN_FIRST,
            slots: VecDeque::new(),
            highest: view.highest,
            deadline: view.now.after(CATCH_UP_DEADLINE),
            is_stopped: false,
        })
    }
}

impl Run {
    /// Asks for nothing more and drops what is under way.
    fn stop(&mut self) {
        self.slots.clear();
        self.target = self.next.saturating_sub(1);
        self.is_stopped = true;
    }

    /// Adds requests until enough are under way or the target is reached.
    fn extend(&mut self, view: &View) {
        let claim = view.ahead.iter().find(|(peer, _)| *peer == self.peer);
        if let Some((_, claimed)) = claim.filter(|_| !self.is_stopped) {
            self.target = self.target.max(*claimed);
        }
        while self.slots.len() < PIPELINE_MAX && self.next <= self.target {
            let end = self.target.next();
            let until = self.next.saturating_add(self.span).min(end);
            let request = FetchRounds { from: first_of(self.next), until };
            self.slots.push_back(Slot::new(request));
            self.next = until;
        }
    }
}

impl Slot {
    const fn new(request: FetchRounds) -> Self {
        Self { request, is_asked: false, answer: None }
    }
}

/// A run that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whose claim was worth nothing.
    pub(super) unworthy: Option<Author>,
}
