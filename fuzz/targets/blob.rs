//! What a stranger says about a blob: its meta, references and outcomes, the proof of a shard, and a
//! slice of one.
//!
//! The slice is read against a shard that is known, so that whatever is taken can be held against the
//! bytes themselves.
#![no_main]

use std::sync::LazyLock;

use blobs::ProvenShard;
use blobs::ShardProof;
use blobs::SliceRange;
use blobs::SliceReader;
use blobs::test_utils::StoredBlob;
use fuzz::judge;
use libfuzzer_sys::fuzz_target;
use types::BlobMeta;
use types::ShardCount;
use types::blob::BlobOutcome;
use types::blob::BlobReference;
use types::blob::BlobStatement;
use types::blob::proof::BlobProof;

/// One shard of three groups and a bit, so that slices have pairs at two levels.
static SHARD: LazyLock<(ProvenShard, Vec<u8>)> = LazyLock::new(|| {
    let shards = ShardCount::new(4).expect("a number of shards");
    let blob = StoredBlob::honest(shards, &blobs::test_utils::bytes(1, 100_000));
    let stored = blob.shards.into_iter().next().expect("the first of four");
    (stored.proof.verify(&blob.meta.id()).expect("honest"), stored.bytes)
});

fuzz_target!(|bytes: &[u8]| {
    let meta = judge::<BlobMeta>(bytes);
    if let Some(meta) = meta {
        let layout = meta.layout;
        assert!(layout.encoded_length() >= layout.length(), "shards hold the blob");
    }
    judge::<BlobReference>(bytes);
    judge::<BlobOutcome>(bytes);
    judge::<BlobStatement>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(proof) = BlobProof::parse(text)
    {
        assert_eq!(proof.to_text(), text.trim_end());
    }
    let (shard, whole) = &*SHARD;
    if let Some(proof) = judge::<ShardProof>(bytes)
        && let Ok(proven) = proof.verify(shard.id())
    {
        assert_eq!(proven.meta(), shard.meta());
    }
    let Some((bounds, slice)) = bytes.split_first_chunk::<8>() else { return };
    let [a, b, c, d, e, f, g, h] = *bounds;
    let (from, to) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let length = shard.meta().layout.shard_length();
    let Ok(range) = SliceRange::new(from.into(), to.into(), length) else { return };
    let reader = SliceReader::new(shard, range).expect("a range of this shard");
    if let Ok(proven) = reader.read_all(slice) {
        let place = |place: u32| usize::try_from(place).expect("inside");
        assert_eq!(proven.bytes(), &whole[place(from)..place(to)]);
    }
});
