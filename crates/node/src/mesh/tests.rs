use std::time::Duration;

use replica::wire::Message;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use types::Encode as _;
use types::test_utils::TestNetwork;

use super::hello::Answer;
use super::hello::Refusal;
use super::*;

mod followers;

/// How long an event may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Started {
    mesh: Mesh,
    metrics: Arc<Metrics>,
    inlets: BTreeMap<(Author, Class), mpsc::Receiver<Frame>>,
    notices: mpsc::Receiver<Notice>,
    stop: CancellationToken,
}

fn config(network: &TestNetwork, own: u16, peers: &[(u16, SocketAddr)]) -> MeshConfig {
    MeshConfig {
        committee: Arc::clone(&network.committee),
        own: Some(Author::new(own)),
        key: network.secrets[usize::from(own)].transport.clone(),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        peers: peers.iter().map(|(peer, at)| (Author::new(*peer), at.to_string())).collect(),
        followers: Admission::Nobody,
        limits: Limits {
            peer_inflight_bytes: 4 << 20,
            peer_send_queue_bytes: 4 << 20,
            pending_handshakes: 64,
            handshake_timeout: Duration::from_secs(10),
            verify_threads: 1,
        },
        faults: LinkFaults::default(),
    }
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

async fn start(config: MeshConfig) -> Started {
    let metrics = Arc::new(Metrics::default());
    let stop = CancellationToken::new();
    let mut inlets = BTreeMap::new();
    let (sender, notices) = mpsc::channel(16);
    let open = |peer, class| {
        let (inlet, frames) = mpsc::channel(INLET_FRAMES_MAX);
        inlets.insert((peer, class), frames);
        inlet
    };
    let serve: Serve = Arc::new(|_| Some((Class::Bulk, Bytes::from(vec![7; 1 << 20]))));
    let started = Mesh::start(config, Arc::clone(&metrics), open, sender, serve, stop.clone());
    let mesh = started.await.unwrap();
    Started { mesh, metrics, inlets, notices, stop }
}

/// Two meshes of one network, connected.
async fn pair(network: &TestNetwork) -> (Started, Started) {
    let mut upper = start(config(network, 1, &[(0, nowhere())])).await;
    let mut lower = start(config(network, 0, &[(1, upper.address())])).await;
    assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Connected(Author::new(0))));
    assert_eq!(soon(lower.notices.recv()).await, Some(Notice::Connected(Author::new(1))));
    (lower, upper)
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it comes within the patience of the test")
}

impl Started {
    fn address(&self) -> SocketAddr {
        self.mesh.address().unwrap()
    }

    async fn frame(&mut self, peer: u16, class: Class) -> Bytes {
        let inlet = self.inlets.get_mut(&(Author::new(peer), class)).unwrap();
        soon(inlet.recv()).await.unwrap().body
    }

    async fn stop(self) {
        self.stop.cancel();
        soon(self.mesh.join()).await;
    }
}

/// Says hello over TLS as `own` and gives the stream and the answer.
async fn greet(
    network: &TestNetwork,
    own: u16,
    acceptor: u16,
    address: SocketAddr,
    hello: Hello,
) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, Answer)> {
    let key = &network.secrets[usize::from(own)].transport;
    let peer = network.secrets[usize::from(acceptor)].transport.public();
    let connector = TlsConnector::from(tls::client_config(key, &peer).unwrap());
    let socket = TcpStream::connect(address).await?;
    let mut stream = connector.connect(tls::server_name(), socket).await?;
    frame::write_frame(&mut stream, &Message::Hello(hello).to_bytes()).await.unwrap();
    frame::flush(&mut stream).await.unwrap();
    let io = |error| match error {
        frame::FrameError::Io(error) => error,
        error => std::io::Error::other(error),
    };
    let length = frame::read_length(&mut stream, hello::HELLO_BYTES_MAX).await.map_err(io)?;
    let answer = frame::read_body(&mut stream, length).await.map_err(io)?;
    Ok((stream, <Answer as types::Decode>::from_bytes(&answer).unwrap()))
}

