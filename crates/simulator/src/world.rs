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

use crate::adversaries;
use crate::adversaries::Byzantine;
use crate::adversaries::Cartel;
use crate::adversaries::Scheduler;
use crate::adversaries::Sight;
use crate::check::Accusations;
use crate::check::Bounds;
use crate::check::Coins;
use crate::check::Made;
use crate::check::Order;
use crate::check::Outcomes;
use crate::check::Signing;
use crate::check::Verdict;
use crate::check::Violation;
use crate::dag::Dag;
use crate::error::SimulationError;
use crate::load;
use crate::load::Load;
use crate::memo::Memo;
use crate::memo::Setting;
use crate::options;
use crate::options::Network;
use crate::options::Options;
use crate::plan::Fault;
use crate::plan::Plan;
use crate::report::Latency;
use crate::report::Report;
use crate::report::Safety;
use crate::report::ratio;
use crate::schedule::DELAY;
use crate::schedule::Schedule;
use crate::trace::Trace;

mod absence;
mod byzantine;
mod clients;
mod crasher;
mod held;
mod judge;
mod links;
mod lost_disk;
mod partition;
mod sealed;
mod turn;

#[cfg(test)]
mod slow;
#[cfg(test)]
mod tests;

pub use absence::Absence;
pub use absence::Held as HeldAt;
pub(crate) use absence::absence;

/// How many delays may pass, all disturbances included, without anybody honest getting on, before the
/// run counts as stalled.
const STILL_DELAYS_MAX: u64 = 3_000;
/// How many things may happen in a run for each round and pair of validators.
const EVENTS_PER_PAIR_MAX: u64 = 200;
/// How many things may happen beside those.
const EVENTS_SPARE: u64 = 1_000_000;
/// How far clocks are apart, in milliseconds.
const CLOCK_SKEW_MS: usize = 2_000;

/// Everything that there is.
pub(crate) struct World<'m> {
    options: Options,
    memo: &'m mut Memo,
    setting: Arc<Setting>,
    network: Arc<TestNetwork>,
    genesis: Arc<Genesis>,
    plan: Plan,
    schedule: Schedule,
    now: Moment,
    queue: BTreeMap<(Moment, u64, u64), Event>,
    sequence: u64,
    nodes: Vec<Node>,
    cut: Option<links::Cut>,
    /// Who decides what arrives when; nobody any more when the goal is reached.
    scheduler: Option<Box<dyn Scheduler>>,
    sight: Sight,
    held: held::Held,
    cartel: Cartel,
    load: Load,
    order: Order,
    outcomes: Outcomes,
    signing: Signing,
    made: Made,
    coins: Coins,
    accusations: Accusations,
    bounds: Bounds,
    trace: Trace,
    violation: Option<Violation>,
    /// Every signed vertex by its bytes, to verify none twice.
    signed: HashMap<Bytes, Verified<Vertex>>,
    /// Every vertex that somebody honest holds.
    known: BTreeMap<VertexRef, Verified<Vertex>>,
    made_at: BTreeMap<VertexRef, Moment>,
    leader_micros: Vec<u64>,
    vertex_micros: Vec<u64>,
    gap_max: u64,
    messages: u64,
    crashes: u64,
    /// The time between two vertices of a validator when nothing happens.
    idle_interval: Span,
    /// The goal is reached by somebody: nothing is disturbed any more.
    is_winding_down: bool,
}

/// One validator and what it stands on.
struct Node {
    store: MemoryStore,
    machines: Option<Machines>,
    /// How often it started: what was meant for an earlier life is lost.
    life: u32,
    fault: Option<Fault>,
    /// Whether it lost its disk, and does not know what it signed before.
    has_lost_disk: bool,
    /// What stands between a Byzantine validator's replica and the network.
    byzantine: Option<Box<dyn Byzantine>>,
    skew_ms: u64,
    linked: Vec<bool>,
    wake_at: Option<Moment>,
    fed: Vec<execution::Input>,
    will_execute: bool,
    /// After how many steps and actions the power goes.
    fuse: Option<usize>,
    /// How often it was looked at.
    looks: u64,
}

/// The two halves.
struct Machines {
    ordering: Ordering,
    execution: Execution,
}

