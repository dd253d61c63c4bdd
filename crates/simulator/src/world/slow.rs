//! Slow is not malicious: whoever is slow, or away for an hour, is seen as behind, is never accused,
//! and gets its transactions ordered.

use replica::ordering::BEHIND_ROUNDS;
use replica::ordering::PeerState;

use super::*;
use crate::adversaries::Fate;
use crate::adversaries::Letter;

const SLOW: Author = Author::new(2);
const OTHER: Author = Author::new(0);

/// One validator is so many times slower than the others, in both directions.
#[derive(Debug)]
struct Slow(u64);

impl Scheduler for Slow {
    fn fate(&mut self, letter: &Letter<'_>, _: &Sight, _: &mut Schedule) -> Fate {
        let is_slow = letter.from == SLOW || letter.to == SLOW;
        let factor = if is_slow { self.0 } else { 1 };
        Fate::After(Span::new(letter.usual.value() * factor))
    }
}

fn run_for(world: &mut World<'_>, span: Span) {
    let end = world.now.after(span);
    while let Some(entry) = world.queue.first_entry().filter(|entry| entry.key().0 <= end) {
        let ((at, _, _), event) = entry.remove_entry();
        world.now = at;
        world.happen(event);
        assert_eq!(world.violation, None);
    }
    world.now = end;
}

fn state_of_slow(world: &World<'_>) -> PeerState {
    let machines = world.node(OTHER).machines.as_ref().unwrap();
    machines.ordering.status(world.now).peers[SLOW.index()].state
}

/// How many items of the slow one are ordered.
fn ordered_items(world: &World<'_>) -> usize {
    let vertices = world.order.commits().iter().flat_map(|commit| &commit.vertices);
    let own = vertices.filter(|vertex| vertex.author == SLOW);
    own.filter_map(|vertex| world.known.get(vertex)).map(|v| v.payload().items().len()).sum()
}

#[test]
fn fifty_times_slower_than_the_others_is_behind_and_ordered() {
    let mut memo = Memo::default();
    let options = Options { network: Network::Random, ..Options::new(4) };
    let mut world = World::new(&options, &mut memo).unwrap();
    world.scheduler = Some(Box::new(Slow(50)));
    world.begin();
    run_for(&mut world, Span::from_millis(12_000));
    let state = state_of_slow(&world);
    assert!(matches!(state, PeerState::Behind { rounds } if rounds > BEHIND_ROUNDS), "{state:?}");
    let before = ordered_items(&world);
    run_for(&mut world, Span::from_millis(18_000));
    let after = ordered_items(&world);
    assert!(before > 5 && after > before, "{before} items, then {after}");
    assert_eq!(world.accusations.count(), 0);
    world.go_on();
    assert_eq!(world.violation, None, "all that it accepted is final in the end");
}

/// Lets the slow one be away for an hour, with or without power.
fn an_hour_away(has_power: bool) {
    const HOUR: Span = Span::from_millis(3_600_000);
    let mut memo = Memo::default();
    let gc_depth = 20;
    let options = Options { network: Network::Random, gc_depth, ..Options::new(4) };
    let mut world = World::new(&options, &mut memo).unwrap();
    world.idle_interval = Span::from_millis(4_000);
    world.begin();
    run_for(&mut world, Span::from_millis(3_000));
    // What it accepts from now on is in its pool and in vertices that nobody gets.
    world.cut_off(SLOW, HOUR);
    run_for(&mut world, Span::from_millis(400));
    let accepted = world.load.owed();
    if !has_power {
        world.crash(SLOW);
        world.queue.retain(|_, event| !matches!(event, Event::Restart(_)));
    }
    world.queue.retain(|_, event| !matches!(event, Event::Submit | Event::Tick));
    run_for(&mut world, HOUR);
    let state = state_of_slow(&world);
    assert!(matches!(state, PeerState::Silent { since: Some(_) }), "{state:?}");
    let line = world.node(OTHER).machines.as_ref().unwrap().ordering.consensus().gc_round();
    assert!(line > Round::new(500), "{line:?}");
    let owed = world.load.owed();
    assert!(accepted.is_some() && owed.is_some(), "it alone has accepted something");

    world.make_whole();
    if !has_power {
        world.start(SLOW);
    }
    world.submit();
    run_for(&mut world, Span::from_millis(60));
    let state = state_of_slow(&world);
    assert!(matches!(state, PeerState::Behind { .. }), "{state:?}");
    world.idle_interval = Span::ZERO;
    world.options.rounds = world.sight.built(OTHER).value() + 10;
    world.go_on();
    assert_eq!(world.violation, None);
    assert_eq!(world.load.owed(), None, "what it had accepted is final");
    assert_eq!(world.accusations.count(), 0);
    let state = state_of_slow(&world);
    assert_eq!(state, PeerState::Live);
}

#[test]
fn an_hour_without_a_network_costs_nobody_a_transaction() {
    an_hour_away(true);
}

#[test]
fn an_hour_without_power_costs_nobody_a_transaction() {
    an_hour_away(false);
}

#[test]
fn what_the_others_hold_does_not_grow_with_an_absence() {
    let options = Options { gc_depth: 50, rounds: 600, ..Options::new(4) };
    let options = Options { load: options::Load::Off, ..options };
    let absence = absence(&options, &mut Memo::default()).unwrap();
    assert_eq!(absence.safety, Safety::Kept);
    let [first, .., last] = absence.held.as_slice() else { panic!("{absence:?}") };
    assert!(last.round >= 10 * (first.round - 30), "{absence:?}");
    // A line, a gap and two rounds on their way, of three authors; a wave more or less.
    for held in &absence.held[1..] {
        assert!((150..=230).contains(&held.vertices), "{held:?}");
        assert_eq!(held.fetching, 0, "{held:?}");
    }
    let ratio = absence.caught_up_rounds_per_second / absence.live_rounds_per_second;
    assert!(ratio > 3.0, "{absence:?}");
}
