//! The one check of a configuration: files are read, keys are held against the genesis, numbers
//! against their ranges. Nothing behind it checks again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::PrivateKey;
use ledger::mempool::MempoolLimits;
use ledger::mempool::Standardness;
use types::Author;
use types::Committee;
use types::Genesis;
use types::SecretKey;
use types::Span;

use crate::config::Admission;
use crate::config::BlobsConfig;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::DevelopmentConfig;
use crate::config::FollowerConfig;
use crate::config::Forwarding;
use crate::config::LimitsConfig;
use crate::config::ValidatorConfig;
use crate::keys;
use crate::keys::Keys;
use crate::keys::UnusedMark;

/// Where Bitcoin's tools look for the password, in the data folder.
const COOKIE_FILE: &str = ".cookie";
const MIB: usize = 1 << 20;
/// A frame of the largest class must fit.
const QUEUE_MIB_LEAST: u32 = 4;
const QUEUE_MIB_MOST: u32 = 4_096;
const PENDING_HANDSHAKES_MOST: u32 = 10_000;
const TIMEOUT_MS_MOST: u64 = 600_000;
const INTERVAL_MS_MOST: u64 = 3_600_000;
/// So many that whoever reads along never meets what was removed.
const EVENTS_KEPT_LEAST: u64 = 100_000;
const LINK_DELAY_MS_MOST: u64 = 60_000;
/// More than any disk holds: an exbibyte.
const BLOBS_MIB_MOST: u64 = 1 << 40;
/// A year: more than any clock is wrong by accident.
const CLOCK_OFFSET_MS_MOST: i64 = 366 * 24 * 3_600_000;

/// A configuration that has passed its check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The parameters of the network.
    pub genesis: Arc<Genesis>,
    /// The validators.
    pub committee: Arc<Committee>,
    /// Where the node keeps its database.
    pub data_dir: PathBuf,
    /// Who the node is.
    pub identity: Identity,
    /// Where others connect to; none for a follower.
    pub listen: Option<SocketAddr>,
    /// Where the others listen: at a validator every other one has an entry.
    pub peers: BTreeMap<Author, String>,
    /// Whom this validator lets follow.
    pub followers: Admission,
    /// Where HTTP is served, if at all.
    pub http: Option<SocketAddr>,
    /// Where Electrum's protocol is served, if at all.
    pub electrum: Option<SocketAddr>,
    /// Where Bitcoin's own network is served, if at all.
    pub bitcoin_p2p: Option<SocketAddr>,
    /// Where Bitcoin Core's remote procedure calls are served, if at all.
    pub rpc: Option<Rpc>,
    /// The least time between two own vertices.
    pub min_round_interval: Span,
    /// The time between two own vertices when nothing happens.
    pub idle_interval: Span,
    /// What others may use up.
    pub limits: Limits,
    /// How many events are kept; all of them when nobody says.
    pub events_kept: Option<u64>,
    /// The shards of blobs.
    pub blobs: Blobs,
    /// The key that the faucet pays from.
    pub faucet_key: Option<PrivateKey>,
    /// Where the network's Lightning service providers answer, on a development network.
    pub lsp_urls: Vec<String>,
    /// What the pool admits.
    pub pool: MempoolLimits,
    /// How links are made worse on purpose.
    pub link: LinkFaults,
    /// How far the clock is set off on purpose, in milliseconds.
    pub clock_offset_ms: i64,
}

/// Where remote procedure calls are served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    /// Where.
    pub bind: SocketAddr,
    /// The file with the password of a run.
    pub cookie_file: PathBuf,
}

/// Who a node is, and its secrets.
#[derive(Clone, Debug)]
pub enum Identity {
    /// It makes vertices.
    Validator {
        /// Its place in the committee.
        author: Author,
        /// Its secrets.
        keys: Box<Keys>,
        /// Whether they have never signed.
        unused: UnusedMark,
    },
    /// It follows.
    Follower {
        /// Identifies it on the network.
        transport: Box<SecretKey>,
        /// Where it hands submitted transactions on to.
        forwarding: Forwarding,
    },
}

impl Identity {
    /// Which validator this is; none for a follower.
    pub const fn author(&self) -> Option<Author> {
        match self {
            Self::Validator { author, .. } => Some(*author),
            Self::Follower { .. } => None,
        }
    }

