//! Files of a daemon: private, whole or not there, and a folder that one process holds at a time.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::PaymentsError;

/// A folder that this process holds until the value is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

/// Makes a folder that only its owner may enter.
pub(crate) fn create_dir(dir: &Path) -> Result<(), PaymentsError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| PaymentsError::at(dir, source))
}

/// Takes a folder for this process.
pub(crate) fn hold(dir: &Path) -> Result<Held, PaymentsError> {
    let path = dir.join("lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(|source| PaymentsError::at(&path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(Held { _lock: lock }),
        Err(TryLockError::WouldBlock) => Err(PaymentsError::Running { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(PaymentsError::at(&path, source)),
    }
}

/// Writes a new file in one step; one that is there stays.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PaymentsError> {
    if path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(PaymentsError::at(path, source));
    }
    replace(path, bytes, mode)
}

/// Writes a file in one step: beside its place, synced, renamed.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PaymentsError> {
    let beside = beside(path);
    let write = || {
        let mut file = OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| {
        fs::remove_file(&beside).ok();
        PaymentsError::at(path, source)
    })
}

/// Refuses a secret that others than its owner may read.
pub(crate) fn check_private(path: &Path) -> Result<(), PaymentsError> {
    let metadata = fs::metadata(path).map_err(|source| PaymentsError::at(path, source))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let reason = "others than its owner may read it: `chmod 400` it".to_owned();
    Err(PaymentsError::Contents { path: path.to_owned(), reason })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}
