//! The client against a server that says what the test tells it to.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;
use bitcoin::Amount;
use bitcoin::Transaction;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use client::Client;
use client::ClientError;
use client::Deadlines;
use client::api::ErrorCode;
use client::api::EventKind;
use client::api::EventName;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::StreamExt;

const WAIT: Duration = Duration::from_secs(20);

/// Serves `routes` until the test ends, and gives a client of it.
async fn serve(routes: Router) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Client::new(&url).unwrap()
}

fn transaction() -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    }
}

fn status_of(status: &str) -> String {
    format!(r#"{{"txid":"{}","status":"{status}","commit":3}}"#, transaction().compute_txid())
}

/// One event of an outcome, as a node sends it.
fn outcome(sequence: u64) -> String {
    let txid = transaction().compute_txid();
    format!(
        "id: {sequence}\nevent: outcome\ndata: {{\"sequence\":{sequence},\"commit\":1,\
         \"kind\":\"outcome\",\"txid\":\"{txid}\",\"status\":\"final\"}}\n\n"
    )
}

#[tokio::test]
async fn a_refused_transaction_says_why_and_what_to_do() {
    let body = r#"{"error":{"code":"refused","reason":"bad-txns-inputs-missingorspent",
        "hint":"send the parent first"}}"#;
    let routes = Router::new().route("/v1/tx", post(async move || (StatusCode::BAD_REQUEST, body)));
    let client = serve(routes).await;

    let error = client.submit(&transaction()).await.unwrap_err();

    assert_eq!(error.to_string(), "bad-txns-inputs-missingorspent; send the parent first");
    assert!(!error.is_passing());
    let ClientError::Refused { status: 400, code: ErrorCode::Refused, .. } = error else {
        panic!("{error:?}")
    };
}

#[tokio::test]
async fn a_submission_carries_the_transaction_in_hex() {
    let routes = Router::new().route(
        "/v1/tx",
        post(move |body: String| async move {
            let transaction: Transaction =
                bitcoin::consensus::encode::deserialize_hex(&body).unwrap();
            let txid = transaction.compute_txid();
            (StatusCode::ACCEPTED, format!(r#"{{"txid":"{txid}","status":"pending"}}"#))
        }),
    );
    let client = serve(routes).await;

    let submitted = client.submit(&transaction()).await.unwrap();

    assert_eq!(submitted.txid, transaction().compute_txid());
    assert_eq!(submitted.status, TxState::Pending);
}

#[tokio::test]
async fn waiting_for_an_outcome_outlives_a_busy_node_and_a_pending_answer() {
    let answers = Arc::new(Mutex::new(vec![
        (StatusCode::OK, status_of("final")),
        (StatusCode::ACCEPTED, status_of("pending")),
        (StatusCode::SERVICE_UNAVAILABLE, String::new()),
    ]));
    let routes = Router::new().route(
        "/v1/tx",
        post(move |RawQuery(query): RawQuery| async move {
            assert_eq!(query.as_deref(), Some("wait=final"));
            answers.lock().unwrap().pop().unwrap()
        }),
    );
    let client = serve(routes).await;

    let status = client.submit_and_wait(&transaction(), WAIT).await.unwrap();

    assert_eq!(status.status, TxState::Final);
}

#[tokio::test]
async fn a_wait_that_ends_too_early_answers_pending() {
    let routes = Router::new().route("/v1/tx", post(|| async { status_of("pending") }));
    let client = serve(routes).await;

    let wait = Duration::from_millis(200);
    let status = client.submit_and_wait(&transaction(), wait).await.unwrap();

    assert_eq!(status.status, TxState::Pending);
}

#[tokio::test]
async fn a_silent_node_is_late_and_a_missing_one_unreachable() {
    let routes = Router::new().route("/v1/status", get(std::future::pending::<String>));
    let url = serve(routes).await.url().to_owned();
    let deadlines = Deadlines { answer: Duration::from_millis(50), ..Deadlines::default() };
    let client = Client::with_deadlines(&url, deadlines).unwrap();

    let error = client.status().await.unwrap_err();

    assert!(matches!(error, ClientError::Late { deadline_ms: 50, .. }), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&format!("http://{address}")).unwrap();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("is the node running"));
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_an_error() {
    let routes = Router::new()
        .route("/v1/status", get(|| async { "<html>hello</html>" }))
        .route("/api/blocks/tip/height", get(|| async { "102\n" }))
        .route("/api/blocks/tip/hash", get(|| async { "xyz" }));
    let client = serve(routes).await;

    assert!(matches!(client.status().await, Err(ClientError::Malformed { .. })));
    assert_eq!(client.tip_height().await.unwrap().value(), 102);
    assert!(matches!(client.tip_hash().await, Err(ClientError::Malformed { .. })));
}

#[tokio::test]
async fn what_is_not_there_is_none_or_an_error_in_plain_words() {
    let client = serve(
        Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "Transaction not found") }),
    )
    .await;
    let txid = transaction().compute_txid();

    assert_eq!(client.transaction(&txid).await.unwrap(), None);
    assert_eq!(client.raw_transaction(&txid).await.unwrap(), None);
    let address = "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x".parse().unwrap();
    let error = client.faucet(&address, Amount::from_sat(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "Transaction not found");
    assert!(error.is_not_found());
}

