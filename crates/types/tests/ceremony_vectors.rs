//! Frozen hashes and signatures of a whole ceremony. A change here means that two versions of the
//! program can not hold one together: it needs a new version and a line in the changelog.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;

use types::Author;
use types::Encode;
use types::dkg::Dealing;
use types::dkg::Response;
use types::dkg::Transcript;
use types::test_utils::TestCeremony;
use types::test_utils::corrupt_dealing;

/// A ceremony of four in which operator 2 deals operator 1 a wrong share.
fn ceremony() -> (TestCeremony, Transcript) {
    let ceremony = TestCeremony::new(4);
    let mut dealings: Vec<Dealing> =
        ceremony.plan.authors().map(|author| ceremony.deal(author)).collect();
    let hostile = &ceremony.operators[2];
    dealings[2] = corrupt_dealing(&ceremony.plan, Author::new(2), hostile, Author::new(1));
    let responses: Vec<Response> = ceremony
        .plan
        .authors()
        .zip(&ceremony.operators)
        .map(|(author, operator)| {
            let (ceremony_secret, vertex) = (&operator.ceremony, &operator.vertex);
            let plan = &ceremony.plan;
            plan.respond(author, ceremony_secret, vertex, &dealings).unwrap().response
        })
        .collect();
    let transcript = Transcript::gather(&ceremony.plan, dealings, responses).unwrap();
    (ceremony, transcript)
}

fn computed() -> BTreeMap<&'static str, String> {
    let (ceremony, transcript) = ceremony();
    let outcome = transcript.verify().unwrap();
    let card = &ceremony.plan.plan().cards[0];
    let (dealing, response) = (&transcript.dealings[0], &transcript.responses[1]);
    let complaint = response.verdicts[2].complaint.as_ref().unwrap();
    let author = Author::new(1);
    let secrets = &ceremony.operators[1].ceremony;
    let coin = transcript.coin_secret(&ceremony.plan, &outcome, author, secrets).unwrap();
    BTreeMap::from([
        ("card", hex::encode(card.to_bytes())),
        ("card_digest", card.digest().to_string()),
        ("plan_digest", ceremony.plan.digest().to_string()),
        ("dealing", serde_json::to_string(dealing).unwrap()),
        ("dealing_digest", dealing.digest().to_string()),
        ("complaint", hex::encode(complaint.to_bytes())),
        ("response", serde_json::to_string(response).unwrap()),
        ("response_digest", response.digest().to_string()),
        ("transcript_digest", transcript.digest().to_string()),
        ("coin_group", hex::encode(outcome.genesis.coin_group.to_bytes())),
        ("coin_secret", hex::encode(coin.to_bytes())),
        ("chain", outcome.genesis.chain().to_string()),
    ])
}

#[test]
fn a_ceremony_is_the_frozen_one() {
    let frozen: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../vectors/ceremony.json")).unwrap();
    let computed = computed();
    let text = serde_json::to_string_pretty(&computed).unwrap();
    assert_eq!(computed.len(), frozen.len(), "computed now:\n{text}");
    for (name, value) in &computed {
        assert_eq!(Some(value), frozen.get(*name), "{name} changed; computed now:\n{text}");
    }
}
