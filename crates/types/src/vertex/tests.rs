use proptest::prelude::*;

use super::*;
use crate::ids::Round;
use crate::payload::Item;
use crate::test_utils::TestNetwork;

const RULES: Rules = Rules { wave: 5 };

fn network() -> TestNetwork {
    TestNetwork::new(4)
}

fn header(network: &TestNetwork, author: u16, round: u64, payload: &Payload) -> Header {
    let encoded = payload.to_bytes();
    let committee = &network.committee;
    let before = Round::new(round - 1);
    let parents = committee
        .authors()
        .take(3)
        .map(|author| VertexRef {
            round: before,
            ..VertexRef::genesis(committee.chain(), committee.epoch(), author)
        })
        .collect();
    let coin_round = round.checked_sub(4).filter(|round| *round >= 1).map(Round::new);
    Header {
        chain: *committee.chain(),
        epoch: committee.epoch(),
        author: Author::new(author),
        round: Round::new(round),
        parents,
        late: Vec::new(),
        coin_share: coin_round.map(|round| network.coin_share(Author::new(author), round)),
        payload_root: Payload::root(&encoded),
        payload_length: u32::try_from(encoded.len()).unwrap(),
        timestamp: TimestampMs::new(5),
    }
}

fn check(network: &TestNetwork, change: impl FnOnce(&mut Header)) -> Result<(), InvalidVertex> {
    let payload = Payload::default();
    let mut header = header(network, 1, 9, &payload);
    change(&mut header);
    let vertex = network.sign(header, payload);
    let decoded = Unverified::decode(vertex.encoded()).unwrap();
    decoded.verify(&network.committee, RULES).map(|_| ())
}

#[test]
fn a_signed_vertex_decodes_verifies_and_keeps_its_bytes() {
    let network = network();
    let payload = Payload::new(alloc::vec![
        Item::Transaction(Bytes::from_static(b"one")),
        Item::DevelopmentTicks(3),
    ])
    .unwrap();
    let vertex = network.sign(header(&network, 2, 9, &payload), payload.clone());
    let decoded = Unverified::decode(vertex.encoded()).unwrap();
    let again = decoded.verify(&network.committee, RULES).unwrap();
    assert_eq!(again, vertex);
    assert_eq!(again.reference(), vertex.header().reference());
    assert_eq!(again.payload(), &payload);
}

#[test]
fn each_stateless_rule_refuses_what_breaks_it() {
    let network = network();
    assert_eq!(check(&network, |_| {}), Ok(()));
    let wrong_chain = check(&network, |header| header.chain = Digest::ZERO);
    assert!(matches!(wrong_chain, Err(InvalidVertex::WrongChain { .. })));
    let wrong_epoch = check(&network, |header| header.epoch = Epoch::new(1));
    assert!(matches!(wrong_epoch, Err(InvalidVertex::WrongEpoch { .. })));
    let few = check(&network, |header| header.parents.truncate(2));
    assert_eq!(few, Err(InvalidVertex::TooFewParents { quorum: 3, actual: 2 }));
    let unordered = check(&network, |header| header.parents.swap(0, 1));
    assert_eq!(unordered, Err(InvalidVertex::EdgeOrder { what: "parents" }));
    let twice = check(&network, |header| header.parents[1] = header.parents[0]);
    assert_eq!(twice, Err(InvalidVertex::EdgeOrder { what: "parents" }));
    let stranger = check(&network, |header| header.parents[2].author = Author::new(4));
    assert_eq!(stranger, Err(InvalidVertex::EdgeOrder { what: "parents" }));
    let old = check(&network, |header| header.parents[0].round = Round::new(7));
    assert!(matches!(old, Err(InvalidVertex::ParentRound { .. })));
    let late = check(&network, |header| header.late.push(header.parents[0]));
    assert!(matches!(late, Err(InvalidVertex::LateRound { .. })));
    let shareless = check(&network, |header| header.coin_share = None);
    assert_eq!(shareless, Err(InvalidVertex::CoinShare { present: false, due: true }));
    let garbled = check(&network, |header| header.coin_share = Some(CoinShare::new([9; 48])));
    assert_eq!(garbled, Err(InvalidVertex::CoinShareEncoding));
    let root = check(&network, |header| header.payload_root = Digest::ZERO);
    assert_eq!(root, Err(InvalidVertex::PayloadRoot));
    let length = check(&network, |header| header.payload_length += 1);
    assert_eq!(length, Err(InvalidVertex::PayloadRoot));
}

