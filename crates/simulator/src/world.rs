//! The world around the validators: one queue of things that happen, in an order that the seed
//! decides.
//!
//! **Invariant:** a step is handled as the node handles it: it is written before anything of it is
//! done. The power may go between any two of these.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ledger::Ledger;
use replica::Execution;
use replica::Ordering;
use replica::execution;
use store::Durability;
use store::MemoryStore;
use store::Store as _;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Genesis;
use types::Moment;
use types::Round;
use types::Span;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::test_utils::TestNetwork;

use crate::check::Order;
use crate::check::Outcomes;
use crate::check::Signing;
use crate::check::Verdict;
use crate::check::Violation;
use crate::dag::Dag;
use crate::error::SimulationError;
use crate::load::Load;
use crate::load::allocate;
use crate::options;
use crate::options::Faults;
use crate::options::Network;
use crate::options::Options;
use crate::report::Latency;
use crate::report::Report;
use crate::report::Safety;
use crate::report::ratio;
use crate::schedule::DELAY;
use crate::schedule::Schedule;
use crate::trace::Trace;

mod disturb;
mod links;
mod turn;

#[cfg(test)]
mod tests;

/// How many delays a run may take beside those for its rounds, before it counts as stalled.
const DELAYS_SPARE: u64 = 3_000;
/// How many delays a round may take, all disturbances included, before the run counts as stalled.
const DELAYS_PER_ROUND_MAX: u64 = 40;
/// How many things may happen in a run for each round and pair of validators.
const EVENTS_PER_PAIR_MAX: u64 = 200;
/// How many things may happen beside those.
const EVENTS_SPARE: u64 = 1_000_000;
/// How far clocks are apart, in milliseconds.
const CLOCK_SKEW_MS: usize = 2_000;

/// Everything that there is.
pub(crate) struct World {
    options: Options,
    network: TestNetwork,
    genesis: Arc<Genesis>,
    schedule: Schedule,
    now: Moment,
    queue: BTreeMap<(Moment, u64, u64), Event>,
    sequence: u64,
    nodes: Vec<Node>,
    cut: Option<links::Cut>,
    load: Load,
    order: Order,
    outcomes: Outcomes,
    signing: Signing,
    trace: Trace,
    violation: Option<Violation>,
    /// Every signed vertex by its bytes, to verify none twice.
    signed: HashMap<Bytes, Verified<Vertex>>,
    sent: BTreeMap<VertexRef, Verified<Vertex>>,
    made_at: BTreeMap<VertexRef, Moment>,
    leader_micros: Vec<u64>,
    vertex_micros: Vec<u64>,
    gap_max: u64,
    messages: u64,
    crashes: u64,
    /// The goal is reached by somebody: nothing is disturbed any more.
    is_winding_down: bool,
}

/// One validator and what it stands on.
struct Node {
    store: MemoryStore,
    machines: Option<Machines>,
    /// How often it started: what was meant for an earlier life is lost.
    life: u32,
    is_silent: bool,
    skew_ms: u64,
    linked: Vec<bool>,
    wake_at: Option<Moment>,
    fed: Vec<execution::Input>,
    will_execute: bool,
    /// After how many steps and actions the power goes.
    fuse: Option<usize>,
}

/// The two halves.
struct Machines {
    ordering: Ordering,
    execution: Execution,
}

/// A message on its way.
#[derive(Debug)]
struct Packet {
    bytes: Bytes,
    digest: Digest,
}

/// What happens at some moment.
#[derive(Clone, Debug)]
enum Event {
    Deliver { from: Author, to: Author, life: u32, packet: Rc<Packet> },
    Wake { at: Author, life: u32 },
    Execute { at: Author, life: u32 },
    Restart(Author),
    PowerFails,
    Cut,
    Heal,
    Submit,
    Tick,
}

