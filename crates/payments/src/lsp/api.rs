//! HTTP for wallets: who the provider is, how a wallet becomes known, and how the provider is.
//!
//! Everything that a stranger can make the provider do has a bound: the size of a body, the calls of
//! an address, the calls at one time, the channels. What costs money (a channel) asks for a signature,
//! and for a token where the configuration names one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::offers::offer::Offer;
use ldk_node::lightning::util::ser::Writeable as _;
use ldk_node::lightning_invoice::Bolt11Invoice;
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::info;
use tracing::warn;

use crate::PaymentsError;
use crate::control::Code;
use crate::control::Refusal;
use crate::seed;
use crate::service::Card;
use crate::service::Challenge;
use crate::service::ChallengeRequest;
use crate::service::ChannelState;
use crate::service::Gift;
use crate::service::GiftRequest;
use crate::service::Register;
use crate::service::Registered;
use crate::service::signed_text;
use crate::service::status_of;

use super::Shared;
use super::admission::Challenges;
use super::admission::Pace;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 16 * 1_024;
/// How many calls are served at one time; the next ones are refused.
const CALLS_MAX: usize = 128;
/// How many bytes of chance a challenge has.
const NONCE_BYTES: usize = 32;
/// The most that a development network's provider gives away at once, in satoshis.
const GIFT_SAT_MAX: u64 = 1_000_000;
/// How long the channel's first messages may take.
const OPEN_WAIT: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Clone)]
struct Api {
    shared: Arc<Shared>,
    // Locked for moments and never over an await.
    challenges: Arc<Mutex<Challenges>>,
    pace: Arc<Mutex<Pace>>,
    /// The wallets that a channel is being opened to, so that each gets one.
    opening: Arc<Mutex<BTreeSet<PublicKey>>>,
    places: Arc<Semaphore>,
}

/// All routes.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let api = Api {
        shared: Arc::clone(shared),
        challenges: Arc::default(),
        pace: Arc::default(),
        opening: Arc::default(),
        places: Arc::new(Semaphore::new(CALLS_MAX)),
    };
    let mut lsp = Router::new()
        .route("/v1/lsp", get(card))
        .route("/v1/lsp/challenge", post(challenge))
        .route("/v1/lsp/register", post(register));
    if shared.card.development {
        lsp = lsp.route("/v1/lsp/faucet", post(gift));
    }
    lsp.layer(middleware::from_fn_with_state(api.clone(), keep_pace))
        .route("/v1/lsp/liquidity", get(liquidity))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(async || Failure(Refusal::new(Code::NotFound, "there is no such route")))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

/// A refusal as an answer.
struct Failure(Refusal);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(status_of(self.0.code).as_u16());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert("retry-after", 1.into());
        }
        response
    }
}

