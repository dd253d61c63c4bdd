use serde_json::Value;
use serde_json::json;

use super::*;

const TXID: &str = "000000000000000000000000000000000000000000000000000000000000abcd";

fn txid() -> Txid {
    TXID.parse().unwrap()
}

/// Writes `value`, holds it against `expected`, and reads it back.
#[expect(clippy::needless_pass_by_value, reason = "a literal reads better without a borrow")]
fn round_trip<T>(value: &T, expected: Value)
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_value(value).unwrap(), expected);
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
}

#[test]
fn a_status_names_every_validator() {
    let status = Status {
        chain: Digest::new([7; 32]),
        name: "devnet".to_owned(),
        development: true,
        epoch: Epoch::ZERO,
        version: "0.1.0".to_owned(),
        validator: Some(Author::new(1)),
        round: Round::new(9),
        commit: CommitIndex::new(4),
        proven: CommitIndex::new(3),
        height: Height::new(101),
        lag_commits: 1,
        last_event: 9,
        recovering: None,
        evidence: 0,
        lsps: Vec::new(),
        validators: vec![ValidatorStatus {
            index: Author::new(0),
            name: "zero".to_owned(),
            state: ValidatorState::Behind,
            behind_commits: Some(4),
            behind_rounds: 3,
            round: Round::new(6),
            commit: CommitIndex::new(2),
            last_seen_ms: Some(12),
        }],
    };
    round_trip(
        &status,
        json!({
            "chain": "07".repeat(32),
            "name": "devnet",
            "development": true,
            "epoch": 0,
            "version": "0.1.0",
            "validator": 1,
            "round": 9,
            "commit": 4,
            "proven": 3,
            "height": 101,
            "lag_commits": 1,
            "last_event": 9,
            "evidence": 0,
            "validators": [{
                "index": 0,
                "name": "zero",
                "state": "behind",
                "behind_rounds": 3,
                "behind_commits": 4,
                "round": 6,
                "commit": 2,
                "last_seen_ms": 12
            }]
        }),
    );
}

#[test]
fn a_transaction_is_unknown_pending_final_or_rejected() {
    let status = TxStatus {
        txid: txid(),
        status: TxState::Rejected,
        commit: Some(CommitIndex::new(4)),
        height: None,
        conflict: Some(txid()),
        skipped: vec!["non-final".to_owned()],
    };
    round_trip(
        &status,
        json!({
            "txid": TXID,
            "status": "rejected",
            "commit": 4,
            "conflict": TXID,
            "skipped": ["non-final"]
        }),
    );
    let submitted = Submitted { txid: txid(), status: TxState::Pending };
    round_trip(&submitted, json!({"txid": TXID, "status": "pending"}));
}

#[test]
fn an_event_carries_its_kind_beside_its_number() {
    let outcome = EventKind::Outcome { txid: txid(), status: TxState::Final, conflict: None };
    let event = Event { sequence: u64::MAX, commit: CommitIndex::new(3), kind: outcome };
    round_trip(
        &event,
        json!({
            "sequence": u64::MAX, "commit": 3, "kind": "outcome", "txid": TXID, "status": "final"
        }),
    );
    let hash = BlockHash::from_raw_hash(txid().to_raw_hash());
    let block = EventKind::Block { height: Height::new(102), hash, transactions: 2 };
    assert_eq!(block.name(), EventName::Block);
    let event = Event { sequence: 8, commit: CommitIndex::new(3), kind: block };
    round_trip(
        &event,
        json!({
            "sequence": 8, "commit": 3, "kind": "block", "height": 102, "hash": TXID,
            "transactions": 2
        }),
    );
    let skipped = EventKind::Skipped {
        txid: txid(),
        wtxid: TXID.parse().unwrap(),
        author: Author::new(2),
        reason: "bad-txns-inputs-missingorspent".to_owned(),
    };
    let event = Event { sequence: 9, commit: CommitIndex::new(3), kind: skipped };
    round_trip(
        &event,
        json!({
            "sequence": 9, "commit": 3, "kind": "skipped", "txid": TXID, "wtxid": TXID,
            "author": 2, "reason": "bad-txns-inputs-missingorspent"
        }),
    );
}

#[test]
fn the_name_of_a_kind_is_the_same_in_events_and_filters() {
    for name in [EventName::Outcome, EventName::Skipped, EventName::Block] {
        assert_eq!(serde_json::to_value(name).unwrap(), json!(name.as_str()));
    }
}

#[test]
fn requests_are_strict_and_answers_are_not() {
    let request = json!({
        "address": "bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x",
        "amount_sat": 5_000
    });
    let parsed: FaucetRequest = serde_json::from_value(request.clone()).unwrap();
    assert_eq!(parsed.amount, Amount::from_sat(5_000));
    round_trip(&parsed, request);
    assert!(serde_json::from_value::<TicksRequest>(json!({"count": 1, "cuont": 2})).is_err());
    assert!(serde_json::from_value::<TicksRequest>(json!({"count": 70_000})).is_err());
    let answer = json!({"height": 7, "hash": "new in a later version"});
    let answer: TicksAnswer = serde_json::from_value(answer).unwrap();
    assert_eq!(answer.height, Height::new(7));
}

#[test]
fn an_error_of_a_later_version_is_still_an_error() {
    let body = json!({"error": {"code": "quota", "reason": "too much"}});
    let body: ErrorBody = serde_json::from_value(body).unwrap();
    assert_eq!(body.error.code, ErrorCode::Other);
    let detail = ErrorDetail {
        code: ErrorCode::NotFound,
        reason: "no such commit".to_owned(),
        hint: Some("the last one is 4".to_owned()),
    };
    round_trip(
        &ErrorBody { error: detail },
        json!({"error": {
            "code": "not_found", "reason": "no such commit", "hint": "the last one is 4"
        }}),
    );
}

#[test]
fn a_vertex_of_the_graph_names_itself_beside_its_edges() {
    let id =
        VertexId { round: Round::new(3), author: Author::new(1), digest: Digest::new([1; 32]) };
    let vertex = DagVertex {
        id,
        parents: vec![id],
        late: Vec::new(),
        items: 2,
        bytes: 300,
        commit: None,
        leader: false,
    };
    let name = json!({"round": 3, "author": 1, "digest": "01".repeat(32)});
    round_trip(
        &vertex,
        json!({
            "round": 3, "author": 1, "digest": "01".repeat(32), "parents": [name], "late": [],
            "items": 2, "bytes": 300, "leader": false
        }),
    );
}
