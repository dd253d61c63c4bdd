//! How fast a node that was away replays the rounds of the others, and how fast they made them:
//! `cargo bench -p meanwhile-replica --bench catch_up`.
//!
//! A network in lockstep runs some rounds, and everything that enters one of its nodes is recorded.
//! Then a node with an empty store asks that node's store for all of it, and that is recorded, too.
//! Both records are played again, each kind of work by itself and on one thread: the checks that a
//! node does on its worker threads, the ordering thread's work (the machine and its writes, into
//! memory), and what only who takes part does: combining shares of the coin, and signing.
//!
//! Times are those that the thread has run, so that others on the computer do not count.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use consensus::CoinOutcome;
use consensus::CoinTask;
use consensus::VerifiedCoin;
use replica::Ordering;
use replica::OrderingConfig;
use replica::Received;
use replica::Request;
use replica::ordering::Action;
use replica::ordering::Draft;
use replica::ordering::Input;
use replica::ordering::Pacing;
use replica::ordering::Start;
use replica::receive;
use replica::serve;
use replica::wire::ClaimedCoin;
use replica::wire::Message;
use replica::wire::Status;
use store::MemoryStore;
use types::Author;
use types::CommitIndex;
use types::Digest;
use types::Encode as _;
use types::Item;
use types::Moment;
use types::TimestampMs;
use types::test_utils::TestNetwork;

/// How often each kind of work is done; the median counts.
const REPETITIONS: usize = 3;

struct Load {
    validators: u16,
    payload: &'static str,
    payload_bytes: usize,
    rounds: u32,
}

const LOADS: [Load; 4] = [
    Load { validators: 4, payload: "empty", payload_bytes: 0, rounds: 600 },
    Load { validators: 4, payload: "64 KiB", payload_bytes: 65_536, rounds: 200 },
    Load { validators: 10, payload: "empty", payload_bytes: 0, rounds: 300 },
    Load { validators: 10, payload: "64 KiB", payload_bytes: 65_536, rounds: 200 },
];

type Failure = Box<dyn std::error::Error>;
type End = (CommitIndex, Digest);

/// What enters a node.
enum Event {
    Message { from: Author, bytes: Bytes },
    Own(Input),
}

/// Everything that entered a node, and what it asked for.
#[derive(Default)]
struct Record {
    events: Vec<(Moment, Event)>,
    tasks: Vec<CoinTask>,
    drafts: Vec<Draft>,
    requests: Vec<Request>,
}

struct Node {
    ordering: Ordering,
    store: MemoryStore,
}

/// Nodes in lockstep: everybody's vertex of a round reaches everybody before the next one is built.
struct Live {
    network: TestNetwork,
    nodes: Vec<Node>,
    queue: VecDeque<(Author, Option<Author>, Message)>,
    /// The same shares are combined once for all.
    outcomes: BTreeMap<CoinTask, CoinOutcome>,
    now: Moment,
    /// Of the first node.
    record: Record,
}

/// Milliseconds a round.
struct Row {
    /// Checks, ordering, combining shares, signing.
    live: [f64; 4],
    /// Checks, ordering, serving; of the checks, coins as they came, and one by one.
    catch_up: [f64; 5],
    megabytes: f64,
}

fn main() -> Result<(), Failure> {
    let mut seen = None;
    report("milliseconds a round, each kind of work on one thread");
    report(&format!(
        "{:>3} {:>7} | {:>7} {:>8} {:>7} {:>7} | {:>7} {:>8} {:>7} | {:>7} {:>7}",
        "n",
        "payload",
        "checks",
        "ordering",
        "coin",
        "signing",
        "checks",
        "ordering",
        "serving",
        "coins",
        "singly"
    ));
    let mut rows = Vec::new();
    for load in &LOADS {
        let (row, found) = measure(load)?;
        let [checks, ordering, coin, signing] = row.live;
        let [again, reordering, serving, coins, singly] = row.catch_up;
        report(&format!(
            "{:>3} {:>7} | {checks:>7.2} {ordering:>8.2} {coin:>7.2} {signing:>7.2} | \
             {again:>7.2} {reordering:>8.2} {serving:>7.2} | {coins:>7.2} {singly:>7.2}",
            load.validators, load.payload
        ));
        rows.push((load, row));
        seen.get_or_insert(found);
    }
    let pace = 1_000_000.0 / micros(Pacing::default().min_round_interval.value());
    report(&format!(
        "\nrounds a second; the default pace allows {pace:.0}; overlapped: checks on one"
    ));
    report("thread beside the ordering thread");
    report(&format!(
        "{:>3} {:>7} | {:>8} | {:>8} {:>6} {:>10} | {:>8} {:>10} {:>15}",
        "n",
        "payload",
        "live",
        "catch-up",
        "MB/s",
        "overlapped",
        "to live",
        "to pace",
        "overl. to pace"
    ));
    for (load, row) in &rows {
        let live = 1_000.0 / row.live.iter().sum::<f64>();
        let [checks, ordering, ..] = row.catch_up;
        let (alone, overlapped) = (1_000.0 / (checks + ordering), 1_000.0 / checks.max(ordering));
        report(&format!(
            "{:>3} {:>7} | {live:>8.0} | {alone:>8.0} {:>6.1} {overlapped:>10.0} | {:>8.1} {:>10.1} {:>15.1}",
            load.validators,
            load.payload,
            alone * row.megabytes,
            alone / live,
            alone / pace,
            overlapped / pace
        ));
    }
    let (network, coins) = seen.ok_or("no load")?;
    report_coins(&network, &coins)
}

