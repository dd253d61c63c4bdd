//! Lines from a socket, each bounded in length and time.
//!
//! **Full rule:** a line longer than [`LINE_SHORT_MAX`] needs one of the places for long lines; when
//! none is free the connection is closed rather than kept waiting with a full buffer.

use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Closed;

use super::LINE_BYTES_MAX;
use super::LINE_SHORT_MAX;

/// How many bytes are asked for at one time.
const READ_BYTES: usize = 8 << 10;

/// What is read of one connection.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    read: R,
    buffer: BytesMut,
    /// No line ends before this place.
    searched: usize,
    /// Since when the line that is not complete yet has been coming.
    since: Option<Instant>,
    long: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads from a socket; `long` has the places for long lines.
    pub(crate) fn new(read: R, long: Arc<Semaphore>) -> Self {
        Self { read, buffer: BytesMut::new(), searched: 0, since: None, long, place: None }
    }

    /// Since when an incomplete line has been coming, if one has.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The next line without its end. Cancel safe: what was read stays.
    ///
    /// # Errors
    /// Says why the connection is to be closed; that the other side left is one of the reasons.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Closed> {
        loop {
            if let Some(line) = self.take() {
                return Ok(line);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Closed::Oversized);
            }
            if self.buffer.len() > LINE_SHORT_MAX && self.place.is_none() {
                let place = Arc::clone(&self.long).try_acquire_owned();
                self.place = Some(place.map_err(|_| Closed::Busy)?);
            }
            self.buffer.reserve(READ_BYTES);
            match self.read.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(Closed::Left),
                Ok(_) => {}
            }
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let fresh = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + end + 1);
        self.searched = 0;
        self.since = (!self.buffer.is_empty()).then(Instant::now);
        if self.buffer.len() <= LINE_SHORT_MAX {
            // What a long line took is given back, not kept for the next one.
            self.buffer = BytesMut::from(self.buffer.as_ref());
            self.place = None;
        }
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], long: usize) -> Lines<&[u8]> {
        Lines::new(bytes, Arc::new(Semaphore::new(long)))
    }

    #[tokio::test]
    async fn lines_come_one_by_one_whatever_arrives_together() {
        let mut lines = lines(b"one\r\ntwo\n\nrest", 1);
        for expected in ["one\r\n", "two\n", "\n"] {
            assert_eq!(lines.next().await, Ok(Bytes::from_static(expected.as_bytes())));
        }
        assert!(lines.since().is_some());
        assert_eq!(lines.next().await, Err(Closed::Left));
    }

    #[tokio::test]
    async fn a_line_is_as_long_as_the_bound_and_no_longer() {
        let mut fits = vec![b' '; LINE_BYTES_MAX - READ_BYTES];
        fits.push(b'\n');
        assert_eq!(lines(&fits, 1).next().await.map(|line| line.len()), Ok(fits.len()));
        assert_eq!(lines(&fits, 0).next().await, Err(Closed::Busy));
        let longer = vec![b' '; LINE_BYTES_MAX + READ_BYTES];
        assert_eq!(lines(&longer, 1).next().await, Err(Closed::Oversized));
    }
}
