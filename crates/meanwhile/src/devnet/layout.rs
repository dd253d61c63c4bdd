//! The folder of a development network, made once and resumed afterwards.
//!
//! ```text
//! DIR/network.json        the version of this program that made it
//!     genesis.json        the network's parameters; written last, so it stands for the whole
//!     wallets.json        wallets that own money from the start
//!     devnet.json         who runs where
//!     devnet.lock         held while the network runs
//!     control.sock        requests to the supervisor
//!     lsp-N/              lsp.toml, seed, data/, log.txt
//!     validator-N/        node.toml, keys/ (with faucet.wif), data/, log.txt, rpc.cookie
//! ```

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use node::Config;
use node::config::Admit;
use node::config::BitcoinP2pConfig;
use node::config::BlobsConfig;
use node::config::DevelopmentConfig;
use node::config::ElectrumConfig;
use node::config::FOLLOWERS_DEFAULT;
use node::config::FollowersConfig;
use node::config::HttpConfig;
use node::config::LimitsConfig;
use node::config::NetworkConfig;
use node::config::PacingConfig;
use node::config::RetentionConfig;
use node::config::RpcConfig;
use node::config::ValidatorConfig;
use node::keys::COIN_FILE;
use payments::lsp;
use serde::Deserialize;
use serde::Serialize;
use types::Genesis;
use types::Hasher;
use types::genesis::LedgerParameters;

use crate::dealer;
use crate::error::Failure;
use crate::files;
use crate::secrets;
use crate::secrets::Secrets;
use crate::units::Time;

use super::ports::Addresses;
use super::ports::LspAddresses;
use super::wallets;
use super::wallets::FundedWallet;

/// The version of this program, whose first two parts name what its data looks like.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// How many validators there are when nobody says.
pub(crate) const VALIDATORS_DEFAULT: u16 = 4;
/// A Unix socket's path may have 107 bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;
const FILES: [&str; 5] =
    ["genesis.json", "wallets.json", "devnet.json", "control.sock", "network.json"];
/// The password for remote procedure calls, in a validator's folder.
pub(crate) const COOKIE_FILE: &str = "rpc.cookie";
const KEYS_DIR: &str = "keys";
const LSP_PREFIX: &str = "lsp-";
/// The coins that the Lightning service provider has for channels.
const LSP_FLOAT_SAT: u64 = 500_000_000;
/// The channel between the two providers.
const LSP_CHANNEL_SAT: u64 = 16_000_000;
const FAUCET_FILE: &str = "faucet.wif";

/// What somebody asks of a network. What is not said comes from the network that is there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// How many validators.
    pub(crate) validators: Option<u16>,
    /// The least agreed time between two blocks.
    pub(crate) block_interval: Option<Time>,
    /// The largest weight of a block.
    pub(crate) max_block_weight: Option<u64>,
}

/// The folder, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    _lock: File,
}

/// A network that is ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its parameters.
    pub(crate) genesis: Genesis,
    /// The wallets that own money.
    pub(crate) wallets: Vec<FundedWallet>,
    /// Whether it was there before.
    pub(crate) resumed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    program: String,
}

/// The default folder of a network: `devnet` in [`data_dir`].
pub(crate) fn default_dir() -> PathBuf {
    data_dir().join("devnet")
}

/// `meanwhile` in the user's data folder.
pub(crate) fn data_dir() -> PathBuf {
    data_home().map_or_else(|| PathBuf::from("meanwhile-data"), |data| data.join("meanwhile"))
}

/// The user's data folder, if the environment names one.
pub(crate) fn data_home() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
}

/// Where a network's state is written.
pub(crate) fn state_path(dir: &Path) -> PathBuf {
    dir.join("devnet.json")
}

impl Folder {
    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When another process holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Failure> {
        if let Ok(mut entries) = fs::read_dir(dir)
            && entries.next().is_some()
            && !dir.join("network.json").exists()
            && !dir.join("devnet.lock").exists()
        {
            return Err(Failure::ForeignFolder { dir: dir.to_owned() });
        }
        files::create_dir(dir)?;
        let dir = dir.canonicalize().map_err(|source| files::at(dir, source))?;
        let path = dir.join("devnet.lock");
        let lock = File::create(&path).map_err(|source| files::at(&path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Failure::DevnetRunning { dir }),
            Err(TryLockError::Error(source)) => Err(files::at(&path, source)),
        }
    }

    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The network's parameters.
    pub(crate) fn genesis_path(&self) -> PathBuf {
        self.dir.join("genesis.json")
    }

