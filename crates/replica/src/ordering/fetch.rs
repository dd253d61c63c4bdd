//! Fetches single vertices that others refer to and that are not here.
//!
//! Whoever sent a vertex has what it refers to, so the sender is asked first, then the author of
//! what is missing, then the author of what refers to it, then everybody in turn. One request a
//! peer is under way at a time; its answer, or its deadline, decides what is asked next.
//!
//! **Invariant:** wants are bounded for each author of what waits, so nobody who refers to vertices
//! that do not exist keeps others from being fetched.
//!
//! Source: `docs/consensus.md`, Bounds.

use std::collections::BTreeMap;

use types::Author;
use types::Moment;
use types::Round;
use types::Span;
use types::VertexRef;

use crate::wire::FETCH_VERTICES_MAX;

/// How many vertices are asked of one peer at a time.
pub const FETCH_INFLIGHT_MAX: usize = FETCH_VERTICES_MAX;
/// How many vertices are wanted at a time because vertices of one author refer to them.
pub const FETCH_WANTED_PER_AUTHOR_MAX: usize = 512;
/// How long a peer has for its first answer. It doubles with every one that stays out.
pub const FETCH_DEADLINE: Span = Span::from_millis(300);
/// How long to wait once everybody has been asked. It doubles with every turn.
pub const FETCH_BACKOFF: Span = Span::from_millis(200);
/// How often either of them doubles.
const DOUBLINGS_MAX: u32 = 5;

/// The wants and the requests under way.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    wants: BTreeMap<VertexRef, Want>,
    requests: BTreeMap<Author, Request>,
    strikes: BTreeMap<Author, u32>,
    by_author: BTreeMap<Author, usize>,
    /// Whether a want was refused for its bound: then there is more to fetch than is known here.
    is_overflown: bool,
    /// Whether something happened that may let a want be asked for.
    is_dirty: bool,
}

#[derive(Debug)]
struct Want {
    sender: Author,
    child: Author,
    attempt: usize,
    /// How many peers were in turn when it was last asked for.
    turn: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for as soon as whoever is next in turn is free.
    Waiting,
    /// Everybody was asked in vain.
    Resting {
        until: Moment,
    },
    Asked {
        peer: Author,
    },
}

#[derive(Debug)]
struct Request {
    deadline: Moment,
    vertices: Vec<VertexRef>,
}

/// Who waits for a wanted vertex, and who sent that.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedBy {
    pub(super) child: Author,
    pub(super) sender: Author,
}

impl Fetch {
    /// Asks for a vertex from now on.
    pub(super) fn want(&mut self, vertex: VertexRef, by: WantedBy) {
        if let Some(want) = self.wants.get_mut(&vertex) {
            // Somebody else has it, too: a reason to ask again at once.
            if by.sender != want.sender && matches!(want.state, State::Resting { .. }) {
                want.sender = by.sender;
                want.attempt = 0;
                want.state = State::Waiting;
                self.is_dirty = true;
            }
            return;
        }
        let count = self.by_author.entry(by.child).or_default();
        if *count >= FETCH_WANTED_PER_AUTHOR_MAX {
            self.is_overflown = true;
            return;
        }
        *count += 1;
        let (sender, child) = (by.sender, by.child);
        let want = Want { sender, child, attempt: 0, turn: 0, state: State::Waiting };
        self.wants.insert(vertex, want);
        self.is_dirty = true;
    }

    /// The vertex is here, or is not wanted any more.
    pub(super) fn forget(&mut self, vertex: &VertexRef) {
        let Some(want) = self.wants.remove(vertex) else { return };
        if let Some(count) = self.by_author.get_mut(&want.child) {
            *count = count.saturating_sub(1);
        }
    }

    /// Nothing at or below the garbage line is wanted any more.
    pub(super) fn forget_through(&mut self, line: Round) {
        while let Some((vertex, _)) = self.wants.first_key_value() {
            if vertex.round > line {
                break;
            }
            let vertex = *vertex;
            self.forget(&vertex);
        }
    }

    /// A peer answered, and what it sent has been taken in: what it held is forgotten by now.
    pub(super) fn answered(&mut self, peer: Author, sent: usize, now: Moment) {
        let Some(request) = self.requests.remove(&peer) else { return };
        self.strikes.remove(&peer);
        self.is_dirty = true;
        // An answer that held something stopped for its size, perhaps: the rest is asked again.
        let is_partial = sent > 0 && sent < request.vertices.len();
        for vertex in request.vertices {
            self.missed(&vertex, peer, (!is_partial).then_some(now));
        }
    }

