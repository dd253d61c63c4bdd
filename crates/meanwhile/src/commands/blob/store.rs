//! `meanwhile blob store`.

use std::fs::File;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use blobs::Committed;
use clap::Args;
use client::Client;
use client::api::blobs::BlobService;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use client::api::blobs::StoredBlob;
use client::blobs::BlobError;
use client::blobs::BlobSource;
use client::blobs::Keepers;
use client::blobs::UploadReport;
use client::blobs::upload;
use client::blobs::wait_certified;
use serde::Serialize;
use types::BlobId;
use types::Height;
use types::ShardCount;
use types::blob::BlobOperation;
use types::blob::BlobReference;

use crate::error::Failure;
use crate::files;
use crate::output;
use crate::output::Progress;
use crate::units::Time;
use crate::units::money;

use super::Nodes;
use super::key::DEPOSIT;
use super::key::KeyFile;
use super::key::price;
use super::size;
use super::threads;

/// How long a registration may take until a node knows of it.
const REGISTRATION_WAIT: Duration = Duration::from_secs(60);
/// While shards are on their way nothing else bounds the wait for the certificate.
const UPLOADING: Duration = Duration::from_secs(7 * 86_400);

/// Store a file on the network
///
/// Encodes the file, registers it, and sends every validator its shard. Answers when the blob is
/// certified: then it can be read whatever happens to a third of the validators. What some validators
/// lack is sent until they have it, too. Run again, it goes on where it stopped.
///
/// The file is read twice and must not change meanwhile.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  meanwhile blob store photo.jpg --ticks 1000 --dry-run\n  meanwhile \
                  blob store photo.jpg --ticks 1000 --json"
)]
pub(super) struct Store {
    /// The file
    file: PathBuf,
    /// For how many ticks, that is blocks, it is kept
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    ticks: u32,
    /// Say what it costs, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Answer when the blob is certified, and leave the validators without their shards to
    /// themselves: they rebuild them
    #[arg(long)]
    hurry: bool,
    /// How long to wait for the certificate once the shards are sent
    #[arg(long, default_value = "60s")]
    wait: Time,
    #[command(flatten)]
    key: KeyFile,
    #[command(flatten)]
    nodes: Nodes,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What storing would cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quote {
    length: u64,
    encoded_length: u64,
    shards: u16,
    ticks: u32,
    end_height: Height,
    price_sat: u64,
    deposit_sat: u64,
}

impl Store {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = self.nodes.client()?;
        let service = client.blob_service().await?;
        let file = File::open(&self.file).map_err(|source| files::at(&self.file, source))?;
        let shards = ShardCount::new(service.shards).map_err(blobs::CodingError::from);
        let source = BlobSource::new(file, shards.map_err(BlobError::from)?, threads())?;
        let quote = self.quote(&service, &source);
        if self.dry_run {
            return self.print_quote(&quote);
        }
        let (source, committed) = commit(source).await?;
        let blob = committed.meta().id();
        let known = client.blob_status(&blob).await?;
        let keepers = self.nodes.keepers(&service)?;
        if known.state == BlobState::Certified {
            let answer = StoredBlob::AlreadyCertified(known);
            return self.print(&answer);
        }
        if known.state != BlobState::Registered {
            self.register(&client, &committed, &quote).await?;
        }
        self.send(&client, &source, &committed, &keepers).await
    }

    fn quote(&self, service: &BlobService, source: &BlobSource) -> Quote {
        let encoded_length = source.layout().encoded_length();
        Quote {
            length: source.layout().length(),
            encoded_length,
            shards: service.shards,
            ticks: self.ticks,
            end_height: service.height.saturating_add(self.ticks),
            price_sat: price(service, encoded_length, self.ticks).to_sat(),
            deposit_sat: DEPOSIT.to_sat(),
        }
    }

