//! Everything that can stop a daemon or a request, told so that a person knows what to do next.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use ldk_node::BuildError;
use ldk_node::NodeError;

/// Why something about payments could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    /// A file or folder could not be used.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file says something that can not be used.
    #[error("{path}: {reason}", path = path.display())]
    Contents {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a wallet already.
    #[error("{dir} holds a wallet already; it is kept", dir = dir.display())]
    WalletExists {
        /// Where.
        dir: PathBuf,
    },
    /// There is no wallet.
    #[error("{dir} holds no wallet; make one with `meanwhile wallet init`", dir = dir.display())]
    NoWallet {
        /// Where.
        dir: PathBuf,
    },
    /// The passphrase does not open the file.
    #[error("{path}: the passphrase does not open it", path = path.display())]
    Passphrase {
        /// Which file.
        path: PathBuf,
    },
    /// The words are no seed.
    #[error("these words are no seed: {reason}")]
    Mnemonic {
        /// What is wrong with them.
        reason: String,
    },
    /// The system gives no randomness, so no key is safe and none is made.
    #[error("the system gives no randomness: {reason}")]
    Randomness {
        /// What it said.
        reason: String,
    },
    /// Another process uses the folder.
    #[error("{dir} is in use by another process", dir = dir.display())]
    Running {
        /// Which folder.
        dir: PathBuf,
    },
    /// No daemon listens there.
    #[error("no daemon is running for {dir}", dir = dir.display())]
    NotRunning {
        /// Which folder.
        dir: PathBuf,
    },
    /// A daemon refused a request.
    #[error("{}", with_hint(reason, hint.as_deref()))]
    Refused {
        /// What a program decides by.
        code: crate::control::Code,
        /// What is wrong.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// A daemon answered something that can not be read.
    #[error("the daemon's answer can not be read: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// A configuration is refused.
    #[error("{path}: {key}: {reason}", path = path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The node behind the wallet could not be asked, or refuses.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// The node belongs to another network than the wallet.
    #[error("the node at {url} belongs to network {found}, this wallet to {expected}")]
    OtherNetwork {
        /// Which node.
        url: String,
        /// Its network.
        found: types::Digest,
        /// The wallet's network.
        expected: types::Digest,
    },
    /// A Lightning service provider could not be asked, or refuses.
    #[error("the service provider at {url}: {reason}")]
    Service {
        /// Where it is.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// LDK could not be set up.
    #[error("the Lightning node could not be set up: {0}")]
    Build(#[from] BuildError),
    /// LDK refuses.
    #[error("the Lightning node: {0}")]
    Ldk(#[from] NodeError),
    /// A task ended that must not.
    #[error("a part of the daemon ended: {what}")]
    Lost {
        /// Which part.
        what: &'static str,
    },
}

impl PaymentsError {
    /// Names the file in an error.
    pub fn at(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

fn with_hint(reason: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason.to_owned(),
    }
}
