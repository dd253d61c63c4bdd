//! Reading a slice of a shard from somebody who may lie: every pair of hashes and every group is
//! held against the hash above it before the next one is looked at.

use types::BlobId;
use types::BlobLayout;
use types::ShardIndex;

use blake3::hazmat::Mode;
use blake3::hazmat::merge_subtrees_non_root;
use blake3::hazmat::merge_subtrees_root;

use crate::error::InvalidSlice;
use crate::hasher::GROUP_BYTES;
use crate::hasher::PAIR_LENGTH;
use crate::hasher::subtree;
use crate::plan::Node;
use crate::plan::SliceRange;
use crate::proof::ProvenShard;

/// Bytes that are proven to be those of a shard of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenBytes {
    id: BlobId,
    layout: BlobLayout,
    shard: ShardIndex,
    from: u64,
    bytes: Vec<u8>,
}

/// Takes a slice piece by piece, as it comes in. It holds the bytes of the range and a hash for each
/// level of the tree.
#[derive(Clone, Debug)]
pub struct SliceReader {
    shard: ProvenShard,
    range: SliceRange,
    /// Subtrees that are to come, the next one last, with what they must hash to.
    stack: Vec<(Node, [u8; 32])>,
    bytes: Vec<u8>,
}

impl SliceReader {
    /// Awaits a slice of a shard. None when the range is not one of a shard of this length.
    pub fn new(shard: &ProvenShard, range: SliceRange) -> Option<Self> {
        let length = shard.meta().layout.shard_length();
        if range.shard_length() != length {
            return None;
        }
        let stack = vec![(Node::root(length), *shard.leaf())];
        Some(Self { shard: shard.clone(), range, stack, bytes: Vec::new() })
    }

    /// How many bytes the next piece has; none when the slice is complete.
    pub fn wanted(&self) -> Option<usize> {
        let (node, _) = self.stack.last()?;
        Some(match node.groups {
            1 => self.range.group_length(node.first),
            _ => PAIR_LENGTH,
        })
    }

    /// Takes the next piece, which has [`SliceReader::wanted`] bytes.
    ///
    /// # Errors
    /// When it is not what belongs there. The reader is of no use then.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidSlice> {
        let expected = self.wanted().unwrap_or(0);
        let Some((node, hash)) = self.stack.pop().filter(|_| piece.len() == expected) else {
            return Err(InvalidSlice::PieceLength { expected, actual: piece.len() });
        };
        let is_root = node == Node::root(self.range.shard_length());
        match node.children() {
            None => self.take_group(&node, &hash, is_root, piece),
            Some(children) => self.take_pair(children, &hash, is_root, piece),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When pieces are missing.
    pub fn finish(self) -> Result<ProvenBytes, InvalidSlice> {
        let (shard, from) = (self.shard.shard(), self.range.from());
        if !self.stack.is_empty() {
            let whole = self.range.to() - from;
            let missing = whole - u64::try_from(self.bytes.len()).unwrap_or(whole);
            return Err(InvalidSlice::Short { shard, missing });
        }
        let layout = self.shard.meta().layout;
        Ok(ProvenBytes { id: *self.shard.id(), layout, shard, from, bytes: self.bytes })
    }

    /// Reads a slice that has come in whole.
    ///
    /// # Errors
    /// When any of it is not what belongs there, is missing or too much.
    pub fn read_all(mut self, mut bytes: &[u8]) -> Result<ProvenBytes, InvalidSlice> {
        while let Some(wanted) = self.wanted() {
            let Some((piece, rest)) = bytes.split_at_checked(wanted) else {
                return self.finish();
            };
            self.push(piece)?;
            bytes = rest;
        }
        if !bytes.is_empty() {
            return Err(InvalidSlice::Trailing { shard: self.shard.shard(), left: bytes.len() });
        }
        self.finish()
    }

    fn take_pair(
        &mut self,
        (left, right): (Node, Node),
        hash: &[u8; 32],
        is_root: bool,
        piece: &[u8],
    ) -> Result<(), InvalidSlice> {
        let mut hashes = [[0; 32]; 2];
        hashes[0].copy_from_slice(&piece[..32]);
        hashes[1].copy_from_slice(&piece[32..]);
        let [left_hash, right_hash] = hashes;
        let actual = match is_root {
            true => *merge_subtrees_root(&left_hash, &right_hash, Mode::Hash).as_bytes(),
            false => merge_subtrees_non_root(&left_hash, &right_hash, Mode::Hash),
        };
        if actual != *hash {
            let offset = left.first * GROUP_BYTES;
            return Err(InvalidSlice::Hashes { shard: self.shard.shard(), offset });
        }
        let children = [(right, right_hash), (left, left_hash)];
        self.stack.extend(children.into_iter().filter(|(node, _)| self.range.touches(node)));
        Ok(())
    }

    fn take_group(
        &mut self,
        node: &Node,
        hash: &[u8; 32],
        is_root: bool,
        piece: &[u8],
    ) -> Result<(), InvalidSlice> {
        let actual = match is_root {
            true => *blake3::hash(piece).as_bytes(),
            false => subtree(node.first, piece),
        };
        let offset = node.first * GROUP_BYTES;
        if actual != *hash {
            return Err(InvalidSlice::Bytes { shard: self.shard.shard(), offset });
        }
        self.bytes.extend_from_slice(within(piece, offset, self.range.from(), self.range.to()));
        Ok(())
    }
}

impl ProvenBytes {
    /// The blob.
    pub const fn id(&self) -> &BlobId {
        &self.id
    }

    /// How the blob is laid out.
    pub const fn layout(&self) -> &BlobLayout {
        &self.layout
    }

    /// Which shard.
    pub const fn shard(&self) -> ShardIndex {
        self.shard
    }

    /// Where in the shard they begin.
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes `from` to `to` of the shard, if all of them are here.
    pub fn range(&self, from: u64, to: u64) -> Option<&[u8]> {
        let start = usize::try_from(from.checked_sub(self.from)?).ok()?;
        let end = usize::try_from(to.checked_sub(self.from)?).ok()?;
        self.bytes.get(start..end)
    }
}

/// What lies between `from` and `to` of bytes that begin at `offset`.
fn within(bytes: &[u8], offset: u64, from: u64, to: u64) -> &[u8] {
    let cut = |place: u64| {
        let place = place.saturating_sub(offset);
        usize::try_from(place).map_or(bytes.len(), |place| place.min(bytes.len()))
    };
    &bytes[cut(from)..cut(to)]
}
