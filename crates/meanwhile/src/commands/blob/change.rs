//! `meanwhile blob extend` and `meanwhile blob delete`: what the owner of a blob's handle can do.

use bitcoin::Amount;
use clap::Args;
use client::Client;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use client::blobs::BlobError;
use types::BlobId;
use types::BlobLayout;
use types::Height;
use types::ShardCount;
use types::blob::BlobOperation;
use types::blob::BlobReference;
use types::blob::Encoding;

use crate::error::Failure;
use crate::output;
use crate::units::money;

use super::NodeUrl;
use super::key::KeyFile;
use super::key::price;

/// How long it may take until a node knows of a change.
const CHANGE_WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Keep a blob longer
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile blob extend ID --ticks 1000 --dry-run")]
pub(super) struct Extend {
    /// The blob
    id: BlobId,
    /// For how many more ticks
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    ticks: u32,
    /// Say what it costs, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    change: Change,
}

/// End a blob before its time
///
/// The shards are deleted; what was read before, and proofs of the past, stay what they are.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile blob delete ID")]
pub(super) struct Delete {
    /// The blob
    id: BlobId,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    node: NodeUrl,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Extend {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.change.node.client()?;
        let (status, layout, end) = living(&client, &self.id).await?;
        let service = client.blob_service().await?;
        let price = price(&service, layout.encoded_length(), self.ticks);
        let end_height = end.saturating_add(self.ticks);
        if self.dry_run {
            let line = format!("{} until height {end_height}", money(price));
            return match self.change.json {
                true => output::json(&serde_json::json!({
                    "priceSat": price.to_sat(), "endHeight": end_height
                })),
                false => output::line(&line),
            };
        }
        let (operation, blob) = (BlobOperation::Extend, self.id);
        let reference = BlobReference { operation, blob, layout, end_height };
        self.change.run(&client, &reference, &status, price).await
    }
}

impl Delete {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.change.node.client()?;
        let (status, layout, _) = living(&client, &self.id).await?;
        let (operation, blob, end_height) = (BlobOperation::Delete, self.id, Height::ZERO);
        let reference = BlobReference { operation, blob, layout, end_height };
        self.change.run(&client, &reference, &status, Amount::ZERO).await
    }
}

impl Change {
    async fn run(
        &self,
        client: &Client,
        reference: &BlobReference,
        status: &BlobStatus,
        price: Amount,
    ) -> Result<(), Failure> {
        let payer = self.key.open()?;
        let txid = payer.pay(client, reference, price, status.handle).await?;
        let is_done = |after: &BlobStatus| match reference.operation {
            BlobOperation::Delete => after.state == BlobState::Deleted,
            _ => after.end_height == Some(reference.end_height),
        };
        let after = super::show::until(client, &reference.blob, CHANGE_WAIT, is_done).await?;
        if self.json {
            return output::json(&after);
        }
        output::line(&match reference.operation {
            BlobOperation::Delete => format!("deleted by {txid}"),
            _ => format!("kept until height {} by {txid}", reference.end_height),
        })
    }
}

/// A blob that can be changed: its status, its layout and its end.
async fn living(
    client: &Client,
    blob: &BlobId,
) -> Result<(BlobStatus, BlobLayout, Height), Failure> {
    let status = client.blob_status(blob).await?;
    let ended = BlobError::Ended { state: status.state };
    let is_alive = matches!(status.state, BlobState::Registered | BlobState::Certified);
    let known = status.shards.zip(status.length).zip(status.end_height);
    let Some(((shards, length), end)) = known.filter(|_| is_alive) else {
        return Err(ended.into());
    };
    let invalid = |error| BlobError::from(blobs::CodingError::from(error));
    let shards = ShardCount::new(shards).map_err(invalid)?;
    let layout = BlobLayout::new(Encoding::Segmented, shards, length).map_err(invalid)?;
    Ok((status, layout, end))
}
