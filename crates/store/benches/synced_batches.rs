//! How long a synced batch takes: `cargo bench -p meanwhile-store`.
//!
//! A synced write stands before the first byte of every vertex, so its time is part of the time to
//! finality. Prints the median, the 99th part in a hundred and the slowest, for small batches as
//! ordering writes them and for large ones as the ledger does.

use std::time::Duration;
use std::time::Instant;

use store::DiskStore;
use store::Durability;
use store::Store;
use types::table::Changes;
use types::table::Table;

const ROWS: Table = Table::new("rows");

/// One kind of batch.
struct Load {
    name: &'static str,
    operations: u64,
    value_bytes: usize,
    batches: u64,
}

const LOADS: [Load; 3] = [
    Load { name: "one vertex of 64 KiB", operations: 1, value_bytes: 65_536, batches: 200 },
    Load { name: "100 rows of 100 bytes", operations: 100, value_bytes: 100, batches: 200 },
    Load { name: "6,000 rows of 100 bytes", operations: 6_000, value_bytes: 100, batches: 60 },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for load in &LOADS {
        let folder = tempfile::tempdir()?;
        let store = DiskStore::open(folder.path(), &[ROWS])?;
        let mut times = Vec::new();
        for batch in 0..load.batches {
            let changes = batch_of(load, batch);
            let start = Instant::now();
            store.write(changes, Durability::Synced)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let (p50, p99, slowest) = (part(&times, 50), part(&times, 99), part(&times, 100));
        report(&format!("{:<24} p50 {p50:>9.2?}  p99 {p99:>9.2?}  max {slowest:>9.2?}", load.name));
    }
    Ok(())
}

/// Keys spread as hashes are, so that a batch touches many places.
fn batch_of(load: &Load, batch: u64) -> Changes {
    let mut changes = Changes::default();
    for operation in 0..load.operations {
        let number = batch.wrapping_mul(load.operations).wrapping_add(operation);
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        changes.put(ROWS, key.to_vec(), vec![key[0]; load.value_bytes]);
    }
    changes
}

fn part(sorted: &[Duration], percent: usize) -> Duration {
    let position = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(position).copied().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "a benchmark's answer is what it prints")]
fn report(line: &str) {
    println!("{line}");
}
