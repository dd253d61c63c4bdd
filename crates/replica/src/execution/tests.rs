use ledger::Outcome;
use ledger::ScriptHash;
use ledger::mempool::RejectCode;
use ledger::query;

use super::*;

use solo::Solo;
use solo::payment;

mod packages;
pub(crate) mod solo;

fn id(number: u64) -> SubmissionId {
    SubmissionId(number)
}

#[test]
fn a_payment_is_accepted_durably_then_final_and_a_second_submission_says_so() {
    let mut solo = Solo::new();
    let pay = payment(solo.coins()[0], 10_000);
    let txid = pay.compute_txid();
    solo.submit(1, &pay);
    assert_eq!(solo.answer(1), Ok(Accepted::Pooled));
    assert_eq!(solo.unsynced_before_answer, 0, "what was answered has been synced");
    solo.submit(2, &pay);
    assert_eq!(solo.answer(2), Ok(Accepted::AlreadyPooled));

    solo.rounds(12);

    let Some(Outcome::Final { commit }) = query::outcome(&solo.store, &txid).unwrap() else {
        panic!("{txid} is not final")
    };
    assert!(solo.summaries.iter().any(|one| one.commit == commit && one.finals == [txid]));
    solo.submit(3, &pay);
    assert_eq!(solo.answer(3), Ok(Accepted::AlreadyFinal { commit }));
    assert!(!solo.execution().mempool().contains(&txid));
}

#[test]
fn what_was_accepted_survives_a_power_cut_and_becomes_final() {
    for cut_after in 0..6 {
        let mut solo = Solo::new();
        solo.rounds(3);
        let pay = payment(solo.coins()[0], 10_000);
        solo.submit(1, &pay);
        assert_eq!(solo.answer(1), Ok(Accepted::Pooled));
        solo.rounds(cut_after);
        solo.crash();
        solo.rounds(14);
        let outcome = query::outcome(&solo.store, &pay.compute_txid()).unwrap();
        assert!(matches!(outcome, Some(Outcome::Final { .. })), "cut after {cut_after}");
    }
}

#[test]
fn commits_that_were_never_handed_over_are_read_from_the_store() {
    let mut solo = Solo::new();
    let pay = payment(solo.coins()[0], 10_000);
    solo.submit(1, &pay);
    solo.loses_commits = true;
    solo.rounds(30);
    assert_eq!(solo.execution().ledger().applied(), CommitIndex::ZERO);

    solo.loses_commits = false;
    solo.rounds(1);

    let ordered = solo.ordering().status(solo.now).commit;
    assert!(ordered.value() > 20);
    assert_eq!(solo.execution().ledger().applied(), ordered);
    let outcome = query::outcome(&solo.store, &pay.compute_txid()).unwrap();
    assert!(matches!(outcome, Some(Outcome::Final { .. })));
}

#[test]
fn a_restart_applies_what_was_ordered_and_not_applied_and_reaches_the_same_state() {
    let mut solo = Solo::new();
    let coins = solo.coins();
    let pay = payment(coins[0], 10_000);
    solo.submit(1, &pay);
    solo.rounds(8);
    solo.loses_commits = true;
    solo.submit(2, &payment(coins[1], 10_000));
    solo.rounds(20);
    let applied = solo.execution().ledger().applied();
    let ordered = solo.ordering().status(solo.now).commit;
    assert!(ordered > applied);
    store::Store::sync(&solo.store).unwrap();
    // The same store, restarted and not.
    let reference = {
        let mut twin = solo.twin();
        twin.loses_commits = true;
        twin.drain();
        (twin.execution().ledger().digest(), twin.execution().ledger().last_event())
    };
    solo.crash();
    solo.drain();
    let ledger = solo.execution().ledger();
    assert_eq!(ledger.applied(), ordered);
    assert_eq!((ledger.digest(), ledger.last_event()), reference);
}

#[test]
fn a_child_may_come_in_one_group_with_its_parent() {
    let mut solo = Solo::new();
    let parent = payment(solo.coins()[0], 10_000);
    let child = payment(solo::first_output(&parent), 10_000);
    let stranger = payment(solo::first_output(&payment(solo.coins()[1], 777)), 10_000);
    for (number, one) in [(1, &parent), (2, &child), (3, &stranger)] {
        solo.execution
            .as_mut()
            .unwrap()
            .handle(Input::Submit { id: id(number), transaction: one.clone() });
    }
    solo.drain();
    assert_eq!(solo.answer(1), Ok(Accepted::Pooled));
    assert_eq!(solo.answer(2), Ok(Accepted::Pooled));
    let refused = solo.answer(3).unwrap_err();
    assert!(refused.reason.starts_with("bad-txns-inputs-missingorspent"), "{refused}");
    solo.rounds(14);
    for one in [&parent, &child] {
        let outcome = query::outcome(&solo.store, &one.compute_txid()).unwrap();
        assert!(matches!(outcome, Some(Outcome::Final { .. })));
    }
}

