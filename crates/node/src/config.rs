//! The configuration of one node: an annotated TOML file, read into [`Config`] and checked once
//! into [`Checked`], which everything else takes.
//!
//! **Invariant:** what the whole network must agree on is in the genesis, never here; secrets are
//! files that are named here, never values. Unknown keys are refused, and every error says which
//! file, which key, why, and what to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use types::PublicKey;

mod check;
mod error;
mod followers;

pub use check::Blobs;
pub use check::Checked;
pub use check::Identity;
pub use check::Limits;
pub use check::LinkFaults;
pub use check::Rpc;
pub use error::ConfigError;
pub use followers::Admission;
pub use followers::FOLLOWERS_DEFAULT;
pub use followers::FOLLOWERS_MAX;
pub use followers::Forwarding;

const EXAMPLE: &str = include_str!("config/example.toml");

/// A node's configuration as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The genesis file of the network. Relative paths start at this file's folder.
    pub genesis: PathBuf,
    /// Where the node keeps its database.
    pub data_dir: PathBuf,
    /// Which validator this is. A node is a validator or a follower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<ValidatorConfig>,
    /// Makes the node a follower, which holds and serves everything and signs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follower: Option<FollowerConfig>,
    /// The links to the other validators.
    pub network: NetworkConfig,
    /// HTTP for wallets and people; none serves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// Electrum's protocol for wallets; none serves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub electrum: Option<ElectrumConfig>,
    /// Bitcoin's own network, for full nodes that follow; none serves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitcoin_p2p: Option<BitcoinP2pConfig>,
    /// Bitcoin Core's remote procedure calls and REST; none serves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<RpcConfig>,
    /// The shards of blobs that this validator keeps.
    #[serde(default, skip_serializing_if = "BlobsConfig::is_default")]
    pub blobs: BlobsConfig,
    /// How fast vertices are made.
    #[serde(default)]
    pub pacing: PacingConfig,
    /// What others may use up.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How much of the past is kept.
    #[serde(default)]
    pub retention: RetentionConfig,
    /// What only a development network may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<DevelopmentConfig>,
}

/// Which validator a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorConfig {
    /// Its place in the genesis, from 0.
    pub author: u16,
    /// The folder with `vertex.key`, `transport.key`, `checkpoint.key` and `coin.key`.
    pub secrets_dir: PathBuf,
}

/// What a follower needs beside its links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowerConfig {
    /// The folder with `transport.key`; the first start makes the key.
    pub secrets_dir: PathBuf,
    /// The validators whose HTTP takes the transactions that are submitted here, in the order in
    /// which they are tried; none refuses submissions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submit_to: Vec<String>,
}

/// The links to the other validators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where other validators connect to; port 0 lets the system choose. A follower has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where the others listen, by author: `host:port`. A follower may name some of them only.
    #[serde(default)]
    pub peers: BTreeMap<String, String>,
    /// Whom a validator lets follow; nobody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followers: Option<FollowersConfig>,
}

/// Whom a validator lets follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowersConfig {
    /// Whether a follower has to be listed.
    pub admit: Admit,
    /// The public transport keys of those that are, in hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<PublicKey>,
    /// How many may be connected at a time.
    #[serde(default = "followers_default")]
    pub count_max: u16,
}

/// Who may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admit {
    /// Those whose key is listed.
    Listed,
    /// Anybody, as long as there is room.
    Any,
}

const fn followers_default() -> u16 {
    FOLLOWERS_DEFAULT
}

/// HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where it is served; port 0 lets the system choose.
    pub bind: SocketAddr,
}

/// Electrum's protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectrumConfig {
    /// Where it is served; port 0 lets the system choose.
    pub bind: SocketAddr,
}

/// Bitcoin's own network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcoinP2pConfig {
    /// Where full nodes connect to; port 0 lets the system choose.
    pub bind: SocketAddr,
}

/// Bitcoin Core's remote procedure calls and REST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcConfig {
    /// Where they are served; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The file that the node writes each run's password to; `.cookie` in the data folder when
    /// nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<PathBuf>,
}