    fn print_quote(&self, quote: &Quote) -> Result<(), Failure> {
        if self.json {
            return output::json(quote);
        }
        output::line(&format!(
            "{} become {} in {} shards\nprice    {} for {} ticks, until height {}\ndeposit  {}, \
             which the blob's owner gets back",
            size(quote.length),
            size(quote.encoded_length),
            quote.shards,
            money(bitcoin::Amount::from_sat(quote.price_sat)),
            quote.ticks,
            quote.end_height,
            money(DEPOSIT),
        ))
    }

    /// Registers the blob and waits until the node knows of it.
    async fn register(
        &self,
        client: &Client,
        committed: &Committed,
        quote: &Quote,
    ) -> Result<(), Failure> {
        let reference = BlobReference {
            operation: BlobOperation::Register,
            blob: committed.meta().id(),
            layout: committed.meta().layout,
            end_height: quote.end_height,
        };
        let price = bitcoin::Amount::from_sat(quote.price_sat);
        let txid = self.key.open()?.pay(client, &reference, price, None).await?;
        output::say(&format!("registered by {txid} for {}", money(price)));
        let is_known = |status: &BlobStatus| {
            matches!(status.state, BlobState::Registered | BlobState::Certified)
        };
        super::show::until(client, &reference.blob, REGISTRATION_WAIT, is_known).await?;
        Ok(())
    }

    /// Sends the shards, and answers as soon as the blob is certified.
    async fn send(
        &self,
        client: &Client,
        source: &BlobSource,
        committed: &Committed,
        keepers: &Keepers,
    ) -> Result<(), Failure> {
        let blob: BlobId = committed.meta().id();
        let progress = std::cell::RefCell::new(Progress::new("sending", source.layout().length()));
        let shown = |uploaded: client::blobs::Uploaded| {
            let note = format!("{} validators have all", uploaded.held);
            progress.borrow_mut().at(uploaded.bytes, &note);
        };
        let mut sending = pin!(upload(source, committed, keepers, shown));
        let certified = {
            let mut certified = pin!(wait_certified(client, &blob, UPLOADING));
            tokio::select! {
                certified = &mut certified => Some(certified?),
                report = &mut sending => {
                    progress.replace(Progress::new("sent", 1)).finish();
                    tell(&report?);
                    None
                }
            }
        };
        match certified {
            None => {
                let certified = wait_certified(client, &blob, self.wait.duration()).await?;
                self.print(&StoredBlob::NewlyCreated(certified))
            }
            Some(certified) => {
                self.print(&StoredBlob::NewlyCreated(certified))?;
                if !self.hurry {
                    // The blob is safe whatever comes of this.
                    match sending.await {
                        Ok(report) => tell(&report),
                        Err(error) => output::say(&error.to_string()),
                    }
                }
                progress.replace(Progress::new("sent", 1)).finish();
                Ok(())
            }
        }
    }

    fn print(&self, answer: &StoredBlob) -> Result<(), Failure> {
        if self.json {
            return output::json(answer);
        }
        let (status, head) = match answer {
            StoredBlob::NewlyCreated(status) => (status, "certified"),
            StoredBlob::AlreadyCertified(status) => (status, "was certified already"),
        };
        output::line(&status.blob_id.to_string())?;
        let end = status.end_height.map_or_else(String::new, |end| format!(", until height {end}"));
        let at = status.certified_at.map_or_else(String::new, |at| format!(" in commit {at}"));
        output::say(&format!("{head}{at}{end}"));
        Ok(())
    }
}

/// The first pass over the file.
async fn commit(source: BlobSource) -> Result<(BlobSource, Committed), Failure> {
    let work = move || {
        let mut progress = Progress::new("encoding", source.layout().length());
        let committed = source.commit(|done| progress.at(done, ""))?;
        progress.finish();
        Ok::<_, BlobError>((source, committed))
    };
    let committed = tokio::task::spawn_blocking(work).await;
    Ok(committed.map_err(|_| BlobError::Worker)??)
}

/// Says who has not got its shard.
fn tell(report: &UploadReport) {
    output::say(&format!(
        "{} validators hold their shards, {} were sent",
        report.held.len(),
        size(report.sent_bytes)
    ));
    for fault in &report.faults {
        output::say(&format!("{fault}; it rebuilds its shard when it is back"));
    }
}
