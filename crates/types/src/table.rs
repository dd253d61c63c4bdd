//! Tables of bytes, as the pure cores see a store: what they read, and what they ask to be written.
//!
//! The store implements [`TableRead`] and applies [`Changes`] in one atomic step; a core never
//! learns where the bytes lie.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

/// A named table with keys in byte order. Which tables there are is for their owner to say, in one
/// list of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(&'static str);

/// The store could not be read. Never a peer's fault: the process stops and recovers from its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store failed: {reason}")]
pub struct TableFault {
    /// What the store said.
    pub reason: String,
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// Under which key.
    pub key: Bytes,
    /// The new value; none removes the key.
    pub value: Option<Bytes>,
}

/// Things to write in one atomic step, in order: a later change of a key wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Change>);

/// One key and its value.
pub type Row = (Bytes, Bytes);

/// Reads tables.
pub trait TableRead {
    /// The value under a key.
    ///
    /// # Errors
    /// When the store itself fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, TableFault>;

    /// At most `limit` rows whose keys start with `prefix`, ascending, starting at the first key
    /// that is greater than or equal to `from`.
    ///
    /// # Errors
    /// When the store itself fails.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault>;

    /// At most `limit` rows whose keys start with `prefix`, descending, starting at the last key
    /// that is smaller than or equal to `from`; an empty `from` starts at the end.
    ///
    /// # Errors
    /// When the store itself fails.
    fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, TableFault>;
}

impl Table {
    /// Names a table: lower case letters and underscores.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl Changes {
    /// Writes a value.
    pub fn put(&mut self, table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push(Change { table, key: key.into(), value: Some(value.into()) });
    }

    /// Removes a key.
    pub fn remove(&mut self, table: Table, key: impl Into<Bytes>) {
        self.0.push(Change { table, key: key.into(), value: None });
    }

    /// Adds all of `other` behind what is there.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The changes in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Change> {
        self.0.iter()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = alloc::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
