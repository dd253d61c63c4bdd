//! The machine: joins the DAG, the waiting vertices, the coin, the decisions and the order.
//!
//! Source: `docs/consensus.md`.
//!
//! **Invariant:** what leaves as commits depends on the set of vertices and coins that went in, not
//! on their order: whatever arrival order decides (which twin becomes a parent, which share is
//! combined) is read by no decision.

use alloc::collections::BTreeSet;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Committee;
use types::Digest;
use types::Round;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::coin;
use types::coin::CoinSignature;

use crate::coin::Coin;
use crate::coin_task::CoinOutcome;
use crate::coin_task::CoinTask;
use crate::coin_task::VerifiedCoin;
use crate::dag::Dag;
use crate::dag::edges_of;
use crate::decision;
use crate::decision::Decisions;
use crate::decision::SlotPlace;
use crate::frontier::Frontier;
#[cfg(any(test, feature = "test-utils"))]
use crate::leaders::ForcedLeaders;
use crate::leaders::Schedule;
use crate::leaders::draw;
use crate::leaders::in_turn;
use crate::order::Order;
use crate::output::Alarm;
use crate::output::Edges;
use crate::output::Evidence;
use crate::output::Output;
use crate::output::Refusal;
use crate::parameters::Leaders;
use crate::parameters::Parameters;
use crate::parameters::SUSPENDED_PER_AUTHOR_MAX;
use crate::parameters::TWINS_UNWANTED_MAX;
use crate::parameters::WINDOW;
use crate::slot::Status;
use crate::suspended::Suspended;
use crate::suspended::Suspension;

/// One validator's or follower's view of the DAG, and the order that follows from it.
#[derive(Clone, Debug)]
pub struct Consensus {
    committee: Arc<Committee>,
    parameters: Parameters,
    own: Option<Author>,
    own_round: Round,
    schedule: Schedule,
    dag: Dag,
    suspended: Suspended,
    ready: VecDeque<Verified<Vertex>>,
    frontier: Frontier,
    coin: Coin,
    decisions: Decisions,
    order: Order,
    /// Authors of whom two vertices of one round are known: nothing that is built refers to them.
    equivocators: BTreeSet<Author>,
    /// After an alarm, the highest round that is taken.
    alarmed: Option<Round>,
    outputs: VecDeque<Output>,
}

impl Consensus {
    /// Starts at genesis. `own` is the validator whose vertices are built here, none for a follower.
    ///
    /// # Panics
    /// When the parameters are not those of a checked genesis.
    pub fn new(committee: Arc<Committee>, own: Option<Author>, parameters: Parameters) -> Self {
        Self::restore(committee, own, parameters, &[])
    }