fn measure(load: &Load) -> Result<(Row, (TestNetwork, Vec<ClaimedCoin>)), Failure> {
    let mut live = Live::new(load.validators)?;
    live.run(load)?;
    let Live { network, mut nodes, record: lived, now, .. } = live;
    let peer = nodes.swap_remove(0);
    drop(nodes);
    let end = end_of(&peer.ordering);
    let caught = catch_up(&network, &peer, now)?;

    let ranges = coins_of(&caught)?;
    let coins = ranges.concat();
    let mut live: [Vec<Duration>; 4] = Default::default();
    let mut again: [Vec<Duration>; 5] = Default::default();
    for _ in 0..REPETITIONS {
        let (inputs, took) = timed(|| verified(&network, &lived));
        live[0].push(took);
        live[1].push(replayed(config(&network, Some(Author::new(0))), inputs?, end)?);
        let combine = |task: &CoinTask| drop(black_box(task.run(&network.committee)));
        live[2].push(timed(|| lived.tasks.iter().for_each(combine)).1);
        live[3].push(signed(&network, &lived));

        let (inputs, took) = timed(|| verified(&network, &caught));
        again[0].push(took);
        again[1].push(replayed(config(&network, None), inputs?, end)?);
        let answer = |request| serve(&peer.store, request).map(|answer| answer.to_bytes());
        let (served, took) =
            timed(|| caught.requests.iter().map(answer).collect::<Result<Vec<_>, _>>());
        drop(served?);
        again[2].push(took);
        let committee = &network.committee;
        let (valid, took) =
            timed(|| ranges.iter().all(|of| VerifiedCoin::verify_all(of, committee).is_ok()));
        again[3].push(took);
        let single = |(round, signature): &ClaimedCoin| {
            VerifiedCoin::verify(*round, *signature, committee).is_ok()
        };
        let (valid_singly, took) = timed(|| coins.iter().all(single));
        again[4].push(took);
        assert!(valid && valid_singly, "the coins that were served");
    }
    let rounds = f64::from(load.rounds);
    let a_round = |times: Vec<Duration>| median(times).as_secs_f64() * 1_000.0 / rounds;
    let bytes = caught.events.iter().map(|(_, event)| match event {
        Event::Message { bytes, .. } => bytes.len(),
        Event::Own(_) => 0,
    });
    let megabytes = f64::from(u32::try_from(bytes.sum::<usize>())?) / 1e6 / rounds;
    let row = Row { live: live.map(a_round), catch_up: again.map(a_round), megabytes };
    Ok((row, (network, coins)))
}

impl Live {
    fn new(validators: u16) -> Result<Self, Failure> {
        let network = TestNetwork::new(validators);
        let mut nodes = Vec::new();
        for own in network.committee.authors() {
            let store = MemoryStore::new(replica::tables());
            nodes.push(Node {
                ordering: Ordering::open(config(&network, Some(own)), &store)?,
                store,
            });
        }
        Ok(Self {
            network,
            nodes,
            queue: VecDeque::new(),
            outcomes: BTreeMap::new(),
            now: Moment::ZERO,
            record: Record::default(),
        })
    }

    fn run(&mut self, load: &Load) -> Result<(), Failure> {
        let authors: Vec<Author> = self.network.committee.authors().collect();
        for own in &authors {
            self.own(*own, Input::Wake)?;
            for peer in authors.iter().filter(|peer| *peer != own) {
                self.own(*own, Input::Connected(*peer))?;
            }
        }
        self.deliver()?;
        for round in 1..load.rounds {
            self.now = self.now.after(Pacing::default().min_round_interval);
            for own in &authors {
                if load.payload_bytes > 0 {
                    let [.., low] = round.to_be_bytes();
                    let bytes =
                        vec![low.wrapping_add(own.value().to_be_bytes()[1]); load.payload_bytes];
                    self.own(*own, Input::Submit(vec![Item::Transaction(bytes.into())]))?;
                }
                self.own(*own, Input::Wake)?;
            }
            self.deliver()?;
        }
        let status = self.nodes[0].ordering.status(self.now);
        assert_eq!(status.round.value(), u64::from(load.rounds), "a round each turn: {status:?}");
        Ok(())
    }

