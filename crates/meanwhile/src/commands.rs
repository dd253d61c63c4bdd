//! The commands: what they are called, what they take, where they are done.

mod bench;
mod blob;
mod completions;
mod devnet;
mod events;
mod evidence;
mod faucet;
mod genesis;
mod keys;
mod lsp;
mod node;
mod simulate;
mod snapshot;
mod status;
mod tx;
mod verify;
mod wallet;

use std::future::Future;
use std::process::ExitCode;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use client::Client;

use crate::error::Failure;

/// Where a node is asked when nobody says.
pub(crate) const URL_DEFAULT: &str = "http://127.0.0.1:3000";
/// The environment variable that names another one.
const URL_VARIABLE: &str = "MEANWHILE_URL";

/// An asynchronous blockchain in Bitcoin's format.
///
/// Transactions are final in less than a second, wallets and libraries written for Bitcoin connect
/// as they are, and the network goes on while some of its validators are slow, away or hostile.
#[derive(Debug, Parser)]
#[command(
    name = "meanwhile",
    version,
    after_help = "Start here: `meanwhile devnet` runs four validators on this machine.",
    arg_required_else_help = true,
    propagate_version = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Devnet(devnet::Arguments),
    Faucet(faucet::Arguments),
    Wallet(wallet::Arguments),
    Lsp(lsp::Arguments),
    Status(status::Arguments),
    Tx(tx::Arguments),
    Blob(blob::Arguments),
    Verify(verify::Arguments),
    Snapshot(snapshot::Arguments),
    Events(events::Arguments),
    Evidence(evidence::Arguments),
    Node(node::Arguments),
    Keys(keys::Arguments),
    Genesis(genesis::Arguments),
    Simulate(simulate::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// Which node is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeUrl {
    /// The node to ask [default: $MEANWHILE_URL, or http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl NodeUrl {
    /// A client of that node.
    ///
    /// # Errors
    /// When it is no URL.
    fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.url())?)
    }

    /// Its address.
    fn url(&self) -> String {
        let url = self.url.clone().or_else(|| std::env::var(URL_VARIABLE).ok());
        url.unwrap_or_else(|| URL_DEFAULT.to_owned())
    }
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When it can not be done.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Devnet(arguments) => arguments.run(),
            Command::Faucet(arguments) => block_on(arguments.run()),
            Command::Wallet(arguments) => arguments.run(),
            Command::Lsp(arguments) => arguments.run(),
            Command::Status(arguments) => block_on(arguments.run()),
            Command::Tx(arguments) => block_on(arguments.run()),
            Command::Blob(arguments) => arguments.run(),
            Command::Verify(arguments) => arguments.run(),
            Command::Snapshot(arguments) => arguments.run(),
            Command::Events(arguments) => block_on(arguments.run()),
            Command::Evidence(arguments) => block_on(arguments.run()),
            Command::Node(arguments) => arguments.run(),
            Command::Keys(arguments) => arguments.run(),
            Command::Genesis(arguments) => arguments.run(),
            Command::Simulate(arguments) => arguments.run(),
            Command::Bench(arguments) => arguments.run(),
            Command::Completions(arguments) => arguments.run(),
            Command::Man(arguments) => arguments.run(),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs a future to its end on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?
        .block_on(future)
}