impl World {
    pub(crate) fn new(options: &Options) -> Result<Self, SimulationError> {
        let network = TestNetwork::with(options.validators, |genesis| {
            genesis.consensus.wave = options.wave;
            genesis.consensus.leaders_per_round = options.slots;
            allocate(genesis);
        });
        let rows = Ledger::genesis(&network.genesis)?;
        let mut schedule = Schedule::new(options);
        let quorums = network.committee.quorums();
        let silent = match options.faults {
            Faults::Silent => schedule.some_of(options.validators, usize::from(quorums.faults())),
            _ => Vec::new(),
        };
        let mut violation = None;
        let size = network.committee.size();
        let nodes: Vec<_> = network
            .committee
            .authors()
            .map(|author| {
                let store = MemoryStore::new(&replica::all_tables());
                if let Err(fault) = store.write(rows.clone(), Durability::Synced) {
                    violation = Some(Violation(fault.to_string()));
                }
                let skew_ms = schedule.below(CLOCK_SKEW_MS);
                let skew_ms = u64::try_from(skew_ms).unwrap_or_default();
                Node::new(store, silent.contains(&author), skew_ms, size)
            })
            .collect();
        let load = match (options.load, nodes.first()) {
            (options::Load::Transactions, Some(node)) => Load::new(&node.store),
            _ => Ok(Load::default()),
        };
        let load = load.unwrap_or_else(|fault| {
            violation = Some(Violation(fault.to_string()));
            Load::default()
        });
        Ok(Self {
            options: *options,
            genesis: Arc::new(network.genesis.clone()),
            order: Order::new(size, network.genesis.consensus.gc_depth),
            network,
            schedule,
            now: Moment::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes,
            cut: None,
            load,
            outcomes: Outcomes::default(),
            signing: Signing::default(),
            trace: Trace::new(),
            violation,
            signed: HashMap::new(),
            sent: BTreeMap::new(),
            made_at: BTreeMap::new(),
            leader_micros: Vec::new(),
            vertex_micros: Vec::new(),
            gap_max: 0,
            messages: 0,
            crashes: 0,
            is_winding_down: false,
        })
    }

    /// Lets everything happen until the goal is reached or a promise is broken.
    pub(crate) fn run(mut self) -> (Report, Dag) {
        self.begin();
        self.go_on();
        self.finish()
    }

    fn go_on(&mut self) {
        let rounds = self.options.rounds;
        let delays = rounds.saturating_mul(DELAYS_PER_ROUND_MAX).saturating_add(DELAYS_SPARE);
        let end = Moment::ZERO.after(Span::new(delays.saturating_mul(DELAY.value())));
        let pairs = u64::from(self.options.validators).pow(2);
        let events_max = rounds
            .saturating_mul(pairs)
            .saturating_mul(EVENTS_PER_PAIR_MAX)
            .saturating_add(EVENTS_SPARE);
        let mut events = 0;
        while self.violation.is_none() && !self.is_done() {
            let Some(((at, _, _), event)) = self.queue.pop_first() else {
                self.violation = Some(Violation("stalled: nothing happens any more".to_owned()));
                break;
            };
            self.now = at;
            events += 1;
            if at > end || events > events_max {
                self.violation = Some(self.stalled());
                break;
            }
            self.happen(event);
        }
    }

