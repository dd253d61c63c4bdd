use super::*;
use crate::mempool::FeeRate;
use crate::mempool::MemberResult;
use crate::mempool::PACKAGE_MAX;

fn refusals(answer: &PackageAnswer) -> Vec<String> {
    let words = answer.members.iter().map(|member| match &member.result {
        MemberResult::Refused(reject) => reject.reason.clone(),
        MemberResult::Admitted { .. } => "admitted".to_owned(),
        MemberResult::InPool { .. } => "in pool".to_owned(),
        MemberResult::OtherWitness(_) => "other witness".to_owned(),
        MemberResult::NotValidated => "not validated".to_owned(),
    });
    words.collect()
}

#[test]
fn a_parent_without_a_fee_enters_with_the_child_that_pays_and_both_become_final() {
    let mut world = World::new();
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 2_000);
    assert_eq!(world.refuse(&parent), RejectCode::MinRelayFee);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(answer.fault, None);
    let vsizes: Vec<u64> = world.mempool.iter().map(|entry| entry.vsize()).collect();
    let rate = FeeRate::of(Amount::from_sat(2_000), vsizes.iter().sum());
    let wtxids = vec![parent.compute_wtxid(), child.compute_wtxid()];
    for (member, fee) in answer.members.iter().zip([0, 2_000]) {
        let MemberResult::Admitted { fee: paid, effective, includes, .. } = &member.result else {
            panic!("{member:?}")
        };
        assert_eq!((*paid, *effective, includes), (Amount::from_sat(fee), rate, &wtxids));
    }
    let applied = world.commit_taken();
    assert_eq!(applied.finals, [parent.compute_txid(), child.compute_txid()]);
}

#[test]
fn what_pays_for_itself_is_judged_by_itself() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 1, FEE);
    let child = spend(&[output(&parent, 0)], 1, FEE);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(answer.fault, None);
    for member in &answer.members {
        let MemberResult::Admitted { includes, .. } = &member.result else { panic!("{member:?}") };
        assert_eq!(*includes, [member.wtxid]);
    }
    let again = world.submit_package(&[&parent, &child]);
    assert_eq!((again.fault.clone(), refusals(&again)), (None, vec!["in pool".to_owned(); 2]));
}

#[test]
fn a_child_that_pays_too_little_for_both_leaves_both_outside() {
    let mut world = World::new();
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 200);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(answer.fault.as_deref(), Some("transaction failed"));
    assert!(refusals(&answer).iter().all(|words| words.starts_with("min relay fee not met")));
    assert!(world.names().is_empty());
}

#[test]
fn a_parent_without_a_fee_is_never_handed_out_alone() {
    let mut world = World::new();
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 2_000);
    world.submit_package(&[&parent, &child]);
    let other = spend(&[world.coin(1)], 1, 5_000);
    let applied = world.commit(OTHER, &[other]);
    assert_eq!(applied.finals.len(), 1);
    assert_eq!(world.names(), [parent.compute_txid()]);
    assert!(!world.mempool.has_waiting());
    assert!(world.mempool.take(usize::MAX, usize::MAX).is_empty());
    let child = bump(&parent, world.coin(2), 2_000);
    world.admit(&child);
    assert_eq!(world.mempool.take(usize::MAX, usize::MAX).len(), 2);
}

#[test]
fn dust_is_borne_only_where_nothing_is_paid_and_its_child_sweeps_it() {
    let mut world = World::new();
    let mut paying = commitment(world.coin(0));
    paying.output[0].value -= Amount::from_sat(FEE);
    assert_eq!(
        world.submit(&paying).unwrap_err().reason,
        "dust, tx with dust output must be 0-fee"
    );
    let mut twice = commitment(world.coin(0));
    twice.output.push(anchor(0));
    assert_eq!(world.refuse(&twice), RejectCode::Dust);

    let parent = commitment(world.coin(0));
    let mut lazy = spend(&[output(&parent, 0)], 1, 5_000);
    lazy.version = Version(3);
    let answer = world.submit_package(&[&parent, &lazy]);
    assert_eq!(answer.fault.as_deref(), Some("unspent-dust"));
    let words = refusals(&answer);
    assert!(words[1].starts_with("missing-ephemeral-spends, tx"), "{words:?}");
    assert!(world.names().is_empty());

    let child = bump(&parent, world.coin(1), 2_000);
    assert_eq!(world.submit_package(&[&parent, &child]).fault, None);
    let mut second = spend(&[output(&parent, 0)], 1, 50_000);
    second.version = Version(3);
    let refused = world.submit(&second).unwrap_err();
    assert_eq!(refused.code, RejectCode::MissingEphemeralSpends, "{refused}");
}

