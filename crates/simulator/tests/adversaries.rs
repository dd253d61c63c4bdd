//! Real replicas against every adversary, a few seeds each. `MEANWHILE_SIMULATION_SEEDS` asks for
//! more; `meanwhile simulate --suite` makes the table of `docs/reliability.md`.

use std::ops::ControlFlow;

use simulator::Faults;
use simulator::Memo;
use simulator::Network;
use simulator::Options;
use simulator::Report;
use simulator::Scheduler;
use simulator::SimulationError;
use simulator::Suite;
use simulator::run;
use simulator::run_all;
use simulator::run_with;

const SEEDS_VARIABLE: &str = "MEANWHILE_SIMULATION_SEEDS";

/// How many runs to make; `few` when nobody asks for more.
fn runs(few: u64) -> u64 {
    let asked = std::env::var(SEEDS_VARIABLE).ok();
    asked.map_or(few, |text| text.parse().expect("a number of seeds"))
}

fn against(validators: u16, scheduler: Scheduler, faults: Faults) -> Options {
    let network = Network::Adversary;
    Options { network, scheduler, faults, rounds: 14, ..Options::new(validators) }
}

fn kept(options: &Options) -> Report {
    let report = run(options).expect("the options are sound");
    assert!(report.safety.is_ok(), "{}\n{}\n{options}", report.safety, report.against);
    report
}

fn suite(validators: u16, runs: u64, rounds: u64) {
    let mut suite = Suite::new(Options { rounds, ..Options::new(validators) });
    let ran = run_all(suite.runs(validators, runs), |options, report| {
        suite.note(options, report);
        Ok::<_, SimulationError>(ControlFlow::Continue(()))
    });
    assert_eq!(ran, Ok(()));
    let broken = suite.violations().iter().map(|(options, what)| format!("{what}: {options}"));
    assert_eq!(broken.collect::<Vec<_>>().join("\n"), "");
    let rows = suite.rows(validators);
    assert!(rows.iter().all(|row| row.commits > 0), "{}", suite.to_markdown());
}

#[test]
fn every_scheduler_with_every_fault_breaks_no_promise() {
    // One run for each pair.
    suite(4, runs(110), 8);
}

#[test]
fn seven_validators_with_two_faulty_ones_keep_the_promises_too() {
    suite(7, runs(110) / 10, 8);
}

#[test]
fn whoever_equivocates_or_forges_is_proven_to_and_nobody_else_is() {
    for (faults, is_proven) in [
        (Faults::Equivocate, true),
        (Faults::Cartel, true),
        (Faults::ForgeShares, true),
        (Faults::WithholdShares, false),
        (Faults::Poison, false),
        (Faults::Silent, false),
        (Faults::Crash, false),
    ] {
        let options = |seed| Options { seed, ..against(4, Scheduler::Aimer, faults) };
        let proven: u64 = (0..3).map(|seed| kept(&options(seed)).accusations).sum();
        assert_eq!(proven > 0, is_proven, "{faults}");
    }
}

#[test]
fn what_was_computed_before_changes_no_run() {
    let mut memo = Memo::default();
    for seed in [3, 67] {
        let options = Options { seed, ..against(4, Scheduler::Mix, Faults::Mix) };
        let report = run(&options).unwrap();
        for _ in 0..2 {
            assert_eq!(run_with(&options, &mut memo), Ok(report.clone()));
        }
    }
}

#[test]
fn the_report_says_who_stood_against_the_network() {
    let report = kept(&against(4, Scheduler::Starver, Faults::Equivocate));
    assert!(report.against.starts_with("starver; "), "{}", report.against);
    assert!(report.against.ends_with(" equivocator"), "{}", report.against);
}