#[test]
fn a_share_of_another_round_does_not_make_a_vertex_invalid() {
    let network = network();
    let other = network.coin_share(Author::new(1), Round::new(77));
    assert_eq!(check(&network, |header| header.coin_share = Some(other)), Ok(()));
}

#[test]
fn a_signature_of_somebody_else_is_refused() {
    let network = network();
    let payload = Payload::default();
    let header = header(&network, 1, 9, &payload);
    let signature = network.secrets[0].vertex.sign(&Header::signing_bytes(&header.digest()));
    let vertex = Vertex::new(header, payload, signature);
    let refused = Unverified::decode(vertex.encoded()).unwrap().verify(&network.committee, RULES);
    assert!(matches!(refused, Err(InvalidVertex::Signature { .. })));
}

#[test]
fn a_vertex_at_its_largest_decodes_and_a_larger_one_does_not() {
    let network = network();
    let room = PAYLOAD_BYTES_MAX - Payload::OVERHEAD - 5;
    let payload =
        Payload::new(alloc::vec![Item::Transaction(Bytes::from(alloc::vec![0; room]))]).unwrap();
    let vertex = network.sign(header(&network, 0, 9, &payload), payload);
    assert!(Unverified::decode(vertex.encoded()).is_ok());
    let huge = Bytes::from(alloc::vec![0; VERTEX_BYTES_MAX + 1]);
    assert!(matches!(Unverified::decode(&huge), Err(DecodeError::TooLong { .. })));
    let over = alloc::vec![Item::Transaction(Bytes::from(alloc::vec![0; room + 1]))];
    assert!(Payload::new(over).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_only_canonical_ones_decode(
        bytes in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        let bytes = Bytes::from(bytes);
        if let Ok(vertex) = Unverified::decode(&bytes) {
            let vertex = vertex.claimed();
            let again = Vertex::new(
                vertex.header().clone(),
                vertex.payload().clone(),
                *vertex.signature(),
            );
            prop_assert_eq!(again.encoded(), &bytes);
        }
    }

    #[test]
    fn a_flipped_bit_is_never_accepted(bit in 0_usize..4000) {
        let network = network();
        let payload = Payload::new(alloc::vec![Item::Transaction(Bytes::from_static(b"tx"))]);
        let payload = payload.unwrap();
        let vertex = network.sign(header(&network, 2, 9, &payload), payload);
        let mut bytes = vertex.encoded().to_vec();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Unverified::decode(&Bytes::from(bytes)) {
            prop_assert!(changed.verify(&network.committee, RULES).is_err());
        }
    }

    #[test]
    fn payloads_round_trip(
        sizes in proptest::collection::vec(0_usize..300, 0..40),
        ticks in proptest::option::of(any::<u16>()),
    ) {
        let mut items: Vec<Item> = sizes
            .into_iter()
            .map(|size| Item::Transaction(Bytes::from(alloc::vec![7; size])))
            .collect();
        items.extend(ticks.map(Item::DevelopmentTicks));
        let payload = Payload::new(items).unwrap();
        let bytes = payload.to_bytes();
        prop_assert_eq!(bytes.len(), payload.encoded_length());
        prop_assert_eq!(Payload::from_bytes(&bytes).unwrap(), payload);
    }
}