impl From<PaymentsError> for Failure {
    fn from(error: PaymentsError) -> Self {
        Self(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self(Refusal::new(Code::Malformed, rejection.body_text()))
    }
}

async fn keep_pace(
    State(api): State<Api>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let busy = |reason: &str| Failure(Refusal::new(Code::Busy, reason)).into_response();
    let admitted = source.ip().is_loopback() && api.shared.card.development
        || lock(&api.pace).admits(Instant::now(), source.ip());
    if !admitted {
        return busy("this address calls too often; wait a second");
    }
    let Ok(_place) = api.places.try_acquire() else { return busy("too many calls at one time") };
    next.run(request).await
}

async fn card(State(api): State<Api>) -> Json<Card> {
    let channels = api.shared.node.list_channels();
    let wallets = channels.iter().filter(|one| one.is_outbound && !one.is_announced).count();
    let partners = api.shared.partners.borrow().clone();
    Json(Card { wallets, partners, ..api.shared.card.clone() })
}

async fn challenge(
    State(api): State<Api>,
    body: Result<Json<ChallengeRequest>, JsonRejection>,
) -> Result<Json<Challenge>, Failure> {
    let Json(ChallengeRequest { node_id }) = body?;
    let mut nonce = [0; NONCE_BYTES];
    seed::randomness(&mut nonce)?;
    let nonce = hex::encode(nonce);
    lock(&api.challenges).give(Instant::now(), nonce.clone(), node_id);
    Ok(Json(Challenge { nonce }))
}

async fn register(
    State(api): State<Api>,
    body: Result<Json<Register>, JsonRejection>,
) -> Result<Json<Registered>, Failure> {
    let Json(Register { node_id, nonce, signature, token }) = body?;
    if api.shared.token.as_deref().is_some_and(|wanted| !same(wanted, token.as_deref())) {
        let refusal = Refusal::new(Code::Refused, "this provider does not know your token");
        return Err(refusal.hint("ask its operator for one, and put it into wallet.toml").into());
    }
    if !lock(&api.challenges).take(Instant::now(), &nonce, &node_id) {
        return Err(Refusal::new(Code::Refused, "the challenge is unknown, used or too old").into());
    }
    let node = &api.shared.node;
    let text = signed_text(&api.shared.card.node_id, &node_id, &nonce);
    if !node.verify_signature(text.as_bytes(), &signature, &node_id) {
        return Err(Refusal::new(Code::Refused, "the signature is not that of the node").into());
    }
    let channel = ensure_channel(&api, node_id).await?;
    let recipient = node_id.serialize().to_vec();
    let paths = node.bolt12_payment().blinded_paths_for_async_recipient(recipient);
    let paths = paths.map_err(PaymentsError::from)?;
    api.shared.metrics.registered();
    Ok(Json(Registered { paths: hex::encode(paths.encode()), channel }))
}

/// Opens a channel to a wallet that is connected and has none from us.
async fn ensure_channel(api: &Api, wallet: PublicKey) -> Result<ChannelState, Failure> {
    let shared = Arc::clone(&api.shared);
    let ours = || {
        let channels = shared.node.list_channels();
        channels.into_iter().filter(|one| one.is_outbound && !one.is_announced)
    };
    let state = |wallet: PublicKey| {
        ours().find(|one| one.counterparty_node_id == wallet).map(|one| {
            match one.is_channel_ready {
                true => ChannelState::Open,
                false => ChannelState::Opening,
            }
        })
    };
    if let Some(state) = state(wallet) {
        return Ok(state);
    }
    let limit = usize::try_from(shared.channels.wallets_max).unwrap_or(usize::MAX);
    if ours().count() >= limit {
        warn!(%wallet, "no channel: as many wallets as are admitted have one");
        return Ok(ChannelState::None);
    }
    let peers = shared.node.list_peers();
    if !peers.iter().any(|peer| peer.node_id == wallet && peer.is_connected) {
        return Ok(ChannelState::None);
    }
    if !lock(&api.opening).insert(wallet) {
        return Ok(ChannelState::Opening);
    }
    let (node, amount) = (Arc::clone(&shared.node), shared.channels.new_wallet_sat);
    let config = shared.channel_config();
    let opened = tokio::task::spawn_blocking(move || {
        // The wallet is connected, so the address is not used; it has none of its own.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9)).into();
        node.open_channel(wallet, nowhere, amount, None, Some(config))
    })
    .await;
    let result = match opened {
        Ok(Ok(_)) => {
            info!(%wallet, amount, "a channel is being opened");
            let end = Instant::now() + OPEN_WAIT;
            while state(wallet).is_none() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            state(wallet).unwrap_or(ChannelState::Opening)
        }
        Ok(Err(error)) => {
            warn!(%wallet, %error, "no channel");
            ChannelState::None
        }
        Err(_) => ChannelState::None,
    };
    lock(&api.opening).remove(&wallet);
    Ok(result)
}

async fn gift(
    State(api): State<Api>,
    body: Result<Json<GiftRequest>, JsonRejection>,
) -> Result<Json<Gift>, Failure> {
    let Json(GiftRequest { to, amount_msat }) = body?;
    if amount_msat.floor_sat() > GIFT_SAT_MAX {
        let reason = format!("one request gets at most {GIFT_SAT_MAX} sat");
        return Err(Refusal::new(Code::Refused, reason).into());
    }
    let node = &api.shared.node;
    let paid = if Offer::from_str(&to).is_ok() {
        // LDK sends no message to itself, and the offers of its own wallets begin at the provider.
        let refusal = Refusal::new(Code::Refused, "the faucet pays invoices, not offers");
        return Err(refusal.hint("`meanwhile wallet receive --invoice AMOUNT` makes one").into());
    } else if let Ok(invoice) = Bolt11Invoice::from_str(&to) {
        match invoice.amount_milli_satoshis() {
            Some(_) => node.bolt11_payment().send(&invoice, None),
            None => node.bolt11_payment().send_using_amount(&invoice, amount_msat.value(), None),
        }
    } else {
        return Err(Refusal::new(Code::Malformed, "this is no offer and no invoice").into());
    };
    let id = paid.map_err(PaymentsError::from)?;
    Ok(Json(Gift { payment_id: hex::encode(id.0) }))
}

/// What the provider has, for its operator.
#[derive(Serialize)]
struct Liquidity {
    onchain_sat: u64,
    onchain_reserve_sat: u64,
    channels: usize,
    channels_usable: usize,
    can_send_msat: u64,
    can_receive_msat: u64,
    wallets: usize,
    wallets_max: u32,
    new_wallets_affordable: u64,
}

/// Only to somebody on the same machine: what a provider has is nobody else's business.
async fn liquidity(
    State(api): State<Api>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
) -> Result<Json<Liquidity>, Failure> {
    if !source.ip().is_loopback() {
        return Err(Refusal::new(Code::Refused, "only on the provider's own machine").into());
    }
    let shared = &api.shared;
    let balances = shared.node.list_balances();
    let channels = shared.node.list_channels();
    let usable: Vec<_> = channels.iter().filter(|channel| channel.is_usable).collect();
    let spendable = balances.spendable_onchain_balance_sats;
    Ok(Json(Liquidity {
        onchain_sat: spendable,
        onchain_reserve_sat: balances.total_anchor_channels_reserve_sats,
        channels: channels.len(),
        channels_usable: usable.len(),
        can_send_msat: usable.iter().map(|one| one.outbound_capacity_msat).sum(),
        can_receive_msat: usable.iter().map(|one| one.inbound_capacity_msat).sum(),
        wallets: channels.iter().filter(|one| one.is_outbound && !one.is_announced).count(),
        wallets_max: shared.channels.wallets_max,
        new_wallets_affordable: spendable / shared.channels.new_wallet_sat.max(1),
    }))
}

async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    if *api.shared.ready.borrow() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn metrics(State(api): State<Api>) -> Result<Response, Failure> {
    let text = api.shared.metrics.text(&api.shared.node);
    let text = text.map_err(|error| Refusal::new(Code::Refused, error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// Compares without telling by the time it takes where two texts differ.
fn same(wanted: &str, given: Option<&str>) -> bool {
    let given = given.unwrap_or_default();
    let pairs = wanted.bytes().zip(given.bytes());
    wanted.len() == given.len() && pairs.fold(0, |sum, (one, two)| sum | (one ^ two)) == 0
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A table that a panic left behind is still a table.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