#[test]
fn submissions_that_wait_are_bounded() {
    let mut solo = Solo::new();
    let pay = payment(solo.coins()[0], 10_000);
    let execution = solo.execution.as_mut().unwrap();
    let most = u64::try_from(SUBMISSIONS_WAITING_MAX).unwrap();
    for number in 0..=most {
        execution.handle(Input::Submit { id: id(number), transaction: pay.clone() });
    }
    solo.drain();
    let refused = solo.answer(most).unwrap_err();
    assert_eq!(refused.code, RejectCode::MempoolFull);
    assert_eq!(solo.answer(0), Ok(Accepted::Pooled));
    assert_eq!(solo.answer(most - 1), Ok(Accepted::AlreadyPooled));
}

#[test]
fn a_development_network_seals_blocks_when_told() {
    let mut solo = Solo::new();
    let height = solo.execution().ledger().tip().height;
    solo.execution.as_mut().unwrap().handle(Input::Ticks(3));
    solo.drain();
    solo.rounds(12);
    let blocks: usize = solo.summaries.iter().map(|summary| summary.blocks.len()).sum();
    assert!(blocks >= 3, "{blocks}");
    assert!(solo.execution().ledger().tip().height >= height.saturating_add(3));
}

#[test]
fn proposals_fill_one_payload_and_the_rest_waits_in_the_pool() {
    let mut solo = Solo::new();
    let execution = solo.execution.as_mut().unwrap();
    execution.handle(Input::Ticks(1));
    execution.room = Room { bytes: 10, items: 2 };
    let mut step = Step::default();
    execution.propose(&mut step);
    assert!(matches!(&step.then[..], [Action::Propose(items)] if items.len() == 1));
    execution.handle(Input::Ticks(1));
    execution.handle(Input::Ticks(1));
    let mut step = Step::default();
    execution.propose(&mut step);
    execution.propose(&mut step);
    assert_eq!(step.then.len(), 1, "{:?}", step.then);
    execution.handle(Input::Taken(Room { bytes: 3, items: 1 }));
    execution.propose(&mut step);
    assert_eq!(step.then.len(), 2);
    assert!(execution.ticks.is_empty());
}

#[test]
fn items_that_fell_unordered_are_proposed_again() {
    let mut solo = Solo::new();
    let pay = payment(solo.coins()[0], 10_000);
    solo.proposals_lost = true;
    solo.submit(1, &pay);
    solo.rounds(3);
    solo.proposals_lost = false;
    let bytes = bitcoin::consensus::encode::serialize(&pay);
    let items = vec![Item::Transaction(bytes.into()), Item::DevelopmentTicks(1)];
    let room = Room::of(&items);
    let execution = solo.execution.as_mut().unwrap();
    execution.handle(Input::Taken(room));
    execution.handle(Input::Returned(items));
    solo.drain();
    solo.rounds(14);
    let outcome = query::outcome(&solo.store, &pay.compute_txid()).unwrap();
    assert!(matches!(outcome, Some(Outcome::Final { .. })));
}

#[test]
fn a_ledger_that_lies_ahead_of_the_order_or_beside_it_does_not_open() {
    let mut solo = Solo::new();
    solo.rounds(12);
    let applied = solo.execution().ledger().applied();
    assert!(applied > CommitIndex::new(2));
    let remove = |solo: &Solo, index: CommitIndex| {
        let mut changes = types::table::Changes::default();
        changes.remove(tables::COMMITS, index.value().to_be_bytes().to_vec());
        store::Store::write(&solo.store, changes, Durability::Synced).unwrap();
    };
    let open = |solo: &Solo| Execution::open(solo.config(), &solo.store).map(|_| ());
    let (mut other, mut index) = (tables_commit(&solo, CommitIndex::new(1)), applied);
    other.index = applied;
    let mut changes = types::table::Changes::default();
    tables::put_commit(&mut changes, &other);
    store::Store::write(&solo.store, changes, Durability::Synced).unwrap();
    assert_eq!(open(&solo), Err(OpenError::LedgerAstray { applied }));
    let ordered = solo.ordering().status(solo.now).commit;
    while index <= ordered {
        remove(&solo, index);
        index = index.next();
    }
    let ordered = applied.previous().unwrap();
    assert_eq!(open(&solo), Err(OpenError::LedgerAhead { applied, ordered }));
}

fn tables_commit(solo: &Solo, index: CommitIndex) -> types::Commit {
    tables::commit(&solo.store, index).unwrap().unwrap()
}

#[test]
fn scripts_are_judged_ahead_of_their_commit() {
    let mut solo = Solo::new();
    let pay = payment(solo.coins()[0], 10_000);
    let bytes = bitcoin::consensus::encode::serialize(&pay);
    let vertex = solo.vertex_with(vec![Item::Transaction(bytes.into())]);
    let execution = solo.execution.as_mut().unwrap();
    for _ in 0..2 * AHEAD_MAX {
        execution.handle(Input::Ahead(vertex.clone()));
    }
    assert_eq!(execution.ahead.len(), AHEAD_MAX);
    solo.drain();
    let execution = solo.execution();
    assert!(execution.ahead.is_empty());
    assert!(execution.cache.get(&pay.compute_wtxid()).is_some_and(|verdict| verdict.is_valid()));
    assert!(!ScriptHash::of(&solo::script()).as_bytes().is_empty());
}