    /// The wallets that own money from the start.
    pub(crate) fn wallets_path(&self) -> PathBuf {
        self.dir.join("wallets.json")
    }

    /// One validator's folder.
    pub(crate) fn validator_dir(&self, index: u16) -> PathBuf {
        self.dir.join(format!("validator-{index}"))
    }

    /// One Lightning service provider's folder.
    pub(crate) fn lsp_dir(&self, index: u16) -> PathBuf {
        self.dir.join(format!("{LSP_PREFIX}{index}"))
    }

    /// One Lightning service provider's configuration.
    pub(crate) fn lsp_config_path(&self, index: u16) -> PathBuf {
        self.lsp_dir(index).join("lsp.toml")
    }

    /// The socket for requests: in the folder, or in the system's folder for temporary files when
    /// the path would be longer than a socket's may be.
    pub(crate) fn control_path(&self) -> PathBuf {
        let path = self.dir.join("control.sock");
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return path;
        }
        let digest =
            Hasher::new("meanwhile/devnet/socket/v1").bytes(self.dir.as_os_str().as_bytes());
        let name = hex::encode(&digest.finish().as_bytes()[..8]);
        std::env::temp_dir().join(format!("meanwhile-{name}.sock"))
    }

    /// Deletes the network in this folder, and nothing else that may lie there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        let entries = fs::read_dir(&self.dir).map_err(|source| files::at(&self.dir, source))?;
        for entry in entries {
            let path = entry.map_err(|source| files::at(&self.dir, source))?.path();
            if path.is_dir() && path.file_name().is_some_and(is_ours) {
                fs::remove_dir_all(&path).map_err(|source| files::at(&path, source))?;
            }
        }
        // The mark goes last: while it is there the folder is known to be ours.
        for path in FILES.map(|name| self.dir.join(name)) {
            if path.exists() {
                fs::remove_file(&path).map_err(|source| files::at(&path, source))?;
            }
        }
        Ok(())
    }

    /// The network that is there, or a new one.
    ///
    /// # Errors
    /// When the one that is there is of another kind than wished.
    pub(crate) fn open(&self, wishes: &Wishes) -> Result<Network, Failure> {
        self.check_mark()?;
        if self.genesis_path().exists() {
            let genesis: Genesis = files::read_json(&self.genesis_path())?;
            genesis.check()?;
            self.check_wishes(&genesis, wishes)?;
            let wallets = files::read_json(&self.wallets_path())?;
            return Ok(Network { genesis, wallets, resumed: true });
        }
        // Whatever an interrupted start left behind is worth nothing without a genesis.
        self.reset()?;
        let mark = Mark { program: PROGRAM.to_owned() };
        files::write_json(&self.dir.join("network.json"), &mark)?;
        let (genesis, wallets) = self.create(wishes)?;
        Ok(Network { genesis, wallets, resumed: false })
    }

    /// Writes the configuration of every validator for the addresses of this start.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write_configs(
        &self,
        addresses: &[Addresses],
        lsps: &[LspAddresses],
    ) -> Result<(), Failure> {
        for index in 0..u16::try_from(lsps.len()).unwrap_or(u16::MAX) {
            self.write_lsp_config(index, lsps, addresses)?;
        }
        for (own, author) in addresses.iter().zip(0_u16..) {
            let others = addresses.iter().zip(0_u16..).filter(|(_, other)| *other != author);
            let config = Config {
                genesis: PathBuf::from("../genesis.json"),
                data_dir: PathBuf::from("data"),
                validator: Some(ValidatorConfig { author, secrets_dir: PathBuf::from(KEYS_DIR) }),
                follower: None,
                network: NetworkConfig {
                    listen: Some(own.mesh),
                    followers: Some(FollowersConfig {
                        admit: Admit::Any,
                        keys: Vec::new(),
                        count_max: FOLLOWERS_DEFAULT,
                    }),
                    peers: others
                        .map(|(other, index)| (index.to_string(), other.mesh.to_string()))
                        .collect(),
                },
                http: Some(HttpConfig { bind: own.http }),
                electrum: Some(ElectrumConfig { bind: own.electrum }),
                rpc: Some(RpcConfig {
                    bind: own.rpc,
                    cookie_file: Some(PathBuf::from(COOKIE_FILE)),
                }),
                bitcoin_p2p: Some(BitcoinP2pConfig { bind: own.bitcoin_p2p }),
                blobs: BlobsConfig {
                    peers: addresses
                        .iter()
                        .zip(0_u16..)
                        .map(|(other, index)| (index.to_string(), format!("http://{}", other.http)))
                        .collect(),
                    ..BlobsConfig::default()
                },
                pacing: PacingConfig::default(),
                limits: LimitsConfig::default(),
                retention: RetentionConfig::default(),
                development: Some(DevelopmentConfig {
                    faucet_key_file: Some(Path::new(KEYS_DIR).join(FAUCET_FILE)),
                    lsp_urls: lsps.iter().map(|lsp| format!("http://{}", lsp.api)).collect(),
                    ..DevelopmentConfig::default()
                }),
            };
            let text = config.to_toml()?;
            files::write(&self.config_path(author), &text)?;
        }
        Ok(())
    }

    /// The first provider opens the channel to the second; each asks a node of its own.
    fn write_lsp_config(
        &self,
        index: u16,
        all: &[LspAddresses],
        nodes: &[Addresses],
    ) -> Result<(), Failure> {
        let place = usize::from(index);
        let node = nodes.get(place).or(nodes.first());
        let (Some(own), Some(node)) = (all.get(place), node) else { return Ok(()) };
        let others = all.iter().filter(|other| *other != own);
        let config = lsp::Config {
            node: format!("http://{}", node.http),
            data_dir: PathBuf::from("data"),
            seed_file: PathBuf::from("seed"),
            lightning: lsp::LightningConfig {
                listen: own.lightning,
                announce: None,
                alias: format!("devnet {index}"),
                peers: Vec::new(),
                partners: others.map(|other| format!("http://{}", other.api)).collect(),
            },
            api: lsp::ApiConfig { bind: own.api, token_file: None },
            channels: lsp::ChannelsConfig::default(),
            development: Some(lsp::DevelopmentConfig {
                float_sat: LSP_FLOAT_SAT,
                partner_channel_sat: if index == 0 { LSP_CHANNEL_SAT } else { 0 },
            }),
        };
        files::create_dir(&self.lsp_dir(index))?;
        files::write(&self.lsp_config_path(index), &config.to_toml()?)
    }

    /// One validator's configuration.
    pub(crate) fn config_path(&self, index: u16) -> PathBuf {
        self.validator_dir(index).join("node.toml")
    }

    fn create(&self, wishes: &Wishes) -> Result<(Genesis, Vec<FundedWallet>), Failure> {
        let (wallets, mut allocations) = wallets::make()?;
        let mut cards = Vec::new();
        let validators = wishes.validators.unwrap_or(VALIDATORS_DEFAULT);
        for index in 0..validators {
            let keys = self.validator_dir(index).join(KEYS_DIR);
            let secrets = Secrets::generate()?;
            secrets.write(&keys)?;
            cards.push(secrets.card(format!("validator {index}")));
            // Each node's faucet has money of its own, so that two never spend the same coin.
            let faucet = secrets::private_key()?;
            files::write_secret(&keys.join(FAUCET_FILE), &format!("{}\n", faucet.to_wif()))?;
            allocations.extend(wallets::faucet_allocations(&faucet, validators));
        }
        let defaults = LedgerParameters::default();
        let plan = dealer::Plan {
            name: "devnet".to_owned(),
            cards,
            block_interval_ms: wishes
                .block_interval
                .map_or(defaults.block_interval_ms, Time::millis),
            max_block_weight: wishes.max_block_weight.unwrap_or(defaults.max_block_weight),
            allocations,
        };
        let (genesis, coins) = dealer::deal(plan)?;
        for (secret, index) in coins.iter().zip(0_u16..) {
            let keys = self.validator_dir(index).join(KEYS_DIR);
            secrets::write_coin(&keys.join(COIN_FILE), secret)?;
        }
        wallets::write(&self.wallets_path(), &wallets)?;
        files::write_json(&self.genesis_path(), &genesis)?;
        Ok((genesis, wallets))
    }

    fn check_mark(&self) -> Result<(), Failure> {
        let path = self.dir.join("network.json");
        if !path.exists() {
            return Ok(());
        }
        let mark: Mark = files::read_json(&path)?;
        if data_version(&mark.program) == data_version(PROGRAM) {
            return Ok(());
        }
        Err(Failure::OtherVersion { dir: self.dir.clone(), found: mark.program, this: PROGRAM })
    }

    fn check_wishes(&self, genesis: &Genesis, wishes: &Wishes) -> Result<(), Failure> {
        let ledger = &genesis.ledger;
        let validators = u64::try_from(genesis.validators.len()).unwrap_or(u64::MAX);
        let rows = [
            ("validators", validators, wishes.validators.map(u64::from)),
            (
                "a block interval in milliseconds of",
                ledger.block_interval_ms,
                wishes.block_interval.map(Time::millis),
            ),
            ("a largest block weight of", ledger.max_block_weight, wishes.max_block_weight),
        ];
        for (what, found, asked) in rows {
            if let Some(asked) = asked
                && asked != found
            {
                return Err(Failure::OtherParameters {
                    dir: self.dir.clone(),
                    what,
                    found: found.to_string(),
                    asked: asked.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// `1.2.3` keeps its data as every `1.2` does.
fn data_version(program: &str) -> &str {
    program.rsplit_once('.').map_or(program, |(version, _)| version)
}

/// The folders that a network makes.
fn is_ours(name: &OsStr) -> bool {
    is_numbered(name, LSP_PREFIX) || is_numbered(name, "validator-")
}

fn is_numbered(name: &OsStr, prefix: &str) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(prefix))
        .is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::ports;

    fn open(dir: &Path, wishes: &Wishes) -> Result<Network, Failure> {
        Folder::take(dir)?.open(wishes)
    }

    const FIRST: ports::First =
        ports::First { http: 3_000, electrum: None, rpc: None, bitcoin_p2p: None };

    #[test]
    fn a_second_start_resumes_the_same_network() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), &Wishes::default()).unwrap();
        let second = open(dir.path(), &Wishes::default()).unwrap();
        assert!(!first.resumed && second.resumed);
        assert_eq!(first.genesis.chain(), second.genesis.chain());
        assert_eq!(first.wallets, second.wallets);
    }

    #[test]
    fn every_validator_has_a_configuration_that_passes_its_check() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::take(dir.path()).unwrap();
        folder.open(&Wishes { validators: Some(4), ..Wishes::default() }).unwrap();
        folder.write_configs(&ports::plan(FIRST, 4).unwrap(), &[]).unwrap();
        for index in 0..4 {
            let checked = Config::load(&folder.config_path(index)).unwrap().check().unwrap();
            assert_eq!(checked.identity.author().map(|author| author.value()), Some(index));
            assert!(checked.faucet_key.is_some());
        }
    }

    #[test]
    fn a_flag_that_the_network_was_not_born_with_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &Wishes { validators: Some(1), ..Wishes::default() }).unwrap();
        let same = Wishes { validators: Some(1), ..Wishes::default() };
        assert!(open(dir.path(), &same).is_ok());
        let other = Wishes { validators: Some(4), ..Wishes::default() };
        let failure = open(dir.path(), &other).unwrap_err();
        assert!(matches!(failure, Failure::OtherParameters { what: "validators", .. }));
    }

    #[test]
    fn a_folder_is_held_by_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = Folder::take(dir.path()).unwrap();
        assert!(matches!(Folder::take(dir.path()), Err(Failure::DevnetRunning { .. })));
        drop(held);
        assert!(Folder::take(dir.path()).is_ok());
    }

    #[test]
    fn a_network_of_another_version_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &Wishes::default()).unwrap();
        files::write(&dir.path().join("network.json"), r#"{"program":"0.0.9"}"#).unwrap();
        let failure = open(dir.path(), &Wishes::default()).unwrap_err();
        assert!(matches!(failure, Failure::OtherVersion { .. }));
        assert!(dir.path().join("genesis.json").exists());
    }

    #[test]
    fn a_reset_leaves_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), &Wishes::default()).unwrap();
        files::write(&dir.path().join("notes.txt"), "mine").unwrap();
        Folder::take(dir.path()).unwrap().reset().unwrap();
        assert!(dir.path().join("notes.txt").exists());
        let second = open(dir.path(), &Wishes::default()).unwrap();
        assert_ne!(first.genesis.chain(), second.genesis.chain());
    }

    #[test]
    fn a_folder_with_other_things_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("notes.txt"), "mine").unwrap();
        let failure = Folder::take(dir.path()).unwrap_err();
        assert!(matches!(failure, Failure::ForeignFolder { .. }));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
