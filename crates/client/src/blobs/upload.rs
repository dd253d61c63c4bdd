//! Sending every shard to its keeper.
//!
//! A pass encodes the file window by window and keeps the last few windows. Every keeper is sent its
//! piece of each by a task of its own, at its own pace. The pass goes on as soon as so many keepers
//! have a window as certify a blob; a keeper that is still behind when its window is let go has lost
//! this pass and is served by the next one. So slow keepers hold nobody up, no clock decides who is
//! slow, and memory is bounded.
//!
//! A keeper says how far it is, so an upload that broke off goes on there, in this process or in the
//! next one.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use blobs::Committed;
use blobs::ShardProof;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use types::Author;
use types::BlobId;
use types::BlobLayout;
use types::ShardIndex;
use types::blob::SEGMENT_LENGTH;

use super::BlobError;
use super::BlobSource;
use super::Fault;
use super::KeeperFault;
use super::Keepers;
use super::window::WINDOW_SEGMENTS;
use super::window::Window;
use super::window::shard_range;
use super::window::window_of;
use super::window::windows;
use crate::Client;
use crate::ClientError;
use crate::api::blobs::BlobState;
use crate::api::blobs::BlobStatus;
use crate::api::blobs::ShardUpload;
use crate::backoff::Backoff;

/// How many windows a pass keeps.
const WINDOWS_KEPT: u64 = 2;
/// How often a call is tried that fails in passing.
const TRIES_MAX: u32 = 4;
/// How often a keeper may say that it is further back than it was.
const STEPS_BACK_MAX: u32 = 16;

/// What an upload has come to.
#[derive(Debug)]
pub struct UploadReport {
    /// The validators that hold their shards.
    pub held: Vec<Author>,
    /// The validators that do not, and why.
    pub faults: Vec<KeeperFault>,
    /// How many bytes of shards were sent.
    pub sent_bytes: u64,
}

/// How far an upload is, for whoever shows it.
#[derive(Clone, Copy, Debug)]
pub struct Uploaded {
    /// How many bytes of the blob so many keepers have as certify it.
    pub bytes: u64,
    /// How many keepers hold their whole shard.
    pub held: u16,
}

/// One keeper and its shard.
#[derive(Clone, Debug)]
struct Lane {
    validator: Author,
    client: Client,
    shard: ShardIndex,
    proof: ShardProof,
    blob: BlobId,
    layout: BlobLayout,
    /// How far the keeper said it is, and how often that was less than before.
    received: u64,
    steps_back: u32,
}

/// How a keeper's part of a pass has ended.
enum Ended {
    Held,
    /// Its next window was let go.
    Behind,
    Failed(Fault),
}

/// The windows of a pass that are kept.
#[derive(Default)]
struct Kept {
    windows: VecDeque<Arc<Window>>,
    /// No window before this one will be there again.
    first: u64,
    is_over: bool,
}

/// What one lane tells the pass.
struct Told {
    place: usize,
    /// It has all windows below this.
    next: u64,
}

