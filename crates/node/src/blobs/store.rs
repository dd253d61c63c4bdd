//! Shards on disk: one folder a blob, which appears whole or not at all.
//!
//! ```text
//! DIR/held/ID/    bytes, tree (the inner hashes), proof: verified and durable
//!     coming/ID/  bytes and proof of a shard that is on its way
//!     wanted/ID   an empty file: the blob is certified and its shard is missing here
//!     cursor      the number of the last event that was looked at
//! ```
//! **Invariant:** what stands under `held` was verified, its files and folders were synced before it
//! got there, and the folder that names it after. So whoever finds it may acknowledge it.
//! **Invariant:** bytes of blobs that no registration is known of are bounded by
//! [`EARLY_BYTES_MAX`] and [`EARLY_BLOBS_MAX`], all bytes by the quota.
//!
//! Everything here blocks: call it where blocking is allowed.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use blobs::Piece;
use blobs::ProvenShard;
use blobs::ShardHasher;
use blobs::ShardProof;
use blobs::SlicePlan;
use blobs::SliceRange;
use blobs::outboard_length;
use types::Decode as _;
use types::Encode as _;
use types::blob::BlobId;

/// How many bytes of blobs that are not registered yet may lie here.
pub(crate) const EARLY_BYTES_MAX: u64 = 1 << 30;
/// How many such blobs there may be.
pub(crate) const EARLY_BLOBS_MAX: usize = 256;
/// How long they may wait for their registration.
pub(crate) const EARLY_TIME_MAX: Duration = Duration::from_secs(900);
/// How much is read and hashed at a time.
const READ_BYTES: usize = 1 << 20;
const PROOF_BYTES_MAX: u64 = 4_096;

/// The shards of one node.
#[derive(Debug)]
pub(crate) struct ShardStore {
    dir: PathBuf,
    quota_bytes: u64,
    free_bytes_least: u64,
    /// What lies where. Handlers and the keeper look it up between file operations; nobody holds it
    /// over one, so that a slow disk stops nobody else.
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    held: BTreeMap<BlobId, Entry>,
    coming: BTreeMap<BlobId, Coming>,
}

#[derive(Clone, Debug)]
struct Entry {
    shard: ProvenShard,
    since: Instant,
    is_registered: bool,
}

#[derive(Clone, Debug)]
struct Coming {
    length: u64,
    since: Instant,
    is_registered: bool,
    /// Whether somebody writes it now.
    is_busy: bool,
}

/// Why a shard is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The quota is used up.
    #[error(
        "no room for {wanted} bytes: {used} of {quota} are used; raise blobs.quota_mib or let blobs \
         end"
    )]
    Quota {
        /// What is to be stored.
        wanted: u64,
        /// What is used.
        used: u64,
        /// The quota.
        quota: u64,
    },
    /// The disk is nearly full.
    #[error(
        "the disk has {free} bytes left and {least} are kept for ordering: free some, or give the \
         node another disk"
    )]
    DiskFull {
        /// What is free.
        free: u64,
        /// What has to stay free.
        least: u64,
    },
    /// Too much waits for its registration.
    #[error("too many shards wait for their registration here: register the blob first")]
    Early,
    /// Somebody else sends the same shard.
    #[error("this shard is being uploaded by somebody else")]
    Busy,
    /// The upload does not go on where it stopped.
    #[error("{received} bytes of the shard are here: go on from there")]
    Offset {
        /// What is here.
        received: u64,
    },
    /// More bytes came than the shard has, or other ones.
    #[error("the bytes are not those of the shard that the proof names")]
    Bytes,
    /// The file system refuses.
    #[error("the file system refuses: {0}")]
    Io(#[from] io::Error),
}

/// A file that goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

/// A shard that is being written.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    store: &'a ShardStore,
    shard: ProvenShard,
    file: File,
    received: u64,
}

