//! What the node counts and measures, in one registry: `docs/metrics.md` lists each.
//!
//! **Invariant:** a label's values are a closed set that is known before the first peer speaks.

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::EncodeLabelValue;
use prometheus_client::encoding::LabelValueEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use replica::wire::Class;

use crate::status::NodeStatus;

mod blobs;

use self::blobs::BlobMetrics;

/// Seconds: from a fast in-memory step to a very slow network, two buckets a doubling or so.
const SECONDS: [f64; 19] = [
    0.0005, 0.001, 0.002, 0.004, 0.007, 0.01, 0.015, 0.025, 0.04, 0.06, 0.09, 0.13, 0.2, 0.35, 0.6,
    1.0, 2.5, 10.0, 60.0,
];

/// Everything that is counted. Shared by all threads; counting never waits.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    frames_received: Family<ClassLabel, Counter>,
    received_bytes: Family<ClassLabel, Counter>,
    frames_sent: Family<ClassLabel, Counter>,
    sent_bytes: Family<ClassLabel, Counter>,
    frames_dropped: Family<DropLabel, Counter>,
    connections_refused: Family<RefuseLabel, Counter>,
    peers_connected: Gauge,
    followers_connected: Gauge,
    messages_invalid: Family<InvalidLabel, Counter>,
    submissions: Family<SubmissionLabel, Counter>,
    evidence: Counter,
    round: Gauge,
    commit_index: Gauge,
    fetching: Gauge,
    commit_seconds: Histogram,
    applied_index: Gauge,
    proven_index: Gauge,
    apply_seconds: Histogram,
    height: Gauge,
    transactions: Family<OutcomeLabel, Counter>,
    pool_transactions: Gauge,
    pool_bytes: Gauge,
    store_bytes: Gauge,
    write_seconds: Family<DurabilityLabel, Histogram, fn() -> Histogram>,
    doors: Doors,
    blobs: BlobMetrics,
}

/// What is counted at the doors for other people's software.
#[derive(Debug, Default)]
struct Doors {
    connections: Family<DoorLabel, Gauge>,
    requests: Family<RequestLabel, Counter>,
    closed: Family<ClosedLabel, Counter>,
}

macro_rules! closed_label {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[$case_meta:meta])* $case:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $name { $($(#[$case_meta])* $case,)+ }

        impl $name {
            const ALL: &[Self] = &[$(Self::$case,)+];
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                encoder.write_str(match self { $(Self::$case => $text,)+ })
            }
        }
    };
}

closed_label!(
    /// Why a frame was not sent.
    pub(crate) enum DropReason {
        /// The queue was full.
        Full = "full",
        /// The peer was not connected.
        Disconnected = "disconnected",
        /// It was lost on purpose.
        Fault = "fault",
        /// A follower's queue was full.
        Follower = "follower",
    }
);
closed_label!(
    /// Why a connection was not let in.
    pub(crate) enum RefuseReason {
        /// Too many were at the door.
        Full = "full",
        /// No TLS, or no known key.
        Tls = "tls",
        /// The handshake took too long.
        Deadline = "deadline",
        /// The hello did not arrive whole.
        Malformed = "malformed",
        /// The hello was refused.
        Hello = "hello",
    }
);
closed_label!(
    /// What was wrong with a frame of a peer.
    pub(crate) enum InvalidReason {
        /// It is no message.
        Message = "message",
        /// A vertex in it does not decode.
        Encoding = "vertex_encoding",
        /// A vertex in it is not valid.
        Vertex = "vertex",
        /// A common coin in it is wrong.
        Coin = "coin",
        /// It came on the wrong connection.
        Class = "class",
        /// It answers what nobody asked.
        Unasked = "unasked",
    }
);
closed_label!(
    /// What became of a submitted transaction.
    pub(crate) enum SubmissionResult {
        /// It is in the pool, or was before, or is final.
        Accepted = "accepted",
        /// It is refused.
        Rejected = "rejected",
        /// The node was busy.
        Busy = "busy",
    }
);
closed_label!(
    /// What became of an ordered transaction.
    pub(crate) enum OrderedResult {
        /// It is final.
        Final = "final",
        /// A conflicting one was final before.
        Rejected = "rejected",
        /// This occurrence did not apply.
        Skipped = "skipped",
    }
);
closed_label!(
    /// How durable a write is.
    pub(crate) enum WriteKind {
        /// Safe when the process dies.
        Buffered = "buffered",
        /// Safe when the power fails.
        Synced = "synced",
    }
);

