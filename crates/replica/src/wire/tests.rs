use proptest::prelude::*;

use super::*;

fn reference() -> impl Strategy<Value = VertexRef> {
    (any::<u64>(), any::<u16>(), any::<[u8; 32]>()).prop_map(|(round, author, digest)| VertexRef {
        round: Round::new(round),
        author: Author::new(author),
        digest: Digest::new(digest),
    })
}

fn vertices() -> impl Strategy<Value = Vec<Bytes>> {
    let vertex = proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    proptest::collection::vec(vertex, 0..6)
}

fn rounds() -> impl Strategy<Value = FetchRounds> {
    (reference(), 1..=RANGE_ROUNDS_MAX).prop_map(|(mut from, count)| {
        from.round = from.round.min(Round::new(u64::MAX - RANGE_ROUNDS_MAX));
        FetchRounds { from, until: from.round.saturating_add(count) }
    })
}

fn range() -> impl Strategy<Value = Range<Bytes, ClaimedCoin>> {
    let coin = (any::<u64>(), any::<[u8; 48]>());
    let coin = coin.prop_map(|(round, bytes)| (Round::new(round), CoinSignature::new(bytes)));
    let coins = proptest::collection::vec(coin, 0..4);
    (reference(), proptest::option::of(reference()), coins, vertices())
        .prop_map(|(from, next, coins, vertices)| Range { from, next, coins, vertices })
}

fn message() -> impl Strategy<Value = Message> {
    let speaker = proptest::option::of(any::<u16>());
    let hello = (any::<[u8; 32]>(), any::<u32>(), speaker, any::<bool>());
    let status = (proptest::option::of(reference()), any::<u64>(), any::<u64>());
    prop_oneof![
        hello.prop_map(|(chain, epoch, author, is_bulk)| Message::Hello(Hello {
            chain: Digest::new(chain),
            epoch: Epoch::new(epoch),
            speaker: author
                .map_or(Speaker::Follower, |author| { Speaker::Validator(Author::new(author)) }),
            class: if is_bulk { Class::Bulk } else { Class::Control },
        })),
        proptest::collection::vec(any::<u8>(), 0..200)
            .prop_map(|bytes| Message::Vertex(bytes.into())),
        status.prop_map(|(own, round, commit)| Message::Status(Status {
            own,
            round: Round::new(round),
            commit: CommitIndex::new(commit),
        })),
        proptest::collection::vec(reference(), 0..FETCH_VERTICES_MAX)
            .prop_map(Message::FetchVertices),
        rounds().prop_map(Message::FetchRounds),
        vertices().prop_map(Message::Vertices),
        range().prop_map(Message::Range),
        any::<u64>().prop_map(|question| Message::Recall(TimestampMs::new(question))),
        (any::<u64>(), any::<u64>()).prop_map(|(question, round)| {
            let question = TimestampMs::new(question);
            Message::Recalled(Recalled { question, round: Round::new(round) })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_message_comes_back_as_it_was(message in message()) {
        prop_assert_eq!(Message::decode(&message.to_bytes().into()), Ok(message));
    }

    #[test]
    fn arbitrary_bytes_decode_canonically_or_not_at_all(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        tag in 0_u8..11,
    ) {
        let tagged = [&[WIRE_VERSION, tag], &bytes[..]].concat();
        for bytes in [bytes, tagged] {
            let bytes = Bytes::from(bytes);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn a_changed_message_never_panics(message in message(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = message.to_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let bytes = Bytes::from(bytes);
        if let Ok(changed) = Message::decode(&bytes) {
            prop_assert_eq!(changed.to_bytes(), bytes);
        }
    }
}

#[test]
fn every_list_and_every_message_has_a_bound() {
    let far = VertexRef::genesis(&Digest::ZERO, Epoch::ZERO, Author::ZERO);
    let too_many = Message::FetchVertices(vec![far; FETCH_VERTICES_MAX + 1]);
    assert!(Message::decode(&too_many.to_bytes().into()).is_err());
    let too_many = Message::Vertices(vec![Bytes::new(); FETCH_VERTICES_MAX + 1]);
    assert!(Message::decode(&too_many.to_bytes().into()).is_err());
    let too_wide = FetchRounds { from: far, until: Round::new(RANGE_ROUNDS_MAX + 1) };
    assert!(Message::decode(&Message::FetchRounds(too_wide).to_bytes().into()).is_err());
    let nothing = FetchRounds { from: far, until: far.round };
    assert!(Message::decode(&Message::FetchRounds(nothing).to_bytes().into()).is_err());
    let too_long = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert!(matches!(Message::decode(&too_long), Err(DecodeError::TooLong { .. })));
}

#[test]
fn only_answers_to_whoever_catches_up_are_bulk() {
    let far = VertexRef::genesis(&Digest::ZERO, Epoch::ZERO, Author::ZERO);
    let range = Range { from: far, next: None, coins: Vec::new(), vertices: Vec::new() };
    assert_eq!(Message::Range(range).class(), Class::Bulk);
    assert_eq!(Message::Vertices(Vec::new()).class(), Class::Control);
    assert_eq!(Message::Vertex(Bytes::new()).class(), Class::Control);
}

#[test]
fn the_bytes_of_a_hello_are_frozen() {
    let hello = |speaker, class| {
        let (chain, epoch) = (Digest::new([0xab; 32]), Epoch::new(3));
        Message::Hello(Hello { chain, epoch, speaker, class }).to_bytes()
    };
    let front = [&[WIRE_VERSION, 1][..], &[0xab; 32], &[3, 0, 0, 0]].concat();
    let validator = hello(Speaker::Validator(Author::new(0x0102)), Class::Control);
    assert_eq!(validator, [&front[..], &[0, 0x02, 0x01, 0]].concat());
    let follower = hello(Speaker::Follower, Class::Bulk);
    assert_eq!(follower, [&front[..], &[1, 1]].concat());
    let unknown = [&front[..], &[2, 0]].concat();
    assert!(Message::decode(&unknown.into()).is_err());
}
