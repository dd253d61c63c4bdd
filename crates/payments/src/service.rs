//! What a Lightning service provider and its wallets say to each other over HTTP, and the wallet's
//! side of it.
//!
//! A wallet proves who it is: it asks for a challenge and signs it with its node's key. Only then is it
//! given the paths on which payers reach it while it is off, and a channel to be paid over.

use std::net::SocketAddr;
use std::time::Duration;

use ldk_node::bitcoin::secp256k1::PublicKey;
use reqwest::StatusCode;
use reqwest::Url;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::Digest;

use crate::Msat;
use crate::PaymentsError;
use crate::control::Code;
use crate::control::Refusal;

/// How long a call may take; a channel is opened within it.
const CALL_WAIT: Duration = Duration::from_secs(30);
/// The largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// `GET /v1/lsp`: who the service provider is and what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its Lightning node.
    pub node_id: PublicKey,
    /// Where that listens.
    pub address: SocketAddr,
    /// What it calls itself.
    pub alias: String,
    /// The network that its coins are on.
    pub chain: Digest,
    /// Whether this is a development network, where it gives money away.
    pub development: bool,
    /// How large the channel is that a new wallet gets.
    pub channel_sat: u64,
    /// How many blocks it holds a payment at least.
    pub hold_blocks: u32,
    /// How many wallets have a channel from it.
    pub wallets: usize,
    /// Other providers, through which wallets reach who is with them.
    #[serde(default)]
    pub partners: Vec<Partner>,
}

/// Another provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its Lightning node.
    pub node_id: PublicKey,
    /// Where that listens.
    pub address: SocketAddr,
}

/// `POST /v1/lsp/challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who is going to answer it.
    pub node_id: PublicKey,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Chance, in hex; good once and for a minute.
    pub nonce: String,
}

/// `POST /v1/lsp/register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Who asks.
    pub node_id: PublicKey,
    /// The challenge.
    pub nonce: String,
    /// The signature of [`signed_text`], as `signmessage` makes it.
    pub signature: String,
    /// What admits the wallet, where the provider asks for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The wallet is known now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The paths over which the wallet's static invoices are served, in LDK's encoding, in hex.
    pub paths: String,
    /// The channel that the wallet is paid over.
    pub channel: ChannelState,
}

/// How far the channel from the provider to the wallet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// There is one.
    Open,
    /// It is being opened.
    Opening,
    /// There is none: the wallet's node is not connected, or the provider has no money left for it.
    None,
}

/// `POST /v1/lsp/faucet`, on development networks: pays an offer or invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiftRequest {
    /// The offer or invoice.
    pub to: String,
    /// How much.
    pub amount_msat: Msat,
}

/// The payment is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gift {
    /// What names it.
    pub payment_id: String,
}

/// Calls one service provider. Clones share its connections.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    http: reqwest::Client,
    base: Url,
}

/// The text that a wallet signs.
pub fn signed_text(provider: &PublicKey, wallet: &PublicKey, nonce: &str) -> String {
    format!("meanwhile/payments/register/v1 {provider} {wallet} {nonce}")
}

impl ServiceClient {
    /// A client of the provider at `url`.
    ///
    /// # Errors
    /// When that is no address of one.
    pub fn new(url: &str) -> Result<Self, PaymentsError> {
        let bad = |reason: String| PaymentsError::Service { url: url.to_owned(), reason };
        let base = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if base.scheme() != "http" {
            return Err(bad("this client speaks plain http only".to_owned()));
        }
        let http = reqwest::Client::builder()
            .timeout(CALL_WAIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| bad(error.to_string()))?;
        Ok(Self { http, base })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Who it is.
    ///
    /// # Errors
    /// When it can not be asked.
    pub async fn card(&self) -> Result<Card, PaymentsError> {
        let request = self.http.get(self.route("/v1/lsp"));
        self.call(request).await
    }

    /// Asks for a challenge.
    ///
    /// # Errors
    /// When it can not be asked, or refuses.
    pub async fn challenge(&self, node_id: PublicKey) -> Result<Challenge, PaymentsError> {
        self.post("/v1/lsp/challenge", &ChallengeRequest { node_id }).await
    }

    /// Makes a wallet known.
    ///
    /// # Errors
    /// When it can not be asked, or refuses.
    pub async fn register(&self, register: &Register) -> Result<Registered, PaymentsError> {
        self.post("/v1/lsp/register", register).await
    }

    /// Has a provider of a development network pay an offer or invoice.
    ///
    /// # Errors
    /// When it can not be asked, or refuses.
    pub async fn gift(&self, request: &GiftRequest) -> Result<Gift, PaymentsError> {
        self.post("/v1/lsp/faucet", request).await
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &Q,
    ) -> Result<A, PaymentsError> {
        self.call(self.http.post(self.route(path)).json(body)).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<A, PaymentsError> {
        let mut response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(self.says(format!("more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.says(error.to_string()));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(refusal.into()),
            Err(_) => Err(self.says(format!("it answered {status}"))),
        }
    }

    fn route(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let front = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{front}{path}"));
        url
    }

    fn lost(&self, error: &reqwest::Error) -> PaymentsError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        self.says(cause.to_string())
    }

    fn says(&self, reason: String) -> PaymentsError {
        PaymentsError::Service { url: self.url().to_owned(), reason }
    }
}

/// The HTTP status that stands for a refusal.
pub(crate) const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Malformed | Code::Version => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Busy => StatusCode::TOO_MANY_REQUESTS,
        Code::Pending => StatusCode::CONFLICT,
        Code::NotReady | Code::Stopping | Code::Funds => StatusCode::SERVICE_UNAVAILABLE,
        Code::Refused => StatusCode::FORBIDDEN,
    }
}
