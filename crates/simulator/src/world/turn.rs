//! One validator's turn: what the runtime of a node does, in virtual time.

use consensus::CoinTask;
use consensus::Evidence;
use consensus::Ordered;
use replica::Execution;
use replica::ExecutionConfig;
use replica::InPlace;
use replica::Ordering;
use replica::OrderingConfig;
use replica::execution;
use replica::execution::Summary;
use replica::ordering::Action;
use replica::ordering::Input;
use replica::ordering::Pacing;
use replica::ordering::Start;
use types::Author;
use types::Digest;
use types::Moment;
use types::Span;

use super::Event;
use super::Machines;
use super::World;
use crate::check::OutcomeReport;
use crate::check::ledger_rows;
use crate::schedule::DELAY;
use crate::trace::Note;
use crate::trace::digest_of_bytes;

/// One commit in so many is not handed over while the network is disturbed: execution reads it from
/// the store.
const COMMIT_LOST_ONE_IN: u32 = 16;

impl World<'_> {
    /// Opens a validator from its disk and connects it with everybody.
    pub(super) fn start(&mut self, own: Author) {
        match self.open(own) {
            Ok(machines) => self.node_mut(own).machines = Some(machines),
            Err(error) => return self.broken(own, &format!("does not open: {error}")),
        }
        self.trace.note(self.now, own, Note::Started, &Digest::ZERO);
        self.will_execute(own);
        self.input(own, Input::Wake);
        self.link_all(own);
    }

    fn open(&self, own: Author) -> Result<Machines, replica::OpenError> {
        let node = self.node(own);
        let committee = self.network.committee.clone();
        // A store without an own vertex means nothing signed, except after a loss.
        let start = if node.has_lost_disk { Start::Recover } else { Start::First };
        let mut config = OrderingConfig::new(committee, Some(own), &self.network.genesis, start);
        config.parameters.leaders = self.options.leaders.into();
        let idle_interval = self.idle_interval;
        config.pacing = Pacing { min_round_interval: self.min_round_interval(), idle_interval };
        let ordering = Ordering::open(config, &node.store)?;
        let genesis = self.genesis.clone();
        let config = ExecutionConfig { genesis, own: Some(own), limits: Default::default() };
        let execution = Execution::open(config, &node.store)?;
        Ok(Machines { ordering, execution })
    }

    fn min_round_interval(&self) -> Span {
        if self.nodes.len() == 1 { DELAY } else { Span::ZERO }
    }

    pub(super) fn wake(&mut self, own: Author, life: u32) {
        let now = self.now;
        let node = self.node_mut(own);
        if node.life != life {
            return;
        }
        node.wake_at = None;
        self.input_when(own, Input::Wake, |ordering| {
            ordering.next_deadline().is_some_and(|deadline| deadline <= now)
        });
    }

    /// Tells the ordering half something and does all that it asks for.
    pub(super) fn input(&mut self, own: Author, input: Input) {
        self.input_when(own, input, |_| true);
    }

    fn input_when(&mut self, own: Author, input: Input, when: impl FnOnce(&Ordering) -> bool) {
        let (now, wall) = (self.now, self.wall(own));
        let Some(machines) = &mut self.node_mut(own).machines else { return };
        if when(&machines.ordering) {
            machines.ordering.handle(now, wall, input);
        }
        self.work(own);
    }

    fn work(&mut self, own: Author) {
        loop {
            let Some(machines) = &mut self.node_mut(own).machines else { return };
            let Some(step) = machines.ordering.poll_step() else { break };
            if self.power_fails(own) {
                return;
            }
            self.watch(own, &step.persist);
            let then = match step.write(&self.node(own).store) {
                Ok(then) => then,
                Err(fault) => return self.broken(own, &fault),
            };
            for action in then {
                if self.power_fails(own) {
                    return;
                }
                self.act(own, action);
            }
        }
        self.observe(own);
    }

    fn act(&mut self, own: Author, action: Action) {
        match action {
            Action::Sign(draft) => self.sign(own, *draft),
            Action::Coin(task) => self.combine(own, &task),
            Action::Broadcast(message) => self.broadcast(own, message),
            Action::Send { to, message } => self.send(own, to, message),
            Action::Commit(ordered) => self.committed(own, ordered),
            Action::Ahead(vertex) => self.feed(own, execution::Input::Ahead(vertex)),
            Action::Returned(items) => self.feed(own, execution::Input::Returned(items)),
            Action::Taken(room) => self.feed(own, execution::Input::Taken(room)),
            Action::Evidence(evidence) => self.accused(own, &evidence),
            Action::Alarm(alarm) => self.broken(own, &format!("stopped by an alarm: {alarm:?}")),
        }
    }

    /// Shares are combined in place: whatever comes between, a machine waits for none of it.
    fn combine(&mut self, own: Author, task: &CoinTask) {
        let outcome = self.memo.combine(&self.network, task);
        let (now, wall) = (self.now, self.wall(own));
        if let Some(machines) = &mut self.node_mut(own).machines {
            machines.ordering.handle(now, wall, Input::Coin(outcome));
        }
    }

    fn accused(&mut self, own: Author, evidence: &Evidence) {
        if !self.node(own).is_judged() {
            return;
        }
        let Self { accusations, made, memo, network, .. } = self;
        let right = |author, round| memo.share(network, author, round);
        let verdict = accusations.accused(own, evidence, made, right);
        self.judge(verdict);
    }

    fn committed(&mut self, own: Author, ordered: Ordered) {
        if self.node(own).is_judged() {
            let verdict = self.order.told(own, &ordered).and_then(|()| self.made.ordered(&ordered));
            self.judge(verdict);
        }
        let digest = ordered.commit.digest();
        self.trace.note(self.now, own, Note::Committed, &digest);
        let leader = ordered.commit.leader;
        for vertex in ordered.commit.vertices.iter().filter(|vertex| vertex.author == own) {
            // A commit that is told again after a restart was measured before.
            let Some(made_at) = self.made_at.remove(vertex) else { continue };
            let micros = self.now.since(made_at).value();
            self.vertex_micros.push(micros);
            if *vertex == leader {
                self.leader_micros.push(micros);
            }
        }
        if self.schedule.is_orderly() || !self.schedule.one_in(COMMIT_LOST_ONE_IN) {
            self.feed(own, execution::Input::Commit(ordered));
        }
    }

    /// Hands something to the execution half, which takes it a little later.
    pub(super) fn feed(&mut self, own: Author, input: execution::Input) {
        self.node_mut(own).fed.push(input);
        self.will_execute(own);
    }

    fn will_execute(&mut self, own: Author) {
        if std::mem::replace(&mut self.node_mut(own).will_execute, true) {
            return;
        }
        let life = self.node(own).life;
        let at = self.now.after(self.schedule.execution_lag());
        self.at(at, u64::MAX, Event::Execute { at: own, life });
    }

    /// The execution half takes what waits for it, and does all that it can.
    pub(super) fn execute(&mut self, own: Author, life: u32) {
        let node = self.node_mut(own);
        if node.life != life {
            return;
        }
        node.will_execute = false;
        let fed = std::mem::take(&mut node.fed);
        let Some(machines) = &mut node.machines else { return };
        fed.into_iter().for_each(|input| machines.execution.handle(input));
        let mut answers = Vec::new();
        loop {
            let node = self.node_mut(own);
            let Some(machines) = &mut node.machines else { return };
            let step = match machines.execution.poll_step(&node.store, &InPlace) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(fault) => return self.broken(own, &fault),
            };
            if self.power_fails(own) {
                return;
            }
            let rows = ledger_rows(&step.persist);
            let then = match step.write(&self.node(own).store) {
                Ok(then) => then,
                Err(fault) => return self.broken(own, &fault),
            };
            // What was written counts, also when the power goes before it is told.
            for action in &then {
                if let execution::Action::Applied(summary) = action {
                    self.applied(own, summary, rows);
                }
            }
            for action in then {
                if self.power_fails(own) {
                    return;
                }
                answers.extend(self.act_executed(own, action));
            }
        }
        let (now, wall) = (self.now, self.wall(own));
        if let Some(machines) = &mut self.node_mut(own).machines {
            answers.into_iter().for_each(|input| machines.ordering.handle(now, wall, input));
        }
        self.work(own);
    }

    /// Does what execution asks for; gives what goes to ordering.
    fn act_executed(&mut self, own: Author, action: execution::Action) -> Option<Input> {
        match action {
            execution::Action::Answer { id, result } => {
                let said = digest_of_bytes(format!("{id:?} {result:?}").as_bytes());
                self.trace.note(self.now, own, Note::Answered, &said);
                let verdict = self.load.answered(id, &result);
                self.judge(verdict);
                None
            }
            // No load of these runs sends packages.
            execution::Action::AnswerPackage { .. } => None,
            execution::Action::Propose(items) => Some(Input::Submit(items)),
            execution::Action::Executed(commit) => Some(Input::Executed(commit)),
            execution::Action::Pace(pace) => Some(Input::Pace(pace)),
            execution::Action::Applied(_) => None,
            execution::Action::SignCheckpoint { commit, digest } => {
                let signature = self.memo.vote(&self.network, own, &digest);
                self.execute_next(own, execution::Input::CheckpointSigned { commit, signature });
                None
            }
            execution::Action::CheckVotes(task) => {
                let outcome = self.memo.check(&self.network, &task);
                self.execute_next(own, execution::Input::VotesChecked(outcome));
                None
            }
            execution::Action::CheckpointProven(_) => None,
            execution::Action::DoubleVote(double) => {
                let author = double.author;
                if self.node(author).is_judged() {
                    self.broken(author, &"it signed two states for one commit");
                }
                None
            }
            execution::Action::Diverged(divergence) => {
                let commit = divergence.own.commit;
                self.broken(own, &format!("a quorum signed another state at commit {commit}"));
                None
            }
        }
    }

    /// Answers the execution half, which is polled again right behind.
    fn execute_next(&mut self, own: Author, input: execution::Input) {
        if let Some(machines) = &mut self.node_mut(own).machines {
            machines.execution.handle(input);
        }
    }

    fn applied(&mut self, own: Author, summary: &Summary, rows: Digest) {
        if !self.node(own).is_judged() {
            return;
        }
        self.trace.note(self.now, own, Note::Applied, &rows);
        match self.outcomes.applied(own, &OutcomeReport::new(summary, rows)) {
            Ok(true) => self.load.settled(&summary.finals, summary.commit),
            Ok(false) => {}
            Err(violation) => self.judge(Err(violation)),
        }
    }

    /// Looks at how far the validator is, and when it has to be woken.
    fn observe(&mut self, own: Author) {
        let now = self.now;
        let node = self.node_mut(own);
        let Some(machines) = &node.machines else { return };
        let consensus = machines.ordering.consensus();
        let gap = consensus.highest_round().distance_from(consensus.decided_round());
        let deadline = machines.ordering.next_deadline();
        let due = deadline.map(|at| at.max(now.after(Span::new(1))));
        let is_sooner = |due: &Moment| node.wake_at.is_none_or(|at| *due < at);
        let due = due.filter(is_sooner);
        let life = node.life;
        if let Some(at) = due {
            node.wake_at = Some(at);
            self.at(at, u64::MAX - 1, Event::Wake { at: own, life });
        }
        if self.node(own).is_judged() {
            self.gap_max = self.gap_max.max(gap);
            self.look(own);
        }
    }
}