#[test]
fn packages_of_another_form_are_refused_whole_in_cores_words() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 2, FEE);
    let child = spend(&[output(&parent, 0)], 1, FEE);
    let stranger = spend(&[world.coin(1)], 1, FEE);
    let rival = spend(&[world.coin(0), output(&parent, 1)], 1, FEE);
    let many: Vec<Transaction> =
        (0..=PACKAGE_MAX).map(|_| spend(&[world.coin(0)], 1, FEE)).collect();
    let mut fat = [spend(&[world.coin(0)], 1, FEE), spend(&[world.coin(1)], 1, FEE)];
    fat.iter_mut().for_each(|one| (0..2).for_each(|_| fatten(one, 30_000)));
    let cases: [(&[&Transaction], &str); 6] = [
        (&[&child, &parent], "package-not-sorted"),
        (&[&parent, &parent], "package-contains-duplicates"),
        (&[&parent, &rival], "conflict-in-package"),
        (&[&parent, &stranger], "package-not-child-with-parents"),
        (&many.iter().collect::<Vec<_>>(), "package-too-many-transactions"),
        (&fat.iter().collect::<Vec<_>>(), "package-too-large"),
    ];
    for (members, words) in cases {
        let answer = world.submit_package(members);
        assert_eq!(answer.fault.as_deref(), Some(words));
        assert!(answer.members.iter().all(|one| one.result == MemberResult::NotValidated));
    }
    assert!(world.names().is_empty());
}

#[test]
fn a_package_takes_the_place_of_what_its_parent_conflicts_with() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 1, FEE);
    world.admit(&old);
    let parent = commitment(world.coin(0));
    let poor = bump(&parent, world.coin(1), 1_050);
    let answer = world.submit_package(&[&parent, &poor]);
    let fault = answer.fault.unwrap();
    assert!(fault.starts_with("package RBF failed: insufficient anti-DoS fees"), "{fault}");
    assert_eq!(world.names(), [old.compute_txid()]);
    let rich = bump(&parent, world.coin(1), 5_000);
    let answer = world.submit_package(&[&parent, &rich]);
    assert_eq!((answer.fault, answer.replaced), (None, vec![old.compute_txid()]));
    assert_eq!(world.names(), [parent.compute_txid(), rich.compute_txid()]);
}

#[test]
fn a_package_with_a_parent_in_the_pool_replaces_nothing() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 1, FEE);
    let grand = spend(&[world.coin(1)], 1, FEE);
    world.admit(&old);
    world.admit(&grand);
    let parent = spend(&[world.coin(0)], 1, 0);
    let child = spend(&[output(&parent, 0), output(&grand, 0)], 1, 50_000);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(
        answer.fault.as_deref(),
        Some("package RBF failed: new transaction cannot have mempool ancestors")
    );
}

#[test]
fn a_package_whose_rival_was_handed_out_stays_outside() {
    let mut world = World::new();
    let old = spend(&[world.coin(0)], 1, FEE);
    world.admit(&old);
    world.mempool.take(usize::MAX, usize::MAX);
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 50_000);
    let answer = world.submit_package(&[&parent, &child]);
    assert!(answer.fault.unwrap().starts_with("txn-mempool-conflict"));
}

#[test]
fn a_bad_script_refuses_the_package_and_names_the_member() {
    let mut world = World::new();
    let parent = commitment(world.coin(0));
    let mut child = bump(&parent, world.coin(1), 2_000);
    child.input[0].witness = Witness::from_slice(&[[0x52_u8]]);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(answer.fault.as_deref(), Some("transaction failed"));
    let words = refusals(&answer);
    assert!(words[0].starts_with("min relay fee not met"), "{words:?}");
    assert!(words[1].starts_with("mempool-script-verify-flag-failed"), "{words:?}");
    assert!(world.names().is_empty());
}

#[test]
fn a_parent_that_is_final_already_is_no_fault_of_the_package() {
    let mut world = World::new();
    let parent = spend(&[world.coin(0)], 1, FEE);
    world.commit(OTHER, std::slice::from_ref(&parent));
    let child = spend(&[output(&parent, 0)], 1, FEE);
    let answer = world.submit_package(&[&parent, &child]);
    assert_eq!(answer.fault, None);
    assert_eq!(refusals(&answer), ["txn-already-known", "admitted"]);
}

#[test]
fn a_family_without_a_fee_is_evicted_whole() {
    let room = 6_500;
    let limits = MempoolLimits { bytes_max: room, ..MempoolLimits::default() };
    let mut world = World::with(limits, |_| {});
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 1_000);
    assert_eq!(world.submit_package(&[&parent, &child]).fault, None);
    let mut evicted = Vec::new();
    for coin in 2..4 {
        evicted.extend(world.submit(&spend(&[world.coin(coin)], 1, 50_000)).unwrap().evicted);
    }
    assert_eq!(evicted, [parent.compute_txid(), child.compute_txid()]);
}
