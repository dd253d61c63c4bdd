use super::*;
use crate::mempool::LONE_BYTES_MAX;
use crate::mempool::LONE_COMMITS_MAX;
use crate::mempool::LONE_MAX;

fn prepared(transaction: &Transaction) -> PreparedTransaction {
    PreparedTransaction::new(transaction.clone())
}

#[test]
fn a_parent_waits_for_its_child_until_it_is_in_the_pool() {
    let mut world = World::new();
    let parent = commitment(world.coin(0));
    let child = bump(&parent, world.coin(1), 2_000);
    world.mempool.keep_lone(prepared(&parent));
    assert!(world.mempool.lone_parents(&prepared(&parent)).is_empty());
    let parents = world.mempool.lone_parents(&prepared(&child));
    assert_eq!(parents, [prepared(&parent)]);
    assert_eq!(world.submit_package(&[&parent, &child]).fault, None);
    assert_eq!(world.mempool.lone_count(), 0);
    world.mempool.keep_lone(prepared(&parent));
    assert_eq!(world.mempool.lone_count(), 0, "what is in the pool does not wait outside");
}

#[test]
fn the_room_is_bounded_and_the_first_leaves_first() {
    let mut world = World::new();
    let mut lone = Vec::new();
    for fee in 0..=LONE_MAX {
        let parent = spend(&[world.coin(0)], 1, u64::try_from(fee).unwrap());
        world.mempool.keep_lone(prepared(&parent));
        lone.push(parent);
    }
    assert_eq!(world.mempool.lone_count(), LONE_MAX);
    let waits = |world: &World, parent: &Transaction| {
        let child = spend(&[output(parent, 0)], 1, FEE);
        !world.mempool.lone_parents(&prepared(&child)).is_empty()
    };
    assert!(!waits(&world, &lone[0]) && waits(&world, &lone[1]));
    let mut large = spend(&[world.coin(1)], 1, 0);
    (0..60).for_each(|_| fatten(&mut large, 60_000));
    world.mempool.keep_lone(prepared(&large));
    assert!(waits(&world, &large));
    let mut second = spend(&[world.coin(2)], 1, 0);
    (0..10).for_each(|_| fatten(&mut second, 60_000));
    world.mempool.keep_lone(prepared(&second));
    assert!(waits(&world, &second) && !waits(&world, &large));
    (0..60).for_each(|_| fatten(&mut second, 60_000));
    assert!(prepared(&second).raw.len() > LONE_BYTES_MAX);
    world.mempool.keep_lone(prepared(&second));
    assert!(!waits(&world, &second));
}

#[test]
fn nothing_waits_for_ever_or_past_its_end() {
    let mut world = World::new();
    let (expires, ends) = (commitment(world.coin(0)), spend(&[world.coin(1)], 1, 0));
    world.mempool.keep_lone(prepared(&expires));
    world.mempool.keep_lone(prepared(&ends));
    world.commit(OTHER, std::slice::from_ref(&ends));
    assert_eq!(world.mempool.lone_count(), 1, "what is final has left");
    for _ in 2..LONE_COMMITS_MAX {
        world.commit_items(OTHER, &[]);
    }
    assert_eq!(world.mempool.lone_count(), 1);
    world.commit_items(OTHER, &[]);
    assert_eq!(world.mempool.lone_count(), 0);
}