impl ShardStore {
    /// Opens the folder and finds what is there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn open(dir: &Path, quota_bytes: u64, free_bytes_least: u64) -> io::Result<Self> {
        for name in ["held", "coming", "wanted", "read", "publishing"] {
            fs::create_dir_all(dir.join(name))?;
        }
        // What was written for one request is worth nothing to the next run.
        for name in ["read", "publishing"] {
            fs::remove_dir_all(dir.join(name))?;
            fs::create_dir_all(dir.join(name))?;
        }
        let mut index = Index::default();
        for id in names(&dir.join("held"))? {
            let shard = read_proof(&dir.join("held").join(id.to_string()), &id);
            if let Some(shard) = shard {
                let entry = Entry { shard, since: Instant::now(), is_registered: false };
                index.held.insert(id, entry);
            }
        }
        for id in names(&dir.join("coming"))? {
            let path = dir.join("coming").join(id.to_string());
            let Some(shard) = read_proof(&path, &id) else {
                fs::remove_dir_all(&path)?;
                continue;
            };
            let length = shard.meta().layout.shard_length();
            let (since, is_registered, is_busy) = (Instant::now(), false, false);
            index.coming.insert(id, Coming { length, since, is_registered, is_busy });
        }
        let index = Mutex::new(index);
        Ok(Self { dir: dir.to_owned(), quota_bytes, free_bytes_least, index })
    }

    /// The folder for files of this kind.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file for one piece of work, which nobody else writes to.
    pub(crate) fn scratch(&self) -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Scratch(self.folder("publishing").join(number.to_string()))
    }

    /// The shard that is held of a blob.
    pub(crate) fn held(&self, id: &BlobId) -> Option<ProvenShard> {
        self.index().held.get(id).map(|entry| entry.shard.clone())
    }

    /// Every blob of which something lies here.
    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        let index = self.index();
        let all = index.held.keys().chain(index.coming.keys());
        all.copied().collect()
    }

    /// How many shards are held, and the bytes of all that lies here.
    pub(crate) fn used(&self) -> (usize, u64) {
        let index = self.index();
        (index.held.len(), index.bytes(|_| true))
    }

    /// Takes note that a blob is registered: its shard stays.
    pub(crate) fn registered(&self, id: &BlobId) {
        let mut index = self.index();
        if let Some(entry) = index.held.get_mut(id) {
            entry.is_registered = true;
        }
        if let Some(coming) = index.coming.get_mut(id) {
            coming.is_registered = true;
        }
    }

    /// Blobs that have waited for their registration too long.
    pub(crate) fn overdue(&self) -> Vec<BlobId> {
        let index = self.index();
        let held = index.held.iter();
        let held = held.filter(|(_, entry)| is_overdue(entry.is_registered, entry.since));
        let coming = index.coming.iter();
        let coming = coming.filter(|(_, coming)| is_overdue(coming.is_registered, coming.since));
        held.map(|(id, _)| *id).chain(coming.map(|(id, _)| *id)).collect()
    }

    /// Begins or goes on with a shard at `offset`.
    ///
    /// # Errors
    /// When there is no room, or it does not go on there.
    pub(crate) fn upload(
        &self,
        shard: ProvenShard,
        offset: u64,
        is_registered: bool,
    ) -> Result<Upload<'_>, StoreError> {
        let (id, length) = (*shard.id(), shard.meta().layout.shard_length());
        let needed = length + outboard_length(length);
        self.check_disk(needed)?;
        self.enter(id, needed, is_registered)?;
        let opened = self.open_upload(shard, offset);
        if opened.is_err() {
            self.leave(&id);
        }
        opened
    }

    fn open_upload(&self, shard: ProvenShard, offset: u64) -> Result<Upload<'_>, StoreError> {
        let path = self.folder("coming").join(shard.id().to_string());
        let known = read_proof(&path, shard.id());
        if known.as_ref() != Some(&shard) {
            // Nothing, or another shard: it begins anew.
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir(&path)?;
            write_synced(&path.join("proof"), &shard.proof().to_bytes())?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join("bytes"))?;
        let received = file.metadata()?.len();
        if offset != received {
            return Err(StoreError::Offset { received });
        }
        Ok(Upload { store: self, shard, file, received: offset })
    }

    /// Puts a shard where it is held that lies whole in a file.
    ///
    /// # Errors
    /// As for one that is uploaded.
    pub(crate) fn adopt(&self, shard: ProvenShard, path: &Path) -> Result<(), StoreError> {
        let id = *shard.id();
        self.forget_coming(&id)?;
        let mut upload = self.upload(shard, 0, true)?;
        let mut file = File::open(path)?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return upload.finish();
            }
            upload.write(&buffer[..read])?;
        }
    }

    /// Throws away what has come of a shard, unless somebody writes it now.
    fn forget_coming(&self, id: &BlobId) -> Result<(), StoreError> {
        if self.index().coming.get(id).is_some_and(|coming| coming.is_busy) {
            return Err(StoreError::Busy);
        }
        let path = self.folder("coming").join(id.to_string());
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        Ok(())
    }

    /// A piece of a shard that is held: what a slice plan names.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn slice(&self, id: &BlobId, range: SliceRange) -> io::Result<Vec<u8>> {
        let path = self.folder("held").join(id.to_string());
        let (bytes, tree) = (File::open(path.join("bytes"))?, File::open(path.join("tree"))?);
        let mut slice = Vec::new();
        for piece in SlicePlan::new(range) {
            let (file, offset, length) = match piece {
                Piece::Pair { offset } => (&tree, offset, blobs::PAIR_LENGTH),
                Piece::Bytes { offset, length } => (&bytes, offset, length),
            };
            let start = slice.len();
            slice.resize(start + length, 0);
            file.read_exact_at(&mut slice[start..], offset)?;
        }
        Ok(slice)
    }

    /// The file with the bytes of a shard that is held.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn bytes(&self, id: &BlobId) -> io::Result<File> {
        File::open(self.folder("held").join(id.to_string()).join("bytes"))
    }

    /// Deletes whatever lies here of a blob.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn remove(&self, id: &BlobId) -> io::Result<()> {
        {
            let mut index = self.index();
            index.held.remove(id);
            if index.coming.get(id).is_some_and(|coming| !coming.is_busy) {
                index.coming.remove(id);
            }
        }
        for name in ["held", "coming"] {
            let path = self.folder(name).join(id.to_string());
            if path.exists() {
                fs::remove_dir_all(path)?;
            }
        }
        let read = self.folder("read").join(id.to_string());
        if read.exists() {
            fs::remove_file(read)?;
        }
        self.unwant(id)
    }

    /// The number of the last event that was looked at.
    pub(crate) fn cursor(&self) -> u64 {
        let bytes = fs::read(self.dir.join("cursor")).unwrap_or_default();
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }

    /// Writes the cursor, durably: what it stands behind has been taken note of.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn set_cursor(&self, cursor: u64) -> io::Result<()> {
        let (path, new) = (self.dir.join("cursor"), self.dir.join("cursor.new"));
        write_synced(&new, &cursor.to_le_bytes())?;
        fs::rename(new, path)?;
        sync_dir(&self.dir)
    }

    /// Takes note, durably, that a shard is missing here.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn want(&self, id: &BlobId) -> io::Result<()> {
        let dir = self.folder("wanted");
        File::create(dir.join(id.to_string()))?.sync_all()?;
        sync_dir(&dir)
    }

    /// Takes note that it is missing no longer.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn unwant(&self, id: &BlobId) -> io::Result<()> {
        match fs::remove_file(self.folder("wanted").join(id.to_string())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Which shards are missing here.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn wanted(&self) -> io::Result<Vec<BlobId>> {
        names(&self.folder("wanted"))
    }

    /// Whether there is room for so much more beside what ordering needs.
    ///
    /// # Errors
    /// When there is not.
    pub(crate) fn check_disk(&self, needed: u64) -> Result<(), StoreError> {
        let stat = rustix::fs::statvfs(&self.dir).map_err(io::Error::from)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let least = self.free_bytes_least;
        if free < least.saturating_add(needed) {
            return Err(StoreError::DiskFull { free, least });
        }
        Ok(())
    }

    fn enter(&self, id: BlobId, needed: u64, is_registered: bool) -> Result<(), StoreError> {
        let mut index = self.index();
        let others = |other: &BlobId| *other != id;
        let used = index.bytes(others);
        if used.saturating_add(needed) > self.quota_bytes {
            return Err(StoreError::Quota { wanted: needed, used, quota: self.quota_bytes });
        }
        if !is_registered && !index.has_early_room(&id, needed) {
            return Err(StoreError::Early);
        }
        let since = Instant::now();
        let coming = index.coming.entry(id).or_insert(Coming {
            length: needed,
            since,
            is_registered,
            is_busy: false,
        });
        if std::mem::replace(&mut coming.is_busy, true) {
            return Err(StoreError::Busy);
        }
        coming.is_registered |= is_registered;
        Ok(())
    }

    fn leave(&self, id: &BlobId) {
        if let Some(coming) = self.index().coming.get_mut(id) {
            coming.is_busy = false;
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Nothing panics while it is held.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn bytes(&self, counts: impl Fn(&BlobId) -> bool) -> u64 {
        let held = self.held.iter().filter(|(id, _)| counts(id)).map(|(_, entry)| {
            let length = entry.shard.meta().layout.shard_length();
            length + outboard_length(length)
        });
        let coming = self.coming.iter().filter(|(id, _)| counts(id));
        held.sum::<u64>() + coming.map(|(_, coming)| coming.length).sum::<u64>()
    }

    fn has_early_room(&self, id: &BlobId, needed: u64) -> bool {
        let held = self.held.iter().filter(|(_, entry)| !entry.is_registered);
        let held = held.map(|(id, entry)| (id, entry.shard.meta().layout.shard_length()));
        let coming = self.coming.iter().filter(|(_, coming)| !coming.is_registered);
        let coming = coming.map(|(id, coming)| (id, coming.length));
        let (mut count, mut bytes) = (1, needed);
        for (_, length) in held.chain(coming).filter(|(other, _)| *other != id) {
            count += 1;
            bytes += length;
        }
        count <= EARLY_BLOBS_MAX && bytes <= EARLY_BYTES_MAX
    }
}

impl Upload<'_> {
    /// How many bytes are there.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// When there are more than the shard has, or the file system refuses.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let length_max = self.shard.meta().layout.shard_length();
        if self.received.saturating_add(length) > length_max {
            return Err(StoreError::Bytes);
        }
        self.file.write_all_at(bytes, self.received)?;
        self.received += length;
        Ok(())
    }

    /// Verifies the whole shard and puts it where it is held, durably.
    ///
    /// # Errors
    /// When bytes are missing or wrong; wrong ones are thrown away.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        let (received, length) = (self.received, self.shard.meta().layout.shard_length());
        if received < length {
            return Err(StoreError::Offset { received });
        }
        let from = self.store.folder("coming").join(self.shard.id().to_string());
        let (leaf, tree) = hash(&from.join("bytes"))?;
        if leaf != *self.shard.leaf() {
            self.file.set_len(0)?;
            return Err(StoreError::Bytes);
        }
        self.file.sync_all()?;
        write_synced(&from.join("tree"), &tree)?;
        sync_dir(&from)?;
        let held = self.store.folder("held");
        let to = held.join(self.shard.id().to_string());
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::rename(&from, &to)?;
        sync_dir(&held)?;
        let mut index = self.store.index();
        let coming = index.coming.remove(self.shard.id());
        let is_registered = coming.is_some_and(|coming| coming.is_registered);
        let entry = Entry { shard: self.shard.clone(), since: Instant::now(), is_registered };
        index.held.insert(*self.shard.id(), entry);
        Ok(())
    }
}

impl Scratch {
    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made, or stand under another name by now.
        fs::remove_file(&self.0).ok();
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.store.leave(self.shard.id());
    }
}

fn is_overdue(is_registered: bool, since: Instant) -> bool {
    !is_registered && since.elapsed() > EARLY_TIME_MAX
}

/// The hash of a file, and the inner hashes.
fn hash(path: &Path) -> io::Result<([u8; 32], Vec<u8>)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut hasher, mut tree) = (ShardHasher::default(), Vec::new());
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        tree.append(&mut hasher.take_outboard());
    }
    let mut end = hasher.finish();
    tree.append(&mut end.outboard);
    Ok((end.leaf, tree))
}

fn read_proof(path: &Path, id: &BlobId) -> Option<ProvenShard> {
    let mut bytes = Vec::new();
    File::open(path.join("proof")).ok()?.take(PROOF_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    ShardProof::from_bytes(&bytes).ok()?.verify(id).ok()
}

/// The blobs that files and folders are named after.
fn names(dir: &Path) -> io::Result<Vec<BlobId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<BlobId>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
