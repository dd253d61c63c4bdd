//! The Merkle tree over outcomes, and the path that leads from one outcome to its root.
//!
//! The tree has the shape of RFC 6962: of n leaves the largest power of two below n stands left.
//! Leaves and inner nodes are hashed in domains of their own, and a path says of every sibling on
//! which side it stands: nothing in a path can change without another root.
//!
//! Two roots are made of the same leaves: a sealed block's coinbase carries the one over everything
//! since the block before, a checkpoint the one over everything since the checkpoint before.
//!
//! Source: `docs/ledger.md`, Results.

use alloc::vec::Vec;

use serde::Deserialize;
use serde::Serialize;

use crate::bitcoin_hash::BitcoinHash;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::encoding::Reader;
use crate::encoding::Writer;
use crate::error::DecodeError;
use crate::ids::CommitIndex;

/// The most siblings of a path: a tree of 2^64 leaves is no higher.
pub const PATH_STEPS_MAX: usize = 64;

const PEAKS_MAX: usize = 64;
const FINAL: u8 = 1;
const REJECTED: u8 = 2;

/// What became of a txid, kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It applied.
    Final {
        /// In which commit.
        commit: CommitIndex,
    },
    /// It can never apply: another final transaction has spent one of its inputs.
    Rejected {
        /// The transaction that won.
        conflict: BitcoinHash,
    },
}

/// One sibling on the way from a leaf to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathStep {
    /// The sibling stands left.
    Left(Digest),
    /// The sibling stands right.
    Right(Digest),
}

/// Outcomes in the order in which they came to be, of which only the tree's peaks are kept: adding
/// one costs a hash or two, whatever there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    count: u64,
    /// Roots of complete trees, the largest first, one for each bit of `count`.
    peaks: Vec<Digest>,
}

impl Results {
    /// Adds the outcome of a transaction.
    pub fn push(&mut self, txid: &BitcoinHash, outcome: &Outcome) {
        self.push_leaf(leaf(txid, outcome));
    }

    /// Adds an outcome by its leaf.
    pub fn push_leaf(&mut self, leaf: Digest) {
        let mut root = leaf;
        let mut carried = self.count;
        while carried & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            root = node(&left, &root);
            carried >>= 1;
        }
        self.peaks.push(root);
        self.count += 1;
    }

    /// How many were added.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The root over everything added.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// The root over no outcomes.
pub fn empty_root() -> Digest {
    Hasher::new("meanwhile/ledger/results-empty/v1").finish()
}

/// The leaf of one outcome.
pub fn leaf(txid: &BitcoinHash, outcome: &Outcome) -> Digest {
    let hasher = Hasher::new("meanwhile/ledger/result/v1").value(txid);
    match outcome {
        Outcome::Final { commit } => hasher.bytes(&[FINAL]).value(commit),
        Outcome::Rejected { conflict } => hasher.bytes(&[REJECTED]).value(conflict),
    }
    .finish()
}

/// The path from the leaf at `index` to the root over `leaves`, the leaf's own sibling first; none
/// when there is no such leaf.
pub fn path(leaves: &[Digest], index: usize) -> Option<Vec<PathStep>> {
    leaves.get(index)?;
    let mut steps = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        if index < left.len() {
            steps.push(PathStep::Right(root_of(right)));
            leaves = left;
        } else {
            steps.push(PathStep::Left(root_of(left)));
            index -= left.len();
            leaves = right;
        }
    }
    steps.reverse();
    Some(steps)
}

/// Where a path leads from a leaf.
pub fn root_of_path(leaf: Digest, path: &[PathStep]) -> Digest {
    path.iter().fold(leaf, |at, step| match step {
        PathStep::Left(left) => node(left, &at),
        PathStep::Right(right) => node(&at, right),
    })
}

fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node(&root_of(left), &root_of(right))
        }
    }
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Hasher::new("meanwhile/ledger/results-node/v1").value(left).value(right).finish()
}

impl Encode for Results {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.count);
        writer.list(&self.peaks);
    }
}

impl Decode for Results {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.u64()?;
        let peaks: Vec<Digest> = reader.list("results peaks", PEAKS_MAX)?;
        if u32::try_from(peaks.len()) != Ok(count.count_ones()) {
            return Err(DecodeError::InvalidValue { what: "results peaks" });
        }
        Ok(Self { count, peaks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(number: u8) -> Outcome {
        match number % 3 {
            0 => Outcome::Rejected { conflict: BitcoinHash::new([9; 32]) },
            _ => Outcome::Final { commit: CommitIndex::new(u64::from(number)) },
        }
    }

    #[test]
    fn peaks_give_the_root_of_the_whole_tree_and_every_path_leads_there() {
        let mut results = Results::default();
        let mut leaves = Vec::new();
        for number in 0..70_u8 {
            let root = results.root();
            assert_eq!(root, root_of(&leaves), "{number} leaves");
            assert_eq!(Results::from_bytes(&results.to_bytes()), Ok(results.clone()));
            for (index, leaf) in leaves.iter().enumerate() {
                let path = path(&leaves, index).unwrap();
                assert_eq!(root_of_path(*leaf, &path), root, "leaf {index} of {number}");
            }
            assert_eq!(path(&leaves, leaves.len()), None);
            let txid = BitcoinHash::new([number; 32]);
            leaves.push(leaf(&txid, &outcome(number)));
            results.push(&txid, &outcome(number));
        }
    }
}
