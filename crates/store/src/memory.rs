//! The disk's twin in memory: the same answers, and a crash on demand.
//!
//! Clones share one disk, as the processes before and after a crash do. Every write since the last
//! sync is kept with what it replaced, so that a crash can take back any number of them, last ones
//! first and whole ones only. A snapshot shares the tables until somebody writes to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use types::table::Changes;
use types::table::Row;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::Durability;
use crate::Store;
use crate::bounds;
use crate::limits;

type Rows = BTreeMap<Bytes, Bytes>;

/// Tables in memory that lose, in a crash, what was not synced. Clones share them.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    tables: Tables,
    unsynced: Vec<Vec<Replaced>>,
    fault: Option<TableFault>,
    fail_next: bool,
}

/// What a change replaced, to take it back.
#[derive(Debug)]
struct Replaced {
    table: Table,
    key: Bytes,
    value: Option<Bytes>,
}

/// One state of all tables.
#[derive(Clone, Debug)]
struct Tables(BTreeMap<Table, Arc<Rows>>);

impl MemoryStore {
    /// An empty disk with these tables.
    pub fn new(tables: &[Table]) -> Self {
        let tables = tables.iter().map(|table| (*table, Arc::default())).collect();
        let disk =
            Disk { tables: Tables(tables), unsynced: Vec::new(), fault: None, fail_next: false };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Forgets every write since the last sync, as a power cut at the worst moment does. A fault
    /// is forgotten too: what comes next is a new process.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// Crashes like [`MemoryStore::crash`], but keeps the first `writes` of the unsynced writes: a
    /// power cut may come at any moment, and the system may have written some of them by then.
    pub fn crash_keeping(&self, writes: usize) {
        let mut disk = self.disk();
        while disk.unsynced.len() > writes {
            let Some(write) = disk.unsynced.pop() else { break };
            for replaced in write.into_iter().rev() {
                disk.tables.set(replaced.table, replaced.key, replaced.value);
            }
        }
        disk.unsynced.clear();
        disk.fault = None;
        disk.fail_next = false;
    }

    /// How many writes a crash would forget now.
    pub fn unsynced_writes(&self) -> usize {
        self.disk().unsynced.len()
    }

    /// Makes the next write or sync fail, and with it everything until the next crash. Nothing of
    /// the failing write is kept.
    pub fn fail_next_write(&self) {
        self.disk().fail_next = true;
    }

    /// A panic while the lock is held leaves whole changes behind, so a poisoned lock is taken.
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable(&self) -> Result<MutexGuard<'_, Disk>, TableFault> {
        let disk = self.disk();
        match &disk.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(disk),
        }
    }

    fn writable(&self) -> Result<MutexGuard<'_, Disk>, TableFault> {
        let mut disk = self.readable()?;
        if disk.fail_next {
            let fault = TableFault { reason: "a write was made to fail".to_owned() };
            disk.fault = Some(fault.clone());
            return Err(fault);
        }
        Ok(disk)
    }
}

impl Store for MemoryStore {
    fn write(&self, changes: Changes, durability: Durability) -> Result<(), TableFault> {
        let mut disk = self.readable()?;
        for change in changes.iter() {
            limits::check(change)?;
            disk.tables.rows(change.table)?;
        }
        drop(disk);
        disk = self.writable()?;
        let mut write = Vec::with_capacity(changes.len());
        for change in changes {
            let value = disk.tables.set(change.table, change.key.clone(), change.value);
            write.push(Replaced { table: change.table, key: change.key, value });
        }
        match durability {
            Durability::Buffered => disk.unsynced.push(write),
            Durability::Synced => disk.unsynced.clear(),
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), TableFault> {
        self.writable()?.unsynced.clear();
        Ok(())
    }

    fn bytes(&self) -> Result<u64, TableFault> {
        let disk = self.readable()?;
        let rows = disk.tables.0.values().flat_map(|rows| rows.iter());
        let bytes: usize = rows.map(|(key, value)| key.len() + value.len()).sum();
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn snapshot(&self) -> Result<Arc<dyn TableRead + Send + Sync>, TableFault> {
        Ok(Arc::new(self.readable()?.tables.clone()))
    }
}

impl TableRead for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault> {
        self.readable()?.tables.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        self.readable()?.tables.scan(table, prefix, from, limit)
    }

    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        self.readable()?.tables.scan_back(table, prefix, from, limit)
    }
}

