use store::Durability;
use store::MemoryStore;
use store::Store;
use types::Author;
use types::Committee;
use types::Encode as _;
use types::Header;
use types::Item;
use types::Payload;
use types::Rules;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::coin::CoinSignature;
use types::table::Changes;
use types::test_utils::TestNetwork;

use super::*;
use crate::ordering::Input;
use crate::receive::InvalidMessage;
use crate::receive::Received;
use crate::receive::receive;
use crate::wire::ClaimedCoin;
use crate::wire::MESSAGE_BYTES_MAX;

const RULES: Rules = Rules { wave: 5 };

/// A vertex of round 1 to 4 by anybody: parents that nobody holds, for no edge is looked at here.
fn vertex(network: &TestNetwork, round: u64, author: u16, bytes: usize) -> Verified<Vertex> {
    let committee: &Committee = &network.committee;
    let payload = Payload::new(vec![Item::Transaction(vec![7; bytes].into())]).unwrap();
    let encoded = payload.to_bytes();
    let parents = committee.authors().map(|author| VertexRef {
        round: Round::new(round - 1),
        ..VertexRef::genesis(committee.chain(), committee.epoch(), author)
    });
    let header = Header {
        chain: *committee.chain(),
        epoch: committee.epoch(),
        author: Author::new(author),
        round: Round::new(round),
        parents: parents.collect(),
        late: Vec::new(),
        coin_share: None,
        payload_root: Payload::root(&encoded),
        payload_length: u32::try_from(encoded.len()).unwrap(),
        timestamp: TimestampMs::ZERO,
    };
    network.sign(header, payload)
}

fn stored(vertices: &[Verified<Vertex>]) -> MemoryStore {
    let store = MemoryStore::new(tables());
    let mut changes = Changes::default();
    for vertex in vertices {
        tables::put_vertex(&mut changes, &vertex.reference(), vertex.encoded());
    }
    for round in [1, 2, 9] {
        tables::put_coin(&mut changes, Round::new(round), &CoinSignature::new([3; 48]));
    }
    store.write(changes, Durability::Buffered).unwrap();
    store
}

fn all(network: &TestNetwork, bytes: usize) -> Vec<Verified<Vertex>> {
    let places = (1..=4).flat_map(|round| (0..4).map(move |author| (round, author)));
    places.map(|(round, author)| vertex(network, round, author, bytes)).collect()
}

fn range(store: &MemoryStore, from: VertexRef, until: u64) -> Range<Bytes, ClaimedCoin> {
    let request = Request::Rounds(FetchRounds { from, until: Round::new(until) });
    match serve(store, &request).unwrap() {
        Message::Range(range) => range,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rounds_come_in_order_with_their_coins_and_nothing_beyond() {
    let network = TestNetwork::new(4);
    let vertices = all(&network, 10);
    let store = stored(&vertices);
    let answer = range(&store, tables::first_of(Round::new(2)), 4);
    let expected: Vec<Bytes> = vertices[4..12].iter().map(|one| one.encoded().clone()).collect();
    assert_eq!(answer.vertices, expected);
    assert_eq!(answer.next, None);
    assert_eq!(answer.coins.iter().map(|(round, _)| round.value()).collect::<Vec<_>>(), [2]);
    assert!(range(&store, tables::first_of(Round::new(50)), 60).vertices.is_empty());
}

#[test]
fn large_rounds_are_cut_and_what_follows_is_named() {
    let network = TestNetwork::new(4);
    let vertices = all(&network, 400_000);
    let store = stored(&vertices);
    let mut from = tables::first_of(Round::new(1));
    let mut seen = Vec::new();
    for turn in 0.. {
        assert!(turn < 10);
        let answer = range(&store, from, 5);
        let next = answer.next;
        assert_eq!(answer.vertices.len(), if turn < 5 { 3 } else { 1 });
        seen.extend(answer.vertices.clone());
        assert!(Message::Range(answer).to_bytes().len() <= MESSAGE_BYTES_MAX);
        let Some(next) = next else { break };
        from = next;
    }
    let expected: Vec<Bytes> = vertices.iter().map(|one| one.encoded().clone()).collect();
    assert_eq!(seen, expected, "everything once");
}

#[test]
fn vertices_by_name_are_bounded_by_bytes_and_what_is_not_held_is_left_out() {
    let network = TestNetwork::new(4);
    let vertices = all(&network, 400_000);
    let store = stored(&vertices);
    let names: Vec<VertexRef> = vertices.iter().map(|one| one.reference()).collect();
    let Message::Vertices(found) = serve(&store, &Request::Vertices(names)).unwrap() else {
        panic!("vertices answer")
    };
    assert_eq!(found.len(), 3);
    let unknown = vec![tables::first_of(Round::new(3)), vertices[5].reference()];
    let answer = serve(&store, &Request::Vertices(unknown)).unwrap();
    assert_eq!(answer, Message::Vertices(vec![vertices[5].encoded().clone()]));
}

#[test]
fn a_message_with_a_wrong_coin_is_refused_as_a_whole() {
    let network = TestNetwork::new(4);
    let from = Author::new(1);
    let round = Round::new(2);
    let group = network.committee.coin_group();
    let coin = |round| {
        let share = |author| (author, network.coin_share(author, round));
        let shares = [0, 1].map(Author::new).map(share);
        types::coin::recover(&shares, &network.committee.coin_message(round), group).unwrap()
    };
    let others: Vec<ClaimedCoin> =
        (5..9).map(Round::new).map(|round| (round, coin(round))).collect();
    let coin = coin(round);
    let message = |round| {
        let coins = [&others[..], &[(round, coin)]].concat();
        let from = tables::first_of(round);
        Message::Range(Range { from, next: None, coins, vertices: Vec::new() })
    };
    let taken = receive(from, message(round), &network.committee, RULES);
    let Ok(Received::Input(Input::Range { range, .. })) = taken else { panic!("{taken:?}") };
    let taken: Vec<_> = range.coins.iter().map(|coin| (coin.round(), coin.signature())).collect();
    assert_eq!(taken, [&others[..], &[(round, coin)]].concat());
    let refused = receive(from, message(round.next()), &network.committee, RULES);
    let error = types::KeyError::WrongSignature;
    assert_eq!(refused, Err(InvalidMessage::Coin { round: round.next(), error }));
}

#[test]
fn a_message_with_one_bad_vertex_is_refused_as_a_whole() {
    let network = TestNetwork::new(4);
    let from = Author::new(1);
    let good = vertex(&network, 1, 1, 10);
    let stranger = TestNetwork::with(4, |genesis| genesis.name.push('x'));
    let bad = vertex(&stranger, 1, 2, 10);
    let both = Message::Vertices(vec![good.encoded().clone(), bad.encoded().clone()]);
    let refused = receive(from, both, &network.committee, RULES);
    assert!(matches!(refused, Err(InvalidMessage::Vertex(_))), "{refused:?}");
    let torn = Message::Vertex(good.encoded().slice(1..));
    let refused = receive(from, torn, &network.committee, RULES);
    assert!(matches!(refused, Err(InvalidMessage::Decode(_))), "{refused:?}");
    let taken = receive(from, Message::Vertex(good.encoded().clone()), &network.committee, RULES);
    assert_eq!(taken, Ok(Received::Input(Input::Vertex { from, vertex: good })));
}
