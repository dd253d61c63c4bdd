//! The 80 bytes that describe a blob, and the name that is their hash.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | encoding |
//! | 2 | 2 | S |
//! | 4 | 2 | k, which follows from S |
//! | 6 | 1 | the segment's length as a power of two, 20 |
//! | 7 | 1 | flags, 0 |
//! | 8 | 8 | length of the blob |
//! | 16 | 32 | `shards_root` |
//! | 48 | 32 | `content_hash` |
//!
//! What follows from other fields is there for readers of other versions, and must be right.

use super::BlobId;
use super::BlobLayout;
use super::Encoding;
use super::ShardCount;
use super::layout::SEGMENT_LOG;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;

const VERSION: u8 = 1;
const FLAGS: u8 = 0;
const ID_CONTEXT: &str = "meanwhile/types/blob-meta/v1";

/// What a blob is: how it is laid out and what its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobMeta {
    /// How many bytes, in how many shards.
    pub layout: BlobLayout,
    /// The Merkle root over the hashes of all shards.
    pub shards_root: [u8; 32],
    /// BLAKE3 of the blob.
    pub content_hash: [u8; 32],
}

impl BlobMeta {
    /// How many bytes the encoding takes.
    pub const ENCODED_LENGTH: usize = 80;

    /// The blob's name.
    pub fn id(&self) -> BlobId {
        BlobId::new(blake3::derive_key(ID_CONTEXT, &self.to_bytes()))
    }
}

impl Encode for BlobMeta {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        self.layout.encoding().encode(writer);
        self.layout.shards().encode(writer);
        writer.u16(self.layout.shards().rebuild());
        writer.u8(SEGMENT_LOG);
        writer.u8(FLAGS);
        writer.u64(self.layout.length());
        writer.raw(&self.shards_root);
        writer.raw(&self.content_hash);
    }
}

impl Decode for BlobMeta {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let must = |holds: bool, what| match holds {
            true => Ok(()),
            false => Err(DecodeError::InvalidValue { what }),
        };
        reader.version("blob meta", VERSION)?;
        let encoding = Encoding::decode(reader)?;
        let shards = ShardCount::decode(reader)?;
        must(reader.u16()? == shards.rebuild(), "shards to rebuild a blob from")?;
        must(reader.u8()? == SEGMENT_LOG, "segment length")?;
        must(reader.u8()? == FLAGS, "blob flags")?;
        let layout = BlobLayout::new(encoding, shards, reader.u64()?)
            .map_err(|_| DecodeError::InvalidValue { what: "blob length" })?;
        Ok(Self { layout, shards_root: reader.array()?, content_hash: reader.array()? })
    }
}
