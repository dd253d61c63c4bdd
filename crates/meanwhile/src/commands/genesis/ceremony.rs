//! The ceremony's commands: plan, deal, receive, finish, verify.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use types::Genesis;
use types::TimestampMs;
use types::dkg::Card;
use types::dkg::PLAN_VERSION;
use types::dkg::Plan;
use types::dkg::Transcript;
use types::genesis::BlobParameters;
use types::genesis::ConsensusParameters;
use types::genesis::LedgerParameters;

use crate::ceremony;
use crate::ceremony::Own;
use crate::ceremony::PlanReport;
use crate::ceremony::Report;
use crate::dealer;
use crate::error::Failure;
use crate::files;
use crate::output;

use super::CARD_BYTES_MAX;
use super::GENESIS_BYTES_MAX;
use super::Parameters;

/// Write the plan of a network from its operators' cards
///
/// Anybody may write it: every operator checks it, and signs its hash with everything that it does
/// afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis plan north/card.json south/card.json \
                  east/card.json west/card.json \\\n      --name federation --allocate \
                  bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080=50btc")]
pub(super) struct PlanCommand {
    /// The cards of the operators, in the order of their numbers
    #[arg(required = true)]
    cards: Vec<PathBuf>,
    /// The file to write
    #[arg(long, default_value = "plan.json")]
    out: PathBuf,
    /// When the network begins, in milliseconds since 1970 [default: now]
    #[arg(long)]
    start_ms: Option<u64>,
    #[command(flatten)]
    parameters: Parameters,
}

/// The plan, and the own secrets.
#[derive(Debug, Args)]
struct Place {
    /// The plan that all operators share
    #[arg(long, default_value = "plan.json")]
    plan: PathBuf,
    /// The folder with this operator's secrets
    #[arg(long, value_name = "DIR")]
    secrets: PathBuf,
    /// The folder to write into
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

/// Deal this operator's part of the common coin's key
///
/// Writes `dealing-N.json`, which goes to all other operators. Read the plan's fingerprint to them
/// first: a dealing belongs to one plan. Done twice it writes the same dealing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis deal --plan plan.json --secrets ./north")]
pub(super) struct Deal {
    #[command(flatten)]
    place: Place,
}

/// Check this operator's share of every dealing
///
/// Writes `response-N.json`, which goes to all other operators: it takes each dealing, or complains
/// of it so that anybody can check.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis receive --plan plan.json --secrets ./north \
                  dealing-*.json")]
pub(super) struct Receive {
    /// The dealings of all operators
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Put the ceremony together: genesis, transcript and this operator's coin key
///
/// Writes `genesis.json` and `transcript.json`, and `coin.key` into the secrets, where
/// `ceremony.key` is deleted: it is of no use any more. Bad dealings are named and left out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis finish --plan plan.json --secrets ./north \
                  dealing-*.json response-*.json")]
pub(super) struct Finish {
    /// The dealings and responses of all operators
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Check that a genesis follows from the transcript of its ceremony
///
/// Needs no secret and no network: anybody can do it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile genesis verify genesis.json transcript.json")]
pub(super) struct Verify {
    /// The genesis
    genesis: PathBuf,
    /// The transcript
    transcript: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl PlanCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let cards: Result<Vec<Card>, Failure> =
            self.cards.iter().map(|path| files::read_json_bounded(path, CARD_BYTES_MAX)).collect();
        let cards = cards?;
        for (card, path) in cards.iter().zip(&self.cards) {
            card.check().map_err(|fault| Failure::Contents {
                path: path.clone(),
                reason: format!("the card is refused: {fault}"),
            })?;
        }
        let leaders = ConsensusParameters::default().leaders_per_round;
        let count = u16::try_from(cards.len()).unwrap_or(u16::MAX);
        let plan = Plan {
            version: PLAN_VERSION,
            start_ms: self.start_ms.map_or_else(dealer::now, TimestampMs::new),
            consensus: ConsensusParameters {
                leaders_per_round: leaders.min(count),
                ..ConsensusParameters::default()
            },
            ledger: LedgerParameters {
                block_interval_ms: self.parameters.block_interval.millis(),
                max_block_weight: self.parameters.max_block_weight,
                ..LedgerParameters::default()
            },
            blobs: BlobParameters::default(),
            cards,
            name: self.parameters.name.clone(),
            allocations: self.parameters.into_allocations(),
        };
        let checked = plan.check()?;
        let text = serde_json::to_string_pretty(checked.plan()).map_err(Failure::Json)?;
        files::write_once(&self.out, &format!("{text}\n"))?;
        PlanReport::new(&checked).print()?;
        output::line(&format!("written         {}", self.out.display()))
    }
}

impl Deal {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Place { plan, secrets, out } = self.place;
        let plan = ceremony::read_plan(&plan)?;
        let dealing = Own::find(&plan, &secrets)?.deal(&plan)?;
        PlanReport::new(&plan).print()?;
        files::create_dir(&out)?;
        let path = ceremony::write_dealing(&out, dealing)?;
        output::line(&format!("written         {}", path.display()))
    }
}

impl Receive {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Place { plan, secrets, out } = self.place;
        let plan = ceremony::read_plan(&plan)?;
        let (dealings, _) = ceremony::read_messages(&plan, &self.files)?;
        let received = Own::find(&plan, &secrets)?.respond(&plan, &dealings)?;
        for bad in &received.bad {
            output::say(&format!("the dealing of {} is bad: {}", bad.operator, bad.reason));
        }
        let good = dealings.len().saturating_sub(received.bad.len());
        output::line(&format!("dealings        {good} good, {} bad", received.bad.len()))?;
        files::create_dir(&out)?;
        let path = ceremony::write_response(&out, received.response)?;
        output::line(&format!("written         {}", path.display()))
    }
}

