//! Reading a blob from keepers who may be silent or lie.
//!
//! A window at a time, k shards are asked for: those that hold the blob itself first, since they need
//! no decoding. A slice proves itself, so a keeper that sends a wrong one is named and left out, and
//! the next shard is asked for. A keeper that is slow is not waited for alone: after a while another
//! shard is asked for as well, and whichever k come first are taken.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use blobs::PartialSegment;
use blobs::ProvenBytes;
use blobs::Segment;
use blobs::SegmentCoder;
use blobs::SliceRange;
use blobs::SliceReader;
use blobs::StrictCheck;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use types::Author;
use types::BlobId;
use types::BlobMeta;
use types::ShardIndex;

use super::BlobError;
use super::Fault;
use super::KeeperFault;
use super::Keepers;
use super::source::run;
use super::window::WINDOW_SEGMENTS;
use super::window::shard_range;
use super::window::windows;
use crate::Client;
use crate::ClientError;

/// After how long another shard is asked for as well.
const HEDGE_AFTER: Duration = Duration::from_millis(1_500);

/// What a read has come to, beside the bytes.
#[derive(Debug)]
pub struct ReadReport {
    /// What the blob is, proven by its name.
    pub meta: BlobMeta,
    /// Who lied or was silent.
    pub faults: Vec<KeeperFault>,
    /// How many slices were asked for more than needed.
    pub hedged: u64,
    /// How many bytes came in, hashes included.
    pub received_bytes: u64,
}

/// Reads one blob.
#[derive(Debug)]
pub struct BlobReader {
    keepers: Keepers,
    blob: BlobId,
    meta: BlobMeta,
    threads: NonZeroUsize,
    /// The shards that may be asked for, the preferred ones first.
    order: Vec<ShardIndex>,
    faults: BTreeMap<Author, Fault>,
    hedged: u64,
    received_bytes: u64,
}

