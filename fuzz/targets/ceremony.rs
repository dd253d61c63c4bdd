//! A ceremony's files: a transcript that anybody may hand over, and the dealings and responses that
//! operators send to each other.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use types::dkg::Card;
use types::dkg::Dealing;
use types::dkg::Plan;
use types::dkg::Response;
use types::dkg::Transcript;
use types::test_utils::TestCeremony;

static CEREMONY: LazyLock<TestCeremony> = LazyLock::new(|| TestCeremony::new(4));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(card) = serde_json::from_slice::<Card>(bytes) {
        card.check().ok();
    }
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes) {
        plan.check().ok();
    }
    if let Ok(dealing) = serde_json::from_slice::<Dealing>(bytes) {
        CEREMONY.plan.authenticate_dealing(&dealing).ok();
        // Judged whether it is signed or not: a dealer can sign anything.
        CEREMONY.plan.judge_dealing(&dealing).ok();
    }
    if let Ok(response) = serde_json::from_slice::<Response>(bytes) {
        CEREMONY.plan.authenticate_response(&response).ok();
    }
    let Ok(transcript) = serde_json::from_slice::<Transcript>(bytes) else { return };
    let Ok(outcome) = transcript.verify() else { return };
    assert!(outcome.genesis.check().is_ok(), "a verified transcript makes a good genesis");
    let text = serde_json::to_vec(&transcript).expect("a transcript can be written");
    let again: Transcript = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(again, transcript);
    assert_eq!(again.digest(), transcript.digest());
});
