//! `meanwhile blob verify`: a file, a proof and a genesis, and nobody is asked.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use client::blobs::BlobSource;
use serde::Serialize;
use types::BlobId;
use types::CommitIndex;
use types::Genesis;
use types::Height;
use types::blob::BlobChange;
use types::blob::proof::BlobProof;
use types::blob::proof::BlobProofError;
use types::blob::proof::verify_blob_proof;
use types::receipt::RECEIPT_BYTES_MAX;

use crate::error::BlobFailure;
use crate::error::Failure;
use crate::files;
use crate::output;
use crate::output::Progress;

use super::size;
use super::threads;

/// Check offline that a file is a certified blob, with its proof and the genesis file alone
///
/// Checks what validators signed, encodes the file anew and compares every shard's hash. Exit code 0
/// means: a quorum of the validators that the genesis names has certified exactly these bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  meanwhile blob verify photo.jpg photo.proof --genesis genesis.json"
)]
pub(super) struct Verify {
    /// The file
    file: PathBuf,
    /// The proof
    proof: PathBuf,
    /// The genesis of the network
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was proven.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Proven {
    blob_id: BlobId,
    length: u64,
    certified_at: CommitIndex,
    end_height: Height,
    checkpoint: CommitIndex,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Failure> {
        let genesis: Genesis = files::read_json(&self.genesis)?;
        let bytes_max = u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX);
        let text = files::read_bounded(&self.proof, bytes_max)?;
        let refused = |reason| BlobFailure::FalseProof { path: self.proof.clone(), reason };
        let proof = BlobProof::parse(&text).map_err(|error| refused(error.into()))?;
        let verified = verify_blob_proof(&genesis, &proof).map_err(refused)?;
        let outcome = verified.outcome();
        let (BlobChange::Certified { end_height }, Some(meta)) = (outcome.change, verified.meta())
        else {
            return Err(refused(BlobProofError::Outcome { actual: outcome.change.name() }).into());
        };
        let file = File::open(&self.file).map_err(|source| files::at(&self.file, source))?;
        let source = BlobSource::new(file, meta.layout.shards(), threads())?;
        let other = || BlobFailure::OtherBytes { path: self.file.clone(), blob: outcome.blob };
        if source.layout() != &meta.layout {
            return Err(other().into());
        }
        let mut progress = Progress::new("checking", meta.layout.length());
        let committed = source.commit(|done| progress.at(done, ""))?;
        progress.finish();
        if committed.meta() != meta {
            return Err(other().into());
        }
        let proven = Proven {
            blob_id: outcome.blob,
            length: meta.layout.length(),
            certified_at: outcome.commit,
            end_height,
            checkpoint: verified.checkpoint().commit,
        };
        if self.json {
            return output::json(&proven);
        }
        output::line(&format!(
            "proven: {} are blob {}\ncertified   in commit {}, signed with checkpoint {}\nkept       \
             until height {end_height}",
            size(proven.length),
            proven.blob_id,
            proven.certified_at,
            proven.checkpoint,
        ))
    }
}
