//! A wallet: a folder, and a daemon that lives in it.
//!
//! ```text
//! DIR/wallet.toml      which node and which service provider
//!     seed.enc         the seed, encrypted
//!     ldk/             LDK's store
//!     payments.jsonl   what each payment has come to
//!     offer.txt        the offer, for whoever asks while the daemon is off
//!     control.sock     requests to the daemon
//!     lock             held while it runs
//! ```
//!
//! The daemon is a few tasks around LDK: `actor` owns what the wallet knows and answers requests,
//! `liaison` keeps up the connection to the service provider, `progress` finds out which payments
//! are held, and the crate's chain watcher makes LDK look at the chain when something happened there.

mod actor;
mod answer;
mod liaison;
mod progress;
pub mod view;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use ldk_node::Node;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::config::AnchorChannelsConfig;
use ldk_node::config::AsyncPaymentsRole;
use ldk_node::lightning::ln::msgs::SocketAddress;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;
use types::Digest;

use crate::PaymentsError;
use crate::chain::Chain;
use crate::control;
use crate::journal::Journal;
use crate::ldk;
use crate::lock;
use crate::seed::Passphrase;
use crate::seed::Seed;
use crate::service::ServiceClient;

use self::actor::Actor;
use self::liaison::Liaison;

/// How many requests wait for the daemon's task; the next ones wait in their connections.
const REQUESTS_MAX: usize = 64;
/// How long to wait before a node that is away is asked again.
const NODE_RETRY: Duration = Duration::from_secs(1);
const PRIVATE: u32 = 0o600;

/// Which node and which service provider a wallet uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node, as a URL. Any node of the network will do; change it as you like.
    pub node: String,
    /// The network, which the node has to belong to.
    pub chain: Digest,
    /// The service provider. Without one the wallet can neither pay nor be paid over Lightning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsp: Option<Provider>,
}

/// A service provider as a wallet knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Where it answers, as a URL.
    pub url: String,
    /// Its Lightning node. Whoever answers at the URL has to have its key.
    pub node_id: PublicKey,
    /// Where that listens.
    pub address: SocketAddr,
    /// What admits this wallet, where the provider asks for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What a new wallet is made from.
#[derive(Debug)]
pub struct Init<'a> {
    /// Its folder.
    pub dir: &'a Path,
    /// Its configuration.
    pub config: &'a Config,
    /// Its seed.
    pub seed: &'a Seed,
    /// What opens the seed.
    pub passphrase: &'a Passphrase,
}

/// What a daemon starts from.
#[derive(Debug)]
pub struct Options {
    /// The wallet's folder.
    pub dir: PathBuf,
    /// What opens its seed.
    pub passphrase: Passphrase,
}

impl Config {
    /// Asks a node which network it is on and who its service provider is.
    ///
    /// # Errors
    /// When the node or the provider can not be asked, or they are on different networks.
    pub async fn discover(
        url: &str,
        provider: Option<&str>,
        token: Option<String>,
    ) -> Result<Self, PaymentsError> {
        let status = Client::new(url)?.status().await?;
        let lsp = match provider {
            Some(named) => Some(Provider::discover(named, status.chain, token).await?),
            None => Provider::choose(&status.lsps, status.chain, token).await?,
        };
        Ok(Self { node: url.to_owned(), chain: status.chain, lsp })
    }

    /// The wallet's configuration in a folder.
    ///
    /// # Errors
    /// When there is none, or it can not be read.
    pub fn read(dir: &Path) -> Result<Self, PaymentsError> {
        let path = config_path(dir);
        if !path.exists() {
            return Err(PaymentsError::NoWallet { dir: dir.to_owned() });
        }
        let text = fs::read_to_string(&path).map_err(|source| PaymentsError::at(&path, source))?;
        toml::from_str(&text)
            .map_err(|error| PaymentsError::Contents { path, reason: error.to_string() })
    }
}

impl Provider {
    /// Takes the one with the fewest wallets, so that wallets made one after the other are with
    /// different ones.
    async fn choose(
        urls: &[String],
        chain: Digest,
        token: Option<String>,
    ) -> Result<Option<Self>, PaymentsError> {
        let mut least: Option<(usize, &String)> = None;
        for url in urls {
            let wallets = ServiceClient::new(url)?.card().await?.wallets;
            if least.is_none_or(|(fewest, _)| wallets < fewest) {
                least = Some((wallets, url));
            }
        }
        match least {
            Some((_, url)) => Self::discover(url, chain, token).await.map(Some),
            None => Ok(None),
        }
    }

    /// Asks a provider who it is. `named` is its URL, or its node's key and URL with an `@` between.
    async fn discover(
        named: &str,
        chain: Digest,
        token: Option<String>,
    ) -> Result<Self, PaymentsError> {
        let (expected, url) = match named.split_once('@') {
            Some((key, url)) => (Some(key), url),
            None => (None, named),
        };
        let card = ServiceClient::new(url)?.card().await?;
        if card.chain != chain {
            return Err(PaymentsError::OtherNetwork {
                url: url.to_owned(),
                found: card.chain,
                expected: chain,
            });
        }
        if expected.is_some_and(|expected| expected != card.node_id.to_string()) {
            let reason = format!("its key is {}, not the one you named", card.node_id);
            return Err(PaymentsError::Service { url: url.to_owned(), reason });
        }
        Ok(Self { url: url.to_owned(), node_id: card.node_id, address: card.address, token })
    }
}

