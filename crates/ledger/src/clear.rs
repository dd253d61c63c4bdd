//! Takes the ledger's rows away, so that they are made anew from the commits.
//!
//! **Invariant:** from the first change on no ledger opens, until all rows are gone: the state goes
//! first and a mark stands in its place. Whoever is cut short goes on from any row. The pool stays:
//! what is in it was acknowledged, and no commit tells of it.
//!
//! Source: `docs/ledger.md`, Tables.

use bytes::Bytes;
use types::table::Changes;
use types::table::Table;
use types::table::TableFault;
use types::table::TableRead;

use crate::mempool::POOL;
use crate::rows;

/// How many rows are removed in one step.
pub const CLEARED_ROWS_MAX: usize = 4_096;

const MARK_KEY: &[u8] = b"clearing";

/// Rows on their way out.
#[derive(Clone, Debug)]
pub struct Clearing {
    /// What is left. The last one goes first: the state's table, with the mark, comes at the end.
    tables: Vec<Table>,
    /// Where the first of them begins, as far as is known.
    from: Bytes,
}

impl Clearing {
    /// Whether somebody has begun and did not come to the end.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_under_way(read: &dyn TableRead) -> Result<bool, TableFault> {
        Ok(read.get(rows::STATE, MARK_KEY)?.is_some())
    }

    /// Begins, or goes on. What comes first is to be written before anything else.
    pub fn begin() -> (Self, Changes) {
        let mut first = Changes::default();
        first.remove(rows::STATE, rows::STATE_KEY);
        first.put(rows::STATE, MARK_KEY, &b"1"[..]);
        let tables = rows::tables().iter().copied().filter(|table| *table != POOL);
        (Self { tables: tables.collect(), from: Bytes::new() }, first)
    }

    /// What is to be removed next; none when everything is gone. The last change takes the mark away.
    ///
    /// # Errors
    /// When the store fails.
    pub fn next(&mut self, read: &dyn TableRead) -> Result<Option<Changes>, TableFault> {
        while let Some(table) = self.tables.last().copied() {
            let page = read.scan(table, &[], &self.from, CLEARED_ROWS_MAX)?;
            let mut changes = Changes::default();
            for (key, _) in &page {
                if table != rows::STATE || key.as_ref() != MARK_KEY {
                    changes.remove(table, key.clone());
                }
            }
            match page.last() {
                Some((last, _)) if !changes.is_empty() => {
                    self.from = last.clone();
                    return Ok(Some(changes));
                }
                _ => {
                    self.tables.pop();
                    self.from = Bytes::new();
                    if table == rows::STATE {
                        changes.remove(rows::STATE, MARK_KEY);
                        return Ok(Some(changes));
                    }
                }
            }
        }
        Ok(None)
    }
}
