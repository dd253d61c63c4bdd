//! Making, starting and stopping a wallet.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use payments::control;
use payments::control::Caller;
use payments::control::Request;
use payments::seed::Seed;
use payments::wallet;
use payments::wallet::view::Stopped;
use zeroize::Zeroizing;

use crate::commands::NodeUrl;
use crate::commands::block_on;
use crate::daemon;
use crate::error::Failure;
use crate::files;
use crate::output;

use super::Dir;
use super::passphrase;
use super::passphrase::Source;

/// How long a daemon in the background may take to answer.
const START_WAIT: Duration = Duration::from_secs(60);
const START_EVERY: Duration = Duration::from_millis(20);
/// How much of a log is shown when a daemon does not start.
const LOG_TAIL_BYTES: usize = 2_000;

/// Make a wallet: a seed, encrypted, and where its node and its service provider are
///
/// On a development network the provider is the one that the node's status names.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet init --passphrase-file secret\n  meanwhile wallet \
                  init --dir alice --url http://127.0.0.1:3100 --lsp KEY@http://127.0.0.1:9736"
)]
pub(super) struct Init {
    #[command(flatten)]
    dir: Dir,
    #[command(flatten)]
    node: NodeUrl,
    /// The service provider: its URL, or its node's key, an @ and its URL [default: the node's]
    #[arg(long, value_name = "LSP")]
    lsp: Option<String>,
    /// The file with what the provider admits wallets by
    #[arg(long, value_name = "FILE")]
    lsp_token_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: Source,
    /// Use the twenty-four words in this file instead of new ones
    #[arg(long, value_name = "FILE")]
    words_file: Option<PathBuf>,
    /// Print the words, to write them down
    #[arg(long)]
    show_words: bool,
}

/// Run the wallet's daemon
///
/// Logs go to stderr; MEANWHILE_LOG says which. Stops on Ctrl-C and SIGTERM, or with `wallet stop`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile wallet start\n  meanwhile wallet start --background \
                  --passphrase-file secret"
)]
pub(super) struct Start {
    #[command(flatten)]
    dir: Dir,
    #[command(flatten)]
    passphrase: Source,
    /// Return as soon as the daemon answers; its log goes to log.txt in the wallet's folder
    #[arg(long)]
    background: bool,
    /// Read the passphrase from standard input, from the process that started this one
    #[arg(long, hide = true)]
    passphrase_pipe: bool,
}

/// Stop the wallet's daemon, once what is on its way is safe
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile wallet stop")]
pub(super) struct Stop {
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        let dir = self.dir.path();
        let passphrase = self.passphrase.read_new()?;
        let seed = match &self.words_file {
            Some(file) => Seed::parse(&Zeroizing::new(files::read(file)?))?,
            None => Seed::generate()?,
        };
        let token = self.lsp_token_file.as_deref().map(files::read).transpose()?;
        let token = token.map(|token| token.trim().to_owned());
        let url = self.node.url();
        let discover =
            async { Ok(wallet::Config::discover(&url, self.lsp.as_deref(), token).await?) };
        let config = block_on(discover)?;
        wallet::init(&wallet::Init {
            dir: &dir,
            config: &config,
            seed: &seed,
            passphrase: &passphrase,
        })?;
        if self.show_words {
            output::line(&seed.words())?;
        } else {
            output::say(
                "The seed is in the folder, encrypted. `--show-words` prints it at `init`.",
            );
        }
        match &config.lsp {
            Some(lsp) => output::say(&format!("service provider {}", lsp.node_id)),
            None => output::say("no service provider: this wallet has coins only"),
        }
        output::say(&format!("wallet in {}", dir.display()));
        Ok(())
    }
}

impl Start {
    pub(super) fn run(self) -> Result<(), Failure> {
        let dir = self.dir.path();
        wallet::Config::read(&dir)?;
        let passphrase =
            if self.passphrase_pipe { passphrase::from_pipe()? } else { self.passphrase.read()? };
        if self.background {
            let dir = dir.canonicalize().map_err(|source| files::at(&dir, source))?;
            return in_background(&dir, passphrase.reveal());
        }
        daemon::log_to_stderr();
        let options = wallet::Options { dir, passphrase };
        block_on(async move {
            let stop = daemon::stop_on_signals(false)?;
            let ready = || output::say("the wallet is ready");
            Ok(wallet::run(options, stop, ready).await?)
        })
    }
}

impl Stop {
    pub(super) fn run(self) -> Result<(), Failure> {
        let dir = self.dir.path();
        let stopped: Stopped = self.dir.caller().ask(Request::Stop)?;
        let deadline = Instant::now() + START_WAIT;
        let socket = control::socket_path(&dir);
        while socket.exists() && Instant::now() < deadline {
            std::thread::sleep(START_EVERY);
        }
        if self.json {
            return output::json(&stopped);
        }
        for payment in &stopped.unsafe_payments {
            output::say(&format!("payment {payment} may be lost on its way; the money is not"));
        }
        output::line("stopped")
    }
}

/// Starts the daemon as a process of its own and waits until it answers.
fn in_background(dir: &Path, passphrase: &str) -> Result<(), Failure> {
    let caller = Caller::new(dir);
    if caller.is_running() {
        return Err(payments::PaymentsError::Running { dir: dir.to_owned() }.into());
    }
    let path = dir.join("log.txt");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let log = log.map_err(|source| files::at(&path, source))?;
    let executable = std::env::current_exe().map_err(Failure::Spawn)?;
    let mut child = Command::new(executable)
        .args(["wallet", "start", "--passphrase-pipe", "--dir"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C at the terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(Failure::Spawn)?;
    if let Some(mut pipe) = child.stdin.take() {
        let line = Zeroizing::new(format!("{passphrase}\n"));
        pipe.write_all(line.as_bytes()).map_err(Failure::Runtime)?;
    }
    wait_for(&mut child, &caller, &path)
}

fn wait_for(child: &mut Child, caller: &Caller, log: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + START_WAIT;
    while !caller.is_running() {
        let ended = child.try_wait().map_err(Failure::Runtime)?.is_some();
        if ended || Instant::now() > deadline {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let start = text.len().saturating_sub(LOG_TAIL_BYTES);
            let tail = text.get(start..).unwrap_or(&text).trim_end().to_owned();
            return Err(Failure::DaemonEnded { log: log.to_owned(), tail });
        }
        std::thread::sleep(START_EVERY);
    }
    output::line(&format!("the wallet runs as process {}", child.id()))
}