/// A message on its way.
#[derive(Debug)]
struct Packet {
    digest: Digest,
    /// What the bytes say; none when they are no message.
    message: Option<replica::wire::Message>,
    /// Its vertices, as far as somebody has signed them.
    vertices: Vec<Verified<Vertex>>,
}

/// What happens at some moment.
#[derive(Clone, Debug)]
enum Event {
    Deliver {
        from: Author,
        to: Author,
        life: u32,
        packet: Rc<Packet>,
    },
    Wake {
        at: Author,
        life: u32,
    },
    Execute {
        at: Author,
        life: u32,
    },
    /// What was held for something to happen was held long enough.
    Release(u64),
    Restart(Author),
    LoseDisk(Author),
    PowerFails,
    Cut,
    Heal,
    Submit,
    Tick,
}

impl<'m> World<'m> {
    pub(crate) fn new(options: &Options, memo: &'m mut Memo) -> Result<Self, SimulationError> {
        let setting = memo.setting(options)?;
        let network = Arc::clone(&setting.network);
        let mut schedule = Schedule::new(options);
        let quorums = network.committee.quorums();
        let plan = Plan::new(options, quorums, &mut schedule);
        let scheduler = plan.scheduler;
        let scheduler =
            scheduler.and_then(|name| adversaries::scheduler(name, quorums, &mut schedule));
        let size = network.committee.size();
        let nodes = Self::nodes(options, &setting, &plan, &mut schedule)?;
        let load = match (options.load, nodes.first()) {
            (options::Load::Transactions, Some(node)) => Load::new(&node.store)?,
            _ => Load::default(),
        };
        let mut outcomes = Outcomes::default();
        let poison = setting.poison.iter().flat_map(|coin| [1, 2].map(|n| load::poison(*coin, n)));
        poison.for_each(|transaction| outcomes.made(&transaction));
        let is_faulty = |node: &Node| node.fault.is_some_and(Fault::is_byzantine);
        let faulty: Vec<bool> = nodes.iter().map(is_faulty).collect();
        let is_corrupt = |node: &Node| is_faulty(node) || node.fault == Some(Fault::Silent);
        let corrupt = nodes.iter().filter(|node| is_corrupt(node)).count();
        Ok(Self {
            options: *options,
            genesis: Arc::clone(&setting.genesis),
            order: Order::new(size, options.gc_depth),
            coins: Coins::new(quorums.coin_threshold().saturating_sub(corrupt)),
            sight: Sight {
                now: Moment::ZERO,
                quorums,
                wave: options.wave,
                built: vec![Round::ZERO; size],
                coins: BTreeMap::new(),
            },
            memo,
            setting,
            network,
            plan,
            schedule,
            now: Moment::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes,
            cut: None,
            scheduler,
            held: held::Held::new(size),
            cartel: Cartel::default(),
            load,
            outcomes,
            signing: Signing::default(),
            made: Made::new(faulty),
            accusations: Accusations::new(size),
            bounds: Bounds::new(size, options.gc_depth),
            trace: Trace::new(),
            violation: None,
            signed: HashMap::new(),
            known: BTreeMap::new(),
            made_at: BTreeMap::new(),
            leader_micros: Vec::new(),
            vertex_micros: Vec::new(),
            gap_max: 0,
            messages: 0,
            crashes: 0,
            // Rounds go as fast as messages do; a validator alone waits for none and needs a pace.
            idle_interval: if size == 1 { DELAY } else { Span::ZERO },
            is_winding_down: false,
        })
    }

