//! What was measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::to_f64;

/// The finest step of a latency is a microsecond, the largest latency an hour, three digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 3;

/// A measurement of ordering.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// How many validators.
    pub(crate) validators: u16,
    /// The size of a transaction.
    pub(crate) tx_bytes: usize,
    /// What was asked to be offered in a second.
    pub(crate) rate: u64,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// What was offered in a second.
    pub(crate) offered_per_s: f64,
    /// How many found no place to wait.
    pub(crate) refused: u64,
    /// How many transactions were committed, as the first validator sees it.
    pub(crate) committed: u64,
    /// The same in a second.
    pub(crate) committed_per_s: f64,
    /// Megabytes of transactions committed in a second.
    pub(crate) mb_per_s: f64,
    /// Commits in a second.
    pub(crate) commits_per_s: f64,
    /// Rounds in a second.
    pub(crate) rounds_per_s: f64,
    /// Half of all transactions took no longer.
    pub(crate) p50_ms: f64,
    /// Nine of ten took no longer.
    pub(crate) p90_ms: f64,
    /// Ninety-nine of a hundred took no longer.
    pub(crate) p99_ms: f64,
    /// The slowest one.
    pub(crate) max_ms: f64,
    /// Processor time of all validators together, in seconds.
    pub(crate) cpu_s: f64,
    /// The most memory that all validators together had, in MB.
    pub(crate) peak_rss_mb: f64,
    /// Commits that a validator was too busy to take note of: their transactions are missing above.
    pub(crate) missed_commits: u64,
    /// The memory minute by minute.
    pub(crate) rss_by_minute: Vec<MinuteRss>,
    /// Resident memory second by second, in MB.
    pub(crate) rss_mb: Vec<f64>,
}

/// The memory in one minute.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct MinuteRss {
    /// Which minute, from 1.
    pub(crate) minute: usize,
    /// The most, in MB.
    pub(crate) peak_mb: f64,
    /// The average, in MB.
    pub(crate) mean_mb: f64,
}

/// Latencies in fine steps.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// No latency yet.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS);
        Self(histogram.expect("the bounds are constants that the histogram takes"))
    }

    /// Notes one.
    pub(crate) fn note(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// Takes over those of another.
    pub(crate) fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of range.
        self.0.add(&other.0).ok();
    }

    /// The latency that a share of all did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        to_f64(self.0.value_at_quantile(share)) / 1e3
    }

    /// The slowest, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        to_f64(self.0.max()) / 1e3
    }
}

/// Sums samples of each second up to minutes. An incomplete last minute counts when it is half.
pub(crate) fn by_minute(samples: &[f64]) -> Vec<MinuteRss> {
    samples
        .chunks(60)
        .zip(1..)
        .filter(|(chunk, minute)| chunk.len() >= 30 || *minute == 1)
        .map(|(chunk, minute)| MinuteRss {
            minute,
            peak_mb: chunk.iter().copied().fold(0.0, f64::max),
            mean_mb: chunk.iter().sum::<f64>()
                / to_f64(u64::try_from(chunk.len()).unwrap_or(u64::MAX)).max(1.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_fine() {
        let mut latencies = Latencies::new();
        for millis in 1..=100 {
            latencies.note(Duration::from_millis(millis));
        }
        assert!((latencies.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((latencies.quantile_ms(0.99) - 99.0).abs() < 0.1);
    }

    #[test]
    fn samples_are_summed_up_minute_by_minute() {
        let samples: Vec<f64> = (0..180_u32).map(f64::from).collect();
        let minutes = by_minute(&samples);
        assert_eq!(minutes.len(), 3);
        assert!((minutes[2].peak_mb - 179.0).abs() < 1e-9);
        assert_eq!(by_minute(&samples[..70]).len(), 1);
    }
}
