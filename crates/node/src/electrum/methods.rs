//! What Electrum's clients may ask, and the answers.
//!
//! Source: ElectrumX's documentation of protocol 1.4.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::Txid;
use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::sha256d;
use client::api::ErrorCode;
use ledger::ScriptHash;
use ledger::mempool::RELAY_FEE;
use ledger::query;
use ledger::query::BlockRecord;
use serde_json::Value;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use types::Digest;
use types::Height;

use crate::handle::SubmitError;
use crate::http;
use crate::http::Failure;
use crate::http::Place;
use crate::http::View;
use crate::jsonrpc::Call;
use crate::jsonrpc::Params;
use crate::jsonrpc::RpcError;
use crate::jsonrpc::code;
use crate::objects;

use super::HEADERS_MAX;
use super::SCRIPTS_MAX;
use super::Shared;
use super::UNSPENT_MAX;
use super::history;
use super::history::Follower;
use super::history::Item;
use super::history::Status;
use super::history::TooLong;
use super::watcher::Command;
use super::watcher::ConnectionId;
use super::watcher::Followed;
use super::watcher::Notice;

/// The one version that is spoken.
const PROTOCOL: &str = "1.4";
/// The request can not be carried out as it is.
const BAD_REQUEST: i32 = 1;
/// Bitcoin Core would have refused.
const DAEMON_ERROR: i32 = 2;
/// The node has no room or no time now.
const SERVER_BUSY: i32 = -102;

/// One client, from its first line to its last.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    id: ConnectionId,
    /// Every script that it follows, with its place among all that are followed here.
    scripts: HashMap<ScriptHash, OwnedSemaphorePermit>,
    follows_headers: bool,
}

impl Session {
    /// Lets the watcher know of a client that takes `notices`.
    pub(super) async fn open(
        shared: Arc<Shared>,
        id: ConnectionId,
        notices: mpsc::Sender<Notice>,
    ) -> Self {
        shared.watcher.tell(Command::Open(id, notices)).await;
        Self { shared, id, scripts: HashMap::new(), follows_headers: false }
    }

    /// Ends what the client follows.
    pub(super) async fn close(self) {
        self.shared.watcher.tell(Command::Close(self.id)).await;
    }

