//! The protocol over a real node, as a client's bytes have it.

use std::time::Duration;

use bitcoin::Address;
use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::hashes::HashEngine as _;
use bitcoin::hashes::sha256;
use bitcoin::hashes::sha256d;
use ledger::ScriptHash;
use proptest::prelude::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use types::Height;

use crate::http::tests::Served;
use crate::http::tests::address;

use super::history;
use super::history::Item;
use super::serve;
use super::watcher::Command;
use super::watcher::Notice;
use super::watcher::Watcher;

const PATIENCE: Duration = Duration::from_secs(20);
/// Every method that there is.
const METHODS: [&str; 23] = [
    "server.version",
    "server.features",
    "server.ping",
    "server.banner",
    "server.donation_address",
    "server.peers.subscribe",
    "server.add_peer",
    "blockchain.headers.subscribe",
    "blockchain.block.header",
    "blockchain.block.headers",
    "blockchain.scripthash.get_balance",
    "blockchain.scripthash.get_history",
    "blockchain.scripthash.get_mempool",
    "blockchain.scripthash.listunspent",
    "blockchain.scripthash.subscribe",
    "blockchain.scripthash.unsubscribe",
    "blockchain.transaction.broadcast",
    "blockchain.transaction.get",
    "blockchain.transaction.get_merkle",
    "blockchain.transaction.id_from_pos",
    "blockchain.estimatefee",
    "blockchain.relayfee",
    "mempool.get_fee_histogram",
];

struct Electrum {
    served: Served,
    server: JoinHandle<()>,
    address: std::net::SocketAddr,
}

struct Client {
    stream: BufReader<TcpStream>,
    notices: Vec<Value>,
    next: u64,
}

impl Electrum {
    async fn start() -> Self {
        let served = Served::start().await;
        let (address, server) = served.listen(serve).await;
        Self { served, server, address }
    }

    async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client { stream: BufReader::new(stream), notices: Vec::new(), next: 0 }
    }

    async fn stop(self) {
        self.served.stop().await;
        self.server.await.unwrap();
    }
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line, or none when the server has closed.
    async fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await.expect("a line");
        (read.unwrap_or(0) > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Asks, puts notices that come before the answer aside, and gives the whole answer.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let request = json!({ "id": self.next, "method": method, "params": params });
        self.send(&format!("{request}\n")).await;
        loop {
            let line = self.line().await.expect("an answer");
            if line["id"] == json!(self.next) {
                return line;
            }
            assert!(line["method"].is_string(), "{line}");
            self.notices.push(line);
        }
    }

    async fn get(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].take()
    }

    /// The next notice of a method.
    async fn notice(&mut self, method: &str) -> Value {
        loop {
            if let Some(place) = self.notices.iter().position(|one| one["method"] == method) {
                return self.notices.remove(place)["params"].take();
            }
            let line = self.line().await.expect("a notice");
            self.notices.push(line);
        }
    }
}

/// The name of an address's script, the other way round.
fn script(address: &Address) -> String {
    let mut bytes = *ScriptHash::of(&address.script_pubkey()).as_bytes();
    bytes.reverse();
    hex::encode(bytes)
}

