//! Sees to it that this validator keeps what it has to keep, says so, and forgets what is over.
//!
//! It follows the event log with a cursor of its own on disk: what a certificate asks for is written
//! down before the cursor passes it, so a node that was away for weeks takes up where it stopped. What
//! it has said is looked up in the ledger, and said again until it stands there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use ledger::EventKind;
use ledger::blobs::BlobRow;
use ledger::query;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::Height;
use types::blob::BlobChange;
use types::blob::BlobClaim;
use types::blob::BlobId;
use types::blob::BlobStatement;
use types::table::TableFault;

use super::Blobs;
use super::StoreError;
use super::audit;
use super::read::Purpose;
use super::read::ReadError;
use crate::handle::Handle;

/// How many events are looked at at a time.
const EVENTS_PAGE: usize = 256;
/// How many blobs are looked at at a time where the events are gone.
const BLOBS_PAGE: usize = 256;
/// How often everything is looked at when nothing happens.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a statement may take into the ledger before it is said again.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often all shards are looked through when no block is sealed.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// How long a shard that could not be had is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a round of looking after shards broke off. The next one begins anew.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error(transparent)]
    Table(#[from] TableFault),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug)]
struct Keeper {
    handle: Handle,
    blobs: Blobs,
    cursor: u64,
    height: Height,
    /// Shards that are held and not acknowledged in the ledger yet, and when that was said.
    unheard: BTreeMap<BlobId, Option<Instant>>,
    /// Blobs whose encoding is to be looked at.
    disputed: BTreeSet<BlobId>,
    /// Blobs whose encoding was found to be inconsistent, and when that was said.
    inconsistent: BTreeMap<BlobId, Option<Instant>>,
    /// Shards that could not be had, and when they are tried again.
    postponed: BTreeMap<BlobId, Instant>,
    /// At which height and when all shards were looked through for those that are over.
    forgot: Option<(Height, Instant)>,
}

/// Looks after the shards until `stop` is cancelled.
pub(crate) async fn run(handle: Handle, stop: CancellationToken) {
    let blobs = handle.blobs().clone();
    let mut keeper = Keeper {
        handle,
        blobs,
        cursor: 0,
        height: Height::ZERO,
        unheard: BTreeMap::new(),
        disputed: BTreeSet::new(),
        inconsistent: BTreeMap::new(),
        postponed: BTreeMap::new(),
        forgot: None,
    };
    let work = async {
        keeper.begin().await;
        loop {
            if let Err(error) = keeper.round().await {
                tracing::warn!(%error, "looking after shards broke off");
            }
            keeper.wait().await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

impl Keeper {
    async fn begin(&mut self) {
        let cursor = self.blobs.blocking(|store| (store.cursor(), store.blobs())).await;
        if let Ok((cursor, blobs)) = cursor {
            self.cursor = cursor;
            self.unheard.extend(blobs.into_iter().map(|id| (id, None)));
        }
    }

    /// Waits until there may be something to do.
    async fn wait(&self) {
        let mut events = self.handle.events();
        let has_more = *events.borrow_and_update() > self.cursor;
        if has_more {
            return;
        }
        tokio::select! {
            _ = events.changed() => {}
            () = self.blobs.0.arrived.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }

    async fn round(&mut self) -> Result<(), KeeperError> {
        let news = self.blobs.take_news();
        self.unheard.extend(news.held.into_iter().map(|id| (id, None)));
        self.inconsistent.extend(news.inconsistent.into_iter().map(|id| (id, None)));
        self.follow().await?;
        self.acknowledge().await?;
        self.judge_disputed().await?;
        self.complain().await?;
        self.repair().await?;
        let is_due = self
            .forgot
            .is_none_or(|(height, at)| height != self.height || at.elapsed() > FORGET_AFTER);
        if is_due {
            self.forget().await?;
            self.forgot = Some((self.height, Instant::now()));
        }
        let (held, bytes) = self.blobs.store().used();
        self.handle.metrics().blobs().stored(held, bytes);
        Ok(())
    }

    /// Takes note of what has happened, durably, before the cursor passes it.
    async fn follow(&mut self) -> Result<(), KeeperError> {
        let handle = self.handle.clone();
        let newest = *handle.events().borrow();
        let read = handle.read()?;
        let oldest = self.blocking_read(move || query::oldest_event(read.as_ref())).await?;
        if self.cursor.saturating_add(1) < oldest {
            self.take_stock().await?;
            self.pass(oldest.saturating_sub(1)).await?;
        }
        while self.cursor < newest {
            let (after, read) = (self.cursor, handle.read()?);
            let page =
                self.blobs.blocking(move |_| query::events(read.as_ref(), after, EVENTS_PAGE));
            let page = page.await??;
            let Some(last) = page.last().map(|event| event.sequence) else { break };
            let mut sealed = None;
            for event in page {
                match event.kind {
                    EventKind::Block { height, .. } => sealed = Some(height),
                    EventKind::Blob(outcome) => self.take(outcome.blob, outcome.change).await?,
                    _ => {}
                }
            }
            self.pass(last).await?;
            if let Some(height) = sealed {
                self.height = height;
                audit::begin(&self.handle, &self.blobs, height);
            }
        }
        Ok(())
    }

    /// Moves the cursor, durably.
    async fn pass(&mut self, last: u64) -> Result<(), KeeperError> {
        self.cursor = last;
        let moved = self.blobs.blocking(move |store| store.set_cursor(last)).await?;
        Ok(moved.map_err(StoreError::from)?)
    }

    /// Takes from the ledger's rows what the event log does not tell any more: behind a snapshot, or
    /// where old events were removed.
    async fn take_stock(&mut self) -> Result<(), KeeperError> {
        let mut after = None;
        loop {
            let read = self.handle.read()?;
            let page = move || query::live_blobs(read.as_ref(), after.as_ref(), BLOBS_PAGE);
            let page = self.blocking_read(page).await?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            after = Some(last);
            for (_, id) in page {
                let Some(row) = self.row(&id).await? else { continue };
                if row.certified.is_some() {
                    let end_height = row.end_height;
                    self.take(id, BlobChange::Certified { end_height }).await?;
                }
                if row.disputed_by.count() > 0 {
                    self.disputed.insert(id);
                }
            }
        }
    }

    async fn blocking_read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, TableFault> + Send + 'static,
    ) -> Result<T, KeeperError> {
        Ok(self.blobs.blocking(move |_| read()).await??)
    }

    async fn take(&mut self, id: BlobId, change: BlobChange) -> Result<(), KeeperError> {
        match change {
            BlobChange::Registered { .. } => {
                self.blobs.store().registered(&id);
                if self.blobs.store().held(&id).is_some() {
                    self.unheard.insert(id, None);
                }
            }
            BlobChange::Certified { .. }
                if self.blobs.own_shard(&id).is_some()
                    && self.blobs.store().held(&id).is_none() =>
            {
                self.blobs
                    .blocking(move |store| store.want(&id))
                    .await?
                    .map_err(StoreError::from)?;
                // Its writer may still be sending it.
                self.postponed.insert(id, Instant::now() + RETRY_AFTER);
            }
            BlobChange::Disputed => {
                self.disputed.insert(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Says of every shard that is held, and that the ledger has not heard of, that it is held.
    async fn acknowledge(&mut self) -> Result<(), KeeperError> {
        for id in self.unheard.keys().copied().collect::<Vec<_>>() {
            let row = self.row(&id).await?;
            let is_held = self.blobs.store().held(&id).is_some();
            let Some(row) = row.filter(|row| is_held && !self.has_heard(row)) else {
                self.unheard.remove(&id);
                continue;
            };
            self.blobs.store().registered(&id);
            let said = self.unheard.entry(id).or_default();
            if said.is_none_or(|at| at.elapsed() > SAY_AGAIN_AFTER) {
                *said = Some(Instant::now());
                let registration = row.registration;
                let claim = BlobClaim::Held;
                self.handle.say(BlobStatement { claim, registration, blob: id });
            }
        }
        Ok(())
    }

    /// Looks for itself where somebody says that an encoding is inconsistent.
    async fn judge_disputed(&mut self) -> Result<(), KeeperError> {
        let Some(id) = self.disputed.pop_first() else { return Ok(()) };
        let Some(row) = self.row(&id).await? else { return Ok(()) };
        if let Some(own) = self.blobs.own_shard(&id) {
            match self.blobs.assemble(&id, row.layout, Purpose::Shard(own)).await {
                Err(ReadError::Inconsistent) => {
                    self.inconsistent.insert(id, None);
                }
                Err(error) => {
                    tracing::debug!(blob = %id, %error, "a disputed blob can not be judged now");
                    self.disputed.insert(id);
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Says of every encoding that was found to be inconsistent that it is.
    async fn complain(&mut self) -> Result<(), KeeperError> {
        for id in self.inconsistent.keys().copied().collect::<Vec<_>>() {
            let own = self.handle.own();
            let row = self.row(&id).await?;
            let row = row.filter(|row| own.is_some_and(|own| !row.disputed_by.contains(own)));
            let Some(row) = row else {
                self.inconsistent.remove(&id);
                continue;
            };
            let said = self.inconsistent.entry(id).or_default();
            if said.is_none_or(|at| at.elapsed() > SAY_AGAIN_AFTER) {
                *said = Some(Instant::now());
                let (claim, registration) = (BlobClaim::Inconsistent, row.registration);
                self.handle.say(BlobStatement { claim, registration, blob: id });
            }
        }
        Ok(())
    }

    /// Gets one missing shard: of what ends first, and then of what fewest hold.
    async fn repair(&mut self) -> Result<(), KeeperError> {
        let wanted =
            self.blobs.blocking(|store| store.wanted()).await?.map_err(StoreError::from)?;
        self.postponed.retain(|_, until| *until > Instant::now());
        let mut open = Vec::new();
        for id in wanted {
            let row = self.row(&id).await?;
            let Some(row) = row.filter(|_| self.blobs.store().held(&id).is_none()) else {
                self.blobs
                    .blocking(move |store| store.unwant(&id))
                    .await?
                    .map_err(StoreError::from)?;
                continue;
            };
            if !self.postponed.contains_key(&id) {
                open.push((row.end_height, row.held_by.count(), id, row));
            }
        }
        open.sort_unstable_by_key(|(end, holders, id, _)| (*end, *holders, *id));
        let Some((.., id, row)) = open.into_iter().next() else { return Ok(()) };
        let Some(own) = self.blobs.own_shard(&id) else { return Ok(()) };
        match self.blobs.assemble(&id, row.layout, Purpose::Shard(own)).await {
            Ok(reading) => {
                let proof = reading.committed.proof(own).and_then(|proof| proof.verify(&id).ok());
                let length = row.layout.shard_length();
                let adopted = self.blobs.blocking(move |store| match proof {
                    Some(proof) => store.adopt(proof, reading.scratch.path()),
                    None => Ok(()),
                });
                // Somebody may be sending it all the same: then there is nothing to do.
                self.postponed.insert(id, Instant::now() + RETRY_AFTER);
                adopted.await??;
                self.blobs
                    .blocking(move |store| store.unwant(&id))
                    .await?
                    .map_err(StoreError::from)?;
                let fetched = length.saturating_mul(u64::from(row.layout.shards().rebuild()));
                self.handle.metrics().blobs().repaired(fetched);
                tracing::info!(blob = %id, shard = %own, fetched, "shard rebuilt");
                self.unheard.insert(id, None);
            }
            Err(ReadError::Inconsistent) => {
                self.inconsistent.insert(id, None);
                self.postponed.insert(id, Instant::now() + RETRY_AFTER);
            }
            Err(error) => {
                tracing::debug!(blob = %id, %error, "a shard can not be rebuilt now");
                self.postponed.insert(id, Instant::now() + RETRY_AFTER);
            }
        }
        Ok(())
    }

    /// Deletes what has ended a tick ago or more, and what nobody registered in time.
    async fn forget(&mut self) -> Result<(), KeeperError> {
        let mut over = self.blobs.store().overdue();
        for id in self.blobs.blocking(|store| store.blobs()).await? {
            let (row, height) = self.known(&id).await?;
            if row.is_some_and(|row| height >= row.forgotten_from()) {
                over.push(id);
            }
        }
        for id in over {
            tracing::debug!(blob = %id, "shard deleted");
            self.unheard.remove(&id);
            self.blobs.blocking(move |store| store.remove(&id)).await?.map_err(StoreError::from)?;
        }
        Ok(())
    }

    fn has_heard(&self, row: &BlobRow) -> bool {
        self.handle.own().is_none_or(|own| row.held_by.contains(own))
    }

    /// What is known of a blob that is kept now.
    async fn row(&self, id: &BlobId) -> Result<Option<BlobRow>, KeeperError> {
        let (row, height) = self.known(id).await?;
        Ok(row.filter(|row| row.is_live(height)))
    }

    async fn known(&self, id: &BlobId) -> Result<(Option<BlobRow>, Height), KeeperError> {
        let (handle, id) = (self.handle.clone(), *id);
        let look = move |_: &super::ShardStore| {
            let read = handle.read()?;
            let summary = query::summary(read.as_ref())?;
            let height = summary.map_or(Height::ZERO, |summary| summary.tip.height);
            Ok::<_, TableFault>((query::blob(read.as_ref(), &id)?, height))
        };
        Ok(self.blobs.blocking(look).await??)
    }
}
