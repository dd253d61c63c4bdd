//! A Lightning service provider: always on, for those who are not.
//!
//! It holds what its wallets send to people who are away, serves the invoices of its wallets while
//! they are away, and opens channels to them. LDK does that with the role of a server; around it are
//! `api`, over which wallets become known, `admission`, which bounds what strangers can ask for,
//! and on development networks a float that refills itself from the faucet.

mod admission;
mod api;
mod config;
mod known;
mod metrics;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use ldk_node::Event;
use ldk_node::Node;
use ldk_node::config::AsyncPaymentsRole;
use ldk_node::config::ChannelConfig;
use ldk_node::liquidity::LSPS2ServiceConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::PaymentsError;
use crate::chain::Chain;
use crate::ldk;
use crate::lock;
use crate::seed::Seed;
use crate::service::Card;
use crate::service::Partner;
use crate::service::ServiceClient;

use self::metrics::Metrics;

pub use config::ApiConfig;
pub use config::ChannelsConfig;
pub use config::Checked;
pub use config::Config;
pub use config::DevelopmentConfig;
pub use config::LightningConfig;

/// How many blocks LDK holds a payment at least: what is left of its deadlines after every hop's own.
const HOLD_BLOCKS: u32 = 42;
/// How often peers and the float are looked at.
const CARE_EVERY: Duration = Duration::from_secs(2);
/// How long to wait before the chain's node is asked again.
const NODE_RETRY: Duration = Duration::from_secs(1);
/// How much a development network's faucet is asked for at once.
const GIFT_SAT: u64 = 100_000_000;
/// The blocks that a channel which came with a payment stays open at least.
const CHANNEL_LIFETIME_BLOCKS: u32 = 1_008;
const CLIENT_DELAY_MAX_BLOCKS: u32 = 2_016;
/// How much larger than the payment its channel is, in millionths.
const OVERPROVISION_PPM: u32 = 1_000_000;
const PAYMENT_MIN_MSAT: u64 = 1_000_000;
const PAYMENT_MAX_MSAT: u64 = 10_000_000_000;
/// How many partners wallets are told of.
const PARTNERS_MAX: usize = 16;
/// How often, and how many times, a channel that is being opened is looked at.
const OPEN_LOOK: Duration = Duration::from_millis(200);
const OPEN_LOOKS: usize = 50;
/// How many blocks a public channel waits for, and one more for the funding that is on its way.
const ANNOUNCE_BLOCKS: u16 = 7;

/// What the tasks of a provider share.
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) card: Card,
    pub(crate) channels: ChannelsConfig,
    pub(crate) token: Option<String>,
    pub(crate) metrics: Metrics,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) partners: watch::Sender<Vec<Partner>>,
}

impl Shared {
    /// What is taken for passing payments on.
    pub(crate) fn channel_config(&self) -> ChannelConfig {
        ChannelConfig {
            forwarding_fee_base_msat: self.channels.forward_fee_base_msat,
            forwarding_fee_proportional_millionths: self.channels.forward_fee_ppm,
            ..ChannelConfig::default()
        }
    }
}

/// Runs a provider until it is told to stop. `started` is called once it serves.
///
/// # Errors
/// When it can not start.
pub async fn run(
    config: Checked,
    stop: CancellationToken,
    started: impl FnOnce(),
) -> Result<(), PaymentsError> {
    lock::create_dir(&config.data_dir)?;
    let _held = lock::hold(&config.data_dir)?;
    if !config.seed_file.exists() {
        Seed::generate()?.write_plain(&config.seed_file)?;
        info!(file = %config.seed_file.display(), "made a new seed; keep a copy of it");
    }
    let seed = Seed::read_plain(&config.seed_file)?;
    let client = Client::new(&config.node)?;
    let Some(status) = wait_for_node(&client, &stop).await? else { return Ok(()) };
    check_chain(&config, status.chain)?;
    let bound = TcpListener::bind(config.bind).await;
    let listener = bound.map_err(|source| PaymentsError::Config {
        path: config.data_dir.clone(),
        key: "api.bind",
        reason: format!("{}: {source}", config.bind),
    })?;
    let store = known::open_store(&config.data_dir.join("ldk"), &seed)?;
    let builder = builder(&config, &seed)?;
    let Some(node) = ldk::start(builder, Some(store), &stop).await? else { return Ok(()) };
    let card = Card {
        node_id: node.node_id(),
        address: config.lightning.announce.unwrap_or(config.lightning.listen),
        alias: config.lightning.alias.clone(),
        chain: status.chain,
        development: status.development,
        channel_sat: config.channels.new_wallet_sat,
        hold_blocks: HOLD_BLOCKS,
        wallets: 0,
        partners: Vec::new(),
    };
    info!(node = %card.node_id, lightning = %card.address, api = %config.bind, "the service provider is running");
    let shared = Arc::new(Shared {
        node: Arc::clone(&node),
        card,
        channels: config.channels.clone(),
        token: config.token.clone(),
        metrics: Metrics::new(),
        ready: watch::Sender::new(false),
        partners: watch::Sender::new(Vec::new()),
    });

    let chain = Chain::new();
    let ended = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(chain.clone().watch(client.clone(), ended.clone()));
    tasks.spawn(chain.clone().sync(Arc::clone(&node), ended.clone()));
    tasks.spawn(care(Arc::clone(&shared), config, client, chain, ended.clone()));
    let service = api::router(&shared).into_make_service_with_connect_info::<SocketAddr>();
    let drained = ended.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(drained.cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = server.await {
            warn!(%error, "wallets are not answered any more");
        }
    });
    started();
    let result = listen(&shared, &stop).await;
    ended.cancel();
    let stopped = tokio::task::spawn_blocking(move || node.stop()).await;
    while tasks.join_next().await.is_some() {}
    if !matches!(stopped, Ok(Ok(()))) {
        warn!(?stopped, "LDK did not stop in order");
    }
    info!("the service provider has stopped");
    result
}

