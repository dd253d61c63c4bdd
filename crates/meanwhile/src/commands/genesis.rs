//! `meanwhile genesis`: makes, shows and verifies the parameters of a network.

mod ceremony;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use bitcoin::Address;
use bitcoin::Amount;
use bitcoin::Network;
use bitcoin::ScriptBuf;
use clap::Args;
use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;
use types::Genesis;
use types::dkg::Card;
use types::genesis::Allocation;
use types::genesis::HexBytes;
use types::genesis::LedgerParameters;

use crate::ceremony::PlanReport;
use crate::ceremony::fingerprint;
use crate::ceremony::read_plan;
use crate::dealer;
use crate::dealer::Plan;
use crate::error::Failure;
use crate::files;
use crate::output;
use crate::secrets;
use crate::units::Money;
use crate::units::Time;
use crate::units::money;

/// The largest file that a genesis is read from; allocations are most of it.
const GENESIS_BYTES_MAX: u64 = 64 << 20;
/// The largest file that a card is read from.
const CARD_BYTES_MAX: u64 = 64 << 10;

/// Make, show or verify the parameters of a network
///
/// Operators who do not trust each other make a network in a ceremony: each runs `keys new`, one
/// writes a `plan`, and then each runs `deal`, `receive` and `finish`, sending around the files that
/// these write. No secret ever leaves an operator's folder.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(ceremony::PlanCommand),
    Deal(ceremony::Deal),
    Receive(ceremony::Receive),
    Finish(ceremony::Finish),
    Verify(ceremony::Verify),
    Show(Show),
    New(New),
}

/// Make a genesis from validators' cards (development only: this command is the dealer)
///
/// Writes `genesis.json`, and `coin-N.key` for each validator, which goes into the keys folder of
/// validator N as `coin.key`. Whoever runs this command knows every share of the common coin.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis new north/card.json south/card.json \
                  east/card.json west/card.json \\\n      --out ./network \
                  --allocate bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080=50btc")]
struct New {
    /// The cards of the validators, in the order of their numbers
    #[arg(required = true)]
    cards: Vec<PathBuf>,
    /// The folder to write into
    #[arg(long, default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    parameters: Parameters,
}

/// What a network is to be.
#[derive(Debug, Args)]
struct Parameters {
    /// What the network is called
    #[arg(long, default_value = "development")]
    name: String,
    /// The least agreed time between two blocks
    #[arg(long, default_value = "10s")]
    block_interval: Time,
    /// The largest weight of a block; Bitcoin Core follows up to 4000000
    #[arg(long, default_value_t = LedgerParameters::default().max_block_weight)]
    max_block_weight: u64,
    /// Money that exists from the start, as ADDRESS=AMOUNT, at most 50btc each; may be repeated
    #[arg(long = "allocate", value_name = "ADDRESS=AMOUNT")]
    allocations: Vec<Owner>,
}

/// Check a genesis or a plan and print what it says
///
/// The fingerprint is for people: operators read it to each other to be sure that all have the same
/// file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis show ./network/genesis.json")]
struct Show {
    /// The file
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Owner {
    script: ScriptBuf,
    amount: Amount,
}

#[derive(Debug, Serialize)]
struct Shown {
    chain: String,
    fingerprint: String,
    name: String,
    development: bool,
    start_ms: u64,
    validators: usize,
    faults_tolerated: u16,
    quorum: usize,
    wave: u64,
    leaders_per_round: u16,
    block_interval_ms: u64,
    max_block_weight: u64,
    allocations: usize,
    owners: usize,
    allocated_sat: u64,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, amount) = text.rsplit_once('=').ok_or("write it as ADDRESS=AMOUNT")?;
        let script = Address::from_str(address)
            .and_then(|address| address.require_network(Network::Regtest))
            .map_err(|error| error.to_string())?
            .script_pubkey();
        let amount = Money::from_str(amount).map_err(|error| error.to_string())?.amount();
        Ok(Self { script, amount })
    }
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the parameters are refused or the file system refuses.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Plan(arguments) => arguments.run(),
            Command::Deal(arguments) => arguments.run(),
            Command::Receive(arguments) => arguments.run(),
            Command::Finish(arguments) => arguments.run(),
            Command::Verify(arguments) => arguments.run(),
            Command::Show(arguments) => arguments.run(),
            Command::New(arguments) => arguments.run(),
        }
    }
}

