//! A line of a log that somebody else can cause is written now and then, with how many were left
//! out: nobody fills a disk with lines.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// At most one line in so long.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Says when a line may be written.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    // Two words behind a mutex: links of several tasks share a limit.
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    /// Whether a line may be written now, and how many were left out since the last one.
    pub(crate) fn allow(&self) -> Option<u64> {
        self.allow_at(Instant::now())
    }

    fn allow_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < LOG_INTERVAL) {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_an_interval_and_the_rest_is_counted() {
        let limit = LogLimit::default();
        let start = Instant::now();
        assert_eq!(limit.allow_at(start), Some(0));
        for _ in 0..1_000 {
            assert_eq!(limit.allow_at(start + LOG_INTERVAL / 2), None);
        }
        assert_eq!(limit.allow_at(start + LOG_INTERVAL), Some(1_000));
        assert_eq!(limit.allow_at(start + LOG_INTERVAL * 2), Some(0));
    }
}
