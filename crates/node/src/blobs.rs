//! The storage side of a node: the shard that it keeps of every blob, and the ways to those of the
//! others.
//!
//! The ledger says what is to be kept and who has said so; this side has the bytes. It proposes
//! nothing but statements about them, through [`Handle::say`](crate::Handle::say), and only after
//! they are durable.
//!
//! Source: `docs/blobs.md`, Nodes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use ledger::blobs::BlobRow;
use tokio::sync::Mutex;
use tokio::sync::Notify;
use types::Author;
use types::BlobMeta;
use types::ShardIndex;
use types::blob::BlobId;
use types::blob::ShardCount;

use crate::config;
use crate::metrics::Metrics;

use self::bucket::Bucket;
use self::fetch::Wanted;
use self::store::ShardStore;

mod audit;
mod bucket;
mod fetch;
pub(crate) mod keeper;
mod publish;
mod read;
mod store;

pub(crate) use self::fetch::parse_proof;
pub(crate) use self::publish::PublishError;
pub(crate) use self::read::ReadError;
pub(crate) use self::store::StoreError;

/// How long another node may take for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// What every part of this side shares. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: ShardStore,
    own: Option<Author>,
    shards: ShardCount,
    peers: BTreeMap<Author, String>,
    http: reqwest::Client,
    /// Slows down what is fetched to repair.
    bucket: Bucket,
    metrics: Arc<Metrics>,
    /// There is news: the keeper looks again.
    arrived: Notify,
    /// What others have to tell the keeper. Held for a moment only.
    news: std::sync::Mutex<News>,
    /// One reading of a blob at a time; whoever comes meanwhile takes what it has left behind. Locks
    /// of blobs that nobody reads are dropped.
    reading: Mutex<BTreeMap<BlobId, Weak<Mutex<()>>>>,
}

/// What the keeper is told. Both are bounded: by what has room here, and by what the ledger knows.
#[derive(Debug, Default)]
struct News {
    /// Shards that are held now.
    held: BTreeSet<BlobId>,
    /// Blobs that a reader has found to be inconsistent.
    inconsistent: BTreeSet<BlobId>,
}

impl Blobs {
    /// Opens the shards that lie in the data folder.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn open(
        dir: &std::path::Path,
        settings: &config::Blobs,
        own: Option<Author>,
        shards: ShardCount,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let store = ShardStore::open(dir, settings.quota_bytes, settings.free_bytes_least)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self(Arc::new(Inner {
            store,
            own,
            shards,
            peers: settings.peers.clone(),
            http,
            bucket: Bucket::new(settings.repair_bytes_per_s),
            metrics,
            arrived: Notify::new(),
            news: std::sync::Mutex::default(),
            reading: Mutex::new(BTreeMap::new()),
        })))
    }

    /// The shards that lie here. Its functions block.
    pub(crate) fn store(&self) -> &ShardStore {
        &self.0.store
    }

    /// S.
    pub(crate) fn shards(&self) -> ShardCount {
        self.0.shards
    }

    /// The shard of a blob that this node keeps; none at a follower.
    pub(crate) fn own_shard(&self, id: &BlobId) -> Option<ShardIndex> {
        self.0.own.map(|own| self.0.shards.kept_by(id, own))
    }

    /// Where a validator serves HTTP, as far as it is known.
    pub(crate) fn url(&self, author: Author) -> Option<&str> {
        self.0.peers.get(&author).map(String::as_str)
    }

    /// A shard is held: the keeper acknowledges it.
    pub(crate) fn held(&self, id: BlobId) {
        self.tell(|news| news.held.insert(id));
    }

    /// A reader has found a blob to be inconsistent: the keeper says so.
    pub(crate) fn found_inconsistent(&self, id: BlobId) {
        self.tell(|news| news.inconsistent.insert(id));
    }

    fn tell(&self, add: impl FnOnce(&mut News) -> bool) {
        add(&mut self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.arrived.notify_one();
    }

    fn take_news(&self) -> News {
        std::mem::take(&mut *self.0.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The meta of a blob, from whoever has acknowledged a shard of it.
    pub(crate) async fn ask_meta(&self, id: &BlobId, row: &BlobRow) -> Option<BlobMeta> {
        for keeper in row.held_by.authors() {
            let (shard, layout) = (self.0.shards.kept_by(id, keeper), row.layout);
            let wanted = Wanted { id: *id, layout, shard, from: 0, to: 1 };
            if let Ok(fetched) = self.slice_of(keeper, wanted).await {
                return Some(*fetched.shard.meta());
            }
        }
        None
    }

    /// Runs work on files where blocking is allowed.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ShardStore) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let blobs = self.clone();
        let done = tokio::task::spawn_blocking(move || work(blobs.store())).await;
        done.map_err(|_| io::Error::other("the work on files broke off").into())
    }

    /// The lock under which a blob is read.
    async fn reading(&self, id: &BlobId) -> Arc<Mutex<()>> {
        let mut locks = self.0.reading.lock().await;
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(Mutex::new(()));
        locks.insert(*id, Arc::downgrade(&lock));
        lock
    }
}
