//! The ordering half: consensus with a store, peers, a pace and a memory of what it signed.
//!
//! **Invariant:** an own vertex is written and synced before its first byte is sent, and before a
//! second one can be drafted; a restart finds its round in the store. **Invariant:** a commit is
//! written before it is told, so execution can always find it.
//!
//! A lost message is never assumed to have arrived: whoever misses a vertex notices it by another
//! one that refers to it, or by the status that everybody sends every second, and asks.
//!
//! Source: `docs/consensus.md`, Round advance, Durability and Bounds.

use std::sync::Arc;

use consensus::Alarm;
use consensus::Consensus;
use consensus::Output;
use consensus::Parameters;
use consensus::Refusal;
use consensus::VerifiedCoin;
use store::Durability;
use types::Author;
use types::CommitIndex;
use types::Committee;
use types::Genesis;
use types::Item;
use types::Moment;
use types::Round;
use types::Span;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::table::TableRead;

use crate::error::OpenError;
use crate::execution::EXECUTION_QUEUE_MAX;
use crate::step::Step;
use crate::tables;
use crate::wire::Message;
use crate::wire::Range;
use crate::wire::Recalled;
use crate::wire::Status;

use catch_up::CatchUp;
use catch_up::View;
use fetch::Fetch;
use fetch::WantedBy;
use peers::Peers;
use proposer::Due;
use proposer::Proposer;
use recall::Recall;

mod catch_up;
mod fetch;
mod input;
mod open;
mod peers;
mod proposer;
mod recall;
mod status;
#[cfg(test)]
mod tests;

pub use catch_up::CATCH_UP_BACKOFF;
pub use catch_up::CATCH_UP_DEADLINE;
pub use catch_up::PIPELINE_MAX;
pub use fetch::FETCH_BACKOFF;
pub use fetch::FETCH_DEADLINE;
pub use fetch::FETCH_INFLIGHT_MAX;
pub use fetch::FETCH_WANTED_PER_AUTHOR_MAX;
pub use input::Action;
pub use input::Draft;
pub use input::Input;
pub use input::Pace;
pub use input::Room;
pub use peers::BEHIND_ROUNDS;
pub use peers::SILENT_AFTER;
pub use proposer::PROPOSAL_ROOM;
pub use recall::RECALL_INTERVAL;
pub use status::OrderingStatus;
pub use status::PeerState;
pub use status::PeerStatus;
pub use status::Recovering;

/// How often everybody says how far it is.
pub const STATUS_INTERVAL: Span = Span::from_millis(1_000);

/// What the ordering half has to know.
#[derive(Clone, Debug)]
pub struct OrderingConfig {
    /// The validators.
    pub committee: Arc<Committee>,
    /// Which validator this is; none for a follower, which builds nothing.
    pub own: Option<Author>,
    /// How vertices are ordered.
    pub parameters: Parameters,
    /// How fast vertices are made.
    pub pacing: Pacing,
    /// What a store without an own vertex means.
    pub start: Start,
}

/// What a store without an own vertex means. With one, it says nothing: the store remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// These keys have never signed a vertex: the first one may be built at once.
    First,
    /// They may have, and the store does not know: others are asked what they remember, and nothing
    /// is built before they have answered and the rounds in question are past.
    Recover,
}

/// How fast vertices are made. Policy only: agreement depends on none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The least time between two own vertices.
    pub min_round_interval: Span,
    /// The time between two own vertices when nothing happens.
    pub idle_interval: Span,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { min_round_interval: Span::from_millis(10), idle_interval: Span::from_millis(1_000) }
    }
}

impl OrderingConfig {
    /// The configuration that follows from a genesis, with default pacing.
    pub fn new(
        committee: Arc<Committee>,
        own: Option<Author>,
        genesis: &Genesis,
        start: Start,
    ) -> Self {
        let parameters = Parameters::from(genesis.consensus);
        Self { committee, own, parameters, pacing: Pacing::default(), start }
    }
}

/// The ordering half.
#[derive(Debug)]
pub struct Ordering {
    config: OrderingConfig,
    consensus: Consensus,
    peers: Peers,
    fetch: Fetch,
    catch_up: CatchUp,
    proposer: Proposer,
    recall: Recall,
    /// The newest own vertex, for whoever connects.
    newest: Option<Verified<Vertex>>,
    /// What execution has applied; none until it says so.
    executed: Option<CommitIndex>,
    /// What execution wants.
    pace: Pace,
    alarm: Option<Alarm>,
    status_due: Moment,
    deadline: Option<Moment>,
    step: Step<Action>,
}

