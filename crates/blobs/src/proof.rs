//! What a shard carries along so that whoever knows the blob's name can check it: the meta, its own
//! hash, and the way from there to the root that the meta names.
//!
//! The encoding is a version byte, the meta's 80 bytes, the shard's index, its hash, and the
//! siblings. How many those are follows from S and the index.

use types::BlobId;
use types::BlobMeta;
use types::Decode;
use types::DecodeError;
use types::Encode;
use types::ShardIndex;
use types::encoding::Reader;
use types::encoding::Writer;

use crate::error::InvalidProof;
use crate::leaves::path_length;
use crate::leaves::root_of_path;

const VERSION: u8 = 1;

/// A claim that a shard with this hash belongs to a blob with this meta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardProof {
    meta: BlobMeta,
    shard: ShardIndex,
    leaf: [u8; 32],
    path: Vec<[u8; 32]>,
}

/// A shard's hash that is proven to belong to a blob of a known name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenShard {
    id: BlobId,
    proof: ShardProof,
}

impl ShardProof {
    /// The most bytes that a proof takes: a tree over 256 shards is 8 levels high.
    pub const ENCODED_LENGTH_MAX: usize = 1 + BlobMeta::ENCODED_LENGTH + 2 + 32 + 8 * 32;

    pub(crate) const fn new(
        meta: BlobMeta,
        shard: ShardIndex,
        leaf: [u8; 32],
        path: Vec<[u8; 32]>,
    ) -> Self {
        Self { meta, shard, leaf, path }
    }

    /// Which shard it speaks of.
    pub const fn claimed_shard(&self) -> ShardIndex {
        self.shard
    }

    /// Checks it against the name of the blob.
    ///
    /// # Errors
    /// When it speaks of another blob, or the path does not lead to the root.
    pub fn verify(self, id: &BlobId) -> Result<ProvenShard, InvalidProof> {
        if self.meta.id() != *id {
            return Err(InvalidProof::OtherBlob);
        }
        let shards = self.meta.layout.shards();
        let root = root_of_path(shards, self.shard, &self.leaf, &self.path);
        if root != Some(self.meta.shards_root) {
            return Err(InvalidProof::WrongPath { shard: self.shard });
        }
        Ok(ProvenShard { id: *id, proof: self })
    }
}

impl ProvenShard {
    /// The blob's name.
    pub const fn id(&self) -> &BlobId {
        &self.id
    }

    /// What the blob is, proven by its name.
    pub const fn meta(&self) -> &BlobMeta {
        &self.proof.meta
    }

    /// Which shard.
    pub const fn shard(&self) -> ShardIndex {
        self.proof.shard
    }

    /// BLAKE3 of the shard.
    pub const fn leaf(&self) -> &[u8; 32] {
        &self.proof.leaf
    }

    /// The proof, to hand on.
    pub const fn proof(&self) -> &ShardProof {
        &self.proof
    }
}

impl Encode for ShardProof {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.meta.encode(writer);
        self.shard.encode(writer);
        writer.raw(&self.leaf);
        self.path.iter().for_each(|sibling| writer.raw(sibling));
    }
}

impl Decode for ShardProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("shard proof", VERSION)?;
        let meta = BlobMeta::decode(reader)?;
        let shard = ShardIndex::decode(reader)?;
        let shards = meta.layout.shards();
        if !shards.contains(shard) {
            return Err(DecodeError::InvalidValue { what: "shard index" });
        }
        let leaf = reader.array()?;
        let siblings = 0..path_length(shards, shard);
        let path = siblings.map(|_| reader.array()).collect::<Result<_, _>>()?;
        Ok(Self { meta, shard, leaf, path })
    }
}
