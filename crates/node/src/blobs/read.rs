//! A whole blob from the shards of those who answer, checked strictly before a byte counts.
//!
//! Slices come a batch of segments at a time, the shards that hold the bytes themselves first. Who is
//! silent or lies is replaced by the next shard, up to the last one. What has been put together lies
//! in a file and is given away only when it encodes to exactly what the blob's name promises.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;

use blobs::Committed;
use blobs::PartialSegment;
use blobs::ProvenBytes;
use blobs::SegmentCoder;
use blobs::StrictCheck;
use futures_util::future::join_all;
use types::Author;
use types::BlobMeta;
use types::ShardIndex;
use types::blob::BlobId;
use types::blob::BlobLayout;

use super::Blobs;
use super::StoreError;
use super::fetch::Fault;
use super::fetch::Fetched;
use super::fetch::Wanted;
use super::store::Scratch;

/// How many segments are fetched at a time.
const BATCH_SEGMENTS: u64 = 8;
/// How many blobs are kept ready to be read again.
const READY_MAX: usize = 16;

/// Why a blob can not be read now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Too few shards could be had.
    #[error("{needed} shards are needed and {found} could be had: {}", told(.silent, .absent, .lying))]
    TooFew {
        /// How many rebuild the blob.
        needed: u16,
        /// How many could be had.
        found: u16,
        /// Who did not answer.
        silent: Vec<Author>,
        /// Who does not have his shard.
        absent: Vec<Author>,
        /// Who sent what is not the blob's.
        lying: Vec<Author>,
    },
    /// The shards are no encoding of anything.
    #[error("the blob's encoding is inconsistent")]
    Inconsistent,
    /// There is no room for it here, or the file system refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a reading is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The bytes of the blob.
    Bytes,
    /// One shard of it, as fast as repairs may go.
    Shard(ShardIndex),
}

/// A reading that is complete: what was asked for lies in a file.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) scratch: Scratch,
    pub(super) committed: Committed,
}

/// Which shards are read, and who failed.
#[derive(Debug)]
struct Sources {
    active: Vec<ShardIndex>,
    waiting: VecDeque<ShardIndex>,
    silent: BTreeSet<Author>,
    absent: BTreeSet<Author>,
    lying: BTreeSet<Author>,
}

/// What is put together.
struct Assembly {
    coder: SegmentCoder,
    check: StrictCheck,
    layout: BlobLayout,
    purpose: Purpose,
    file: File,
}

impl Blobs {
    /// The file with the bytes of a blob, read now or before. Cancel safe: what was begun is thrown
    /// away with the next start.
    ///
    /// # Errors
    /// When it can not be read, or has no valid bytes.
    pub(crate) async fn read(&self, id: &BlobId, layout: BlobLayout) -> Result<File, ReadError> {
        let lock = self.reading(id).await;
        let _one = lock.lock().await;
        let ready = self.store().folder("read").join(id.to_string());
        let path = ready.clone();
        if let Ok(file) = self.blocking(move |_| File::open(path)).await? {
            return Ok(file);
        }
        let length = layout.length();
        self.blocking(move |store| store.check_disk(length)).await??;
        let reading = self.assemble(id, layout, Purpose::Bytes).await?;
        let file =
            self.blocking(move |store| keep_ready(store, reading.scratch.path(), &ready)).await?;
        Ok(file.map_err(StoreError::from)?)
    }

    /// Reads a blob into a file of its own: its bytes, or one shard.
    pub(super) async fn assemble(
        &self,
        id: &BlobId,
        layout: BlobLayout,
        purpose: Purpose,
    ) -> Result<Reading, ReadError> {
        let scratch = self.store().scratch();
        let create = scratch.path().to_owned();
        let file = self.blocking(move |_| File::create(create)).await?;
        let mut file = Some(file.map_err(StoreError::from)?);
        let mut sources = Sources::new(self, id);
        let mut assembly: Option<Assembly> = None;
        let mut from = 0;
        while from < layout.segments() {
            let to = layout.segments().min(from + BATCH_SEGMENTS);
            let fetched = self.batch(id, layout, (from, to), purpose, &mut sources).await?;
            let mut now = match assembly.take() {
                Some(assembly) => assembly,
                None => {
                    let meta = fetched.first().map(|one| *one.shard.meta());
                    let (Some(meta), Some(file)) = (meta, file.take()) else {
                        return Err(sources.too_few(&layout));
                    };
                    Assembly::new(&meta, purpose, file)
                }
            };
            let bytes: Vec<ProvenBytes> = fetched.into_iter().map(|one| one.bytes).collect();
            now = self.blocking(move |_| now.add((from, to), &bytes)).await??;
            assembly = Some(now);
            from = to;
        }
        let Some(assembly) = assembly else { return Err(sources.too_few(&layout)) };
        let committed = self.blocking(move |_| assembly.finish()).await??;
        Ok(Reading { scratch, committed })
    }

