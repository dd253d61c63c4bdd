//! One slice of a shard, from wherever it lies, proven before it is believed.

use std::time::Duration;

use blobs::ProvenBytes;
use blobs::ProvenShard;
use blobs::ShardProof;
use blobs::SliceRange;
use blobs::SliceReader;
use bytes::Bytes;
use client::api::blobs::SHARD_PROOF_HEADER;
use types::Author;
use types::Decode as _;
use types::ShardIndex;
use types::blob::BlobId;
use types::blob::BlobLayout;

use super::ANSWER_TIME_MAX;
use super::Blobs;

/// Which bytes of which shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) id: BlobId,
    pub(super) layout: BlobLayout,
    pub(super) shard: ShardIndex,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A slice that is proven, with the proof of its shard.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) shard: ProvenShard,
    pub(super) bytes: ProvenBytes,
}

/// Why a slice did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Whoever keeps it gave no answer in time, or none is known.
    Silent,
    /// It said that it does not have it.
    Absent,
    /// It sent what does not prove itself.
    Lying,
}

impl Blobs {
    /// A slice from this node's own disk, or from the validator that keeps the shard. Cancel safe.
    pub(super) async fn slice(&self, wanted: Wanted) -> Result<Fetched, Fault> {
        if let Some(shard) = self.store().held(&wanted.id).filter(|s| s.shard() == wanted.shard) {
            let range = range(&wanted)?;
            let read = self.blocking(move |store| store.slice(&wanted.id, range)).await;
            let slice = read.ok().and_then(Result::ok).ok_or(Fault::Absent)?;
            return prove(shard, range, &slice);
        }
        let keeper = self.shards().keeper(&wanted.id, wanted.shard);
        self.slice_of(keeper, wanted).await
    }

    /// A slice from one validator. Cancel safe.
    pub(super) async fn slice_of(&self, from: Author, wanted: Wanted) -> Result<Fetched, Fault> {
        let Some(url) = self.url(from) else { return Err(Fault::Silent) };
        let Wanted { id, shard, from, to, .. } = wanted;
        let url = format!("{url}/v1/blobs/{id}/shards/{shard}?from={from}&to={to}");
        within(ANSWER_TIME_MAX, self.ask(url, wanted)).await
    }

    async fn ask(&self, url: String, wanted: Wanted) -> Result<Fetched, Fault> {
        let answer = self.0.http.get(url).send().await.map_err(|_| Fault::Silent)?;
        if !answer.status().is_success() {
            let is_busy = answer.status().is_server_error();
            return Err(if is_busy { Fault::Silent } else { Fault::Absent });
        }
        let proof = answer.headers().get(SHARD_PROOF_HEADER).ok_or(Fault::Lying)?;
        let proof = proof.to_str().ok().and_then(|text| parse_proof(text, &wanted.id));
        let shard = proof.filter(|shard| shard.shard() == wanted.shard).ok_or(Fault::Lying)?;
        if shard.meta().layout != wanted.layout {
            return Err(Fault::Lying);
        }
        let range = range(&wanted)?;
        let length = usize::try_from(range.encoded_length()).map_err(|_| Fault::Absent)?;
        let slice = body(answer, length).await?;
        prove(shard, range, &slice)
    }
}

/// A proof as headers carry it, if it is one of this blob.
pub(crate) fn parse_proof(text: &str, id: &BlobId) -> Option<ProvenShard> {
    if text.len() > 2 * ShardProof::ENCODED_LENGTH_MAX {
        return None;
    }
    let bytes = hex::decode(text).ok()?;
    ShardProof::from_bytes(&bytes).ok()?.verify(id).ok()
}

fn range(wanted: &Wanted) -> Result<SliceRange, Fault> {
    SliceRange::new(wanted.from, wanted.to, wanted.layout.shard_length()).map_err(|_| Fault::Absent)
}

fn prove(shard: ProvenShard, range: SliceRange, slice: &[u8]) -> Result<Fetched, Fault> {
    let reader = SliceReader::new(&shard, range).ok_or(Fault::Lying)?;
    let bytes = reader.read_all(slice).map_err(|_| Fault::Lying)?;
    Ok(Fetched { shard, bytes })
}

/// A body of exactly this length.
async fn body(mut answer: reqwest::Response, length: usize) -> Result<Bytes, Fault> {
    let mut body = bytes::BytesMut::with_capacity(length);
    while let Some(chunk) = answer.chunk().await.map_err(|_| Fault::Silent)? {
        if body.len().saturating_add(chunk.len()) > length {
            return Err(Fault::Lying);
        }
        body.extend_from_slice(&chunk);
    }
    match body.len() == length {
        true => Ok(body.freeze()),
        false => Err(Fault::Silent),
    }
}

async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(time, answer).await.unwrap_or(Err(Fault::Silent))
}
