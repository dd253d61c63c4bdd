//! `meanwhile wallet`: pay and be paid, also while one side is off.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use payments::control::Caller;

use crate::error::Failure;

mod channels;
mod money;
mod passphrase;
mod pay;
mod run;
mod show;

/// Pay and be paid over Lightning, also while one side is offline
///
/// A wallet is a folder, and a daemon that works in it: make one with `init`, start it with `start`,
/// and use it with the other commands.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile wallet init --passphrase-file secret\n  meanwhile wallet \
                  start --background --passphrase-file secret\n  meanwhile wallet receive\n  \
                  meanwhile wallet pay OFFER 5000sat\n  meanwhile wallet payments --follow"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(run::Init),
    Start(run::Start),
    Status(money::Status),
    Address(money::Address),
    Balance(money::Balance),
    Send(money::Send),
    Receive(pay::Receive),
    Pay(pay::Pay),
    Payments(pay::Payments),
    Channels(channels::Channels),
    Stop(run::Stop),
}

/// Which wallet.
#[derive(Clone, Debug, Args)]
struct Dir {
    /// The wallet's folder [default: $XDG_DATA_HOME/meanwhile/wallet, or
    /// ~/.local/share/meanwhile/wallet]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Dir {
    fn path(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| crate::devnet::layout::data_dir().join("wallet"))
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.path())
    }
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When there is no such wallet, its daemon does not run, or it refuses.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Init(arguments) => arguments.run(),
            Command::Start(arguments) => arguments.run(),
            Command::Status(arguments) => arguments.run(),
            Command::Address(arguments) => arguments.run(),
            Command::Balance(arguments) => arguments.run(),
            Command::Send(arguments) => arguments.run(),
            Command::Receive(arguments) => arguments.run(),
            Command::Pay(arguments) => arguments.run(),
            Command::Payments(arguments) => arguments.run(),
            Command::Channels(arguments) => arguments.run(),
            Command::Stop(arguments) => arguments.run(),
        }
    }
}
