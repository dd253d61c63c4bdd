//! The one place that reads clocks for the machines.

use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use types::Moment;
use types::TimestampMs;

/// This process's clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    offset_ms: i64,
}

impl Clock {
    /// The wall clock is set off by `offset_ms`, which is zero but for experiments.
    pub(super) fn start(offset_ms: i64) -> Self {
        Self { start: Instant::now(), offset_ms }
    }

    /// The monotonic time since the start.
    pub(super) fn now(self) -> Moment {
        Moment::new(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When `moment` is, for whoever waits for it.
    pub(super) fn instant(self, moment: Moment) -> Instant {
        self.start + std::time::Duration::from_micros(moment.value())
    }

    /// What the system believes the time to be. A clock before 1970 counts as 1970: only the median
    /// of many validators is ever used.
    pub(super) fn wall(self) -> TimestampMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        TimestampMs::new(millis.saturating_add_signed(self.offset_ms))
    }
}
