use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const COINS: Table = Table::new("coins");
const BLOCKS: Table = Table::new("blocks");
const TABLES: &[Table] = &[COINS, BLOCKS];

/// How many batches the torn database has, and how many of them are durable.
const BATCHES: u8 = 24;
const BATCHES_SYNCED: u8 = 12;

fn put(key: &'static [u8], value: &'static [u8]) -> Changes {
    let mut changes = Changes::default();
    changes.put(COINS, key, value);
    changes
}

/// A batch that writes its number into both tables, with values long enough to be hit.
fn batch(number: u8) -> Changes {
    let mut changes = Changes::default();
    changes.put(COINS, vec![number], vec![number; 200]);
    changes.put(BLOCKS, vec![number], vec![number; 300]);
    changes
}

/// The journal's bytes, without the room that fjall keeps behind them, and the whole folder.
struct Torn {
    folder: TempDir,
    journal: Vec<u8>,
}

impl Torn {
    /// A database that is copied while it is open, as a power cut would leave it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&folder.path().join("live"), TABLES).unwrap();
        for number in 0..BATCHES {
            let synced = number.saturating_add(1) == BATCHES_SYNCED;
            let durability = if synced { Durability::Synced } else { Durability::Buffered };
            store.write(batch(number), durability).unwrap();
        }
        let mut journal = std::fs::read(folder.path().join("live/0.jnl")).unwrap();
        let end = journal.iter().rposition(|byte| *byte != 0).unwrap();
        journal.truncate(end.saturating_add(1));
        let torn = Self { folder, journal };
        copy(&torn.path("live"), &torn.path("image"));
        torn
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opens a fresh copy whose journal is `journal`, and answers how many batches came back.
    fn recovered(&self, journal: &[u8]) -> Result<u8, StoreError> {
        let path = self.path("copy");
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        copy(&self.path("image"), &path);
        std::fs::write(path.join("0.jnl"), journal).unwrap();
        let count = {
            let store = DiskStore::open(&path, TABLES)?;
            let coins = store.scan(COINS, &[], &[], usize::MAX).unwrap();
            let blocks = store.scan(BLOCKS, &[], &[], usize::MAX).unwrap();
            assert_eq!(coins.len(), blocks.len(), "a batch is whole or absent");
            for (number, ((coin, first), (block, second))) in coins.iter().zip(&blocks).enumerate()
            {
                let number = u8::try_from(number).unwrap();
                assert_eq!((coin.as_ref(), block.as_ref()), (&[number][..], &[number][..]));
                assert_eq!((first.len(), second.len()), (200, 300));
                assert!(first.iter().chain(second).all(|byte| *byte == number));
            }
            store.write(put(b"later", b"1"), Durability::Synced).unwrap();
            u8::try_from(coins.len()).unwrap()
        };
        let again = DiskStore::open(&path, TABLES)?;
        assert!(again.get(COINS, b"later").unwrap().is_some(), "what follows a repair stays");
        Ok(count)
    }
}

/// Copies a folder, except for journals, which hold mostly nothing.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.path().extension().is_none_or(|extension| extension != "jnl") {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn what_was_written_is_there_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = DiskStore::open(folder.path(), TABLES).unwrap();
        let mut changes = put(b"a", b"1");
        changes.put(COINS, &b"a"[..], &b"2"[..]);
        changes.put(COINS, &b"b"[..], &b"3"[..]);
        changes.remove(COINS, &b"b"[..]);
        store.write(changes, Durability::Buffered).unwrap();
        assert_eq!(store.get(COINS, b"a").unwrap().as_deref(), Some(&b"2"[..]));
    }
    let store = DiskStore::open(folder.path(), TABLES).unwrap();
    assert_eq!(store.get(COINS, b"a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(store.get(COINS, b"b").unwrap(), None);
    assert_eq!(store.get(COINS, b"").unwrap(), None);
}

#[test]
fn a_folder_in_use_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let _store = DiskStore::open(folder.path(), TABLES).unwrap();

    let error = DiskStore::open(folder.path(), TABLES).unwrap_err();

    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
}

#[test]
fn what_no_table_can_take_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), &[COINS]).unwrap();
    let mut changes = put(b"a", b"1");
    changes.put(BLOCKS, &b"a"[..], &b"1"[..]);
    assert!(store.write(changes, Durability::Synced).is_err());
    assert!(store.write(put(b"", b"1"), Durability::Synced).is_err());
    let mut changes = put(b"a", b"1");
    changes.put(COINS, vec![7; limits::KEY_BYTES_MAX + 1], &b"1"[..]);
    assert!(store.write(changes, Durability::Synced).is_err());

    assert_eq!(store.get(COINS, b"a").unwrap(), None);
    assert!(store.get(BLOCKS, b"a").is_err());
    store.write(put(b"a", b"1"), Durability::Synced).unwrap();
}