closed_label!(
    /// A server that other people's software speaks to.
    pub(crate) enum Door {
        /// Electrum's protocol.
        Electrum = "electrum",
        /// Bitcoin's own network.
        Bitcoin = "bitcoin_p2p",
        /// Bitcoin Core's remote procedure calls.
        Rpc = "rpc",
    }
);
closed_label!(
    /// How a request at a door ended.
    pub(crate) enum Answered {
        /// With a result.
        Ok = "ok",
        /// With an error.
        Error = "error",
    }
);
closed_label!(
    /// Why a connection ended.
    pub(crate) enum Closed {
        /// The other side went away.
        Left = "left",
        /// Nothing moved for too long.
        Idle = "idle",
        /// It did not read what it was sent.
        Slow = "slow",
        /// It sent more at one time than the bound.
        Oversized = "oversized",
        /// It sent something that is not the protocol.
        Malformed = "malformed",
        /// The node had no room for what it sent.
        Busy = "busy",
        /// The node stopped.
        Stopped = "stopped",
        /// The node failed.
        Fault = "fault",
    }
);

closed_label!(
    /// What became of a shard that was sent here.
    pub(crate) enum ShardResult {
        /// It is held.
        Held = "held",
        /// It was not what its proof names.
        Wrong = "wrong",
        /// Somebody else was sending it.
        Busy = "busy",
        /// There was no room.
        NoRoom = "no_room",
    }
);
closed_label!(
    /// What came of an audit.
    pub(crate) enum AuditResult {
        /// The bytes came, proven.
        Passed = "passed",
        /// No answer. It proves nothing.
        Silent = "silent",
        /// The validator says that it does not have what it acknowledged.
        Absent = "absent",
        /// Other bytes came.
        Wrong = "wrong",
    }
);
closed_label!(
    /// Which of a peer's two connections.
    enum ClassValue {
        /// Vertices, status, requests.
        Control = "control",
        /// Answers to whoever catches up.
        Bulk = "bulk",
    }
);

