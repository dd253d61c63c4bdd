//! Frozen results of the whole encoding. A change here makes every stored blob unreadable under its
//! name: it needs a new number of the encoding and a line in the changelog.
//!
//! `vectors/encoding.txt` holds, for blobs of `test_utils::bytes(7, length)`: S, the length, the first
//! 8 bytes of each shard's hash up to the twelfth shard, and the blob's name.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::fmt::Write as _;

use blobs::test_utils::bytes;
use blobs::test_utils::encode;
use types::Encode;
use types::ShardCount;

const CASES: [(u16, usize); 12] = [
    (1, 0),
    (1, 1000),
    (2, 1000),
    (3, 1 << 20),
    (4, 0),
    (4, 1000),
    (4, (1 << 20) + 1),
    (7, 3 << 20),
    (10, (2 << 20) + 12_345),
    (31, 1 << 20),
    (100, (1 << 20) + 70_000),
    (256, 500_000),
];

fn source(length: usize) -> Vec<u8> {
    bytes(7, length)
}

#[test]
fn blobs_encode_to_the_frozen_shards_and_names() {
    let mut computed = String::new();
    for (shards, length) in CASES {
        let count = ShardCount::new(shards).unwrap();
        let (committed, all) = encode(count, &source(length));
        let leaves = all.iter().take(12).map(|shard| {
            let leaf = blake3::hash(shard);
            hex::encode(&leaf.as_bytes()[..8])
        });
        let leaves: Vec<String> = leaves.collect();
        let meta = committed.meta();
        writeln!(computed, "{shards} {length} {} {}", leaves.join(","), meta.id()).unwrap();
    }
    let (committed, _) = encode(ShardCount::new(10).unwrap(), &source(1000));
    let proof = committed.proof(types::ShardIndex::new(6)).unwrap();
    writeln!(computed, "proof {}", hex::encode(proof.to_bytes())).unwrap();
    assert!(computed == include_str!("../vectors/encoding.txt"), "computed now:\n{computed}");
}
