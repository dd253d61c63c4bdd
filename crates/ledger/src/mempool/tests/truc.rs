use super::*;
use crate::mempool::TRUC_CHILD_VSIZE_MAX;
use crate::mempool::TRUC_VSIZE_MAX;

fn truc(inputs: &[(OutPoint, u64)], outputs: u64, fee: u64) -> Transaction {
    let mut transaction = spend(inputs, outputs, fee);
    transaction.version = Version(3);
    transaction
}

fn violation(world: &mut World, transaction: &Transaction) -> String {
    let reject = world.submit(transaction).unwrap_err();
    assert_eq!(reject.code, RejectCode::TrucViolation, "{reject}");
    reject.reason
}

#[test]
fn versions_do_not_mix_in_a_family() {
    let mut world = World::new();
    let (new, old) = (truc(&[world.coin(0)], 1, FEE), spend(&[world.coin(1)], 1, FEE));
    world.admit(&new);
    world.admit(&old);
    let words = violation(&mut world, &spend(&[output(&new, 0)], 1, FEE));
    assert!(words.contains("non-version=3 tx") && words.contains("cannot spend from version=3"));
    let words = violation(&mut world, &truc(&[output(&old, 0)], 1, FEE));
    assert!(words.contains("cannot spend from non-version=3"), "{words}");
}

#[test]
fn families_are_a_parent_and_a_child() {
    let mut world = World::new();
    let parent = truc(&[world.coin(0)], 2, FEE);
    let child = truc(&[output(&parent, 0)], 1, FEE);
    world.admit(&parent);
    world.admit(&child);
    let grandchild = truc(&[output(&child, 0)], 1, FEE);
    assert!(violation(&mut world, &grandchild).ends_with("would have too many ancestors"));
    let other = truc(&[world.coin(1)], 1, FEE);
    world.admit(&other);
    let two = truc(&[output(&parent, 1), output(&other, 0)], 1, FEE);
    assert!(violation(&mut world, &two).ends_with("would have too many ancestors"));
}

#[test]
fn what_is_final_counts_as_confirmed() {
    let mut world = World::new();
    let parent = truc(&[world.coin(0)], 2, FEE);
    world.admit(&parent);
    world.commit_taken();
    let child = truc(&[output(&parent, 0)], 1, FEE);
    world.admit(&child);
    world.admit(&spend(&[output(&parent, 1)], 1, FEE));
    world.admit(&truc(&[output(&child, 0)], 1, FEE));
}

#[test]
fn sizes_are_bounded() {
    let mut world = World::new();
    let mut large = truc(&[world.coin(0)], 1, 50_000);
    let vsize = |transaction: &Transaction| u64::try_from(transaction.vsize()).unwrap();
    let grow = |transaction: &mut Transaction, to: u64| {
        // An output of this size adds one byte more than it is told to.
        let room = to - vsize(transaction) - 1;
        fatten(transaction, usize::try_from(room).unwrap());
    };
    grow(&mut large, TRUC_VSIZE_MAX + 1);
    assert!(violation(&mut world, &large).contains("is too big"));
    let mut fits = truc(&[world.coin(0)], 1, 50_000);
    grow(&mut fits, TRUC_VSIZE_MAX);
    world.admit(&fits);
    let mut child = truc(&[output(&fits, 0)], 1, 50_000);
    grow(&mut child, TRUC_CHILD_VSIZE_MAX + 1);
    assert!(violation(&mut world, &child).contains("child tx"));
    let mut child = truc(&[output(&fits, 0)], 1, 50_000);
    grow(&mut child, TRUC_CHILD_VSIZE_MAX);
    world.admit(&child);
}

#[test]
fn a_second_child_takes_the_place_of_the_first_when_it_pays_for_it() {
    let mut world = World::new();
    let parent = truc(&[world.coin(0)], 2, FEE);
    let first = truc(&[output(&parent, 0)], 1, FEE);
    world.admit(&parent);
    world.admit(&first);
    let poor = truc(&[output(&parent, 1)], 1, FEE + 10);
    let reject = world.submit(&poor).unwrap_err();
    assert_eq!(reject.code, RejectCode::InsufficientFee);
    assert!(reject.reason.starts_with("insufficient fee (including sibling eviction), rejecting"));
    let rich = truc(&[output(&parent, 1)], 1, 5 * FEE);
    assert_eq!(world.submit(&rich).unwrap().replaced, [first.compute_txid()]);
    assert_eq!(world.names(), [parent.compute_txid(), rich.compute_txid()]);
}

#[test]
fn a_first_child_that_was_handed_out_stays() {
    let mut world = World::new();
    let parent = truc(&[world.coin(0)], 2, FEE);
    world.admit(&parent);
    world.admit(&truc(&[output(&parent, 0)], 1, FEE));
    world.mempool.take(usize::MAX, usize::MAX);
    let rich = truc(&[output(&parent, 1)], 1, 5 * FEE);
    assert_eq!(world.refuse(&rich), RejectCode::MempoolConflict);
}

#[test]
fn packages_keep_the_same_rules() {
    let mut world = World::new();
    let parent = truc(&[world.coin(0)], 1, 0);
    let old = spend(&[output(&parent, 0)], 1, 5_000);
    let fault = world.submit_package(&[&parent, &old]).fault.unwrap();
    assert!(fault.starts_with("TRUC-violation, non-version=3 tx"), "{fault}");
    let parents = [truc(&[world.coin(0)], 1, 0), truc(&[world.coin(1)], 1, 0)];
    let child = truc(&[output(&parents[0], 0), output(&parents[1], 0)], 1, 5_000);
    let fault = world.submit_package(&[&parents[0], &parents[1], &child]).fault.unwrap();
    assert!(fault.ends_with("would have too many ancestors"), "{fault}");
    let mut large = truc(&[output(&parents[0], 0)], 1, 50_000);
    fatten(&mut large, 1_000);
    let fault = world.submit_package(&[&parents[0], &large]).fault.unwrap();
    assert!(fault.contains("child tx"), "{fault}");
}