    /// The mark of a validator's keys; none for a follower.
    pub fn unused(&self) -> Option<&UnusedMark> {
        match self {
            Self::Validator { unused, .. } => Some(unused),
            Self::Follower { .. } => None,
        }
    }

    /// The secrets of a validator.
    pub fn keys(&self) -> Option<&Keys> {
        match self {
            Self::Validator { keys, .. } => Some(keys),
            Self::Follower { .. } => None,
        }
    }

    /// Where submissions are handed on to: nowhere at a validator, which proposes them itself.
    pub(crate) fn into_forwarding(self) -> Forwarding {
        match self {
            Self::Validator { .. } => Forwarding::default(),
            Self::Follower { forwarding, .. } => forwarding,
        }
    }

    /// What identifies the node on the network.
    pub fn transport(&self) -> &SecretKey {
        match self {
            Self::Validator { keys, .. } => &keys.transport,
            Self::Follower { transport, .. } => transport,
        }
    }
}

/// What others may use up, in plain units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Received and not yet handled, a peer, in bytes.
    pub peer_inflight_bytes: usize,
    /// Waiting to be sent, a peer and connection, in bytes.
    pub peer_send_queue_bytes: usize,
    /// Connections that have not proven who they are.
    pub pending_handshakes: usize,
    /// How long such a connection may take.
    pub handshake_timeout: Duration,
    /// Threads that verify.
    pub verify_threads: usize,
}

/// The shards of blobs that a validator keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blobs {
    /// How much room they may take, in bytes.
    pub quota_bytes: u64,
    /// How much of the disk stays free.
    pub free_bytes_least: u64,
    /// How fast missing ones are fetched, in bytes a second.
    pub repair_bytes_per_s: u64,
    /// Where validators serve HTTP.
    pub peers: BTreeMap<Author, String>,
}

/// Faults that our own link layer adds, for experiments on development networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFaults {
    /// Holds every frame back for so long.
    pub delay: Duration,
    /// How many of a hundred control frames are lost.
    pub loss_percent: u8,
}

impl BlobsConfig {
    fn check(&self, committee: &Committee) -> Result<Blobs, ConfigError> {
        const BYTES: u64 = 1 << 20;
        within("blobs.quota_mib", self.quota_mib, 0, BLOBS_MIB_MOST)?;
        within("blobs.free_mib_least", self.free_mib_least, 0, BLOBS_MIB_MOST)?;
        within("blobs.repair_mib_per_s", self.repair_mib_per_s, 1, BLOBS_MIB_MOST)?;
        let mut peers = BTreeMap::new();
        for (name, url) in &self.peers {
            let author = name.parse().ok().map(Author::new);
            let author = author.filter(|author| committee.validator(*author).is_some());
            let Some(author) = author else {
                return Err(value(
                    "blobs.peers",
                    format!("{name} is no validator"),
                    "name validators by their places in the genesis, from 0",
                ));
            };
            if !url.starts_with("http://") {
                return Err(value(
                    "blobs.peers",
                    format!("{url} is no address of HTTP"),
                    "write http://host:port",
                ));
            }
            peers.insert(author, url.trim_end_matches('/').to_owned());
        }
        Ok(Blobs {
            quota_bytes: self.quota_mib * BYTES,
            free_bytes_least: self.free_mib_least * BYTES,
            repair_bytes_per_s: self.repair_mib_per_s * BYTES,
            peers,
        })
    }
}