    /// A peer can be reached from now on, or what was awaited did not come.
    pub(super) fn retry(&mut self) {
        self.is_dirty = true;
    }

    /// A peer will not answer any more.
    pub(super) fn gone(&mut self, peer: Author, now: Moment) {
        self.give_up(peer, now);
    }

    /// Lets requests pass away whose deadline is reached.
    pub(super) fn expire(&mut self, now: Moment) {
        let late = self.requests.iter().filter(|(_, request)| request.deadline <= now);
        let late: Vec<Author> = late.map(|(peer, _)| *peer).collect();
        for peer in late {
            let strikes = self.strikes.entry(peer).or_default();
            *strikes = strikes.saturating_add(1);
            self.give_up(peer, now);
        }
    }

    /// What to ask of whom. `is_awaited` names rounds that are on their way by other means.
    pub(super) fn requests(
        &mut self,
        now: Moment,
        connected: &[Author],
        is_awaited: impl Fn(Round) -> bool,
    ) -> Vec<(Author, Vec<VertexRef>)> {
        self.wake(now);
        if !self.is_dirty || connected.is_empty() {
            return Vec::new();
        }
        self.is_dirty = false;
        let mut batches: BTreeMap<Author, Vec<VertexRef>> = BTreeMap::new();
        for (vertex, want) in &mut self.wants {
            if want.state != State::Waiting || is_awaited(vertex.round) {
                continue;
            }
            let turn = turn(vertex, want, connected);
            let Some(peer) = turn.get(want.attempt % turn.len().max(1)) else { continue };
            let batch = batches.entry(*peer).or_default();
            if batch.len() < FETCH_INFLIGHT_MAX && !self.requests.contains_key(peer) {
                batch.push(*vertex);
                want.state = State::Asked { peer: *peer };
                want.turn = turn.len();
            }
        }
        batches.retain(|_, vertices| !vertices.is_empty());
        for (peer, vertices) in &batches {
            let strikes = self.strikes.get(peer).copied().unwrap_or(0);
            let deadline = now.after(doubled(FETCH_DEADLINE, strikes));
            let request = Request { deadline, vertices: vertices.clone() };
            self.requests.insert(*peer, request);
        }
        batches.into_iter().collect()
    }

    /// Whether more is missing than is wanted here and there is room for it again.
    pub(super) fn take_overflown(&mut self) -> bool {
        let has_room = self.by_author.values().all(|n| *n < FETCH_WANTED_PER_AUTHOR_MAX / 2);
        has_room && std::mem::take(&mut self.is_overflown)
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.requests.values().map(|request| request.deadline);
        let rests = self.wants.values().filter_map(|want| match want.state {
            State::Resting { until } => Some(until),
            State::Waiting | State::Asked { .. } => None,
        });
        deadlines.chain(rests).min()
    }

    /// How many vertices are wanted.
    pub(super) fn len(&self) -> usize {
        self.wants.len()
    }

    /// Lets wants be asked for again that have rested long enough.
    fn wake(&mut self, now: Moment) {
        for want in self.wants.values_mut() {
            if matches!(want.state, State::Resting { until } if until <= now) {
                want.state = State::Waiting;
                self.is_dirty = true;
            }
        }
    }

    fn give_up(&mut self, peer: Author, now: Moment) {
        let Some(request) = self.requests.remove(&peer) else { return };
        self.is_dirty = true;
        for vertex in request.vertices {
            self.missed(&vertex, peer, Some(now));
        }
    }

    /// `peer` did not send a vertex. It is asked again, or, given the time, the next one in turn.
    fn missed(&mut self, vertex: &VertexRef, peer: Author, next_at: Option<Moment>) {
        let Some(want) = self.wants.get_mut(vertex) else { return };
        if want.state != (State::Asked { peer }) {
            return;
        }
        want.state = State::Waiting;
        let Some(now) = next_at else { return };
        want.attempt += 1;
        let turn = want.turn.max(1);
        if want.attempt % turn == 0 {
            let turns = u32::try_from(want.attempt / turn).unwrap_or(u32::MAX);
            want.state = State::Resting { until: now.after(doubled(FETCH_BACKOFF, turns - 1)) };
        }
    }
}

