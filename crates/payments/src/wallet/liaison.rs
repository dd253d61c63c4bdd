//! Keeps up the connection to the service provider, and sees to it that this wallet can be paid while
//! it is off.
//!
//! A wallet without an offer proves to the provider who it is, is given a channel if it has none, and
//! then the paths over which LDK builds a static invoice with the provider. All of it is one step for
//! its owner: the offer is there when it is done. After a restart LDK still has it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ldk_node::Node;
use ldk_node::PeerDetails;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::blinded_path::message::BlindedMessagePath;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning::routing::gossip::NodeId;
use ldk_node::lightning::util::ser::Readable as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::PaymentsError;
use crate::lock;
use crate::service::Partner;
use crate::service::Register;
use crate::service::ServiceClient;
use crate::service::signed_text;

use super::Config;
use super::Provider;

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest pause between two tries to connect or to register.
const PAUSE_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// How long LDK may take to build a static invoice before it is given the paths again.
const OFFER_WAIT: Duration = Duration::from_secs(15);
/// How long a channel may take to become usable before the provider is asked again.
const CHANNEL_WAIT: Duration = Duration::from_secs(15);
/// How long a try to connect may take.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How often the provider is asked for its partners.
const PARTNERS_EVERY: Duration = Duration::from_secs(5);
const PRIVATE: u32 = 0o600;

/// What the wallet knows of its service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// Whether the provider is connected.
    pub(crate) connected: bool,
    /// The offer that is good while this wallet is off.
    pub(crate) offer: Option<String>,
}

/// The task.
#[derive(Debug)]
pub(crate) struct Liaison {
    provider: Option<(Provider, ServiceClient)>,
    node: NodeHandle,
    offer_path: PathBuf,
    service: watch::Sender<Service>,
}

/// The provider's partners, as it told them lately.
#[derive(Debug, Default)]
struct Partners {
    known: Vec<Partner>,
    asked: Option<Instant>,
}

/// LDK's node, which says nothing of itself in debug output.
struct NodeHandle(Arc<Node>);

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Node(..)")
    }
}

impl Liaison {
    pub(crate) fn new(
        config: &Config,
        node: Arc<Node>,
        offer_path: PathBuf,
    ) -> Result<Self, PaymentsError> {
        let provider = match &config.lsp {
            Some(provider) => Some((provider.clone(), ServiceClient::new(&provider.url)?)),
            None => None,
        };
        let service = watch::Sender::new(Service::default());
        Ok(Self { provider, node: NodeHandle(node), offer_path, service })
    }

    /// What the wallet knows of its service, now and from then on.
    pub(crate) fn offers(&self) -> watch::Receiver<Service> {
        self.service.subscribe()
    }