/// What the protocol says that the status of a history is, written apart from the server.
fn status(history: &Value) -> Value {
    let items = history.as_array().unwrap();
    if items.is_empty() {
        return Value::Null;
    }
    let text: String = items
        .iter()
        .map(|item| format!("{}:{}:", item["tx_hash"].as_str().unwrap(), item["height"]))
        .collect();
    let mut engine = sha256::HashEngine::default();
    engine.input(text.as_bytes());
    json!(hex::encode(sha256::Hash::from_engine(engine).to_byte_array()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_told_when_it_is_final_and_when_its_block_is_sealed() {
    let electrum = Electrum::start().await;
    let mut client = electrum.client().await;
    let version = client.get("server.version", json!(["test", ["1.4", "1.6"]])).await;
    assert_eq!(version[1], "1.4");
    let tip = client.get("blockchain.headers.subscribe", json!([])).await;
    let payee = address(40);
    let name = script(&payee);
    let before = client.get("blockchain.scripthash.subscribe", json!([name])).await;
    assert_eq!(before, Value::Null);

    let txid = electrum.served.pay(&payee, 50_000).await;
    electrum.served.wait_final(txid).await;
    let mut told = client.notice("blockchain.scripthash.subscribe").await;
    let mut history = client.get("blockchain.scripthash.get_history", json!([name])).await;
    // The pool's status and that of what is final are the same: both stand at height 0.
    assert_eq!(
        (history[0]["tx_hash"].as_str(), &history[0]["height"]),
        (Some(txid.to_string().as_str()), &json!(0))
    );
    assert!(history[0]["fee"].as_u64().unwrap() > 0);
    while told[1] != status(&history) {
        told = client.notice("blockchain.scripthash.subscribe").await;
        history = client.get("blockchain.scripthash.get_history", json!([name])).await;
    }
    let balance = client.get("blockchain.scripthash.get_balance", json!([name])).await;
    assert_eq!(balance, json!({ "confirmed": 0, "unconfirmed": 50_000 }));
    let pool = client.get("blockchain.scripthash.get_mempool", json!([name])).await;
    assert_eq!(pool, history);

    let height = electrum.served.tick(2).await;
    let first = client.notice("blockchain.headers.subscribe").await;
    let second = client.notice("blockchain.headers.subscribe").await;
    assert_eq!((&first[0]["height"], &second[0]["height"]), (&json!(height - 1), &json!(height)));
    let header = |value: &Value| -> Header { deserialize_hex(value.as_str().unwrap()).unwrap() };
    assert_eq!(header(&first[0]["hex"]).prev_blockhash, header(&tip["hex"]).block_hash());
    let told = client.notice("blockchain.scripthash.subscribe").await;
    let history = client.get("blockchain.scripthash.get_history", json!([name])).await;
    assert_eq!(history, json!([{ "tx_hash": txid, "height": height - 1 }]));
    assert_eq!(told[1], status(&history));
    let balance = client.get("blockchain.scripthash.get_balance", json!([name])).await;
    assert_eq!(balance, json!({ "confirmed": 50_000, "unconfirmed": 0 }));
    let unspent = client.get("blockchain.scripthash.listunspent", json!([name])).await;
    assert_eq!((&unspent[0]["height"], &unspent[0]["value"]), (&json!(height - 1), &json!(50_000)));

    let gone = client.get("blockchain.scripthash.unsubscribe", json!([name])).await;
    let again = client.get("blockchain.scripthash.unsubscribe", json!([name])).await;
    assert_eq!((gone, again), (json!(true), json!(false)));
    electrum.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_lead_from_transactions_to_headers_and_from_headers_to_a_checkpoint() {
    let electrum = Electrum::start().await;
    let mut client = electrum.client().await;
    let txid = electrum.served.pay(&address(41), 60_000).await;
    electrum.served.wait_final(txid).await;
    let height = electrum.served.tick(1).await;

    let raw = client.get("blockchain.transaction.get", json!([txid])).await;
    let transaction: Transaction = deserialize_hex(raw.as_str().unwrap()).unwrap();
    assert_eq!(transaction.compute_txid(), txid);
    let verbose = client.get("blockchain.transaction.get", json!([txid, true])).await;
    assert_eq!((&verbose["hex"], &verbose["confirmations"]), (&raw, &json!(1)));

    let proof = client.get("blockchain.transaction.get_merkle", json!([txid, height])).await;
    let hex = client.get("blockchain.block.header", json!([height])).await;
    let header: Header = deserialize_hex(hex.as_str().unwrap()).unwrap();
    let root = climb(txid.to_raw_hash(), proof["pos"].as_u64().unwrap(), &proof["merkle"]);
    assert_eq!(root, header.merkle_root.to_raw_hash());
    let placed = json!([height, proof["pos"], true]);
    let placed = client.get("blockchain.transaction.id_from_pos", placed).await;
    assert_eq!((&placed["tx_hash"], &placed["merkle"]), (&json!(txid), &proof["merkle"]));

    for (at, checkpoint) in [(0, height), (5, height), (height, height), (7, 50), (50, 50)] {
        let proof = client.get("blockchain.block.header", json!([at, checkpoint])).await;
        let header: Header = deserialize_hex(proof["header"].as_str().unwrap()).unwrap();
        let root = climb(header.block_hash().to_raw_hash(), at.into(), &proof["branch"]);
        assert_eq!(json!(bitcoin::BlockHash::from_raw_hash(root)), proof["root"]);
        let page = json!([at.saturating_sub(1), at.min(1) + 1, checkpoint]);
        let page = client.get("blockchain.block.headers", page).await;
        assert_eq!((&page["root"], &page["branch"]), (&proof["root"], &proof["branch"]), "{at}");
    }
    let page = client.get("blockchain.block.headers", json!([0, 5_000])).await;
    assert_eq!((&page["count"], &page["max"]), (&json!(height + 1), &json!(2_016)));
    let wrong = client.ask("blockchain.block.header", json!([7, 6])).await;
    assert_eq!(wrong["error"]["code"], 1);
    let wrong = client.ask("blockchain.transaction.get_merkle", json!([txid, height - 1])).await;
    assert_eq!(wrong["error"]["code"], 1);
    electrum.stop().await;
}

fn climb(leaf: sha256d::Hash, mut place: u64, branch: &Value) -> sha256d::Hash {
    let mut node = leaf;
    for sibling in branch.as_array().unwrap() {
        let sibling: Txid = sibling.as_str().unwrap().parse().unwrap();
        let sibling = sibling.to_raw_hash();
        let pair = if place.is_multiple_of(2) { [node, sibling] } else { [sibling, node] };
        node = sha256d::Hash::hash(&pair.map(|hash| hash.to_byte_array()).concat());
        place /= 2;
    }
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_taken_again_and_refused_in_words_that_wallets_know() {
    let electrum = Electrum::start().await;
    let mut client = electrum.client().await;
    let txid = electrum.served.pay(&address(42), 70_000).await;
    let raw = client.get("blockchain.transaction.get", json!([txid])).await;
    let again = client.get("blockchain.transaction.broadcast", json!([raw])).await;
    assert_eq!(again, json!(txid));
    electrum.served.wait_final(txid).await;
    let mut other: Transaction = deserialize_hex(raw.as_str().unwrap()).unwrap();
    other.output[0].value -= bitcoin::Amount::from_sat(1_000);
    let other = serialize_hex(&other);
    let refused = client.ask("blockchain.transaction.broadcast", json!([other])).await;
    assert_eq!(refused["error"]["code"], 1);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("bad-txns-inputs-missingorspent"), "{message}");
    let unknown = client.ask("blockchain.transaction.get", json!(["00".repeat(32)])).await;
    assert_eq!(unknown["error"]["code"], 2);
    electrum.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_lines_are_bounded_and_every_request_has_its_answer() {
    let electrum = Electrum::start().await;
    let mut client = electrum.client().await;
    client.send("[{\"id\":1,\"method\":\"server.ping\"},{\"id\":2,\"method\":\"no\"},3]\n").await;
    let answers = client.line().await.unwrap();
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!(1), &Value::Null));
    assert_eq!(answers[1]["error"]["code"], -32_601);
    assert_eq!(answers[2]["error"]["code"], -32_600);
    let many = vec![json!({ "id": 1, "method": "server.ping" }); super::BATCH_MAX + 1];
    client.send(&format!("{}\n", json!(many))).await;
    assert_eq!(client.line().await.unwrap()["error"]["code"], -32_600);
    client.send("this is no JSON\n\n").await;
    assert_eq!(client.line().await.unwrap()["error"]["code"], -32_700);
    // The writes of a line that never ends fail once the server has closed.
    let endless = vec![b' '; super::LINE_BYTES_MAX + (64 << 10)];
    let _ = client.stream.write_all(&endless).await;
    let mut last = None;
    while let Some(line) = client.line().await {
        last = Some(line);
    }
    if let Some(last) = last {
        assert!(last["error"]["message"].as_str().unwrap().starts_with("closed: a line"));
    }
    electrum.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parameters_are_the_node_s_fault() {
    let electrum = Electrum::start().await;
    let mut client = electrum.client().await;
    let mut runner = TestRunner::deterministic();
    let value = proptest::prop_oneof![
        proptest::prelude::any::<i64>().prop_map(|number| json!(number)),
        proptest::prelude::any::<bool>().prop_map(|flag| json!(flag)),
        proptest::prelude::any::<String>().prop_map(|text| json!(text)),
        "[0-9a-f]{64}".prop_map(|text| json!(text)),
        proptest::prelude::Just(json!(null)),
        proptest::prelude::Just(json!({ "a": [1] })),
        (0_u32..120).prop_map(|number| json!(number)),
    ];
    let params = proptest::collection::vec(value, 0..4);
    for _ in 0..20 {
        for method in METHODS {
            let params = params.new_tree(&mut runner).unwrap().current();
            let answer = client.ask(method, json!(params)).await;
            let code = answer["error"]["code"].as_i64();
            let known = [None, Some(1), Some(2), Some(-32_602)];
            assert!(known.contains(&code), "{method} {params:?}: {answer}");
        }
    }
    electrum.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_no_notices_is_dropped_and_others_miss_none() {
    let served = Served::start().await;
    let (reader, shutdown) = served.shared();
    let (watcher, task) = Watcher::new(reader, shutdown);
    let task = tokio::spawn(task);
    let height = Height::new(served.tick(1).await);
    let (slow, mut slow_notices) = mpsc::channel(2);
    let (fast, mut fast_notices) = mpsc::channel(64);
    watcher.tell(Command::Open(1, slow)).await;
    watcher.tell(Command::Open(2, fast)).await;
    watcher.tell(Command::Headers(1, height)).await;
    // This one was told of an older block: what lies between comes first.
    watcher.tell(Command::Headers(2, height.saturating_sub(3))).await;
    let last = Height::new(served.tick(6).await);
    let mut next = height.saturating_sub(2);
    while next <= last {
        let notice = timeout(PATIENCE, fast_notices.recv()).await.unwrap().unwrap();
        let Notice::Header { height, .. } = notice else { panic!("{notice:?}") };
        assert_eq!(height, next);
        next = next.next();
    }
    let mut taken = 0;
    while timeout(PATIENCE, slow_notices.recv()).await.unwrap().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 2);
    served.stop().await;
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_stands_where_the_whole_history_stands_after_every_step() {
    let served = Served::start().await;
    let (reader, _) = served.shared();
    let payee = address(43);
    let script = ScriptHash::of(&payee.script_pubkey());
    let mut follower = history::Follower::new(script);
    for step in 0..6_u16 {
        let txid = served.pay(&payee, 30_000 + u64::from(step)).await;
        served.wait_final(txid).await;
        if step % 2 == 1 {
            served.tick(step % 3 + 1).await;
        }
        let (mut ahead, asked) = (follower.clone(), script);
        let (moved, standing, items) = reader
            .read(move |view| {
                let standing = ahead.advance(view)?;
                Ok((ahead, standing, history::whole(view, &asked)?.unwrap()))
            })
            .await
            .unwrap();
        follower = moved;
        assert_eq!(standing.status, history::status_of(&items), "step {step}");
        assert_eq!(items.len(), usize::from(step) + 1);
        let is_unsealed = |item: &Item| item.height == 0;
        assert_eq!(standing.is_unsealed, items.iter().any(is_unsealed), "step {step}");
    }
    served.stop().await;
}
