//! Opens the store and takes up both halves where it stands.

use std::path::Path;
use std::sync::Arc;

use ledger::Ledger;
use ledger::LedgerError;
use ledger::query::Base;
use replica::Execution;
use replica::ExecutionConfig;
use replica::OpenError;
use replica::Ordering;
use replica::OrderingConfig;
use replica::ordering::Pacing;
use replica::ordering::Start;
use store::DiskStore;
use store::Durability;
use store::Store;
use types::Author;
use types::Genesis;
use types::Moment;
use types::ShardCount;

use crate::blobs::Blobs;
use crate::config::Checked;
use crate::failpoints::Point;
use crate::metrics::Metrics;
use crate::reindex;
use crate::runtime::NodeError;
use crate::status::NodeStatus;

/// The folder of shards inside of the data folder.
const BLOBS_DIR: &str = "blobs";
/// The database's folder inside of the data folder.
pub(crate) const STORE_DIR: &str = "store";

/// A store with both halves.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) ordering: Ordering,
    pub(super) execution: Execution,
    pub(super) status: NodeStatus,
    pub(super) last_event: u64,
    /// Where the store begins, if with a snapshot.
    pub(super) base: Option<Base>,
    pub(super) blobs: Blobs,
}

/// Opens everything on a thread where it may take its time.
pub(super) async fn open(checked: Checked, metrics: Arc<Metrics>) -> Result<Opened, NodeError> {
    match tokio::task::spawn_blocking(move || open_blocking(&checked, metrics)).await {
        Ok(opened) => opened,
        Err(_) => Err(NodeError::Broken { name: "opening" }),
    }
}

fn open_blocking(checked: &Checked, metrics: Arc<Metrics>) -> Result<Opened, NodeError> {
    let store = open_store(&checked.data_dir)?;
    let failed = |error: OpenError| open_error(&checked.data_dir, error);
    reindex::finish_clearing(&store)?;
    write_genesis(&store, &checked.genesis, &checked.data_dir)?;
    // The ledger names its network, so it is asked before the order is taken up.
    Ledger::open(&checked.genesis, &store).map_err(|error| failed(error.into()))?;
    let own = checked.identity.author();
    let start = match checked.identity.unused() {
        // Keys that may have signed: if the store does not know what, others have to tell.
        Some(unused) if !unused.is_there() => Start::Recover,
        _ => Start::First,
    };
    let mut config =
        OrderingConfig::new(Arc::clone(&checked.committee), own, &checked.genesis, start);
    config.pacing = Pacing {
        min_round_interval: checked.min_round_interval,
        idle_interval: checked.idle_interval,
    };
    let ordering = Ordering::open(config, &store).map_err(failed)?;
    let config =
        ExecutionConfig { genesis: Arc::clone(&checked.genesis), own, limits: checked.pool };
    let execution = Execution::open(config, &store).map_err(failed)?;
    let summary = ledger::query::summary(&store)?;
    let last_event = summary.map_or(0, |summary| summary.last_event);
    let mut status = NodeStatus::new(&checked.genesis, &execution, last_event);
    status.proven = replica::tables::last_proven(&store)?;
    status.take_ordering(&ordering.status(Moment::ZERO));
    if status.recovering.is_some() {
        tracing::warn!(
            "these keys have signed before and the store does not know what: this validator is \
             silent until others have told it and the rounds in question are past"
        );
    }
    status.evidence = evidence(&store)?;
    let base = ledger::query::base(&store)?;
    let blobs = open_blobs(checked, own, metrics)?;
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(Opened { store, ordering, execution, status, last_event, base, blobs })
}

/// Opens the database of a data folder, or makes it.
pub(crate) fn open_store(data_dir: &Path) -> Result<DiskStore, NodeError> {
    let path = data_dir.join(STORE_DIR);
    std::fs::create_dir_all(&path)
        .map_err(|source| NodeError::Store(store::StoreError::Io { path: path.clone(), source }))?;
    Ok(DiskStore::open(&path, &replica::all_tables())?)
}

/// Says of a store that can not be taken up what a person can do.
pub(crate) fn open_error(data_dir: &Path, error: OpenError) -> NodeError {
    let data_dir = data_dir.to_owned();
    match error {
        OpenError::Ledger(LedgerError::WrongChain { expected, actual }) => {
            NodeError::OtherNetwork { data_dir, expected, actual }
        }
        error => NodeError::Open { data_dir, error: Box::new(error) },
    }
}

fn open_blobs(
    checked: &Checked,
    own: Option<Author>,
    metrics: Arc<Metrics>,
) -> Result<Blobs, NodeError> {
    let path = checked.data_dir.join(BLOBS_DIR);
    let failed = |source| NodeError::Store(store::StoreError::Io { path: path.clone(), source });
    let validators = checked.committee.quorums().validators();
    let shards =
        ShardCount::new(validators).map_err(|error| failed(std::io::Error::other(error)))?;
    Blobs::open(&path, &checked.blobs, own, shards, metrics).map_err(failed)
}

/// How many pieces of evidence a store keeps; beyond this many they are not counted.
const EVIDENCE_COUNTED_MAX: u64 = 10_000;
const EVIDENCE_PAGE: usize = 64;

fn evidence(store: &DiskStore) -> Result<u64, NodeError> {
    let (mut count, mut after) = (0, None);
    while count < EVIDENCE_COUNTED_MAX {
        let page = replica::tables::evidence(store, after, EVIDENCE_PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        count += u64::try_from(page.len()).unwrap_or(u64::MAX);
    }
    Ok(count)
}

/// Gives an empty store its first rows.
pub(crate) fn write_genesis(
    store: &DiskStore,
    genesis: &Genesis,
    data_dir: &Path,
) -> Result<(), NodeError> {
    if ledger::query::summary(store)?.is_some() {
        return Ok(());
    }
    let changes = Ledger::genesis(genesis).map_err(|error| NodeError::Open {
        data_dir: data_dir.to_owned(),
        error: Box::new(error.into()),
    })?;
    store.write(changes, Durability::Synced)?;
    Point::GenesisWritten.reach();
    Ok(())
}
