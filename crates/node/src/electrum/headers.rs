//! The Merkle tree over all headers up to a height, which Electrum's checkpoints are.
//!
//! Blocks are never undone, so the root of a complete run of headers is kept once it is known, and
//! a proof reads one run and what lies behind the last complete one.
//!
//! Source: ElectrumX's documentation, `cp_height`; the tree is that of transactions in a block.

use std::sync::Mutex;
use std::sync::PoisonError;

use bitcoin::hashes::Hash as _;
use bitcoin::hashes::sha256d;
use ledger::query;
use types::Height;
use types::table::TableFault;
use types::table::TableRead;

/// How many levels a run of headers has.
const RUN_LEVELS: u32 = 11;
/// How many headers a run has.
const RUN: usize = 1 << RUN_LEVELS;

/// The roots of complete runs, in the order of height.
// Behind a lock that is held for as long as one run is read: whoever else needs a proof needs the
// same roots.
#[derive(Debug, Default)]
pub(super) struct HeaderTree(Mutex<Vec<sha256d::Hash>>);

/// Leads from a header to the root over all headers up to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderProof {
    /// The siblings, from the leaves up.
    pub(super) branch: Vec<sha256d::Hash>,
    /// The root.
    pub(super) root: sha256d::Hash,
}

impl HeaderTree {
    /// The proof of the header at `height` under the checkpoint at `checkpoint`, which is no lower.
    /// Both are in the chain.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn proof(
        &self,
        read: &dyn TableRead,
        height: Height,
        checkpoint: Height,
    ) -> Result<HeaderProof, TableFault> {
        let (height, count) = (index(height), index(checkpoint).saturating_add(1));
        if count <= RUN {
            let (branch, root) = fold(leaves(read, 0, count)?, height, None);
            return Ok(HeaderProof { branch, root });
        }
        let (own, within) = (height / RUN, height % RUN);
        let mut roots = self.roots(read, count / RUN)?;
        if !count.is_multiple_of(RUN) {
            let rest = leaves(read, count / RUN, count % RUN)?;
            roots.push(fold(rest, 0, Some(RUN_LEVELS)).1);
        }
        let length = count.saturating_sub(own * RUN).min(RUN);
        let (mut branch, _) = fold(leaves(read, own, length)?, within, Some(RUN_LEVELS));
        let (above, root) = fold(roots, own, None);
        branch.extend(above);
        Ok(HeaderProof { branch, root })
    }

    fn roots(&self, read: &dyn TableRead, runs: usize) -> Result<Vec<sha256d::Hash>, TableFault> {
        // Whoever panicked here left whole roots behind.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while known.len() < runs {
            let run = leaves(read, known.len(), RUN)?;
            known.push(fold(run, 0, None).1);
        }
        Ok(known.iter().take(runs).copied().collect())
    }
}

/// The hashes of the first `count` headers of a run.
fn leaves(
    read: &dyn TableRead,
    run: usize,
    count: usize,
) -> Result<Vec<sha256d::Hash>, TableFault> {
    let from = u32::try_from(run.saturating_mul(RUN)).map_or(Height::MAX, Height::new);
    let blocks = query::blocks(read, from, count)?;
    Ok(blocks.iter().map(|block| block.hash.to_raw_hash()).collect())
}

/// The branch of one leaf and the root. With `levels` the tree is so high, however few leaves it
/// has: it is the last part of a larger one, where each node without a sibling is paired with
/// itself.
fn fold(
    mut level: Vec<sha256d::Hash>,
    mut place: usize,
    levels: Option<u32>,
) -> (Vec<sha256d::Hash>, sha256d::Hash) {
    let mut branch = Vec::new();
    let mut height = 0;
    while level.len() > 1 || levels.is_some_and(|levels| height < levels) {
        let Some(last) = level.last().copied() else { break };
        branch.push(level.get(place ^ 1).copied().unwrap_or(last));
        let pair = |pair: &[sha256d::Hash]| {
            let right = pair.last().unwrap_or(&pair[0]);
            sha256d::Hash::hash(&[pair[0].to_byte_array(), right.to_byte_array()].concat())
        };
        level = level.chunks(2).map(pair).collect();
        place /= 2;
        height += 1;
    }
    (branch, level.first().copied().unwrap_or_else(sha256d::Hash::all_zeros))
}

fn index(height: Height) -> usize {
    usize::try_from(height.value()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> sha256d::Hash {
        sha256d::Hash::hash(&number.to_be_bytes())
    }

    #[test]
    fn a_branch_leads_to_the_root_from_every_leaf() {
        for count in 1..20 {
            let level: Vec<_> = (0..count).map(hash).collect();
            let expected = bitcoin::merkle_tree::calculate_root(level.iter().copied()).unwrap();
            for leaf in 0..count {
                let (branch, root) = fold(level.clone(), leaf, None);
                assert_eq!(root, expected);
                let (mut node, mut place) = (level[leaf], leaf);
                for sibling in branch {
                    let pair = if place % 2 == 0 { [node, sibling] } else { [sibling, node] };
                    node = sha256d::Hash::hash(&pair.map(|hash| hash.to_byte_array()).concat());
                    place /= 2;
                }
                assert_eq!(node, expected, "leaf {leaf} of {count}");
            }
        }
    }

    #[test]
    fn a_tree_in_runs_has_the_root_of_the_whole_tree() {
        for count in [RUN + 1, RUN + 2, 2 * RUN - 1, 2 * RUN, 2 * RUN + 3, 3 * RUN + 5] {
            let level: Vec<_> = (0..count).map(hash).collect();
            let roots: Vec<_> =
                level.chunks(RUN).map(|run| fold(run.to_vec(), 0, Some(RUN_LEVELS)).1).collect();
            let expected = bitcoin::merkle_tree::calculate_root(level.iter().copied()).unwrap();
            assert_eq!(fold(roots, 0, None).1, expected, "{count}");
        }
    }
}
