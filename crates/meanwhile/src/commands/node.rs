//! `meanwhile node`: one validator or follower.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use node::Config;
use node::Node;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tracing::info;

use crate::daemon;
use crate::error::Failure;
use crate::output;

use super::block_on;

mod check;
mod reindex;

/// Run one validator or follower, or check its configuration
///
/// Logs go to stderr; MEANWHILE_LOG says which, for example `info` or `node=debug,warn`. Stops on
/// Ctrl-C and SIGTERM.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  meanwhile node example-config > node.toml\n  meanwhile node check \
                  --config node.toml\n  meanwhile node --config node.toml"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Stop when standard input is closed: whoever started this process is gone then
    #[arg(long)]
    parent_pipe: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Reindex(reindex::Reindex),
    /// Print an annotated configuration to start from
    ExampleConfig,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the configuration is refused or the node has to stop.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Command::ExampleConfig) => output::line(Config::example().trim_end()),
            Some(Command::Check(check)) => check.run(),
            Some(Command::Reindex(reindex)) => reindex.run(),
            None => {
                let config = Config::load(&self.config.unwrap_or_default())?;
                config.prepare()?;
                let checked = config.check()?;
                daemon::log_to_stderr();
                block_on(run(checked, self.parent_pipe))
            }
        }
    }
}

async fn run(checked: node::Checked, parent_pipe: bool) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut orphaned = daemon::orphaned(parent_pipe);
    let mut running = Node::start(checked).await?;
    let reason = tokio::select! {
        error = running.failed() => {
            // What is written stays; the restart recovers from it.
            running.stop().await.ok();
            return Err(error.into());
        }
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
        _ = &mut orphaned.receiver => "the process that started this one is gone",
    };
    info!(reason, "stopping");
    running.stop().await?;
    info!("stopped");
    Ok(())
}
