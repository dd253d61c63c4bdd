//! Which bytes a slice is made of: the walk over a shard's tree that prover and reader share.
//!
//! A slice of a shard is, in the order of a walk that visits a node before its children and left
//! before right, the pairs of all inner nodes above the range and the groups that the range touches.
//! It is what `bao-tree` encodes with groups of 16 KiB for a range of whole groups.

use crate::error::CodingError;
use crate::hasher::GROUP_BYTES;
use crate::hasher::GROUP_LENGTH;
use crate::hasher::PAIR_LENGTH;
use crate::hasher::groups;

/// Bytes of one shard, at least one, all of which exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceRange {
    from: u64,
    to: u64,
    shard_length: u64,
}

/// One piece of a slice, to be read from where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// [`PAIR_LENGTH`] bytes of the outboard.
    Pair {
        /// Where in the outboard they begin.
        offset: u64,
    },
    /// Bytes of the shard.
    Bytes {
        /// Where in the shard they begin.
        offset: u64,
        /// How many there are, at most a group.
        length: usize,
    },
}

/// Everything that a slice consists of, piece by piece. A prover reads the pieces from disk and
/// sends them one behind the other.
#[derive(Clone, Debug)]
pub struct SlicePlan {
    range: SliceRange,
    stack: Vec<Node>,
}

/// A subtree: some groups, and how many inner nodes come before its own ones in the outboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) first: u64,
    pub(crate) groups: u64,
    before: u64,
}

impl SliceRange {
    /// Bytes `from` to `to`, `to` not included, of a shard of `shard_length` bytes.
    ///
    /// # Errors
    /// When that is no byte, or one that is not there.
    pub const fn new(from: u64, to: u64, shard_length: u64) -> Result<Self, CodingError> {
        if from >= to || to > shard_length {
            return Err(CodingError::NoSuchRange { from, to, length: shard_length });
        }
        Ok(Self { from, to, shard_length })
    }

    /// The first byte.
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// The byte behind the last.
    pub const fn to(&self) -> u64 {
        self.to
    }

    /// How long the whole shard is.
    pub const fn shard_length(&self) -> u64 {
        self.shard_length
    }

    /// How many bytes the slice takes with its hashes.
    pub fn encoded_length(&self) -> u64 {
        let length = |piece| match piece {
            Piece::Pair { .. } => PAIR_LENGTH,
            Piece::Bytes { length, .. } => length,
        };
        SlicePlan::new(*self).filter_map(|piece| u64::try_from(length(piece)).ok()).sum()
    }

    pub(crate) const fn touches(&self, node: &Node) -> bool {
        let (from, to) = (node.first * GROUP_BYTES, (node.first + node.groups) * GROUP_BYTES);
        from < self.to && self.from < to
    }

    /// The length of a group.
    pub(crate) fn group_length(&self, group: u64) -> usize {
        let left = self.shard_length - group * GROUP_BYTES;
        usize::try_from(left).map_or(GROUP_LENGTH, |left| left.min(GROUP_LENGTH))
    }
}

impl SlicePlan {
    /// The pieces of a slice.
    pub fn new(range: SliceRange) -> Self {
        Self { range, stack: vec![Node::root(range.shard_length)] }
    }
}

impl Iterator for SlicePlan {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let node = self.stack.pop()?;
        let Some((left, right)) = node.children() else {
            let (offset, length) = (node.first * GROUP_BYTES, self.range.group_length(node.first));
            return Some(Piece::Bytes { offset, length });
        };
        self.stack.extend([right, left].into_iter().filter(|child| self.range.touches(child)));
        Some(Piece::Pair { offset: node.pair() * 64 })
    }
}

impl Node {
    pub(crate) const fn root(shard_length: u64) -> Self {
        Self { first: 0, groups: groups(shard_length), before: 0 }
    }

    /// The two halves, or none when it is one group.
    pub(crate) const fn children(&self) -> Option<(Self, Self)> {
        if self.groups < 2 {
            return None;
        }
        let half = self.groups.next_power_of_two() / 2;
        let left = Self { groups: half, ..*self };
        let right = Self {
            first: self.first + half,
            groups: self.groups - half,
            before: self.before + half - 1,
        };
        Some((left, right))
    }

    /// Which pair of the outboard is its own, of a subtree of more than one group.
    const fn pair(&self) -> u64 {
        self.before + self.groups - 2
    }
}