impl Tables {
    fn rows(&self, table: Table) -> Result<&Rows, TableFault> {
        match self.0.get(&table) {
            Some(rows) => Ok(rows),
            None => Err(limits::unknown_table(table.name())),
        }
    }

    /// Sets or removes one value and answers the one before.
    fn set(&mut self, table: Table, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let rows = Arc::make_mut(self.0.entry(table).or_default());
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        }
    }
}

impl TableRead for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault> {
        Ok(self.rows(table)?.get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let rows = self.rows(table)?;
        let Some((start, end)) = bounds::ascending(prefix, from) else { return Ok(Vec::new()) };
        let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let found = rows.range::<[u8], _>(range).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault> {
        let rows = self.rows(table)?;
        let Some((start, end)) = bounds::descending(prefix, from) else { return Ok(Vec::new()) };
        let range = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let found = rows.range::<[u8], _>(range).rev().take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COINS: Table = Table::new("coins");
    const BLOCKS: Table = Table::new("blocks");

    fn put(key: &'static [u8], value: &'static [u8]) -> Changes {
        let mut changes = Changes::default();
        changes.put(COINS, key, value);
        changes
    }

    #[test]
    fn a_crash_takes_back_exactly_the_unsynced_writes() {
        let store = MemoryStore::new(&[COINS, BLOCKS]);
        store.write(put(b"kept", b"1"), Durability::Buffered).unwrap();
        store.write(put(b"changed", b"2"), Durability::Synced).unwrap();
        let mut changes = put(b"changed", b"3");
        changes.put(BLOCKS, &b"lost"[..], &b"4"[..]);
        changes.remove(COINS, &b"kept"[..]);
        changes.put(COINS, &b"changed"[..], &b"5"[..]);
        store.write(changes, Durability::Buffered).unwrap();

        let next_process = store.clone();
        store.crash();

        assert_eq!(next_process.get(COINS, b"kept").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.get(COINS, b"changed").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(store.get(BLOCKS, b"lost").unwrap(), None);
    }

    #[test]
    fn a_crash_may_keep_the_first_of_the_unsynced_writes() {
        let store = MemoryStore::new(&[COINS]);
        for key in [b"a", b"b", b"c"] {
            store.write(put(key, b"1"), Durability::Buffered).unwrap();
        }
        assert_eq!(store.unsynced_writes(), 3);

        store.crash_keeping(2);

        assert!(store.get(COINS, b"b").unwrap().is_some());
        assert_eq!(store.get(COINS, b"c").unwrap(), None);
        assert_eq!(store.unsynced_writes(), 0);
    }

    #[test]
    fn after_a_failed_write_every_call_answers_the_same_fault_until_the_crash() {
        let store = MemoryStore::new(&[COINS]);
        store.write(put(b"a", b"1"), Durability::Synced).unwrap();
        store.fail_next_write();

        let fault = store.write(put(b"a", b"2"), Durability::Synced).unwrap_err();

        assert_eq!(store.write(put(b"a", b"3"), Durability::Buffered), Err(fault.clone()));
        assert_eq!(store.sync(), Err(fault.clone()));
        assert_eq!(store.get(COINS, b"a"), Err(fault.clone()));
        assert_eq!(store.snapshot().err(), Some(fault));
        store.crash();
        assert_eq!(store.get(COINS, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn a_refused_change_writes_nothing_and_the_store_goes_on() {
        let store = MemoryStore::new(&[COINS]);
        let mut changes = put(b"a", b"1");
        changes.put(BLOCKS, &b"b"[..], &b"2"[..]);

        assert!(store.write(changes, Durability::Synced).is_err());

        assert_eq!(store.get(COINS, b"a").unwrap(), None);
        assert!(store.write(put(b"", b"1"), Durability::Synced).is_err());
        store.write(put(b"a", b"1"), Durability::Synced).unwrap();
    }
}
