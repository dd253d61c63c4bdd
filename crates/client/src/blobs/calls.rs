//! The calls under `/v1/blobs`, one method a route.

use std::time::Duration;

use blobs::ShardProof;
use blobs::SliceRange;
use bytes::Bytes;
use reqwest::Method;
use types::BlobId;
use types::BlobMeta;
use types::Decode as _;
use types::Encode as _;
use types::ShardIndex;

use crate::Client;
use crate::ClientError;
use crate::api::blobs::BlobMetaAnswer;
use crate::api::blobs::BlobService;
use crate::api::blobs::BlobStatus;
use crate::api::blobs::SHARD_PROOF_HEADER;
use crate::api::blobs::ShardUpload;
use crate::http::Body;
use crate::http::decode;
use crate::http::malformed;
use crate::http::text;

/// What a keeper answers: a slice of its shard and a proof of the shard. Neither is believed yet.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The proof; none when there was none that can be read.
    pub proof: Option<ShardProof>,
    /// The pieces of the slice, one behind the other.
    pub bytes: Bytes,
}

impl Client {
    /// `GET /v1/blobs`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn blob_service(&self) -> Result<BlobService, ClientError> {
        self.read("/v1/blobs").await
    }

    /// `GET /v1/blobs/{id}/status`.
    ///
    /// # Errors
    /// When the node gives no answer that can be read.
    pub async fn blob_status(&self, blob: &BlobId) -> Result<BlobStatus, ClientError> {
        self.read(&format!("/v1/blobs/{blob}/status")).await
    }

    /// `GET /v1/blobs/{id}/meta`, held against the name.
    ///
    /// # Errors
    /// When the node has none, or gives another blob's.
    pub async fn blob_meta(&self, blob: &BlobId) -> Result<BlobMeta, ClientError> {
        let path = format!("/v1/blobs/{blob}/meta");
        let answer: BlobMetaAnswer = self.read(&path).await?;
        let wrong = || malformed(&self.route(&path), "it is no meta of this blob".to_owned());
        let mut bytes = [0; BlobMeta::ENCODED_LENGTH];
        hex::decode_to_slice(&answer.meta, &mut bytes).map_err(|_| wrong())?;
        let meta = BlobMeta::from_bytes(&bytes).map_err(|_| wrong())?;
        if meta.id() == *blob { Ok(meta) } else { Err(wrong()) }
    }

    /// `GET /v1/blobs/{id}/proof`: its text, which proves nothing until it is verified.
    ///
    /// # Errors
    /// When there is none yet, or no answer.
    pub async fn blob_proof(
        &self,
        blob: &BlobId,
        wait: Option<Duration>,
    ) -> Result<String, ClientError> {
        let mut url = self.route(&format!("/v1/blobs/{blob}/proof"));
        let mut deadline = self.deadlines().answer;
        if let Some(wait) = wait {
            deadline += wait;
            url.query_pairs_mut()
                .append_pair("wait", "proof")
                .append_pair("timeout_ms", &wait.as_millis().to_string());
        }
        let bytes = self.call(Method::GET, &url, Body::Nothing, deadline).await?;
        text(&url, &bytes)
    }

    /// `PUT /v1/blobs/{id}/shards/{i}`: one piece of a shard, that begins at `offset`. An empty piece
    /// asks how far the node is.
    ///
    /// # Errors
    /// When the node refuses the piece, or gives no answer.
    pub async fn put_shard(
        &self,
        blob: &BlobId,
        proof: &ShardProof,
        offset: u64,
        piece: Bytes,
    ) -> Result<ShardUpload, ClientError> {
        let shard = proof.claimed_shard();
        let mut url = self.route(&format!("/v1/blobs/{blob}/shards/{shard}"));
        url.query_pairs_mut().append_pair("offset", &offset.to_string());
        let header = (SHARD_PROOF_HEADER, hex::encode(proof.to_bytes()));
        let body = Body::Bytes(piece, header);
        let bytes = self.call(Method::PUT, &url, body, self.deadlines().answer).await?;
        decode(&url, &bytes)
    }

    /// `GET /v1/blobs/{id}/shards/{i}`: a slice of a shard.
    ///
    /// # Errors
    /// When the node does not have it, or gives no answer.
    pub async fn shard_slice(
        &self,
        blob: &BlobId,
        shard: ShardIndex,
        range: SliceRange,
    ) -> Result<Slice, ClientError> {
        let mut url = self.route(&format!("/v1/blobs/{blob}/shards/{shard}"));
        url.query_pairs_mut()
            .append_pair("from", &range.from().to_string())
            .append_pair("to", &range.to().to_string());
        let (header, bytes) =
            self.read_with_header(&url, SHARD_PROOF_HEADER, self.deadlines().answer).await?;
        let proof = header.and_then(|text| {
            let bounded = text.len() <= 2 * ShardProof::ENCODED_LENGTH_MAX;
            let bytes = bounded.then(|| hex::decode(&text).ok()).flatten()?;
            ShardProof::from_bytes(&bytes).ok()
        });
        Ok(Slice { proof, bytes })
    }
}
