//! That a broken promise is seen in a whole run, not only by a checker alone.

use replica::tables;

use ledger::Ledger;

use super::*;

fn world<'m>(options: &Options, memo: &'m mut Memo) -> World<'m> {
    let mut world = World::new(options, memo).unwrap();
    world.begin();
    world
}

/// Lets things happen until a moment is reached.
fn run_until(world: &mut World<'_>, end: Moment) {
    while let Some(((at, _, _), event)) = world.queue.pop_first() {
        world.now = at;
        world.happen(event);
        if at >= end {
            return;
        }
    }
}

#[test]
fn a_network_without_a_quorum_is_reported_as_stalled() {
    let options = Options { load: options::Load::Off, ..Options::new(4) };
    let mut memo = Memo::default();
    let mut world = World::new(&options, &mut memo).unwrap();
    for silent in [1, 3] {
        world.nodes[silent].fault = Some(Fault::Silent);
    }
    let (report, _) = world.run();
    let said = report.safety.to_string();
    assert!(said.contains("stalled") && said.contains("[0, 0]"), "{said}");
}

#[test]
fn a_disk_that_forgets_what_was_synced_is_found_out() {
    let options = Options { load: options::Load::Off, ..Options::new(4) };
    let mut memo = Memo::default();
    let mut world = world(&options, &mut memo);
    run_until(&mut world, Moment::new(12 * DELAY.value()));
    assert_eq!(world.violation, None);
    let forgetful = Author::new(2);
    world.crash(forgetful);
    let store = MemoryStore::new(&replica::all_tables());
    let rows = Ledger::genesis(&world.genesis).unwrap();
    store.write(rows, Durability::Synced).unwrap();
    assert_eq!(tables::own_newest(&store), Ok(None));
    world.nodes[forgetful.index()].store = store;
    world.go_on();
    let Violation(said) = world.violation.unwrap();
    assert!(said.contains("no equivocation") && said.contains("validator 2"), "{said}");
}

#[test]
fn a_ledger_that_differs_is_found_out() {
    let mut memo = Memo::default();
    let mut world = world(&Options::new(4), &mut memo);
    run_until(&mut world, Moment::new(12 * DELAY.value()));
    // One validator believes to have paid less to begin with.
    let mut genesis = Genesis::clone(&world.genesis);
    genesis.allocations.pop();
    let rows = Ledger::genesis(&genesis).unwrap();
    let own = Author::new(1);
    world.crash(own);
    let store = &world.nodes[own.index()].store;
    store.write(rows, Durability::Synced).unwrap();
    world.go_on();
    let Violation(said) = world.violation.unwrap();
    assert!(said.contains("validator 1"), "{said}");
}

#[test]
fn whoever_lost_its_disk_is_silent_for_a_window_and_then_builds_again() {
    let mut memo = Memo::default();
    let faults = options::Faults::LostDisk;
    let options = Options { faults, network: Network::Random, ..Options::new(4) };
    let options = Options { rounds: 160, load: options::Load::Off, ..options };
    let mut world = world(&options, &mut memo);
    let lost = world.nodes.iter().position(|node| node.fault == Some(Fault::LostDisk)).unwrap();
    let lost = Author::new(u16::try_from(lost).unwrap());
    run_until(&mut world, Moment::new(20 * DELAY.value()));
    world.lose_disk(lost);
    assert_eq!(tables::last_commit(&world.node(lost).store), Ok(None));
    let built = world.sight.built(lost);
    world.go_on();
    assert_eq!(world.violation, None);
    let own = world.known.keys().filter(|vertex| vertex.author == lost && vertex.round > built);
    let first = own.min().unwrap().round;
    assert!(first.distance_from(built) > consensus::WINDOW, "{built:?}, then {first:?}");
}
