//! The `meanwhile` command: one binary for a whole network.
//!
//! It parses, asks the other rooms to do the work, and prints. It decides nothing about agreement
//! or money. The commands are in [`commands`]; a development network's processes in [`devnet`].
//!
//! **Invariant:** exit code 0 only on success; what is said to a person goes to stderr, data to
//! stdout.

mod bench;
mod ceremony;
mod commands;
mod daemon;
mod dealer;
mod devnet;
mod error;
mod files;
mod output;
mod secrets;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::Cli;

fn main() -> ExitCode {
    let _fail_points = node::failpoints::FailPoints::from_environment();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(failure) => {
            let code = failure.exit_code();
            if code != ExitCode::SUCCESS {
                output::say(&format!("error: {failure}"));
                if let Some(advice) = failure.advice() {
                    output::say(&advice);
                }
            }
            code
        }
    }
}
