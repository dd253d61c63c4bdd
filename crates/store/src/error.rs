//! Why a store could not be opened. Every case is a local fault: nobody on the network causes it.

use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder open.
    #[error(
        "{} is in use by another process; stop that one first, two must never write one store",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Less came back than had been durable. A validator that went on from here could sign a
    /// second vertex for a round that it has forgotten.
    #[error(
        "{} has lost durable writes: {durable} synced writes were made, {found} came back. The \
         disk or somebody changed the folder; do not run a validator on it: restore the whole \
         folder, or start with an empty one under a new key",
        path.display()
    )]
    Lost {
        /// The folder.
        path: PathBuf,
        /// How many synced writes are known to have become durable.
        durable: u64,
        /// How many of them are still there.
        found: u64,
    },
    /// The folder's files can not be read or written.
    #[error("{} can not be used: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database refuses its own files.
    #[error("{} can not be opened: {reason}", path.display())]
    Database {
        /// The folder.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
}
