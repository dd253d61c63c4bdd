//! A blob's bytes in, segments out, with one segment in memory: for whoever has one thread.

use types::ShardCount;

use crate::coder::SegmentCoder;
use crate::commitment::Commitment;
use crate::commitment::Committed;
use crate::error::CodingError;
use crate::segment::Segment;
use crate::segment::length_max;

/// Encodes bytes as they come.
#[derive(Debug)]
pub struct Encoder {
    coder: SegmentCoder,
    commitment: Commitment,
    /// Bytes of the segment to come.
    waiting: Vec<u8>,
    buffer: Vec<u8>,
}

impl Encoder {
    /// An encoder for one blob.
    pub fn new(shards: ShardCount) -> Self {
        let waiting = Vec::with_capacity(length_max());
        let (coder, commitment) = (SegmentCoder::new(shards), Commitment::new(shards));
        Self { coder, commitment, waiting, buffer: Vec::new() }
    }

    /// Takes bytes of any number and shows each segment that has become whole.
    ///
    /// # Errors
    /// When the blob becomes longer than a blob may be.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(&Segment),
    ) -> Result<(), CodingError> {
        while !bytes.is_empty() {
            let taken = bytes.len().min(length_max() - self.waiting.len());
            let (taken, rest) = bytes.split_at(taken);
            self.waiting.extend_from_slice(taken);
            bytes = rest;
            if self.waiting.len() == length_max() {
                self.complete(&mut sink)?;
            }
        }
        Ok(())
    }

    /// Ends the blob and shows its last segment, unless the one before was the last.
    ///
    /// # Errors
    /// When the blob becomes longer than a blob may be.
    pub fn finish(mut self, mut sink: impl FnMut(&Segment)) -> Result<Committed, CodingError> {
        if !self.waiting.is_empty() || self.commitment.segments() == 0 {
            self.complete(&mut sink)?;
        }
        self.commitment.finish()
    }

    fn complete(&mut self, sink: &mut impl FnMut(&Segment)) -> Result<(), CodingError> {
        let buffer = std::mem::take(&mut self.buffer);
        let segment = self.coder.encode(&self.waiting, buffer)?;
        self.commitment.push(&segment)?;
        sink(&segment);
        self.buffer = segment.into_buffer();
        self.waiting.clear();
        Ok(())
    }
}
