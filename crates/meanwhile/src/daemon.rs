//! What commands that stay have in common: their log, and how they learn that they have to end.

use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::error::Failure;
use crate::output;

/// The environment variable that says what is logged.
const LOG_VARIABLE: &str = "MEANWHILE_LOG";
/// The database and LDK tell much about themselves that nobody needs to know while they work.
const LOG_DEFAULT: &str = "info,fjall=warn,lsm_tree=warn,payments::ldk=warn";

/// Cancels the token when the process has to end: on Ctrl-C, on SIGTERM, or when whoever started it is
/// gone, if that is asked for.
pub(crate) fn stop_on_signals(parent_pipe: bool) -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let orphaned = orphaned(parent_pipe);
    let token = stop.clone();
    tokio::spawn(async move {
        // Taken whole: a sender that is dropped reads as a parent that is gone.
        let Orphaned { mut receiver, _sender } = orphaned;
        let reason = tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
            _ = &mut receiver => "the process that started this one is gone",
            () = token.cancelled() => return,
        };
        info!(reason, "stopping");
        token.cancel();
    });
    Ok(stop)
}

/// Resolves when the parent is gone.
#[derive(Debug)]
pub(crate) struct Orphaned {
    /// Resolves then.
    pub(crate) receiver: oneshot::Receiver<()>,
    _sender: Option<oneshot::Sender<()>>,
}

/// Tells when whoever started this process is gone, if that is asked for.
pub(crate) fn orphaned(parent_pipe: bool) -> Orphaned {
    if parent_pipe { watch_parent() } else { never() }
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

/// Writes logs to stderr, as the environment says.
pub(crate) fn log_to_stderr() {
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
