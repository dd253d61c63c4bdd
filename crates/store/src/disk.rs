//! One database in one folder, over fjall 3: a keyspace a table, one journal for all of them.
//!
//! - A write is one fjall batch: one entry of the journal, whole or absent after a crash. A key
//!   that changes twice in it is written once, with the last value, since fjall gives all parts of
//!   a batch one sequence number and would leave it open which of two wins.
//! - fjall hands a finished batch to the system, so that a dying process loses nothing, but not to
//!   the disk: `Synced` asks for `SyncData`, which covers every earlier batch in the journal.
//! - Reads go through a snapshot. fjall's direct reads see a batch while it is being applied.
//! - Memory is bounded by constants here, not by how much is written: the block cache, a write
//!   buffer a table, and the journal, whose size makes rarely written tables flush their buffers.
//! - Loss is noticed. Every synced write counts itself in a table of this store's own, and once it
//!   is durable the count goes into a small file beside the database. The file is not synced, so
//!   it is never ahead of the truth; a database that comes back behind it has lost what was
//!   durable (a disk that lies, rotten bytes, a folder put back from an older copy), and is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use fjall::Database;
use fjall::Keyspace;
use fjall::KeyspaceCreateOptions;
use fjall::PersistMode;
use fjall::Readable;
use fjall::Snapshot;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::Durability;
use crate::Store;
use crate::StoreError;
use crate::bounds;
use crate::bounds::KeyRange;
use crate::latch::Latch;
use crate::limits;

mod count;
mod repair;

/// What the block cache holds at most.
const CACHE_BYTES: u64 = 64 * 1_024 * 1_024;

/// When a table's write buffer goes to a file. A few such buffers of one table may wait for that.
const WRITE_BUFFER_BYTES: u64 = 16 * 1_024 * 1_024;

/// From which size on the journals make tables flush their buffers. It bounds what a start has to
/// replay, and what the buffers of rarely written tables hold together.
const JOURNAL_BYTES: u64 = 128 * 1_024 * 1_024;

/// Threads that flush buffers and merge files. More than one, so that a long merge of one table
/// does not hold back the flushes of all others.
const WORKERS: usize = 3;

/// How many files stay open.
const OPEN_FILES_MAX: usize = 256;

/// The keyspace of this store's own. No table has that name: `$` is not a letter.
const OWN_KEYSPACE: &str = "store$own";

/// Under which key the number of synced writes stands.
const COUNT_KEY: &[u8] = b"synced_writes";

/// Tables in a folder on disk. Only one process at a time has a folder open.
pub struct DiskStore {
    database: Database,
    shared: Arc<Shared>,
    own: Keyspace,
    synced: Mutex<count::Count>,
}

/// What snapshots need too.
struct Shared {
    keyspaces: BTreeMap<Table, Keyspace>,
    latch: Latch,
}

/// One state of all tables.
struct View {
    snapshot: Snapshot,
    shared: Arc<Shared>,
}

impl DiskStore {
    /// Opens the database in the folder `path` with these tables, creating what is missing. A
    /// write that was cut short is dropped whole.
    ///
    /// # Errors
    /// When another process has the folder open, when the folder can not be used, or when it has
    /// lost writes that were durable.
    pub fn open(path: &Path, tables: &[Table]) -> Result<Self, StoreError> {
        let database = repair::open(path, &|| open_database(path))?;
        let failed = |error: fjall::Error| database_error(path, &error);
        let own = database.keyspace(OWN_KEYSPACE, keyspace_options).map_err(failed)?;
        let mut keyspaces = BTreeMap::new();
        for table in tables {
            let keyspace = database.keyspace(table.name(), keyspace_options).map_err(failed)?;
            keyspaces.insert(*table, keyspace);
        }
        let found = own.get(COUNT_KEY).map_err(failed)?;
        let synced = count::Count::open(path, count::decode(found.as_deref()))?;
        let shared = Arc::new(Shared { keyspaces, latch: Latch::default() });
        Ok(Self { database, shared, own, synced: Mutex::new(synced) })
    }

    fn view(&self) -> Result<View, TableFault> {
        self.shared.latch.check()?;
        Ok(View { snapshot: self.database.snapshot(), shared: Arc::clone(&self.shared) })
    }

    /// Commits a batch; a failure is the last thing that this store does.
    fn commit(&self, last: &Last<'_>, durability: Durability) -> Result<(), TableFault> {
        let outcome = match durability {
            Durability::Buffered => self.batch(last).commit(),
            Durability::Synced => self.commit_synced(last),
        };
        outcome.map_err(|error| self.shared.latch.fail(fault(&error)))
    }

