//! What the routes under `/v1/blobs` take and answer.
//!
//! | route | what |
//! |---|---|
//! | `GET /v1/blobs` | [`BlobService`]: prices, limits, who keeps shards where |
//! | `PUT /v1/blobs?ticks=N` | the bytes as the body; [`StoredBlob`] once certified. The node pays. |
//! | `GET /v1/blobs/{id}` | the bytes, ranges too |
//! | `GET /v1/blobs/{id}/meta` | [`BlobMetaAnswer`] |
//! | `GET /v1/blobs/{id}/status` | [`BlobStatus`]; 200 with state `unknown` for an unknown one |
//! | `GET /v1/blobs/{id}/proof` | the one text of a `types::blob::proof::BlobProof`; 404 until there is one |
//! | `PUT /v1/blobs/{id}/shards/{i}?offset=N` | one piece of a shard; [`ShardUpload`] |
//! | `GET /v1/blobs/{id}/shards/{i}?from=A&to=B` | a slice of a shard: bytes `A` to `B`, `B` not included, as `blobs::SlicePlan` lists the pieces |
//! | `GET /v1/blobs/{id}/shards/{i}` | the plain bytes of a shard |
//!
//! Both directions of a shard carry [`SHARD_PROOF_HEADER`], the hex of an encoded `blobs::ShardProof`.
//! Ranges, names and heights are those of `docs/blobs.md`. An invalid blob answers 410 everywhere but
//! at `status` and `proof`.

use bitcoin::OutPoint;
use bitcoin::Txid;
use serde::Deserialize;
use serde::Serialize;
use types::Author;
use types::BlobId;
use types::CommitIndex;
use types::Height;
use types::ShardIndex;

/// The header that carries a shard's proof, in hex, in a request or an answer.
pub const SHARD_PROOF_HEADER: &str = "meanwhile-shard-proof";
/// The most bytes of a shard that one request brings.
pub const UPLOAD_PIECE_BYTES_MAX: usize = 4 << 20;
/// The most bytes of a shard that one slice may span, hashes not counted.
pub const SLICE_BYTES_MAX: u64 = 16 << 20;

/// `GET /v1/blobs`: what this network asks for blobs, and where its nodes take shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobService {
    /// S: how many shards a blob has.
    pub shards: u16,
    /// The height of the last sealed block. A blob for N ticks ends at this plus N.
    pub height: Height,
    /// What a mebibyte of shards costs a tick, in thousandths of a satoshi.
    pub price_msat_per_mib_tick: u64,
    /// The longest blob, in bytes.
    pub length_max: u64,
    /// How many ticks ahead a blob's end may lie.
    pub ticks_max: u32,
    /// Every validator, ascending.
    pub keepers: Vec<Keeper>,
}

/// Where a validator takes shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keeper {
    /// Its place in the committee.
    pub validator: Author,
    /// Where it serves HTTP, as far as the answering node knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `PUT /v1/blobs`: the blob is certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredBlob {
    /// By this call.
    NewlyCreated(BlobStatus),
    /// It was before.
    AlreadyCertified(BlobStatus),
}

/// `GET /v1/blobs/{id}/status`: what one node knows of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobStatus {
    /// Its name.
    pub blob_id: BlobId,
    /// What has become of it.
    pub state: BlobState,
    /// How many bytes it has; absent when it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// How many bytes all its shards have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_length: Option<u64>,
    /// S.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u16>,
    /// The transaction that registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<Txid>,
    /// The commit that registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<CommitIndex>,
    /// The commit that certified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_at: Option<CommitIndex>,
    /// The first height at which it is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_height: Option<Height>,
    /// The output that extends or deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<OutPoint>,
    /// How many validators have acknowledged their shards.
    #[serde(default)]
    pub acknowledged: u16,
    /// The validators that have not, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Author>,
    /// The shard that this node keeps, if it is a validator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_shard: Option<ShardIndex>,
    /// Whether this node holds that shard.
    #[serde(default)]
    pub held: bool,
}

/// What has become of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BlobState {
    /// This node has never heard of it.
    Unknown,
    /// Validators take its shards.
    Registered,
    /// It can be read whatever happens, until its end.
    Certified,
    /// Its encoding is inconsistent: nobody can tell what it was to be.
    Invalid,
    /// Its owner has ended it.
    Deleted,
    /// Its time is over.
    Expired,
}

/// `GET /v1/blobs/{id}/meta`: what a blob is. Whoever has the name can check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobMetaAnswer {
    /// Its name.
    pub blob_id: BlobId,
    /// The 80 bytes whose hash that is, in hex.
    pub meta: String,
}

/// The query of `PUT /v1/blobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreQuery {
    /// For how many ticks.
    pub ticks: u32,
}

/// The query of `PUT /v1/blobs/{id}/shards/{i}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Where in the shard the piece begins.
    pub offset: u64,
}

/// The query of `GET /v1/blobs/{id}/shards/{i}`: both or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceQuery {
    /// The first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The byte behind the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// `PUT /v1/blobs/{id}/shards/{i}`: how far the node is. A piece whose offset is not what the node
/// has received is not taken, and the answer says where to go on: that is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardUpload {
    /// How many bytes of the shard the node has, from the first on.
    pub received: u64,
    /// Whether it is whole, verified and durable here.
    pub held: bool,
}