/// Hears LDK's events until told to stop.
async fn listen(shared: &Shared, stop: &CancellationToken) -> Result<(), PaymentsError> {
    loop {
        let event = tokio::select! {
            event = shared.node.next_event_async() => event,
            () = stop.cancelled() => return Ok(()),
        };
        match event {
            Event::PaymentForwarded {
                total_fee_earned_msat,
                outbound_amount_forwarded_msat,
                skimmed_fee_msat,
                ..
            } => {
                let fee = total_fee_earned_msat.unwrap_or(0);
                let amount = outbound_amount_forwarded_msat.unwrap_or(0);
                shared.metrics.forwarded(amount, fee);
                info!(amount, fee, skimmed = skimmed_fee_msat.unwrap_or(0), "passed a payment on");
            }
            Event::ChannelReady { channel_id, counterparty_node_id, .. } => {
                info!(%channel_id, wallet = ?counterparty_node_id, "a channel is ready");
            }
            Event::ChannelClosed { channel_id, reason, .. } => {
                let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
                info!(%channel_id, reason, "a channel is closed");
            }
            other => debug!(event = ldk::words(&other), "LDK says"),
        }
        shared.node.event_handled()?;
    }
}

/// Keeps up connections to other providers, and on a development network the float and the channels
/// among providers.
async fn care(
    shared: Arc<Shared>,
    config: Checked,
    client: Client,
    chain: Chain,
    stop: CancellationToken,
) {
    let development = config.development.clone();
    let work = async {
        loop {
            if shared.card.development
                && development.float_sat > 0
                && let Err(error) =
                    fill_float(&shared, &client, &chain, development.float_sat).await
            {
                warn!(%error, "the float can not be filled");
            }
            for (node_id, address) in &config.peers {
                connect(&shared, Partner { node_id: *node_id, address: *address }).await;
            }
            let mut settled = true;
            for url in &config.lightning.partners {
                match befriend(&shared, &client, url, development.partner_channel_sat).await {
                    Ok(done) => settled &= done,
                    Err(error) => {
                        settled = false;
                        debug!(%error, "a partner is away");
                    }
                }
            }
            if settled || development.partner_channel_sat == 0 {
                shared.ready.send_replace(true);
            }
            sleep(CARE_EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn connect(shared: &Shared, partner: Partner) {
    let (node, Partner { node_id, address }) = (Arc::clone(&shared.node), partner);
    let peers = node.list_peers();
    if peers.iter().any(|peer| peer.node_id == node_id && peer.is_connected) {
        return;
    }
    let connecting =
        tokio::task::spawn_blocking(move || node.connect(node_id, address.into(), true));
    if let Ok(Err(error)) = connecting.await {
        debug!(%node_id, %error, "another provider is away");
    }
}

/// Keeps up with a partner: the connection, what wallets are told, and where it is asked for the
/// channel. Whether that can be used.
async fn befriend(
    shared: &Shared,
    client: &Client,
    url: &str,
    channel_sat: u64,
) -> Result<bool, PaymentsError> {
    let known = shared.partners.borrow().len();
    let card = ServiceClient::new(url)?.card().await?;
    let partner = Partner { node_id: card.node_id, address: card.address };
    connect(shared, partner.clone()).await;
    shared.partners.send_if_modified(|partners| {
        let new = !partners.contains(&partner) && known < PARTNERS_MAX;
        if new {
            partners.push(partner.clone());
        }
        new
    });
    let channels = shared.node.list_channels();
    let with =
        channels.iter().find(|one| one.counterparty_node_id == partner.node_id && one.is_announced);
    match with {
        Some(channel) => Ok(channel.is_usable),
        None if channel_sat == 0 || !shared.card.development => Ok(false),
        None => {
            let node = Arc::clone(&shared.node);
            let push = Some(channel_sat / 2 * 1_000);
            let config = Some(shared.channel_config());
            let Partner { node_id, address } = partner;
            let opened = tokio::task::spawn_blocking(move || {
                node.open_announced_channel(node_id, address.into(), channel_sat, push, config)
            })
            .await;
            opened.map_err(|_| PaymentsError::Lost { what: "LDK" })??;
            let pending =
                || shared.node.list_channels().iter().any(|one| one.funding_txo.is_some());
            for _ in 0..OPEN_LOOKS {
                if pending() {
                    break;
                }
                sleep(OPEN_LOOK).await;
            }
            sleep(OPEN_LOOK).await;
            // What confirms it is blocks, which a development network seals when asked.
            client.ticks(ANNOUNCE_BLOCKS).await?;
            Ok(false)
        }
    }
}

/// Asks the faucet for coins while there are fewer than wanted, and has them sealed.
async fn fill_float(
    shared: &Shared,
    client: &Client,
    chain: &Chain,
    float_sat: u64,
) -> Result<(), PaymentsError> {
    let has = || shared.node.list_balances().total_onchain_balance_sats;
    let mut missing = float_sat.saturating_sub(has());
    if missing < float_sat / 2 {
        return Ok(());
    }
    let mut synced = chain.synced();
    while missing > 0 {
        let address = shared.node.onchain_payment().new_address()?;
        let gift = bitcoin::Amount::from_sat(missing.min(GIFT_SAT));
        client.faucet(&address.into_unchecked(), gift).await?;
        missing = missing.saturating_sub(GIFT_SAT);
    }
    client.ticks(1).await?;
    // The block's event has LDK look; it sees the coins with the first look that begins after it.
    let wanted = float_sat / 2;
    let seen = async {
        while shared.node.list_balances().spendable_onchain_balance_sats < wanted {
            chain.touch();
            if synced.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), seen).await.is_err() {
        warn!("the float did not arrive in time");
    }
    Ok(())
}

async fn wait_for_node(
    client: &Client,
    stop: &CancellationToken,
) -> Result<Option<client::api::Status>, PaymentsError> {
    loop {
        match client.status().await {
            Ok(status) => return Ok(Some(status)),
            Err(error) if error.is_passing() => warn!(%error, "waiting for the node"),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = sleep(NODE_RETRY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// A provider's channels are on one network for ever: the first start writes down which.
fn check_chain(config: &Checked, chain: types::Digest) -> Result<(), PaymentsError> {
    let path = config.data_dir.join("chain");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim() == chain.to_string() => Ok(()),
        Ok(text) => Err(PaymentsError::Contents {
            path,
            reason: format!("it was made for network {}, the node is on {chain}", text.trim()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            lock::replace(&path, format!("{chain}\n").as_bytes(), 0o600)
        }
        Err(source) => Err(PaymentsError::at(&path, source)),
    }
}

fn builder(config: &Checked, seed: &Seed) -> Result<ldk_node::Builder, PaymentsError> {
    let ldk_config = ldk_node::config::Config::default();
    let dir = config.data_dir.join("ldk");
    let mut builder = ldk::builder(ldk_config, seed, &config.node, &dir);
    builder.set_listening_addresses(vec![config.lightning.listen.into()])?;
    if let Some(announce) = config.lightning.announce {
        builder.set_announcement_addresses(vec![announce.into()])?;
    }
    builder.set_node_alias(config.lightning.alias.clone())?;
    builder.set_async_payments_role(Some(AsyncPaymentsRole::Server))?;
    builder.set_liquidity_provider_lsps2(LSPS2ServiceConfig {
        require_token: config.token.clone(),
        advertise_service: false,
        channel_opening_fee_ppm: config.channels.opening_fee_ppm,
        channel_over_provisioning_ppm: OVERPROVISION_PPM,
        min_channel_opening_fee_msat: config.channels.opening_fee_min_msat,
        min_channel_lifetime: CHANNEL_LIFETIME_BLOCKS,
        max_client_to_self_delay: CLIENT_DELAY_MAX_BLOCKS,
        min_payment_size_msat: PAYMENT_MIN_MSAT,
        max_payment_size_msat: PAYMENT_MAX_MSAT,
        client_trusts_lsp: true,
    });
    Ok(builder)
}
