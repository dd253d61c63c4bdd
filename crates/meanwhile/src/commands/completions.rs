//! Shell completions and man pages, generated from the commands themselves.

use std::io;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::error::Failure;
use crate::files;

use super::Cli;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile completions bash > \
                  ~/.local/share/bash-completion/completions/meanwhile")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Print the man page, or write those of all commands into a folder
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile man | man -l -\n  meanwhile man ~/.local/share/man/man1"
)]
pub(crate) struct Man {
    /// The folder to write the pages into
    dir: Option<PathBuf>,
}

impl Completions {
    /// Prints them.
    ///
    /// # Errors
    /// When stdout is gone.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "meanwhile", &mut text);
        print(&text)
    }
}

impl Man {
    /// Prints or writes them.
    ///
    /// # Errors
    /// When stdout is gone or the folder can not be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(dir) = &self.dir {
            files::create_dir(dir)?;
            return clap_mangen::generate_to(Cli::command(), dir)
                .map_err(|source| files::at(dir, source));
        }
        let mut text = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(Failure::Stdout)?;
        print(&text)
    }
}

fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush()).map_err(Failure::Stdout)
}
