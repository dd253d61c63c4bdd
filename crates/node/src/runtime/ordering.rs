//! The ordering half on its own thread: takes inputs, writes steps, signs, sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use consensus::CoinOutcome;
use consensus::Evidence;
use consensus::Ordered;
use replica::Ordering;
use replica::Step;
use replica::ordering::Action;
use replica::ordering::Draft;
use replica::ordering::Input;
use replica::wire::Message;
use store::Store;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::Author;
use types::Committee;
use types::Encode as _;
use types::VertexRef;

use crate::failpoints::Point;
use crate::keys::Keys;
use crate::keys::UnusedMark;
use crate::mesh::Sender;
use crate::metrics::Metrics;
use crate::runtime::NodeError;
use crate::runtime::asked::Asked;
use crate::runtime::clock::Clock;
use crate::runtime::coins::Coins;
use crate::runtime::execution::Half;
use crate::runtime::execution::write;
use crate::runtime::feed::Feed;
use crate::runtime::ingress::Inbound;
use crate::runtime::thread::waiting_room;
use crate::status::NodeStatus;

/// How many inputs are taken before the machine is asked for steps.
const INPUTS_PER_TURN: usize = 128;
/// How many steps are written before everything else has its turn.
const STEPS_PER_TURN: usize = 16;
/// The state is told at most once in so long.
const STATUS_INTERVAL: Duration = Duration::from_millis(5);
/// How soon what execution had no room for is tried again.
const FEED_INTERVAL: Duration = Duration::from_millis(5);
/// How many own vertices are timed from making to commit.
const TIMED_MAX: usize = 1_024;

