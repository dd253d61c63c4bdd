//! Reading some bytes of a blob: only what is asked for, and the hashes that prove it.
//!
//! Every byte is proven to be what the blob's writer committed to. Whether the writer's shards are one
//! consistent encoding only a whole read can tell: of a blob whose writer lied, two ranges read from
//! different shards can disagree, until somebody reads it whole and it is ended as invalid.

use std::ops::Range;

use blobs::SegmentCoder;
use blobs::source_pieces;
use types::blob::SEGMENT_LENGTH;

use super::BlobError;
use super::BlobReader;
use super::read::complete;

impl BlobReader {
    /// Reads bytes of the blob into `sink`, in order.
    ///
    /// # Errors
    /// When the range is not inside the blob, or too few keepers answer rightly.
    pub async fn read_range(
        &mut self,
        range: Range<u64>,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), BlobError> {
        let layout = self.meta().layout;
        let mut completed: Option<(u64, Vec<u8>)> = None;
        for piece in source_pieces(&layout, range)? {
            let segment = piece.segment;
            let whole = completed.as_ref().filter(|(known, _)| *known == segment);
            if whole.is_none() {
                let bounds = (piece.shard_offset, piece.shard_offset + piece.length);
                if let Some(bytes) = self.fetch_one(piece.shard, bounds).await? {
                    sink(bytes.bytes())?;
                    continue;
                }
                completed = Some((segment, self.segment(segment).await?));
            }
            let start = usize::try_from(piece.offset - segment * SEGMENT_LENGTH);
            let length = usize::try_from(piece.length);
            if let (Some((_, whole)), Ok(start), Ok(length)) = (&completed, start, length) {
                sink(&whole[start..start + length])?;
            }
        }
        Ok(())
    }

    /// One segment, from whichever k shards there are.
    async fn segment(&mut self, segment: u64) -> Result<Vec<u8>, BlobError> {
        let meta = *self.meta();
        let from = segment * meta.layout.whole_chunk_length();
        let to = from + meta.layout.chunk_length(segment).unwrap_or(0);
        let proven = self.fetch((from, to)).await?;
        let work = move || {
            let mut coder = SegmentCoder::new(meta.layout.shards());
            let segments = complete(&meta, &[segment], &proven, &mut coder)?;
            Ok(segments.iter().flat_map(|segment| segment.source().to_vec()).collect())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| BlobError::Worker)?
    }
}
