use std::time::Duration;

use proptest::prelude::*;
use replica::wire::FetchRounds;
use replica::wire::Hello;
use replica::wire::Range;
use replica::wire::Status;
use store::MemoryStore;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use types::CommitIndex;
use types::Header;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::VertexRef;
use types::test_utils::TestNetwork;

use super::*;
use crate::config::tests::written;

const PATIENCE: Duration = Duration::from_secs(20);
const ROOM: usize = 1 << 20;

struct Pumped {
    inlet: mpsc::Sender<Frame>,
    room: Arc<Semaphore>,
    inputs: mpsc::Receiver<Inbound>,
    metrics: Arc<Metrics>,
    asked: Arc<Asked>,
    cut: CancellationToken,
}

/// The control link of validator 1, from its inlet to the ordering thread's inbox.
fn pumped(network: &TestNetwork) -> Pumped {
    pumped_on(network, Class::Control)
}

fn pumped_on(network: &TestNetwork, class: Class) -> Pumped {
    let (_folder, config) = written(network, |_| {});
    let checked = config.check().unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(&replica::all_tables()));
    let metrics = Arc::new(Metrics::default());
    let (inbox, inputs) = mpsc::channel(64);
    let pool = Arc::new(crate::runtime::checks::pool("verify", 1).unwrap());
    let mut ingress = Ingress::new(&checked, &store, inbox, &metrics, &pool);
    let inlet = ingress.open(Author::new(1), class);
    let asked = ingress.asked();
    let (_, notices) = mpsc::channel(1);
    ingress.start(&Sender::nowhere(), notices);
    // The tasks end with the inlet.
    ingress.tasks.detach_all();
    let room = Arc::new(Semaphore::new(ROOM));
    Pumped { inlet, room, inputs, metrics, asked, cut: CancellationToken::new() }
}

impl Pumped {
    async fn send(&self, body: impl Into<Bytes>) {
        let body = body.into();
        let length = u32::try_from(body.len()).unwrap();
        let room = Arc::clone(&self.room).acquire_many_owned(length).await.unwrap();
        let frame = Frame { body, room, cut: self.cut.clone() };
        self.inlet.send(frame).await.unwrap();
    }

    async fn input(&mut self) -> Input {
        timeout(PATIENCE, self.inputs.recv()).await.unwrap().unwrap().input
    }

