//! The code itself: from k chunks of a segment to all S, whichever k there are.
//!
//! The code is the one of `reed-solomon-simd` 3, over GF(2^16) in a Cantor basis; frozen vectors in
//! `vectors/` hold it. It is maximum distance separable: any k chunks belong to one source only. So
//! of a segment that is completed from k chunks, those k come out as they went in.
//!
//! Source: `docs/blobs.md`, Encoding.

use std::fmt;

use reed_solomon_simd::ReedSolomonDecoder;
use reed_solomon_simd::ReedSolomonEncoder;
use types::ShardCount;

use crate::error::CodingError;
use crate::segment::Chunks;
use crate::segment::PartialSegment;
use crate::segment::Segment;
use crate::segment::length_max;

const CODE: &str = "1 to 86 chunks and 2 to 170 more, of even length, fit GF(2^16)";

/// Codes one segment after the other. It keeps its tables and its room, so a thread keeps one.
pub struct SegmentCoder {
    shards: ShardCount,
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
}

impl SegmentCoder {
    /// A coder for blobs of so many shards.
    pub const fn new(shards: ShardCount) -> Self {
        Self { shards, encoder: None, decoder: None }
    }

    /// S and its thresholds.
    pub const fn shards(&self) -> ShardCount {
        self.shards
    }

    /// Codes one segment's bytes. `buffer` may be that of a segment that has served.
    ///
    /// # Errors
    /// When there are more bytes than a segment takes.
    pub fn encode(&mut self, source: &[u8], buffer: Vec<u8>) -> Result<Segment, CodingError> {
        let mut chunks = Chunks::zeroed(self.shards, source.len(), buffer)?;
        chunks.bytes[..source.len()].copy_from_slice(source);
        self.add_parity(&mut chunks);
        Ok(Segment::new(chunks))
    }

    /// Codes one segment that `fill` writes the bytes of, right where they will stand.
    ///
    /// # Errors
    /// When `length` is more than a segment takes, or when `fill` fails.
    pub fn encode_from<E: From<CodingError>>(
        &mut self,
        length: usize,
        buffer: Vec<u8>,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Segment, E> {
        let mut chunks = Chunks::zeroed(self.shards, length, buffer)?;
        fill(&mut chunks.bytes[..length])?;
        self.add_parity(&mut chunks);
        Ok(Segment::new(chunks))
    }

    /// Completes a segment from any k of its chunks. When more than k are there, the first k count.
    ///
    /// # Errors
    /// When there are fewer than k, or the segment has another number of shards.
    pub fn complete(&mut self, partial: PartialSegment) -> Result<Segment, CodingError> {
        let PartialSegment { mut chunks, present, .. } = partial;
        let (expected, actual) = (self.shards.value(), chunks.shards.value());
        if expected != actual {
            return Err(CodingError::OtherShards { expected, actual });
        }
        let needed = chunks.rebuild();
        let places = (0..present.len()).filter(|place| present[*place]);
        let places: Vec<usize> = places.take(needed).collect();
        if places.len() < needed {
            let actual = u16::try_from(places.len()).unwrap_or(u16::MAX);
            return Err(CodingError::TooFewChunks { needed: self.shards.rebuild(), actual });
        }
        if places.iter().any(|place| *place >= needed) {
            self.restore(&mut chunks, &places);
        }
        self.add_parity(&mut chunks);
        Ok(Segment::new(chunks))
    }

    /// Computes the chunks behind the first k from those.
    fn add_parity(&mut self, chunks: &mut Chunks) {
        let (originals, parity) = (chunks.rebuild(), usize::from(self.shards.parity()));
        if parity == 0 {
            return;
        }
        let length = chunks.chunk_length;
        let encoder = self.encoder.get_or_insert_with(|| {
            ReedSolomonEncoder::new(originals, parity, largest(originals)).expect(CODE)
        });
        encoder.reset(originals, parity, length).expect(CODE);
        let (sources, rest) = chunks.bytes.split_at_mut(originals * length);
        for chunk in sources.chunks_exact(length) {
            encoder.add_original_shard(chunk).expect("k chunks of this length are added");
        }
        let result = encoder.encode().expect("k chunks were added");
        for (place, computed) in rest.chunks_exact_mut(length).zip(result.recovery_iter()) {
            place.copy_from_slice(computed);
        }
    }

    /// Computes those of the first k chunks that are not at `places`, k places that hold chunks.
    fn restore(&mut self, chunks: &mut Chunks, places: &[usize]) {
        let (originals, parity) = (chunks.rebuild(), usize::from(self.shards.parity()));
        let length = chunks.chunk_length;
        let decoder = self.decoder.get_or_insert_with(|| {
            ReedSolomonDecoder::new(originals, parity, largest(originals)).expect(CODE)
        });
        decoder.reset(originals, parity, length).expect(CODE);
        for place in places {
            let chunk = chunks.chunk(*place).expect("a place below S");
            let added = match place.checked_sub(originals) {
                None => decoder.add_original_shard(*place, chunk),
                Some(place) => decoder.add_recovery_shard(place, chunk),
            };
            added.expect("different places below S, chunks of this length");
        }
        let result = decoder.decode().expect("k chunks were added");
        for (place, restored) in result.restored_original_iter() {
            chunks.chunk_mut(place).expect("a place below k").copy_from_slice(restored);
        }
    }
}

/// The length of a whole segment's chunk, so that room is made once.
fn largest(originals: usize) -> usize {
    length_max().div_ceil(originals).next_multiple_of(64)
}

impl fmt::Debug for SegmentCoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SegmentCoder({} shards)", self.shards.value())
    }
}
