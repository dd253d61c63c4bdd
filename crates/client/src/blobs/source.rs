//! A file as a blob: read by segments and encoded on as many threads as the caller allows.
//!
//! Reading is positioned, so threads share the file, and a second pass needs no rewinding.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use blobs::Commitment;
use blobs::Committed;
use blobs::HashWork;
use blobs::Segment;
use blobs::SegmentCoder;
use bytes::Bytes;
use types::BlobLayout;
use types::ShardCount;
use types::blob::Encoding;
use types::blob::SEGMENT_LENGTH;

use super::BlobError;
use super::window::WINDOW_SEGMENTS;
use super::window::Window;

/// A file that is to become a blob.
#[derive(Clone, Debug)]
pub struct BlobSource {
    file: Arc<File>,
    layout: BlobLayout,
    threads: NonZeroUsize,
}

impl BlobSource {
    /// A file as a blob of so many shards, encoded on `threads` threads.
    ///
    /// # Errors
    /// When the file can not be read, or is longer than a blob may be.
    pub fn new(file: File, shards: ShardCount, threads: NonZeroUsize) -> Result<Self, BlobError> {
        let length = file.metadata()?.len();
        let layout = BlobLayout::new(Encoding::Segmented, shards, length)
            .map_err(blobs::CodingError::from)?;
        Ok(Self { file: Arc::new(file), layout, threads })
    }

    /// How the blob is laid out.
    pub const fn layout(&self) -> &BlobLayout {
        &self.layout
    }

    /// The first pass: encodes the file and commits to it. `progress` hears how many bytes are behind.
    /// This takes long and blocks its thread.
    ///
    /// # Errors
    /// When the file can not be read or changes.
    pub fn commit(&self, mut progress: impl FnMut(u64)) -> Result<Committed, BlobError> {
        let mut commitment = Commitment::new(self.layout.shards());
        let mut first = 0;
        let mut room = Vec::new();
        while first < self.layout.segments() {
            let segments = self.segments(first, &mut room)?;
            let work = commitment.work(&segments)?;
            run(self.threads, work);
            first += WINDOW_SEGMENTS;
            room = segments.into_iter().map(Segment::into_buffer).collect();
            progress((first * SEGMENT_LENGTH).min(self.layout.length()));
        }
        let committed = commitment.finish()?;
        match self.file.metadata()?.len() == self.layout.length() {
            true => Ok(committed),
            false => Err(BlobError::Changed),
        }
    }

    /// Encodes one window and cuts it into what each shard has of it. It blocks its thread.
    ///
    /// # Errors
    /// When the file can not be read.
    pub(crate) fn window(&self, number: u64) -> Result<Window, BlobError> {
        let segments = self.segments(number * WINDOW_SEGMENTS, &mut Vec::new())?;
        let piece = |shard| {
            let chunks = segments.iter().filter_map(|segment| segment.chunk(shard));
            Bytes::from(chunks.fold(Vec::new(), |mut piece, chunk| {
                piece.extend_from_slice(chunk);
                piece
            }))
        };
        let pieces = self.layout.shards().shards().map(piece).collect();
        Ok(Window { number, pieces })
    }

    /// The segments of a window.
    fn segments(&self, first: u64, room: &mut Vec<Vec<u8>>) -> Result<Vec<Segment>, BlobError> {
        let end = (first + WINDOW_SEGMENTS).min(self.layout.segments());
        let wanted: Vec<(u64, Vec<u8>)> =
            (first..end).map(|segment| (segment, room.pop().unwrap_or_default())).collect();
        let share = wanted.len().div_ceil(self.threads.get()).max(1);
        let mut wanted = wanted.into_iter();
        let mut shares = Vec::new();
        loop {
            let share: Vec<_> = wanted.by_ref().take(share).collect();
            if share.is_empty() {
                break;
            }
            shares.push(share);
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                shares.into_iter().map(|share| scope.spawn(|| self.encode(share))).collect();
            let mut segments = Vec::new();
            for worker in workers {
                segments.append(&mut worker.join().map_err(|_| BlobError::Worker)??);
            }
            Ok(segments)
        })
    }

    fn encode(&self, share: Vec<(u64, Vec<u8>)>) -> Result<Vec<Segment>, BlobError> {
        let mut coder = SegmentCoder::new(self.layout.shards());
        let mut encode = |(segment, buffer): (u64, Vec<u8>)| {
            let length = self.layout.segment_length(segment).unwrap_or(0);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            coder.encode_from(length, buffer, |bytes| -> Result<(), BlobError> {
                Ok(self.file.read_exact_at(bytes, segment * SEGMENT_LENGTH)?)
            })
        };
        share.into_iter().map(&mut encode).collect()
    }
}

/// Runs work on threads: each takes every so-manyth.
pub(crate) fn run(threads: NonZeroUsize, work: Vec<HashWork<'_>>) {
    let mut shares: Vec<Vec<HashWork<'_>>> = (0..threads.get()).map(|_| Vec::new()).collect();
    for (place, one) in work.into_iter().enumerate() {
        shares[place % threads].push(one);
    }
    std::thread::scope(|scope| {
        for share in shares.into_iter().filter(|share| !share.is_empty()) {
            scope.spawn(|| share.into_iter().for_each(HashWork::run));
        }
    });
}
