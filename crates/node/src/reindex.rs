//! Makes the ledger's tables anew from the commits that are stored beside them.
//!
//! **Invariant:** a run that is cut short harms nothing: the next one, or the node's next start,
//! goes on from where it stopped. What was acknowledged and waits in the pool stays there.

use ledger::Clearing;
use ledger::query;
use replica::Execution;
use replica::ExecutionConfig;
use replica::execution::Action;
use store::DiskStore;
use store::Durability;
use store::Store as _;
use types::CommitIndex;
use types::Height;
use types::table::TableFault;

use crate::config::Checked;
use crate::failpoints::Point;
use crate::runtime;
use crate::runtime::NodeError;
use crate::runtime::Workers;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reindexing {
    /// So many steps of removing rows are done.
    Cleared(u64),
    /// So many commits of all are applied.
    Applied {
        /// The last one that is.
        applied: CommitIndex,
        /// The last one that there is.
        ordered: CommitIndex,
    },
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reindexed {
    /// The last commit that is applied.
    pub applied: CommitIndex,
    /// The last block.
    pub height: Height,
}

/// Why nothing was made anew.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// The commits are not all here.
    #[error(
        "this node began with a snapshot at commit {commit} and has no commits from before: give it \
         an empty data folder and a new snapshot instead"
    )]
    Snapshot {
        /// The commit of the snapshot.
        commit: CommitIndex,
    },
    /// The store can not be opened or taken up, or it failed.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<TableFault> for ReindexError {
    fn from(fault: TableFault) -> Self {
        Self::Node(fault.into())
    }
}

/// Takes the ledger's rows away and applies every commit again. `told` learns how far it is.
///
/// # Errors
/// When the node runs, when it began with a snapshot, or when the store fails.
pub fn reindex(
    checked: &Checked,
    told: &mut dyn FnMut(Reindexing),
) -> Result<Reindexed, ReindexError> {
    let store = runtime::open_store(&checked.data_dir)?;
    if let Some(base) = query::base(&store)? {
        return Err(ReindexError::Snapshot { commit: base.commit });
    }
    if let Some(summary) = query::summary(&store)?
        && summary.chain != *checked.committee.chain()
    {
        return Err(ReindexError::Node(NodeError::OtherNetwork {
            data_dir: checked.data_dir.clone(),
            expected: *checked.committee.chain(),
            actual: summary.chain,
        }));
    }
    clear(&store, told)?;
    runtime::write_genesis(&store, &checked.genesis, &checked.data_dir)?;
    replay(&store, checked, told)
}

/// Goes on where a run was cut short; does nothing where none was.
pub(crate) fn finish_clearing(store: &DiskStore) -> Result<(), TableFault> {
    if Clearing::is_under_way(store)? { clear(store, &mut |_| {}) } else { Ok(()) }
}

fn clear(store: &DiskStore, told: &mut dyn FnMut(Reindexing)) -> Result<(), TableFault> {
    let (mut clearing, first) = Clearing::begin();
    // Synced, so that no later write can come back without it.
    store.write(first, Durability::Synced)?;
    let mut steps = 0;
    while let Some(changes) = clearing.next(store)? {
        store.write(changes, Durability::Buffered)?;
        Point::ReindexClearing.reach();
        steps += 1;
        told(Reindexing::Cleared(steps));
    }
    store.sync()?;
    Point::ReindexCleared.reach();
    Ok(())
}

/// Applies every commit. What execution asks for beside that is for a running node: proposals and
/// votes are made when one starts.
fn replay(
    store: &DiskStore,
    checked: &Checked,
    told: &mut dyn FnMut(Reindexing),
) -> Result<Reindexed, ReindexError> {
    let own = checked.identity.author();
    let config = ExecutionConfig { genesis: checked.genesis.clone(), own, limits: checked.pool };
    let mut execution = Execution::open(config, store)
        .map_err(|error| runtime::open_error(&checked.data_dir, error))?;
    let runner = Workers::new(checked.limits.verify_threads)?;
    let ordered = replica::tables::last_commit(store)?.map_or(CommitIndex::ZERO, |last| last.index);
    while execution.ledger().applied() < ordered {
        let Some(step) = execution.poll_step(store, &runner)? else { break };
        for action in step.write(store)? {
            match action {
                Action::Applied(summary) => {
                    told(Reindexing::Applied { applied: summary.commit, ordered });
                }
                Action::Diverged(divergence) => {
                    return Err(NodeError::Diverged { commit: divergence.own.commit }.into());
                }
                _ => {}
            }
        }
    }
    store.sync()?;
    let tip = execution.ledger().tip();
    Ok(Reindexed { applied: execution.ledger().applied(), height: tip.height })
}
