//! What the provider counts; see `docs/metrics.md`.

use std::fmt;

use ldk_node::Node;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters, and the registry that names them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    registered: Counter,
    forwarded: Counter,
    forwarded_msat: Counter,
    fees_msat: Counter,
    channels: Gauge,
    channels_usable: Gauge,
    peers: Gauge,
    onchain_sat: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let registered = counter(&mut registry, "wallets_registered", "Wallets made known");
        let forwarded = counter(&mut registry, "forwarded", "Payments passed on");
        let forwarded_msat = counter(&mut registry, "forwarded_msat", "Money passed on");
        let fees_msat = counter(&mut registry, "fees_msat", "Fees earned by passing on");
        let channels = gauge(&mut registry, "channels", "Channels");
        let channels_usable = gauge(&mut registry, "channels_usable", "Channels usable now");
        let peers = gauge(&mut registry, "peers", "Nodes connected");
        let onchain_sat = gauge(&mut registry, "onchain_sat", "Coins that can be spent");
        Self {
            registry,
            registered,
            forwarded,
            forwarded_msat,
            fees_msat,
            channels,
            channels_usable,
            peers,
            onchain_sat,
        }
    }

    pub(crate) fn registered(&self) {
        self.registered.inc();
    }

    pub(crate) fn forwarded(&self, msat: u64, fee_msat: u64) {
        self.forwarded.inc();
        self.forwarded_msat.inc_by(msat);
        self.fees_msat.inc_by(fee_msat);
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self, node: &Node) -> Result<String, fmt::Error> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let channels = node.list_channels();
        self.channels.set(count(channels.len()));
        self.channels_usable.set(count(channels.iter().filter(|one| one.is_usable).count()));
        self.peers.set(count(node.list_peers().iter().filter(|one| one.is_connected).count()));
        let spendable = node.list_balances().spendable_onchain_balance_sats;
        self.onchain_sat.set(i64::try_from(spendable).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(format!("payments_{name}"), help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(format!("payments_{name}"), help, gauge.clone());
    gauge
}
