//! How many synced writes there have been: in the database with every one of them, and in a file
//! beside it once they are durable. The module `disk` says why.
//!
//! The file holds the number twice, since a crash may tear even sixteen bytes; two numbers that
//! differ count as none.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;

use crate::StoreError;

/// The file's name. fjall ignores what does not end in `.jnl`.
const FILE: &str = "synced";

/// The count and its file.
#[derive(Debug)]
pub(super) struct Count {
    file: File,
    number: u64,
}

impl Count {
    /// Compares the count in the database with the file's.
    pub(super) fn open(path: &Path, found: u64) -> Result<Self, StoreError> {
        let name = path.join(FILE);
        let failed = |source| StoreError::Io { path: name.clone(), source };
        let durable = match std::fs::read(&name) {
            Ok(bytes) => decode_twice(&bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed(error)),
        };
        if found < durable {
            return Err(StoreError::Lost { path: path.to_owned(), durable, found });
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
        Ok(Self { file: file.map_err(failed)?, number: found })
    }

    /// The number of the next synced write.
    pub(super) fn next(&self) -> u64 {
        self.number.saturating_add(1)
    }

    /// Makes the next record go elsewhere, to see it fail.
    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = file;
    }

    /// The write with this number is durable.
    pub(super) fn record(&mut self, number: u64) -> std::io::Result<()> {
        self.number = number;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&encode(number));
        bytes[8..].copy_from_slice(&encode(number));
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

/// A count as bytes.
pub(super) fn encode(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// A count from bytes; none and unreadable ones are zero.
pub(super) fn decode(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn decode_twice(bytes: &[u8]) -> u64 {
    match bytes.split_at_checked(8) {
        Some((first, second)) if first == second => decode(Some(first)),
        _ => 0,
    }
}
