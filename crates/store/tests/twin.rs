//! The disk and its twin answer alike, whatever is asked of them, and the twin forgets in a crash
//! exactly what was not synced.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use store::DiskStore;
use store::Durability;
use store::MemoryStore;
use store::Store;
use types::table::Changes;
use types::table::Table;
use types::table::TableRead;

const TABLES: [Table; 2] = [Table::new("coins"), Table::new("blocks")];

/// One write: changes of tables, keys and values, and whether it is synced.
#[derive(Clone, Debug)]
struct Write {
    changes: Vec<(usize, Vec<u8>, Option<Vec<u8>>)>,
    synced: bool,
}

#[derive(Clone, Debug)]
struct Scan {
    prefix: Vec<u8>,
    from: Vec<u8>,
    limit: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Sync,
    Get(usize, Vec<u8>),
    Scan(usize, Scan),
    Snapshot,
    Reopen,
}

/// Keys of few different bytes, the highest one among them, so that prefixes meet.
fn key(lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), Just(254), Just(255)], lengths)
}

fn write() -> impl Strategy<Value = Write> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..6));
    let changes = prop::collection::vec((0..TABLES.len(), key(1..4), value), 0..8);
    (changes, any::<bool>()).prop_map(|(changes, synced)| Write { changes, synced })
}

fn scan() -> impl Strategy<Value = Scan> {
    (key(0..3), key(0..4), 0_usize..6).prop_map(|(prefix, from, limit)| Scan {
        prefix,
        from,
        limit,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => write().prop_map(Step::Write),
        1 => Just(Step::Sync),
        4 => (0..TABLES.len(), key(0..4)).prop_map(|(table, key)| Step::Get(table, key)),
        8 => (0..TABLES.len(), scan()).prop_map(|(table, scan)| Step::Scan(table, scan)),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Reopen),
    ]
}

fn changes(write: &Write) -> Changes {
    let mut changes = Changes::default();
    for (table, key, value) in &write.changes {
        match value {
            Some(value) => changes.put(TABLES[*table], key.clone(), value.clone()),
            None => changes.remove(TABLES[*table], key.clone()),
        }
    }
    changes
}

fn durability(write: &Write) -> Durability {
    if write.synced { Durability::Synced } else { Durability::Buffered }
}

/// What the tables should hold, kept apart from the code under test.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model([BTreeMap<Vec<u8>, Vec<u8>>; 2]);

impl Model {
    fn write(&mut self, write: &Write) {
        for (table, key, value) in &write.changes {
            match value {
                Some(value) => self.0[*table].insert(key.clone(), value.clone()),
                None => self.0[*table].remove(key),
            };
        }
    }

    fn of(read: &dyn TableRead) -> Self {
        Self(TABLES.map(|table| {
            let rows = read.scan(table, &[], &[], usize::MAX).unwrap();
            rows.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
        }))
    }

    fn scan(&self, table: usize, scan: &Scan) -> Vec<(Bytes, Bytes)> {
        let matching = self.0[table]
            .iter()
            .filter(|(key, _)| key.starts_with(&scan.prefix) && **key >= scan.from);
        matching.take(scan.limit).map(bytes).collect()
    }

    fn scan_back(&self, table: usize, scan: &Scan) -> Vec<(Bytes, Bytes)> {
        let matching = self.0[table].iter().rev().filter(|(key, _)| {
            key.starts_with(&scan.prefix) && (scan.from.is_empty() || **key <= scan.from)
        });
        matching.take(scan.limit).map(bytes).collect()
    }
}

fn bytes((key, value): (&Vec<u8>, &Vec<u8>)) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))
}

/// Holds one answer of a store against the model.
fn agree(read: &dyn TableRead, model: &Model, step: &Step) {
    match step {
        Step::Get(table, key) => {
            let expected = model.0[*table].get(key).map(|value| Bytes::copy_from_slice(value));
            assert_eq!(read.get(TABLES[*table], key).unwrap(), expected);
        }
        Step::Scan(table, scan) => {
            let Scan { prefix, from, limit } = scan;
            let ahead = read.scan(TABLES[*table], prefix, from, *limit).unwrap();
            assert_eq!(ahead, model.scan(*table, scan));
            let back = read.scan_back(TABLES[*table], prefix, from, *limit).unwrap();
            assert_eq!(back, model.scan_back(*table, scan));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn disk_and_twin_answer_alike(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = DiskStore::open(folder.path(), &TABLES).unwrap();
        let twin = MemoryStore::new(&TABLES);
        let mut model = Model::default();
        let mut snapshots: Vec<(Model, Arc<dyn TableRead + Send + Sync>)> = Vec::new();
        for step in &steps {
            match step {
                Step::Write(write) => {
                    model.write(write);
                    disk.write(changes(write), durability(write)).unwrap();
                    twin.write(changes(write), durability(write)).unwrap();
                }
                Step::Sync => {
                    disk.sync().unwrap();
                    twin.sync().unwrap();
                }
                Step::Snapshot => {
                    snapshots.push((model.clone(), disk.snapshot().unwrap()));
                    snapshots.push((model.clone(), twin.snapshot().unwrap()));
                }
                Step::Reopen => {
                    snapshots.clear();
                    drop(disk);
                    disk = DiskStore::open(folder.path(), &TABLES).unwrap();
                }
                Step::Get(..) | Step::Scan(..) => {
                    agree(&disk, &model, step);
                    agree(&twin, &model, step);
                    for (then, snapshot) in &snapshots {
                        agree(snapshot.as_ref(), then, step);
                    }
                }
            }
        }
        prop_assert_eq!(Model::of(&disk), model.clone());
        prop_assert_eq!(Model::of(&twin), model);
    }
}

proptest! {
    #[test]
    fn a_crash_keeps_a_prefix_that_holds_every_synced_write(
        writes in prop::collection::vec(write(), 0..20),
        kept in 0_usize..6,
    ) {
        let twin = MemoryStore::new(&TABLES);
        let mut states = vec![Model::default()];
        let mut synced = 0;
        for (number, write) in writes.iter().enumerate() {
            twin.write(changes(write), durability(write)).unwrap();
            let mut state = states.last().unwrap().clone();
            state.write(write);
            states.push(state);
            if write.synced {
                synced = number + 1;
            }
        }

        twin.crash_keeping(kept);

        let expected = &states[(synced + kept).min(writes.len())];
        prop_assert_eq!(&Model::of(&twin), expected);
        twin.crash();
        prop_assert_eq!(&Model::of(&twin), expected);
    }
}
