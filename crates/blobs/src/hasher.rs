//! The hash of a shard, made while its bytes stream by, with the inner hashes that later prove any
//! part of it.
//!
//! A shard's hash is plain BLAKE3, which is a tree over pieces of 1 KiB. The hashes in it at and
//! above groups of [`GROUP_LENGTH`] bytes are the shard's **outboard**: one pair of hashes for each
//! inner node, children before their parent. It takes 1 byte for 256 of the shard.

use std::fmt;

use blake3::hazmat::HasherExt;
use blake3::hazmat::Mode;
use blake3::hazmat::merge_subtrees_non_root;
use blake3::hazmat::merge_subtrees_root;

/// How many bytes are proven together: 16 KiB.
pub const GROUP_LENGTH: usize = 16 * 1024;
/// How many bytes one inner node takes in an outboard: the hashes of its two children.
pub const PAIR_LENGTH: usize = 64;

/// Hashes one shard. At most a group is held, and a hash for each level of the tree.
#[derive(Clone)]
pub struct ShardHasher {
    /// The hashes of whole subtrees, the largest first.
    stack: Vec<[u8; 32]>,
    /// How many groups have been hashed.
    groups: u64,
    /// The group that is being filled. A full one waits for the byte that follows, since the last
    /// one is hashed in another way.
    group: Vec<u8>,
    /// Pairs that are complete and have not been taken.
    outboard: Vec<u8>,
}

/// What a shard hashes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardHash {
    /// BLAKE3 of the shard.
    pub leaf: [u8; 32],
    /// The rest of its outboard.
    pub outboard: Vec<u8>,
}

/// How many bytes the outboard of a shard of this length takes.
pub const fn outboard_length(shard_length: u64) -> u64 {
    groups(shard_length).saturating_sub(1) * 64
}

/// How many groups a shard of this length has, at least one.
pub(crate) const fn groups(shard_length: u64) -> u64 {
    match shard_length.div_ceil(GROUP_BYTES) {
        0 => 1,
        groups => groups,
    }
}

/// [`GROUP_LENGTH`], to count with lengths of shards.
pub(crate) const GROUP_BYTES: u64 = 16 * 1024;

impl Default for ShardHasher {
    fn default() -> Self {
        let (stack, outboard) = (Vec::new(), Vec::new());
        Self { stack, groups: 0, group: Vec::with_capacity(GROUP_LENGTH), outboard }
    }
}

impl ShardHasher {
    /// Adds bytes of the shard.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.group.len() == GROUP_LENGTH {
                let mut group = std::mem::take(&mut self.group);
                self.add_group(&group);
                group.clear();
                self.group = group;
            }
            // Whole groups with something behind them need not be copied.
            while self.group.is_empty() && bytes.len() > GROUP_LENGTH {
                let (group, rest) = bytes.split_at(GROUP_LENGTH);
                self.add_group(group);
                bytes = rest;
            }
            let taken = bytes.len().min(GROUP_LENGTH - self.group.len());
            let (taken, rest) = bytes.split_at(taken);
            self.group.extend_from_slice(taken);
            bytes = rest;
        }
    }

    /// Hands over what has become complete of the outboard, to be written away.
    pub fn take_outboard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outboard)
    }

    /// Ends the shard.
    pub fn finish(mut self) -> ShardHash {
        if self.groups == 0 {
            return ShardHash { leaf: *blake3::hash(&self.group).as_bytes(), outboard: Vec::new() };
        }
        let mut right = subtree(self.groups, &self.group);
        while let Some(left) = self.stack.pop() {
            self.add_pair(&left, &right);
            right = match self.stack.is_empty() {
                true => *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes(),
                false => merge_subtrees_non_root(&left, &right, Mode::Hash),
            };
        }
        ShardHash { leaf: right, outboard: self.outboard }
    }

    /// Adds a group that others follow.
    fn add_group(&mut self, group: &[u8]) {
        let mut right = subtree(self.groups, group);
        self.groups += 1;
        let mut complete = self.groups;
        while complete & 1 == 0 {
            let Some(left) = self.stack.pop() else { break };
            self.add_pair(&left, &right);
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
            complete >>= 1;
        }
        self.stack.push(right);
    }

    fn add_pair(&mut self, left: &[u8; 32], right: &[u8; 32]) {
        self.outboard.extend_from_slice(left);
        self.outboard.extend_from_slice(right);
    }
}

impl fmt::Debug for ShardHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ShardHasher({} groups)", self.groups)
    }
}

/// The hash of one group that is not the whole shard. It must not be empty.
pub(crate) fn subtree(group: u64, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(group * GROUP_BYTES).update(bytes);
    hasher.finalize_non_root()
}
