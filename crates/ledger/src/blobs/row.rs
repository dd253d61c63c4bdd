//! What is known of one blob.

use bitcoin::OutPoint;
use bitcoin::Txid;
use types::Author;
use types::CommitIndex;
use types::DecodeError;
use types::Height;
use types::VALIDATORS_MAX;
use types::blob::BlobChange;
use types::blob::BlobId;
use types::blob::BlobLayout;
use types::blob::Encoding;
use types::blob::ShardCount;
use types::encoding::Decode;
use types::encoding::Encode;
use types::encoding::Reader;
use types::encoding::Writer;

use crate::rows::decode_hash;
use crate::rows::encode_hash;

const VERSION: u8 = 1;
const SET_BYTES: usize = VALIDATORS_MAX / 8;
const DELETED: u8 = 1;
const EXPIRED: u8 = 2;
const INVALID: u8 = 3;

/// What is known of a blob: of its last registration, if there were several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRow {
    /// The number of the event that registered it: what statements about it name.
    pub registration: u64,
    /// The transaction that registered it.
    pub registered_by: Txid,
    /// The commit that registered it.
    pub registered_in: CommitIndex,
    /// The output whose owner may extend or delete it.
    pub handle: OutPoint,
    /// How many bytes, in how many shards.
    pub layout: BlobLayout,
    /// The first height at which it is not kept any more.
    pub end_height: Height,
    /// Who has acknowledged its shard.
    pub held_by: ValidatorSet,
    /// Who says that its encoding is inconsistent.
    pub disputed_by: ValidatorSet,
    /// Since when it is certified, if it is.
    pub certified: Option<BlobCertificate>,
    /// How it ended, if it has.
    pub ended: Option<BlobEnd>,
}

/// When a blob was certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobCertificate {
    /// The commit that ordered the acknowledgement which made it so.
    pub first: CommitIndex,
    /// The commit of the newest certificate: an extension renews it.
    pub newest: CommitIndex,
}

/// How a blob ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobEnd {
    /// Why.
    pub ending: BlobEnding,
    /// In which commit.
    pub commit: CommitIndex,
    /// The tip's height then: shards are kept for one tick more.
    pub height: Height,
}

/// Why a blob ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobEnding {
    /// Its owner has deleted it.
    Deleted,
    /// Its time was over.
    Expired,
    /// Its encoding is inconsistent.
    Invalid,
}

/// Some of the validators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidatorSet([u8; SET_BYTES]);

impl BlobRow {
    /// Whether it is kept at this height.
    pub fn is_live(&self, height: Height) -> bool {
        self.ended.is_none() && height < self.end_height
    }

    /// Whether it was ended for an inconsistent encoding.
    pub fn is_inconsistent(&self) -> bool {
        self.ended.is_some_and(|end| end.ending == BlobEnding::Invalid)
    }

    /// The height from which on its shards need not be kept: one tick behind its end.
    pub fn forgotten_from(&self) -> Height {
        self.ended.map_or(self.end_height, |end| end.height.min(self.end_height)).next()
    }

    /// Its member of the hash over what the ledger has to remember.
    pub(crate) fn member(&self, tag: u8, blob: &BlobId) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(tag);
        blob.encode(&mut writer);
        self.encode(&mut writer);
        writer.finish()
    }
}

impl BlobEnding {
    /// The outcome that goes with it.
    pub(crate) const fn change(self) -> BlobChange {
        match self {
            Self::Deleted => BlobChange::Deleted,
            Self::Expired => BlobChange::Expired,
            Self::Invalid => BlobChange::Invalid,
        }
    }
}

impl ValidatorSet {
    /// Adds one, and says whether it is new.
    pub(crate) fn insert(&mut self, author: Author) -> bool {
        let Some((byte, bit)) = self.0.get_mut(author.index() / 8).zip(bit(author)) else {
            return false;
        };
        let is_new = *byte & bit == 0;
        *byte |= bit;
        is_new
    }

    /// Whether it is one of them.
    pub fn contains(&self, author: Author) -> bool {
        let byte = self.0.get(author.index() / 8);
        byte.zip(bit(author)).is_some_and(|(byte, bit)| byte & bit != 0)
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        let bits: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        u16::try_from(bits).unwrap_or(u16::MAX)
    }

    /// Each of them, ascending.
    pub fn authors(&self) -> impl Iterator<Item = Author> + '_ {
        let all = (0_u16..).take(VALIDATORS_MAX).map(Author::new);
        all.filter(|author| self.contains(*author))
    }
}

fn bit(author: Author) -> Option<u8> {
    1_u8.checked_shl(u32::from(author.value() % 8))
}

impl Encode for ValidatorSet {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }
}

impl Decode for ValidatorSet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

impl Encode for BlobCertificate {
    fn encode(&self, writer: &mut Writer) {
        self.first.encode(writer);
        self.newest.encode(writer);
    }
}

impl Decode for BlobCertificate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { first: CommitIndex::decode(reader)?, newest: CommitIndex::decode(reader)? })
    }
}

impl Encode for BlobEnd {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self.ending {
            BlobEnding::Deleted => DELETED,
            BlobEnding::Expired => EXPIRED,
            BlobEnding::Invalid => INVALID,
        });
        self.commit.encode(writer);
        self.height.encode(writer);
    }
}

impl Decode for BlobEnd {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ending = match reader.u8()? {
            DELETED => BlobEnding::Deleted,
            EXPIRED => BlobEnding::Expired,
            INVALID => BlobEnding::Invalid,
            tag => return Err(DecodeError::UnknownTag { what: "end of a blob", tag }),
        };
        Ok(Self { ending, commit: CommitIndex::decode(reader)?, height: Height::decode(reader)? })
    }
}

impl Encode for BlobRow {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u64(self.registration);
        encode_hash(writer, self.registered_by);
        self.registered_in.encode(writer);
        encode_hash(writer, self.handle.txid);
        writer.u32(self.handle.vout);
        self.layout.encoding().encode(writer);
        self.layout.shards().encode(writer);
        writer.u64(self.layout.length());
        self.end_height.encode(writer);
        self.held_by.encode(writer);
        self.disputed_by.encode(writer);
        writer.option(self.certified.as_ref());
        writer.option(self.ended.as_ref());
    }
}

impl Decode for BlobRow {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version("blob", VERSION)?;
        let registration = reader.u64()?;
        let registered_by = decode_hash(reader)?;
        let registered_in = CommitIndex::decode(reader)?;
        let handle = OutPoint { txid: decode_hash(reader)?, vout: reader.u32()? };
        let encoding = Encoding::decode(reader)?;
        let shards = ShardCount::decode(reader)?;
        let layout = BlobLayout::new(encoding, shards, reader.u64()?)
            .map_err(|_| DecodeError::InvalidValue { what: "blob length" })?;
        Ok(Self {
            registration,
            registered_by,
            registered_in,
            handle,
            layout,
            end_height: Height::decode(reader)?,
            held_by: ValidatorSet::decode(reader)?,
            disputed_by: ValidatorSet::decode(reader)?,
            certified: reader.option("blob certificate")?,
            ended: reader.option("blob end")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_every_validator_once() {
        let mut set = ValidatorSet::default();
        let authors = [0, 7, 8, 255].map(Author::new);
        for author in authors {
            assert!(set.insert(author) && !set.insert(author));
        }
        assert!(!set.insert(Author::new(256)) && !set.contains(Author::new(256)));
        assert_eq!(set.count(), 4);
        assert_eq!(set.authors().collect::<Vec<_>>(), authors);
    }
}