impl Ordering {
    /// Starts from what the store holds, from genesis when it holds nothing.
    ///
    /// # Errors
    /// When the store fails, or holds the order of another network.
    pub fn open(config: OrderingConfig, read: &dyn TableRead) -> Result<Self, OpenError> {
        open::open(config, read)
    }

    /// Takes an input. `now` is this machine's monotonic clock, `wall` what goes into vertices as
    /// their time. Call it with [`Input::Wake`] at the start and at every deadline; a late or
    /// repeated call is harmless.
    pub fn handle(&mut self, now: Moment, wall: TimestampMs, input: Input) {
        match input {
            Input::Vertex { from, vertex } => self.receive(from, [vertex], now),
            Input::Vertices { from, vertices } => {
                let sent = vertices.len();
                self.receive(from, vertices, now);
                self.fetch.answered(from, sent, now);
            }
            Input::Range { from, range } => self.receive_range(from, range, now),
            Input::Status { from, status } => self.receive_status(from, &status, now),
            Input::Recall { from, question } => self.remember(from, question),
            Input::Recalled { from, question, round } => self.recalled(from, question, round),
            Input::Connected(peer) => self.connect(peer),
            Input::Gone(peer) => self.disconnect(peer, now),
            Input::Submit(items) => self.queue(items),
            Input::Signed(vertex) => self.take_signed(&vertex),
            Input::Coin(outcome) => {
                self.consensus.coin_done(outcome);
                self.drain(None);
            }
            Input::Executed(commit) => self.executed = self.executed.max(Some(commit)),
            Input::Pace(pace) => self.pace = pace,
            Input::Wake => {}
        }
        self.advance(now, wall);
    }

    /// What to write and to do. Poll until there is none.
    pub fn poll_step(&mut self) -> Option<Step<Action>> {
        (!self.step.is_empty()).then(|| std::mem::take(&mut self.step))
    }

    /// When [`Input::Wake`] is due.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    /// How far this node is at `now`.
    pub fn status(&self, now: Moment) -> OrderingStatus {
        let (commit, commit_digest) = self.consensus.last_commit();
        let round = self.consensus.highest_round();
        OrderingStatus {
            own_round: self.consensus.own_round(),
            round,
            decided_round: self.consensus.decided_round(),
            gc_round: self.consensus.gc_round(),
            commit,
            commit_digest,
            fetching: self.fetch.len(),
            catching_up_to: self.catch_up.target(),
            peers: self.peers.status(now, round),
            recovering: self.recall.status(),
            alarm: self.alarm.clone(),
        }
    }

    /// The machine inside, to look at.
    pub const fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    fn receive(
        &mut self,
        from: Author,
        vertices: impl IntoIterator<Item = Verified<Vertex>>,
        now: Moment,
    ) {
        self.peers.heard(from, now);
        for vertex in vertices {
            if self.consensus.wants(&vertex.reference()) {
                self.consensus.insert(vertex);
                self.drain(Some(from));
            } else {
                self.fetch.forget(&vertex.reference());
            }
        }
    }

    fn receive_range(
        &mut self,
        from: Author,
        range: Range<Verified<Vertex>, VerifiedCoin>,
        now: Moment,
    ) {
        self.peers.heard(from, now);
        self.catch_up.answered(from, range);
        while let Some(range) = self.catch_up.take_answer() {
            // Each before the vertices that carry its shares, and not long before: a coin far above
            // what is held is passed over, and its shares would have to be combined after all.
            let mut coins = range.coins.into_iter().peekable();
            for vertex in range.vertices {
                while let Some(coin) = coins.next_if(|coin| coin.round() <= vertex.round()) {
                    self.consensus.reveal(coin);
                    self.drain(None);
                }
                self.receive(from, [vertex], now);
            }
            coins.for_each(|coin| self.consensus.reveal(coin));
            self.drain(None);
        }
    }

    fn receive_status(&mut self, from: Author, status: &Status, now: Moment) {
        if !self.peers.knows(from) {
            return;
        }
        self.peers.heard(from, now);
        self.peers.told(from, status);
        let lacks = |own: &VertexRef| {
            own.author == from
                && own.round > self.consensus.gc_round()
                && own.round <= self.consensus.highest_round().saturating_add(BEHIND_ROUNDS)
                && !self.is_known(own)
                && !self.consensus.is_left_out(from)
        };
        if let Some(own) = status.own.filter(lacks) {
            self.fetch.want(own, WantedBy { child: from, sender: from });
        }
    }

