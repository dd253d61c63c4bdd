//! The Merkle tree over the hashes of all shards, whose root the meta names.
//!
//! The tree has the shape of RFC 6962: of n leaves the largest power of two below n stands left. A
//! leaf is hashed with its index and in a domain of its own, and so are inner nodes: no shard can
//! pass for another one, and no node for a leaf.

use types::ShardCount;
use types::ShardIndex;

const LEAF: &str = "meanwhile/blobs/shard-leaf/v1";
const NODE: &str = "meanwhile/blobs/shard-node/v1";

/// The hashes of all shards of a blob, in order. As many as a blob has shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    shards: ShardCount,
    hashes: Vec<[u8; 32]>,
}

impl Leaves {
    /// Wraps the hashes of all shards, or none when there are more or fewer.
    pub fn new(shards: ShardCount, hashes: Vec<[u8; 32]>) -> Option<Self> {
        (hashes.len() == usize::from(shards.value())).then_some(Self { shards, hashes })
    }

    /// The hash of one shard.
    pub fn leaf(&self, shard: ShardIndex) -> Option<&[u8; 32]> {
        self.hashes.get(shard.index())
    }

    /// The root over all of them.
    pub fn root(&self) -> [u8; 32] {
        root(&self.nodes())
    }

    /// The siblings on the way from one leaf to the root, the lowest first.
    pub fn path(&self, shard: ShardIndex) -> Option<Vec<[u8; 32]>> {
        if !self.shards.contains(shard) {
            return None;
        }
        let nodes = self.nodes();
        let (mut nodes, mut place) = (nodes.as_slice(), shard.index());
        let mut path = Vec::new();
        while nodes.len() > 1 {
            let (left, right) = nodes.split_at(left_size(nodes.len()));
            let sibling;
            (nodes, sibling, place) = match place.checked_sub(left.len()) {
                None => (left, right, place),
                Some(place) => (right, left, place),
            };
            path.push(root(sibling));
        }
        path.reverse();
        Some(path)
    }

    fn nodes(&self) -> Vec<[u8; 32]> {
        self.shards.shards().zip(&self.hashes).map(|(shard, leaf)| leaf_node(shard, leaf)).collect()
    }
}

/// How many siblings a shard's path has.
pub(crate) fn path_length(shards: ShardCount, shard: ShardIndex) -> usize {
    sides(shards, shard).len()
}

/// The root that a path leads to, or none when it has not as many siblings as its shard's.
pub(crate) fn root_of_path(
    shards: ShardCount,
    shard: ShardIndex,
    leaf: &[u8; 32],
    path: &[[u8; 32]],
) -> Option<[u8; 32]> {
    let sides = sides(shards, shard);
    if !shards.contains(shard) || sides.len() != path.len() {
        return None;
    }
    let climb = |below: [u8; 32], (is_left, sibling): (bool, &[u8; 32])| match is_left {
        true => node(&below, sibling),
        false => node(sibling, &below),
    };
    Some(sides.into_iter().rev().zip(path).fold(leaf_node(shard, leaf), climb))
}

/// On which side the way from the root to a shard goes, true for left.
fn sides(shards: ShardCount, shard: ShardIndex) -> Vec<bool> {
    let (mut size, mut place) = (usize::from(shards.value()), shard.index());
    let mut sides = Vec::new();
    while size > 1 {
        let left = left_size(size);
        let rest = place.checked_sub(left);
        sides.push(rest.is_none());
        (size, place) = match rest {
            None => (left, place),
            Some(rest) => (size - left, rest),
        };
    }
    sides
}

fn root(nodes: &[[u8; 32]]) -> [u8; 32] {
    match nodes {
        [] => [0; 32],
        [only] => *only,
        _ => {
            let (left, right) = nodes.split_at(left_size(nodes.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The largest power of two below `size`, which is at least two.
const fn left_size(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn leaf_node(shard: ShardIndex, leaf: &[u8; 32]) -> [u8; 32] {
    let hasher = &mut blake3::Hasher::new_derive_key(LEAF);
    *hasher.update(&shard.value().to_le_bytes()).update(leaf).finalize().as_bytes()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    *blake3::Hasher::new_derive_key(NODE).update(left).update(right).finalize().as_bytes()
}