    /// Carries a request out.
    ///
    /// # Errors
    /// Says why it has no result.
    pub(super) async fn call(&mut self, call: &mut Call) -> Result<Value, RpcError> {
        let params = &mut call.params;
        match call.method.as_str() {
            "server.version" => version(params),
            "server.features" => self.features().await,
            "server.ping" => Ok(Value::Null),
            "server.banner" => Ok(json!(banner())),
            "server.donation_address" => Ok(json!("")),
            "server.peers.subscribe" => Ok(json!([])),
            "server.add_peer" => Ok(json!(false)),
            "blockchain.headers.subscribe" => self.follow_headers().await,
            "blockchain.block.header" => self.header(params).await,
            "blockchain.block.headers" => self.headers(params).await,
            "blockchain.scripthash.get_balance" => self.balance(params).await,
            "blockchain.scripthash.get_history" => self.history(params).await,
            "blockchain.scripthash.get_mempool" => self.unconfirmed(params).await,
            "blockchain.scripthash.listunspent" => self.unspent(params).await,
            "blockchain.scripthash.subscribe" => self.follow(params).await,
            "blockchain.scripthash.unsubscribe" => self.unfollow(params).await,
            "blockchain.transaction.broadcast" => self.broadcast(params).await,
            "blockchain.transaction.get" => self.transaction(params).await,
            "blockchain.transaction.get_merkle" => self.merkle(params).await,
            "blockchain.transaction.id_from_pos" => self.id_from_pos(params).await,
            "blockchain.estimatefee" => self.estimate_fee(params).await,
            "blockchain.relayfee" => Ok(json!(objects::btc_per_kvb(RELAY_FEE))),
            "mempool.get_fee_histogram" => self.fee_histogram().await,
            _ => Err(RpcError::new(code::METHOD_NOT_FOUND, "unknown method")),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, RpcError> {
        // What a reader can not answer travels inside of what it can.
        let read = self.shared.reader.read(move |view| match work(view) {
            Err(Refusal::Failure(failure)) => Err(failure),
            other => Ok(other),
        });
        told(read.await)
    }

    async fn read_ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&View) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, RpcError> {
        let read = self.shared.reader.read_ledger(move |view| match work(view) {
            Err(Refusal::Failure(failure)) => Err(failure),
            other => Ok(other),
        });
        told(read.await)
    }

    async fn features(&self) -> Result<Value, RpcError> {
        let genesis = self.read_ledger(|view| Ok(block(view, Height::ZERO)?.hash)).await?;
        Ok(json!({
            "hosts": {},
            "genesis_hash": genesis,
            "hash_function": "sha256",
            "server_version": server(),
            "protocol_min": PROTOCOL,
            "protocol_max": PROTOCOL,
            "pruning": null,
        }))
    }

    async fn follow_headers(&mut self) -> Result<Value, RpcError> {
        let tip = self.read_ledger(|view| block(view, view.summary()?.tip.height)).await?;
        if !self.follows_headers {
            self.follows_headers = true;
            self.shared.watcher.tell(Command::Headers(self.id, tip.height)).await;
        }
        Ok(header_json(tip.height, &tip.header))
    }

    async fn header(&self, params: &mut Params) -> Result<Value, RpcError> {
        let height = Height::new(params.required(0, "height")?);
        let checkpoint = Height::new(params.optional(1, "cp_height")?.unwrap_or(0));
        let shared = Arc::clone(&self.shared);
        self.read_ledger(move |view| {
            let hex = encode::serialize_hex(&block(view, height)?.header);
            if checkpoint == Height::ZERO {
                return Ok(json!(hex));
            }
            let mut answer = header_proof(&shared, view, height, checkpoint)?;
            answer["header"] = json!(hex);
            Ok(answer)
        })
        .await
    }

    async fn headers(&self, params: &mut Params) -> Result<Value, RpcError> {
        let start = Height::new(params.required(0, "start_height")?);
        let count: usize = params.required(1, "count")?;
        let checkpoint = Height::new(params.optional(2, "cp_height")?.unwrap_or(0));
        let shared = Arc::clone(&self.shared);
        self.read_ledger(move |view| {
            let blocks = query::blocks(view.tables(), start, count.min(HEADERS_MAX))?;
            let hex: String =
                blocks.iter().map(|block| encode::serialize_hex(&block.header)).collect();
            let mut answer = json!({ "count": blocks.len(), "hex": hex, "max": HEADERS_MAX });
            if checkpoint > Height::ZERO
                && let Some(last) = blocks.last()
            {
                let proof = header_proof(&shared, view, last.height, checkpoint)?;
                answer["root"] = proof["root"].clone();
                answer["branch"] = proof["branch"].clone();
            }
            Ok(answer)
        })
        .await
    }

    async fn balance(&self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        self.read(move |view| {
            let (sealed, others) = http::script_totals(view, &script)?;
            let change = i128::from(others.funded_sat) - i128::from(others.spent_sat);
            let change = i64::try_from(change).unwrap_or(i64::MAX);
            Ok(json!({ "confirmed": sealed.balance_sat(), "unconfirmed": change }))
        })
        .await
    }

    async fn history(&self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        self.read(move |view| {
            let items = history::whole(view, &script)??;
            Ok(items.iter().map(item_json).collect())
        })
        .await
    }

    async fn unconfirmed(&self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        self.read(move |view| {
            Ok(history::unconfirmed(view, &script)?.iter().map(item_json).collect())
        })
        .await
    }

    async fn unspent(&self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        self.read(move |view| {
            let mut unspent = view.unspent(&script, UNSPENT_MAX)?.ok_or(TooLong)?;
            let height = |place: &Place| place.height().map_or(0, Height::value);
            // Sealed outputs first, in the order of the chain.
            unspent.sort_by_key(|one| (one.place.height().is_none(), one.place.height()));
            let shown = unspent.iter().map(|one| {
                json!({
                    "tx_hash": one.outpoint.txid,
                    "tx_pos": one.outpoint.vout,
                    "height": height(&one.place),
                    "value": one.value.to_sat(),
                })
            });
            Ok(shown.collect())
        })
        .await
    }

    async fn follow(&mut self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        let is_new = !self.scripts.contains_key(&script);
        let place = if is_new { Some(self.place()?) } else { None };
        let followed = self
            .read(move |view| {
                // Asks for the limit only: what is followed is read on from here.
                history::check_length(view, &script)??;
                let mut follower = Follower::new(script);
                let standing = follower.advance(view)?;
                let event = view.summary()?.last_event;
                Ok(Followed { script, follower, standing, event })
            })
            .await?;
        let status = followed.standing.status;
        if let Some(place) = place {
            self.scripts.insert(script, place);
            self.shared.watcher.tell(Command::Script(self.id, Box::new(followed))).await;
        }
        Ok(status_json(status))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        if self.scripts.len() >= SCRIPTS_MAX {
            return Err(RpcError::new(
                BAD_REQUEST,
                format!("a connection follows at most {SCRIPTS_MAX} scripts"),
            ));
        }
        Arc::clone(&self.shared.followed)
            .try_acquire_owned()
            .map_err(|_| RpcError::new(SERVER_BUSY, "the server follows as many scripts as it can"))
    }

    async fn unfollow(&mut self, params: &mut Params) -> Result<Value, RpcError> {
        let script = script_hash(params)?;
        let was_followed = self.scripts.remove(&script).is_some();
        if was_followed {
            self.shared.watcher.tell(Command::Unfollow(self.id, script)).await;
        }
        Ok(json!(was_followed))
    }

    async fn broadcast(&self, params: &mut Params) -> Result<Value, RpcError> {
        let hex: String = params.required(0, "raw_tx")?;
        let transaction = http::parse::transaction(hex.as_bytes())
            .map_err(|failure| RpcError::new(BAD_REQUEST, failure.reason))?;
        let txid = transaction.compute_txid();
        match self.shared.reader.submit(transaction).await {
            Ok(_) => Ok(json!(txid)),
            // What the pool knows already is no failure to whoever sends it again.
            Err(SubmitError::Rejected(rejection)) if rejection.reason.contains("txn-already-") => {
                Ok(json!(txid))
            }
            Err(SubmitError::Rejected(rejection)) => Err(RpcError::new(
                BAD_REQUEST,
                format!(
                    "the transaction was rejected by network rules.\n\n{}\n[{hex}]",
                    rejection.reason
                ),
            )),
            Err(error) => Err(refused(&error.into())),
        }
    }

    async fn transaction(&self, params: &mut Params) -> Result<Value, RpcError> {
        let txid = txid(params, 0)?;
        let is_verbose = params.optional(1, "verbose")?.unwrap_or(false);
        let unknown = || {
            let message = "No such mempool or blockchain transaction. Use gettransaction for \
                           wallet transactions.";
            Refusal::from(RpcError::new(DAEMON_ERROR, message))
        };
        self.read_one(txid, move |view| {
            let found = view.find(&txid)?.ok_or_else(unknown)?;
            if is_verbose {
                return Ok(objects::found(&found, None, view.summary()?.tip.height));
            }
            Ok(json!(encode::serialize_hex(found.transaction.as_ref())))
        })
        .await
    }

    async fn read_one<T: Send + 'static>(
        &self,
        txid: Txid,
        work: impl FnOnce(&View) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, RpcError> {
        let read = self.shared.reader.read_one(txid, move |view| match work(view) {
            Err(Refusal::Failure(failure)) => Err(failure),
            other => Ok(other),
        });
        told(read.await)
    }

    async fn merkle(&self, params: &mut Params) -> Result<Value, RpcError> {
        let txid = txid(params, 0)?;
        let height: u32 = params.required(1, "height")?;
        self.read_ledger(move |view| {
            let proof = query::merkle_proof(view.tables(), &txid)?;
            let proof = proof.filter(|proof| proof.place.height.value() == height);
            let proof = proof.ok_or_else(|| {
                let message = format!("tx {txid} not in block at height {height}");
                Refusal::from(RpcError::new(BAD_REQUEST, message))
            })?;
            Ok(json!({
                "block_height": height,
                "merkle": hashes_json(&proof.branch),
                "pos": proof.place.position,
            }))
        })
        .await
    }

    async fn id_from_pos(&self, params: &mut Params) -> Result<Value, RpcError> {
        let height = Height::new(params.required(0, "height")?);
        let position: u32 = params.required(1, "tx_pos")?;
        let with_proof = params.optional(2, "merkle")?.unwrap_or(false);
        self.read_ledger(move |view| {
            let txids = query::block_txids(view.tables(), height, position, 1)?;
            let txid = txids.first().ok_or_else(|| {
                let message = format!("no tx at position {position} in block at height {height}");
                Refusal::from(RpcError::new(BAD_REQUEST, message))
            })?;
            if !with_proof {
                return Ok(json!(txid));
            }
            let proof = query::merkle_proof(view.tables(), txid)?.ok_or_else(Failure::internal)?;
            Ok(json!({ "tx_hash": txid, "merkle": hashes_json(&proof.branch) }))
        })
        .await
    }

    async fn estimate_fee(&self, params: &mut Params) -> Result<Value, RpcError> {
        let blocks: u32 = params.required(0, "number")?;
        let blocks = u16::try_from(blocks).unwrap_or(u16::MAX);
        let rate = http::fee_rate(&self.shared.reader, blocks).await;
        Ok(json!(objects::btc_per_kvb(rate.map_err(|failure| refused(&failure))?)))
    }

    async fn fee_histogram(&self) -> Result<Value, RpcError> {
        self.read(|view| Ok(json!(http::fee_histogram(view)?))).await
    }
}

/// Why a reader has no result: a fault that every server tells in its own way, or an error of this
/// protocol.
pub(super) enum Refusal {
    /// A failure of reading.
    Failure(Failure),
    /// An error of this protocol.
    Error(RpcError),
}

fn told<T>(read: Result<Result<T, Refusal>, Failure>) -> Result<T, RpcError> {
    match read {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Refusal::Error(error))) => Err(error),
        Ok(Err(Refusal::Failure(failure))) | Err(failure) => Err(refused(&failure)),
    }
}

