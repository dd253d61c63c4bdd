//! `meanwhile node`: one validator or follower.

use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use node::Config;
use node::Node;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::error::Failure;
use crate::output;

use super::block_on;

mod check;
mod reindex;

/// The environment variable that says what is logged.
const LOG_VARIABLE: &str = "MEANWHILE_LOG";
/// The database tells much about itself that nobody needs to know while it works.
const LOG_DEFAULT: &str = "info,fjall=warn,lsm_tree=warn";

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
                log_to_stderr();
                block_on(run(checked, self.parent_pipe))
            }
        }
    }
}

async fn run(checked: node::Checked, parent_pipe: bool) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut orphaned = if parent_pipe { watch_parent() } else { never() };
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

/// Resolves when the parent is gone.
#[derive(Debug)]
struct Orphaned {
    receiver: oneshot::Receiver<()>,
    _sender: Option<oneshot::Sender<()>>,
}

fn never() -> Orphaned {
    let (sender, receiver) = oneshot::channel();
    Orphaned { receiver, _sender: Some(sender) }
}

/// Reads standard input on a thread of its own, for a read that waits there can not be cancelled
/// and must not hold up the runtime's end.
fn watch_parent() -> Orphaned {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        let mut input = io::stdin().lock();
        while input.read(&mut ignored).is_ok_and(|count| count > 0) {}
        sender.send(()).ok();
    });
    Orphaned { receiver, _sender: None }
}

fn log_to_stderr() {
    let filter = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        output::say(&format!("{LOG_VARIABLE} is ignored: {error}"));
        EnvFilter::new(LOG_DEFAULT)
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
