//! Where the bytes of a blob lie: a range of it as ranges of the shards that hold it plainly.

use std::ops::Range;

use types::BlobLayout;
use types::ShardIndex;
use types::blob::SEGMENT_LENGTH;

use crate::error::CodingError;

/// Some bytes of a blob, all in one chunk of one of the first k shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePiece {
    /// Where in the blob they begin.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
    /// The segment that they are in.
    pub segment: u64,
    /// The shard that holds them.
    pub shard: ShardIndex,
    /// Where in the shard they begin.
    pub shard_offset: u64,
}

/// Where the bytes of a range lie, in order.
///
/// # Errors
/// When the range is empty or not inside the blob.
pub fn source_pieces(
    layout: &BlobLayout,
    range: Range<u64>,
) -> Result<impl Iterator<Item = SourcePiece> + use<>, CodingError> {
    let (from, to, length) = (range.start, range.end, layout.length());
    if from >= to || to > length {
        return Err(CodingError::NoSuchRange { from, to, length });
    }
    let (layout, mut offset) = (*layout, from);
    Ok(std::iter::from_fn(move || {
        if offset >= to {
            return None;
        }
        let (segment, inside) = (offset / SEGMENT_LENGTH, offset % SEGMENT_LENGTH);
        let chunk = layout.chunk_length(segment)?;
        let (place, start) = (inside / chunk, inside % chunk);
        let end_of_segment = SEGMENT_LENGTH - inside;
        let piece = SourcePiece {
            offset,
            length: (to - offset).min(chunk - start).min(end_of_segment),
            segment,
            shard: ShardIndex::new(u16::try_from(place).ok()?),
            shard_offset: segment * layout.whole_chunk_length() + start,
        };
        offset += piece.length;
        Some(piece)
    }))
}
