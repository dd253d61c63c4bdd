//! `meanwhile keys`: a validator's secrets and its public card.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use crate::error::Failure;
use crate::files;
use crate::output;
use crate::secrets::CARD_FILE;
use crate::secrets::Secrets;

/// Make a validator's keys
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Write new secrets (mode 0400) and the public card `card.json` into a folder
///
/// The card goes to whoever writes the plan of the network; the secrets never leave the folder. Secrets that are
/// there already are never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile keys new ./north --name north")]
struct New {
    /// The folder
    dir: PathBuf,
    /// What the validator is called
    #[arg(long, default_value = "validator")]
    name: String,
    /// Print the card as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Makes the keys.
    ///
    /// # Errors
    /// When there are keys already or the file system refuses.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Command::New(New { dir, name, json }) = &self.command;
        let secrets = Secrets::generate()?;
        let card = secrets.card(name.clone());
        card.check()
            .map_err(|fault| Failure::Argument { what: "--name", reason: fault.to_string() })?;
        secrets.write(dir)?;
        secrets.write_ceremony(dir)?;
        files::write_json(&dir.join(CARD_FILE), &card)?;
        if *json {
            return output::json_pretty(&card);
        }
        output::line(&format!("card     {}", dir.join(CARD_FILE).display()))?;
        output::line(&format!("secrets  {} (keep them here)", dir.display()))
    }
}
