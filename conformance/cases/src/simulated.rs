//! Hands the judge every block that simulated networks seal: real validators under every kind of
//! fault and network, with clients that pay each other.

use simulator::Faults;
use simulator::Load;
use simulator::Network;
use simulator::Options;

use crate::Failure;
use crate::flag;
use crate::judge::Judge;
use crate::tally::Tally;

/// How many networks are simulated unless told otherwise.
const RUNS: u64 = 6;
const ROUNDS: u64 = 60;
const VALIDATORS: u16 = 4;
const DISTURBED: [(Network, Faults); 6] = [
    (Network::Random, Faults::None),
    (Network::Random, Faults::Crash),
    (Network::Partition, Faults::Mix),
    (Network::Adversary, Faults::Equivocate),
    (Network::Adversary, Faults::Poison),
    (Network::Random, Faults::LostDisk),
];

pub(crate) fn run(arguments: &[String]) -> Result<bool, Failure> {
    let program = flag(arguments, "--judge").ok_or("--judge PROGRAM is missing")?;
    let seed: u64 = flag(arguments, "--seed").map_or(Ok(1), str::parse)?;
    let runs: u64 = flag(arguments, "--runs").map_or(Ok(RUNS), str::parse)?;
    let mut tally = Tally::new("blocks of simulated networks, offered to Core");
    for (seed, (network, faults)) in
        (seed..).zip(DISTURBED.iter().cycle()).take(usize::try_from(runs)?)
    {
        let options = Options {
            rounds: ROUNDS,
            seed,
            network: *network,
            faults: *faults,
            load: Load::Transactions,
            ..Options::new(VALIDATORS)
        };
        println!("seed {seed}: network {network}, faults {faults}");
        let (report, blocks) = simulator::run_and_seal(&options)?;
        tally.check(report.safety.is_ok(), || format!("seed {seed}: {}", report.safety));
        let mut judge = Judge::start(program)?;
        for (block, height) in blocks.iter().zip(1_u32..) {
            let ruling = judge.block(block)?;
            tally.check(ruling.accepted, || format!("seed {seed}, {height}: {}", ruling.words));
            let transactions = u64::try_from(block.txdata.len().saturating_sub(1))?;
            tally.add("transactions beside the coinbases", transactions);
        }
    }
    Ok(tally.print() && tally.total() > runs)
}
