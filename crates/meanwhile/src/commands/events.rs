//! `meanwhile events`: the event log, the same at every node.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use client::api::Event;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::error::Failure;
use crate::output;

use super::NodeUrl;

/// Without --follow the log ends when nothing more comes for so long.
const QUIET: Duration = Duration::from_secs(1);

/// Print what happened: outcomes, skipped transactions, blocks
///
/// Every event has a number, without gaps and the same at every node: whoever stopped reading goes
/// on behind the last number, at any node.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile events --after 100\n  meanwhile events --follow --json"
)]
pub(crate) struct Arguments {
    /// Start behind this event; 0 starts at the first
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Go on with what happens from now on, until interrupted
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON, one event a line
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Prints events.
    ///
    /// # Errors
    /// When the node can not be asked.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        // The stream waits for a node that is away; a first question tells a wrong address at once.
        client.status().await?;
        let query = EventQuery { after: self.after, ..EventQuery::default() };
        let mut events = pin!(client.events(query));
        loop {
            let next = if self.follow {
                events.next().await
            } else {
                match timeout(QUIET, events.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(()),
                }
            };
            let Some(event) = next else { return Ok(()) };
            let event = event?;
            if self.json { output::json(&event)? } else { output::line(&render(&event))? }
        }
    }
}

fn render(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::Outcome { txid, status: TxState::Final, .. } => format!("final     {txid}"),
        EventKind::Outcome { txid, conflict, .. } => {
            let winner = conflict.map(|winner| format!(", {winner} came first"));
            format!("rejected  {txid}{}", winner.unwrap_or_default())
        }
        EventKind::Skipped { txid, author, reason, .. } => {
            format!("skipped   {txid} from validator {author}: {reason}")
        }
        EventKind::Block { height, hash, transactions } => {
            format!("block     {height} {hash} with {transactions} transactions")
        }
    };
    format!("{:>8}  commit {:<8} {what}", event.sequence, event.commit)
}