#[tokio::test]
async fn frames_arrive_in_order_on_their_own_connection_both_ways() {
    let (mut lower, mut upper) = pair(&TestNetwork::new(4)).await;
    for count in 0..50_u8 {
        lower.mesh.sender().send(Author::new(1), Class::Control, Bytes::from(vec![count; 10]));
        upper.mesh.sender().broadcast(Class::Bulk, &Bytes::from(vec![count; 70_000]));
    }
    for count in 0..50_u8 {
        assert_eq!(upper.frame(0, Class::Control).await, vec![count; 10]);
        assert_eq!(lower.frame(1, Class::Bulk).await, vec![count; 70_000]);
    }
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_put_out_at_once_is_not_dialled_again_at_once() {
    let network = TestNetwork::new(4);
    let upper = start(config(&network, 1, &[(0, nowhere())])).await;
    let (own, peer) = (config(&network, 0, &[]), Author::new(1));
    let address = upper.address().to_string();
    let mut dialer = Dialer::new(&own, peer, Class::Control, &address).unwrap();
    let began = std::time::Instant::now();
    for _ in 0..5 {
        drop(soon(dialer.connect()).await);
    }
    // Four pauses of 50, 100, 200 and 400 ms, each shortened by chance to a half at most.
    assert!(began.elapsed() >= Duration::from_millis(375), "{:?}", began.elapsed());
    upper.stop().await;
}

#[tokio::test]
async fn a_peer_that_stops_is_gone_and_one_that_returns_is_connected() {
    let network = TestNetwork::new(4);
    let (lower, mut upper) = pair(&network).await;
    lower.stop().await;
    assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Gone(Author::new(0))));
    let mut again = start(config(&network, 0, &[(1, upper.address())])).await;
    assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Connected(Author::new(0))));
    upper.mesh.sender().send(Author::new(0), Class::Control, Bytes::from_static(b"back"));
    assert_eq!(again.frame(1, Class::Control).await, &b"back"[..]);
    again.stop().await;
    upper.stop().await;
}

#[tokio::test]
async fn only_the_pinned_keys_get_in() {
    let network = TestNetwork::new(4);
    let upper = start(config(&network, 1, &[(0, nowhere())])).await;
    let hello = config(&network, 0, &[]).hello(Class::Control);
    // A key of nobody: the same shape of network under other secrets.
    let mut strangers = TestNetwork::new(4);
    strangers.secrets[0].transport = SecretKey::from_seed(&[99; 32]);
    let refused = soon(greet(&strangers, 0, 1, upper.address(), hello)).await;
    assert!(refused.is_err());
    // A dialler that reaches another validator than the one it meant.
    let refused = soon(greet(&network, 0, 2, upper.address(), hello)).await;
    assert!(refused.is_err());
    // A server that has not proven a thing about its clients would have let both in.
    let (_stream, answer) = soon(greet(&network, 0, 1, upper.address(), hello)).await.unwrap();
    assert_eq!(answer, Answer::Welcome);
    upper.stop().await;
}

