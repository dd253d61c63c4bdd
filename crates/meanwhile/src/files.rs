//! Files that are whole or not there: written beside their place, synced and renamed.
//!
//! **Invariant:** a secret's file is never readable by anybody but its owner, not even for the
//! moment between its creation and the change of its mode.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;

const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;
const SECRET: u32 = 0o400;

/// Makes a folder and its parents.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn create_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|source| at(path, source))
}

/// Writes a file in one step.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    replace(path, text, PUBLIC)
}

/// Writes a file in one step that only its owner may read and change.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    replace(path, text, PRIVATE)
}

/// Writes a new secret that only its owner may read and nobody may change. A secret that is there
/// already stays: overwriting a key by accident can not be undone.
///
/// # Errors
/// When the file exists or the file system refuses.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    if path.exists() {
        return Err(at(path, io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    replace(path, text, SECRET)
}

/// Writes a value as indented JSON in one step.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::Json)?;
    write(path, &format!("{text}\n"))
}

/// Reads a text.
///
/// # Errors
/// When it is not there or not readable.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| at(path, source))
}

/// Reads a text of at most so many bytes, however long the file is.
///
/// # Errors
/// When it is not there, not readable or longer.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|source| at(path, source))?;
    file.take(bytes_max.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|source| at(path, source))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= bytes_max) {
        return Ok(text);
    }
    let reason = format!("longer than {bytes_max} bytes, which no such file is");
    Err(Failure::Contents { path: path.to_owned(), reason })
}

/// Reads a value from JSON of at most so many bytes.
///
/// # Errors
/// When the file is not there, longer, or says something else.
pub(crate) fn read_json_bounded<T: DeserializeOwned>(
    path: &Path,
    bytes_max: u64,
) -> Result<T, Failure> {
    parse_json(path, &read_bounded(path, bytes_max)?)
}

/// Writes a file in one step unless it says so already. One that says something else stays.
///
/// # Errors
/// When the file holds something else or the file system refuses.
pub(crate) fn write_once(path: &Path, text: &str) -> Result<(), Failure> {
    match fs::read(path) {
        Ok(bytes) if bytes == text.as_bytes() => Ok(()),
        Ok(_) => Err(at(path, io::Error::from(io::ErrorKind::AlreadyExists))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(path, text),
        Err(error) => Err(at(path, error)),
    }
}

/// Deletes a file, and lets its folder know. One that is not there is deleted already.
///
/// # Errors
/// When the file system refuses.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(path, error)),
    }
}

/// Reads a value from JSON.
///
/// # Errors
/// When the file is not there or says something else.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    parse_json(path, &read(path)?)
}

fn parse_json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|source| Failure::Contents { path: path.to_owned(), reason: source.to_string() })
}

/// Names the file in an error.
pub(crate) fn at(path: &Path, source: io::Error) -> Failure {
    Failure::File { path: path.to_owned(), source }
}

fn replace(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let beside = beside(path);
    let result = write_beside(&beside, text, mode).and_then(|()| fs::rename(&beside, path));
    result.map_err(|source| {
        fs::remove_file(&beside).ok();
        at(path, source)
    })?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(|source| at(parent, source))
}

fn write_beside(beside: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, "secret").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SECRET);
        assert!(write_secret(&path, "other").is_err());
        assert_eq!(read(&path).unwrap(), "secret");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(read(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_its_file() {
        let failure = read(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(failure.to_string().contains("/nowhere/at/all"));
    }
}
