//! Faucet and ticks, and that other networks have neither.

use client::api::Dag;
use client::api::ErrorBody;
use client::api::ErrorCode;
use client::api::Status;
use futures_util::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_ask_the_faucet_at_once_and_each_is_paid_once() {
    let served = Served::start().await;
    // Far more than there are coins: change is spent while its parent is under way.
    let payees: Vec<Address> = (20..80).map(address).collect();
    let txids = join_all(payees.iter().map(|payee| served.pay(payee, 100_000))).await;
    let distinct: std::collections::BTreeSet<_> = txids.iter().collect();
    assert_eq!(distinct.len(), payees.len());
    for (txid, payee) in txids.iter().zip(&payees) {
        served.wait_final(*txid).await;
        let stats: client::esplora::AddressStats =
            served.json(&format!("/api/address/{payee}")).await;
        assert_eq!(stats.mempool_stats.funded_txo_sum, 100_000);
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faucet_says_what_is_wrong_with_a_request() {
    let served = Served::start().await;
    let good = address(1).to_string();
    let rows = [
        (format!(r#"{{"address":"{good}","amount_sat":1}}"#), "too few"),
        (format!(r#"{{"address":"{good}","amount_sat":1000000001}}"#), "too many"),
        (format!(r#"{{"address":"{good}","amount_sat":-1}}"#), "invalid value"),
        (format!(r#"{{"address":"{good}","amount_sat":1000,"x":1}}"#), "unknown field"),
        (
            r#"{"address":"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4","amount_sat":1000}"#.into(),
            "another network",
        ),
        (r#"{"address":"nobody","amount_sat":1000}"#.into(), "can not be read"),
        ("{".into(), "can not be read"),
    ];
    for (body, reason) in rows {
        let answer = served.post("/v1/faucet", body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let error: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert!(error.error.reason.contains(reason), "{body}: {}", error.error.reason);
        assert!(error.error.hint.is_some(), "{body}");
    }
    // More than all its coins together.
    let answer =
        served.post("/v1/faucet", format!(r#"{{"address":"{good}","amount_sat":900000000}}"#));
    let answer = answer.await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.retry_after.is_some());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_not_use_the_reader_s_browser() {
    let served = Served::start().await;
    let body = format!(r#"{{"address":"{}","amount_sat":1000}}"#, address(2));
    let request = Request::builder().method(Method::POST).uri("/v1/faucet");
    let request = request.header("sec-fetch-site", "cross-site").body(body.into()).unwrap();
    assert_eq!(served.send(request).await.status, StatusCode::BAD_REQUEST);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_sealed_on_demand_within_bounds() {
    let served = Served::start().await;
    let first = served.tick(1).await;
    assert_eq!(served.tick(3).await, first + 3);
    for body in [r#"{"count":0}"#, r#"{"count":1001}"#, r#"{"count":65536}"#, "{}", ""] {
        assert_eq!(served.post("/v1/dev/ticks", body).await.status, StatusCode::BAD_REQUEST);
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_networks_have_neither_faucet_nor_ticks() {
    let served = Served::with(|genesis| genesis.development = false).await;
    for path in ["/v1/faucet", "/v1/dev/ticks"] {
        let answer = served.post(path, "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let error: ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(error.error.code, ErrorCode::NotFound);
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_network_can_be_followed() {
    let served = Served::start().await;
    let txid = served.pay(&address(3), 10_000).await;
    let commit = served.wait_final(txid).await.commit.unwrap();
    let status: Status = served.json("/v1/status").await;
    assert_eq!((status.validators.len(), status.development), (1, true));
    assert!(status.commit >= commit);
    let info: client::api::CommitInfo = served.json(&format!("/v1/commits/{commit}")).await;
    assert!(info.applied && info.vertices.contains(&info.leader));
    let from = info.leader.round;
    let dag: Dag = served.json(&format!("/v1/dag?from={from}")).await;
    let leader = dag.vertices.iter().find(|vertex| vertex.id == info.leader).unwrap();
    assert_eq!((leader.leader, leader.commit), (true, Some(commit)));
    assert!(dag.vertices.iter().all(|vertex| vertex.id.round >= from));
    assert_eq!(served.get("/health").await.text(), "ok\n");
    assert_eq!(served.get("/ready").await.text(), "ready\n");
    assert!(served.get("/metrics").await.text().contains("# EOF"));
    assert_eq!(served.get("/v1/commits/18446744073709551615").await.status, StatusCode::NOT_FOUND);
    served.stop().await;
}
