//! `meanwhile snapshot`: carries a node's state to a new node, checked against what validators signed.

use std::fs::File;
use std::io::BufReader;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;

use clap::Args;
use clap::Subcommand;
use futures_util::StreamExt as _;
use node::Config;

use crate::error::Failure;
use crate::files;
use crate::output;

use super::NodeUrl;
use super::block_on;

/// Start a new node from a checkpoint instead of from the first commit
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Export(Export),
    Import(Import),
}

/// Write a running node's state at its next proven checkpoint into a file
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile snapshot export -o state.snapshot")]
struct Export {
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    node: NodeUrl,
}

/// Fill the empty data folder of a new node from a snapshot
///
/// The snapshot is held against the genesis that the configuration names: it is taken only if a
/// quorum of the validators signed what is in it. Transactions, blocks and events of before are not in
/// it, and the new node says so when it is asked for them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile snapshot import state.snapshot --config node.toml")]
struct Import {
    /// The snapshot
    file: PathBuf,
    /// The configuration of the new node
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the node can not be asked, or the snapshot is refused.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Export(arguments) => block_on(arguments.run()),
            Command::Import(arguments) => arguments.run(),
        }
    }
}

impl Export {
    async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        let at = |source| files::at(&self.output, source);
        // A file that is cut short is refused by the import: its last frame says how many there are.
        let mut file = File::create_new(&self.output).map_err(at)?;
        let mut bytes = 0;
        let result = async {
            let mut pieces = pin!(client.snapshot().await?);
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                file.write_all(&piece).map_err(at)?;
                bytes += piece.len();
            }
            file.sync_all().map_err(at)
        };
        if let Err(error) = result.await {
            std::fs::remove_file(&self.output).ok();
            return Err(error);
        }
        output::say(&format!("{bytes} bytes are in {}", self.output.display()));
        Ok(())
    }
}

impl Import {
    fn run(self) -> Result<(), Failure> {
        let checked = Config::load(&self.config)?.check()?;
        let file = File::open(&self.file).map_err(|source| files::at(&self.file, source))?;
        let mut source = BufReader::new(file);
        let began = std::time::Instant::now();
        let checkpoint =
            node::snapshot::import(&checked.data_dir, &checked.genesis, &mut source, &mut |_| {})?;
        if self.json {
            return output::json(&checkpoint);
        }
        output::line(&format!(
            "the state after commit {} is in {}, block {} {}, taken in {:.1} s; start the node",
            checkpoint.commit,
            checked.data_dir.display(),
            checkpoint.height,
            checkpoint.tip,
            began.elapsed().as_secs_f64()
        ))
    }
}