    /// Starts after a restart: `recent` are the commits, ascending and with the last one, whose
    /// leader lies above the last one's garbage line. Insert the stored vertices above
    /// [`Self::gc_round`] next, own ones included: from then on the machine does what it would have
    /// done without the restart. An own stored vertex at or below the line that no commit names is
    /// for the caller to give back: it is not put out as [`Output::Unordered`] a second time.
    ///
    /// # Panics
    /// When the parameters are not those of a checked genesis.
    pub fn restore(
        committee: Arc<Committee>,
        own: Option<Author>,
        parameters: Parameters,
        recent: &[Commit],
    ) -> Self {
        let quorums = committee.quorums();
        parameters.assert_usable(quorums);
        let first = SlotPlace { round: Round::new(1), slot: 0 };
        let last = recent.last();
        let line = last.map_or(Round::ZERO, |last| parameters.garbage_line(last.leader.round));
        let next = last.map_or(first, |last| {
            decision::after(SlotPlace { round: last.leader.round, slot: last.slot }, &parameters)
        });
        Self {
            committee,
            parameters,
            own,
            own_round: Round::ZERO,
            schedule: match parameters.leaders {
                Leaders::Coin => Schedule::Coin,
                Leaders::RoundRobin => Schedule::RoundRobin,
            },
            dag: Dag::new(quorums, line),
            suspended: Suspended::default(),
            ready: VecDeque::new(),
            frontier: Frontier::new(own),
            coin: Coin::default(),
            decisions: Decisions::new(parameters, quorums.quorum(), next),
            order: Order::restore(recent, line),
            equivocators: BTreeSet::new(),
            alarmed: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a vertex, in whatever order. One that is known already changes nothing.
    pub fn insert(&mut self, vertex: Verified<Vertex>) {
        let reference = vertex.reference();
        if self.own == Some(reference.author) {
            self.own_round = self.own_round.max(reference.round);
        }
        if self.contains(&reference) || self.is_suspended(&reference) {
            return;
        }
        if let Some(reason) = self.refusal(&vertex) {
            self.outputs.push_back(Output::Refused { vertex: reference, reason });
            return;
        }
        let missing: BTreeSet<VertexRef> =
            edges_of(&vertex).filter(|edge| !self.dag.satisfies(edge)).copied().collect();
        if missing.is_empty() {
            self.ready.push_back(vertex);
            self.settle();
        } else {
            self.suspend(vertex, &missing);
        }
    }

    /// Takes the common coin of a round from somebody who knows it. One that is not looked for
    /// changes nothing.
    pub fn reveal(&mut self, coin: VerifiedCoin) {
        let VerifiedCoin { round, signature, .. } = coin;
        let is_ours = coin.message == self.committee.coin_message(round);
        if is_ours && self.awaits_coin(round) && round <= self.round_limit() {
            self.take_coin(round, signature);
            self.settle();
        }
    }

    /// Takes what became of a task that [`Output::CoinDue`] put out. Outcomes may come in any
    /// order, and more than once; as long as one stays out, its round waits.
    pub fn coin_done(&mut self, outcome: CoinOutcome) {
        let round = outcome.round();
        if outcome.message != self.committee.coin_message(round) {
            return;
        }
        let coin = outcome.coin();
        for vertex in self.coin.done(outcome) {
            let evidence = Evidence::WrongCoinShare { vertex, round };
            self.outputs.push_back(Output::Fault(evidence));
        }
        if let Some(coin) = coin
            && self.awaits_coin(round)
        {
            self.take_coin(round, coin.signature);
        }
        let threshold = self.committee.quorums().coin_threshold();
        let again = self.coin.task(round, threshold);
        self.put_out(again);
        while let Some(task) = self.coin.held_back(threshold) {
            self.put_out(Some(task));
        }
        self.settle();
    }

    /// Whether the common coin of a round is looked for: its slots are undecided and their leaders
    /// unknown.
    pub fn awaits_coin(&self, round: Round) -> bool {
        matches!(self.schedule, Schedule::Coin) && self.awaits(round)
    }

    /// The next thing that happened. Poll until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The round that may be built now, if any; never one at or below an own vertex, and none after
    /// an alarm.
    pub fn next_round(&self) -> Option<Round> {
        let may_build = self.own.is_some() && self.alarmed.is_none();
        let mut base = self.dag.highest();
        while may_build && base >= self.own_round {
            if base == Round::ZERO || self.is_base(base) {
                return Some(base.next());
            }
            if base <= self.dag.line() {
                break;
            }
            // Of a quorum there, some are left out: the round below may have a quorum without them.
            base = base.saturating_sub(1);
        }
        None
    }

    /// What a vertex of `round`, one that [`Self::next_round`] named, refers to.
    pub fn edges(&self, round: Round) -> Edges {
        let before = round.saturating_sub(1);
        let parents: Vec<VertexRef> = if before == Round::ZERO {
            self.committee.authors().map(|author| self.first_vertex(author)).collect()
        } else {
            self.parents(before)
        };
        let is_left_out = |author| self.is_left_out(author);
        let late = self.frontier.late(round, &parents, &self.dag, is_left_out);
        Edges { parents, late, coin_round: self.parameters.decided_by(round) }
    }

    /// Whether what is built here does not refer to this author, since it signed two vertices for
    /// one round. Never so of the own one.
    pub fn is_left_out(&self, author: Author) -> bool {
        self.own != Some(author) && self.equivocators.contains(&author)
    }

    /// Leaves an author out whose equivocation was proven in an earlier life.
    pub fn leave_out(&mut self, author: Author) {
        self.equivocators.insert(author);
    }

    /// Whether a vertex that a peer offers should be inserted: not when its author is left out and
    /// nothing waits for it, directly or through others, that somebody else made. It is asked for
    /// by name when something does. What was stored is inserted whatever this says.
    pub fn wants(&self, reference: &VertexRef) -> bool {
        !self.is_left_out(reference.author)
            || self.suspended.is_needed(reference, |author| self.is_left_out(author))
    }

    /// A vertex of the DAG.
    pub fn get(&self, reference: &VertexRef) -> Option<&Verified<Vertex>> {
        self.dag.get(reference)
    }

    /// Whether a vertex is in the DAG.
    pub fn contains(&self, reference: &VertexRef) -> bool {
        self.dag.held(reference).is_some()
    }

    /// The highest round at which a vertex of `author` waits for others.
    pub fn suspended_round(&self, author: Author) -> Round {
        self.suspended.highest_of(author)
    }

    /// How many vertices wait for others.
    pub fn suspended_len(&self) -> usize {
        self.suspended.len()
    }

    /// Whether a vertex is known but waits for others.
    pub fn is_suspended(&self, reference: &VertexRef) -> bool {
        self.suspended.contains(reference)
    }

    /// The vertices of the DAG at `round`, by author.
    pub fn vertices_at(&self, round: Round) -> impl Iterator<Item = &Verified<Vertex>> {
        self.dag.at(round)
    }

    /// The garbage line: nothing at or below it is held or will be ordered.
    pub fn gc_round(&self) -> Round {
        self.dag.line()
    }

    /// The highest round at which vertices of a quorum of authors are held; the garbage line at
    /// least.
    pub fn highest_round(&self) -> Round {
        self.dag.highest()
    }

    /// The highest round of an own vertex that was inserted; zero when there is none.
    pub fn own_round(&self) -> Round {
        self.own_round
    }

    /// The highest round of which every slot is decided.
    pub fn decided_round(&self) -> Round {
        self.decisions.next().round.saturating_sub(1)
    }

    /// The last commit's number and digest.
    pub fn last_commit(&self) -> (CommitIndex, Digest) {
        self.order.last()
    }

    /// Whether vertices with payload wait to be ordered: the network should pace on.
    pub fn has_undecided_payload(&self) -> bool {
        self.order.has_waiting_payload()
    }

    /// What is missing, each with one vertex that waits for it, ascending.
    pub fn missing(&self) -> impl Iterator<Item = (VertexRef, VertexRef)> {
        self.suspended.missing()
    }

    /// The common coin of a round above the garbage line, when it is known.
    pub fn coin(&self, round: Round) -> Option<CoinSignature> {
        self.coin.signature(round).copied()
    }

    /// Puts named leaders in place of the common coin. Call it before the first vertex.
    #[cfg(any(test, feature = "test-utils"))]
    #[must_use]
    pub fn with_forced_leaders(mut self, forced: ForcedLeaders) -> Self {
        self.schedule = Schedule::Forced(forced);
        self
    }

    /// Makes the leaders of a hidden round known.
    #[cfg(any(test, feature = "test-utils"))]
    pub fn reveal_forced(&mut self, round: Round) {
        if let Schedule::Forced(forced) = &mut self.schedule {
            forced.hidden.remove(&round);
        }
        self.reveal_forced_if_due(round);
        self.settle();
    }

    /// Whether a vertex may be built on a round: a quorum of authors who are not left out stands
    /// there, or any quorum when somebody who is not left out has built on it. Whoever did may have
    /// jumped the round, and then it never has a quorum of others.
    fn is_base(&self, round: Round) -> bool {
        let quorum = self.committee.quorums().quorum();
        let is_kept = |vertex: &VertexRef| !self.is_left_out(vertex.author);
        let authors = self.dag.firsts(round);
        let kept = authors.filter(is_kept).count();
        kept >= quorum
            || (self.dag.authors_at(round) >= quorum
                && self.dag.firsts(round.next()).any(|vertex| is_kept(&vertex)))
    }

    /// Every vertex of a round, one an author; of authors who are left out only as many as are
    /// needed for a quorum.
    fn parents(&self, round: Round) -> Vec<VertexRef> {
        let (kept, out): (Vec<VertexRef>, Vec<VertexRef>) =
            self.dag.firsts(round).partition(|first| !self.is_left_out(first.author));
        let lacking = self.committee.quorums().quorum().saturating_sub(kept.len());
        let mut parents = kept;
        parents.extend(out.into_iter().take(lacking));
        parents.sort_unstable();
        parents
    }

    fn first_vertex(&self, author: Author) -> VertexRef {
        VertexRef::genesis(self.committee.chain(), self.committee.epoch(), author)
    }

    /// The highest round that is taken. After an alarm nothing is ordered, so nothing falls to the
    /// line: what is kept must not grow with the rounds any more.
    fn round_limit(&self) -> Round {
        self.alarmed.unwrap_or_else(|| self.dag.highest().saturating_add(WINDOW))
    }

    /// Why a vertex that is not known is not taken.
    fn refusal(&self, vertex: &Vertex) -> Option<Refusal> {
        let VertexRef { round, author, .. } = vertex.reference();
        let (line, limit) = (self.dag.line(), self.round_limit());
        if author.index() >= self.committee.size() {
            return Some(Refusal::UnknownAuthor { author });
        }
        if round <= line {
            return Some(Refusal::BelowGarbageLine { round, line });
        }
        if round > limit {
            return Some(Refusal::TooFarAhead { round, limit });
        }
        if round == Round::new(1) {
            let parents = vertex.header().parents.iter();
            let unknown = parents.copied().find(|edge| *edge != self.first_vertex(edge.author));
            if let Some(actual) = unknown {
                return Some(Refusal::UnknownFirst { actual });
            }
        }
        let twins = self.dag.twins(round, author).len() + self.suspended.twins(round, author);
        let limit = TWINS_UNWANTED_MAX;
        let unwanted = !self.suspended.wants(&vertex.reference());
        (twins >= limit && unwanted).then_some(Refusal::TooManyTwins { author, round, limit })
    }

    fn suspend(&mut self, vertex: Verified<Vertex>, missing: &BTreeSet<VertexRef>) {
        let reference = vertex.reference();
        let full = |vertex: VertexRef| Output::Refused {
            vertex,
            reason: Refusal::SuspendedFull {
                author: vertex.author,
                limit: SUSPENDED_PER_AUTHOR_MAX,
            },
        };
        match self.suspended.suspend(vertex, missing) {
            Suspension::Taken => {}
            Suspension::Replaced(given_up) => self.outputs.push_back(full(given_up.reference())),
            Suspension::Full => return self.outputs.push_back(full(reference)),
        }
        // Nobody needs what a vertex of a left-out author leads to until somebody else's waits for it.
        let needs = self.wants(&reference);
        let through = |author| needs && self.is_left_out(author);
        let missing = self.suspended.unknown_below(missing, through).into_iter().collect();
        self.outputs.push_back(Output::Missing { vertex: reference, missing });
    }

    /// Does everything that follows from what has become ready, until nothing follows any more.
    fn settle(&mut self) {
        loop {
            while let Some(vertex) = self.ready.pop_front() {
                self.accept(vertex);
            }
            if self.alarmed.is_some() {
                return;
            }
            self.decisions.evaluate(&self.dag);
            while let Some((place, status)) = self.decisions.take_decided() {
                if let Status::Committed(leader) = status {
                    self.commit(leader, place.slot);
                }
            }
            self.decisions.forget(self.dag.line());
            self.coin.forget(self.decisions.next().round, self.dag.line());
            if self.ready.is_empty() {
                return;
            }
        }
    }

    /// Takes a vertex into the DAG.
    fn accept(&mut self, vertex: Verified<Vertex>) {
        let reference = vertex.reference();
        if reference.round <= self.dag.line() {
            return self.give_up(vertex);
        }
        let twins = self.dag.twins(reference.round, reference.author);
        if let [first] = twins {
            // One pair proves the fault; more of them prove nothing more.
            let (first, second) = (first.vertex.clone(), vertex.clone());
            self.outputs.push_back(Output::Fault(Evidence::Equivocation { first, second }));
            self.equivocators.insert(reference.author);
        }
        self.dag.insert(vertex.clone());
        self.outputs.push_back(Output::Accepted(vertex.clone()));
        self.frontier.accept(&vertex, &self.dag);
        self.order.accept(&vertex);
        let alarm = self.decisions.count(&vertex);
        self.raise(alarm);
        self.reveal_due(&vertex);
        self.ready.extend(self.suspended.satisfied(&reference));
    }

    /// Names the leaders that an accepted vertex makes known.
    fn reveal_due(&mut self, vertex: &Verified<Vertex>) {
        match self.schedule {
            Schedule::Coin => self.collect_share(vertex),
            Schedule::RoundRobin => {
                let quorums = self.committee.quorums();
                let mut round = vertex.round();
                while self.awaits(round) {
                    let leaders = in_turn(round, quorums, self.parameters.leaders_per_round);
                    self.name_leaders(round, leaders);
                    round = round.saturating_sub(1);
                }
            }
            #[cfg(any(test, feature = "test-utils"))]
            Schedule::Forced(_) => {
                if let Some(round) = self.parameters.decided_by(vertex.round()) {
                    self.reveal_forced_if_due(round);
                }
            }
        }
    }

    fn collect_share(&mut self, vertex: &Verified<Vertex>) {
        let due = self.parameters.decided_by(vertex.round());
        let (Some(round), Some(share)) = (due, vertex.header().coin_share) else { return };
        if self.awaits(round) {
            self.coin.add(round, share, vertex);
            let task = self.coin.task(round, self.committee.quorums().coin_threshold());
            self.put_out(task);
        }
    }

    fn put_out(&mut self, task: Option<CoinTask>) {
        self.outputs.extend(task.map(Output::CoinDue));
    }

    #[cfg(any(test, feature = "test-utils"))]
    fn reveal_forced_if_due(&mut self, round: Round) {
        let Schedule::Forced(forced) = &self.schedule else { return };
        let quorums = self.committee.quorums();
        let deciders = self.dag.authors_at(self.parameters.decision_round(round));
        let due = deciders >= quorums.coin_threshold() && !forced.hidden.contains(&round);
        if due && self.awaits(round) {
            let leaders = forced.of(round, quorums, self.parameters.leaders_per_round);
            self.name_leaders(round, leaders);
        }
    }

    /// Whether a round has slots to decide whose leaders are not known.
    fn awaits(&self, round: Round) -> bool {
        round >= self.decisions.next().round && !self.decisions.is_revealed(round)
    }

    /// Takes a signature that has been checked.
    fn take_coin(&mut self, round: Round, signature: CoinSignature) {
        self.coin.keep(round, signature);
        self.outputs.push_back(Output::CoinRevealed { round, signature });
        let seed = coin::coin_seed(self.committee.epoch(), round, &signature);
        let leaders = draw(seed, self.committee.quorums(), self.parameters.leaders_per_round);
        self.name_leaders(round, leaders);
    }

    fn name_leaders(&mut self, round: Round, leaders: Vec<Author>) {
        let alarm = self.decisions.reveal(round, leaders, &self.dag);
        self.raise(alarm);
    }

    /// Puts out the first alarm; nothing is ordered from then on.
    fn raise(&mut self, alarm: Option<Alarm>) {
        let (Some(alarm), None) = (alarm, self.alarmed) else { return };
        self.alarmed = Some(self.round_limit());
        self.outputs.push_back(Output::Alarm(alarm));
    }

    fn commit(&mut self, leader: VertexRef, slot: u16) {
        let line = self.parameters.garbage_line(leader.round);
        let ordered = self.order.commit(leader, slot, line, &mut self.dag);
        self.outputs.push_back(Output::Commit(ordered));
        if line > self.dag.line() {
            self.collect_garbage(line);
        }
    }

    /// Forgets everything at or below the line. References there need nothing any more.
    fn collect_garbage(&mut self, line: Round) {
        for vertex in self.dag.drop_through(line) {
            if self.own == Some(vertex.author()) && !self.order.is_ordered(&vertex.reference()) {
                self.outputs.push_back(Output::Unordered(vertex));
            }
        }
        let swept = self.suspended.drop_through(line);
        self.ready.extend(swept.ready);
        for vertex in swept.dropped {
            self.give_up(vertex);
        }
        self.frontier.drop_through(line);
        self.order.drop_through(line);
    }

    /// Refuses a vertex that fell to the line before it came into the DAG.
    fn give_up(&mut self, vertex: Verified<Vertex>) {
        let (reference, line) = (vertex.reference(), self.dag.line());
        let reason = Refusal::BelowGarbageLine { round: reference.round, line };
        self.outputs.push_back(Output::Refused { vertex: reference, reason });
        if self.own == Some(reference.author) {
            self.outputs.push_back(Output::Unordered(vertex));
        }
    }
}

#[cfg(test)]
mod tests;
