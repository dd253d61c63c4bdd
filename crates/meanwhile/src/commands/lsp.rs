//! `meanwhile lsp`: a Lightning service provider.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use payments::lsp;

use crate::daemon;
use crate::error::Failure;
use crate::output;

use super::block_on;

/// Run a Lightning service provider, which holds payments for people who are offline
///
/// Logs go to stderr; MEANWHILE_LOG says which. Stops on Ctrl-C and SIGTERM.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  meanwhile lsp example-config > lsp.toml\n  meanwhile lsp --config \
                  lsp.toml"
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
    /// Print an annotated configuration to start from
    ExampleConfig,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the configuration is refused or the provider has to stop.
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(Command::ExampleConfig) = self.command {
            return output::line(lsp::Config::example().trim_end());
        }
        let path = self.config.unwrap_or_default();
        let checked = lsp::Config::load(&path)?.check(&path)?;
        daemon::log_to_stderr();
        block_on(async move {
            let stop = daemon::stop_on_signals(self.parent_pipe)?;
            Ok(lsp::run(checked, stop, || {}).await?)
        })
    }
}