impl BlobReader {
    /// Asks what the blob is, of `entry` first and then of every keeper.
    ///
    /// # Errors
    /// When the blob was found to be invalid, or nobody knows it.
    pub async fn open(
        entry: &Client,
        keepers: Keepers,
        blob: BlobId,
        threads: NonZeroUsize,
    ) -> Result<Self, BlobError> {
        let asked: Vec<Client> = keepers.reachable().cloned().collect();
        for client in std::iter::once(entry).chain(&asked) {
            match client.blob_meta(&blob).await {
                Ok(meta) => return Ok(Self::new(keepers, meta, threads)),
                Err(error @ ClientError::Refused { status: 410, .. }) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Err(BlobError::NoMeta { blob })
    }

    /// Reads the blob with this meta.
    pub fn new(keepers: Keepers, meta: BlobMeta, threads: NonZeroUsize) -> Self {
        let (blob, order) = (meta.id(), meta.layout.shards().shards().collect());
        let (faults, hedged, received_bytes) = (BTreeMap::new(), 0, 0);
        Self { keepers, blob, meta, threads, order, faults, hedged, received_bytes }
    }

    /// What the blob is.
    pub const fn meta(&self) -> &BlobMeta {
        &self.meta
    }

    /// Reads the whole blob into `sink`, window by window. The bytes are valid when this returns `Ok`,
    /// and not before: whoever keeps them writes them aside first.
    ///
    /// # Errors
    /// When the writer lied, too few keepers answer rightly, or `sink` fails.
    pub async fn read_all(
        mut self,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<ReadReport, BlobError> {
        let layout = self.meta.layout;
        let mut decoder = Decoder::new(&self.meta, self.threads);
        let mut fetched = self.fetch(shard_range(&layout, 0)).await?;
        for window in 0..windows(&layout) {
            let decode = tokio::task::spawn_blocking(move || {
                let segments = decoder.window(window, &fetched);
                (decoder, segments)
            });
            let is_last = window + 1 == windows(&layout);
            let next = async {
                match is_last {
                    true => Ok(Vec::new()),
                    false => self.fetch(shard_range(&layout, window + 1)).await,
                }
            };
            let (decoded, next) = tokio::join!(decode, next);
            let (after, segments) = decoded.map_err(|_| BlobError::Worker)?;
            decoder = after;
            for segment in segments? {
                sink(segment.source())?;
            }
            fetched = next?;
        }
        decoder.check.finish()??;
        let meta = self.meta;
        let (hedged, received_bytes) = (self.hedged, self.received_bytes);
        Ok(ReadReport { meta, faults: self.into_faults(), hedged, received_bytes })
    }

    /// Fetches some bytes of k shards, each proven.
    pub(super) async fn fetch(
        &mut self,
        (from, to): (u64, u64),
    ) -> Result<Vec<ProvenBytes>, BlobError> {
        let layout = self.meta.layout;
        let needed = usize::from(layout.shards().rebuild());
        let range = SliceRange::new(from, to, layout.shard_length())?;
        let keepers = self.keepers.clone();
        let (blob, hedged) = (self.blob, self.hedged);
        let mut candidates = self.order.clone().into_iter();
        let mut asked: FuturesUnordered<_> = FuturesUnordered::new();
        let ask = |shard: ShardIndex| {
            let (validator, client) = keepers.of(&blob, shard);
            let client = client.cloned();
            async move { (shard, validator, slice(client, &blob, shard, range).await) }
        };
        let mut proven = Vec::new();
        asked.extend(candidates.by_ref().take(needed).map(ask));
        while proven.len() < needed {
            let answer = tokio::time::timeout(HEDGE_AFTER, asked.next()).await;
            let another = match answer {
                Ok(Some((_, _, Ok((bytes, received))))) => {
                    self.received_bytes += received;
                    proven.push(bytes);
                    None
                }
                Ok(Some((shard, validator, Err(fault)))) => {
                    self.order.retain(|other| *other != shard);
                    self.faults.insert(validator, fault);
                    candidates.next()
                }
                Ok(None) => break,
                // Nobody answered for a while.
                Err(_) => {
                    let another = candidates.next();
                    self.hedged += u64::from(another.is_some());
                    another
                }
            };
            asked.extend(another.map(ask));
        }
        if proven.len() < needed {
            let given = u16::try_from(proven.len()).unwrap_or(u16::MAX);
            let faults = std::mem::take(&mut self.faults).into_iter();
            let faults = faults.map(|(validator, fault)| KeeperFault { validator, fault });
            let needed = layout.shards().rebuild();
            return Err(BlobError::TooFewShards { needed, given, faults: faults.collect() });
        }
        if self.hedged > hedged {
            // The shards that came are asked for first from now on.
            let came = |shard: &ShardIndex| proven.iter().any(|bytes| bytes.shard() == *shard);
            self.order.sort_by_key(|shard| !came(shard));
        }
        Ok(proven)
    }

    /// Fetches bytes of one shard, or nothing when its keeper does not give them.
    pub(super) async fn fetch_one(
        &mut self,
        shard: ShardIndex,
        (from, to): (u64, u64),
    ) -> Result<Option<ProvenBytes>, BlobError> {
        if !self.order.contains(&shard) {
            return Ok(None);
        }
        let range = SliceRange::new(from, to, self.meta.layout.shard_length())?;
        let (validator, client) = self.keepers.of(&self.blob, shard);
        match slice(client.cloned(), &self.blob, shard, range).await {
            Ok((bytes, received)) => {
                self.received_bytes += received;
                Ok(Some(bytes))
            }
            Err(fault) => {
                self.order.retain(|other| *other != shard);
                self.faults.insert(validator, fault);
                Ok(None)
            }
        }
    }

    /// Who lied or was silent, ascending.
    pub fn into_faults(self) -> Vec<KeeperFault> {
        let faults = self.faults.into_iter();
        faults.map(|(validator, fault)| KeeperFault { validator, fault }).collect()
    }
}

/// One slice from one keeper, proven, and how many bytes it took.
async fn slice(
    client: Option<Client>,
    blob: &BlobId,
    shard: ShardIndex,
    range: SliceRange,
) -> Result<(ProvenBytes, u64), Fault> {
    let client = client.ok_or(Fault::NoAddress)?;
    let slice = client.shard_slice(blob, shard, range).await?;
    let received = u64::try_from(slice.bytes.len()).unwrap_or(u64::MAX);
    let work = {
        let blob = *blob;
        move || {
            let proof = slice.proof.ok_or(Fault::NoProof)?.verify(&blob)?;
            let other = blobs::InvalidProof::WrongPath { shard: proof.shard() };
            if proof.shard() != shard {
                return Err(Fault::WrongProof(other));
            }
            let reader = SliceReader::new(&proof, range).ok_or(Fault::NoProof)?;
            Ok(reader.read_all(&slice.bytes)?)
        }
    };
    let proven = tokio::task::spawn_blocking(work).await;
    Ok((proven.unwrap_or(Err(Fault::NoProof))?, received))
}

/// Decodes windows and follows them with the strict check.
struct Decoder {
    meta: BlobMeta,
    threads: NonZeroUsize,
    coders: Vec<SegmentCoder>,
    check: StrictCheck,
}

impl Decoder {
    fn new(meta: &BlobMeta, threads: NonZeroUsize) -> Self {
        let coder = |_| SegmentCoder::new(meta.layout.shards());
        let coders = (0..threads.get()).map(coder).collect();
        Self { meta: *meta, threads, coders, check: StrictCheck::new(meta) }
    }

    fn window(&mut self, window: u64, from: &[ProvenBytes]) -> Result<Vec<Segment>, BlobError> {
        let first = window * WINDOW_SEGMENTS;
        let end = (first + WINDOW_SEGMENTS).min(self.meta.layout.segments());
        let meta = self.meta;
        let wanted: Vec<u64> = (first..end).collect();
        let share = wanted.len().div_ceil(self.coders.len()).max(1);
        let mut segments = Vec::new();
        std::thread::scope(|scope| {
            let shares = wanted.chunks(share).zip(&mut self.coders);
            let workers: Vec<_> = shares
                .map(|(share, coder)| scope.spawn(move || complete(&meta, share, from, coder)))
                .collect();
            for worker in workers {
                segments.append(&mut worker.join().map_err(|_| BlobError::Worker)??);
            }
            Ok::<(), BlobError>(())
        })?;
        run(self.threads, self.check.work(&segments)?);
        Ok(segments)
    }
}

/// Completes segments from proven bytes of k shards.
pub(super) fn complete(
    meta: &BlobMeta,
    segments: &[u64],
    from: &[ProvenBytes],
    coder: &mut SegmentCoder,
) -> Result<Vec<Segment>, BlobError> {
    let mut complete = |segment: &u64| {
        let mut partial = PartialSegment::new(&meta.layout, *segment, Vec::new())?;
        for bytes in from {
            partial.accept(bytes)?;
        }
        Ok(coder.complete(partial)?)
    };
    segments.iter().map(&mut complete).collect()
}
