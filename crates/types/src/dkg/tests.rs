use alloc::string::String;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::coin;
use crate::coin::CoinSecret;
use crate::ids::Author;
use crate::test_utils::TestCeremony;
use crate::test_utils::corrupt_dealing;

/// How many mutated transcripts are tried; `MEANWHILE_MUTATIONS` asks for more.
const MUTATIONS: u32 = 64;

fn author(value: u16) -> Author {
    Author::new(value)
}

fn deal_all(ceremony: &TestCeremony) -> Vec<Dealing> {
    ceremony.plan.authors().map(|dealer| ceremony.deal(dealer)).collect()
}

fn respond(ceremony: &TestCeremony, operator: u16, dealings: &[Dealing]) -> Response {
    let secrets = &ceremony.operators[usize::from(operator)];
    let plan = &ceremony.plan;
    plan.respond(author(operator), &secrets.ceremony, &secrets.vertex, dealings).unwrap().response
}

fn respond_all(ceremony: &TestCeremony, dealings: &[Dealing]) -> Vec<Response> {
    let authors = 0..ceremony.plan.quorums().validators();
    authors.map(|operator| respond(ceremony, operator, dealings)).collect()
}

fn transcript(ceremony: &TestCeremony, dealings: Vec<Dealing>) -> Transcript {
    let responses = respond_all(ceremony, &dealings);
    Transcript::gather(&ceremony.plan, dealings, responses).unwrap()
}

fn secrets(ceremony: &TestCeremony, transcript: &Transcript) -> Vec<CoinSecret> {
    let outcome = transcript.verify().unwrap();
    let operators = ceremony.plan.authors().zip(&ceremony.operators);
    operators
        .map(|(author, operator)| {
            let plan = &ceremony.plan;
            transcript.coin_secret(plan, &outcome, author, &operator.ceremony).unwrap()
        })
        .collect()
}

