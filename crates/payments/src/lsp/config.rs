//! The configuration of a service provider: an annotated TOML file, read into [`Config`] and checked
//! once into [`Checked`], which everything else takes. Unknown keys are refused.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use ldk_node::bitcoin::secp256k1::PublicKey;
use serde::Deserialize;
use serde::Serialize;

use crate::PaymentsError;
use crate::lock;

const EXAMPLE: &str = include_str!("example.toml");
/// LDK takes no longer name.
const ALIAS_BYTES_MAX: usize = 32;
/// Smaller channels can not bear their own fees.
const CHANNEL_SAT_LEAST: u64 = 20_000;
/// What one channel may hold by BOLT 2.
const CHANNEL_SAT_MOST: u64 = 16_777_215;
const WALLETS_MOST: u32 = 100_000;
const PEERS_MOST: usize = 64;

/// A service provider's configuration as its file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node that tells of the chain, as a URL.
    pub node: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The file with the words.
    pub seed_file: PathBuf,
    /// The Lightning node.
    pub lightning: LightningConfig,
    /// HTTP for wallets.
    pub api: ApiConfig,
    /// What channels there are and what they cost.
    #[serde(default)]
    pub channels: ChannelsConfig,
    /// What only a development network may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<DevelopmentConfig>,
}

/// The Lightning node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LightningConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it, when that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce: Option<SocketAddr>,
    /// What it calls itself.
    pub alias: String,
    /// Other providers to keep up a connection with, as `KEY@HOST:PORT`.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Where other providers answer wallets, as URLs: wallets are told of them, and reach through them
    /// who is with them.
    #[serde(default)]
    pub partners: Vec<String>,
}

/// HTTP for wallets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// Where they are answered.
    pub bind: SocketAddr,
    /// The file with what admits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// What channels there are and what they cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsConfig {
    /// How large the channel is that a new wallet gets.
    pub new_wallet_sat: u64,
    /// How many wallets get one.
    pub wallets_max: u32,
    /// What is taken of a payment that opens a channel, in millionths.
    pub opening_fee_ppm: u32,
    /// The least that is taken of it.
    pub opening_fee_min_msat: u64,
    /// What is taken for each payment that is passed on.
    pub forward_fee_base_msat: u32,
    /// What is taken beyond that, in millionths of the payment.
    pub forward_fee_ppm: u32,
}

/// What only a development network may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevelopmentConfig {
    /// Coins that are asked of the faucet whenever there are fewer.
    pub float_sat: u64,
    /// How large a public channel is opened to each partner that has none; 0 opens none.
    pub partner_channel_sat: u64,
}

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(crate) node: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) seed_file: PathBuf,
    pub(crate) lightning: LightningConfig,
    pub(crate) peers: Vec<(PublicKey, SocketAddr)>,
    pub(crate) bind: SocketAddr,
    pub(crate) token: Option<String>,
    pub(crate) channels: ChannelsConfig,
    pub(crate) development: DevelopmentConfig,
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        Self {
            new_wallet_sat: 1_000_000,
            wallets_max: 1_000,
            opening_fee_ppm: 10_000,
            opening_fee_min_msat: 1_000_000,
            forward_fee_base_msat: 1_000,
            forward_fee_ppm: 100,
        }
    }
}

