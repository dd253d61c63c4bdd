//! Looks into the databases of validators that have stopped.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use bitcoin::hex::DisplayHex as _;
use replica::tables::VERTICES;
use store::DiskStore;
use types::table::TableRead as _;

const PAGE: usize = 2_000;

/// The vertices that stores hold: by round and author, the digests.
#[derive(Default)]
pub(crate) struct Vertices(BTreeMap<(u64, u16), BTreeSet<String>>);

impl Vertices {
    /// Reads the stores at these paths. Their processes must have ended.
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let mut vertices = Self::default();
        for path in paths {
            vertices.add(path);
        }
        vertices
    }

    /// Asserts that nobody ever made two vertices of one round.
    pub(crate) fn assert_no_conflict(&self) {
        for ((round, author), digests) in &self.0 {
            assert_eq!(digests.len(), 1, "author {author} signed {digests:?} in round {round}");
        }
    }

    /// How many vertices of this author there are.
    pub(crate) fn of(&self, author: u16) -> usize {
        self.0.keys().filter(|(_, other)| *other == author).count()
    }

    fn add(&mut self, path: &Path) {
        let store = DiskStore::open(path, &replica::all_tables()).unwrap();
        let mut from = Vec::new();
        loop {
            let rows = store.scan(VERTICES, &[], &from, PAGE).unwrap();
            for (key, _) in &rows {
                let (round, rest) = key.split_first_chunk::<8>().unwrap();
                let (author, digest) = rest.split_first_chunk::<2>().unwrap();
                let place = (u64::from_be_bytes(*round), u16::from_be_bytes(*author));
                self.0.entry(place).or_default().insert(digest.to_lower_hex_string());
            }
            let Some((last, _)) = rows.last() else { return };
            from = last.to_vec();
            from.push(0);
        }
    }
}