    fn commit_synced(&self, last: &Last<'_>) -> fjall::Result<()> {
        let mut synced = self.synced();
        let number = synced.next();
        let mut batch = self.batch(last).durability(Some(PersistMode::SyncData));
        batch.insert(&self.own, COUNT_KEY, count::encode(number));
        batch.commit()?;
        synced.record(number)?;
        Ok(())
    }

    fn batch(&self, last: &Last<'_>) -> fjall::OwnedWriteBatch {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(
            self.database.clone(),
            last.0.len().saturating_add(1),
        )
        .durability(Some(PersistMode::Buffer));
        for ((table, key), value) in &last.0 {
            let Some(keyspace) = self.shared.keyspaces.get(table) else { continue };
            match value {
                Some(value) => batch.insert(keyspace, *key, *value),
                None => batch.remove(keyspace, *key),
            }
        }
        batch
    }

    /// The count is changed only after a write has succeeded, so a poisoned lock holds a true one.
    fn synced(&self) -> MutexGuard<'_, count::Count> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last change of every key.
struct Last<'a>(BTreeMap<(Table, &'a [u8]), Option<&'a [u8]>>);

impl Shared {
    fn keyspace(&self, table: Table) -> Result<&Keyspace, TableFault> {
        match self.keyspaces.get(&table) {
            Some(keyspace) => Ok(keyspace),
            None => Err(limits::unknown_table(table.name())),
        }
    }

    /// Refuses what can not be written before anything is.
    fn last_changes<'a>(&self, changes: &'a Changes) -> Result<Last<'a>, TableFault> {
        let mut last = BTreeMap::new();
        for change in changes.iter() {
            limits::check(change)?;
            self.keyspace(change.table)?;
            last.insert((change.table, change.key.as_ref()), change.value.as_deref());
        }
        Ok(Last(last))
    }
}

impl Store for DiskStore {
    fn write(&self, changes: Changes, durability: Durability) -> Result<(), TableFault> {
        self.shared.latch.check()?;
        let last = self.shared.last_changes(&changes)?;
        self.commit(&last, durability)
    }

    fn sync(&self) -> Result<(), TableFault> {
        self.shared.latch.check()?;
        self.commit(&Last(BTreeMap::new()), Durability::Synced)
    }

    fn bytes(&self) -> Result<u64, TableFault> {
        self.shared.latch.check()?;
        self.database.disk_space().map_err(|error| fault(&error))
    }

    fn snapshot(&self) -> Result<Arc<dyn TableRead + Send + Sync>, TableFault> {
        Ok(Arc::new(self.view()?))
    }
}

impl TableRead for DiskStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault> {
        self.view()?.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        self.view()?.scan(table, prefix, from, limit)
    }

    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        self.view()?.scan_back(table, prefix, from, limit)
    }
}

impl View {
    fn range(&self, table: Table, range: Option<KeyRange>) -> Result<Rows, TableFault> {
        self.shared.latch.check()?;
        let keyspace = self.shared.keyspace(table)?;
        Ok(Rows(range.map(|range| self.snapshot.range(keyspace, range))))
    }
}

impl TableRead for View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault> {
        self.shared.latch.check()?;
        let keyspace = self.shared.keyspace(table)?;
        if key.is_empty() {
            return Ok(None);
        }
        let value = self.snapshot.get(keyspace, key).map_err(|error| fault(&error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let rows = self.range(table, bounds::ascending(prefix, from))?;
        rows.0.into_iter().flatten().take(limit).map(row).collect()
    }

    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let rows = self.range(table, bounds::descending(prefix, from))?;
        rows.0.into_iter().flat_map(Iterator::rev).take(limit).map(row).collect()
    }
}

/// The rows of a range; none when the range can hold none.
struct Rows(Option<fjall::Iter>);

/// Copies a row out of fjall's blocks, so that holding it does not hold a block.
fn row(guard: fjall::Guard) -> Result<Row, TableFault> {
    let (key, value) = guard.into_inner().map_err(|error| fault(&error))?;
    Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
}

fn open_database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .worker_threads(WORKERS)
        .max_cached_files(Some(OPEN_FILES_MAX))
        .open()
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES)
}

fn database_error(path: &Path, error: &fjall::Error) -> StoreError {
    StoreError::Database { path: path.to_owned(), reason: reason(error) }
}

fn fault(error: &fjall::Error) -> TableFault {
    TableFault { reason: reason(error) }
}

/// fjall prints its errors as debug text; the cases that a person can act on get words.
fn reason(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "a write in the background failed".to_owned(),
        other => format!("{other:?}"),
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tables = self.shared.keyspaces.keys().map(|table| table.name()).collect::<Vec<_>>();
        formatter.debug_struct("DiskStore").field("tables", &tables).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