    /// Works until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some((provider, client)) = &self.provider else { return };
        let work = async {
            let mut pause = PAUSE_FIRST;
            let mut partners = Partners::default();
            loop {
                let next = match self.step(provider, client, &mut partners).await {
                    Ok(()) => {
                        pause = PAUSE_FIRST;
                        LOOK_EVERY
                    }
                    Err(error) => {
                        debug!(%error, "the service provider is not ready");
                        pause = (pause * 2).min(PAUSE_MAX);
                        pause
                    }
                };
                sleep(next).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn step(
        &self,
        provider: &Provider,
        client: &ServiceClient,
        partners: &mut Partners,
    ) -> Result<(), PaymentsError> {
        let connected = self.is_connected(provider);
        self.service.send_if_modified(|service| {
            let changed = service.connected != connected;
            service.connected = connected;
            changed
        });
        if !connected {
            return self.connect(provider.node_id, provider.address).await;
        }
        self.meet_partners(provider, client, partners).await;
        if self.service.borrow().offer.is_none() && !self.take_offer()? {
            self.become_payable(provider, client).await?;
        }
        Ok(())
    }

    fn is_connected(&self, provider: &Provider) -> bool {
        let peers = self.node.0.list_peers();
        peers.iter().any(|peer| peer.node_id == provider.node_id && peer.is_connected)
    }

    /// Connects to the provider's partners, over which this wallet reaches who is with them. LDK asks
    /// for one thing: as soon as it has more than one peer it builds paths over announced ones only, so
    /// all have to be in its graph first.
    async fn meet_partners(
        &self,
        provider: &Provider,
        client: &ServiceClient,
        partners: &mut Partners,
    ) {
        if partners.asked.is_none_or(|asked| asked.elapsed() >= PARTNERS_EVERY) {
            partners.asked = Some(Instant::now());
            match client.card().await {
                Ok(card) => partners.known = card.partners,
                Err(error) => debug!(%error, "the service provider does not tell its partners"),
            }
        }
        let graph = self.node.0.network_graph();
        let announced = |id: &PublicKey| graph.node(&NodeId::from_pubkey(id)).is_some();
        if !announced(&provider.node_id) {
            return;
        }
        let peers = self.node.0.list_peers();
        for partner in partners.known.iter().filter(|partner| announced(&partner.node_id)) {
            let there = |peer: &PeerDetails| peer.node_id == partner.node_id && peer.is_connected;
            if !peers.iter().any(there)
                && let Err(error) = self.connect(partner.node_id, partner.address).await
            {
                debug!(%error, "a partner of the service provider is away");
            }
        }
    }

    async fn connect(&self, node_id: PublicKey, address: SocketAddr) -> Result<(), PaymentsError> {
        let node = Arc::clone(&self.node.0);
        let address = SocketAddress::from(address);
        let connecting = tokio::task::spawn_blocking(move || node.connect(node_id, address, true));
        match tokio::time::timeout(CONNECT_WAIT, connecting).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(PaymentsError::Lost { what: "the connection" }),
        }
    }

    /// Asks LDK for the offer; keeps it where it is found while the daemon is off.
    fn take_offer(&self) -> Result<bool, PaymentsError> {
        let Ok(offer) = self.node.0.bolt12_payment().receive_async() else { return Ok(false) };
        let offer = offer.to_string();
        lock::replace(&self.offer_path, format!("{offer}\n").as_bytes(), PRIVATE)?;
        info!("this wallet can be paid while it is off");
        self.service.send_modify(|service| service.offer = Some(offer));
        Ok(true)
    }

    async fn become_payable(
        &self,
        provider: &Provider,
        client: &ServiceClient,
    ) -> Result<(), PaymentsError> {
        let node_id = self.node.0.node_id();
        let nonce = client.challenge(node_id).await?.nonce;
        let text = signed_text(&provider.node_id, &node_id, &nonce);
        let signature = self.node.0.sign_message(text.as_bytes());
        let token = provider.token.clone();
        let registered = client.register(&Register { node_id, nonce, signature, token }).await?;
        // LDK builds the invoice over the channels that there are, so one has to be there first.
        if !self.wait(CHANNEL_WAIT, || self.has_channel(provider)).await {
            let reason = format!("no channel came: {:?}", registered.channel);
            return Err(PaymentsError::Service { url: provider.url.clone(), reason });
        }
        let paths = decode_paths(&registered.paths).ok_or_else(|| PaymentsError::Service {
            url: provider.url.clone(),
            reason: "its paths can not be read".to_owned(),
        })?;
        self.node.0.bolt12_payment().set_paths_to_static_invoice_server(paths)?;
        if self.wait(OFFER_WAIT, || self.node.0.bolt12_payment().receive_async().is_ok()).await {
            self.take_offer()?;
        } else {
            warn!("the service provider keeps no invoice for this wallet yet");
        }
        Ok(())
    }

    fn has_channel(&self, provider: &Provider) -> bool {
        let channels = self.node.0.list_channels();
        channels.iter().any(|one| {
            // What the provider takes for passing on is part of the invoice.
            one.counterparty_node_id == provider.node_id
                && one.is_usable
                && one.counterparty_forwarding_info_cltv_expiry_delta.is_some()
        })
    }

    /// Looks again and again until something holds; whether it does in the end.
    async fn wait(&self, most: Duration, holds: impl Fn() -> bool) -> bool {
        let end = Instant::now() + most;
        loop {
            if holds() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

fn decode_paths(text: &str) -> Option<Vec<BlindedMessagePath>> {
    let bytes = hex::decode(text).ok()?;
    let mut reader = bytes.as_slice();
    let paths = <Vec<BlindedMessagePath>>::read(&mut reader).ok()?;
    (reader.is_empty() && !paths.is_empty()).then_some(paths)
}