    /// Everything that was sent reaches whom it was sent to, and what follows from it, too.
    fn deliver(&mut self) -> Result<(), Failure> {
        while let Some((from, to, message)) = self.queue.pop_front() {
            let bytes = Bytes::from(message.to_bytes());
            let rules = self.network.genesis.consensus.rules();
            let message = Message::decode(&bytes)?;
            let Received::Input(input) = receive(from, message, &self.network.committee, rules)?
            else {
                return Err("nobody lacks anything in lockstep".into());
            };
            let authors: Vec<Author> = self.network.committee.authors().collect();
            for own in
                authors.into_iter().filter(|own| *own != from && to.is_none_or(|to| to == *own))
            {
                if own.index() == 0 {
                    let event = Event::Message { from, bytes: bytes.clone() };
                    self.record.events.push((self.now, event));
                }
                self.handle(own, input.clone())?;
            }
        }
        Ok(())
    }

    /// An input that is not a message.
    fn own(&mut self, own: Author, input: Input) -> Result<(), Failure> {
        if own.index() == 0 {
            self.record.events.push((self.now, Event::Own(input.clone())));
        }
        self.handle(own, input)
    }

    fn handle(&mut self, own: Author, input: Input) -> Result<(), Failure> {
        self.nodes[own.index()].ordering.handle(self.now, wall(self.now), input);
        loop {
            let node = &mut self.nodes[own.index()];
            let Some(step) = node.ordering.poll_step() else { return Ok(()) };
            for action in step.write(&node.store)? {
                self.act(own, action)?;
            }
        }
    }

