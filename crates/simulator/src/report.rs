//! What a run came to.

use std::fmt;

use serde::Serialize;
use serde::Serializer;
use types::Digest;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The seed that replays it.
    pub seed: u64,
    /// Who decided how messages travel, and who was faulty how.
    pub against: String,
    /// The rounds that were asked for.
    pub rounds: u64,
    /// The highest round that an honest validator has built.
    pub last_round: u64,
    /// The round up to which every honest validator has decided every slot.
    pub last_decided_round: u64,
    /// How many rounds lay, at worst and at any honest validator, between the highest round with a
    /// quorum and the highest one of which every slot was decided.
    pub undecided_gap_max: u64,
    /// How many commits there are.
    pub commits: u64,
    /// The digest of the last one, which chains over all of them.
    pub order_digest: Digest,
    /// The hash over every delivery and every output.
    pub trace_digest: Digest,
    /// Whether every promise was kept, or which one was not.
    pub safety: Safety,
    /// From making a leader to its commit, both at its author, in message delays.
    pub leader_latency: Latency,
    /// From making any vertex to the commit that orders it, both at its author, in message delays.
    pub vertex_latency: Latency,
    /// How long a message took on average, in virtual milliseconds.
    pub message_delay_ms: f64,
    /// How long the run was, in message delays.
    pub duration_delays: f64,
    /// How many messages arrived.
    pub messages: u64,
    /// How often a validator lost its power.
    pub crashes: u64,
    /// How often an honest validator proved a fault of another one.
    pub accusations: u64,
    /// The most vertices that an honest validator held when it was looked at.
    pub held_vertices_max: u64,
    /// The most bytes of vertices.
    pub held_bytes_max: u64,
    /// The most vertices that one wanted at a time.
    pub fetching_max: u64,
    /// What became of the clients' transactions.
    pub transactions: Transactions,
}

/// A distribution of times, in message delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The middle one.
    pub p50: f64,
    /// The one that nine of ten do not exceed.
    pub p90: f64,
}

/// What became of the clients' transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Transactions {
    /// How many were handed to validators.
    pub submitted: u64,
    /// How many of them were answered as accepted.
    pub accepted: u64,
    /// How many are final.
    #[serde(rename = "final")]
    pub finals: u64,
    /// How many lost to another one, or were refused.
    pub rejected: u64,
}

/// Whether every promise was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Every one was.
    Kept,
    /// This one was not.
    Broken(String),
}

impl Safety {
    /// Whether every promise was kept.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

impl fmt::Display for Safety {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kept => "ok",
            Self::Broken(what) => what,
        })
    }
}

impl Serialize for Safety {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Latency {
    /// Sums up times that are given in microseconds; `delay` is what counts as one.
    pub(crate) fn of(mut micros: Vec<u64>, delay: f64) -> Self {
        micros.sort_unstable();
        let Some(last) = micros.len().checked_sub(1) else { return Self::default() };
        let at = |percent: usize| ratio(micros[last * percent / 100], delay);
        let count = u64::try_from(micros.len()).unwrap_or(u64::MAX);
        let sum: u64 = micros.iter().sum();
        Self { count, mean: ratio(sum, delay) / to_f64(count), p50: at(50), p90: at(90) }
    }
}

/// `micros` in units of `delay`, to a thousandth; zero when there is no unit.
pub(crate) fn ratio(micros: u64, delay: f64) -> f64 {
    if delay > 0.0 { to_f64(micros) / delay } else { 0.0 }
}

/// Exact below 2^53, which no count of a run reaches.
pub(crate) fn to_f64(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_summed_up_in_delays() {
        let latency = Latency::of(vec![500, 100, 300], 100.0);
        assert_eq!(latency, Latency { count: 3, mean: 3.0, p50: 3.0, p90: 3.0 });
        assert_eq!(Latency::of(Vec::new(), 100.0), Latency::default());
        assert_eq!(to_f64(1 << 40), 1_099_511_627_776.0);
    }

    #[test]
    fn a_kept_promise_is_written_as_ok() {
        assert_eq!(serde_json::to_string(&Safety::Kept).unwrap(), "\"ok\"");
        let broken = Safety::Broken("two orders".to_owned());
        assert_eq!(serde_json::to_string(&broken).unwrap(), "\"two orders\"");
    }
}
