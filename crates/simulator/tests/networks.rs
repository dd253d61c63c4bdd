//! Real replicas on made-up networks, seed by seed. `MEANWHILE_SIMULATION_SEEDS` asks for more.

use simulator::Faults;
use simulator::Leaders;
use simulator::Load;
use simulator::Network;
use simulator::Options;
use simulator::Report;
use simulator::SimulationError;
use simulator::run;
use simulator::run_and_draw;

const SEEDS_VARIABLE: &str = "MEANWHILE_SIMULATION_SEEDS";

/// The seeds to run; `few` when nobody asks for more.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let asked = std::env::var(SEEDS_VARIABLE).ok();
    0..asked.map_or(few, |text| text.parse().expect("a number of seeds"))
}

fn kept(options: &Options) -> Report {
    let report = run(options).expect("the options are sound");
    assert!(report.safety.is_ok(), "{}\n{options:?}\n{report:#?}", report.safety);
    assert!(report.last_decided_round >= options.rounds, "{options:?}\n{report:#?}");
    report
}

#[test]
fn an_orderly_network_decides_a_leader_in_one_wave() {
    for (validators, wave) in [(4, 5), (4, 4), (7, 5)] {
        let options = Options { wave, rounds: 30, ..Options::new(validators) };
        let report = kept(&options);
        let leaders = report.leader_latency;
        let ideal = if wave == 5 { 5.0 } else { 4.0 };
        assert!(leaders.p50 == ideal && leaders.mean < ideal + 0.5, "{report:#?}");
        assert!(report.vertex_latency.mean > ideal, "{report:#?}");
        assert!(report.transactions.finals > 10, "{report:#?}");
    }
}

#[test]
fn messages_that_overtake_each_other_change_no_promise() {
    for seed in seeds(3) {
        for validators in [4, 7] {
            kept(&Options {
                seed,
                network: Network::Random,
                rounds: 25,
                ..Options::new(validators)
            });
        }
    }
}

#[test]
fn a_network_that_falls_apart_goes_on_when_it_is_whole_again() {
    for seed in seeds(3) {
        kept(&Options { seed, network: Network::Partition, rounds: 25, ..Options::new(4) });
    }
}

#[test]
fn whoever_loses_power_and_what_was_not_synced_goes_on_and_signs_no_round_twice() {
    let mut crashes = 0;
    for seed in seeds(3) {
        for network in [Network::Fifo, Network::Random, Network::Partition] {
            let faults = Faults::Crash;
            let options = Options { seed, network, faults, rounds: 25, ..Options::new(4) };
            crashes += kept(&options).crashes;
        }
    }
    assert!(crashes > 9, "{crashes}");
}

#[test]
fn f_silent_validators_hold_nobody_up() {
    for seed in seeds(2) {
        let (network, faults) = (Network::Random, Faults::Silent);
        kept(&Options { seed, network, faults, rounds: 25, ..Options::new(4) });
        kept(&Options { seed, network, faults, rounds: 25, ..Options::new(7) });
    }
}

#[test]
fn other_parameters_keep_the_promises_too() {
    let network = Network::Random;
    let other = Options { network, rounds: 25, ..Options::new(4) };
    kept(&Options { wave: 4, slots: 4, ..other });
    kept(&Options { leaders: Leaders::RoundRobin, ..other });
    kept(&Options { load: Load::Off, ..other });
    kept(&Options { validators: 1, slots: 1, ..other });
}

#[test]
fn some_transactions_conflict_and_one_of_them_wins() {
    let options = Options { network: Network::Random, rounds: 60, ..Options::new(4) };
    let transactions = kept(&options).transactions;
    assert!(transactions.rejected > 0, "{transactions:?}");
    assert!(transactions.finals + transactions.rejected >= transactions.accepted);
}

#[test]
fn the_same_seed_replays_the_same_run_and_another_one_does_not() {
    let (network, faults) = (Network::Partition, Faults::Crash);
    let options = Options { seed: 11, network, faults, rounds: 20, ..Options::new(4) };
    let report = run(&options).unwrap();
    assert_eq!(run(&options), Ok(report.clone()));
    let other = run(&Options { seed: 12, ..options }).unwrap();
    assert_ne!(other.trace_digest, report.trace_digest);
    assert_ne!(other.order_digest, report.order_digest);
}

#[test]
fn the_dag_is_drawn_as_text_and_as_a_graph() {
    let options = Options { rounds: 6, ..Options::new(4) };
    let (report, dag) = run_and_draw(&options).unwrap();
    let text = dag.to_string();
    assert_eq!(text.lines().count(), dag.len());
    assert!(text.starts_with("A1 -> [A0, B0, C0, D0]"), "{text}");
    let leaders = text.lines().filter(|line| line.ends_with(" leader")).count();
    assert_eq!(u64::try_from(leaders).unwrap(), report.commits);
    let dot = dag.to_dot();
    assert!(dot.starts_with("digraph") && dot.contains("\"A2\" -> \"A1\""), "{dot}");
}

#[test]
fn what_can_not_be_run_is_refused() {
    let error = run(&Options { gc_depth: 3, ..Options::new(4) }).unwrap_err();
    assert!(matches!(error, SimulationError::OutOfRange { what: "gc depth", .. }), "{error}");
    assert!(run(&Options { validators: 0, ..Options::new(4) }).is_err());
}

#[test]
fn a_report_is_one_line_of_json() {
    let report = run(&Options { rounds: 3, load: Load::Off, ..Options::new(1) }).unwrap();
    let line = serde_json::to_string(&report).unwrap();
    for part in ["\"seed\":0", "\"safety\":\"ok\"", "\"final\":0", "\"undecided_gap_max\":"] {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
}