    /// k proven slices of some segments.
    async fn batch(
        &self,
        id: &BlobId,
        layout: BlobLayout,
        (first, behind): (u64, u64),
        purpose: Purpose,
        sources: &mut Sources,
    ) -> Result<Vec<Fetched>, ReadError> {
        let needed = usize::from(layout.shards().rebuild());
        let from = first * layout.whole_chunk_length();
        let to = layout.shard_length().min(behind * layout.whole_chunk_length());
        let mut fetched: Vec<Fetched> = Vec::new();
        let mut asked: BTreeSet<ShardIndex> = BTreeSet::new();
        loop {
            if !sources.fill(needed) {
                return Err(sources.too_few(&layout));
            }
            let open: Vec<ShardIndex> =
                sources.active.iter().filter(|shard| asked.insert(**shard)).copied().collect();
            if let Purpose::Shard(_) = purpose {
                let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
                self.0.bucket.take((to - from).saturating_mul(count)).await;
            }
            let wanted = |shard| Wanted { id: *id, layout, shard, from, to };
            let answers = join_all(open.iter().map(|shard| self.slice(wanted(*shard)))).await;
            for (shard, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(slice) => fetched.push(slice),
                    Err(fault) => {
                        let keeper = self.shards().keeper(id, shard);
                        sources.failed(shard, keeper, fault);
                        if fault == Fault::Lying {
                            self.0.metrics.blobs().lied(keeper);
                            tracing::warn!(%keeper, blob = %id, %shard, "a shard does not prove itself");
                        }
                    }
                }
            }
            if fetched.len() >= needed {
                return Ok(fetched);
            }
        }
    }
}

impl Sources {
    /// All shards: the own one first, which costs nothing, then those with the bytes themselves.
    fn new(blobs: &Blobs, id: &BlobId) -> Self {
        let own = blobs.store().held(id).map(|shard| shard.shard());
        let others = blobs.shards().shards().filter(|shard| Some(*shard) != own);
        Self {
            active: Vec::new(),
            waiting: own.into_iter().chain(others).collect(),
            silent: BTreeSet::new(),
            absent: BTreeSet::new(),
            lying: BTreeSet::new(),
        }
    }

    /// Sees to it that so many are active, if there are as many left.
    fn fill(&mut self, needed: usize) -> bool {
        while self.active.len() < needed {
            let Some(next) = self.waiting.pop_front() else { return false };
            self.active.push(next);
        }
        true
    }

    fn failed(&mut self, shard: ShardIndex, keeper: Author, fault: Fault) {
        self.active.retain(|active| *active != shard);
        match fault {
            Fault::Silent => self.silent.insert(keeper),
            Fault::Absent => self.absent.insert(keeper),
            Fault::Lying => self.lying.insert(keeper),
        };
    }

    fn too_few(&self, layout: &BlobLayout) -> ReadError {
        let list = |authors: &BTreeSet<Author>| authors.iter().copied().collect();
        ReadError::TooFew {
            needed: layout.shards().rebuild(),
            found: u16::try_from(self.active.len()).unwrap_or(u16::MAX),
            silent: list(&self.silent),
            absent: list(&self.absent),
            lying: list(&self.lying),
        }
    }
}

impl Assembly {
    fn new(meta: &BlobMeta, purpose: Purpose, file: File) -> Self {
        Self {
            coder: SegmentCoder::new(meta.layout.shards()),
            check: StrictCheck::new(meta),
            layout: meta.layout,
            purpose,
            file,
        }
    }

    /// Completes the segments of a batch, one after the other.
    fn add(
        mut self,
        (first, behind): (u64, u64),
        bytes: &[ProvenBytes],
    ) -> Result<Self, StoreError> {
        let mut buffer = Vec::new();
        for index in first..behind {
            let mut partial =
                PartialSegment::new(&self.layout, index, buffer).map_err(std::io::Error::other)?;
            for one in bytes {
                partial.accept(one).map_err(std::io::Error::other)?;
            }
            let segment = self.coder.complete(partial).map_err(std::io::Error::other)?;
            self.check.push(&segment).map_err(std::io::Error::other)?;
            match self.purpose {
                Purpose::Bytes => self.file.write_all(segment.source())?,
                Purpose::Shard(shard) => {
                    self.file.write_all(segment.chunk(shard).unwrap_or_default())?;
                }
            }
            buffer = segment.into_buffer();
        }
        Ok(self)
    }

    fn finish(self) -> Result<Committed, ReadError> {
        let checked = self.check.finish().map_err(std::io::Error::other);
        checked.map_err(StoreError::from)?.map_err(|_| ReadError::Inconsistent)
    }
}

/// Puts a blob where it is found again, and makes room for it: the one that came first goes.
fn keep_ready(
    store: &super::ShardStore,
    from: &std::path::Path,
    to: &std::path::Path,
) -> std::io::Result<File> {
    let mut ready = Vec::new();
    for entry in std::fs::read_dir(store.folder("read"))? {
        let entry = entry?;
        ready.push((entry.metadata()?.modified()?, entry.path()));
    }
    ready.sort();
    for (_, path) in ready.iter().take((ready.len() + 1).saturating_sub(READY_MAX)) {
        std::fs::remove_file(path)?;
    }
    std::fs::rename(from, to)?;
    File::open(to)
}

fn told(silent: &[Author], absent: &[Author], lying: &[Author]) -> String {
    let list = |what: &str, authors: &[Author]| {
        let names: Vec<String> = authors.iter().map(Author::to_string).collect();
        (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
    };
    let parts = [
        list("no answer from validators", silent),
        list("not at validators", absent),
        list("wrong bytes from validators", lying),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
