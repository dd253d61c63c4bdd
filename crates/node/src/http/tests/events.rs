//! The event log as a stream: replay, follow, resume, filter.

use axum::response::Response;
use client::api::Event;
use client::api::EventKind;
use futures_util::StreamExt as _;
use ledger::ScriptHash;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::*;

/// Reads a stream until it has `count` events.
async fn read(response: Response, count: usize) -> Vec<Event> {
    let mut stream = response.into_body().into_data_stream();
    let mut text = String::new();
    let events = async {
        let mut events: Vec<Event> = Vec::new();
        while events.len() < count {
            let bytes = stream.next().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&bytes).unwrap());
            // What is behind the last line's end is still to come.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let lines = text[..whole].lines().filter_map(|line| line.strip_prefix("data: "));
            events.extend(lines.map(|data| serde_json::from_str::<Event>(data).unwrap()));
            text.drain(..whole);
        }
        events
    };
    tokio::time::timeout(Duration::from_secs(20), events).await.unwrap()
}

async fn open(served: &Served, path: &str, last: Option<u64>) -> Response {
    let mut request = Request::builder().uri(path);
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let response =
        served.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_replays_follows_and_resumes_without_a_gap() {
    let served = Served::start().await;
    // The stream is open before anything happens, and follows.
    let live = open(&served, "/v1/events?after=0&kind=outcome", None).await;
    let mut paid = Vec::new();
    for number in 30..33 {
        paid.push(served.pay(&address(number), 20_000).await);
    }
    let seen = read(live, 3).await;
    for event in &seen {
        assert!(matches!(&event.kind, EventKind::Outcome { txid, .. } if paid.contains(txid)));
    }
    // Later, everything is replayed the same, and resumes behind any event.
    let all = read(open(&served, "/v1/events", None).await, 3).await;
    assert!(all.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1), "{all:?}");
    assert_eq!(all[0].sequence, 1);
    let rest = read(open(&served, "/v1/events?after=0", Some(1)).await, 2).await;
    assert_eq!(rest[0], all[1]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_what_is_sent() {
    let served = Served::start().await;
    let first = served.pay(&address(40), 20_000).await;
    let second = served.pay(&address(41), 20_000).await;
    served.wait_final(first).await;
    served.wait_final(second).await;
    let height = served.tick(1).await;
    let script = ScriptHash::of(&address(41).script_pubkey());
    for path in [format!("/v1/events?scripthash={script}"), format!("/v1/events?txid={second}")] {
        let seen = read(open(&served, &path, None).await, 1).await;
        assert!(matches!(&seen[0].kind, EventKind::Outcome { txid, .. } if *txid == second));
    }
    let blocks = open(&served, "/v1/events?kind=block", None).await;
    let block = read(blocks, 1).await.pop().unwrap();
    let EventKind::Block { height: at, transactions, .. } = block.kind else { panic!("{block:?}") };
    assert_eq!((at.value(), transactions), (height, 3));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_node_stops() {
    let served = Served::start().await;
    let response = open(&served, "/v1/events?after=1000000", None).await;
    served.shutdown.cancel();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20);
    assert!(tokio::time::timeout(Duration::from_secs(10), body).await.unwrap().is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_although_streams_are_open() {
    let served = Served::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let handle = served.running.handle().clone();
    let server = tokio::spawn(crate::http::serve(listener, Reader::new(handle), shutdown.clone()));
    let mut stream = TcpStream::connect(place).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    let mut beginning = [0; 15];
    stream.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200 OK");
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), server).await;
    stopped.unwrap().unwrap().unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_of_what_is_final_is_answered_with_its_outcome() {
    let served = Served::start().await;
    let txid = served.pay(&address(42), 20_000).await;
    served.wait_final(txid).await;
    let hex = served.get(&format!("/api/tx/{txid}/hex")).await.text().to_owned();
    let answer = served.post("/v1/tx?wait=final&timeout_ms=1", hex).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json::<TxStatus>().status, TxState::Final);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_was_away_for_long_catches_up_in_order_while_the_node_goes_on() {
    let served = Served::start().await;
    let first = served.pay(&address(30), 20_000).await;
    served.wait_final(first).await;
    // Somebody takes one event and then nothing more, while the log grows by thousands.
    let asleep = open(&served, "/v1/events", None).await;
    let mut height = 0;
    for _ in 0..5 {
        height = served.tick(1_000).await;
    }
    let last = served.pay(&address(31), 20_000).await;
    served.wait_final(last).await;
    let newest = served.running.handle().status().last_event;
    assert!(newest > 5_000, "{newest} events");
    let count = usize::try_from(newest).unwrap();
    let slept = read(asleep, count).await;
    // Another one was not even connected.
    let returned = read(open(&served, "/v1/events", Some(1)).await, count - 1).await;
    assert!(slept.iter().zip(1..).all(|(event, number)| event.sequence == number));
    assert_eq!(slept[1..count], returned[..count - 1]);
    let blocks = slept.iter().filter_map(|event| match event.kind {
        EventKind::Block { height, .. } => Some(height.value()),
        _ => None,
    });
    assert_eq!(blocks.max(), Some(height));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_what_is_not_kept_is_told_where_the_log_begins() {
    let served = Served::configured(|_| {}, |checked| checked.events_kept = Some(100)).await;
    let paid = served.pay(&address(30), 20_000).await;
    served.wait_final(paid).await;
    let receipt = served.get(&format!("/v1/tx/{paid}/receipt?wait=proof")).await;
    assert_eq!(receipt.status, StatusCode::OK);
    served.tick(1_000).await;
    served.tick(1_000).await;
    let second = served.pay(&address(31), 20_000).await;
    served.wait_final(second).await;
    let answer = served.get("/v1/events?after=0").await;
    assert_eq!(answer.status, StatusCode::GONE);
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(said.contains("the oldest event that is kept here is 1025"), "{said}");
    let kept = read(open(&served, "/v1/events?after=1024", None).await, 1).await;
    assert_eq!(kept[0].sequence, 1_025);
    // The outcome is known for ever; its receipt has to come from somebody who keeps more.
    let status: TxStatus = served.json(&format!("/v1/tx/{paid}")).await;
    assert_eq!(status.status, TxState::Final);
    let receipt = served.get(&format!("/v1/tx/{paid}/receipt")).await;
    assert_eq!(receipt.status, StatusCode::GONE);
    let receipt = served.get(&format!("/v1/tx/{second}/receipt?wait=proof")).await;
    assert_eq!(receipt.status, StatusCode::OK);
    served.stop().await;
}