/// Sends every shard to its keeper and returns when each has its own or has failed. The first pass is
/// over when enough have theirs to certify the blob; `progress` hears of it.
///
/// # Errors
/// When fewer keepers take their shards than certify a blob, or the file can not be read.
pub async fn upload(
    source: &BlobSource,
    committed: &Committed,
    keepers: &Keepers,
    progress: impl Fn(Uploaded),
) -> Result<UploadReport, BlobError> {
    let count = source.layout().shards();
    let (blob, layout) = (committed.meta().id(), committed.meta().layout);
    let (mut lanes, mut faults, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for shard in count.shards() {
        let (validator, client) = keepers.of(&blob, shard);
        match (client.cloned(), committed.proof(shard)) {
            (Some(client), Some(proof)) => {
                let (received, steps_back) = (0, 0);
                lanes.push(Lane {
                    validator,
                    client,
                    shard,
                    proof,
                    blob,
                    layout,
                    received,
                    steps_back,
                });
            }
            _ => faults.push(KeeperFault { validator, fault: Fault::NoAddress }),
        }
    }
    let mut sent_bytes = 0;
    while !lanes.is_empty() {
        let already = u16::try_from(held.len()).unwrap_or(u16::MAX);
        let pass = Pass { source, lanes, already, progress: &progress };
        let (ended, sent) = pass.run().await?;
        sent_bytes += sent;
        lanes = Vec::new();
        for (lane, ended) in ended {
            let validator = lane.validator;
            match ended {
                Ended::Held => held.push(validator),
                Ended::Behind => lanes.push(lane),
                Ended::Failed(fault) => faults.push(KeeperFault { validator, fault }),
            }
        }
        let given = u16::try_from(held.len()).unwrap_or(u16::MAX);
        progress(Uploaded { bytes: layout.length(), held: given });
    }
    let (given, needed) = (u16::try_from(held.len()).unwrap_or(u16::MAX), count.certify());
    if given < needed {
        return Err(BlobError::TooFewKeepers { needed, given, faults });
    }
    held.sort_unstable();
    Ok(UploadReport { held, faults, sent_bytes })
}

/// Waits until the blob is certified, asking one node.
///
/// # Errors
/// When it is not certified in time, has ended, or the node does not answer any more.
pub async fn wait_certified(
    node: &Client,
    blob: &BlobId,
    wait: Duration,
) -> Result<BlobStatus, BlobError> {
    let end = Instant::now() + wait;
    let mut backoff = Backoff::default();
    loop {
        let answer = node.blob_status(blob).await;
        let acknowledged = match &answer {
            Ok(status) if status.state == BlobState::Certified => return Ok(answer?),
            Ok(status) if matches!(status.state, BlobState::Unknown | BlobState::Registered) => {
                status.acknowledged
            }
            Ok(status) => return Err(BlobError::Ended { state: status.state }),
            Err(error) if error.is_passing() => 0,
            Err(_) => return Ok(answer?),
        };
        let pause = backoff.next_pause().min(Duration::from_secs(1));
        if Instant::now() + pause >= end {
            answer?;
            return Err(BlobError::NotCertified { waited_s: wait.as_secs(), acknowledged });
        }
        tokio::time::sleep(pause).await;
    }
}

struct Pass<'a, P> {
    source: &'a BlobSource,
    lanes: Vec<Lane>,
    already: u16,
    progress: &'a P,
}

/// What a pass has heard of its lanes.
struct Heard {
    told: mpsc::Receiver<Told>,
    tasks: JoinSet<(usize, Lane, Ended, u64)>,
    /// How far each lane is that has not ended; none before it said so.
    next: BTreeMap<usize, Option<u64>>,
    ended: BTreeMap<usize, (Lane, Ended)>,
    sent_bytes: u64,
    /// How many keepers have to have a window before it may go, those of earlier passes left out.
    needed: usize,
}

impl<P: Fn(Uploaded)> Pass<'_, P> {
    /// One pass over the file, from the first window that a keeper lacks.
    async fn run(self) -> Result<(Vec<(Lane, Ended)>, u64), BlobError> {
        let layout = *self.source.layout();
        let kept = watch::Sender::new(Kept::default());
        let mut heard = self.start(&kept);
        heard.until(Heard::has_begun).await?;
        let first = heard.first().unwrap_or_else(|| windows(&layout));
        kept.send_modify(|kept| kept.first = first);
        for number in first..windows(&layout) {
            let source = self.source.clone();
            let window = tokio::task::spawn_blocking(move || source.window(number)).await;
            let window = Arc::new(window.map_err(|_| BlobError::Worker)??);
            kept.send_modify(|kept| kept.windows.push_back(window));
            let Some(oldest) = (number + 1 - first).checked_sub(WINDOWS_KEPT) else { continue };
            let oldest = first + oldest;
            heard.until(|heard| heard.may_go(oldest)).await?;
            if heard.next.is_empty() {
                break;
            }
            kept.send_modify(|kept| {
                kept.windows.pop_front();
                kept.first = oldest + 1;
            });
            let bytes = ((oldest + 1) * WINDOW_SEGMENTS * SEGMENT_LENGTH).min(layout.length());
            (self.progress)(Uploaded { bytes, held: self.already });
        }
        kept.send_modify(|kept| kept.is_over = true);
        heard.until(|heard| heard.next.is_empty()).await?;
        Ok((heard.ended.into_values().collect(), heard.sent_bytes))
    }

    fn start(&self, kept: &watch::Sender<Kept>) -> Heard {
        let (tell, told) = mpsc::channel(self.lanes.len().max(1));
        let mut tasks = JoinSet::new();
        for (place, lane) in self.lanes.iter().enumerate() {
            let (mut lane, kept, tell) = (lane.clone(), kept.subscribe(), tell.clone());
            tasks.spawn(async move {
                let mut sent = 0;
                let ended = lane.run(place, kept, tell, &mut sent).await;
                (place, lane, ended, sent)
            });
        }
        let next = (0..self.lanes.len()).map(|place| (place, None)).collect();
        let certify = self.source.layout().shards().certify();
        let needed = usize::from(certify.saturating_sub(self.already));
        Heard { told, tasks, next, ended: BTreeMap::new(), sent_bytes: 0, needed }
    }
}