impl Config {
    /// Checks everything once: reads the genesis and the secrets, holds each value against its
    /// range.
    ///
    /// # Errors
    /// Says which file or key is wrong, why, and what to do.
    pub fn check(&self) -> Result<Checked, ConfigError> {
        let genesis = read_genesis(&self.genesis)?;
        let committee = genesis
            .check()
            .map_err(|reason| ConfigError::Genesis { file: self.genesis.clone(), reason })?;
        let identity = self.identity(&committee)?;
        let own = identity.author();
        let peers = self.peers(own, &committee)?;
        let listen = self.listen(own)?;
        let followers = Admission::check(self.network.followers.as_ref(), own.is_some())?;
        let pacing = self.pacing;
        let least = pacing.min_round_interval_ms;
        within("pacing.min_round_interval_ms", least, 0, INTERVAL_MS_MOST)?;
        let idle = pacing.idle_interval_ms;
        within("pacing.idle_interval_ms", idle, least.max(1), INTERVAL_MS_MOST)?;
        let limits = self.limits.check()?;
        if let Some(events) = self.retention.events {
            within("retention.events", events, EVENTS_KEPT_LEAST, u64::MAX)?;
        }
        let clock_offset_ms =
            self.development.as_ref().map_or(0, |development| development.clock_offset_ms);
        let (faucet_key, link) = match &self.development {
            None => (None, LinkFaults::default()),
            Some(development) => development.check(genesis.development)?,
        };
        let mut pool = MempoolLimits::default();
        if self.development.as_ref().is_some_and(|development| development.accept_nonstandard) {
            pool.standardness = Standardness::Waived;
        }
        let blobs = self.blobs.check(&committee)?;
        Ok(Checked {
            genesis: Arc::new(genesis),
            committee: Arc::new(committee),
            data_dir: self.data_dir.clone(),
            identity,
            listen,
            peers,
            followers,
            http: self.http.as_ref().map(|http| http.bind),
            electrum: self.electrum.as_ref().map(|electrum| electrum.bind),
            bitcoin_p2p: self.bitcoin_p2p.as_ref().map(|bitcoin| bitcoin.bind),
            rpc: self.rpc.as_ref().map(|rpc| Rpc {
                bind: rpc.bind,
                cookie_file: rpc.cookie_file.clone().unwrap_or(self.data_dir.join(COOKIE_FILE)),
            }),
            min_round_interval: Span::from_millis(least),
            idle_interval: Span::from_millis(idle),
            limits,
            events_kept: self.retention.events,
            blobs,
            faucet_key,
            lsp_urls: self.development.as_ref().map_or_else(Vec::new, |part| part.lsp_urls.clone()),
            pool,
            link,
            clock_offset_ms,
        })
    }

    /// Who the node is: a validator or a follower, never both and never neither.
    fn identity(&self, committee: &Committee) -> Result<Identity, ConfigError> {
        match (&self.validator, &self.follower) {
            (Some(validator), None) => {
                let author = Self::author(validator, committee)?;
                let keys = Box::new(Keys::load(&validator.secrets_dir, author, committee)?);
                let unused = UnusedMark::find(&validator.secrets_dir);
                Ok(Identity::Validator { author, keys, unused })
            }
            (None, Some(FollowerConfig { secrets_dir, submit_to })) => {
                let forwarding = Forwarding::check(submit_to)?;
                let transport = Box::new(keys::load_transport(secrets_dir)?);
                Ok(Identity::Follower { transport, forwarding })
            }
            (Some(_), Some(_)) => Err(value(
                "follower",
                "there is a section [validator], too",
                "a node is one of the two: remove the other section",
            )),
            (None, None) => Err(value(
                "validator",
                "missing, and so is [follower]",
                "say which validator this is, or make it a follower",
            )),
        }
    }

    fn listen(&self, own: Option<Author>) -> Result<Option<SocketAddr>, ConfigError> {
        match (own, self.network.listen) {
            (Some(_), None) => Err(value(
                "network.listen",
                "missing",
                "a validator needs an address where the others reach it",
            )),
            (None, Some(_)) => Err(value(
                "network.listen",
                "nobody connects to a follower",
                "remove the key: a follower connects to validators by itself",
            )),
            (_, listen) => Ok(listen),
        }
    }

    fn author(validator: &ValidatorConfig, committee: &Committee) -> Result<Author, ConfigError> {
        let author = Author::new(validator.author);
        if committee.validator(author).is_none() {
            return Err(value(
                "validator.author",
                format_args!("{author} is not one of {} validators", committee.size()),
                "take this validator's place in the genesis, counted from 0",
            ));
        }
        Ok(author)
    }

