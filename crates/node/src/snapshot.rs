//! Takes a snapshot into the data folder of a node that has no store yet.
//!
//! **Invariant:** the store appears under its name only when everything in it was held against the
//! checkpoint and synced; an import that fails or is killed leaves nothing that a node would start
//! from.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use replica::snapshot::FRAME_HEAD_BYTES;
use replica::snapshot::FrameHead;
use replica::snapshot::SNAPSHOT_MAGIC;
use replica::snapshot::SnapshotFault;
use replica::snapshot::SnapshotImport;
use store::DiskStore;
use store::Durability;
use store::Store as _;
use store::StoreError;
use types::Checkpoint;
use types::Genesis;
use types::table::TableFault;

use crate::failpoints::Point;
use crate::runtime::STORE_DIR;

/// Where a store is filled before it gets its name.
const FILLING_DIR: &str = "store.import";

/// Why a snapshot was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is a store already.
    #[error("{} is there already; a snapshot starts a new node only", path.display())]
    NotEmpty {
        /// Its folder.
        path: PathBuf,
    },
    /// A folder can not be used.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot can not be read.
    #[error("the snapshot can not be read: {0}")]
    Read(io::Error),
    /// It is no snapshot.
    #[error("this is no snapshot that this program knows")]
    NoSnapshot,
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] SnapshotFault),
    /// The store can not be made.
    #[error("the store can not be made: {0}")]
    Store(#[from] StoreError),
    /// The store failed.
    #[error(transparent)]
    Write(#[from] TableFault),
}

/// Reads a snapshot to its end, holds it against the genesis, and leaves a store in `data_dir` that
/// a node starts from. `told` learns how many bytes were read, now and then.
///
/// # Errors
/// When there is a store already, or the snapshot is refused: then nothing is left.
pub fn import(
    data_dir: &Path,
    genesis: &Genesis,
    source: &mut dyn Read,
    told: &mut dyn FnMut(u64),
) -> Result<Checkpoint, ImportError> {
    let path = data_dir.join(STORE_DIR);
    if path.exists() {
        return Err(ImportError::NotEmpty { path });
    }
    let filling = data_dir.join(FILLING_DIR);
    let folder = |path: &Path, source| ImportError::Folder { path: path.to_owned(), source };
    if filling.exists() {
        fs::remove_dir_all(&filling).map_err(|error| folder(&filling, error))?;
    }
    fs::create_dir_all(&filling).map_err(|error| folder(&filling, error))?;
    let result = fill(&filling, genesis, source, told).and_then(|checkpoint| {
        Point::SnapshotFilled.reach();
        fs::rename(&filling, &path).map_err(|error| folder(&path, error))?;
        Point::SnapshotNamed.reach();
        let synced = File::open(data_dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| folder(data_dir, error))?;
        Ok(checkpoint)
    });
    if result.is_err() {
        // What is left is never started from, and the next import removes it.
        let _ = fs::remove_dir_all(&filling);
    }
    result
}

fn fill(
    path: &Path,
    genesis: &Genesis,
    source: &mut dyn Read,
    told: &mut dyn FnMut(u64),
) -> Result<Checkpoint, ImportError> {
    let mut magic = [0; SNAPSHOT_MAGIC.len()];
    source.read_exact(&mut magic).map_err(cut_off)?;
    if magic != *SNAPSHOT_MAGIC {
        return Err(ImportError::NoSnapshot);
    }
    let store = DiskStore::open(path, &replica::all_tables())?;
    let mut import = SnapshotImport::new(genesis)?;
    let mut read = 0_u64;
    for frame in 1.. {
        let mut head = [0; FRAME_HEAD_BYTES];
        source.read_exact(&mut head).map_err(cut_off)?;
        let head =
            FrameHead::decode(&head).map_err(|reason| SnapshotFault::Frame { frame, reason })?;
        // A lying length reserves nothing: the buffer grows as bytes arrive.
        let length = u64::try_from(head.contents_length()).unwrap_or(u64::MAX);
        let mut contents = Vec::new();
        let mut limited = Read::take(&mut *source, length);
        limited.read_to_end(&mut contents).map_err(ImportError::Read)?;
        if contents.len() != head.contents_length() {
            return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
        }
        let changes = import.take(&store, &head, &contents.into())?;
        store.write(changes, Durability::Buffered)?;
        read = read.saturating_add(length);
        told(read);
        if head.is_last() {
            break;
        }
    }
    let checkpoint = import.checkpoint().copied();
    let last = import.finish(&store)?;
    store.write(last, Durability::Synced)?;
    checkpoint.ok_or(ImportError::NoSnapshot)
}

fn cut_off(error: io::Error) -> ImportError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            ImportError::Read(io::Error::new(error.kind(), "it ends in the middle"))
        }
        _ => ImportError::Read(error),
    }
}
