//! The readers of strangers' bytes by themselves, for fuzzing: what they take, and nothing behind.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use crate::electrum::Lines;
use crate::jsonrpc;
use crate::p2p::Frames;

/// Places for long lines and messages.
const PLACES: usize = 1;
/// How many requests a batch holds.
const BATCH_MAX: usize = 100;

/// Reads bytes as Electrum's lines of requests until the connection would be closed, and gives how
/// many requests there were.
pub fn read_electrum(bytes: &[u8]) -> usize {
    let mut lines = Lines::new(bytes, Arc::new(Semaphore::new(PLACES)));
    let mut requests = 0;
    while let Some(Ok(line)) = lines.next().now_or_never() {
        requests += match jsonrpc::read(&line, BATCH_MAX) {
            Ok(jsonrpc::Incoming::One(_)) => 1,
            Ok(jsonrpc::Incoming::Batch(calls)) => calls.len(),
            Err(_) => 0,
        };
    }
    requests
}

/// Reads bytes as messages of Bitcoin's network until the connection would be closed, and gives them
/// as they would be sent.
pub fn read_bitcoin(bytes: &[u8]) -> Vec<u8> {
    let mut frames = Frames::new(bytes, Arc::new(Semaphore::new(PLACES)));
    let mut sent = Vec::new();
    while let Some(Ok(message)) = frames.next().now_or_never() {
        sent.extend(crate::p2p::bytes(message));
    }
    sent
}
