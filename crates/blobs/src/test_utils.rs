//! Blobs for tests, in memory: honest ones, and those of a writer who lies.

use types::BlobLayout;
use types::BlobMeta;
use types::ShardCount;
use types::ShardIndex;
use types::blob::Encoding;

use crate::coder::SegmentCoder;
use crate::commitment::Committed;
use crate::encoder::Encoder;
use crate::hasher::ShardHasher;
use crate::leaves::Leaves;
use crate::plan::Piece;
use crate::plan::SlicePlan;
use crate::plan::SliceRange;
use crate::proof::ShardProof;
use crate::segment::PartialSegment;
use crate::segment::Segment;
use crate::slice::ProvenBytes;
use crate::slice::SliceReader;

/// A blob's shards as their keepers hold them, whether its writer was honest or not.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    /// What the writer committed to.
    pub meta: BlobMeta,
    /// All shards.
    pub shards: Vec<StoredShard>,
}

/// One shard as its keeper holds it.
#[derive(Clone, Debug)]
pub struct StoredShard {
    /// What it carries along.
    pub proof: ShardProof,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its inner hashes.
    pub outboard: Vec<u8>,
}

/// Bytes that follow from a number: no two segments of them are alike.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("meanwhile/blobs/test-bytes/v1");
    let mut output = vec![0; length];
    hasher.update(&seed.to_le_bytes()).finalize_xof().fill(&mut output);
    output
}

/// Encodes a blob.
///
/// # Panics
/// Never, for a blob that fits memory.
pub fn encode(shards: ShardCount, source: &[u8]) -> (Committed, Vec<Vec<u8>>) {
    let mut all = vec![Vec::new(); usize::from(shards.value())];
    let mut keep = |segment: &Segment| {
        for (shard, bytes) in shards.shards().zip(&mut all) {
            bytes.extend_from_slice(segment.chunk(shard).expect("one of them"));
        }
    };
    let mut encoder = Encoder::new(shards);
    encoder.push(source, &mut keep).expect("a blob that fits memory");
    let committed = encoder.finish(&mut keep).expect("a blob that fits memory");
    (committed, all)
}

impl StoredBlob {
    /// Encodes and stores a blob.
    ///
    /// # Panics
    /// Never, for a blob that fits memory.
    pub fn honest(shards: ShardCount, source: &[u8]) -> Self {
        let (committed, all) = encode(shards, source);
        let blob = Self::committed(committed.meta().layout, committed.meta().content_hash, all);
        assert_eq!(blob.meta, *committed.meta());
        blob
    }

    /// What a writer stores who encodes honestly and then changes shards before he commits to them.
    /// Every shard proves itself; together they are no encoding of anything.
    pub fn inconsistent(
        shards: ShardCount,
        source: &[u8],
        change: impl FnOnce(&mut Vec<Vec<u8>>),
    ) -> Self {
        let (committed, mut all) = encode(shards, source);
        change(&mut all);
        Self::committed(committed.meta().layout, committed.meta().content_hash, all)
    }

    /// What a writer stores who promises other bytes than those that he encodes.
    pub fn wrong_content(shards: ShardCount, source: &[u8]) -> Self {
        let (committed, all) = encode(shards, source);
        Self::committed(committed.meta().layout, [0xee; 32], all)
    }

    /// What a writer stores who encodes `source` as if it were only `length` bytes long, so that
    /// the rest of it stands in the padding.
    ///
    /// # Panics
    /// When the padding has no room for the rest.
    pub fn wrong_padding(shards: ShardCount, source: &[u8], length: usize) -> Self {
        let (_, all) = encode(shards, source);
        let content = *blake3::hash(&source[..length]).as_bytes();
        let length = u64::try_from(length).expect("in memory");
        let layout = BlobLayout::new(Encoding::Segmented, shards, length).expect("in memory");
        assert_eq!(u64::try_from(all[0].len()).ok(), Some(layout.shard_length()));
        Self::committed(layout, content, all)
    }

    fn committed(layout: BlobLayout, content_hash: [u8; 32], all: Vec<Vec<u8>>) -> Self {
        let hash = |bytes: &Vec<u8>| {
            let mut hasher = ShardHasher::default();
            hasher.update(bytes);
            hasher.finish()
        };
        let hashes: Vec<_> = all.iter().map(hash).collect();
        let leaves = hashes.iter().map(|hash| hash.leaf).collect();
        let leaves = Leaves::new(layout.shards(), leaves).expect("one for each");
        let meta = BlobMeta { layout, shards_root: leaves.root(), content_hash };
        let store = |((shard, bytes), hash): ((ShardIndex, _), crate::hasher::ShardHash)| {
            let (leaf, path) = (hash.leaf, leaves.path(shard).expect("one of them"));
            let proof = ShardProof::new(meta, shard, leaf, path);
            StoredShard { proof, bytes, outboard: hash.outboard }
        };
        let shards = layout.shards().shards().zip(all).zip(hashes).map(store).collect();
        Self { meta, shards }
    }

    /// Completes one segment from the given shards, as a reader does that believes nobody.
    ///
    /// # Panics
    /// When a shard does not prove itself, or there are too few of them.
    pub fn read(&self, coder: &mut SegmentCoder, segment: u64, from: &[u16]) -> Segment {
        let partial = PartialSegment::new(&self.meta.layout, segment, Vec::new());
        let mut partial = partial.expect("a segment of the blob");
        let (start, end) = partial.shard_range();
        for shard in from {
            let bytes = self.shards[usize::from(*shard)].prove(&self.meta, start, end);
            partial.accept(&bytes).expect("the chunk that was asked for");
        }
        coder.complete(partial).expect("k chunks")
    }
}

impl StoredShard {
    /// The slice that the keeper sends.
    ///
    /// # Panics
    /// When the range is not inside the shard.
    pub fn slice(&self, range: SliceRange) -> Vec<u8> {
        let place = |offset| usize::try_from(offset).expect("in memory");
        let piece = |piece| match piece {
            Piece::Pair { offset } => self.outboard[place(offset)..][..64].to_vec(),
            Piece::Bytes { offset, length } => self.bytes[place(offset)..][..length].to_vec(),
        };
        SlicePlan::new(range).flat_map(piece).collect()
    }

    /// Sends a slice and reads it.
    ///
    /// # Panics
    /// When it does not prove itself.
    pub fn prove(&self, meta: &BlobMeta, from: u64, to: u64) -> ProvenBytes {
        let shard = self.proof.clone().verify(&meta.id()).expect("a proof of the blob");
        let range = SliceRange::new(from, to, meta.layout.shard_length()).expect("inside");
        let reader = SliceReader::new(&shard, range).expect("of this length");
        reader.read_all(&self.slice(range)).expect("an honest keeper")
    }
}