impl From<Class> for ClassValue {
    fn from(class: Class) -> Self {
        match class {
            Class::Control => Self::Control,
            Class::Bulk => Self::Bulk,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: ClassValue,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabel {
    class: ClassValue,
    reason: DropReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefuseLabel {
    reason: RefuseReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InvalidLabel {
    /// A place in the committee: TLS has proven it.
    peer: u16,
    reason: InvalidReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubmissionLabel {
    result: SubmissionResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    result: OrderedResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurabilityLabel {
    durability: WriteKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: Door,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    door: Door,
    result: Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabel {
    door: Door,
    reason: Closed,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::default(),
            frames_received: Family::default(),
            received_bytes: Family::default(),
            frames_sent: Family::default(),
            sent_bytes: Family::default(),
            frames_dropped: Family::default(),
            connections_refused: Family::default(),
            peers_connected: Gauge::default(),
            followers_connected: Gauge::default(),
            messages_invalid: Family::default(),
            submissions: Family::default(),
            evidence: Counter::default(),
            round: Gauge::default(),
            commit_index: Gauge::default(),
            fetching: Gauge::default(),
            commit_seconds: seconds(),
            applied_index: Gauge::default(),
            proven_index: Gauge::default(),
            apply_seconds: seconds(),
            height: Gauge::default(),
            transactions: Family::default(),
            pool_transactions: Gauge::default(),
            pool_bytes: Gauge::default(),
            store_bytes: Gauge::default(),
            write_seconds: Family::new_with_constructor(seconds),
            doors: Doors::default(),
            blobs: BlobMetrics::default(),
        };
        metrics.register_node();
        metrics.doors.register(&mut metrics.registry);
        metrics.blobs.register(&mut metrics.registry);
        metrics.register_machines();
        metrics.show_zeros();
        metrics
    }
}

impl Metrics {
    /// The counters in the text format of OpenMetrics, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics can not be written");
        }
        text
    }

    /// What is counted about shards of blobs.
    pub(crate) fn blobs(&self) -> &BlobMetrics {
        &self.blobs
    }

    /// Makes the series of each validator appear that keeps shards.
    pub(crate) fn know_keepers(&self, keepers: impl Iterator<Item = types::Author>) {
        self.blobs.know_peers(keepers);
    }

    /// Makes the series of each peer appear.
    pub(crate) fn know_peers(&self, peers: impl Iterator<Item = types::Author>) {
        for peer in peers {
            for reason in InvalidReason::ALL.iter().copied() {
                let label = InvalidLabel { peer: peer.value(), reason };
                drop(self.messages_invalid.get_or_create(&label));
            }
        }
    }

    pub(crate) fn frame_received(&self, class: Class, bytes: u32) {
        self.frames_received.get_or_create(&ClassLabel { class: class.into() }).inc();
        self.received_bytes
            .get_or_create(&ClassLabel { class: class.into() })
            .inc_by(u64::from(bytes));
    }

    pub(crate) fn frame_sent(&self, class: Class, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.frames_sent.get_or_create(&ClassLabel { class: class.into() }).inc();
        self.sent_bytes.get_or_create(&ClassLabel { class: class.into() }).inc_by(bytes);
    }

    pub(crate) fn frame_dropped(&self, class: Class, reason: DropReason) {
        self.frames_dropped.get_or_create(&DropLabel { class: class.into(), reason }).inc();
    }

    pub(crate) fn connection_refused(&self, reason: RefuseReason) {
        self.connections_refused.get_or_create(&RefuseLabel { reason }).inc();
    }

    pub(crate) fn peers_connected(&self, peers: usize) {
        set(&self.peers_connected, peers);
    }

    pub(crate) fn followers_connected(&self, followers: usize) {
        set(&self.followers_connected, followers);
    }

    pub(crate) fn message_invalid(&self, peer: types::Author, reason: InvalidReason) {
        let label = InvalidLabel { peer: peer.value(), reason };
        self.messages_invalid.get_or_create(&label).inc();
    }

    pub(crate) fn submission(&self, result: SubmissionResult) {
        self.submissions.get_or_create(&SubmissionLabel { result }).inc();
    }

    pub(crate) fn connection_opened(&self, door: Door) {
        self.doors.connections.get_or_create(&DoorLabel { door }).inc();
    }

    pub(crate) fn connection_closed(&self, door: Door, reason: Closed) {
        self.doors.connections.get_or_create(&DoorLabel { door }).dec();
        self.doors.closed.get_or_create(&ClosedLabel { door, reason }).inc();
    }

    pub(crate) fn request_answered(&self, door: Door, result: Answered) {
        self.doors.requests.get_or_create(&RequestLabel { door, result }).inc();
    }

    pub(crate) fn evidence(&self) {
        self.evidence.inc();
    }

    pub(crate) fn committed(&self, after: Duration) {
        self.commit_seconds.observe(after.as_secs_f64());
    }

    pub(crate) fn applied(&self, took: Duration, results: [(OrderedResult, usize); 3]) {
        self.apply_seconds.observe(took.as_secs_f64());
        for (result, count) in results {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.transactions.get_or_create(&OutcomeLabel { result }).inc_by(count);
        }
    }

    pub(crate) fn written(&self, durability: WriteKind, took: Duration) {
        let label = DurabilityLabel { durability };
        self.write_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// How much room the store takes.
    pub(crate) fn stored(&self, bytes: u64) {
        set(&self.store_bytes, bytes);
    }

    pub(crate) fn status(&self, status: &NodeStatus) {
        set(&self.round, status.round.value());
        set(&self.commit_index, status.commit.value());
        set(&self.fetching, status.fetching);
        set(&self.applied_index, status.applied.value());
        set(&self.proven_index, status.proven.value());
        set(&self.height, status.height.value());
        set(&self.pool_transactions, status.pool_transactions);
        set(&self.pool_bytes, status.pool_bytes);
    }

    /// Makes every series appear that is known from the start: a counter that was never raised is
    /// zero, not absent.
    fn show_zeros(&self) {
        for class in ClassValue::ALL.iter().copied() {
            let label = ClassLabel { class };
            for family in
                [&self.frames_received, &self.received_bytes, &self.frames_sent, &self.sent_bytes]
            {
                drop(family.get_or_create(&label));
            }
            for reason in DropReason::ALL.iter().copied() {
                drop(self.frames_dropped.get_or_create(&DropLabel { class, reason }));
            }
        }
        for reason in RefuseReason::ALL.iter().copied() {
            drop(self.connections_refused.get_or_create(&RefuseLabel { reason }));
        }
        for result in SubmissionResult::ALL.iter().copied() {
            drop(self.submissions.get_or_create(&SubmissionLabel { result }));
        }
        for result in OrderedResult::ALL.iter().copied() {
            drop(self.transactions.get_or_create(&OutcomeLabel { result }));
        }
        for durability in WriteKind::ALL.iter().copied() {
            drop(self.write_seconds.get_or_create(&DurabilityLabel { durability }));
        }
    }

    fn register_node(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "node_frames_received",
            "Frames received from peers",
            self.frames_received.clone(),
        );
        registry.register(
            "node_received_bytes",
            "Bytes of frames received from peers",
            self.received_bytes.clone(),
        );
        registry.register("node_frames_sent", "Frames sent to peers", self.frames_sent.clone());
        registry.register(
            "node_sent_bytes",
            "Bytes of frames sent to peers",
            self.sent_bytes.clone(),
        );
        registry.register(
            "node_frames_dropped",
            "Frames that were not sent",
            self.frames_dropped.clone(),
        );
        registry.register(
            "node_connections_refused",
            "Connections that were not let in",
            self.connections_refused.clone(),
        );
        registry.register(
            "node_peers_connected",
            "Peers with both connections standing",
            self.peers_connected.clone(),
        );
        registry.register(
            "node_followers_connected",
            "Followers with a connection standing",
            self.followers_connected.clone(),
        );
        registry.register(
            "node_messages_invalid",
            "Frames with something invalid in them",
            self.messages_invalid.clone(),
        );
        registry.register(
            "node_submissions",
            "Transactions submitted to this node",
            self.submissions.clone(),
        );
        registry.register(
            "store_write_seconds",
            "Time of one atomic write",
            self.write_seconds.clone(),
        );
    }

    fn register_machines(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "consensus_round",
            "Highest round with vertices of a quorum",
            self.round.clone(),
        );
        registry.register(
            "consensus_commit_index",
            "Highest commit ordered",
            self.commit_index.clone(),
        );
        registry.register(
            "replica_fetching_vertices",
            "Vertices being fetched",
            self.fetching.clone(),
        );
        registry.register(
            "consensus_evidence",
            "Signed evidence of misbehaviour",
            self.evidence.clone(),
        );
        registry.register(
            "consensus_commit_seconds",
            "Time from the making of an own vertex to its commit",
            self.commit_seconds.clone(),
        );
        registry.register(
            "ledger_proven_index",
            "Highest commit whose state a quorum has signed",
            self.proven_index.clone(),
        );
        registry.register(
            "ledger_applied_index",
            "Highest commit applied",
            self.applied_index.clone(),
        );
        registry.register(
            "ledger_apply_seconds",
            "Time to apply one commit",
            self.apply_seconds.clone(),
        );
        registry.register(
            "store_size_bytes",
            "Room that the store takes",
            self.store_bytes.clone(),
        );
        registry.register("ledger_height", "Height of the last sealed block", self.height.clone());
        registry.register(
            "ledger_transactions",
            "Ordered transactions by what became of them",
            self.transactions.clone(),
        );
        registry.register(
            "ledger_pool_transactions",
            "Transactions waiting in the pool",
            self.pool_transactions.clone(),
        );
        registry.register("ledger_pool_bytes", "Bytes of the pool", self.pool_bytes.clone());
    }
}

impl Doors {
    /// Registers, and makes every series appear: their labels are known from the start.
    fn register(&self, registry: &mut Registry) {
        for door in Door::ALL.iter().copied() {
            drop(self.connections.get_or_create(&DoorLabel { door }));
            for result in Answered::ALL.iter().copied() {
                drop(self.requests.get_or_create(&RequestLabel { door, result }));
            }
            for reason in Closed::ALL.iter().copied() {
                drop(self.closed.get_or_create(&ClosedLabel { door, reason }));
            }
        }
        registry.register(
            "node_door_connections",
            "Connections of other people's software",
            self.connections.clone(),
        );
        registry.register(
            "node_door_requests",
            "Requests of other people's software",
            self.requests.clone(),
        );
        registry.register(
            "node_door_closed",
            "Connections that ended, by the reason",
            self.closed.clone(),
        );
    }
}

fn set<T: TryInto<i64>>(gauge: &Gauge, value: T) {
    gauge.set(value.try_into().unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The metrics by name, as `docs/metrics.md` has them.
    const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn every_metric_is_documented() {
        let metrics = Metrics::default();
        metrics.message_invalid(types::Author::new(0), InvalidReason::Message);
        let text = metrics.encode();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names: Vec<_> = names.filter_map(|line| line.split(' ').next()).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(DOCUMENT.contains(&format!("`{name}")), "{name} is not in docs/metrics.md");
        }
    }

    #[test]
    fn counters_show_up_with_their_labels() {
        let metrics = Metrics::default();
        metrics.frame_dropped(Class::Control, DropReason::Full);
        metrics.message_invalid(types::Author::new(3), InvalidReason::Vertex);
        let text = metrics.encode();
        let dropped = r#"node_frames_dropped_total{class="control",reason="full"} 1"#;
        assert!(text.contains(dropped), "{text}");
        assert!(text.contains(r#"{peer="3",reason="vertex"} 1"#), "{text}");
    }
}
