//! What the chain holds of a blob: 53 bytes behind one `OP_RETURN`.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `MWB1` |
//! | 4 | 1 | 1 register, 2 extend, 3 delete |
//! | 5 | 32 | the blob's name |
//! | 37 | 8 | length of the blob |
//! | 45 | 1 | encoding |
//! | 46 | 2 | S |
//! | 48 | 4 | the first height at which the blob is not kept any more; 0 to delete |
//! | 52 | 1 | flags, 0 |
//!
//! The meta is not on the chain: the name commits to it. What is here is what the price follows from.

use super::BlobId;
use super::BlobLayout;
use super::Encoding;
use super::ShardCount;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::ids::Height;

/// What the bytes begin with.
pub const BLOB_MARK: [u8; 4] = *b"MWB1";

const REGISTER: u8 = 1;
const EXTEND: u8 = 2;
const DELETE: u8 = 3;
const FLAGS: u8 = 0;

/// What a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobOperation {
    /// Keep a blob that is not kept yet.
    Register,
    /// Keep it longer. The transaction spends the blob's handle and makes the next one.
    Extend,
    /// Keep it no longer. The transaction spends the blob's handle.
    Delete,
}

/// What a transaction says about a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobReference {
    /// What it asks for.
    pub operation: BlobOperation,
    /// Which blob.
    pub blob: BlobId,
    /// How many bytes, in how many shards.
    pub layout: BlobLayout,
    /// The first height at which the blob is not kept any more; zero when it is deleted.
    pub end_height: Height,
}

impl BlobReference {
    /// How many bytes it takes.
    pub const ENCODED_LENGTH: usize = 53;
}

impl Encode for BlobReference {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&BLOB_MARK);
        writer.u8(match self.operation {
            BlobOperation::Register => REGISTER,
            BlobOperation::Extend => EXTEND,
            BlobOperation::Delete => DELETE,
        });
        self.blob.encode(writer);
        writer.u64(self.layout.length());
        self.layout.encoding().encode(writer);
        self.layout.shards().encode(writer);
        self.end_height.encode(writer);
        writer.u8(FLAGS);
    }
}

impl Decode for BlobReference {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let must = |holds: bool, what| match holds {
            true => Ok(()),
            false => Err(DecodeError::InvalidValue { what }),
        };
        must(reader.array()? == BLOB_MARK, "mark of a blob reference")?;
        let operation = match reader.u8()? {
            REGISTER => BlobOperation::Register,
            EXTEND => BlobOperation::Extend,
            DELETE => BlobOperation::Delete,
            tag => return Err(DecodeError::UnknownTag { what: "blob operation", tag }),
        };
        let blob = BlobId::decode(reader)?;
        let length = reader.u64()?;
        let encoding = Encoding::decode(reader)?;
        let shards = ShardCount::decode(reader)?;
        let end_height = Height::decode(reader)?;
        let ends = end_height == Height::ZERO;
        must(ends == (operation == BlobOperation::Delete), "end height of a blob")?;
        must(reader.u8()? == FLAGS, "flags of a blob reference")?;
        let layout = BlobLayout::new(encoding, shards, length)
            .map_err(|_| DecodeError::InvalidValue { what: "blob length" })?;
        Ok(Self { operation, blob, layout, end_height })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(operation: BlobOperation, end_height: u32) -> BlobReference {
        let shards = ShardCount::new(4).unwrap();
        let layout = BlobLayout::new(Encoding::Segmented, shards, 1_000).unwrap();
        let blob = BlobId::new([7; 32]);
        BlobReference { operation, blob, layout, end_height: Height::new(end_height) }
    }

    #[test]
    fn a_reference_is_53_bytes_and_only_its_own_bytes_are_read_as_it() {
        for (operation, end_height) in
            [(BlobOperation::Register, 9), (BlobOperation::Extend, 10), (BlobOperation::Delete, 0)]
        {
            let reference = reference(operation, end_height);
            let bytes = reference.to_bytes();
            assert_eq!(bytes.len(), BlobReference::ENCODED_LENGTH);
            assert_eq!(BlobReference::from_bytes(&bytes), Ok(reference));
            for length in 0..bytes.len() {
                assert!(BlobReference::from_bytes(&bytes[..length]).is_err());
            }
        }
    }

    #[test]
    fn fields_that_are_fixed_must_be_right() {
        let register = reference(BlobOperation::Register, 9).to_bytes();
        type Row = (usize, u8);
        let rows: [Row; 7] = [(0, b'm'), (4, 0), (4, 4), (45, 2), (46, 0), (47, 2), (52, 1)];
        for (place, value) in rows {
            let mut changed = register.clone();
            changed[place] = value;
            assert!(BlobReference::from_bytes(&changed).is_err(), "byte {place} as {value}");
        }
        let endless = reference(BlobOperation::Register, 0).to_bytes();
        assert!(BlobReference::from_bytes(&endless).is_err());
        let lasting = reference(BlobOperation::Delete, 9).to_bytes();
        assert!(BlobReference::from_bytes(&lasting).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 49)) {
            let bytes = [BLOB_MARK.as_slice(), &bytes].concat();
            if let Ok(reference) = BlobReference::from_bytes(&bytes) {
                prop_assert_eq!(reference.to_bytes(), bytes);
            }
        }
    }
}
