use replica::wire::FetchRounds;
use tokio_rustls::client::TlsStream;
use types::CommitIndex;
use types::Round;
use types::VertexRef;

use super::*;
use crate::mesh::followers::FOLLOWER_FRAME_BYTES_MAX;

/// A validator with one peer that lets these follow.
async fn validator(network: &TestNetwork, followers: Admission) -> Started {
    start(MeshConfig { followers, ..config(network, 1, &[(0, nowhere())]) }).await
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn listed(keys: &[u8], count_max: usize) -> Admission {
    let keys = keys.iter().map(|number| key(*number).public().to_bytes()).collect();
    Admission::Listed { keys, count_max }
}

/// A network in which validator 0's transport key is the follower's: what dials with it.
fn as_follower(network: &TestNetwork, number: u8) -> TestNetwork {
    let mut network = network.clone();
    network.secrets[0].transport = key(number);
    network
}

fn hello(network: &TestNetwork, class: Class) -> Hello {
    Hello { speaker: Speaker::Follower, ..config(network, 0, &[]).hello(class) }
}

async fn follow(
    network: &TestNetwork,
    number: u8,
    class: Class,
    validator: &Started,
) -> std::io::Result<(TlsStream<TcpStream>, Answer)> {
    let as_follower = as_follower(network, number);
    let hello = hello(network, class);
    soon(greet(&as_follower, 0, 1, validator.address(), hello)).await
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Bytes {
    let length = soon(frame::read_length(stream, FRAME_BYTES_MAX)).await.unwrap();
    soon(frame::read_body(stream, length)).await.unwrap()
}

async fn send(stream: &mut TlsStream<TcpStream>, message: &Message) {
    frame::write_frame(stream, &message.to_bytes()).await.unwrap();
    frame::flush(stream).await.unwrap();
}

async fn ends(stream: &mut TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
}

fn status() -> Message {
    let round = Round::new(1);
    Message::Status(replica::wire::Status { own: None, round, commit: CommitIndex::ZERO })
}

fn request() -> Message {
    let from = VertexRef::genesis(&types::Digest::ZERO, types::Epoch::ZERO, Author::ZERO);
    Message::FetchRounds(FetchRounds { from, until: Round::new(9) })
}

async fn counts(validator: &Started, line: &str) {
    soon(async {
        while !validator.metrics.encode().contains(line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_follows_without_a_word_in_the_configuration() {
    let network = TestNetwork::new(4);
    let validator = validator(&network, Admission::Nobody).await;
    assert!(follow(&network, 50, Class::Control, &validator).await.is_err());
    counts(&validator, r#"refused_total{reason="tls"} 1"#).await;
    // A validator's own key gets past TLS, and no further.
    let hello = hello(&network, Class::Control);
    let (_, answer) = soon(greet(&network, 0, 1, validator.address(), hello)).await.unwrap();
    assert_eq!(answer, Answer::Refused(Refusal::NotAdmitted));
    validator.stop().await;
}

#[tokio::test]
async fn the_listed_follow_and_a_stranger_is_refused() {
    let network = TestNetwork::new(4);
    let validator = validator(&network, listed(&[50], 4)).await;
    let (mut stream, answer) = follow(&network, 50, Class::Control, &validator).await.unwrap();
    assert_eq!(answer, Answer::Welcome);
    assert!(follow(&network, 51, Class::Control, &validator).await.is_err());
    // It gets what is broadcast, and answers on the connection that they belong to.
    counts(&validator, "node_followers_connected 1").await;
    let (mut bulk, _) = follow(&network, 50, Class::Bulk, &validator).await.unwrap();
    let newest = Bytes::from_static(b"newest");
    let sender = validator.mesh.sender();
    sender.broadcast(Class::Control, &newest);
    assert_eq!(read(&mut stream).await, newest);
    send(&mut stream, &status()).await;
    send(&mut stream, &request()).await;
    assert_eq!(read(&mut bulk).await.len(), 1 << 20);
    drop((stream, bulk));
    counts(&validator, "node_followers_connected 0").await;
    validator.stop().await;
}

#[tokio::test]
async fn anybody_follows_where_that_is_allowed_as_long_as_there_is_room() {
    let network = TestNetwork::new(4);
    let validator = validator(&network, Admission::Any { count_max: 2 }).await;
    let mut streams = Vec::new();
    for number in [50, 51] {
        let (stream, answer) = follow(&network, number, Class::Control, &validator).await.unwrap();
        assert_eq!(answer, Answer::Welcome);
        streams.push(stream);
    }
    let (_, answer) = follow(&network, 52, Class::Control, &validator).await.unwrap();
    assert_eq!(answer, Answer::Refused(Refusal::Full));
    // One that returns takes its own place, also while the old connection seems to stand.
    let (_again, answer) = follow(&network, 50, Class::Control, &validator).await.unwrap();
    assert_eq!(answer, Answer::Welcome);
    ends(&mut streams[0]).await;
    // No key of a stranger is taken for a validator's.
    let hello = config(&network, 0, &[]).hello(Class::Control);
    let stranger = as_follower(&network, 53);
    let (_, answer) = soon(greet(&stranger, 0, 1, validator.address(), hello)).await.unwrap();
    assert_eq!(answer, Answer::Refused(Refusal::NotAdmitted));
    validator.stop().await;
}

#[tokio::test]
async fn a_follower_that_sends_more_than_questions_is_cut_off() {
    let network = TestNetwork::new(4);
    let validator = validator(&network, Admission::Any { count_max: 2 }).await;
    let vertex = Message::Vertex(Bytes::from_static(b"mine")).to_bytes();
    let too_long = u32::try_from(FOLLOWER_FRAME_BYTES_MAX + 1).unwrap().to_le_bytes().to_vec();
    let framed = |body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&length[..], body].concat()
    };
    for bytes in [framed(&vertex), framed(b"no message"), too_long] {
        let (mut stream, _) = follow(&network, 50, Class::Control, &validator).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        ends(&mut stream).await;
    }
    validator.stop().await;
}

#[tokio::test]
async fn a_follower_that_does_not_read_costs_a_bounded_queue_and_delays_no_validator() {
    let network = TestNetwork::new(4);
    let upper = validator(&network, Admission::Any { count_max: 2 }).await;
    let mut lower = start(config(&network, 0, &[(1, upper.address())])).await;
    assert_eq!(soon(lower.notices.recv()).await, Some(Notice::Connected(Author::new(1))));
    let (_stream, answer) = follow(&network, 50, Class::Control, &upper).await.unwrap();
    assert_eq!(answer, Answer::Welcome);
    counts(&upper, "node_followers_connected 1").await;
    // 32 MiB are more than the follower's queue and all socket buffers hold; the validator gets
    // every frame, each before the next one is sent.
    for count in 0..32_u8 {
        let frame = Bytes::from(vec![count; 1 << 20]);
        upper.mesh.sender().broadcast(Class::Control, &frame);
        assert_eq!(lower.frame(1, Class::Control).await, frame);
    }
    let text = upper.metrics.encode();
    let full = r#"dropped_total{class="control",reason="full"} 0"#;
    assert!(text.contains(full), "{text}");
    let dropped = r#"dropped_total{class="control",reason="follower"} 0"#;
    assert!(!text.contains(dropped), "{text}");
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test]
async fn a_follower_is_answered_at_a_bounded_rate() {
    let network = TestNetwork::new(4);
    let validator = validator(&network, Admission::Any { count_max: 2 }).await;
    let (mut control, _) = follow(&network, 50, Class::Control, &validator).await.unwrap();
    let (mut bulk, _) = follow(&network, 50, Class::Bulk, &validator).await.unwrap();
    let asked = 20;
    let began = std::time::Instant::now();
    for _ in 0..asked {
        send(&mut control, &request()).await;
    }
    for _ in 0..asked {
        assert_eq!(read(&mut bulk).await.len(), 1 << 20);
    }
    // 20 MiB at 8 MiB a second, the first second on credit.
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    validator.stop().await;
}

#[tokio::test]
async fn a_peer_that_sends_something_invalid_is_cut_off_for_a_while_and_then_taken_back() {
    let network = TestNetwork::new(4);
    let mut upper = start(config(&network, 1, &[(0, nowhere())])).await;
    let mut lower = start(config(&network, 0, &[(1, upper.address())])).await;
    assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Connected(Author::new(0))));
    let mut least = link::INVALID_PAUSE_LEAST;
    for _ in 0..2 {
        assert_eq!(soon(lower.notices.recv()).await, Some(Notice::Connected(Author::new(1))));
        lower.mesh.sender().send(Author::new(1), Class::Control, Bytes::from_static(b"invalid"));
        let inlet = upper.inlets.get_mut(&(Author::new(0), Class::Control)).unwrap();
        let frame = soon(inlet.recv()).await.unwrap();
        let began = std::time::Instant::now();
        frame.cut.cancel();
        assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Gone(Author::new(0))));
        assert_eq!(soon(upper.notices.recv()).await, Some(Notice::Connected(Author::new(0))));
        assert!(began.elapsed() >= least, "it was taken back after {:?}", began.elapsed());
        least *= 2;
        assert_eq!(soon(lower.notices.recv()).await, Some(Notice::Gone(Author::new(1))));
    }
    lower.stop().await;
    upper.stop().await;
}
