//! Some segments in a row: what is encoded, sent, fetched and checked at a time.

use bytes::Bytes;
use types::BlobLayout;

/// How many segments a window has: 4 MiB of the blob.
pub(crate) const WINDOW_SEGMENTS: u64 = 4;

/// One window of a blob that is being sent.
#[derive(Debug)]
pub(crate) struct Window {
    /// Its place, from 0.
    pub(crate) number: u64,
    /// What each shard has of it.
    pub(crate) pieces: Vec<Bytes>,
}

/// How many windows a blob has.
pub(crate) const fn windows(layout: &BlobLayout) -> u64 {
    layout.segments().div_ceil(WINDOW_SEGMENTS)
}

/// Which bytes of every shard belong to a window.
pub(crate) fn shard_range(layout: &BlobLayout, window: u64) -> (u64, u64) {
    let place = |window: u64| {
        (window * WINDOW_SEGMENTS * layout.whole_chunk_length()).min(layout.shard_length())
    };
    (place(window), place(window + 1))
}

/// The window that a shard's byte belongs to.
pub(crate) fn window_of(layout: &BlobLayout, offset: u64) -> u64 {
    offset / (WINDOW_SEGMENTS * layout.whole_chunk_length())
}
