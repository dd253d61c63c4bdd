//! Virtual clock, network and disk under the same replica, with checkers of their own.
//!
//! A run takes [`Options`] and gives a [`Report`]. The validators are the machines of `replica`,
//! unchanged; only what lies around them is made up: time is a number, messages wait in a queue in
//! an order that the seed decides, disks lose what was not synced. What the validators did is judged
//! by checkers that share no code with what they judge, and one hash goes over every message that
//! arrived and everything that came out: the same options give the same report, bit for bit.
//!
//! This crate opens no file or socket and reads no clock; only [`run_all`] starts threads, each with
//! runs of its own. Its networks use keys that everybody knows.
//!
//! ```
//! use simulator::Network;
//! use simulator::Options;
//!
//! let options = Options { network: Network::Random, rounds: 8, seed: 3, ..Options::new(4) };
//! let report = simulator::run(&options).expect("these options are sound");
//! assert!(report.safety.is_ok(), "{}", report.safety);
//! assert!(report.last_decided_round >= 8);
//! assert_eq!(simulator::run(&options), Ok(report));
//! ```
#![forbid(unsafe_code)]

mod adversaries;
mod check;
mod dag;
mod error;
mod load;
pub mod lockstep;
mod memo;
mod options;
mod parallel;
mod plan;
mod report;
mod schedule;
mod suite;
mod trace;
mod world;

use bitcoin::Block;

pub use dag::Dag;
pub use error::SimulationError;
pub use memo::Memo;
pub use options::Faults;
pub use options::Leaders;
pub use options::Load;
pub use options::Network;
pub use options::Options;
pub use options::ROUNDS_MAX;
pub use options::Scheduler;
pub use options::UnknownName;
pub use parallel::run_all;
pub use report::Latency;
pub use report::Report;
pub use report::Safety;
pub use report::Transactions;
pub use suite::Row;
pub use suite::SUITE_ROUNDS;
pub use suite::Suite;
pub use world::Absence;
pub use world::HeldAt;

/// Runs a network as the options say and judges what it did. A broken promise is no error: it
/// stands in [`Report::safety`], beside the seed that shows it.
///
/// # Errors
/// When the options make no network, or one that is not there yet.
pub fn run(options: &Options) -> Result<Report, SimulationError> {
    run_and_draw(options).map(|(report, _)| report)
}

/// As [`run`], with what earlier runs had to compute anyway. The report is the same.
///
/// # Errors
/// As [`run`].
pub fn run_with(options: &Options, memo: &mut Memo) -> Result<Report, SimulationError> {
    options.check()?;
    Ok(world::World::new(options, memo)?.run().0)
}

/// Cuts one validator of `validators` off for `rounds` rounds of the others and lets it return: what
/// the others hold meanwhile, and how fast it catches up.
///
/// # Errors
/// When there can be no such network.
pub fn absence(validators: u16, rounds: u64, seed: u64) -> Result<Absence, SimulationError> {
    let options = Options { rounds, seed, load: Load::Off, ..Options::new(validators) };
    options.check()?;
    world::absence(&options, &mut Memo::default())
}

/// As [`run`], and gives the blocks behind the first that a validator sealed, to be judged elsewhere.
///
/// # Errors
/// As [`run`].
pub fn run_and_seal(options: &Options) -> Result<(Report, Vec<Block>), SimulationError> {
    options.check()?;
    Ok(world::World::new(options, &mut Memo::default())?.run_and_seal()?)
}

/// As [`run`], and gives the DAG that came of it.
///
/// # Errors
/// As [`run`].
pub fn run_and_draw(options: &Options) -> Result<(Report, Dag), SimulationError> {
    options.check()?;
    Ok(world::World::new(options, &mut Memo::default())?.run())
}
