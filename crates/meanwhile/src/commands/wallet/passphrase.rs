//! Where passphrases come from: a file, a terminal without echo, or the pipe of our own process that
//! starts a daemon. Never a flag or the environment, where other processes read them.

use std::io;
use std::io::BufRead as _;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use payments::seed::Passphrase;
use rustix::termios;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;

use crate::error::Failure;

/// Where the passphrase is.
#[derive(Clone, Debug, Args)]
pub(super) struct Source {
    /// The file whose first line is the passphrase; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Source {
    /// Reads the passphrase of a wallet that is there.
    pub(super) fn read(&self) -> Result<Passphrase, Failure> {
        match &self.passphrase_file {
            Some(file) => Ok(Passphrase::read(file)?),
            None => prompt("Passphrase: "),
        }
    }

    /// Reads a new passphrase, twice where a person types it.
    pub(super) fn read_new(&self) -> Result<Passphrase, Failure> {
        let passphrase = match &self.passphrase_file {
            Some(file) => Passphrase::read(file)?,
            None => {
                let passphrase = prompt("New passphrase: ")?;
                if prompt("Once more: ")?.reveal() != passphrase.reveal() {
                    return Err(refuse("the two are not the same"));
                }
                passphrase
            }
        };
        if passphrase.is_empty() { Err(refuse("it is empty")) } else { Ok(passphrase) }
    }
}

/// Reads one line from standard input, from whoever started this process.
pub(super) fn from_pipe() -> Result<Passphrase, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::Runtime)?;
    Ok(Passphrase::new(line))
}

fn prompt(question: &str) -> Result<Passphrase, Failure> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(refuse("there is no terminal to ask at; give --passphrase-file"));
    }
    let failed = |error: rustix::io::Errno| Failure::Runtime(error.into());
    let before = termios::tcgetattr(&input).map_err(failed)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let mut stderr = io::stderr();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(Failure::Runtime)?;
    termios::tcsetattr(&input, OptionalActions::Flush, &silent).map_err(failed)?;
    let passphrase = from_pipe();
    termios::tcsetattr(&input, OptionalActions::Flush, &before).map_err(failed)?;
    writeln!(stderr).ok();
    passphrase
}

fn refuse(reason: &str) -> Failure {
    Failure::Argument { what: "the passphrase", reason: reason.to_owned() }
}