/// What the thread owns.
pub(super) struct OrderingThread {
    pub(super) ordering: Ordering,
    /// None for a follower, which is never asked to sign.
    pub(super) keys: Option<Keys>,
    /// Taken away before the first own vertex leaves.
    pub(super) unused: Option<UnusedMark>,
    pub(super) committee: Arc<Committee>,
    pub(super) own: Option<Author>,
    pub(super) store: Arc<dyn Store>,
    pub(super) mesh: Sender,
    pub(super) asked: Arc<Asked>,
    pub(super) inbox: mpsc::Receiver<Inbound>,
    pub(super) coins: Coins,
    pub(super) feed: Feed,
    pub(super) status: Arc<watch::Sender<Arc<NodeStatus>>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// What the thread keeps for itself.
struct Turn {
    made: BTreeMap<VertexRef, Instant>,
    told: Option<Instant>,
}

/// What ended a wait.
enum Woken {
    Input(Inbound),
    Coin(CoinOutcome),
    Deadline,
    Stop,
}

impl OrderingThread {
    /// Runs until the node stops.
    ///
    /// # Errors
    /// When the store fails: nothing that was not written has left.
    pub(super) fn run(mut self) -> Result<(), NodeError> {
        let waiting = waiting_room()?;
        let mut turn = Turn { made: BTreeMap::new(), told: None };
        self.handle(Input::Wake);
        loop {
            let has_more = self.work(&mut turn)?;
            let is_feeding = self.feed.flush();
            let is_told = self.tell(&mut turn);
            match self.wait(&waiting, has_more, is_feeding, is_told) {
                Woken::Input(inbound) => self.take(inbound),
                Woken::Coin(outcome) => self.take_coins(outcome),
                Woken::Deadline => self.handle(Input::Wake),
                Woken::Stop => return Ok(()),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.ordering.handle(self.clock.now(), self.clock.wall(), input);
    }

    /// Takes one outcome and what waits behind it, so that coins keep up with any pace of rounds.
    fn take_coins(&mut self, first: CoinOutcome) {
        let mut next = Some(first);
        while let Some(outcome) = next {
            self.handle(Input::Coin(outcome));
            next = self.coins.try_next();
        }
    }

    /// Takes one input and what waits behind it.
    fn take(&mut self, first: Inbound) {
        let mut next = Some(first);
        for _ in 0..INPUTS_PER_TURN {
            let Some(Inbound { input, room }) = next else { return };
            self.handle(input);
            drop(room);
            next = self.inbox.try_recv().ok();
        }
        if let Some(Inbound { input, .. }) = next {
            self.handle(input);
        }
    }

    /// Writes and does what the machine asks for. Says whether it may ask for more at once: a
    /// validator that needs nobody else has a next vertex to sign as soon as the last is written,
    /// and coins, inputs and the stop must have their turn all the same.
    fn work(&mut self, turn: &mut Turn) -> Result<bool, NodeError> {
        for _ in 0..STEPS_PER_TURN {
            let Some(step) = self.ordering.poll_step() else { return Ok(false) };
            let then = self.write(step)?;
            for action in then {
                Point::OrderingActing.reach();
                self.act(action, turn)?;
            }
        }
        Ok(true)
    }

    fn write(&self, step: Step<Action>) -> Result<Vec<Action>, NodeError> {
        write(Half::Ordering, step, &*self.store, &self.metrics)
    }

    fn act(&mut self, action: Action, turn: &mut Turn) -> Result<(), NodeError> {
        match action {
            Action::Sign(draft) => self.sign(*draft, turn)?,
            Action::Coin(task) => self.coins.begin(task),
            Action::Broadcast(message) => {
                self.leave(&message)?;
                self.mesh.broadcast(message.class(), &encode(&message));
            }
            Action::Send { to, message } => {
                self.leave(&message)?;
                self.asked.note(to, &message);
                self.mesh.send(to, message.class(), encode(&message));
            }
            Action::Commit(ordered) => {
                self.time(&ordered, turn);
                self.feed.commit(ordered);
            }
            Action::Ahead(vertex) => self.feed.ahead(vertex),
            Action::Returned(items) => self.feed.returned(items),
            Action::Taken(room) => self.feed.taken(room),
            Action::Evidence(evidence) => {
                self.metrics.evidence();
                self.status.send_modify(|status| {
                    let mut changed = NodeStatus::clone(status);
                    changed.evidence = changed.evidence.saturating_add(1);
                    *status = Arc::new(changed);
                });
                match evidence {
                    Evidence::Equivocation { first, second } => {
                        let (first, second) = (first.reference(), second.reference());
                        tracing::warn!(%first, %second, "two vertices of one round");
                    }
                    Evidence::WrongCoinShare { vertex, round } => {
                        let vertex = vertex.reference();
                        tracing::warn!(%vertex, %round, "wrong share of the common coin");
                    }
                }
            }
            Action::Alarm(alarm) => {
                tracing::error!(?alarm, "more validators are faulty than can be: ordering stopped");
            }
        }
        Ok(())
    }

    /// Takes the mark of unused keys away before the first own vertex leaves. It is written by now:
    /// whoever dies right here has the mark or the vertex, and never neither.
    fn leave(&mut self, message: &Message) -> Result<(), NodeError> {
        match (&mut self.unused, message) {
            (Some(unused), Message::Vertex(_)) => {
                unused.remove().map_err(|(file, error)| NodeError::UnusedMark { file, error })
            }
            _ => Ok(()),
        }
    }

    fn sign(&mut self, draft: Draft, turn: &mut Turn) -> Result<(), NodeError> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let vertex = draft.sign(&keys.vertex, &keys.coin, &self.committee);
        if turn.made.len() >= TIMED_MAX {
            turn.made.pop_first();
        }
        turn.made.insert(vertex.reference(), Instant::now());
        self.handle(Input::Signed(vertex));
        Ok(())
    }

    fn time(&self, ordered: &Ordered, turn: &mut Turn) {
        for reference in &ordered.commit.vertices {
            if Some(reference.author) == self.own
                && let Some(made) = turn.made.remove(reference)
            {
                self.metrics.committed(made.elapsed());
            }
        }
        let commit = &ordered.commit;
        tracing::debug!(
            index = %commit.index, leader = %commit.leader, vertices = commit.vertices.len(),
            "commit"
        );
    }

    /// Tells the state, unless it was told a moment ago. Says whether it is told.
    fn tell(&self, turn: &mut Turn) -> bool {
        if turn.told.is_some_and(|told| told.elapsed() < STATUS_INTERVAL) {
            return false;
        }
        turn.told = Some(Instant::now());
        let state = self.ordering.status(self.clock.now());
        self.status.send_if_modified(|status| {
            let mut changed = NodeStatus::clone(status);
            changed.take_ordering(&state);
            let is_new = changed != **status;
            if is_new {
                self.metrics.status(&changed);
                *status = Arc::new(changed);
            }
            is_new
        });
        true
    }

    fn wait(
        &mut self,
        waiting: &Runtime,
        has_more: bool,
        is_feeding: bool,
        is_told: bool,
    ) -> Woken {
        let now = Instant::now();
        let deadline = self.ordering.next_deadline().map(|moment| self.clock.instant(moment));
        let feeding = is_feeding.then(|| now + FEED_INTERVAL);
        let telling = (!is_told).then(|| now + STATUS_INTERVAL);
        let working = has_more.then_some(now);
        let until = [working, deadline, feeding, telling].into_iter().flatten().min();
        let (inbox, coins, stop) = (&mut self.inbox, &mut self.coins, &self.stop);
        waiting.block_on(async move {
            let alarm = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => Woken::Stop,
                outcome = coins.next() => Woken::Coin(outcome),
                inbound = inbox.recv() => inbound.map_or(Woken::Stop, Woken::Input),
                () = alarm => Woken::Deadline,
            }
        })
    }
}

fn encode(message: &Message) -> Bytes {
    message.to_bytes().into()
}