    fn connect(&mut self, peer: Author) {
        if !self.peers.knows(peer) {
            return;
        }
        self.peers.connect(peer, true);
        self.fetch.retry();
        self.recall.connected();
        let message = Message::Status(self.own_status());
        self.step.then.push(Action::Send { to: peer, message });
        if let Some(newest) = &self.newest {
            let message = Message::Vertex(newest.encoded().clone());
            self.step.then.push(Action::Send { to: peer, message });
        }
    }

    /// Tells a validator that lost its memory what it may have signed. Whoever does not know that of
    /// itself is silent.
    fn remember(&mut self, asker: Author, question: TimestampMs) {
        let Some(own) = self.recall.bound().filter(|_| self.config.own.is_some()) else { return };
        if !self.peers.knows(asker) {
            return;
        }
        let known = self.peers.round(asker).max(self.consensus.suspended_round(asker));
        let own = own.max(self.newest_round()).max(self.consensus.own_round());
        let round = known.max(own).max(self.consensus.highest_round());
        let message = Message::Recalled(Recalled { question, round });
        self.step.then.push(Action::Send { to: asker, message });
    }

    fn recalled(&mut self, from: Author, question: TimestampMs, round: Round) {
        if self.peers.knows(from) {
            self.recall.answered(from, question, round);
        }
    }

    fn newest_round(&self) -> Round {
        self.newest.as_ref().map_or(Round::ZERO, |vertex| vertex.round())
    }

    fn disconnect(&mut self, peer: Author, now: Moment) {
        self.peers.connect(peer, false);
        self.fetch.gone(peer, now);
        if self.catch_up.gone(peer) {
            self.fetch.retry();
        }
    }

    fn queue(&mut self, items: Vec<Item>) {
        let rest = match self.config.own {
            Some(_) => self.proposer.queue(items),
            None => items,
        };
        if !rest.is_empty() {
            self.step.then.push(Action::Returned(rest));
        }
    }

    fn take_signed(&mut self, vertex: &Verified<Vertex>) {
        let reference = vertex.reference();
        if self.config.own != Some(reference.author) || !self.proposer.signed(reference.round) {
            return;
        }
        tables::put_vertex(&mut self.step.persist, &reference, vertex.encoded());
        tables::put_own(&mut self.step.persist, &reference);
        self.step.durability = Durability::Synced;
        self.newest = Some(vertex.clone());
        self.recall.signed();
        self.step.then.push(Action::Broadcast(Message::Vertex(vertex.encoded().clone())));
        self.consensus.insert(vertex.clone());
        self.drain(None);
    }

    /// Does everything that is due, and finds out when the next thing is.
    fn advance(&mut self, now: Moment, wall: TimestampMs) {
        if self.status_due <= now {
            self.status_due = now.after(STATUS_INTERVAL);
            let message = Message::Status(self.own_status());
            self.step.then.push(Action::Broadcast(message));
        }
        let view = self.catch_up(now);
        if let Some((question, peers)) = self.recall.ask(now, wall, self.peers.connected()) {
            let message = Message::Recall(question);
            let send = |to| Action::Send { to, message: message.clone() };
            self.step.then.extend(peers.into_iter().map(send));
        }
        self.fetch_missing(now);
        let build_at = self.build(now, wall, &view);
        self.deadline = [
            Some(self.status_due),
            self.fetch.next_deadline(),
            self.catch_up.next_deadline(&view),
            self.recall.next_deadline(),
            build_at,
        ]
        .into_iter()
        .flatten()
        .min();
    }

    fn catch_up(&mut self, now: Moment) -> View {
        let view = |ordering: &Self| {
            let highest = ordering.consensus.highest_round();
            let ahead = ordering.peers.above(highest.saturating_add(BEHIND_ROUNDS)).collect();
            View { now, highest, ahead }
        };
        let mut seen = view(self);
        if let Some(ended) = self.catch_up.end(&seen) {
            self.fetch.retry();
            if let Some(peer) = ended.unworthy {
                self.peers.disbelieve(peer);
            }
            seen = view(self);
        }
        for (to, request) in self.catch_up.requests(&seen) {
            self.step.then.push(Action::Send { to, message: Message::FetchRounds(request) });
        }
        seen
    }

    fn fetch_missing(&mut self, now: Moment) {
        self.fetch.forget_through(self.consensus.gc_round());
        self.fetch.expire(now);
        if self.fetch.take_overflown() {
            for (missing, wanted_by) in self.consensus.missing() {
                let (child, sender) = (wanted_by.author, wanted_by.author);
                self.fetch.want(missing, WantedBy { child, sender });
            }
        }
        let connected: Vec<Author> = self.peers.connected().collect();
        let catch_up = &self.catch_up;
        let requests = self.fetch.requests(now, &connected, |round| catch_up.awaits(round));
        for (to, vertices) in requests {
            self.step.then.push(Action::Send { to, message: Message::FetchVertices(vertices) });
        }
    }

