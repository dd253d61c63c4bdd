//! How much of the event log one node keeps: its own choice, and no part of agreement.
//!
//! **Invariant:** what is gone is gone up to a number that is known: whoever asks for more is told
//! where the log begins, and a receipt that would need what is gone is not made up from the rest.
//!
//! Source: `docs/ledger.md`, Events.

use types::encoding::Encode as _;
use types::table::Changes;
use types::table::TableFault;
use types::table::TableRead;

use crate::query;
use crate::rows;

/// How many events are removed in one step.
pub const PRUNED_EVENTS_MAX: u64 = 1_024;

/// Removes the oldest events when there are more than `keep`, some at a time: none while fewer than
/// a step's worth are too many.
///
/// # Errors
/// When the store fails.
pub fn prune_events(read: &dyn TableRead, keep: u64) -> Result<Option<Changes>, TableFault> {
    let Some(summary) = query::summary(read)? else { return Ok(None) };
    let oldest = query::oldest_event(read)?;
    let first_kept = summary.last_event.saturating_add(1).saturating_sub(keep);
    if first_kept < oldest.saturating_add(PRUNED_EVENTS_MAX) {
        return Ok(None);
    }
    let until = oldest.saturating_add(PRUNED_EVENTS_MAX);
    let mut changes = Changes::default();
    for sequence in oldest..until {
        changes.remove(rows::EVENTS, rows::number_key(sequence));
    }
    changes.put(rows::STATE, rows::OLDEST_EVENT_KEY, until.to_bytes());
    Ok(Some(changes))
}