    fn act(&mut self, own: Author, action: Action) -> Result<(), Failure> {
        match action {
            Action::Sign(draft) => {
                if own.index() == 0 {
                    self.record.drafts.push(Draft::clone(&draft));
                }
                let secrets = &self.network.secrets[own.index()];
                let vertex = draft.sign(&secrets.vertex, &secrets.coin, &self.network.committee);
                self.own(own, Input::Signed(vertex))
            }
            Action::Coin(task) => {
                if own.index() == 0 {
                    self.record.tasks.push(task.clone());
                }
                let committee = &self.network.committee;
                let known =
                    self.outcomes.entry(task).or_insert_with_key(|task| task.run(committee));
                let outcome = known.clone();
                self.own(own, Input::Coin(outcome))
            }
            Action::Broadcast(message) => {
                self.queue.push_back((own, None, message));
                Ok(())
            }
            Action::Send { to, message } => {
                self.queue.push_back((own, Some(to), message));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Replays everything that `peer` holds, in a node that knows nothing and builds nothing, as one that
/// lost its disk does not.
fn catch_up(network: &TestNetwork, peer: &Node, now: Moment) -> Result<Record, Failure> {
    let from = Author::new(0);
    let status = peer.ordering.status(now);
    let status = Status { own: None, round: status.round, commit: status.commit };
    let begin = [Input::Wake, Input::Connected(from), Input::Status { from, status }];
    let mut coming: VecDeque<Event> = begin.into_iter().map(Event::Own).collect();
    let mut record = Record::default();
    let store = MemoryStore::new(replica::tables());
    let mut ordering = Ordering::open(config(network, None), &store)?;
    while let Some(event) = coming.pop_front() {
        ordering.handle(now, wall(now), input_of(network, &event)?);
        record.events.push((now, event));
        while let Some(step) = ordering.poll_step() {
            for action in step.write(&store)? {
                let request = match action {
                    Action::Send { message: Message::FetchRounds(rounds), .. } => {
                        Request::Rounds(rounds)
                    }
                    Action::Send { message: Message::FetchVertices(vertices), .. } => {
                        Request::Vertices(vertices)
                    }
                    Action::Coin(_) => return Err("a coin that was told is combined again".into()),
                    _ => continue,
                };
                let bytes = serve(&peer.store, &request)?.to_bytes().into();
                record.requests.push(request);
                coming.push_back(Event::Message { from, bytes });
            }
        }
    }
    Ok(record)
}

/// What worker threads do for a node's inputs.
fn verified(network: &TestNetwork, record: &Record) -> Result<Vec<(Moment, Input)>, Failure> {
    let input = |(now, event): &(Moment, Event)| Ok((*now, input_of(network, event)?));
    record.events.iter().map(input).collect()
}

fn input_of(network: &TestNetwork, event: &Event) -> Result<Input, Failure> {
    let (from, bytes) = match event {
        Event::Message { from, bytes } => (*from, bytes),
        Event::Own(input) => return Ok(input.clone()),
    };
    let mut message = Message::decode(bytes)?;
    if let Message::Range(range) = &mut message {
        // As the node does: else a vertex that is kept would keep the whole answer.
        range.vertices.iter_mut().for_each(|vertex| *vertex = Bytes::copy_from_slice(vertex));
    }
    let rules = network.genesis.consensus.rules();
    match receive(from, message, &network.committee, rules)? {
        Received::Input(input) => Ok(input),
        Received::Hello(_) | Received::Request(_) => Err("only inputs are recorded".into()),
    }
}

/// What the ordering thread does with inputs. They lead to the same commits every time.
fn replayed(
    config: OrderingConfig,
    inputs: Vec<(Moment, Input)>,
    end: End,
) -> Result<Duration, Failure> {
    let store = MemoryStore::new(replica::tables());
    let mut ordering = Ordering::open(config, &store)?;
    let (result, took) = timed(|| {
        for (now, input) in inputs {
            ordering.handle(now, wall(now), input);
            while let Some(step) = ordering.poll_step() {
                step.write(&store)?;
            }
        }
        Ok::<(), Failure>(())
    });
    result?;
    assert_eq!(end_of(&ordering), end, "the same order");
    Ok(took)
}

fn signed(network: &TestNetwork, record: &Record) -> Duration {
    let drafts = record.drafts.clone();
    let secrets = &network.secrets[0];
    let sign = |draft: Draft| {
        let vertex = draft.sign(&secrets.vertex, &secrets.coin, &network.committee);
        Message::Vertex(vertex.encoded().clone()).to_bytes().len()
    };
    timed(|| drafts.into_iter().map(sign).sum::<usize>()).1
}

/// The coins of each answer.
fn coins_of(record: &Record) -> Result<Vec<Vec<ClaimedCoin>>, Failure> {
    let mut coins = Vec::new();
    for (_, event) in &record.events {
        if let Event::Message { bytes, .. } = event
            && let Message::Range(range) = Message::decode(bytes)?
        {
            coins.push(range.coins);
        }
    }
    Ok(coins)
}

/// What checking ready-made coins costs, one by one and so many at a time.
fn report_coins(network: &TestNetwork, coins: &[ClaimedCoin]) -> Result<(), Failure> {
    report("\nmilliseconds a coin that came ready made");
    for size in [1, 2, 4, 16, 64, 256] {
        let coins: Vec<ClaimedCoin> = coins.iter().copied().cycle().take(size.max(64)).collect();
        let mut times = Vec::new();
        for _ in 0..REPETITIONS {
            let (result, took) = timed(|| {
                coins.chunks(size).try_for_each(|some| match some {
                    [(round, signature)] => {
                        VerifiedCoin::verify(*round, *signature, &network.committee).map(drop)
                    }
                    some => VerifiedCoin::verify_all(some, &network.committee)
                        .map(drop)
                        .map_err(|(_, error)| error),
                })
            });
            result?;
            times.push(took);
        }
        let each = median(times).as_secs_f64() * 1_000.0 / f64::from(u32::try_from(coins.len())?);
        report(&format!("{size:>4} at a time {each:>6.3}"));
    }
    Ok(())
}

fn config(network: &TestNetwork, own: Option<Author>) -> OrderingConfig {
    let committee = Arc::clone(&network.committee);
    let config = OrderingConfig::new(committee, own, &network.genesis, Start::First);
    // A round each turn, with payload or without.
    let pacing = Pacing { idle_interval: config.pacing.min_round_interval, ..config.pacing };
    OrderingConfig { pacing, ..config }
}

fn end_of(ordering: &Ordering) -> End {
    ordering.consensus().last_commit()
}

fn wall(now: Moment) -> TimestampMs {
    TimestampMs::new(1_750_000_000_000 + now.value() / 1_000)
}

fn micros(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::INFINITY, f64::from)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Does something and says how long this thread has run for it, or, where the system does not tell,
/// how long it took.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let (begun, before) = (Instant::now(), thread_time());
    let value = work();
    let took = match (before, thread_time()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => begun.elapsed(),
    };
    (value, took)
}

fn thread_time() -> Option<Duration> {
    // The system brings its figure up to date when a thread gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[expect(clippy::print_stdout, reason = "a benchmark's answer is what it prints")]
fn report(line: &str) {
    println!("{line}");
}
