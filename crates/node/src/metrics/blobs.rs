//! What is counted about shards of blobs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use types::Author;

use super::AuditResult;
use super::ShardResult;
use super::set;

/// Everything about shards.
#[derive(Debug, Default)]
pub(crate) struct BlobMetrics {
    held: Gauge,
    bytes: Gauge,
    received: Family<ShardLabel, Counter>,
    repaired: Counter,
    repair_bytes: Counter,
    lies: Family<PeerLabel, Counter>,
    audits: Family<AuditLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabel {
    result: ShardResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    /// A place in the committee: the configuration names its address.
    peer: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuditLabel {
    peer: u16,
    result: AuditResult,
}

impl BlobMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for result in ShardResult::ALL.iter().copied() {
            drop(self.received.get_or_create(&ShardLabel { result }));
        }
        registry.register("node_blob_shards", "Shards that are held", self.held.clone());
        registry.register("node_blob_bytes", "Bytes of all shards here", self.bytes.clone());
        registry.register(
            "node_blob_shards_received",
            "Shards that were sent here, by what became of them",
            self.received.clone(),
        );
        registry.register(
            "node_blob_repairs",
            "Shards that were rebuilt from others",
            self.repaired.clone(),
        );
        registry.register(
            "node_blob_repair_bytes",
            "Bytes that were fetched to rebuild shards",
            self.repair_bytes.clone(),
        );
        registry.register(
            "node_blob_lies",
            "Readings in which a validator sent what is not its shard",
            self.lies.clone(),
        );
        registry.register(
            "node_blob_audits",
            "Groups that the common coin had asked for, by what came",
            self.audits.clone(),
        );
    }

    /// Makes the series of each validator appear.
    pub(super) fn know_peers(&self, peers: impl Iterator<Item = Author>) {
        for peer in peers.map(Author::value) {
            drop(self.lies.get_or_create(&PeerLabel { peer }));
            for result in AuditResult::ALL.iter().copied() {
                drop(self.audits.get_or_create(&AuditLabel { peer, result }));
            }
        }
    }

    pub(crate) fn stored(&self, held: usize, bytes: u64) {
        set(&self.held, held);
        set(&self.bytes, bytes);
    }

    pub(crate) fn received(&self, result: ShardResult) {
        self.received.get_or_create(&ShardLabel { result }).inc();
    }

    pub(crate) fn repaired(&self, bytes: u64) {
        self.repaired.inc();
        self.repair_bytes.inc_by(bytes);
    }

    pub(crate) fn lied(&self, peer: Author) {
        self.lies.get_or_create(&PeerLabel { peer: peer.value() }).inc();
    }

    pub(crate) fn audited(&self, peer: Author, result: AuditResult) {
        self.audits.get_or_create(&AuditLabel { peer: peer.value(), result }).inc();
    }
}