#[tokio::test]
async fn a_hello_that_does_not_fit_is_answered_with_the_reason() {
    let network = TestNetwork::new(4);
    let upper = start(config(&network, 1, &[(0, nowhere()), (2, nowhere())])).await;
    let good = config(&network, 0, &[]).hello(Class::Bulk);
    let chain = *network.committee.chain();
    let rows = [
        (0, Hello { chain: types::Digest::ZERO, ..good }, Refusal::Chain { here: chain }),
        (
            0,
            Hello { epoch: good.epoch.next(), ..good },
            Refusal::Epoch { here: network.committee.epoch() },
        ),
        (
            0,
            Hello { speaker: Speaker::Validator(Author::new(3)), ..good },
            Refusal::Author { proven: Author::new(0) },
        ),
        // Validator 1 dials validator 2, never the other way round.
        (2, Hello { speaker: Speaker::Validator(Author::new(2)), ..good }, Refusal::Direction),
    ];
    for (own, hello, refusal) in rows {
        let (_, answer) = soon(greet(&network, own, 1, upper.address(), hello)).await.unwrap();
        assert_eq!(answer, Answer::Refused(refusal));
    }
    let text = upper.metrics.encode();
    assert!(text.contains(r#"refused_total{reason="hello"} 4"#), "{text}");
    upper.stop().await;
}

#[tokio::test]
async fn garbage_at_the_door_is_refused_and_counted() {
    let network = TestNetwork::new(4);
    let (mut lower, upper) = pair(&network).await;
    let mut socket = TcpStream::connect(upper.address()).await.unwrap();
    socket.write_all(&[0x5a; 4_096]).await.unwrap();
    let mut answer = Vec::new();
    // An alert may come; then the connection ends.
    let _ = soon(socket.read_to_end(&mut answer)).await;
    soon(async {
        while !upper.metrics.encode().contains(r#"refused_total{reason="tls"} 1"#) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    upper.mesh.sender().send(Author::new(0), Class::Control, Bytes::from_static(b"unmoved"));
    assert_eq!(lower.frame(1, Class::Control).await, &b"unmoved"[..]);
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test]
async fn a_frame_above_the_limit_cuts_the_link_before_memory_is_reserved() {
    let network = TestNetwork::new(4);
    let upper = start(config(&network, 1, &[(0, nowhere())])).await;
    let hello = config(&network, 0, &[]).hello(Class::Control);
    let (mut stream, _) = soon(greet(&network, 0, 1, upper.address(), hello)).await.unwrap();
    stream.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    // The link takes the next connection.
    let (_stream, answer) = soon(greet(&network, 0, 1, upper.address(), hello)).await.unwrap();
    assert_eq!(answer, Answer::Welcome);
    upper.stop().await;
}

#[tokio::test]
async fn too_many_connections_without_proof_are_closed_at_once() {
    let network = TestNetwork::new(4);
    let mut tight = config(&network, 1, &[(0, nowhere())]);
    tight.limits.pending_handshakes = 3;
    let upper = start(tight).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(upper.address()).await.unwrap());
    }
    let mut one_more = TcpStream::connect(upper.address()).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(one_more.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let text = upper.metrics.encode();
    assert!(text.contains(r#"refused_total{reason="full"} 1"#), "{text}");
    drop(silent);
    upper.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_not_heard_waits_and_the_queues_keep_their_bounds() {
    let network = TestNetwork::new(4);
    let (lower, mut upper) = pair(&network).await;
    // Nothing is taken out of the inlets, so the peer's room fills up, then the send queue.
    let frame = Bytes::from(vec![7; 1 << 20]);
    for count in 0..64_u8 {
        let mut numbered = frame.to_vec();
        numbered[0] = count;
        lower.mesh.sender().send(Author::new(1), Class::Control, Bytes::from(numbered.clone()));
        lower.mesh.sender().send(Author::new(1), Class::Bulk, Bytes::from(numbered));
    }
    let text = lower.metrics.encode();
    for class in ["control", "bulk"] {
        let dropped = format!(r#"dropped_total{{class="{class}",reason="full"}}"#);
        assert!(text.contains(&dropped), "{text}");
    }
    // Control drops the oldest: the last one arrives. Bulk refuses the new: the first one does.
    let mut last = 0;
    while last != 63 {
        last = upper.frame(0, Class::Control).await[0];
    }
    assert_eq!(upper.frame(0, Class::Bulk).await[0], 0);
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test]
async fn loss_on_purpose_takes_control_frames_only() {
    let network = TestNetwork::new(4);
    let mut upper = start(config(&network, 1, &[(0, nowhere())])).await;
    let mut lossy = config(&network, 0, &[(1, upper.address())]);
    lossy.faults = LinkFaults { delay: Duration::from_millis(1), loss_percent: 100 };
    let mut lower = start(lossy).await;
    assert_eq!(soon(lower.notices.recv()).await, Some(Notice::Connected(Author::new(1))));
    lower.mesh.sender().send(Author::new(1), Class::Control, Bytes::from_static(b"lost"));
    lower.mesh.sender().send(Author::new(1), Class::Bulk, Bytes::from_static(b"kept"));
    assert_eq!(upper.frame(0, Class::Bulk).await, &b"kept"[..]);
    let text = lower.metrics.encode();
    assert!(text.contains(r#"dropped_total{class="control",reason="fault"} 1"#), "{text}");
    lower.stop().await;
    upper.stop().await;
}
