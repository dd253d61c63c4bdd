//! Transactions that come together, and those that ought to have.

use bitcoin::Witness;
use ledger::mempool::MemberResult;

use super::solo::first_output;
use super::*;

/// A parent that pays nothing, and a child that pays for both.
fn family(solo: &Solo) -> (Transaction, Transaction) {
    let parent = payment(solo.coins()[0], 0);
    let child = payment(first_output(&parent), 2_000);
    (parent, child)
}

fn is_final(solo: &Solo, transaction: &Transaction) -> bool {
    let outcome = query::outcome(&solo.store, &transaction.compute_txid()).unwrap();
    matches!(outcome, Some(Outcome::Final { .. }))
}

#[test]
fn a_package_is_accepted_durably_and_becomes_final() {
    let mut solo = Solo::new();
    let (parent, child) = family(&solo);
    let answer = solo.submit_package(1, &[&parent, &child]).unwrap();
    assert_eq!(answer.fault, None);
    let admitted = |member: &MemberResult| matches!(member, MemberResult::Admitted { .. });
    assert!(answer.members.iter().all(|member| admitted(&member.result)));
    assert_eq!(solo.unsynced_before_answer, 0, "what was answered has been synced");
    solo.crash();
    solo.rounds(14);
    assert!(is_final(&solo, &parent) && is_final(&solo, &child));
}

#[test]
fn a_parent_that_was_refused_for_its_fee_enters_when_its_child_comes() {
    let mut solo = Solo::new();
    let (parent, child) = family(&solo);
    solo.submit(1, &parent);
    assert_eq!(solo.answer(1).unwrap_err().code, RejectCode::MinRelayFee);
    solo.submit(2, &child);
    assert_eq!(solo.answer(2), Ok(Accepted::Pooled));
    assert_eq!(solo.unsynced_before_answer, 0, "what was answered has been synced");
    solo.rounds(14);
    assert!(is_final(&solo, &parent) && is_final(&solo, &child));
    solo.submit(3, &child);
    assert!(matches!(solo.answer(3), Ok(Accepted::AlreadyFinal { .. })));
}

#[test]
fn a_child_that_does_not_pay_for_its_parent_is_told_so() {
    let mut solo = Solo::new();
    let (parent, _) = family(&solo);
    let poor = payment(first_output(&parent), 100);
    solo.submit(1, &parent);
    assert!(solo.answer(1).is_err());
    solo.submit(2, &poor);
    assert_eq!(solo.answer(2).unwrap_err().code, RejectCode::MinRelayFee);
    let mut spoilt = payment(first_output(&parent), 2_000);
    spoilt.input[0].witness = Witness::from_slice(&[&[0x52_u8][..]]);
    solo.submit(3, &spoilt);
    assert!(matches!(solo.answer(3).unwrap_err().code, RejectCode::Script(_)));
    // Neither has driven the parent out of the waiting room.
    solo.submit(4, &payment(first_output(&parent), 2_000));
    assert_eq!(solo.answer(4), Ok(Accepted::Pooled));
}

#[test]
fn packages_that_wait_are_bounded_with_everything_else() {
    let mut solo = Solo::new();
    let (parent, child) = family(&solo);
    let execution = solo.execution.as_mut().unwrap();
    let most = u64::try_from(SUBMISSIONS_WAITING_MAX).unwrap();
    for number in 0..most {
        execution.handle(Input::Submit { id: id(number), transaction: child.clone() });
    }
    let refused = solo.submit_package(most, &[&parent, &child]).unwrap_err();
    assert_eq!(refused.code, RejectCode::MempoolFull);
}