fn refused(failure: &Failure) -> RpcError {
    let code = match failure.code {
        ErrorCode::Unavailable | ErrorCode::TooMany | ErrorCode::Timeout => SERVER_BUSY,
        ErrorCode::Internal => code::INTERNAL,
        _ => BAD_REQUEST,
    };
    RpcError::new(code, failure.reason.clone())
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<types::table::TableFault> for Refusal {
    fn from(fault: types::table::TableFault) -> Self {
        Self::Failure(fault.into())
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self::Error(error)
    }
}

impl From<TooLong> for Refusal {
    fn from(_: TooLong) -> Self {
        Self::Error(RpcError::new(BAD_REQUEST, "history too large"))
    }
}

fn server() -> String {
    format!("Meanwhile {}", env!("CARGO_PKG_VERSION"))
}

fn banner() -> String {
    format!("{}: height 0 is final already; blocks only give it a place.", server())
}

/// Agrees on the version. Clients send one, or the least and the most that they speak.
fn version(params: &mut Params) -> Result<Value, RpcError> {
    let _client: Option<Value> = params.optional(0, "client_name")?;
    let wanted: Option<Value> = params.optional(1, "protocol_version")?;
    let bounds = match &wanted {
        None => return Ok(json!([server(), PROTOCOL])),
        Some(Value::String(one)) => Some((one.as_str(), one.as_str())),
        Some(Value::Array(pair)) => match pair.as_slice() {
            [Value::String(least), Value::String(most)] => Some((least.as_str(), most.as_str())),
            _ => None,
        },
        Some(_) => None,
    };
    let bounds = bounds.and_then(|(least, most)| Some((numbers(least)?, numbers(most)?)));
    let own = numbers(PROTOCOL);
    match (bounds, own) {
        (Some((least, most)), Some(own)) if least <= own && own <= most => {
            Ok(json!([server(), PROTOCOL]))
        }
        (Some(_), _) => Err(RpcError::new(
            BAD_REQUEST,
            format!("unsupported protocol version; this server speaks {PROTOCOL}"),
        )),
        (None, _) => Err(RpcError::new(code::INVALID_PARAMS, "not a protocol version")),
    }
}

/// A version's parts without the zeros at its end: 1.4 is 1.4.0.
fn numbers(text: &str) -> Option<Vec<u32>> {
    let mut parts = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

fn block(view: &View, height: Height) -> Result<BlockRecord, Refusal> {
    view.block(height)?
        .ok_or_else(|| RpcError::new(BAD_REQUEST, format!("height {height:?} out of range")).into())
}

/// The proof of a header under a checkpoint.
fn header_proof(
    shared: &Shared,
    view: &View,
    height: Height,
    checkpoint: Height,
) -> Result<Value, Refusal> {
    let tip = view.summary()?.tip.height;
    if height > checkpoint || checkpoint > tip {
        let message = format!(
            "header height {height} must be <= cp_height {checkpoint} which must be <= chain \
             height {tip}"
        );
        return Err(RpcError::new(BAD_REQUEST, message).into());
    }
    let proof = shared.headers.proof(view.tables(), height, checkpoint)?;
    let root = BlockHash::from_raw_hash(proof.root);
    Ok(json!({ "branch": hashes_json(&proof.branch), "root": root }))
}

/// A header as it is told to whoever follows the chain.
pub(super) fn header_json(height: Height, header: &Header) -> Value {
    json!({ "hex": encode::serialize_hex(header), "height": height })
}

/// A status as it is told.
pub(super) fn status_json(status: Status) -> Value {
    status.map_or(Value::Null, |status| json!(hex::encode(AsRef::<[u8]>::as_ref(&status))))
}

/// The name of a script as it is told: the bytes the other way round.
pub(super) fn script_json(script: &ScriptHash) -> Value {
    let mut bytes = *script.as_bytes();
    bytes.reverse();
    json!(hex::encode(bytes))
}

fn item_json(item: &Item) -> Value {
    let mut object = json!({ "tx_hash": item.txid, "height": item.height });
    if let Some(fee) = item.fee_sat {
        object["fee"] = json!(fee);
    }
    object
}

fn hashes_json(hashes: &[sha256d::Hash]) -> Value {
    hashes.iter().map(|hash| json!(Txid::from_raw_hash(*hash))).collect()
}

fn script_hash(params: &mut Params) -> Result<ScriptHash, RpcError> {
    let text: String = params.required(0, "scripthash")?;
    let digest = Digest::from_str(&text)
        .map_err(|_| RpcError::new(BAD_REQUEST, format!("{text} is not a valid script hash")))?;
    let mut bytes = *digest.as_bytes();
    bytes.reverse();
    Ok(ScriptHash::new(bytes))
}

fn txid(params: &mut Params, place: usize) -> Result<Txid, RpcError> {
    let text: String = params.required(place, "tx_hash")?;
    Txid::from_str(&text)
        .map_err(|_| RpcError::new(BAD_REQUEST, format!("{text} should be a transaction hash")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_meet_or_are_refused() {
        let ask = |wanted: Value| version(&mut Params::List(vec![json!("client"), wanted]));
        for wanted in [json!("1.4"), json!("1.4.0"), json!(["1.4", "1.6"]), json!(["1.2", "1.4"])] {
            assert_eq!(ask(wanted.clone()).unwrap()[1], "1.4", "{wanted}");
        }
        for wanted in [json!("1.5"), json!(["1.4.1", "1.6"]), json!(["0.9", "1.3"])] {
            assert_eq!(ask(wanted.clone()).unwrap_err().code, BAD_REQUEST, "{wanted}");
        }
        for wanted in [json!(1.4), json!("one"), json!(["1.4"]), json!({})] {
            assert_eq!(ask(wanted.clone()).unwrap_err().code, code::INVALID_PARAMS, "{wanted}");
        }
    }

    #[test]
    fn a_script_is_named_the_other_way_round() {
        let text = format!("{}01", "00".repeat(31));
        let script = script_hash(&mut Params::List(vec![json!(text)])).unwrap();
        assert_eq!(script.as_bytes()[0], 1);
        assert_eq!(script_json(&script), json!(text));
    }
}
