//! The routes over a real node: one validator that commits by itself.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::http::Method;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::CompressedPublicKey;
use bitcoin::EcdsaSighashType;
use bitcoin::KnownHrp;
use bitcoin::NetworkKind;
use bitcoin::OutPoint;
use bitcoin::PrivateKey;
use bitcoin::Sequence;
use bitcoin::Transaction;
use bitcoin::TxIn;
use bitcoin::TxOut;
use bitcoin::Witness;
use bitcoin::absolute::LockTime;
use bitcoin::key::Secp256k1;
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::SecretKey;
use bitcoin::sighash::SighashCache;
use bitcoin::transaction::Version;
use client::api::FaucetAnswer;
use client::api::TicksAnswer;
use client::api::TxState;
use client::api::TxStatus;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use types::Genesis;
use types::Span;
use types::TimestampMs;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::test_utils::TestNetwork;

use crate::Checked;
use crate::Node;
use crate::Running;
use crate::config::tests::write_secret;
use crate::config::tests::written;

use super::Reader;
use super::router;

mod development;
mod events;
mod hostile;
mod package;
mod pages;
pub(crate) mod wallet;

/// How many coins the faucet of the tests has.
const FAUCET_COINS: usize = 8;
const FAUCET_COIN_SAT: u64 = 100_000_000;

/// A running node and its routes, called without a socket.
pub(crate) struct Served {
    pub(crate) running: Running,
    reader: Reader,
    router: Router,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: String,
    retry_after: Option<String>,
    location: Option<String>,
    body: Bytes,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Genesis)) -> Self {
        Self::configured(change, |_| {}).await
    }

    /// Starts a node of another network, or with other settings.
    async fn configured(change: impl FnOnce(&mut Genesis), set: impl FnOnce(&mut Checked)) -> Self {
        let secret = SecretKey::from_slice(&[5; 32]).unwrap();
        let faucet = PrivateKey::new(secret, NetworkKind::Test);
        let public = CompressedPublicKey(secret.public_key(&Secp256k1::new()));
        let script = Address::p2wpkh(&public, KnownHrp::Regtest).script_pubkey();
        let network = TestNetwork::with(1, |genesis| {
            // Blocks come when a test asks for them: the network begins now, and the interval is
            // as long as it may be.
            genesis.start_ms = now();
            genesis.ledger.block_interval_ms = 7 * 86_400_000;
            genesis.allocations = (0..FAUCET_COINS)
                .map(|_| Allocation {
                    script: HexBytes(script.to_bytes()),
                    amount_sat: FAUCET_COIN_SAT,
                })
                .collect();
            change(genesis);
        });
        let (folder, mut config) = written(&network, |_| {});
        config.network.listen = Some("127.0.0.1:0".parse().unwrap());
        config.network.peers.clear();
        config.http = None;
        config.electrum = None;
        config.bitcoin_p2p = None;
        config.rpc = None;
        if network.genesis.development {
            let file = folder.path().join("faucet.wif");
            write_secret(&file, &faucet.to_wif());
            config.development = Some(crate::config::DevelopmentConfig {
                faucet_key_file: Some(file),
                ..crate::config::DevelopmentConfig::default()
            });
        }
        let mut checked = config.check().unwrap();
        // Without a pause a node would take all of the processor while an outcome waits for its proof.
        checked.min_round_interval = Span::from_millis(5);
        checked.idle_interval = Span::from_millis(20);
        set(&mut checked);
        let running = Node::start(checked).await.unwrap();
        let (shutdown, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let reader = Reader::new(running.handle().clone());
        let router = router(reader.clone(), &shutdown, &mut tasks);
        Self { running, reader, router, shutdown, tasks, _folder: folder }
    }

    /// Starts another server over the same node, on a socket of its own.
    pub(crate) async fn listen<F>(
        &self,
        serve: impl FnOnce(TcpListener, Reader, CancellationToken) -> F,
    ) -> (SocketAddr, JoinHandle<()>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reader, shutdown) = self.shared();
        (address, tokio::spawn(serve(listener, reader, shutdown)))
    }

    /// What other servers over the same node take.
    pub(crate) fn shared(&self) -> (Reader, CancellationToken) {
        (self.reader.clone(), self.shutdown.clone())
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.running.stop().await.unwrap();
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let header = |name| {
            let value: Option<&axum::http::HeaderValue> = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (kind, retry_after) = (header(CONTENT_TYPE).unwrap_or_default(), header(RETRY_AFTER));
        let location = header(axum::http::header::LOCATION);
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
        Answer { status, kind, retry_after, location, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> T {
        self.get(path).await.json()
    }

    pub(crate) async fn pay(&self, address: &Address, amount_sat: u64) -> bitcoin::Txid {
        let body = serde_json::json!({ "address": address, "amount_sat": amount_sat });
        let answer = self.post("/v1/faucet", body.to_string()).await;
        answer.json::<FaucetAnswer>().txid
    }

    pub(crate) async fn tick(&self, count: u16) -> u32 {
        let body = serde_json::json!({ "count": count });
        let answer = self.post("/v1/dev/ticks", body.to_string()).await;
        answer.json::<TicksAnswer>().height.value()
    }

    /// Follows the node until the transaction is final.
    pub(crate) async fn wait_final(&self, txid: bitcoin::Txid) -> TxStatus {
        let mut events = self.running.handle().events();
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                events.borrow_and_update();
                let status: TxStatus = self.json(&format!("/v1/tx/{txid}")).await;
                if status.status == TxState::Final {
                    return status;
                }
                events.changed().await.unwrap();
            }
        });
        found.await.unwrap()
    }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    TimestampMs::new(u64::try_from(since.as_millis()).unwrap())
}

/// An address that nobody else uses.
pub(crate) fn address(number: u8) -> Address {
    let secret = SecretKey::from_slice(&[number; 32]).unwrap();
    let public = CompressedPublicKey(secret.public_key(&Secp256k1::new()));
    Address::p2wpkh(&public, KnownHrp::Regtest)
}

/// A payment from what `funding` paid to [`address`] of this number, back to the same address.
pub(crate) fn spend_to_self(funding: &Transaction, number: u8) -> Transaction {
    const FEE: Amount = Amount::from_sat(1_000);
    let secp = Secp256k1::new();
    let secret = SecretKey::from_slice(&[number; 32]).unwrap();
    let script = address(number).script_pubkey();
    let vout = funding.output.iter().position(|output| output.script_pubkey == script).unwrap();
    let value = funding.output[vout].value;
    let previous_output =
        OutPoint { txid: funding.compute_txid(), vout: u32::try_from(vout).unwrap() };
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output, sequence: Sequence::MAX, ..TxIn::default() }],
        output: vec![TxOut { value: value - FEE, script_pubkey: script.clone() }],
    };
    let digest = SighashCache::new(&transaction)
        .p2wpkh_signature_hash(0, &script, value, EcdsaSighashType::All)
        .unwrap();
    let signature = bitcoin::ecdsa::Signature {
        signature: secp.sign_ecdsa(&Message::from(digest), &secret),
        sighash_type: EcdsaSighashType::All,
    };
    transaction.input[0].witness = Witness::p2wpkh(&signature, &secret.public_key(&secp));
    transaction
}