impl Config {
    /// A configuration with every key and what it means, for a person to start from.
    pub const fn example() -> &'static str {
        EXAMPLE
    }

    /// Reads a file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// When it can not be read, or has a key that there is none of.
    pub fn load(path: &Path) -> Result<Self, PaymentsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PaymentsError::at(path, source))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| PaymentsError::Contents {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data_dir = base.join(&config.data_dir);
        config.seed_file = base.join(&config.seed_file);
        config.api.token_file = config.api.token_file.map(|file| base.join(file));
        Ok(config)
    }

    /// The file's text.
    ///
    /// # Errors
    /// When it can not be written as TOML.
    pub fn to_toml(&self) -> Result<String, PaymentsError> {
        toml::to_string(self).map_err(|error| PaymentsError::Answer { reason: error.to_string() })
    }

    /// Checks it. `path` is named in errors.
    ///
    /// # Errors
    /// Names the key that can not be used, and why.
    pub fn check(self, path: &Path) -> Result<Checked, PaymentsError> {
        let refuse = |key: &'static str, reason: String| PaymentsError::Config {
            path: path.to_owned(),
            key,
            reason,
        };
        let alias = self.lightning.alias.len();
        if alias == 0 || alias > ALIAS_BYTES_MAX {
            let reason = format!("it has {alias} bytes; use 1 to {ALIAS_BYTES_MAX}");
            return Err(refuse("lightning.alias", reason));
        }
        let channels = &self.channels;
        let sat = channels.new_wallet_sat;
        if !(CHANNEL_SAT_LEAST..=CHANNEL_SAT_MOST).contains(&sat) {
            let reason = format!("{sat} is not within {CHANNEL_SAT_LEAST} and {CHANNEL_SAT_MOST}");
            return Err(refuse("channels.new_wallet_sat", reason));
        }
        if channels.wallets_max > WALLETS_MOST {
            return Err(refuse("channels.wallets_max", format!("at most {WALLETS_MOST}")));
        }
        if channels.opening_fee_ppm >= 1_000_000 {
            return Err(refuse("channels.opening_fee_ppm", "that is the whole payment".to_owned()));
        }
        if self.lightning.peers.len() > PEERS_MOST {
            return Err(refuse("lightning.peers", format!("at most {PEERS_MOST}")));
        }
        let mut peers = Vec::new();
        for text in &self.lightning.peers {
            let parts = text.split_once('@');
            let peer = parts.and_then(|(key, at)| Some((key.parse().ok()?, at.parse().ok()?)));
            let reason = || format!("`{text}` is not of the form KEY@HOST:PORT");
            peers.push(peer.ok_or_else(|| refuse("lightning.peers", reason()))?);
        }
        let token = match &self.api.token_file {
            Some(file) => Some(read_token(file)?),
            None => None,
        };
        Ok(Checked {
            node: self.node,
            data_dir: self.data_dir,
            seed_file: self.seed_file,
            lightning: self.lightning,
            peers,
            bind: self.api.bind,
            token,
            channels: self.channels,
            development: self.development.unwrap_or_default(),
        })
    }
}

impl Checked {
    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

fn read_token(file: &Path) -> Result<String, PaymentsError> {
    lock::check_private(file)?;
    let text = std::fs::read_to_string(file).map_err(|source| PaymentsError::at(file, source))?;
    let token = text.trim();
    if token.is_empty() {
        let reason = "it is empty".to_owned();
        return Err(PaymentsError::Contents { path: file.to_owned(), reason });
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration_and_says_every_default() {
        let config: Config = toml::from_str(Config::example()).unwrap();
        assert_eq!(config.channels, ChannelsConfig::default());
        assert!(config.check(Path::new("lsp.toml")).is_ok());
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused_by_name() {
        let unknown = format!("{}\n[lightening]\n", Config::example());
        assert!(toml::from_str::<Config>(&unknown).is_err());
        let rows = [
            ("new_wallet_sat = 1000000", "new_wallet_sat = 5", "channels.new_wallet_sat"),
            ("alias = \"meanwhile\"", "alias = \"\"", "lightning.alias"),
            ("peers = []", "peers = [\"nobody\"]", "lightning.peers"),
            ("opening_fee_ppm = 10000", "opening_fee_ppm = 1000000", "channels.opening_fee_ppm"),
        ];
        for (good, bad, key) in rows {
            let text = Config::example().replace(good, bad);
            let config: Config = toml::from_str(&text).unwrap();
            let error = config.check(Path::new("lsp.toml")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