/// The shards of blobs that a validator keeps, and where those of the others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlobsConfig {
    /// How much room shards may take, in MiB; what comes on top is refused.
    pub quota_mib: u64,
    /// How much of the disk stays free for ordering, in MiB.
    pub free_mib_least: u64,
    /// How fast missing shards are fetched from others, in MiB a second.
    pub repair_mib_per_s: u64,
    /// Where the validators serve HTTP, by author: `http://host:port`. Shards of those that are not
    /// named can not be fetched, or be handed on to them, by this node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, String>,
}

/// How fast vertices are made. Policy only: agreement depends on none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PacingConfig {
    /// The least time between two vertices of one's own, in milliseconds.
    pub min_round_interval_ms: u64,
    /// The time between two vertices when nothing happens, in milliseconds.
    pub idle_interval_ms: u64,
}

/// What others may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Bytes of received frames that one peer may have waiting here, in MiB.
    pub peer_inflight_mib: u32,
    /// Bytes of frames that may wait to be sent to one peer, in MiB, for each of its connections.
    pub peer_send_queue_mib: u32,
    /// Connections that have not proven who they are yet.
    pub pending_handshakes: u32,
    /// How long such a connection may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// Threads that verify vertices and scripts; 0 means one a core.
    pub verify_threads: u16,
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// How many events; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

/// What only a development network may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevelopmentConfig {
    /// The file with the key that the faucet pays from, as WIF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faucet_key_file: Option<PathBuf>,
    /// Admits transactions of unusual form, as Bitcoin Core's `-acceptnonstdtxn` does.
    pub accept_nonstandard: bool,
    /// Holds every frame to a peer back for so long, in milliseconds.
    pub link_delay_ms: u64,
    /// How many of a hundred control frames to a peer are lost on purpose.
    pub link_loss_percent: u8,
    /// How far this node's clock is set off, in milliseconds: what its vertices claim as their time.
    pub clock_offset_ms: i64,
    /// Where the network's Lightning service providers answer, told to wallets with the status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lsp_urls: Vec<String>,
}

impl Default for BlobsConfig {
    fn default() -> Self {
        let peers = BTreeMap::new();
        Self { quota_mib: 102_400, free_mib_least: 1_024, repair_mib_per_s: 32, peers }
    }
}

impl BlobsConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for PacingConfig {
    fn default() -> Self {
        Self { min_round_interval_ms: 10, idle_interval_ms: 1_000 }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            peer_inflight_mib: 16,
            peer_send_queue_mib: 16,
            pending_handshakes: 64,
            handshake_timeout_ms: 5_000,
            verify_threads: 0,
        }
    }
}

impl Config {
    /// A configuration with every key and what it means, for a person to start from.
    pub const fn example() -> &'static str {
        EXAMPLE
    }

    /// Reads a configuration from text. Relative paths stay relative.
    ///
    /// # Errors
    /// When the text is no TOML, a key is unknown or missing, or a value has the wrong type.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_at(text, Path::new("configuration"))
    }

    /// Reads a configuration from its file; relative paths start at the file's folder.
    ///
    /// # Errors
    /// As [`Config::parse`], and when the file can not be read.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable {
            file: file.to_owned(),
            what: "the configuration",
            reason: error.to_string(),
        })?;
        let mut config = Self::parse_at(&text, file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        config.genesis = folder.join(&config.genesis);
        config.data_dir = folder.join(&config.data_dir);
        if let Some(validator) = &mut config.validator {
            validator.secrets_dir = folder.join(&validator.secrets_dir);
        }
        if let Some(follower) = &mut config.follower {
            follower.secrets_dir = folder.join(&follower.secrets_dir);
        }
        if let Some(rpc) = &mut config.rpc {
            rpc.cookie_file = rpc.cookie_file.as_ref().map(|path| folder.join(path));
        }
        if let Some(development) = &mut config.development {
            development.faucet_key_file =
                development.faucet_key_file.as_ref().map(|path| folder.join(path));
        }
        Ok(config)
    }

    /// Makes what a node makes for itself before its first start: the transport key of a follower.
    /// Says whether something was made.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn prepare(&self) -> Result<bool, ConfigError> {
        match &self.follower {
            Some(follower) => crate::keys::ensure_transport(&follower.secrets_dir),
            None => Ok(false),
        }
    }

    /// The configuration as a file has it.
    ///
    /// # Errors
    /// When a path is no text, which TOML can not hold.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Unwritable { reason: error.to_string() })
    }

    fn parse_at(text: &str, file: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Malformed {
            file: file.to_owned(),
            reason: error.to_string(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
