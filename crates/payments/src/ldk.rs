//! What both daemons share of LDK: its log in ours, and names of its errors.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ldk_node::Builder;
use ldk_node::DynStore;
use ldk_node::Node;
use ldk_node::NodeError;
use ldk_node::bitcoin::Network;
use ldk_node::config::BackgroundSyncConfig;
use ldk_node::config::EsploraSyncConfig;
use ldk_node::logger::LogLevel;
use ldk_node::logger::LogRecord;
use ldk_node::logger::LogWriter;
use ldk_node::payment::PaymentDetails;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::trace;
use tracing::warn;

use crate::PaymentsError;
use crate::seed::Seed;

/// How often LDK asks by itself, when no event does: the least that it takes.
const SYNC_INTERVAL_S: u64 = 10;
/// How often it asks for fee rates.
const FEES_INTERVAL_S: u64 = 60;
/// How long to wait before a start is tried again.
const START_RETRY: Duration = Duration::from_secs(1);

/// Writes LDK's log into ours.
#[derive(Debug)]
pub(crate) struct Log;

impl LogWriter for Log {
    fn log(&self, record: LogRecord<'_>) {
        let LogRecord { level, args, module_path, .. } = record;
        match level {
            LogLevel::Gossip | LogLevel::Trace => trace!(module_path, "{args}"),
            LogLevel::Debug => debug!(module_path, "{args}"),
            LogLevel::Info => info!(module_path, "{args}"),
            LogLevel::Warn => warn!(module_path, "{args}"),
            LogLevel::Error => error!(module_path, "{args}"),
        }
    }
}

/// A builder with what both daemons have in common.
pub(crate) fn builder(
    mut config: ldk_node::config::Config,
    seed: &Seed,
    node_url: &str,
    dir: &Path,
) -> Builder {
    config.network = Network::Regtest;
    config.storage_dir_path = dir.display().to_string();
    let mut builder = Builder::from_config(config);
    builder.set_entropy_bip39_mnemonic(seed.mnemonic(), None);
    let background = BackgroundSyncConfig {
        onchain_wallet_sync_interval_secs: SYNC_INTERVAL_S,
        lightning_wallet_sync_interval_secs: SYNC_INTERVAL_S,
        fee_rate_cache_update_interval_secs: FEES_INTERVAL_S,
    };
    let sync = EsploraSyncConfig { background_sync_config: Some(background) };
    let api = format!("{}/api", node_url.trim_end_matches('/'));
    builder.set_chain_source_esplora(api, Some(sync));
    builder.set_custom_logger(Arc::new(Log));
    builder
}

/// The name of a payment in hex.
pub(crate) fn payment_id(payment: &PaymentDetails) -> String {
    hex::encode(payment.id.0)
}

/// A value's debug form in words that a person may read.
pub(crate) fn words(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut words = String::new();
    for letter in text.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// Builds a node and starts it; tried again while the chain's node is away. None when told to stop
/// before.
pub(crate) async fn start(
    mut builder: Builder,
    store: Option<Arc<DynStore>>,
    stop: &CancellationToken,
) -> Result<Option<Arc<Node>>, PaymentsError> {
    builder.set_runtime(tokio::runtime::Handle::current());
    let built = tokio::task::spawn_blocking(move || match store {
        Some(store) => builder.build_with_store(store),
        None => builder.build(),
    })
    .await;
    let node = Arc::new(built.map_err(|_| PaymentsError::Lost { what: "LDK" })??);
    loop {
        let starting = Arc::clone(&node);
        let started = tokio::task::spawn_blocking(move || starting.start()).await;
        match started.map_err(|_| PaymentsError::Lost { what: "LDK" })? {
            Ok(()) => return Ok(Some(node)),
            Err(
                error @ (NodeError::FeerateEstimationUpdateFailed
                | NodeError::FeerateEstimationUpdateTimeout),
            ) => warn!(%error, "waiting for the node"),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = sleep(START_RETRY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}