    fn nodes(
        options: &Options,
        setting: &Setting,
        plan: &Plan,
        schedule: &mut Schedule,
    ) -> Result<Vec<Node>, SimulationError> {
        let size = usize::from(options.validators);
        let mut nodes = Vec::with_capacity(size);
        for author in setting.network.committee.authors() {
            let store = MemoryStore::new(&replica::all_tables());
            store.write(setting.rows.clone(), Durability::Synced)?;
            let skew_ms = u64::try_from(schedule.below(CLOCK_SKEW_MS)).unwrap_or_default();
            let mut node = Node::new(store, skew_ms, size);
            node.fault = plan.fault(author);
            if let Some(Fault::Byzantine(kind)) = node.fault {
                node.byzantine = Some(kind.make(options.rounds, schedule));
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// Lets everything happen until the goal is reached or a promise is broken.
    pub(crate) fn run(mut self) -> (Report, Dag) {
        self.begin();
        self.go_on();
        self.finish()
    }

    fn go_on(&mut self) {
        let rounds = self.options.rounds;
        let mut reached = self.reached();
        let mut end = self.now.after(self.network_delay(STILL_DELAYS_MAX));
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
            let progress = self.reached();
            if progress > reached {
                reached = progress;
                end = self.now.after(self.network_delay(STILL_DELAYS_MAX));
            }
            if at > end || events > events_max {
                self.violation = Some(self.stalled());
                break;
            }
            self.happen(event);
        }
    }

    fn begin(&mut self) {
        for author in self.network.committee.authors() {
            if self.node(author).fault != Some(Fault::Silent) {
                self.start(author);
            }
        }
        if self.options.load == options::Load::Transactions {
            self.after(self.network_delay(1), Event::Submit);
            self.after(self.network_delay(7), Event::Tick);
        }
        self.plan_losses();
        if self.plan.has_crashes {
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
            Event::Release(id) => self.release(id),
            Event::Restart(author) => self.start(author),
            Event::LoseDisk(author) => self.lose_disk(author),
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
            let decided = |node: &Node| {
                node.is_judged() && node.decided_round().is_some_and(|round| round >= goal)
            };
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
        let mut honest = self.nodes.iter().filter(|node| node.is_judged());
        honest.all(is_through) && self.load.owed().is_none()
    }

    /// How far the honest validators are, in all: the rounds that they decided and the commits that
    /// they applied. Whoever is down has got nowhere.
    fn reached(&self) -> u64 {
        let honest = self.nodes.iter().filter(|node| node.is_judged());
        let decided = |node: &Node| node.decided_round().map_or(0, Round::value);
        let applied = |node: &Node| node.applied().map_or(0, CommitIndex::value);
        honest.map(|node| decided(node).saturating_add(applied(node))).sum()
    }

    fn stalled(&self) -> Violation {
        let decided: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| node.is_judged())
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

    fn finish(mut self) -> (Report, Dag) {
        self.judge_end();
        let delay = self.schedule.mean_delay();
        let honest = self.nodes.iter().filter(|node| node.is_judged());
        let decided = honest.map(|node| node.decided_round().unwrap_or(Round::ZERO)).min();
        let last_round = self.known.last_key_value().map_or(Round::ZERO, |(last, _)| last.round);
        let last_commit = self.order.commits().last();
        let commits = last_commit.map_or(CommitIndex::ZERO, |commit| commit.index);
        let report = Report {
            seed: self.options.seed,
            against: self.plan.describe(&self.options),
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
            accusations: self.accusations.count(),
            held_vertices_max: u64::try_from(self.bounds.peak.vertices).unwrap_or(u64::MAX),
            held_bytes_max: u64::try_from(self.bounds.peak.bytes).unwrap_or(u64::MAX),
            fetching_max: u64::try_from(self.bounds.peak.fetching).unwrap_or(u64::MAX),
            transactions: self.load.tally(&self.outcomes),
        };
        (report, Dag::new(&self.known, &self.order))
    }

    /// Nothing new begins; what is broken is mended when it is due, and what is on its way arrives.
    fn wind_down(&mut self) {
        self.is_winding_down = true;
        self.nodes.iter_mut().for_each(|node| node.fuse = None);
        self.scheduler = None;
        self.release_all();
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    /// Says that a validator broke a promise, unless it is one that may.
    fn broken(&mut self, who: Author, what: &dyn std::fmt::Display) {
        if !self.node(who).is_judged() {
            return;
        }
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

    fn is_faulty(&self, author: Author) -> bool {
        self.node(author).fault.is_some()
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
    fn new(store: MemoryStore, skew_ms: u64, validators: usize) -> Self {
        Self {
            store,
            machines: None,
            life: 0,
            fault: None,
            has_lost_disk: false,
            byzantine: None,
            skew_ms,
            linked: vec![false; validators],
            wake_at: None,
            fed: Vec::new(),
            will_execute: false,
            fuse: None,
            looks: 0,
        }
    }

    /// Whether it follows the rule: also when it lost its disk.
    fn is_judged(&self) -> bool {
        matches!(self.fault, None | Some(Fault::LostDisk))
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
