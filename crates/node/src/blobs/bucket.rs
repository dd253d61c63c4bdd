//! A token bucket: so many bytes a second, and a second's worth at once.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Slows whoever takes from it down. One waits at a time, the others behind it.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_s: u64,
    /// When the bucket will be full again. The lock is held while its holder waits: that is the queue.
    full_at: Mutex<Instant>,
}

impl Bucket {
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: bytes_per_s.max(1), full_at: Mutex::new(Instant::now()) }
    }

    /// Waits until so many bytes may be taken. Cancel safe: whoever goes away has taken nothing.
    pub(super) async fn take(&self, bytes: u64) {
        let mut full_at = self.full_at.lock().await;
        let (due, full) = self.plan(*full_at, Instant::now(), bytes);
        tokio::time::sleep_until(due).await;
        *full_at = full;
    }

    /// When so many bytes may be taken, and when the bucket is full again then.
    fn plan(&self, full_at: Instant, now: Instant, bytes: u64) -> (Instant, Instant) {
        let cost = Duration::from_micros(bytes.saturating_mul(1_000_000) / self.bytes_per_s);
        let from = full_at.max(now);
        // What was taken before leaves at most a second's worth of debt.
        let due = from.checked_sub(Duration::from_secs(1)).unwrap_or(from);
        (due.max(now), from + cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_free_and_what_follows_comes_at_the_rate() {
        let bucket = Bucket::new(1_000);
        let now = Instant::now();
        let seconds = |count| now + Duration::from_secs(count);
        let (due, full) = bucket.plan(now, now, 1_000);
        assert_eq!((due, full), (now, seconds(1)));
        let (due, full) = bucket.plan(full, now, 2_000);
        assert_eq!((due, full), (now, seconds(3)));
        assert_eq!(bucket.plan(full, now, 1).0, seconds(2));
        assert_eq!(bucket.plan(full, seconds(9), 1).0, seconds(9));
    }
}
