//! Each tick the common coin picks groups of some blobs' shards, and this node asks their keepers for
//! them. What comes of it is counted, for whoever chooses where to store: silence is never held
//! against anybody, since in an asynchronous network it proves nothing.

use blobs::GROUP_LENGTH;
use ledger::query;
use types::Author;
use types::Digest;
use types::Hasher;
use types::Height;
use types::blob::BlobId;
use types::table::TableFault;

use super::Blobs;
use super::fetch::Fault;
use super::fetch::Wanted;
use crate::handle::Handle;
use crate::metrics::AuditResult;

/// How many shards are asked for a tick.
const AUDITS_PER_TICK: u64 = 4;
/// Among how many blobs, those that end first before the others, the coin picks.
const AUDITED_MAX: usize = 1_024;

/// One group to be asked for.
#[derive(Clone, Copy, Debug)]
struct Audit {
    keeper: Author,
    wanted: Wanted,
}

/// Asks for what the coin picks at this height. It goes on by itself: every answer has its deadline.
pub(super) fn begin(handle: &Handle, blobs: &Blobs, height: Height) {
    let (handle, blobs) = (handle.clone(), blobs.clone());
    tokio::spawn(async move {
        let (picking, asking) = (handle.clone(), blobs.clone());
        let picked = tokio::task::spawn_blocking(move || pick(&picking, &asking, height)).await;
        let Ok(Ok(picked)) = picked else { return };
        for Audit { keeper, wanted } in picked {
            let result = match blobs.slice_of(keeper, wanted).await {
                Ok(_) => AuditResult::Passed,
                Err(Fault::Silent) => AuditResult::Silent,
                Err(Fault::Absent) => AuditResult::Absent,
                Err(Fault::Lying) => AuditResult::Wrong,
            };
            handle.metrics().blobs().audited(keeper, result);
        }
    });
}

/// The coin of the round whose leader sealed the block, together with its height: nobody knew it
/// before, everybody knows it now.
fn pick(handle: &Handle, blobs: &Blobs, height: Height) -> Result<Vec<Audit>, TableFault> {
    let read = handle.read()?;
    let read = read.as_ref();
    let Some(block) = query::block(read, height)? else { return Ok(Vec::new()) };
    let Some(commit) = replica::tables::commit(read, block.commit)? else { return Ok(Vec::new()) };
    let Some(coin) = replica::tables::coin(read, commit.leader.round)? else {
        return Ok(Vec::new());
    };
    let live = query::live_blobs(read, None, AUDITED_MAX)?;
    let mut picked = Vec::new();
    for number in 0..AUDITS_PER_TICK {
        let hasher = Hasher::new("meanwhile/node/audit/v1").bytes(coin.as_bytes());
        let seed = hasher.value(&height).value(&number).finish();
        let Some(id) = choose(&seed, 0, live.len()).and_then(|place| live.get(place)) else {
            break;
        };
        let id: BlobId = id.1;
        let Some(row) = query::blob(read, &id)?.filter(|row| row.certified.is_some()) else {
            continue;
        };
        let holders: Vec<Author> = row.held_by.authors().collect();
        let Some(keeper) = choose(&seed, 8, holders.len()).map(|place| holders[place]) else {
            continue;
        };
        let group = u64::try_from(GROUP_LENGTH).unwrap_or(u64::MAX);
        let length = row.layout.shard_length();
        let groups = usize::try_from(length.div_ceil(group)).unwrap_or(usize::MAX);
        let from = choose(&seed, 16, groups).and_then(|place| u64::try_from(place).ok());
        let from = from.unwrap_or(0) * group;
        let (layout, shard) = (row.layout, blobs.shards().kept_by(&id, keeper));
        let wanted = Wanted { id, layout, shard, from, to: length.min(from + group) };
        if Some(keeper) != handle.own() {
            picked.push(Audit { keeper, wanted });
        }
    }
    Ok(picked)
}

/// One of so many, by eight bytes of the seed.
fn choose(seed: &Digest, at: usize, count: usize) -> Option<usize> {
    let bytes = seed.as_bytes().get(at..at + 8)?.try_into().ok()?;
    let count = u64::try_from(count).ok()?;
    usize::try_from(u64::from_le_bytes(bytes).checked_rem(count)?).ok()
}
