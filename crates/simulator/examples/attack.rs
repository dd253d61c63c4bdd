//! Plays attacks against agreement until one breaks a promise: `attack NAME COUNT`; or goes
//! through all schedules to a bounded depth: `attack exhaust COUNT`.
//!
//! Prints one line, `clean COUNT` or `caught N: how`, and exits with 0 in both cases: whoever runs
//! it knows which is right. `mutants/run.sh` runs it against wrong rules.

use std::env;
use std::panic;
use std::process::ExitCode;
use std::time::Instant;

use simulator::Faults;
use simulator::Load;
use simulator::Network;
use simulator::Options;
use simulator::lockstep::Arena;
use simulator::lockstep::Attack;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, count) = match &arguments[..] {
        [name, count] => (name, count.parse::<u64>()),
        _ => return usage("two arguments are needed"),
    };
    let Ok(count) = count else { return usage("the count is no number") };
    panic::set_hook(Box::new(|_| {}));
    if name == "exhaust" {
        exhaust(count);
        return ExitCode::SUCCESS;
    }
    let caught = if name == "restart" {
        restart(count)
    } else {
        match name.parse() {
            Ok(attack) => play(attack, count),
            Err(error) => return usage(&error),
        }
    };
    say(&caught.unwrap_or_else(|| format!("clean {count}")));
    ExitCode::SUCCESS
}

/// Plays schedule after schedule; says after how many one broke a promise, and how.
fn play(attack: Attack, count: u64) -> Option<String> {
    let mut foundry = attack.arena().foundry();
    (0..count).find_map(|seed| {
        let mut played = panic::AssertUnwindSafe(&mut foundry);
        let outcome = panic::catch_unwind(move || attack.play(&mut played, seed));
        let how = match outcome {
            Ok(Ok(_)) => return None,
            Ok(Err(violation)) => {
                if env::var_os("DRAW").is_some() {
                    say(&violation.dag);
                }
                violation.promise.to_string()
            }
            Err(_) => "an assertion of the machine".to_owned(),
        };
        Some(format!("caught {}: {how}", seed + 1))
    })
}

/// Goes through all schedules of four validators to the depth of one decision, `count` at most for
/// each kind, and says how many there were.
fn exhaust(count: u64) {
    for (equivocators, leader_lies) in [(0, false), (1, false), (1, true)] {
        let arena = Arena { equivocators, leader_lies, ..Attack::Quorums.arena() };
        let begun = Instant::now();
        let outcome = match arena.exhaust(count, 0) {
            Ok(explored) => format!("{explored:?}"),
            Err(violation) => format!("{}\n{}", violation.promise, violation.dag),
        };
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!(
            "{equivocators} equivocators, leader lies: {leader_lies}: {outcome}, {seconds:.1} s"
        ));
    }
}

/// Cuts the power of whole replicas, again and again.
fn restart(count: u64) -> Option<String> {
    (0..count).find_map(|seed| {
        let (network, faults, load) = (Network::Random, Faults::Crash, Load::Off);
        let options = Options { seed, network, faults, load, rounds: 25, ..Options::new(4) };
        let how = match panic::catch_unwind(|| simulator::run(&options)) {
            Ok(Ok(report)) if report.safety.is_ok() => return None,
            Ok(Ok(report)) => report.safety.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "an assertion of the machine".to_owned(),
        };
        Some(format!("caught {}: {how}", seed + 1))
    })
}

#[expect(clippy::print_stdout, reason = "the line is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a person typed something wrong")]
fn usage(reason: &str) -> ExitCode {
    eprintln!("{reason}\nusage: attack NAME COUNT");
    ExitCode::FAILURE
}
