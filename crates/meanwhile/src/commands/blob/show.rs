//! `meanwhile blob status` and `meanwhile blob proof`.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use client::Client;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use types::BlobId;

use crate::error::BlobFailure;
use crate::error::Failure;
use crate::files;
use crate::output;
use crate::units::Time;

use super::NodeUrl;
use super::size;

/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(300);

/// Show what a node knows of a blob
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile blob status ID")]
pub(super) struct Status {
    /// The blob
    id: BlobId,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Get the proof that a blob is certified, to check it offline
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile blob proof ID -o photo.proof\n  meanwhile blob verify photo.jpg \
                  photo.proof --genesis genesis.json"
)]
pub(super) struct Proof {
    /// The blob
    id: BlobId,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long to wait until validators have signed it
    #[arg(long, default_value = "30s")]
    wait: Time,
    #[command(flatten)]
    node: NodeUrl,
}

impl Status {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let status = self.node.client()?.blob_status(&self.id).await?;
        if self.json { output::json(&status) } else { output::line(&render(&status)) }
    }
}

impl Proof {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.node.client()?;
        let end = Instant::now() + self.wait.duration();
        let text = loop {
            match client.blob_proof(&self.id, None).await {
                Err(error) if error.is_not_found() && Instant::now() + PAUSE < end => {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break answer?,
            }
        };
        match &self.output {
            None => output::line(&text),
            Some(path) => files::write(path, &format!("{text}\n")),
        }
    }
}

/// Asks until something is so.
///
/// # Errors
/// When it is not in time, or the node does not answer.
pub(super) async fn until(
    client: &Client,
    blob: &BlobId,
    wait: Duration,
    is_so: impl Fn(&BlobStatus) -> bool,
) -> Result<BlobStatus, Failure> {
    let end = Instant::now() + wait;
    loop {
        let status = client.blob_status(blob).await?;
        if is_so(&status) {
            return Ok(status);
        }
        if Instant::now() + PAUSE >= end {
            let waited_s = wait.as_secs();
            return Err(BlobFailure::NothingChanged { state: status.state, waited_s }.into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn render(status: &BlobStatus) -> String {
    let state = match status.state {
        BlobState::Unknown => "unknown to this node",
        BlobState::Registered => "registered, not certified yet",
        BlobState::Certified => "certified: it can be read",
        BlobState::Invalid => "invalid: its writer lied, nobody can tell what it was to be",
        BlobState::Deleted => "deleted by its owner",
        BlobState::Expired => "expired",
    };
    let mut lines = vec![format!("blob        {}", status.blob_id), format!("state       {state}")];
    let mut add = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name:<11} {value}")));
    };
    let length = status.length.zip(status.encoded_length);
    add(
        "length",
        length.map(|(plain, all)| format!("{}, {} with all shards", size(plain), size(all))),
    );
    add("registered", status.registered_by.map(|txid| format!("by {txid}")));
    add("certified", status.certified_at.map(|commit| format!("in commit {commit}")));
    add("ends", status.end_height.map(|height| format!("at height {height}")));
    add("handle", status.handle.map(|handle| handle.to_string()));
    let shards = status.shards.map(|shards| format!("{} of {shards}", status.acknowledged));
    add("held by", shards.map(|held| format!("{held} validators")));
    let missing: Vec<String> = status.missing.iter().map(ToString::to_string).collect();
    add("missing", (!missing.is_empty()).then(|| missing.join(", ")));
    lines.join("\n")
}
