//! What can be wrong with a configuration, and what to do about it.

use std::path::PathBuf;

use types::Author;
use types::genesis::GenesisError;

/// Why a node can not be started as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file can not be read.
    #[error("{}: can not read {what}: {reason}; check the path and its permissions", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The text is not a configuration.
    #[error("{}: {reason}\nan annotated example shows every key that there is", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The configuration can not be written as text.
    #[error("the configuration can not be written: {reason}")]
    Unwritable {
        /// Why.
        reason: String,
    },
    /// The genesis file is no genesis.
    #[error("{}: not a genesis file: {reason}; get it again from whoever made the network", file.display())]
    GenesisMalformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The genesis is refused.
    #[error("{}: the genesis is refused: {reason}", file.display())]
    Genesis {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: GenesisError,
    },
    /// A value is not allowed.
    #[error("{key}: {reason}; {remedy}")]
    Value {
        /// The key, with its sections.
        key: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// A secret may be read by others than its owner.
    #[error(
        "{}: mode {mode:04o} lets others than the owner use this secret; \
         run: chmod 0400 {}", file.display(), file.display()
    )]
    SecretExposed {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A secret file does not hold a secret.
    #[error(
        "{}: {reason}; it should hold 64 hex digits: restore it from its backup",
        file.display()
    )]
    SecretMalformed {
        /// The file.
        file: PathBuf,
        /// What is wrong; never the content.
        reason: &'static str,
    },
    /// A new secret can not be written.
    #[error("{}: the key can not be made: {reason}; check the folder and its permissions", file.display())]
    SecretUnwritable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A secret belongs to somebody else.
    #[error(
        "{}: this secret is not the one of validator {author}: its public key differs from \
         {field} in the genesis; check validator.author and validator.secrets_dir", file.display()
    )]
    SecretForeign {
        /// The file.
        file: PathBuf,
        /// Who the configuration says this is.
        author: Author,
        /// The field of the genesis.
        field: &'static str,
    },
}