impl Finish {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Place { plan, secrets, out } = self.place;
        let plan = ceremony::read_plan(&plan)?;
        let own = Own::find(&plan, &secrets)?;
        let (dealings, responses) = ceremony::read_messages(&plan, &self.files)?;
        let transcript = Transcript::gather(&plan, dealings, responses)?;
        let outcome = transcript.verify()?;
        let report = Report::new(&transcript, &outcome);
        files::create_dir(&out)?;
        let write = |name: &str, text: serde_json::Result<String>| {
            let path = out.join(name);
            files::write_once(&path, &format!("{}\n", text.map_err(Failure::Json)?))?;
            Ok::<_, Failure>(path)
        };
        let genesis = write("genesis.json", serde_json::to_string_pretty(&outcome.genesis))?;
        let written = write("transcript.json", serde_json::to_string_pretty(&transcript))?;
        let coin = own.write_coin(&plan, &transcript, &outcome)?;
        own.forget()?;
        if self.json {
            return output::json_pretty(&report);
        }
        report.print()?;
        for path in [genesis, written, coin] {
            output::line(&format!("written         {}", path.display()))?;
        }
        output::say("Read the fingerprint to the other operators: all must have the same one.");
        Ok(())
    }
}

impl Verify {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let genesis: Genesis = files::read_json_bounded(&self.genesis, GENESIS_BYTES_MAX)?;
        let transcript = ceremony::read_transcript(&self.transcript)?;
        let outcome = transcript
            .verify()
            .map_err(|error| Failure::in_ceremony_file(&self.transcript, error))?;
        if genesis != outcome.genesis {
            return Err(Failure::OtherGenesis {
                genesis: self.genesis.clone(),
                transcript: self.transcript.clone(),
                fields: differing(&genesis, &outcome.genesis)?,
            });
        }
        let report = Report::new(&transcript, &outcome);
        if self.json {
            return output::json_pretty(&report);
        }
        report.print()?;
        output::line("verified        this genesis follows from this transcript")
    }
}

/// The names of the fields in which two genesis files differ.
fn differing(left: &Genesis, right: &Genesis) -> Result<String, Failure> {
    let value = |genesis| serde_json::to_value(genesis).map_err(Failure::Json);
    let (left, right): (Value, Value) = (value(left)?, value(right)?);
    let names: Vec<&str> = left
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| right.get(name.as_str()) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    Ok(names.join(", "))
}
