//! Random graphs of transactions of every kind, many of them spoilt, and blocks, many of them
//! spoilt: our rules and Core's judge each, and must say the same.
//!
//! What our ledger makes final is sealed by it and offered to Core, which must accept. What our
//! ledger refuses stands in a block that this program makes, behind what waits unsealed, and Core
//! must refuse: what waits is accepted afterwards at the same height, so it was not the cause.
//! Of every sealed block spoilt copies are offered first; a validator refuses each, since it
//! derives the block itself from what is in it and gets another.

mod block;
mod draw;
mod kinds;
mod spoil;
mod world;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::Failure;
use crate::flag;
use crate::judge::Judge;
use crate::tally;
use crate::tally::Tally;
use world::World;

/// How many cases one run draws unless told otherwise.
const CASES: u64 = 3_000;
/// How many cases one world sees: a chain of some hundred blocks.
const CASES_PER_WORLD: u64 = 1_000;

pub(crate) fn run(arguments: &[String]) -> Result<bool, Failure> {
    let program = flag(arguments, "--judge").ok_or("--judge PROGRAM is missing")?;
    let seed: u64 = flag(arguments, "--seed").map_or(Ok(1), str::parse)?;
    let cases: u64 = flag(arguments, "--cases").map_or(Ok(CASES), str::parse)?;
    let mut reports = Reports {
        transactions: Tally::new("transactions, ours against Core's"),
        scripts: Tally::new("scripts, ours against Core's"),
        blocks: Tally::new("sealed blocks, offered to Core"),
        spoilt: Tally::new("spoilt blocks, ours against Core's"),
    };
    let mut left = cases;
    let mut world_seed = seed;
    while left > 0 {
        let count = left.min(CASES_PER_WORLD);
        println!("seed {world_seed}: {count} cases");
        let mut world = World::new(Judge::start(program)?, &mut reports)?;
        let mut rng = ChaCha20Rng::seed_from_u64(world_seed);
        for _ in 0..count {
            world.case(&mut rng, &mut reports)?;
        }
        world.seal(&mut rng, &mut reports)?;
        left -= count;
        world_seed += 1;
    }
    let all = [&reports.scripts, &reports.transactions, &reports.blocks, &reports.spoilt];
    Ok(tally::print_all(&all))
}

/// What is counted.
pub(crate) struct Reports {
    pub(crate) scripts: Tally,
    pub(crate) transactions: Tally,
    pub(crate) blocks: Tally,
    pub(crate) spoilt: Tally,
}
