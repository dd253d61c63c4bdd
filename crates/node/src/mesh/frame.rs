//! Frames: a `u32` length, little endian, and that many bytes. A length of zero is a keep-alive.
//!
//! **Invariant:** memory is reserved only for a length within its limit, after the peer's room for
//! it was granted. Deadlines run from one piece of progress to the next, so that a slow link that
//! moves is never cut.

use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// A link on which nothing at all moves for so long is taken down and dialled again.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);
/// How often a keep-alive is sent on a link that has nothing to say.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(8);
/// How many bytes are written before the deadline starts anew.
const WRITE_CHUNK: usize = 64 * 1024;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The socket or TLS failed, or the peer hung up.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Nothing moved for too long.
    #[error("nothing moved for {} s", STALL_MAX.as_secs())]
    Stalled,
    /// The peer announced more than is allowed.
    #[error("a frame of {actual} bytes is above the limit of {limit}")]
    TooLong {
        /// The limit of this connection.
        limit: usize,
        /// What the peer announced.
        actual: u32,
    },
    /// Something in a frame was invalid.
    #[error("the peer sent something invalid")]
    Invalid,
    /// This node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Reads the length of the next frame, passing over keep-alives.
pub(super) async fn read_length(
    reader: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<u32, FrameError> {
    loop {
        match progress(reader.read_u32_le()).await? {
            0 => {}
            length if usize::try_from(length).is_ok_and(|length| length <= limit) => {
                return Ok(length);
            }
            actual => return Err(FrameError::TooLong { limit, actual }),
        }
    }
}

/// Reads a frame's body, whose length was checked.
pub(super) async fn read_body(
    reader: &mut (impl AsyncRead + Unpin),
    length: u32,
) -> Result<Bytes, FrameError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut body = BytesMut::with_capacity(length);
    let mut limited = reader.take(u64::try_from(length).unwrap_or(u64::MAX));
    while body.len() < length {
        if progress(limited.read_buf(&mut body)).await? == 0 {
            return Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(body.freeze())
}

/// Writes one frame; the bytes may wait in a buffer until the writer is flushed.
pub(super) async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    body: &[u8],
) -> Result<(), FrameError> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    progress(writer.write_all(&length.to_le_bytes())).await?;
    for chunk in body.chunks(WRITE_CHUNK) {
        progress(writer.write_all(chunk)).await?;
    }
    Ok(())
}

/// Sends on what waits in the writer's buffer.
pub(super) async fn flush(writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
    progress(writer.flush()).await
}

async fn progress<T>(
    step: impl Future<Output = Result<T, std::io::Error>>,
) -> Result<T, FrameError> {
    match timeout(STALL_MAX, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(FrameError::Stalled),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1_000;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    async fn read_all(mut bytes: &[u8]) -> (Vec<Bytes>, FrameError) {
        let mut frames = Vec::new();
        loop {
            let length = match read_length(&mut bytes, LIMIT).await {
                Ok(length) => length,
                Err(error) => return (frames, error),
            };
            match read_body(&mut bytes, length).await {
                Ok(body) => frames.push(body),
                Err(error) => return (frames, error),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_out_as_they_went_in(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
        ) {
            let (read, error) = block_on(async {
                let mut wire = Vec::new();
                for body in &bodies {
                    write_frame(&mut wire, body).await.unwrap();
                }
                read_all(&wire).await
            });
            // An empty body is what a keep-alive looks like, so it never comes out.
            let sent: Vec<_> = bodies.into_iter().filter(|body| !body.is_empty()).collect();
            prop_assert_eq!(read, sent);
            prop_assert!(matches!(error, FrameError::Io(_)));
        }

        #[test]
        fn any_bytes_end_in_an_error_and_never_in_a_frame_above_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..4_096),
        ) {
            let (frames, _) = block_on(read_all(&bytes));
            prop_assert!(frames.iter().all(|frame| (1..=LIMIT).contains(&frame.len())));
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_a_byte_of_it_is_read() {
        let error = block_on(read_length(&mut u32::MAX.to_le_bytes().as_slice(), LIMIT));
        assert!(matches!(error, Err(FrameError::TooLong { limit: LIMIT, actual: u32::MAX })));
    }
}
