//! `devnet.json`: who runs where. Written whole at every change, for people and other programs.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Failure;
use crate::files;

/// A development network as its supervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The validators, by number.
    pub(crate) validators: Vec<ValidatorState>,
    /// The first Lightning service provider, where there are some.
    #[serde(default)]
    pub(crate) lsp: Option<LspState>,
    /// All of them.
    #[serde(default)]
    pub(crate) lsps: Vec<LspState>,
    /// Where the network's parameters are.
    pub(crate) genesis: PathBuf,
    /// Where the funded wallets are.
    pub(crate) wallets: PathBuf,
    /// The socket on which the supervisor takes requests.
    pub(crate) control: PathBuf,
    /// The supervisor's process, while it runs.
    pub(crate) pid: Option<u32>,
}

/// One validator of a development network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValidatorState {
    /// Its number.
    pub(crate) index: u16,
    /// Its process, while it runs.
    pub(crate) pid: Option<u32>,
    /// Where it serves HTTP, as a URL.
    pub(crate) http: String,
    /// Where it serves Electrum's protocol, as host and port.
    pub(crate) electrum: String,
    /// Where it serves Bitcoin Core's remote procedure calls, as a URL.
    pub(crate) rpc: String,
    /// The file with the password for them.
    pub(crate) rpc_cookie: PathBuf,
    /// Where it serves Bitcoin's own network, as host and port.
    pub(crate) bitcoin_p2p: String,
    /// Its folder.
    pub(crate) dir: PathBuf,
}

/// A Lightning service provider of a development network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LspState {
    /// Its number.
    pub(crate) index: u16,
    /// Its process, while it runs.
    pub(crate) pid: Option<u32>,
    /// Where it answers wallets, as a URL.
    pub(crate) api: String,
    /// Where its Lightning node listens, as host and port.
    pub(crate) lightning: String,
    /// Its configuration, to start it by hand: `meanwhile lsp --config FILE`.
    pub(crate) config: PathBuf,
    /// Its folder.
    pub(crate) dir: PathBuf,
}

impl State {
    /// Writes the file.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let state = Self { lsp: self.lsps.first().cloned(), ..self.clone() };
        files::write_json(path, &state)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there or says something else.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        files::read_json(path)
    }
}
