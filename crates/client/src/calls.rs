//! The calls of the API, one method a route.

use std::time::Duration;
use std::time::Instant;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::BlockHash;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::address::NetworkUnchecked;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use reqwest::Method;
use types::CommitIndex;
use types::Height;
use types::Round;
use types::receipt::ProvenCheckpoint;
use types::receipt::Receipt;

use crate::Client;
use crate::ClientError;
use crate::api::CheckpointAnswer;
use crate::api::CommitInfo;
use crate::api::Dag;
use crate::api::EvidencePage;
use crate::api::FaucetAnswer;
use crate::api::FaucetRequest;
use crate::api::ReceiptAnswer;
use crate::api::Status;
use crate::api::Submitted;
use crate::api::TicksAnswer;
use crate::api::TicksRequest;
use crate::api::TxStatus;
use crate::backoff::Backoff;
use crate::esplora;
use crate::http::Body;
use crate::http::decode;
use crate::http::malformed;
use crate::http::text;
use crate::http::unreachable;
use crate::http::within;

/// How long a faucet's payment or a row of blocks may take.
const DEVELOPMENT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a node may take for its next proven checkpoint.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(120);

/// The shortest wait for an outcome that is worth a request.
const WAIT_MIN: Duration = Duration::from_millis(50);

impl Client {
    /// `GET /v1/status`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.read("/v1/status").await
    }

    /// `GET /v1/evidence`: one page of kept evidence, behind the place that the page before named.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn evidence(&self, after: Option<&str>) -> Result<EvidencePage, ClientError> {
        let mut url = self.route("/v1/evidence");
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let deadline = self.deadlines().answer;
        let bytes = self.call(Method::GET, &url, Body::Nothing, deadline).await?;
        decode(&url, &bytes)
    }

    /// `POST /v1/tx`: hands a transaction over and returns before its outcome. Submitting a known
    /// transaction again is harmless and answers what is known of it.
    ///
    /// # Errors
    /// When the node refuses the transaction, in Core's words, or gives no answer.
    pub async fn submit(&self, transaction: &Transaction) -> Result<Submitted, ClientError> {
        self.post("/v1/tx", Body::Text(hex(transaction))).await
    }

    /// Hands a transaction over and waits at most `wait` for its outcome. Lost connections and a
    /// busy node are tried again within that time, since submitting again is harmless. Past it the
    /// transaction may still become final; the answer then says `pending`.
    ///
    /// # Errors
    /// When the node refuses the transaction, or never answered.
    pub async fn submit_and_wait(
        &self,
        transaction: &Transaction,
        wait: Duration,
    ) -> Result<TxStatus, ClientError> {
        let body = hex(transaction);
        let mut url = self.route("/v1/tx");
        url.query_pairs_mut().append_pair("wait", "final");
        let end = Instant::now() + wait;
        let mut backoff = Backoff::default();
        let mut pending = None;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(WAIT_MIN);
            let answer = self.call(Method::POST, &url, Body::Text(body.clone()), left).await;
            let error = match answer.and_then(|bytes| decode::<TxStatus>(&url, &bytes)) {
                Ok(status) if status.status.is_outcome() => return Ok(status),
                Ok(status) => {
                    pending = Some(status);
                    None
                }
                Err(error) if error.is_passing() => Some(error),
                Err(error) => return Err(error),
            };
            let pause = backoff.next_pause();
            if Instant::now() + pause >= end {
                return match (pending, error) {
                    (Some(status), _) => Ok(status),
                    (None, Some(error)) => Err(error),
                    (None, None) => Err(malformed(&url, "no outcome".to_owned())),
                };
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// `GET /v1/tx/{txid}`. A transaction that the node has never seen is `unknown`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn tx_status(&self, txid: &Txid) -> Result<TxStatus, ClientError> {
        self.read(&format!("/v1/tx/{txid}")).await
    }

    /// `GET /v1/tx/{txid}/receipt`, after having waited for it at most `wait`.
    ///
    /// # Errors
    /// When the node has never seen the transaction, or gives no answer that can be read.
    pub async fn receipt(
        &self,
        txid: &Txid,
        wait: Option<Duration>,
    ) -> Result<ReceiptAnswer, ClientError> {
        let mut url = self.route(&format!("/v1/tx/{txid}/receipt"));
        let mut deadline = self.deadlines().answer;
        if let Some(wait) = wait {
            deadline += wait;
            url.query_pairs_mut()
                .append_pair("wait", "proof")
                .append_pair("timeout_ms", &wait.as_millis().to_string());
        }
        let bytes = self.call(Method::GET, &url, Body::Nothing, deadline).await?;
        match Receipt::parse(&text(&url, &bytes)?) {
            Ok(receipt) => Ok(ReceiptAnswer::Ready(Box::new(receipt))),
            Err(_) => decode(&url, &bytes).map(ReceiptAnswer::NotYet),
        }
    }

    /// `GET /v1/checkpoints/{index}`; without an index, the last one that is proven.
    ///
    /// # Errors
    /// When there is no such checkpoint, or no answer that can be read.
    pub async fn checkpoint(
        &self,
        index: Option<CommitIndex>,
    ) -> Result<CheckpointAnswer, ClientError> {
        let index = index.map_or_else(|| "latest".to_owned(), |index| index.to_string());
        let url = self.route(&format!("/v1/checkpoints/{index}"));
        let bytes = self.call(Method::GET, &url, Body::Nothing, self.deadlines().answer).await?;
        match ProvenCheckpoint::parse(&text(&url, &bytes)?) {
            Ok(proven) => Ok(CheckpointAnswer::Proven(Box::new(proven))),
            Err(_) => decode(&url, &bytes).map(|bare| CheckpointAnswer::NotYet(Box::new(bare))),
        }
    }

    /// `GET /v1/snapshot`: the node's state at its next proven checkpoint, piece by piece. It proves
    /// nothing until it is imported.
    ///
    /// # Errors
    /// When the node does not begin to answer; a piece is an error when the stream breaks off.
    pub async fn snapshot(
        &self,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>>, ClientError> {
        let url = self.route("/v1/snapshot");
        let response = self.open(&url, SNAPSHOT_DEADLINE).await?;
        let silence = self.deadlines().silence;
        Ok(stream::unfold(Some(response), move |response| {
            let url = url.clone();
            async move {
                let mut response = response?;
                let piece =
                    async { response.chunk().await.map_err(|error| unreachable(&url, &error)) };
                match within(&url, silence, piece).await {
                    Ok(Some(piece)) => Some((Ok(piece), Some(response))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        }))
    }

    /// `GET /v1/commits/{index}`.
    ///
    /// # Errors
    /// When there is no such commit, or no answer.
    pub async fn commit(&self, index: CommitIndex) -> Result<CommitInfo, ClientError> {
        self.read(&format!("/v1/commits/{index}")).await
    }

    /// `GET /v1/dag`: the newest part of the graph, or the part that starts at `from`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn dag(&self, from: Option<Round>) -> Result<Dag, ClientError> {
        let mut url = self.route("/v1/dag");
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("from", &from.to_string());
        }
        let deadline = self.deadlines().answer;
        let bytes = self.call(Method::GET, &url, Body::Nothing, deadline).await?;
        decode(&url, &bytes)
    }

    /// `POST /v1/faucet`: pays `amount` to `address`, on a development network.
    ///
    /// # Errors
    /// When this is no development network, or the faucet can not pay.
    pub async fn faucet(
        &self,
        address: &Address<NetworkUnchecked>,
        amount: Amount,
    ) -> Result<Txid, ClientError> {
        let request = FaucetRequest { address: address.clone(), amount };
        let answer: FaucetAnswer = self.development("/v1/faucet", &request).await?;
        Ok(answer.txid)
    }

    /// `POST /v1/dev/ticks`: seals `count` blocks now, on a development network.
    ///
    /// # Errors
    /// When this is no development network.
    pub async fn ticks(&self, count: u16) -> Result<Height, ClientError> {
        let answer: TicksAnswer =
            self.development("/v1/dev/ticks", &TicksRequest { count }).await?;
        Ok(answer.height)
    }

    /// `GET /api/tx/{txid}`, none when there is no such transaction.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn transaction(
        &self,
        txid: &Txid,
    ) -> Result<Option<esplora::Transaction>, ClientError> {
        found(self.read(&format!("/api/tx/{txid}")).await)
    }

    /// `GET /api/tx/{txid}/hex`, none when there is no such transaction.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn raw_transaction(&self, txid: &Txid) -> Result<Option<Transaction>, ClientError> {
        let path = format!("/api/tx/{txid}/hex");
        let Some(text) = found(self.read_text(&path).await)? else { return Ok(None) };
        bitcoin::consensus::encode::deserialize_hex(&text)
            .map(Some)
            .map_err(|error| malformed(&self.route(&path), error.to_string()))
    }

    /// `GET /api/tx/{txid}/outspends`, one entry an output.
    ///
    /// # Errors
    /// When there is no such transaction, or no answer.
    pub async fn outspends(&self, txid: &Txid) -> Result<Vec<esplora::Outspend>, ClientError> {
        self.read(&format!("/api/tx/{txid}/outspends")).await
    }

    /// `GET /api/address/{address}`.
    ///
    /// # Errors
    /// When the address is of another network, or no answer comes.
    pub async fn address(&self, address: &Address) -> Result<esplora::AddressStats, ClientError> {
        self.read(&format!("/api/address/{address}")).await
    }

    /// `GET /api/address/{address}/utxo`.
    ///
    /// # Errors
    /// When the address is of another network, or no answer comes.
    pub async fn utxos(&self, address: &Address) -> Result<Vec<esplora::Utxo>, ClientError> {
        self.read(&format!("/api/address/{address}/utxo")).await
    }

    /// `GET /api/address/{address}/txs`: the newest page.
    ///
    /// # Errors
    /// When the address is of another network, or no answer comes.
    pub async fn transactions(
        &self,
        address: &Address,
    ) -> Result<Vec<esplora::Transaction>, ClientError> {
        self.read(&format!("/api/address/{address}/txs")).await
    }

    /// `GET /api/block/{hash}`, none when there is no such block.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn block(&self, hash: &BlockHash) -> Result<Option<esplora::Block>, ClientError> {
        found(self.read(&format!("/api/block/{hash}")).await)
    }

    /// `GET /api/block-height/{height}`, none above the tip.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn block_hash(&self, height: Height) -> Result<Option<BlockHash>, ClientError> {
        let path = format!("/api/block-height/{height}");
        let Some(text) = found(self.read_text(&path).await)? else { return Ok(None) };
        self.parse(&path, &text).map(Some)
    }

    /// `GET /api/blocks/tip/height`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn tip_height(&self) -> Result<Height, ClientError> {
        let path = "/api/blocks/tip/height";
        let text = self.read_text(path).await?;
        self.parse(path, &text).map(Height::new)
    }

    /// `GET /api/blocks/tip/hash`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn tip_hash(&self) -> Result<BlockHash, ClientError> {
        let path = "/api/blocks/tip/hash";
        let text = self.read_text(path).await?;
        self.parse(path, &text)
    }

    /// `GET /api/mempool`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn mempool(&self) -> Result<esplora::MempoolStats, ClientError> {
        self.read("/api/mempool").await
    }

    /// `GET /api/fee-estimates`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn fee_estimates(&self) -> Result<esplora::FeeEstimates, ClientError> {
        self.read("/api/fee-estimates").await
    }

    async fn development<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        request: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let url = self.route(path);
        let json =
            serde_json::to_string(request).map_err(|error| malformed(&url, error.to_string()))?;
        let bytes = self.call(Method::POST, &url, Body::Json(json), DEVELOPMENT_DEADLINE).await?;
        decode(&url, &bytes)
    }

    fn parse<T: std::str::FromStr>(&self, path: &str, text: &str) -> Result<T, ClientError>
    where
        T::Err: std::fmt::Display,
    {
        text.parse().map_err(|error: T::Err| malformed(&self.route(path), error.to_string()))
    }
}

fn hex(transaction: &Transaction) -> String {
    bitcoin::consensus::encode::serialize_hex(transaction)
}

fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