/// Makes a wallet.
///
/// # Errors
/// When there is one, or the file system refuses.
pub fn init(init: &Init<'_>) -> Result<(), PaymentsError> {
    let Init { dir, config, seed, passphrase } = init;
    if config_path(dir).exists() || seed_path(dir).exists() {
        return Err(PaymentsError::WalletExists { dir: dir.to_path_buf() });
    }
    lock::create_dir(dir)?;
    seed.write(&seed_path(dir), passphrase)?;
    let path = config_path(dir);
    let text = toml::to_string(config).map_err(|error| PaymentsError::Contents {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    lock::replace(&path, text.as_bytes(), PRIVATE)
}

/// The offer that a wallet had when its daemon last ran.
pub fn stored_offer(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(offer_path(dir)).ok()?;
    let offer = text.trim();
    (!offer.is_empty()).then(|| offer.to_owned())
}

/// Where a wallet's seed is.
pub fn seed_path(dir: &Path) -> PathBuf {
    dir.join("seed.enc")
}

fn config_path(dir: &Path) -> PathBuf {
    dir.join("wallet.toml")
}

fn offer_path(dir: &Path) -> PathBuf {
    dir.join("offer.txt")
}

/// Runs a wallet's daemon until it is told to stop. `ready` is called once it takes requests.
///
/// # Errors
/// When it can not start, or a durable write fails.
pub async fn run(
    options: Options,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), PaymentsError> {
    let Options { dir, passphrase } = options;
    let config = Config::read(&dir)?;
    let _held = lock::hold(&dir)?;
    let journal = Journal::open(&dir.join("payments.jsonl"))?;
    let path = seed_path(&dir);
    let opened = tokio::task::spawn_blocking(move || Seed::open(&path, &passphrase)).await;
    let seed = opened.map_err(|_| PaymentsError::Lost { what: "opening the seed" })??;
    let client = Client::new(&config.node)?;
    let Some(node) = start(&config, &client, &seed, &dir, &stop).await? else { return Ok(()) };
    info!(node = %node.node_id(), "the wallet is running");

    let chain = Chain::new();
    let mut tasks = JoinSet::new();
    let ended = CancellationToken::new();
    tasks.spawn(chain.clone().watch(client.clone(), ended.clone()));
    tasks.spawn(chain.clone().sync(Arc::clone(&node), ended.clone()));
    let liaison = Liaison::new(&config, Arc::clone(&node), offer_path(&dir))?;
    let offers = liaison.offers();
    tasks.spawn(liaison.run(ended.clone()));
    let socket = control::socket_path(&dir);
    let listener = control::listen(&socket)?;
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    tasks.spawn(control::serve(listener, sender, ended.clone()));
    ready();

    let actor = Actor::new(config, Arc::clone(&node), journal, chain, offers)?;
    let result = actor.run(requests, stop).await;
    ended.cancel();
    let stopped = tokio::task::spawn_blocking(move || node.stop()).await;
    while tasks.join_next().await.is_some() {}
    if !matches!(stopped, Ok(Ok(()))) {
        warn!(?stopped, "LDK did not stop in order");
    }
    info!("the wallet has stopped");
    // Last: whoever waits for the end waits for this.
    fs::remove_file(&socket).ok();
    result
}

/// Builds LDK's node and starts it, as soon as the chain's node answers; none when told to stop before.
async fn start(
    config: &Config,
    client: &Client,
    seed: &Seed,
    dir: &Path,
    stop: &CancellationToken,
) -> Result<Option<Arc<Node>>, PaymentsError> {
    loop {
        match client.status().await {
            Ok(status) if status.chain == config.chain => break,
            Ok(status) => {
                return Err(PaymentsError::OtherNetwork {
                    url: config.node.clone(),
                    found: status.chain,
                    expected: config.chain,
                });
            }
            Err(error) if error.is_passing() => warn!(%error, "waiting for the node"),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = sleep(NODE_RETRY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
    let mut ldk_config = ldk_node::config::Config::default();
    let trusted = config.lsp.iter().map(|lsp| lsp.node_id).collect();
    let anchors = AnchorChannelsConfig {
        trusted_peers_no_reserve: trusted,
        ..AnchorChannelsConfig::default()
    };
    ldk_config.anchor_channels_config = Some(anchors);
    let mut builder = ldk::builder(ldk_config, seed, &config.node, &dir.join("ldk"));
    if let Some(lsp) = &config.lsp {
        let address = SocketAddress::from(lsp.address);
        builder.set_liquidity_source_lsps2(lsp.node_id, address, lsp.token.clone());
    }
    builder.set_async_payments_role(Some(AsyncPaymentsRole::Client))?;
    ldk::start(builder, None, stop).await
}
