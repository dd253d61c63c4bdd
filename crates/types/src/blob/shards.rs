//! How many shards do what, and which validator keeps which.
//!
//! Of S shards, F = floor((S - 1) / 3) may be with validators that are away or lie. A blob is
//! certified when S - F validators say that they hold theirs. F of those may lie and F others may be
//! away for ever, so S - 2F honest ones are sure to be left: that many must be enough to rebuild.
//! Asking more of a reader than S - 2F would certify blobs that nobody can read.
//!
//! Below four shards F is 0: every shard is needed, to certify and to read.

use super::BlobId;
use super::InvalidBlob;
use crate::committee::Quorums;
use crate::committee::VALIDATORS_MAX;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::ids::Author;
use crate::ids::ShardIndex;

/// S: how many shards a blob has, one a validator. Never 0, never above [`VALIDATORS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardCount(u16);

impl ShardCount {
    /// A number of shards.
    ///
    /// # Errors
    /// When it is zero or above [`VALIDATORS_MAX`].
    pub fn new(count: u16) -> Result<Self, InvalidBlob> {
        if count == 0 || usize::from(count) > VALIDATORS_MAX {
            return Err(InvalidBlob::ShardCount { actual: count, max: VALIDATORS_MAX });
        }
        Ok(Self(count))
    }

    /// S.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// F: how many shards may be with validators that are away or lie.
    pub const fn faults(self) -> u16 {
        Quorums::new(self.0).faults()
    }

    /// k = S - 2F: how many shards rebuild the blob.
    pub const fn rebuild(self) -> u16 {
        self.0 - 2 * self.faults()
    }

    /// 2F: how many shards are computed from the k that hold the blob itself.
    pub const fn parity(self) -> u16 {
        2 * self.faults()
    }

    /// S - F: how many acknowledgements certify.
    pub const fn certify(self) -> u16 {
        self.0 - self.faults()
    }

    /// F + 1: how many statements that the encoding is inconsistent end the blob, at least one of
    /// them honest.
    pub const fn invalidate(self) -> u16 {
        self.faults() + 1
    }

    /// Every shard, ascending.
    pub fn shards(self) -> impl DoubleEndedIterator<Item = ShardIndex> + ExactSizeIterator + use<> {
        (0..self.0).map(ShardIndex::new)
    }

    /// Whether there is such a shard.
    pub const fn contains(self, shard: ShardIndex) -> bool {
        shard.value() < self.0
    }

    /// Which validator keeps a shard: (shard + id) mod S, the id read as one number with its first
    /// byte the most significant. So the shards that hold the blob itself, which every reader asks
    /// for first, lie with other validators for every blob.
    pub fn keeper(self, blob: &BlobId, shard: ShardIndex) -> Author {
        let sum = u32::from(shard.value()) + u32::from(self.offset(blob));
        Author::new(self.reduce(sum))
    }

    /// Which shard a validator keeps: the inverse of [`ShardCount::keeper`].
    pub fn kept_by(self, blob: &BlobId, validator: Author) -> ShardIndex {
        let count = u32::from(self.0);
        let sum = u32::from(validator.value()) + count - u32::from(self.offset(blob));
        ShardIndex::new(self.reduce(sum))
    }

    /// The id modulo S.
    fn offset(self, blob: &BlobId) -> u16 {
        let bytes = blob.as_bytes().iter();
        bytes.fold(0, |rest, byte| self.reduce(u32::from(rest) * 256 + u32::from(*byte)))
    }

    fn reduce(self, number: u32) -> u16 {
        u16::try_from(number % u32::from(self.0)).expect("below S, which is 16 bits")
    }
}

impl Encode for ShardCount {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for ShardCount {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::new(reader.u16()?).map_err(|_| DecodeError::InvalidValue { what: "shard count" })
    }
}
