//! Calls and REST over a real node, as a client's requests have them.

use axum::body::Body;
use axum::http::Request;
use bitcoin::Block;
use bitcoin::OutPoint;
use bitcoin::Transaction;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::consensus::encode::serialize_hex;
use proptest::prelude::Strategy as _;
use proptest::prelude::any;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tower::ServiceExt as _;

use crate::http::tests::Served;
use crate::http::tests::address;
use crate::http::tests::spend_to_self;
use crate::http::tests::wallet::spend;
use crate::http::tests::wallet::spend_for;

use super::*;

/// Every call that there is.
const METHODS: [&str; 16] = [
    "getblockchaininfo",
    "getnetworkinfo",
    "getblockcount",
    "getbestblockhash",
    "getblockhash",
    "getblockheader",
    "getblock",
    "gettxout",
    "getrawtransaction",
    "getmempoolinfo",
    "getrawmempool",
    "getmempoolentry",
    "estimatesmartfee",
    "sendrawtransaction",
    "testmempoolaccept",
    "submitpackage",
];

struct Rpc {
    served: Served,
    router: Router,
    header: String,
    _folder: tempfile::TempDir,
}

impl Rpc {
    async fn start() -> Self {
        let served = Served::start().await;
        let folder = tempfile::tempdir().unwrap();
        let cookie = Cookie::create(&folder.path().join(".cookie")).unwrap();
        let header = cookie.header().to_owned();
        let router = router(served.shared().0, cookie);
        Self { served, router, header, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
        (status, body)
    }

    async fn post(&self, header: Option<&str>, body: String) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method("POST").uri("/");
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn ask(&self, method: &str, params: Value) -> (StatusCode, Value) {
        let body = json!({ "id": 1, "method": method, "params": params }).to_string();
        let (status, body) = self.post(Some(&self.header), body).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, method: &str, params: Value) -> Value {
        let (status, mut answer) = self.ask(method, params).await;
        assert_eq!((status, &answer["error"]), (StatusCode::OK, &Value::Null), "{method}");
        answer["result"].take()
    }

    async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let (status, answer) = self.ask(method, params).await;
        assert!(!status.is_success(), "{method}: {answer}");
        let error = &answer["error"];
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    async fn rest(&self, path: &str) -> (StatusCode, Bytes) {
        self.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_in_the_pool_until_its_block_and_in_the_block_after() {
    let rpc = Rpc::start().await;
    let txid = rpc.served.pay(&address(60), 50_000).await;
    rpc.served.wait_final(txid).await;
    assert_eq!(rpc.get("getrawmempool", json!([])).await, json!([txid]));
    let entry = rpc.get("getmempoolentry", json!([txid])).await;
    assert_eq!((&entry["ancestorcount"], &entry["depends"]), (&json!(1), &json!([])));
    assert_eq!(rpc.get("getmempoolinfo", json!([])).await["size"], 1);
    let raw = rpc.get("getrawtransaction", json!([txid])).await;
    let funding: Transaction = deserialize_hex(raw.as_str().unwrap()).unwrap();
    let script = address(60).script_pubkey();
    let vout = funding.output.iter().position(|one| one.script_pubkey == script).unwrap();
    let output = rpc.get("gettxout", json!([txid, vout])).await;
    assert_eq!((&output["confirmations"], &output["value"]), (&json!(0), &json!(0.0005)));
    assert!(rpc.get("gettxout", json!([txid, vout, false])).await.is_null());

    let height = rpc.served.tick(1).await;
    assert_eq!(rpc.get("getblockcount", json!([])).await, json!(height));
    let hash = rpc.get("getblockhash", json!([height])).await;
    assert_eq!(rpc.get("getbestblockhash", json!([])).await, hash);
    let raw = rpc.get("getblock", json!([hash, 0])).await;
    let block: Block = deserialize_hex(raw.as_str().unwrap()).unwrap();
    let names = rpc.get("getblock", json!([hash])).await;
    assert_eq!((&names["tx"][1], &names["nTx"]), (&json!(txid), &json!(2)));
    assert_eq!(names["strippedsize"], json!(block.base_size_for_test()));
    let whole = rpc.get("getblock", json!({ "blockhash": hash, "verbosity": 2 })).await;
    assert!(whole["tx"][1]["fee"].as_f64().unwrap() > 0.0);
    assert!(whole["tx"][1]["vin"][0]["prevout"].is_null());
    let header = rpc.get("getblockheader", json!([hash])).await;
    assert_eq!((&header["height"], &header["confirmations"]), (&json!(height), &json!(1)));
    let header = rpc.get("getblockheader", json!([hash, false])).await;
    let header: Header = deserialize_hex(header.as_str().unwrap()).unwrap();
    assert_eq!(header, block.header);
    let verbose = rpc.get("getrawtransaction", json!([txid, 2])).await;
    assert_eq!((&verbose["blockhash"], &verbose["confirmations"]), (&hash, &json!(1)));
    assert!(verbose["fee"].is_number() && verbose["vin"][0]["prevout"].is_object());
    let info = rpc.get("getblockchaininfo", json!([])).await;
    assert_eq!((&info["chain"], &info["blocks"]), (&json!("regtest"), &json!(height)));
    assert_eq!(rpc.get("getnetworkinfo", json!([])).await["localservices"], "0000000000000009");
    assert_eq!(rpc.get("estimatesmartfee", json!([6])).await["feerate"], json!(1e-5));
    rpc.served.stop().await;
}

/// The size without witnesses, by bitcoin's own count.
trait BaseSize {
    fn base_size_for_test(&self) -> usize;
}

impl BaseSize for Block {
    fn base_size_for_test(&self) -> usize {
        let mut stripped = self.clone();
        for transaction in &mut stripped.txdata {
            transaction.input.iter_mut().for_each(|input| input.witness.clear());
        }
        stripped.total_size()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_judged_taken_and_refused_in_core_s_codes() {
    let rpc = Rpc::start().await;
    let txid = rpc.served.pay(&address(61), 90_000).await;
    rpc.served.wait_final(txid).await;
    let raw = rpc.get("getrawtransaction", json!([txid])).await;
    let funding: Transaction = deserialize_hex(raw.as_str().unwrap()).unwrap();
    let payment = spend_to_self(&funding, 61);
    let hex = serialize_hex(&payment);

    let judged = rpc.get("testmempoolaccept", json!([[hex]])).await;
    assert_eq!((&judged[0]["allowed"], &judged[0]["fees"]["base"]), (&json!(true), &json!(1e-5)));
    assert!(rpc.get("getrawmempool", json!([])).await.as_array().unwrap().len() == 1);
    let judged = rpc.get("testmempoolaccept", json!([[hex], 0.000_000_01])).await;
    assert_eq!(judged[0]["reject-reason"], "max-fee-exceeded");
    let (code, _) = rpc.error("sendrawtransaction", json!([hex, "0.00000001"])).await;
    assert_eq!(code, -25);
    assert_eq!(rpc.get("sendrawtransaction", json!([hex])).await, json!(payment.compute_txid()));
    assert_eq!(rpc.get("sendrawtransaction", json!([hex])).await, json!(payment.compute_txid()));
    let judged = rpc.get("testmempoolaccept", json!([[hex]])).await;
    assert_eq!(judged[0]["allowed"], false);
    rpc.served.wait_final(payment.compute_txid()).await;
    rpc.served.tick(1).await;
    let (code, message) = rpc.error("sendrawtransaction", json!([hex])).await;
    assert_eq!((code, message.as_str()), (-27, IN_CHAIN_WORDS));

    let mut other = payment.clone();
    other.output[0].value -= bitcoin::Amount::from_sat(1);
    let (code, message) = rpc.error("sendrawtransaction", json!([serialize_hex(&other)])).await;
    assert!(code == -25 && message.starts_with("bad-txns-inputs-missingorspent"), "{message}");
    let judged = rpc.get("testmempoolaccept", json!([[serialize_hex(&other)]])).await;
    assert_eq!(judged[0]["reject-reason"], "missing-inputs");
    assert_eq!(rpc.error("sendrawtransaction", json!(["00"])).await.0, -22);
    assert_eq!(rpc.error("getmempoolentry", json!([txid])).await.0, -5);
    assert_eq!(rpc.error("getrawtransaction", json!(["00".repeat(32)])).await.0, -5);
    assert_eq!(rpc.error("getblockhash", json!([1_000_000])).await.0, -8);
    assert_eq!(rpc.error("getblockhash", json!([-1])).await.0, -8);
    assert_eq!(rpc.error("getblock", json!(["zz"])).await.0, -8);
    assert_eq!(rpc.error("estimatesmartfee", json!([0])).await.0, -8);
    rpc.served.stop().await;
}

const IN_CHAIN_WORDS: &str = "Transaction outputs already in utxo set";

#[tokio::test(flavor = "multi_thread")]
async fn calls_need_the_cookie_and_speak_both_versions_alone_and_in_batches() {
    let rpc = Rpc::start().await;
    let body = r#"{"jsonrpc":"2.0","id":"a","method":"getblockcount"}"#.to_owned();
    for header in [None, Some("Basic Og=="), Some("Bearer x")] {
        assert_eq!(rpc.post(header, body.clone()).await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, answer) = rpc.post(Some(&rpc.header), body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, answer.get("error")), (StatusCode::OK, None));
    assert!(answer["result"].is_number());
    let unknown = r#"{"jsonrpc":"2.0","id":"a","method":"stop"}"#.to_owned();
    let (status, answer) = rpc.post(Some(&rpc.header), unknown).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::OK, &json!(-32_601)));
    assert_eq!(rpc.ask("stop", json!([])).await.0, StatusCode::NOT_FOUND);
    let batch = r#"[{"id":1,"method":"getblockcount"},{"id":2,"method":"stop"},7]"#.to_owned();
    let (status, answers) = rpc.post(Some(&rpc.header), batch).await;
    let answers: Value = serde_json::from_slice(&answers).unwrap();
    assert_eq!((status, answers.as_array().unwrap().len()), (StatusCode::OK, 3));
    assert_eq!(answers[2]["error"]["code"], -32_600);
    let (status, _) = rpc.post(Some(&rpc.header), "no JSON".to_owned()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    rpc.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_gives_the_chain_in_every_form_without_a_cookie() {
    let rpc = Rpc::start().await;
    let hash = rpc.get("getbestblockhash", json!([])).await.as_str().unwrap().to_owned();
    let count = rpc.get("getblockcount", json!([])).await.as_u64().unwrap();
    let (_, info) = rpc.rest("/rest/chaininfo.json").await;
    let info: Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info["bestblockhash"], json!(hash));
    let (_, binary) = rpc.rest(&format!("/rest/block/{hash}.bin")).await;
    let block: Block = deserialize(&binary).unwrap();
    assert_eq!(block.block_hash().to_string(), hash);
    let (_, hex) = rpc.rest(&format!("/rest/block/{hash}.hex")).await;
    assert_eq!(std::str::from_utf8(&hex).unwrap().trim(), hex::encode(&binary));
    let (_, json) = rpc.rest(&format!("/rest/block/notxdetails/{hash}.json")).await;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert!(json["tx"][0].is_string());
    let (_, named) = rpc.rest(&format!("/rest/blockhashbyheight/{count}.json")).await;
    assert_eq!(serde_json::from_slice::<Value>(&named).unwrap()["blockhash"], json!(hash));
    let (_, first) = rpc.rest("/rest/blockhashbyheight/0.hex").await;
    let first = std::str::from_utf8(&first).unwrap().trim().to_owned();
    for path in
        [format!("/rest/headers/7/{first}.bin"), format!("/rest/headers/{first}.bin?count=7")]
    {
        let (status, headers) = rpc.rest(&path).await;
        assert_eq!((status, headers.len()), (StatusCode::OK, 7 * 80), "{path}");
    }
    for (path, status) in [
        ("/rest/block/zz.json", StatusCode::BAD_REQUEST),
        ("/rest/blockhashbyheight/99999.json", StatusCode::NOT_FOUND),
        ("/rest/blockhashbyheight/-1.json", StatusCode::BAD_REQUEST),
        ("/rest/blockhashbyheight/0.xml", StatusCode::NOT_FOUND),
        ("/rest/headers/0/00.bin", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rpc.rest(path).await.0, status, "{path}");
    }
    rpc.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parameters_are_the_node_s_fault() {
    let rpc = Rpc::start().await;
    let mut runner = TestRunner::deterministic();
    let value = proptest::prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<String>().prop_map(|text| json!(text)),
        "[0-9a-f]{64}".prop_map(|text| json!(text)),
        (0_u32..120).prop_map(|number| json!(number)),
        any::<Vec<String>>().prop_map(|texts| json!(texts)),
        proptest::prelude::Just(Value::Null),
    ];
    let params = proptest::collection::vec(value, 0..4);
    for _ in 0..20 {
        for method in METHODS {
            let params = params.new_tree(&mut runner).unwrap().current();
            let (_, answer) = rpc.ask(method, json!(params)).await;
            assert_ne!(answer["error"]["code"], json!(code::INTERNAL), "{method} {params:?}");
        }
    }
    rpc.served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_pays_for_its_parent_in_a_package() {
    let rpc = Rpc::start().await;
    let funded = rpc.served.pay(&address(61), 100_000).await;
    rpc.served.wait_final(funded).await;
    let parent = spend_for(61, OutPoint { txid: funded, vout: 0 }, 100_000, 0);
    let child = spend(61, OutPoint { txid: parent.compute_txid(), vout: 0 }, 100_000);
    let hexes = json!([serialize_hex(&parent), serialize_hex(&child)]);
    let (code, _) = rpc.error("sendrawtransaction", json!([hexes[0]])).await;
    assert_eq!(code, -26);
    let (code, words) = rpc.error("submitpackage", json!([hexes, 0.000_001])).await;
    assert_eq!(code, -25, "{words}");
    let answer = rpc.get("submitpackage", json!([hexes])).await;
    assert_eq!(answer["package_msg"], "success");
    let told = &answer["tx-results"][parent.compute_wtxid().to_string()];
    assert_eq!(
        (&told["txid"], &told["fees"]["base"]),
        (&json!(parent.compute_txid()), &json!(0.0))
    );
    rpc.served.wait_final(child.compute_txid()).await;
    let (code, _) = rpc.error("submitpackage", json!([[]])).await;
    assert_eq!(code, -8);
    rpc.served.stop().await;
}