impl Parameters {
    fn into_allocations(self) -> Vec<Allocation> {
        let allocations = self.allocations.into_iter().map(|owner| Allocation {
            script: HexBytes(owner.script.into_bytes()),
            amount_sat: owner.amount.to_sat(),
        });
        allocations.collect()
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        output::say(dealer::WARNING);
        let cards: Result<Vec<Card>, Failure> =
            self.cards.iter().map(|path| files::read_json_bounded(path, CARD_BYTES_MAX)).collect();
        let plan = Plan {
            name: self.parameters.name.clone(),
            cards: cards?,
            block_interval_ms: self.parameters.block_interval.millis(),
            max_block_weight: self.parameters.max_block_weight,
            allocations: self.parameters.into_allocations(),
        };
        let (genesis, coins) = dealer::deal(plan)?;
        files::create_dir(&self.out)?;
        for (secret, index) in coins.iter().zip(0_u16..) {
            let path = self.out.join(format!("coin-{index}.key"));
            secrets::write_coin(&path, secret)?;
            output::line(&path.display().to_string())?;
        }
        let path = self.out.join("genesis.json");
        files::write_json(&path, &genesis)?;
        output::line(&path.display().to_string())
    }
}

impl Show {
    fn run(&self) -> Result<(), Failure> {
        let text = files::read_bounded(&self.file, GENESIS_BYTES_MAX)?;
        let contents = |error: serde_json::Error| Failure::Contents {
            path: self.file.clone(),
            reason: error.to_string(),
        };
        let shown: Value = serde_json::from_str(&text).map_err(contents)?;
        if shown.get("cards").is_some() {
            let report = PlanReport::new(&read_plan(&self.file)?);
            return if self.json { output::json_pretty(&report) } else { report.print() };
        }
        let genesis: Genesis = serde_json::from_str(&text).map_err(contents)?;
        let committee = genesis.check()?;
        let shown = Shown::new(&genesis, &committee);
        if self.json {
            return output::json_pretty(&shown);
        }
        let interval = format!("{} ms", shown.block_interval_ms);
        let allocated = money(Amount::from_sat(shown.allocated_sat));
        let rows = [
            ("chain", shown.chain),
            ("fingerprint", shown.fingerprint),
            ("name", shown.name),
            ("development", shown.development.to_string()),
            ("validators", format!("{} ({} may fail)", shown.validators, shown.faults_tolerated)),
            ("wave", format!("{}, {} leaders a round", shown.wave, shown.leaders_per_round)),
            ("block interval", interval),
            ("block weight", shown.max_block_weight.to_string()),
            ("allocated", format!("{allocated} in {} outputs", shown.allocations)),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<15} {value}"))?;
        }
        for (index, validator) in genesis.validators.iter().enumerate() {
            let key = hex::encode(validator.transport_key.to_bytes());
            output::line(&format!("validator {index:<5} {} {key}", validator.name))?;
        }
        Ok(())
    }
}

impl Shown {
    fn new(genesis: &Genesis, committee: &types::Committee) -> Self {
        let owners: BTreeSet<&[u8]> =
            genesis.allocations.iter().map(|allocation| allocation.script.0.as_slice()).collect();
        Self {
            chain: genesis.chain().to_string(),
            fingerprint: fingerprint(&genesis.chain()),
            name: genesis.name.clone(),
            development: genesis.development,
            start_ms: genesis.start_ms.value(),
            validators: committee.size(),
            faults_tolerated: committee.quorums().faults(),
            quorum: committee.quorums().quorum(),
            wave: genesis.consensus.wave,
            leaders_per_round: genesis.consensus.leaders_per_round,
            block_interval_ms: genesis.ledger.block_interval_ms,
            max_block_weight: genesis.ledger.max_block_weight,
            allocations: genesis.allocations.len(),
            owners: owners.len(),
            allocated_sat: genesis.allocations.iter().map(|owned| owned.amount_sat).sum(),
        }
    }
}