    fn begin(&mut self) {
        for author in self.network.committee.authors() {
            if !self.node(author).is_silent {
                self.start(author);
            }
        }
        if self.options.load == options::Load::Transactions {
            self.after(self.network_delay(1), Event::Submit);
            self.after(self.network_delay(7), Event::Tick);
        }
        if self.options.faults == Faults::Crash {
            let span = self.schedule.delays(2, 10);
            self.after(span, Event::PowerFails);
        }
        if self.options.network == Network::Partition {
            let span = self.schedule.delays(2, 10);
            self.after(span, Event::Cut);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, life, packet } => self.deliver(from, to, life, &packet),
            Event::Wake { at, life } => self.wake(at, life),
            Event::Execute { at, life } => self.execute(at, life),
            Event::Restart(author) => self.start(author),
            Event::PowerFails => self.lay_fuses(),
            Event::Cut => self.cut(),
            Event::Heal => self.heal(),
            Event::Submit => self.submit(),
            Event::Tick => self.tick(),
        }
    }

    /// Whether every honest validator has decided all rounds that were asked for, and what clients
    /// were promised is kept everywhere.
    fn is_done(&mut self) -> bool {
        let goal = Round::new(self.options.rounds);
        if !self.is_winding_down {
            let decided = |node: &Node| node.decided_round().is_some_and(|round| round >= goal);
            if !self.nodes.iter().any(decided) {
                return false;
            }
            self.wind_down();
        }
        let last_final = self.load.last_final();
        let is_through = |node: &Node| {
            node.decided_round().is_some_and(|round| round >= goal)
                && node.applied().is_some_and(|applied| applied >= last_final)
        };
        let mut honest = self.nodes.iter().filter(|node| !node.is_silent);
        honest.all(is_through) && self.load.owed().is_none()
    }

    fn stalled(&self) -> Violation {
        let decided: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| !node.is_silent)
            .map(|node| node.decided_round().map_or("down".to_owned(), |round| round.to_string()))
            .collect();
        let owed = self.load.owed().map(|txid| format!(", {txid} was accepted and is not final"));
        Violation(format!(
            "stalled: after {:.0} message delays the decided rounds are [{}], asked for were \
             {}{}",
            ratio(self.now.value(), self.schedule.mean_delay()),
            decided.join(", "),
            self.options.rounds,
            owed.unwrap_or_default()
        ))
    }

    fn finish(self) -> (Report, Dag) {
        let delay = self.schedule.mean_delay();
        let honest = self.nodes.iter().filter(|node| !node.is_silent);
        let decided = honest.map(|node| node.decided_round().unwrap_or(Round::ZERO)).min();
        let last_round = self.sent.last_key_value().map_or(Round::ZERO, |(last, _)| last.round);
        let last_commit = self.order.commits().last();
        let commits = last_commit.map_or(CommitIndex::ZERO, |commit| commit.index);
        let report = Report {
            seed: self.options.seed,
            rounds: self.options.rounds,
            last_round: last_round.value(),
            last_decided_round: decided.unwrap_or(Round::ZERO).value(),
            undecided_gap_max: self.gap_max,
            commits: commits.value(),
            order_digest: self.order.digest(),
            trace_digest: self.trace.digest(),
            safety: self.violation.map_or(Safety::Kept, |Violation(what)| Safety::Broken(what)),
            leader_latency: Latency::of(self.leader_micros, delay),
            vertex_latency: Latency::of(self.vertex_micros, delay),
            message_delay_ms: delay / 1_000.0,
            duration_delays: ratio(self.now.value(), delay),
            messages: self.messages,
            crashes: self.crashes,
            transactions: self.load.tally(&self.outcomes),
        };
        (report, Dag::new(&self.sent, &self.order))
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    fn broken(&mut self, who: Author, what: &dyn std::fmt::Display) {
        self.judge(Err(Violation(format!("validator {who}: {what}"))));
    }

    /// Puts something into the queue, behind what happens at the same moment for smaller ties.
    fn at(&mut self, at: Moment, tie: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, tie, self.sequence), event);
    }

    fn after(&mut self, span: Span, event: Event) {
        self.at(self.now.after(span), 0, event);
    }

    /// So many delays, without chance.
    fn network_delay(&self, count: u64) -> Span {
        Span::new(DELAY.value().saturating_mul(count))
    }

    fn node(&self, author: Author) -> &Node {
        &self.nodes[author.index()]
    }

    fn node_mut(&mut self, author: Author) -> &mut Node {
        &mut self.nodes[author.index()]
    }

    fn wall(&self, author: Author) -> TimestampMs {
        let start = self.genesis.start_ms;
        start.saturating_add(self.now.value() / 1_000).saturating_add(self.node(author).skew_ms)
    }
}

impl Node {
    fn new(store: MemoryStore, is_silent: bool, skew_ms: u64, validators: usize) -> Self {
        Self {
            store,
            machines: None,
            life: 0,
            is_silent,
            skew_ms,
            linked: vec![false; validators],
            wake_at: None,
            fed: Vec::new(),
            will_execute: false,
            fuse: None,
        }
    }

    fn is_up(&self) -> bool {
        self.machines.is_some()
    }

    fn decided_round(&self) -> Option<Round> {
        let machines = self.machines.as_ref()?;
        Some(machines.ordering.consensus().decided_round())
    }

    fn applied(&self) -> Option<CommitIndex> {
        Some(self.machines.as_ref()?.execution.ledger().applied())
    }
}
