//! Opens a database whose last writes a power cut has torn.
//!
//! fjall cuts an unfinished batch off the end of its journal by itself. It refuses to open,
//! though, when a batch is there from its first byte to its last with wrong bytes in between, as
//! happens when the system wrote a later page and not an earlier one. Such a batch was never
//! durable, or the count of synced writes would say so after the repair, so it is cut off too, and
//! everything behind it.
//!
//! Where it begins is found with fjall as the only judge of its own format: a scratch database with
//! nothing but a copy of the journal's first `n` bytes opens if and only if these hold no wrong
//! batch, since an unfinished one is cut off. The largest such `n` is found by halving. fjall
//! asserts some of what it reads, so a panic while it opens counts as a refusal.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::path::PathBuf;

use fjall::Database;

use super::database_error;
use crate::StoreError;

/// The scratch database's folder, inside the one under repair.
const SCRATCH: &str = "repair";

/// The files of fjall that a repair touches.
const JOURNAL_EXTENSION: &str = "jnl";
const LOCK_FILE: &str = "lock";
const VERSION_FILE: &str = "version";
const KEYSPACES_FOLDER: &str = "keyspaces";

/// What a panic of the recovery stands for.
const TORN: fjall::Error =
    fjall::Error::JournalRecovery(fjall::JournalRecoveryError::ChecksumMismatch);

/// Opens the database, after a repair when its journal is torn.
pub(super) fn open(
    path: &Path,
    open: &dyn Fn() -> fjall::Result<Database>,
) -> Result<Database, StoreError> {
    let error = match caught(open) {
        Ok(database) => return Ok(database),
        Err(fjall::Error::Locked) => return Err(StoreError::Locked { path: path.to_owned() }),
        Err(fjall::Error::Io(source)) => {
            return Err(StoreError::Io { path: path.to_owned(), source });
        }
        Err(error) => error,
    };
    if !matches!(error, fjall::Error::JournalRecovery(_)) {
        return Err(database_error(path, &error));
    }
    let scratch = path.join(SCRATCH);
    let outcome = repair(path, &scratch, &error);
    let removed = remove(&scratch);
    outcome?;
    removed?;
    caught(open).map_err(|error| database_error(path, &error))
}

/// Opens a database, and takes a panic of its recovery for what it is.
fn caught(open: &dyn Fn() -> fjall::Result<Database>) -> fjall::Result<Database> {
    std::panic::catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(TORN))
}

/// Cuts the journal before its first wrong batch. Nobody else may have the folder open meanwhile.
fn repair(path: &Path, scratch: &Path, error: &fjall::Error) -> Result<(), StoreError> {
    let lock_path = path.join(LOCK_FILE);
    let lock = File::open(&lock_path).map_err(io(&lock_path))?;
    lock.try_lock().map_err(|_| StoreError::Locked { path: path.to_owned() })?;

    let journal = newest_journal(path)?.ok_or_else(|| database_error(path, error))?;
    let opens = |bytes: u64| opens(path, scratch, &journal, bytes);
    let mut wrong = journal.metadata().map_err(io(&journal))?.len();
    let mut good = 0;
    if opens(wrong)? || !opens(good)? {
        return Err(database_error(path, error));
    }
    while wrong.saturating_sub(good) > 1 {
        let middle = good.midpoint(wrong);
        if opens(middle)? {
            good = middle;
        } else {
            wrong = middle;
        }
    }
    let file = OpenOptions::new().write(true).open(&journal).map_err(io(&journal))?;
    file.set_len(good).map_err(io(&journal))?;
    file.sync_all().map_err(io(&journal))
}

/// The journal that is written to: the one with the highest number. The others were synced before
/// it was made, so damage in them is not for a repair.
fn newest_journal(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(path).map_err(io(path))? {
        let journal = entry.map_err(io(path))?.path();
        if journal.extension().is_none_or(|extension| extension != JOURNAL_EXTENSION) {
            continue;
        }
        let stem = journal.file_stem().and_then(|stem| stem.to_str());
        let Some(number) = stem.and_then(|stem| stem.parse().ok()) else { continue };
        if newest.as_ref().is_none_or(|(highest, _)| number > *highest) {
            newest = Some((number, journal));
        }
    }
    Ok(newest.map(|(_, journal)| journal))
}

/// Whether the first `bytes` of the journal hold no wrong batch.
fn opens(path: &Path, scratch: &Path, journal: &Path, bytes: u64) -> Result<bool, StoreError> {
    remove(scratch)?;
    let keyspaces = scratch.join(KEYSPACES_FOLDER);
    std::fs::create_dir_all(&keyspaces).map_err(io(&keyspaces))?;
    let version = scratch.join(VERSION_FILE);
    std::fs::copy(path.join(VERSION_FILE), &version).map_err(io(&version))?;
    let lock = scratch.join(LOCK_FILE);
    File::create(&lock).map_err(io(&lock))?;
    let copy = scratch.join("0").with_extension(JOURNAL_EXTENSION);
    let mut from = File::open(journal).map_err(io(journal))?.take(bytes);
    let mut to = File::create(&copy).map_err(io(&copy))?;
    std::io::copy(&mut from, &mut to).map_err(io(&copy))?;
    drop(to);
    match caught(&|| Database::builder(scratch).worker_threads(1).open()) {
        Ok(_) => Ok(true),
        Err(fjall::Error::JournalRecovery(_)) => Ok(false),
        Err(error) => Err(database_error(path, &error)),
    }
}

fn remove(scratch: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(scratch) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(scratch)(error)),
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> StoreError + use<'_> {
    |source| StoreError::Io { path: path.to_owned(), source }
}