#[test]
fn a_snapshot_stands_still() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), TABLES).unwrap();
    store.write(batch(1), Durability::Buffered).unwrap();
    let snapshot = store.snapshot().unwrap();

    store.write(batch(2), Durability::Buffered).unwrap();

    assert_eq!(snapshot.scan(COINS, &[], &[], 9).unwrap().len(), 1);
    assert_eq!(snapshot.get(BLOCKS, &[2]).unwrap(), None);
    assert_eq!(store.scan(COINS, &[], &[], 9).unwrap().len(), 2);
}

#[test]
fn after_a_failed_write_every_call_answers_the_same_fault() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), TABLES).unwrap();
    store.write(put(b"a", b"1"), Durability::Synced).unwrap();
    let snapshot = store.snapshot().unwrap();
    store.synced().replace_file(File::open(folder.path().join("synced")).unwrap());

    let fault = store.write(put(b"a", b"2"), Durability::Synced).unwrap_err();

    assert_eq!(store.write(put(b"a", b"3"), Durability::Buffered), Err(fault.clone()));
    assert_eq!(store.sync(), Err(fault.clone()));
    assert_eq!(store.get(COINS, b"a"), Err(fault.clone()));
    assert_eq!(snapshot.get(COINS, b"a"), Err(fault.clone()));
    assert_eq!(store.snapshot().err(), Some(fault));
}

#[test]
fn readers_never_see_half_of_a_write() {
    const ROUNDS: u32 = 400;
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), TABLES).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..=ROUNDS {
                let mut changes = Changes::default();
                changes.put(BLOCKS, &b"round"[..], round.to_be_bytes().to_vec());
                changes.put(COINS, &b"round"[..], round.to_be_bytes().to_vec());
                store.write(changes, Durability::Buffered).unwrap();
            }
        });
        while !writer.is_finished() {
            let first = store.get(BLOCKS, b"round").unwrap();
            let second = store.get(COINS, b"round").unwrap();
            assert!(second >= first, "the later read saw an older state");
            let snapshot = store.snapshot().unwrap();
            let first = snapshot.get(BLOCKS, b"round").unwrap();
            assert_eq!(snapshot.get(COINS, b"round").unwrap(), first);
        }
    });
}

#[test]
fn a_torn_tail_leaves_whole_batches_and_all_durable_ones() {
    let torn = Torn::new();
    let whole = torn.recovered(&torn.journal).unwrap();
    assert_eq!(whole, BATCHES);
    let mut lengths = Vec::new();
    for cut in (1..torn.journal.len()).step_by(797) {
        let kept = torn.journal.len().saturating_sub(cut);
        match torn.recovered(&torn.journal[..kept]) {
            Ok(count) => {
                assert!(count >= BATCHES_SYNCED);
                lengths.push(count);
            }
            Err(StoreError::Lost { durable: 1, found: 0, .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(lengths.is_sorted_by(|first, second| first >= second));
    assert_eq!(lengths.last(), Some(&BATCHES_SYNCED), "the durable batches are the last to go");
}

#[test]
fn wrong_bytes_in_the_tail_cost_the_batches_from_there_on() {
    let torn = Torn::new();
    let length = torn.journal.len();
    for back in [1, 13, 20, 230, 600, 1_111, 2_500, 4_000] {
        let mut journal = torn.journal.clone();
        journal[length - back] ^= 0x55;
        let count = torn.recovered(&journal).unwrap();
        assert!((BATCHES_SYNCED..BATCHES).contains(&count), "{back}: {count}");
    }
    let mut journal = torn.journal.clone();
    journal[length - 1_200..length - 900].fill(0);
    let count = torn.recovered(&journal).unwrap();
    assert!((BATCHES_SYNCED..BATCHES).contains(&count));
}

#[test]
fn durable_writes_that_do_not_come_back_are_noticed() {
    let torn = Torn::new();
    let mut journal = torn.journal.clone();
    journal[300] ^= 0x55;

    let error = torn.recovered(&journal).unwrap_err();

    assert!(matches!(error, StoreError::Lost { durable: 1, found: 0, .. }), "{error}");
    assert!(error.to_string().contains("do not run a validator on it"));
}

#[test]
fn a_torn_count_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = DiskStore::open(folder.path(), TABLES).unwrap();
        store.write(put(b"a", b"1"), Durability::Synced).unwrap();
    }
    let file = OpenOptions::new().write(true).open(folder.path().join("synced")).unwrap();
    file.write_all_at(&[0xff], 8).unwrap();

    let store = DiskStore::open(folder.path(), TABLES).unwrap();

    assert!(store.get(COINS, b"a").unwrap().is_some());
}
