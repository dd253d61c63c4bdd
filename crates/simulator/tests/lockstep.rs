//! Schedules at the granularity of rounds: what a scheduler can do, and what it can not.
//!
//! `SCHEDULES` asks for more of each attack than the few that every test run plays.

use simulator::Leaders;
use simulator::lockstep::Ambuscade;
use simulator::lockstep::Arena;
use simulator::lockstep::Attack;
use simulator::lockstep::Starver;
use simulator::lockstep::Trial;
use simulator::lockstep::ambush;
use simulator::lockstep::starve;

const ROUNDS: u64 = 40;

fn trial(validators: u16, wave: u64, starver: Starver, leaders: Leaders) -> Trial {
    Trial { validators, wave, leaders, starver, rounds: ROUNDS, seed: 1 }
}

fn schedules(few: u64) -> u64 {
    std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

#[test]
fn delay_alone_stops_leaders_in_turn() {
    let shunned = [(4, 4), (7, 4), (7, 5), (10, 5)].map(|network| (network, Starver::Shun));
    let detained = [(4, 4), (4, 5), (7, 5), (10, 5)].map(|network| (network, Starver::Detain));
    for ((validators, wave), starver) in shunned.into_iter().chain(detained) {
        let rounds = starve(&trial(validators, wave, starver, Leaders::RoundRobin));
        let last = rounds.last().unwrap();
        assert_eq!(
            (last.commits_seen, last.ordered),
            (0, 0),
            "{starver}, n = {validators}, w = {wave}"
        );
    }
}

#[test]
fn the_coin_goes_on_where_leaders_in_turn_are_stopped() {
    for (validators, wave, starver) in [(4, 4, Starver::Shun), (4, 5, Starver::Detain)] {
        let rounds = starve(&trial(validators, wave, starver, Leaders::Coin));
        let last = rounds.last().unwrap();
        assert!(last.commits >= 12, "{starver}, n = {validators}, w = {wave}: {last:?}");
        assert!(last.ordered >= 40, "{starver}, n = {validators}, w = {wave}: {last:?}");
    }
}

#[test]
fn two_of_four_leaders_are_safe_from_who_sees_the_coin_with_a_wave_of_five() {
    let fates = |wave| {
        let ambushed = (0..8).map(move |seed| {
            let ambush_of = Ambuscade { validators: 4, wave, slots: 1, seed };
            ambush(&ambush_of).leaders[0]
        });
        ambushed.collect::<Vec<_>>()
    };
    let safe = |fates: &[simulator::lockstep::Fate]| {
        let mut safe: Vec<u16> =
            fates.iter().filter(|fate| fate.is_direct).map(|fate| fate.author.value()).collect();
        safe.sort_unstable();
        safe.dedup();
        safe
    };
    let five = fates(5);
    assert_eq!(safe(&five), [0, 1], "who goes ahead is safe, laggard and equivocator are not");
    assert!(five.iter().filter(|fate| [0, 1].contains(&fate.author.value())).all(|f| f.is_direct));
    assert!(safe(&fates(4)).len() < 2, "a wave of four leaves fewer");
}

#[test]
fn no_aimed_schedule_parts_two_orders() {
    for attack in Attack::ALL {
        let mut foundry = attack.arena().foundry();
        let few = if attack == Attack::QuorumsOfSeven { 10 } else { 25 };
        for seed in 0..schedules(few) {
            if let Err(violation) = attack.play(&mut foundry, seed) {
                panic!("{attack}, seed {seed}: {}\n{}", violation.promise, violation.dag);
            }
        }
    }
}

#[test]
fn no_schedule_of_a_bounded_depth_parts_two_orders() {
    for (equivocators, leader_lies) in [(0, false), (1, false), (1, true)] {
        let arena = Arena { equivocators, leader_lies, ..Attack::Quorums.arena() };
        match arena.exhaust(schedules(40), 7) {
            Ok(explored) => assert!(explored.judged.schedules >= 40, "{explored:?}"),
            Err(violation) => panic!("{}\n{}", violation.promise, violation.dag),
        }
    }
}
