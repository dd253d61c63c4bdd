//! What this process uses, as `/proc` tells.

use std::fs;

/// Linux counts processor time for `/proc` in hundredths of a second on every common machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of this process so far, user and system, in seconds; zero where `/proc` does
/// not tell.
pub(crate) fn cpu_seconds() -> f64 {
    let read = || {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in the second field may hold blanks; it ends at the last bracket.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS_PER_SECOND)
    };
    read().unwrap_or_default()
}

/// The resident memory of this process now, in MB; zero where `/proc` does not tell.
pub(crate) fn rss_mb() -> f64 {
    status_mb("VmRSS:")
}

/// The most resident memory that this process ever had, in MB; zero where `/proc` does not tell.
pub(crate) fn peak_rss_mb() -> f64 {
    status_mb("VmHWM:")
}

fn status_mb(name: &str) -> f64 {
    let read = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_what_this_process_uses() {
        assert!(rss_mb() > 0.0);
        assert!(peak_rss_mb() >= rss_mb() * 0.5);
        assert!(cpu_seconds() >= 0.0);
    }
}