    fn peers(
        &self,
        own: Option<Author>,
        committee: &Committee,
    ) -> Result<BTreeMap<Author, String>, ConfigError> {
        let mut peers = BTreeMap::new();
        for (name, address) in &self.network.peers {
            let key = format!("network.peers.{name}");
            let author = name.parse().map(Author::new).ok();
            let author = author.filter(|author| author.to_string() == *name);
            let Some(author) = author.filter(|author| committee.validator(*author).is_some())
            else {
                return Err(value(
                    &key,
                    format_args!("no such validator among {}", committee.size()),
                    "name peers by their place in the genesis, counted from 0",
                ));
            };
            if !is_host_and_port(address) {
                return Err(value(
                    &key,
                    format_args!("{address:?} is not host:port"),
                    "write for instance \"10.0.0.7:7000\"",
                ));
            }
            if Some(author) != own {
                peers.insert(author, address.clone());
            }
        }
        let Some(own) = own else {
            if peers.is_empty() {
                return Err(value(
                    "network.peers",
                    "empty",
                    "a follower needs the address of one validator at least, better of f + 1",
                ));
            }
            return Ok(peers);
        };
        let missing =
            committee.authors().find(|author| *author != own && !peers.contains_key(author));
        match missing {
            None => Ok(peers),
            Some(author) => Err(value(
                &format!("network.peers.{author}"),
                "missing",
                "every other validator of the genesis needs an address",
            )),
        }
    }
}

impl LimitsConfig {
    fn check(&self) -> Result<Limits, ConfigError> {
        let inflight = mib("limits.peer_inflight_mib", self.peer_inflight_mib)?;
        let queue = mib("limits.peer_send_queue_mib", self.peer_send_queue_mib)?;
        let pending = self.pending_handshakes;
        within("limits.pending_handshakes", pending, 1, PENDING_HANDSHAKES_MOST)?;
        let timeout = self.handshake_timeout_ms;
        within("limits.handshake_timeout_ms", timeout, 100, TIMEOUT_MS_MOST)?;
        within("limits.verify_threads", self.verify_threads, 0, 1_024)?;
        let threads = match self.verify_threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => usize::from(threads),
        };
        Ok(Limits {
            peer_inflight_bytes: inflight,
            peer_send_queue_bytes: queue,
            pending_handshakes: usize::try_from(pending).unwrap_or(usize::MAX),
            handshake_timeout: Duration::from_millis(timeout),
            verify_threads: threads,
        })
    }
}

impl DevelopmentConfig {
    fn check(&self, development: bool) -> Result<(Option<PrivateKey>, LinkFaults), ConfigError> {
        if !development {
            return Err(value(
                "development",
                "the genesis says that this is no development network",
                "remove the section",
            ));
        }
        within("development.link_delay_ms", self.link_delay_ms, 0, LINK_DELAY_MS_MOST)?;
        within("development.link_loss_percent", self.link_loss_percent, 0, 100)?;
        let (offset, most) = (self.clock_offset_ms, CLOCK_OFFSET_MS_MOST);
        within("development.clock_offset_ms", offset, -most, most)?;
        let faucet_key = self.faucet_key_file.as_deref().map(keys::read_wif).transpose()?;
        let link = LinkFaults {
            delay: Duration::from_millis(self.link_delay_ms),
            loss_percent: self.link_loss_percent,
        };
        Ok((faucet_key, link))
    }
}

fn read_genesis(file: &Path) -> Result<Genesis, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable {
        file: file.to_owned(),
        what: "the genesis",
        reason: error.to_string(),
    })?;
    serde_json::from_str(&text).map_err(|error| ConfigError::GenesisMalformed {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

fn is_host_and_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn mib(key: &str, actual: u32) -> Result<usize, ConfigError> {
    within(key, actual, QUEUE_MIB_LEAST, QUEUE_MIB_MOST)?;
    Ok(usize::try_from(actual).unwrap_or(usize::MAX).saturating_mul(MIB))
}

pub(super) fn within<T: PartialOrd + Display + Copy>(
    key: &str,
    actual: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    if least <= actual && actual <= most {
        return Ok(());
    }
    Err(value(
        key,
        format_args!("{actual} is out of range"),
        &format!("allowed are {least} to {most}"),
    ))
}

pub(super) fn value(key: &str, reason: impl Display, remedy: &str) -> ConfigError {
    ConfigError::Value {
        key: key.to_owned(),
        reason: reason.to_string(),
        remedy: remedy.to_owned(),
    }
}
