//! Runs seeds, or the whole suite, and exits with 1 when a promise was broken: `meanwhile simulate`
//! without the rest of the program, for whoever builds this crate alone.
//!
//! Takes the same flags: `--validators`, `--seeds`, `--rounds`, `--seed`, `--wave`, `--slots`,
//! `--leaders`, `--network`, `--scheduler`, `--faults`, `--load`, `--gc-depth`, `--suite`, `--json`,
//! `--stop`; and `--absence ROUNDS`, which cuts one validator off for so long.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::str::FromStr;

use simulator::Options;
use simulator::SUITE_ROUNDS;
use simulator::SimulationError;
use simulator::Suite;
use simulator::run_all;

struct Flags {
    options: Options,
    validators: Vec<u16>,
    seeds: Vec<u64>,
    is_suite: bool,
    is_json: bool,
    stops: bool,
    absence: Option<u64>,
}

fn main() -> ExitCode {
    match judge() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(count) => {
            eprintln!("{count} runs broke a promise");
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn judge() -> Result<u64, Box<dyn Error>> {
    let flags = read(std::env::args().skip(1))?;
    if let Some(rounds) = flags.absence {
        let validators = flags.validators.first().copied().unwrap_or(4);
        let absence = simulator::absence(validators, rounds, flags.options.seed)?;
        println!("{}", serde_json::to_string(&absence)?);
        return Ok(u64::from(!absence.safety.is_ok()));
    }
    let mut suite = Suite::new(flags.options);
    let mut violations = 0;
    for (place, validators) in flags.validators.iter().enumerate() {
        let seeds = flags.seeds.get(place).or(flags.seeds.last()).copied().unwrap_or(1);
        let base = flags.options;
        let slots = base.slots.min(*validators);
        let one = move |seed| Options { validators: *validators, slots, seed, ..base };
        let jobs: Box<dyn Iterator<Item = Options> + Send> = match flags.is_suite {
            true => Box::new(suite.runs(*validators, seeds)),
            false => Box::new((base.seed..base.seed.saturating_add(seeds)).map(one)),
        };
        let mut done = 0_u64;
        run_all(jobs, |options, report| -> Result<ControlFlow<()>, SimulationError> {
            done += 1;
            suite.note(options, report);
            if flags.is_json {
                println!("{}", serde_json::to_string(report).unwrap_or_default());
            }
            if done.is_multiple_of(500) {
                eprintln!("n = {validators}: {done} of {seeds}");
            }
            if report.safety.is_ok() {
                return Ok(ControlFlow::Continue(()));
            }
            violations += 1;
            eprintln!("{}\n  {}\n  replay: judge {options}", report.safety, report.against);
            Ok(if flags.stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    if !flags.is_json {
        println!("{}", suite.to_markdown());
    }
    Ok(violations)
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Flags, Box<dyn Error>> {
    let mut options = Options::new(4);
    let mut flags = Flags {
        options,
        validators: vec![4],
        seeds: vec![1],
        is_suite: false,
        is_json: false,
        stops: false,
        absence: None,
    };
    let mut rounds = None;
    while let Some(flag) = words.next() {
        match flag.as_str() {
            "--suite" => flags.is_suite = true,
            "--json" => flags.is_json = true,
            "--stop" => flags.stops = true,
            _ => {
                let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
                match flag.as_str() {
                    "--validators" => flags.validators = list(&value)?,
                    "--seeds" => flags.seeds = list(&value)?,
                    "--rounds" => rounds = Some(value.parse()?),
                    "--absence" => flags.absence = Some(value.parse()?),
                    "--seed" => options.seed = value.parse()?,
                    "--wave" => options.wave = value.parse()?,
                    "--slots" => options.slots = value.parse()?,
                    "--leaders" => options.leaders = value.parse()?,
                    "--network" => options.network = value.parse()?,
                    "--scheduler" => options.scheduler = value.parse()?,
                    "--faults" => options.faults = value.parse()?,
                    "--load" => options.load = value.parse()?,
                    "--gc-depth" => options.gc_depth = value.parse()?,
                    _ => return Err(format!("{flag} is not known").into()),
                }
            }
        }
    }
    options.rounds = rounds.unwrap_or(SUITE_ROUNDS);
    flags.options = options;
    Ok(flags)
}

fn list<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split(',').map(str::parse).collect()
}