/// Who is asked for a vertex, one after the other.
fn turn(vertex: &VertexRef, want: &Want, connected: &[Author]) -> Vec<Author> {
    let mut turn = Vec::with_capacity(connected.len());
    let first = [want.sender, vertex.author, want.child];
    // The others start at another place for every author, so that not all ask the same one.
    let start = connected.partition_point(|author| *author <= vertex.author);
    let others = connected[start..].iter().chain(&connected[..start]).copied();
    for author in first.into_iter().filter(|author| connected.contains(author)).chain(others) {
        if !turn.contains(&author) {
            turn.push(author);
        }
    }
    turn
}

fn doubled(span: Span, times: u32) -> Span {
    Span::new(span.value().saturating_mul(1 << times.min(DOUBLINGS_MAX)))
}

#[cfg(test)]
mod tests {
    use types::Digest;

    use super::*;

    const NEVER: fn(Round) -> bool = |_| false;

    fn author(number: u16) -> Author {
        Author::new(number)
    }

    fn vertex(round: u64, number: u16) -> VertexRef {
        VertexRef { round: Round::new(round), author: author(number), digest: Digest::ZERO }
    }

    fn by(child: u16, sender: u16) -> WantedBy {
        WantedBy { child: author(child), sender: author(sender) }
    }

    fn peers() -> Vec<Author> {
        [1, 2, 3, 4].map(author).to_vec()
    }

    fn asked(fetch: &mut Fetch, now: Moment) -> Vec<u16> {
        let requests = fetch.requests(now, &peers(), NEVER);
        requests.into_iter().map(|(peer, _)| peer.value()).collect()
    }

    #[test]
    fn the_sender_is_asked_first_then_the_author_then_everybody_then_again_after_a_rest() {
        let mut fetch = Fetch::default();
        fetch.want(vertex(5, 2), by(4, 3));
        let mut now = Moment::ZERO;
        let mut order = Vec::new();
        for _ in 0..4 {
            order.extend(asked(&mut fetch, now));
            now = fetch.next_deadline().unwrap();
            fetch.expire(now);
        }
        assert_eq!(order, [3, 2, 4, 1]);
        assert_eq!(asked(&mut fetch, now), [0; 0], "it rests");
        assert_eq!(fetch.next_deadline(), Some(now.after(FETCH_BACKOFF)));
        now = now.after(FETCH_BACKOFF);
        assert_eq!(asked(&mut fetch, now), [3]);
    }

    #[test]
    fn an_answer_without_the_vertex_moves_on_at_once_and_a_partial_one_asks_for_the_rest() {
        let mut fetch = Fetch::default();
        fetch.want(vertex(5, 2), by(3, 3));
        fetch.want(vertex(5, 4), by(3, 3));
        assert_eq!(asked(&mut fetch, Moment::ZERO), [3]);
        fetch.forget(&vertex(5, 2));
        fetch.answered(author(3), 1, Moment::ZERO);
        assert_eq!(asked(&mut fetch, Moment::ZERO), [3], "the rest");
        fetch.answered(author(3), 0, Moment::ZERO);
        assert_eq!(asked(&mut fetch, Moment::ZERO), [4], "its author");
    }

    #[test]
    fn requests_and_wants_are_bounded() {
        let mut fetch = Fetch::default();
        for round in 0..2_000 {
            fetch.want(vertex(round, 1), by(1, 1));
        }
        fetch.want(vertex(1, 2), by(2, 2));
        assert_eq!(fetch.len(), FETCH_WANTED_PER_AUTHOR_MAX + 1, "others keep their room");
        let requests = fetch.requests(Moment::ZERO, &peers(), NEVER);
        assert!(requests.iter().all(|(_, vertices)| vertices.len() <= FETCH_INFLIGHT_MAX));
        assert_eq!(fetch.requests(Moment::ZERO, &peers(), NEVER), [], "one request a peer");
        fetch.forget_through(Round::new(10_000));
        assert_eq!(fetch.len(), 0);
        assert!(fetch.take_overflown());
    }

    #[test]
    fn what_comes_by_other_means_is_not_asked_for() {
        let mut fetch = Fetch::default();
        fetch.want(vertex(5, 2), by(3, 3));
        assert_eq!(fetch.requests(Moment::ZERO, &peers(), |_| true), []);
        fetch.retry();
        assert_eq!(asked(&mut fetch, Moment::ZERO), [3]);
    }
}
