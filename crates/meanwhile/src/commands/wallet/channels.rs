//! Channels: what there is, opening one from coins, closing one.

use clap::Args;
use clap::Subcommand;
use payments::control::Request;
use payments::wallet::view;

use crate::error::Failure;
use crate::output;

use super::Dir;
use super::money::whole_sat;

/// List channels, open one from coins, or close one
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  meanwhile wallet channels\n  meanwhile wallet channels open \
                  500000sat\n  meanwhile wallet channels close CHANNEL"
)]
pub(super) struct Channels {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open a channel to the service provider, from coins
    Open {
        /// How large, with its unit
        amount: String,
        #[command(flatten)]
        dir: Dir,
    },
    /// Close a channel; the money becomes coins again
    Close {
        /// Which one, as the list names it
        channel: String,
        /// Without the other side, which takes longer
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        dir: Dir,
    },
}

impl Channels {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            None => list(&self.dir, self.json),
            Some(Command::Open { amount, dir }) => {
                let request = Request::OpenChannel { amount_sat: whole_sat(&amount)? };
                done(&dir, request)
            }
            Some(Command::Close { channel, force, dir }) => {
                done(&dir, Request::CloseChannel { channel_id: channel, force })
            }
        }
    }
}

fn done(dir: &Dir, request: Request) -> Result<(), Failure> {
    let done: view::Done = dir.caller().ask(request)?;
    output::line(&done.done)
}

fn list(dir: &Dir, json: bool) -> Result<(), Failure> {
    let channels: Vec<view::Channel> = dir.caller().ask(Request::Channels)?;
    if json {
        return output::json(&channels);
    }
    let rows: Vec<Vec<String>> = channels.iter().map(row).collect();
    let head = ["channel", "state", "size", "ours", "can send", "can receive"];
    output::line(&output::table(&head, &rows))
}

fn row(channel: &view::Channel) -> Vec<String> {
    let missing = channel.confirmations_missing;
    let state = match channel.state.as_str() {
        "opening" if missing > 0 => format!("opening, {missing} blocks to go"),
        state => state.to_owned(),
    };
    vec![
        channel.channel_id.clone(),
        state,
        format!("{} sat", channel.amount_sat),
        channel.balance_msat.to_string(),
        channel.can_send_msat.to_string(),
        channel.can_receive_msat.to_string(),
    ]
}
