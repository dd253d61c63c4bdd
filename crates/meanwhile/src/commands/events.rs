//! `meanwhile events`: the event log, the same at every node.

use std::pin::pin;

use clap::Args;
use client::api::BlobChange;
use client::api::Event;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::TxState;
use futures_util::StreamExt as _;

use crate::error::Failure;
use crate::output;

use super::NodeUrl;

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
        // The stream waits for a node that is away; a first question tells a wrong address at once,
        // and where the log ends now.
        let last = client.status().await?.last_event;
        if !self.follow && self.after >= last {
            return Ok(());
        }
        let query = EventQuery { after: self.after, ..EventQuery::default() };
        let mut events = pin!(client.events(query));
        while let Some(event) = events.next().await {
            let event = event?;
            if self.json {
                output::json(&event)?;
            } else {
                output::line(&render(&event))?;
            }
            if !self.follow && event.sequence >= last {
                break;
            }
        }
        Ok(())
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
        EventKind::Checkpoint { digest } => format!("state     {digest}"),
        EventKind::Blob { blob, change, end_height, reason, .. } => {
            let until = end_height.map(|height| format!(" until height {height}"));
            let why = reason.as_ref().map(|reason| format!(": {reason}"));
            let details = until.or(why).unwrap_or_default();
            format!("blob      {blob} {}{details}", blob_word(*change))
        }
    };
    format!("{:>8}  commit {:<8} {what}", event.sequence, event.commit)
}

const fn blob_word(change: BlobChange) -> &'static str {
    match change {
        BlobChange::Registered => "registered",
        BlobChange::Refused => "refused",
        BlobChange::Certified => "certified",
        BlobChange::Extended => "extended",
        BlobChange::Deleted => "deleted",
        BlobChange::Expired => "expired",
        BlobChange::Disputed => "disputed",
        BlobChange::Invalid => "invalid",
        BlobChange::Other => "changed",
    }
}
