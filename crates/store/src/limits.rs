//! What a table can hold, the same for the disk and for its twin, so that a test on the twin finds
//! what the disk would refuse.

use types::table::Change;
use types::table::TableFault;

/// The longest key. Keys are not empty.
pub const KEY_BYTES_MAX: usize = 1_024;

/// The largest value.
pub const VALUE_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Refuses a change that no store could take. This is a fault of the calling code, found before
/// anything is written.
pub(crate) fn check(change: &Change) -> Result<(), TableFault> {
    let name = change.table.name();
    if change.key.is_empty() {
        return Err(TableFault { reason: format!("table {name}: a key is not empty") });
    }
    if change.key.len() > KEY_BYTES_MAX {
        let actual = change.key.len();
        return Err(TableFault {
            reason: format!("table {name}: a key of {actual} bytes, the limit is {KEY_BYTES_MAX}"),
        });
    }
    let actual = change.value.as_ref().map_or(0, bytes::Bytes::len);
    if actual > VALUE_BYTES_MAX {
        return Err(TableFault {
            reason: format!("table {name}: {actual} bytes, the limit is {VALUE_BYTES_MAX}"),
        });
    }
    Ok(())
}

/// The fault of naming a table that was not opened.
pub(crate) fn unknown_table(name: &str) -> TableFault {
    TableFault { reason: format!("table {name} was not opened with this store") }
}
