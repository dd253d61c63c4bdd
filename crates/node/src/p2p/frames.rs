//! Messages from a socket, each bounded in length and time.
//!
//! **Full rule:** a message longer than [`MESSAGE_SHORT_MAX`] needs one of the places for long
//! messages; when none is free the connection is closed rather than kept waiting. Memory is taken
//! as bytes arrive, not as they are promised.

use std::sync::Arc;

use bitcoin::consensus::encode;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message::RawNetworkMessage;
use bytes::Buf as _;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Closed;

use super::MESSAGE_BYTES_MAX;
use super::MESSAGE_SHORT_MAX;
use super::NETWORK_MAGIC;

/// The magic, the command, the length and the checksum.
const HEADER_BYTES: usize = 24;
/// Where the length stands in it.
const LENGTH_AT: std::ops::Range<usize> = 16..20;
/// How many bytes are asked for at one time.
const READ_BYTES: usize = 16 << 10;

/// What is read of one connection.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    read: R,
    buffer: BytesMut,
    /// Since when the message that is not complete yet has been coming.
    since: Option<Instant>,
    long: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Reads from a socket; `long` has the places for long messages.
    pub(crate) fn new(read: R, long: Arc<Semaphore>) -> Self {
        Self { read, buffer: BytesMut::new(), since: None, long, place: None }
    }

    /// Since when an incomplete message has been coming, if one has.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The next message. Cancel safe: what was read stays.
    ///
    /// # Errors
    /// Says why the connection is to be closed; that the other side left is one of the reasons.
    pub(crate) async fn next(&mut self) -> Result<NetworkMessage, Closed> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.buffer.reserve(READ_BYTES);
            match self.read.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(Closed::Left),
                Ok(_) => {}
            }
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn take(&mut self) -> Result<Option<NetworkMessage>, Closed> {
        // Another network's first bytes are enough: nobody waits for the rest of a header.
        let magic = NETWORK_MAGIC.to_bytes();
        if self.buffer.iter().zip(magic).any(|(byte, expected)| *byte != expected) {
            return Err(Closed::Malformed);
        }
        let length = self.buffer.get(LENGTH_AT).and_then(|bytes| bytes.try_into().ok());
        let Some(length) = length.map(u32::from_le_bytes) else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(Closed::Oversized);
        }
        if length > MESSAGE_SHORT_MAX && self.place.is_none() {
            let place = Arc::clone(&self.long).try_acquire_owned();
            self.place = Some(place.map_err(|_| Closed::Busy)?);
        }
        let end = HEADER_BYTES + length;
        let Some(bytes) = self.buffer.get(..end) else { return Ok(None) };
        let message = encode::deserialize::<RawNetworkMessage>(bytes);
        self.buffer.advance(end);
        self.since = (!self.buffer.is_empty()).then(Instant::now);
        if self.place.take().is_some() {
            // What a long message took is given back, not kept for the next one.
            self.buffer = BytesMut::from(self.buffer.as_ref());
        }
        let message = message.map_err(|_| Closed::Malformed)?;
        Ok(Some(message.into_payload()))
    }
}

/// A message as it is sent.
pub(crate) fn bytes(message: NetworkMessage) -> Vec<u8> {
    encode::serialize(&RawNetworkMessage::new(NETWORK_MAGIC, message))
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use proptest::prelude::*;

    use super::*;

    fn frames(bytes: &[u8], long: usize) -> Frames<&[u8]> {
        Frames::new(bytes, Arc::new(Semaphore::new(long)))
    }

    #[tokio::test]
    async fn messages_come_one_by_one_whatever_arrives_together() {
        let sent = [bytes(NetworkMessage::Ping(7)), bytes(NetworkMessage::Verack)].concat();
        let mut read = frames(&sent, 0);
        assert_eq!(read.next().await, Ok(NetworkMessage::Ping(7)));
        assert_eq!(read.next().await, Ok(NetworkMessage::Verack));
        assert_eq!(read.next().await, Err(Closed::Left));
    }

    #[tokio::test]
    async fn other_networks_and_broken_messages_are_refused_at_once() {
        // What version 2 transport begins with is random, and the first byte tells.
        assert_eq!(frames(&[0; 1], 1).next().await, Err(Closed::Malformed));
        let mut broken = bytes(NetworkMessage::Ping(7));
        broken[30] ^= 1;
        assert_eq!(frames(&broken, 1).next().await, Err(Closed::Malformed));
        let mut long = bytes(NetworkMessage::Verack);
        long[LENGTH_AT].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(frames(&long, 1).next().await, Err(Closed::Oversized));
        long[LENGTH_AT].copy_from_slice(&1_000_000_u32.to_le_bytes());
        assert_eq!(frames(&long, 0).next().await, Err(Closed::Busy));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in any::<Vec<u8>>(), command in "[a-z]{0,12}") {
            let mut sent = NETWORK_MAGIC.to_bytes().to_vec();
            sent.extend(command.as_bytes());
            sent.resize(16, 0);
            sent.extend(u32::try_from(tail.len()).unwrap().to_le_bytes());
            let checksum = bitcoin::hashes::sha256d::Hash::hash(&tail);
            sent.extend(&AsRef::<[u8]>::as_ref(&checksum)[..4]);
            sent.extend(&tail);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(frames(&sent, 1).next());
        }
    }
}