/// Asserts that every operator's value fits its key, and that any f + 1 of them make the coin.
fn assert_makes_a_coin(ceremony: &TestCeremony, transcript: &Transcript) {
    let genesis = transcript.verify().unwrap().genesis;
    let secrets = secrets(ceremony, transcript);
    for (secret, validator) in secrets.iter().zip(&genesis.validators) {
        assert!(secret.public() == validator.coin_key, "{}", validator.name);
    }
    let message = Digest::new([9; 32]);
    let threshold = ceremony.plan.quorums().coin_threshold();
    let shares: Vec<_> = ceremony
        .plan
        .authors()
        .zip(&secrets)
        .map(|(author, secret)| (author, secret.share(&message)))
        .collect();
    let signatures: Vec<_> = shares
        .windows(threshold)
        .map(|shares| coin::recover(shares, &message, &genesis.coin_group).unwrap())
        .collect();
    assert!(signatures.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(coin::recover(&shares[..threshold - 1], &message, &genesis.coin_group).is_err());
}

fn excluded(transcript: &Transcript) -> Vec<(u16, String)> {
    let outcome = transcript.verify().unwrap();
    let rows = outcome.excluded.iter();
    rows.map(|it| (it.operator.author.value(), it.reason.to_string())).collect()
}

#[test]
fn an_honest_ceremony_makes_a_coin_with_any_threshold_of_shares() {
    for operators in [1, 4, 7] {
        let ceremony = TestCeremony::new(operators);
        let transcript = transcript(&ceremony, deal_all(&ceremony));
        let outcome = transcript.verify().unwrap();
        assert_eq!(outcome.dealers.len(), usize::from(operators));
        assert!(outcome.excluded.is_empty() && outcome.false_complaints.is_empty());
        assert!(!outcome.genesis.development);
        if operators > 1 {
            assert_makes_a_coin(&ceremony, &transcript);
        }
    }
}

#[test]
fn a_step_done_twice_says_the_same_and_another_plan_something_else() {
    let ceremony = TestCeremony::new(4);
    assert_eq!(ceremony.deal(author(1)), ceremony.deal(author(1)));
    let other = TestCeremony::with(4, |plan| plan.name.push('x'));
    let (first, second) = (ceremony.deal(author(1)), other.deal(author(1)));
    assert_ne!(first.commitments, second.commitments);
    assert_ne!(first.ephemeral, second.ephemeral);
}

#[test]
fn a_corrupt_share_names_its_dealer_and_is_survived() {
    let ceremony = TestCeremony::new(4);
    let mut dealings = deal_all(&ceremony);
    let hostile = &ceremony.operators[2];
    dealings[2] = corrupt_dealing(&ceremony.plan, author(2), hostile, author(1));
    let transcript = transcript(&ceremony, dealings);
    let outcome = transcript.verify().unwrap();
    let [excluded] = outcome.excluded.as_slice() else { panic!("{:?}", outcome.excluded) };
    assert_eq!(excluded.operator.author, author(2));
    let complainer = ceremony.plan.operator(author(1));
    assert_eq!(excluded.reason, Exclusion::Share { complainer });
    assert!(outcome.false_complaints.is_empty());
    assert_makes_a_coin(&ceremony, &transcript);
}

#[test]
fn a_polynomial_of_another_degree_is_seen_by_everybody() {
    let ceremony = TestCeremony::new(4);
    let hostile = &ceremony.operators[3];
    for coefficients in [1, 3] {
        let mut dealings = deal_all(&ceremony);
        dealings[3] =
            ceremony.plan.deal_degree(author(3), &hostile.ceremony, &hostile.vertex, coefficients);
        let transcript = transcript(&ceremony, dealings);
        let [(dealer, reason)] = &excluded(&transcript)[..] else { panic!("one is left out") };
        assert_eq!(*dealer, 3);
        assert!(reason.contains("degree"), "{reason}");
        assert_makes_a_coin(&ceremony, &transcript);
    }
}

#[test]
fn what_a_dealer_signs_without_knowing_it_is_left_out() {
    type Row = (fn(&mut Dealing, &Dealing), &'static str);
    let rows: [Row; 5] = [
        // A constant chosen from another one's, which nobody knows the logarithm of.
        (|own, other| own.commitments[0] = other.commitments[0], "constant coefficient"),
        // Another dealer's ephemeral key, to provoke a complaint that opens its share.
        (|own, other| own.ephemeral = other.ephemeral, "does not fit"),
        (|own, other| own.ephemeral_proof = other.ephemeral_proof, "proof of the ephemeral key"),
        (|own, _| own.commitments[1] = HexArray([7; 96]), "commitment 1 is no point"),
        (|own, _| own.shares.truncate(3), "3 shares, 4 due"),
    ];
    let ceremony = TestCeremony::new(4);
    let honest = deal_all(&ceremony);
    for (change, says) in rows {
        let mut dealings = honest.clone();
        change(&mut dealings[0], &honest[1]);
        dealings[0] = dealings[0].clone().sign_again(&ceremony.operators[0].vertex);
        let responses = respond_all(&ceremony, &dealings);
        let complaints = responses.iter().filter_map(|response| response.verdicts[0].complaint);
        assert_eq!(complaints.count(), 0, "nobody reveals anything about such a dealing");
        let transcript = Transcript::gather(&ceremony.plan, dealings, responses).unwrap();
        let [(dealer, reason)] = &excluded(&transcript)[..] else { panic!("{says}") };
        assert_eq!(*dealer, 0);
        assert!(reason.contains(says), "{reason}");
        assert_makes_a_coin(&ceremony, &transcript);
    }
}

#[test]
fn different_dealings_for_different_operators_are_found_and_survived() {
    let ceremony = TestCeremony::new(4);
    let honest = deal_all(&ceremony);
    let mut other = honest.clone();
    let hostile = &ceremony.operators[0];
    other[0] = corrupt_dealing(&ceremony.plan, author(0), hostile, author(0));
    let both: Vec<Dealing> = honest.iter().chain([&other[0]]).cloned().collect();
    let secrets = &ceremony.operators[1];
    let told = ceremony.plan.respond(author(1), &secrets.ceremony, &secrets.vertex, &both);
    let operator = ceremony.plan.operator(author(0));
    assert!(matches!(told, Err(CeremonyError::Twice { what: "dealing", operator: named, .. })
        if named == operator));

    let mut responses = respond_all(&ceremony, &honest);
    responses[3] = respond(&ceremony, 3, &other);
    let missing = Transcript::gather(&ceremony.plan, honest.clone(), responses.clone());
    assert!(matches!(missing, Err(CeremonyError::UnknownDealing { dealer, .. })
        if dealer == operator));
    let transcript = Transcript::gather(&ceremony.plan, both, responses).unwrap();
    assert_eq!(transcript.verify().unwrap().excluded[0].reason, Exclusion::Twins);
    assert_makes_a_coin(&ceremony, &transcript);

    let unnamed: Vec<Dealing> = honest.iter().chain([&other[0]]).cloned().collect();
    let responses = respond_all(&ceremony, &honest);
    let transcript = Transcript::gather(&ceremony.plan, unnamed, responses).unwrap();
    assert_eq!(transcript.dealings.len(), 4, "what nobody judged has no part in it");
    assert!(transcript.verify().unwrap().excluded.is_empty());
}

#[test]
fn a_false_complaint_names_the_complainer_and_the_dealing_counts() {
    let ceremony = TestCeremony::new(4);
    let dealings = deal_all(&ceremony);
    let liar = &ceremony.operators[3];
    let ephemeral = dealings[1].ephemeral_point().unwrap();
    let honest_looking =
        ceremony.plan.complaint(author(3), &liar.ceremony, &dealings[1], &ephemeral);
    let about_another = Complaint {
        shared: dealings[0].ephemeral,
        ..ceremony.plan.complaint(author(3), &liar.ceremony, &dealings[1], &ephemeral)
    };
    for complaint in [honest_looking, about_another] {
        let mut responses = respond_all(&ceremony, &dealings);
        responses[3].verdicts[1].complaint = Some(complaint);
        responses[3] = responses[3].clone().signed(&liar.vertex);
        let transcript = Transcript::gather(&ceremony.plan, dealings.clone(), responses).unwrap();
        let outcome = transcript.verify().unwrap();
        assert!(outcome.excluded.is_empty());
        let complainer = ceremony.plan.operator(author(3));
        let dealer = ceremony.plan.operator(author(1));
        assert_eq!(outcome.false_complaints, [FalseComplaint { complainer, dealer }]);
        assert_makes_a_coin(&ceremony, &transcript);
    }
}

#[test]
fn nothing_is_taken_from_another_ceremony_or_altered() {
    let ceremony = TestCeremony::new(4);
    let other = TestCeremony::with(4, |plan| plan.name.push('x'));
    let replayed = ceremony.plan.authenticate_dealing(&other.deal(author(2))).unwrap_err();
    assert!(matches!(replayed, CeremonyError::OtherPlan { .. }), "{replayed}");
    assert!(replayed.to_string().contains("operator 2 `operator-2`"), "{replayed}");
    let response = respond(&other, 1, &deal_all(&other));
    let replayed = ceremony.plan.authenticate_response(&response).unwrap_err();
    assert!(matches!(replayed, CeremonyError::OtherPlan { .. }), "{replayed}");

    let mut altered = ceremony.deal(author(2));
    altered.shares[0].0[0] ^= 1;
    let altered = ceremony.plan.authenticate_dealing(&altered).unwrap_err();
    assert!(altered.to_string().contains("operator 2"), "{altered}");
    let mut forged = ceremony.deal(author(2));
    forged.dealer = author(1);
    assert!(ceremony.plan.authenticate_dealing(&forged).is_err());
    forged.dealer = author(4);
    let unknown = ceremony.plan.authenticate_dealing(&forged).unwrap_err();
    assert!(matches!(unknown, CeremonyError::UnknownOperator { .. }), "{unknown}");
}

#[test]
fn whoever_is_missing_or_says_two_things_is_named() {
    let ceremony = TestCeremony::new(4);
    let dealings = deal_all(&ceremony);
    let responses = respond_all(&ceremony, &dealings);
    let gather = |dealings: &[Dealing], responses: &[Response]| {
        Transcript::gather(&ceremony.plan, dealings.to_vec(), responses.to_vec()).unwrap_err()
    };
    let error = gather(&dealings, &responses[..3]).to_string();
    assert!(error.contains("response of operator 3 `operator-3` is missing"), "{error}");
    let error = gather(&dealings[1..], &responses).to_string();
    assert!(error.contains("dealing of operator 0 `operator-0` is missing"), "{error}");
    let mut second = responses[2].clone();
    second.verdicts[0].dealing = Digest::ZERO;
    let both: Vec<Response> =
        responses.iter().cloned().chain([second.signed(&ceremony.operators[2].vertex)]).collect();
    let error = gather(&dealings, &both).to_string();
    assert!(error.contains("operator 2 `operator-2` signed two different responses"), "{error}");
    let twice: Vec<Response> = responses.iter().chain(&responses).cloned().collect();
    let copies: Vec<Dealing> = dealings.iter().chain(&dealings).cloned().collect();
    let transcript = Transcript::gather(&ceremony.plan, copies, twice).unwrap();
    assert!(transcript.verify().is_ok(), "copies are no harm");
}

#[test]
fn too_few_good_dealings_make_no_key() {
    let ceremony = TestCeremony::new(4);
    let dealings = ceremony.plan.authors().zip(&ceremony.operators).map(|(dealer, operator)| {
        match dealer.value() {
            0 => ceremony.deal(dealer),
            _ => corrupt_dealing(&ceremony.plan, dealer, operator, author(0)),
        }
    });
    let error = transcript(&ceremony, dealings.collect()).verify().unwrap_err();
    let CeremonyError::TooFewDealings { good: 1, needed: 2, bad } = &error else {
        panic!("{error}")
    };
    assert!(bad.contains("operator-1") && bad.contains("operator-3"), "{bad}");
}

#[test]
fn a_card_that_was_altered_or_copied_names_its_operator() {
    type Row = (fn(&mut Plan), &'static str);
    let rows: [Row; 7] = [
        (
            |plan| plan.cards[1].payout_script.0.push(0),
            "operator 1 `operator-1` is refused: the si",
        ),
        (|plan| plan.cards[2].ceremony_key = plan.cards[1].ceremony_key, "operator 2"),
        (|plan| plan.cards[2].name = "\u{1b}[2J".into(), "control characters"),
        (|plan| plan.cards[3] = plan.cards[0].clone(), "validators 0 and 3 have the same"),
        (|plan| plan.consensus.wave = 9, "consensus.wave is 9"),
        (|plan| plan.cards.clear(), "no card"),
        (|plan| plan.version = 2, "plan is of version 2"),
    ];
    let base = TestCeremony::new(4).plan.plan().clone();
    for (change, says) in rows {
        let mut plan = base.clone();
        change(&mut plan);
        let error = plan.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut many = base.clone();
    many.cards = base.cards.iter().cycle().take(257).cloned().collect();
    assert!(many.check().unwrap_err().to_string().contains("257"));
}

#[test]
fn the_secrets_of_another_operator_are_refused() {
    let ceremony = TestCeremony::new(4);
    let [own, other] = [&ceremony.operators[0], &ceremony.operators[1]];
    let dealt = ceremony.plan.deal(author(0), &other.ceremony, &own.vertex).unwrap_err();
    assert!(dealt.to_string().contains("ceremony key"), "{dealt}");
    let dealt = ceremony.plan.deal(author(0), &own.ceremony, &other.vertex).unwrap_err();
    assert!(dealt.to_string().contains("vertex key"), "{dealt}");
}

#[test]
fn a_transcript_in_another_order_or_with_more_in_it_is_refused() {
    let ceremony = TestCeremony::new(4);
    let good = transcript(&ceremony, deal_all(&ceremony));
    let hostile = &ceremony.operators[0];
    let twin = corrupt_dealing(&ceremony.plan, author(0), hostile, author(1));
    let changes: [&dyn Fn(&mut Transcript); 6] = [
        &|it| it.dealings.swap(0, 1),
        &|it| it.responses.swap(0, 1),
        &|it| it.responses.push(it.responses[0].clone()),
        &|it| it.dealings.insert(1, it.dealings[0].clone()),
        &|it| {
            it.dealings.push(twin.clone());
            it.dealings.sort_by_key(|dealing| (dealing.dealer, dealing.digest()));
        },
        &|it| it.version = 2,
    ];
    for change in changes {
        let mut transcript = good.clone();
        change(&mut transcript);
        assert!(transcript.verify().is_err());
    }
}

/// Two transcripts: an honest one, and one with a bad dealing and a false complaint.
fn originals() -> [Transcript; 2] {
    let ceremony = TestCeremony::new(4);
    let mut dealings = deal_all(&ceremony);
    let honest = transcript(&ceremony, dealings.clone());
    dealings[2] = corrupt_dealing(&ceremony.plan, author(2), &ceremony.operators[2], author(1));
    let liar = &ceremony.operators[3];
    let mut responses = respond_all(&ceremony, &dealings);
    let ephemeral = dealings[0].ephemeral_point().unwrap();
    responses[3].verdicts[0].complaint =
        Some(ceremony.plan.complaint(author(3), &liar.ceremony, &dealings[0], &ephemeral));
    responses[3] = responses[3].clone().signed(&liar.vertex);
    [honest, Transcript::gather(&ceremony.plan, dealings, responses).unwrap()]
}

fn mutations() -> u32 {
    let asked = std::env::var("MEANWHILE_MUTATIONS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(MUTATIONS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(mutations()))]

    #[test]
    fn a_mutated_transcript_is_refused(
        which in 0_usize..2,
        place in any::<prop::sample::Index>(),
        digit in 1_u8..16,
    ) {
        static ORIGINALS: std::sync::OnceLock<[(Transcript, String); 2]> =
            std::sync::OnceLock::new();
        let (original, text) = &ORIGINALS.get_or_init(|| originals().map(|transcript| {
            let text = serde_json::to_string(&transcript).unwrap();
            (transcript, text)
        }))[which];
        // One hex digit or number becomes another one: the text stays JSON of the same form.
        let mut bytes = text.clone().into_bytes();
        let digits: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at].is_ascii_digit() || (b'a'..=b'f').contains(&bytes[*at]))
            .collect();
        let at = digits[place.index(digits.len())];
        let value = char::from(bytes[at]).to_digit(16).unwrap();
        let other = char::from_digit((value + u32::from(digit)) % 16, 16).unwrap();
        bytes[at] = u8::try_from(other).unwrap();
        let Ok(mutated) = serde_json::from_slice::<Transcript>(&bytes) else { return Ok(()) };
        prop_assert_ne!(&mutated, original, "the mutation is one");
        prop_assert!(mutated.verify().is_err(), "taken: {} at {}", other, at);
    }
}

/// What a ceremony costs, for `docs/ceremony.md`: run it with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_ceremony() {
    use std::time::Instant;

    std::println!("n | check plan | deal | receive | verify | dealing | response | transcript");
    for operators in [4, 31, 100, 256] {
        let ceremony = TestCeremony::new(operators);
        let started = Instant::now();
        ceremony.plan.plan().clone().check().unwrap();
        let check = started.elapsed();
        let started = Instant::now();
        let dealing = ceremony.deal(author(0));
        let deal = started.elapsed();
        let dealings = deal_all(&ceremony);
        let started = Instant::now();
        let first = respond(&ceremony, 0, &dealings);
        let receive = started.elapsed();
        // Honest operators say the same: only the name and the signature differ.
        let responses =
            ceremony.plan.authors().zip(&ceremony.operators).map(|(author, operator)| {
                Response { author, ..first.clone() }.signed(&operator.vertex)
            });
        let responses = responses.collect();
        let transcript = Transcript::gather(&ceremony.plan, dealings, responses).unwrap();
        let started = Instant::now();
        transcript.verify().unwrap();
        let verify = started.elapsed();
        let bytes = [
            serde_json::to_string_pretty(&dealing).unwrap().len(),
            serde_json::to_string_pretty(&first).unwrap().len(),
            serde_json::to_string_pretty(&transcript).unwrap().len(),
        ];
        std::println!("{operators} | {check:?} | {deal:?} | {receive:?} | {verify:?} | {bytes:?}");
    }
}