    /// Drafts a vertex when one is due, else says when one will be.
    fn build(&mut self, now: Moment, wall: TimestampMs, view: &View) -> Option<Moment> {
        let own = self.config.own.filter(|_| self.alarm.is_none())?;
        let bound = self.recall.bound()?;
        if self.is_hopelessly_behind(view) {
            return None;
        }
        let proposes = !self.lags();
        let round = match self.proposer.due(&self.consensus, now, (proposes, self.pace)) {
            Due::Now(round) if round <= bound => return None,
            Due::Now(round) => round,
            Due::At(at) => return Some(at),
            Due::Never => return None,
        };
        let cores = (&self.consensus, &*self.config.committee);
        let (draft, taken) = self.proposer.draft(cores, (own, round), (now, wall), proposes);
        self.step.then.push(Action::Sign(Box::new(draft)));
        if taken.items > 0 {
            self.step.then.push(Action::Taken(taken));
        }
        None
    }

    /// Whether so many peers are far ahead that one of them must be honest: then vertices built now
    /// are of no use to anybody, and catching up brings this node to where they are. It is held up
    /// only while a run is under way, and a run ends when it brings nothing.
    fn is_hopelessly_behind(&self, view: &View) -> bool {
        let faults = usize::from(self.config.committee.quorums().faults());
        view.ahead.len() > faults && self.catch_up.target().is_some()
    }

    fn lags(&self) -> bool {
        let (ordered, _) = self.consensus.last_commit();
        let lag = self.executed.map_or(0, |executed| ordered.distance_from(executed));
        usize::try_from(lag).unwrap_or(usize::MAX) > EXECUTION_QUEUE_MAX
    }

    fn is_known(&self, reference: &VertexRef) -> bool {
        self.consensus.contains(reference) || self.consensus.is_suspended(reference)
    }

    fn own_status(&self) -> Status {
        Status {
            own: self.newest.as_ref().map(|vertex| vertex.reference()),
            round: self.consensus.highest_round(),
            commit: self.consensus.last_commit().0,
        }
    }

    /// Turns what the core put out into rows and actions. `from` sent what caused it.
    fn drain(&mut self, from: Option<Author>) {
        while let Some(output) = self.consensus.poll_output() {
            let Step { persist, then, .. } = &mut self.step;
            match output {
                Output::Accepted(vertex) => {
                    let reference = vertex.reference();
                    self.fetch.forget(&reference);
                    self.peers.holds(reference.author, reference.round);
                    tables::put_vertex(persist, &reference, vertex.encoded());
                    let is_foreign = self.config.own != Some(reference.author);
                    // Who catches up has the commits almost as soon as the vertices.
                    let is_live = self.catch_up.target().is_none();
                    if is_foreign && is_live && !vertex.payload().is_empty() {
                        then.push(Action::Ahead(vertex));
                    }
                }
                Output::Missing { vertex, missing } => {
                    self.fetch.forget(&vertex);
                    let by =
                        WantedBy { child: vertex.author, sender: from.unwrap_or(vertex.author) };
                    missing.into_iter().for_each(|missing| self.fetch.want(missing, by));
                }
                Output::Commit(ordered) => {
                    tables::put_commit(persist, &ordered.commit);
                    then.push(Action::Commit(ordered));
                }
                Output::CoinDue(task) => then.push(Action::Coin(task)),
                Output::CoinRevealed { round, signature } => {
                    tables::put_coin(persist, round, &signature);
                }
                Output::Refused { vertex, reason: Refusal::TooFarAhead { .. } } => {
                    // Whoever has it has a quorum at the round before.
                    let round = vertex.round.saturating_sub(1);
                    from.into_iter().for_each(|from| self.peers.claims(from, round));
                }
                Output::Refused { .. } => {}
                Output::Fault(evidence) => {
                    tables::put_evidence(persist, &evidence);
                    then.push(Action::Evidence(evidence));
                }
                Output::Unordered(vertex) => {
                    let items = vertex.payload().items();
                    if !items.is_empty() {
                        then.push(Action::Returned(items.to_vec()));
                    }
                }
                Output::Alarm(alarm) => {
                    self.alarm = Some(alarm.clone());
                    then.push(Action::Alarm(alarm));
                }
            }
        }
    }
}