impl Heard {
    /// Listens until something is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<(), BlobError> {
        while !is_so(self) {
            tokio::select! {
                Some(Told { place, next }) = self.told.recv() => {
                    if let Some(known) = self.next.get_mut(&place) {
                        *known = Some(next);
                    }
                }
                Some(ended) = self.tasks.join_next() => {
                    let (place, lane, ended, bytes) = ended.map_err(|_| BlobError::Worker)?;
                    self.next.remove(&place);
                    self.ended.insert(place, (lane, ended));
                    self.sent_bytes += bytes;
                }
                else => return Err(BlobError::Worker),
            }
        }
        Ok(())
    }

    /// How many keepers have ended the pass with their whole shards.
    fn held(&self) -> usize {
        self.ended.values().filter(|(_, ended)| matches!(ended, Ended::Held)).count()
    }

    /// Whether enough keepers have said how far they are, or all have who will.
    fn has_begun(&self) -> bool {
        let said = self.next.values().flatten().count();
        said == self.next.len() || (said > 0 && said + self.held() >= self.needed)
    }

    /// The first window that somebody lacks.
    fn first(&self) -> Option<u64> {
        self.next.values().flatten().min().copied()
    }

    /// Whether a window may go: enough keepers have it, or nobody is left who lacks it.
    fn may_go(&self, window: u64) -> bool {
        let have = self.next.values().flatten().filter(|next| **next > window).count();
        have == self.next.len() || (have > 0 && have + self.held() >= self.needed)
    }
}

impl Lane {
    /// Sends a keeper what it lacks, window by window.
    async fn run(
        &mut self,
        place: usize,
        mut kept: watch::Receiver<Kept>,
        tell: mpsc::Sender<Told>,
        sent: &mut u64,
    ) -> Ended {
        let mut upload = match self.put(0, Bytes::new()).await {
            Ok(upload) => upload,
            Err(error) => return Ended::Failed(error.into()),
        };
        loop {
            if upload.held {
                return Ended::Held;
            }
            self.steps_back += u32::from(upload.received < self.received);
            self.received = upload.received;
            let number = window_of(&self.layout, upload.received);
            // A keeper that has all the bytes must say that it holds its shard.
            if number >= windows(&self.layout) || self.steps_back > STEPS_BACK_MAX {
                return Ended::Failed(Fault::WentBack { received: upload.received });
            }
            tell.send(Told { place, next: number }).await.ok();
            let state = kept.wait_for(|kept| {
                let is_there = kept.windows.iter().any(|window| window.number == number);
                is_there || kept.is_over || kept.first > number
            });
            let window = match state.await {
                Ok(kept) => kept.windows.iter().find(|window| window.number == number).cloned(),
                Err(_) => None,
            };
            let Some(window) = window else { return Ended::Behind };
            let (from, _) = shard_range(&self.layout, number);
            let piece = &window.pieces[self.shard.index()];
            let skip = usize::try_from(upload.received - from).unwrap_or(usize::MAX);
            let rest = piece.slice(skip.min(piece.len())..);
            *sent += u64::try_from(rest.len()).unwrap_or(0);
            upload = match self.put(upload.received, rest).await {
                Ok(upload) => upload,
                Err(error) => return Ended::Failed(error.into()),
            };
            self.steps_back += u32::from(upload.received == self.received && !upload.held);
        }
    }

    /// One piece, tried again when it fails in passing. A piece that came twice is taken once.
    async fn put(&self, offset: u64, piece: Bytes) -> Result<ShardUpload, ClientError> {
        let mut backoff = Backoff::default();
        for _ in 1..TRIES_MAX {
            match self.client.put_shard(&self.blob, &self.proof, offset, piece.clone()).await {
                Err(error) if error.is_passing() => {
                    tokio::time::sleep(backoff.next_pause()).await;
                }
                answer => return answer,
            }
        }
        self.client.put_shard(&self.blob, &self.proof, offset, piece).await
    }
}
