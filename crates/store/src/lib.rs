//! Durable tables behind one trait, and an in-memory twin that can lose what was not synced.
//!
//! A machine asks for [`Changes`] to be written; this crate applies them
//! in one atomic step, over all tables, and says when they are durable. It knows no vertex, no
//! coin and no key: it never looks into the bytes, never retries a failed write, and never goes
//! on after one, since a disk that failed once may have dropped what it said it kept.
//!
//! The main types are the trait [`Store`]; [`DiskStore`], one database in one folder; and
//! [`MemoryStore`], its twin for tests and simulations, whose `crash` forgets unsynced writes.
//!
//! **Why fjall.** A validator lives on small synced batches: its own vertex must be durable
//! before the first byte of it is sent, some ten to hundred times a second. Measured on the kind
//! of machine that this was written on, a synced batch of 6,000 operations takes fjall 12 ms and
//! redb 87 ms (median), because a log-structured store appends once where a B-tree writes pages
//! in many places. The price is slower point reads (5.6 against 1.6 microseconds) and a slower
//! start (0.8 s against 2 ms); caches stand before the former, and the latter happens once.
//! `benches/synced_batches.rs` measures the first figure again.
//!
//! ```
//! use store::Durability;
//! use store::MemoryStore;
//! use store::Store;
//! use types::table::Changes;
//! use types::table::Table;
//! use types::table::TableRead;
//!
//! const COINS: Table = Table::new("coins");
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new(&[COINS]);
//! let mut changes = Changes::default();
//! changes.put(COINS, &b"first"[..], &b"5"[..]);
//! store.write(changes, Durability::Synced)?;
//!
//! let mut changes = Changes::default();
//! changes.put(COINS, &b"second"[..], &b"7"[..]);
//! store.write(changes, Durability::Buffered)?;
//!
//! store.crash();
//! assert_eq!(store.get(COINS, b"first")?.as_deref(), Some(&b"5"[..]));
//! assert_eq!(store.get(COINS, b"second")?, None);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bounds;
mod disk;
mod error;
mod latch;
mod limits;
mod memory;

use std::sync::Arc;

use types::table::Changes;
use types::table::TableFault;
use types::table::TableRead;

pub use disk::DiskStore;
pub use error::StoreError;
pub use limits::KEY_BYTES_MAX;
pub use limits::VALUE_BYTES_MAX;
pub use memory::MemoryStore;

/// When a write has to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Visible at once and safe when this process dies; a power cut may take it, and with it only
    /// writes that came later.
    Buffered,
    /// This write and every earlier one survive a power cut once the call has returned.
    Synced,
}

/// Tables that can be written. All methods may be called from several threads; writes take effect
/// one after the other.
///
/// Reads see every write that has returned, and never half of one. Two reads may see different
/// states; whoever needs one state takes a [`Store::snapshot`].
pub trait Store: TableRead + Send + Sync + 'static {
    /// Applies `changes` in one atomic step.
    ///
    /// # Errors
    /// When the store failed, now or at an earlier write: after a failed write every later call,
    /// reading ones too, answers the same fault. A change that no store could take (a table that
    /// was not opened, a key or value beyond its bound) is refused before anything is written,
    /// and then the store goes on.
    fn write(&self, changes: Changes, durability: Durability) -> Result<(), TableFault>;

    /// Makes everything durable that was written so far.
    ///
    /// # Errors
    /// When the store failed, now or at an earlier write.
    fn sync(&self) -> Result<(), TableFault>;

    /// How much room the tables take where they are kept, in bytes. An estimate: what is removed or
    /// replaced goes away later.
    ///
    /// # Errors
    /// When the store failed.
    fn bytes(&self) -> Result<u64, TableFault>;

    /// One state of all tables that later writes do not change. Hold it briefly: while it lives,
    /// the store keeps every value that it shows.
    ///
    /// # Errors
    /// When the store failed at an earlier write.
    fn snapshot(&self) -> Result<Arc<dyn TableRead + Send + Sync>, TableFault>;
}
