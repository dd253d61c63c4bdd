//! `meanwhile tx`: hands over a transaction and learns what became of it.

use std::io;
use std::io::Read as _;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bitcoin::Transaction;
use bitcoin::Txid;
use bitcoin::consensus::encode::deserialize_hex;
use clap::Args;
use clap::Subcommand;
use client::Client;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::ReceiptAnswer;
use client::api::TxState;
use client::api::TxStatus;
use futures_util::StreamExt as _;

use crate::error::Failure;
use crate::files;
use crate::output;

use super::NodeUrl;

/// Hex of the largest transaction that fits a vertex, and some blanks.
const HEX_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// How long one wait for an outcome takes before it is asked for again.
const OUTCOME_WAIT: Duration = Duration::from_secs(60);
/// How long one wait for a receipt takes before it is asked for again.
const RECEIPT_WAIT: Duration = Duration::from_secs(25);

/// Send a transaction, or learn what became of one
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(Send),
    Status(Query),
    Receipt(ReceiptOf),
}

/// Hand over a transaction; the answer comes before its outcome
///
/// With --follow, waits for the outcome: exit code 0 when it is final.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile tx send 0200000001...\n  cat signed.hex | meanwhile tx \
                  send - --follow"
)]
struct Send {
    /// The signed transaction in hex, or `-` to read it from standard input
    #[arg(value_name = "HEX|-")]
    transaction: String,
    /// Wait for the outcome
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Show what is known of a transaction
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile tx status TXID --follow")]
struct Query {
    /// The transaction
    txid: Txid,
    /// Wait for the outcome and print what happens on the way
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Fetch the receipt of a transaction: its outcome, signed by a quorum of validators
///
/// `meanwhile verify` checks it on any machine that has the genesis file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile tx receipt TXID --wait -o receipt.json")]
struct ReceiptOf {
    /// The transaction
    txid: Txid,
    /// Write it into this file instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Wait until there is one
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON, which a receipt always is
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Does it.
    ///
    /// # Errors
    /// When the transaction is refused or rejected, or the node can not be asked.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Send(arguments) => arguments.run().await,
            Command::Status(arguments) => arguments.run().await,
            Command::Receipt(arguments) => arguments.run().await,
        }
    }
}

impl Send {
    async fn run(self) -> Result<(), Failure> {
        let transaction = read(&self.transaction)?;
        let client = self.node.client()?;
        if self.follow {
            let status = outcome(&client, &transaction).await?;
            show(&status, self.json)?;
            return match status.status {
                TxState::Rejected => Err(Failure::Rejected {
                    txid: status.txid,
                    winner: status
                        .conflict
                        .map_or_else(|| "another".to_owned(), |txid| txid.to_string()),
                }),
                _ => Ok(()),
            };
        }
        let submitted = client.submit(&transaction).await?;
        if self.json {
            output::json(&submitted)
        } else {
            output::line(&format!("{} {}", submitted.txid, state(submitted.status)))
        }
    }
}

impl Query {
    async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        let status = client.tx_status(&self.txid).await?;
        show(&status, self.json)?;
        if !self.follow || status.status.is_outcome() {
            return Ok(());
        }
        let query = EventQuery { txid: Some(self.txid), ..EventQuery::default() };
        let mut events = pin!(client.events(query));
        while let Some(event) = events.next().await {
            let event = event?;
            match &event.kind {
                EventKind::Outcome { .. } => break,
                _ if self.json => output::json(&event)?,
                EventKind::Skipped { reason, .. } => {
                    output::line(&format!("skipped at commit {}: {reason}", event.commit))?;
                }
                EventKind::Block { .. } | EventKind::Checkpoint { .. } | EventKind::Blob { .. } => {
                }
            }
        }
        show(&client.tx_status(&self.txid).await?, self.json)
    }
}

impl ReceiptOf {
    async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        let wait = self.wait.then_some(RECEIPT_WAIT);
        let receipt = loop {
            match client.receipt(&self.txid, wait).await {
                Ok(ReceiptAnswer::Ready(receipt)) => break receipt,
                Ok(ReceiptAnswer::NotYet(known)) if !self.wait => {
                    let state = state(known.status);
                    return Err(Failure::NoReceipt { txid: self.txid, state });
                }
                Ok(ReceiptAnswer::NotYet(_)) => output::say("still waiting for the receipt"),
                Err(error) => return Err(error.into()),
            }
        };
        let text = receipt.to_text();
        let Some(path) = &self.output else { return output::line(&text) };
        files::write(path, &text)?;
        if !self.json {
            output::say(&format!("the receipt is in {}", path.display()));
        }
        Ok(())
    }
}

/// Waits as long as it takes: a network that stalls decides later, not never.
async fn outcome(client: &Client, transaction: &Transaction) -> Result<TxStatus, Failure> {
    loop {
        let status = client.submit_and_wait(transaction, OUTCOME_WAIT).await?;
        if status.status.is_outcome() {
            return Ok(status);
        }
        output::say("still waiting for the outcome");
    }
}

fn read(text: &str) -> Result<Transaction, Failure> {
    let unreadable = |reason: String| Failure::Argument { what: "transaction", reason };
    let mut input = String::new();
    let text = if text == "-" {
        let stdin = io::stdin().lock().take(HEX_BYTES_MAX).read_to_string(&mut input);
        stdin.map_err(|error| unreadable(error.to_string()))?;
        input.trim()
    } else {
        text.trim()
    };
    deserialize_hex(text).map_err(|error| unreadable(format!("not a transaction in hex: {error}")))
}

fn show(status: &TxStatus, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(status);
    }
    let mut text = format!("{} {}", status.txid, state(status.status));
    if let Some(commit) = status.commit {
        text.push_str(&format!(", commit {commit}"));
    }
    if let Some(height) = status.height {
        text.push_str(&format!(", block {height}"));
    }
    if let Some(conflict) = status.conflict {
        text.push_str(&format!(", {conflict} spent its input first"));
    }
    for reason in &status.skipped {
        text.push_str(&format!("\n  was skipped: {reason}"));
    }
    output::line(&text)
}

const fn state(state: TxState) -> &'static str {
    match state {
        TxState::Unknown => "unknown",
        TxState::Pending => "pending",
        TxState::Final => "final",
        TxState::Rejected => "rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_transaction_is_refused() {
        for text in ["", "00", "zz", "0200"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
