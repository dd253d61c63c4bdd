//! Holds our rules against Bitcoin Core's.
//!
//! `vectors` runs Core's published data files through our admission and apply paths; `differ` draws
//! transactions and blocks and asks the judge, which is Core's own validation in another process,
//! about each; `simulated` hands the judge every block that simulated networks seal, `feed` those of a
//! running node.

mod asm;
mod data;
mod differ;
mod feed;
mod judge;
mod simulated;
mod stage;
mod tally;
mod vectors;

use std::process::ExitCode;

const USAGE: &str = "usage: conformance vectors
       conformance differ --judge PROGRAM [--seed N] [--cases N]
       conformance simulated --judge PROGRAM [--seed N] [--runs N]
       conformance feed --judge PROGRAM URL";

/// What went wrong, for whoever ran the command.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("vectors", [])) => vectors::run(),
        Some(("differ", rest)) => differ::run(rest),
        Some(("simulated", rest)) => simulated::run(rest),
        Some(("feed", rest)) => feed::run(rest),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The value behind a flag.
fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1).map(String::as_str)
}