    fn counted(&self, reason: &str, count: u64) {
        let text = self.metrics.encode();
        let line = format!(r#"invalid_total{{peer="1",reason="{reason}"}} {count}"#);
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

fn status(round: u64) -> Message {
    let status = Status { own: None, round: Round::new(round), commit: CommitIndex::ZERO };
    Message::Status(status)
}

fn header(network: &TestNetwork) -> Header {
    let (chain, epoch) = (*network.committee.chain(), network.committee.epoch());
    let parents = network.committee.authors();
    Header {
        chain,
        epoch,
        author: Author::new(1),
        round: Round::new(1),
        parents: parents.map(|author| VertexRef::genesis(&chain, epoch, author)).collect(),
        late: Vec::new(),
        coin_share: None,
        payload_root: Payload::root(&Payload::default().to_bytes()),
        payload_length: 4,
        timestamp: TimestampMs::new(7),
    }
}

#[tokio::test]
async fn what_is_valid_arrives_in_order_and_what_is_not_is_counted_and_dropped() {
    let network = TestNetwork::new(4);
    let mut pumped = pumped(&network);
    let good = network.sign(header(&network), Payload::default());
    let mut spoilt = good.encoded().to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    let genesis =
        VertexRef::genesis(network.committee.chain(), network.committee.epoch(), Author::new(0));
    let range = Range { from: genesis, next: None, coins: Vec::new(), vertices: Vec::new() };
    let hello = Hello {
        chain: *network.committee.chain(),
        epoch: network.committee.epoch(),
        speaker: replica::wire::Speaker::Validator(Author::new(1)),
        class: Class::Control,
    };
    pumped.asked.note(Author::new(1), &Message::FetchVertices(Vec::new()));
    pumped.send(Message::Vertex(good.encoded().clone()).to_bytes()).await;
    pumped.send(Message::Vertex(spoilt.clone().into()).to_bytes()).await;
    pumped.send(Message::Vertices(vec![good.encoded().clone(), spoilt.into()]).to_bytes()).await;
    pumped.send(Message::Vertex(Bytes::from_static(b"no vertex")).to_bytes()).await;
    pumped.send(Message::Range(range).to_bytes()).await;
    pumped.send(Message::Hello(hello).to_bytes()).await;
    pumped.send(Bytes::from_static(b"no message")).await;
    pumped.send(status(9).to_bytes()).await;

    let from = Author::new(1);
    assert_eq!(pumped.input().await, Input::Vertex { from, vertex: good });
    assert!(
        matches!(pumped.input().await, Input::Status { status, .. } if status.round.value() == 9)
    );
    assert!(pumped.cut.is_cancelled(), "the connection that it came on is cut");
    pumped.counted("vertex", 2);
    pumped.counted("vertex_encoding", 1);
    pumped.counted("class", 2);
    pumped.counted("message", 1);
    assert_eq!(pumped.room.available_permits(), ROOM, "every frame gave its room back");
}

#[tokio::test]
async fn a_request_is_answered_beside_the_ordering_thread() {
    let network = TestNetwork::new(4);
    let mut pumped = pumped(&network);
    let from =
        VertexRef::genesis(network.committee.chain(), network.committee.epoch(), Author::new(0));
    let rounds = FetchRounds { from, until: Round::new(5) };
    pumped.send(Message::FetchRounds(rounds).to_bytes()).await;
    pumped.send(status(3).to_bytes()).await;
    assert!(matches!(pumped.input().await, Input::Status { .. }));
}

#[tokio::test]
async fn each_request_lets_one_answer_in_and_no_other_is_checked() {
    let network = TestNetwork::new(4);
    let from =
        VertexRef::genesis(network.committee.chain(), network.committee.epoch(), Author::new(0));
    // Checking it would find it invalid, and the reason counted would be another one.
    let bad = vec![Bytes::from_static(b"no vertex")];
    let range = |vertices| Range { from, next: None, coins: Vec::new(), vertices };
    let rounds = Message::FetchRounds(FetchRounds { from, until: Round::new(5) });
    let named = Message::FetchVertices(vec![from]);
    let (good_range, bad_range) = (range(Vec::new()), range(bad.clone()));
    let rows = [
        (Class::Control, &named, &rounds, Message::Vertices(Vec::new()), Message::Vertices(bad)),
        (Class::Bulk, &rounds, &named, Message::Range(good_range), Message::Range(bad_range)),
    ];
    for (class, request, other, good, bad) in rows {
        let mut pumped = pumped_on(&network, class);
        let peer = Author::new(1);
        pumped.asked.note(Author::new(2), request);
        pumped.asked.note(peer, other);
        pumped.asked.note(peer, request);
        pumped.asked.note(peer, request);
        for _ in 0..2 {
            pumped.send(good.to_bytes()).await;
            let input = pumped.input().await;
            assert!(matches!(input, Input::Vertices { .. } | Input::Range { .. }), "{input:?}");
        }
        assert!(!pumped.cut.is_cancelled());
        pumped.send(bad.to_bytes()).await;
        timeout(PATIENCE, pumped.cut.cancelled()).await.unwrap();
        pumped.counted("unasked", 1);
        pumped.asked.note(peer, request);
        pumped.send(good.to_bytes()).await;
        pumped.input().await;
        pumped.counted("unasked", 1);
    }
}

#[tokio::test]
async fn room_is_held_until_the_ordering_thread_has_taken_the_input() {
    let mut pumped = pumped(&TestNetwork::new(4));
    let body = Bytes::from(status(1).to_bytes());
    pumped.send(body.clone()).await;
    let inbound = timeout(PATIENCE, pumped.inputs.recv()).await.unwrap().unwrap();
    assert_eq!(pumped.room.available_permits(), ROOM - body.len());
    drop(inbound);
    assert_eq!(pumped.room.available_permits(), ROOM);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whatever_a_peer_sends_the_next_frame_is_heard(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pumped = pumped(&TestNetwork::new(4));
            for frame in frames {
                // Most are no message at all; the version byte gets some past the first check.
                pumped.send([vec![replica::wire::WIRE_VERSION], frame].concat()).await;
            }
            pumped.send(status(77).to_bytes()).await;
            loop {
                if pumped.input().await == (Input::Status {
                    from: Author::new(1),
                    status: Status {
                        own: None,
                        round: Round::new(77),
                        commit: CommitIndex::ZERO,
                    },
                }) {
                    break;
                }
            }
        });
    }
}
