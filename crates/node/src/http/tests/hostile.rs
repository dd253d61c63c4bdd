//! Malformed, oversized and hostile requests: clear errors of the caller, never one of the node.

use client::api::ErrorBody;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

/// How many random requests one run sends.
const CASES: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_the_caller_s_fault_at_every_route() {
    let served = Served::start().await;
    let zero = "00".repeat(32);
    let huge = "9".repeat(40);
    let mut rows = Vec::new();
    for route in
        ["", "/hex", "/raw", "/status", "/merkle-proof", "/merkleblock-proof", "/outspends"]
    {
        rows.push((format!("/api/tx/zz{route}"), 400));
        let unknown = if route == "/status" { 200 } else { 404 };
        rows.push((format!("/api/tx/{zero}{route}"), unknown));
    }
    for route in ["", "/status", "/header", "/raw", "/txs", "/txs/0", "/txids", "/txid/0"] {
        rows.push((format!("/api/block/zz{route}"), 400));
        let unknown = if route == "/status" { 200 } else { 404 };
        rows.push((format!("/api/block/{zero}{route}"), unknown));
    }
    for kind in ["address", "scripthash"] {
        for route in ["", "/txs", "/txs/chain", "/txs/mempool", "/utxo"] {
            rows.push((format!("/api/{kind}/zz{route}"), 400));
        }
    }
    rows.extend([
        (format!("/api/tx/{zero}/outspend/{huge}"), 400),
        (format!("/api/tx/{zero}/outspend/-1"), 400),
        (format!("/api/block/{zero}/txs/{huge}"), 400),
        (format!("/api/block-height/{huge}"), 400),
        ("/api/block-height/4294967296".to_owned(), 404),
        ("/api/block-height/-1".to_owned(), 400),
        (format!("/api/blocks/{}", u32::MAX), 404),
        ("/api/blocks/x".to_owned(), 400),
        (format!("/api/address/{}/txs/chain/zz", address(1)), 400),
        (format!("/api/scripthash/{zero}/txs/chain/{zero}"), 200),
        ("/api/address/bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".to_owned(), 400),
        ("/api/nothing".to_owned(), 404),
        ("/api".to_owned(), 404),
        ("/api/tx/%ff%fe".to_owned(), 400),
        ("/v1/tx/zz".to_owned(), 400),
        (format!("/v1/tx/{zero}"), 200),
        ("/v1/commits/0".to_owned(), 404),
        (format!("/v1/commits/{huge}"), 400),
        ("/v1/dag?from=x".to_owned(), 400),
        (format!("/v1/dag?from={}", u64::MAX), 200),
        ("/v1/dag?other=1".to_owned(), 400),
        ("/v1/events?after=x".to_owned(), 400),
        ("/v1/events?kind=x".to_owned(), 400),
        ("/v1/events?txid=x".to_owned(), 400),
        ("/v1/events?scripthash=x".to_owned(), 400),
        ("/v1/nothing".to_owned(), 404),
        ("/tx/zz".to_owned(), 400),
        (format!("/tx/{zero}"), 404),
        (format!("/block/{huge}"), 400),
        (format!("/block/{zero}"), 404),
        ("/block/1?start=-1".to_owned(), 400),
        (format!("/block/1?start={}", u32::MAX), 200),
        ("/address/zz".to_owned(), 400),
        (format!("/address/{}?before=x", address(1)), 400),
        (format!("/address/{}?before=0", address(1)), 200),
        ("/commit/x".to_owned(), 400),
        ("/nothing/at/all".to_owned(), 404),
    ]);
    for (path, expected) in rows {
        let answer = served.get(&path).await;
        assert_eq!(answer.status.as_u16(), expected, "{path}: {}", answer.text());
        if answer.status.is_client_error() {
            assert_reads_well(&path, &answer);
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_read_strictly() {
    let served = Served::start().await;
    for path in ["/api/tx", "/v1/tx", "/v1/tx?wait=final"] {
        for body in ["", "zz", "0", "00", "\u{fffd}", "0200000000010000000000"] {
            let answer = served.post(path, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body:?}");
            assert!(answer.text().contains("TX decode failed"), "{path}: {}", answer.text());
        }
        let large = served.post(path, vec![b'0'; super::super::parse::TRANSACTION_BODY_MAX + 1]);
        assert_eq!(large.await.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    assert_eq!(served.post("/v1/tx?wait=never", "00").await.status, StatusCode::BAD_REQUEST);
    for path in ["/v1/faucet", "/v1/dev/ticks"] {
        let answer = served.post(path, vec![b' '; 5_000]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert_reads_well(path, &answer);
    }
    let wrong = served.post("/v1/status", "").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_reads_well("/v1/status", &wrong);
    for body in ["", "{}", "[]", "[\"zz\"]"] {
        let answer = served.post("/api/txs/package", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:?}");
    }
    served.stop().await;
}

/// An error under `/v1` is JSON with a code; elsewhere it is text or a page.
fn assert_reads_well(path: &str, answer: &Answer) {
    if path.starts_with("/v1") {
        let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert!(!body.error.reason.is_empty(), "{path}");
        assert_eq!(answer.kind, "application/json", "{path}");
    } else if path.starts_with("/api") {
        assert_eq!(answer.kind, "text/plain; charset=utf-8", "{path}");
        assert!(!answer.text().is_empty(), "{path}");
    } else {
        assert!(answer.text().contains("<h1>"), "{path}");
    }
}

/// Paths of real routes with anything in the places of their parameters.
fn paths() -> impl Strategy<Value = String> {
    let segment = proptest::prop_oneof![
        "[0-9]{1,24}",
        "[0-9a-f]{64}",
        "bcrt1[02-9ac-hj-np-z]{8,60}",
        "[ -~]{0,40}",
        any::<String>(),
    ];
    let routes = [
        "/api/tx/",
        "/api/block/",
        "/api/block-height/",
        "/api/blocks/",
        "/api/address/",
        "/api/scripthash/",
        "/v1/tx/",
        "/v1/commits/",
        "/v1/dag?from=",
        "/v1/",
        "/tx/",
        "/block/",
        "/address/",
        "/commit/",
        "/search?q=",
        "/",
    ];
    let below = [
        "",
        "/",
        "/hex",
        "/status",
        "/merkle-proof",
        "/outspend/",
        "/outspends",
        "/txs/",
        "/txs/chain/",
        "/utxo",
        "/txid/",
        "/raw",
    ];
    let parts = (
        proptest::sample::select(routes.to_vec()),
        segment.clone(),
        proptest::sample::select(below.to_vec()),
        segment,
    );
    parts.prop_map(|(route, first, below, second)| {
        let tail = if below.ends_with('/') { escaped(&second) } else { String::new() };
        format!("{route}{}{below}{tail}", escaped(&first))
    })
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_the_node_s_fault() {
    let served = Served::start().await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES {
        let path = paths().new_tree(&mut runner).unwrap().current();
        let body = any::<Vec<u8>>().new_tree(&mut runner).unwrap().current();
        let answer = served.get(&path).await;
        assert!(!answer.status.is_server_error(), "GET {path}: {}", answer.text());
        for path in ["/api/tx", "/v1/tx", "/v1/faucet", "/v1/dev/ticks", "/v1/tx?wait=final"] {
            let answer = served.post(path, body.clone()).await;
            assert!(answer.status.is_client_error(), "POST {path} {body:?}: {}", answer.text());
        }
    }
    served.stop().await;
}
