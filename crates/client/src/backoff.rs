//! Pauses between tries: growing, capped, and spread, so that many clients of a node that comes
//! back do not all knock at once.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::time::Duration;

/// The first pause is at most this long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The pauses of one row of tries.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: PAUSE_FIRST }
    }
}

impl Backoff {
    /// A pause between half the ceiling and the ceiling, which then doubles.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let half = self.ceiling / 2;
        let spread_us = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        let pause = half + Duration::from_micros(random() % spread_us);
        self.ceiling = self.ceiling.saturating_mul(2).min(PAUSE_MAX);
        pause
    }

    /// Starts again, after a success.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Good enough to spread pauses: the standard library seeds every hash state at random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stop_growing() {
        let mut backoff = Backoff::default();

        let pauses: Vec<Duration> = (0..20).map(|_| backoff.next_pause()).collect();

        assert!(pauses[0] >= PAUSE_FIRST / 2 && pauses[0] <= PAUSE_FIRST);
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX));
        assert!(pauses[19] >= PAUSE_MAX / 2);
        backoff.reset();
        assert!(backoff.next_pause() <= PAUSE_FIRST);
    }
}