#[test]
fn addresses_that_can_not_be_called_are_refused() {
    for url in ["localhost:3000", "https://example.org", "", "http://"] {
        let error = Client::new(url).unwrap_err();
        assert!(matches!(error, ClientError::BadUrl { .. }), "{url}");
        assert!(error.to_string().contains("http://127.0.0.1:3000"));
    }
    assert_eq!(Client::new("http://a:1/b/").unwrap().url(), "http://a:1/b");
}

#[tokio::test]
async fn events_go_on_after_the_last_one_when_a_connection_ends() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let routes = Router::new().route(
        "/v1/events",
        get(move |RawQuery(query): RawQuery, headers: HeaderMap| async move {
            let last = headers["last-event-id"].to_str().unwrap().to_owned();
            let mut asked = seen.lock().unwrap();
            asked.push((last, query.unwrap()));
            match asked.len() {
                1 => (StatusCode::OK, format!(": hello\n\n{}{}", outcome(6), outcome(8))),
                2 => (StatusCode::BAD_GATEWAY, String::new()),
                3 => (StatusCode::OK, outcome(9)),
                _ => (StatusCode::BAD_REQUEST, "enough".to_owned()),
            }
        }),
    );
    let client = serve(routes).await;
    let query = EventQuery { after: 5, kind: Some(EventName::Outcome), ..EventQuery::default() };

    let events: Vec<_> = tokio::time::timeout(WAIT, client.events(query).collect()).await.unwrap();

    let numbers: Vec<_> =
        events.iter().filter_map(|event| Some(event.as_ref().ok()?.sequence)).collect();
    assert_eq!(numbers, [6, 8, 9]);
    assert!(matches!(events[0].as_ref().unwrap().kind, EventKind::Outcome { .. }));
    assert_eq!(events.len(), 4, "the refusal ends the stream");
    assert_eq!(events[3].as_ref().unwrap_err().to_string(), "enough");
    let asked = asked.lock().unwrap();
    let lasts: Vec<_> = asked.iter().map(|(last, _)| last.as_str()).collect();
    assert_eq!(lasts, ["5", "8", "8", "9"]);
    assert_eq!(asked[1].1, "after=8&kind=outcome");
}

#[tokio::test]
async fn an_event_that_comes_twice_is_an_error_of_the_node() {
    let routes = Router::new()
        .route("/v1/events", get(|| async { format!("{}{}", outcome(6), outcome(6)) }));
    let client = serve(routes).await;
    let mut events = pin!(client.events(EventQuery::default()));

    let mut last = events.next().await.unwrap();
    while last.is_ok() {
        last = events.next().await.unwrap();
    }

    assert!(matches!(last, Err(ClientError::Malformed { .. })));
    assert!(events.next().await.is_none());
}
