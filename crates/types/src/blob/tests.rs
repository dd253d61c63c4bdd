//! Thresholds, placement, sizes and the canonical meta.

use std::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::encoding::Decode;
use crate::encoding::Encode;
use crate::ids::Author;
use crate::ids::ShardIndex;

fn count(shards: u16) -> ShardCount {
    ShardCount::new(shards).unwrap()
}

fn layout(shards: u16, length: u64) -> BlobLayout {
    BlobLayout::new(Encoding::Segmented, count(shards), length).unwrap()
}

#[test]
fn thresholds_are_those_of_the_table() {
    // S, F, k, certify, invalidate
    let rows = [
        (1, 0, 1, 1, 1),
        (2, 0, 2, 2, 1),
        (3, 0, 3, 3, 1),
        (4, 1, 2, 3, 2),
        (5, 1, 3, 4, 2),
        (6, 1, 4, 5, 2),
        (7, 2, 3, 5, 3),
        (10, 3, 4, 7, 4),
        (31, 10, 11, 21, 11),
        (100, 33, 34, 67, 34),
        (256, 85, 86, 171, 86),
    ];
    for (shards, faults, rebuild, certify, invalidate) in rows {
        let count = count(shards);
        let actual = (count.faults(), count.rebuild(), count.certify(), count.invalidate());
        assert_eq!(actual, (faults, rebuild, certify, invalidate), "S = {shards}");
        assert_eq!(count.parity() + count.rebuild(), shards);
    }
}

#[test]
fn what_is_certified_can_be_read_and_an_invalid_statement_is_honest() {
    for count in (1..=256).map(count) {
        let faults = count.faults();
        // Of those who acknowledged F lie and F honest ones of them are lost: the rest rebuilds.
        assert!(count.certify() - faults >= count.rebuild());
        // F that are silent keep nothing from being certified, F that lie end no blob.
        assert!(count.value() - faults >= count.certify());
        assert!(count.invalidate() > faults);
    }
}

#[test]
fn no_shards_and_too_many_shards_are_refused() {
    for actual in [0, 257, u16::MAX] {
        assert_eq!(ShardCount::new(actual), Err(InvalidBlob::ShardCount { actual, max: 256 }));
    }
}

#[test]
fn encodings_that_are_kept_for_later_are_refused() {
    assert_eq!(Encoding::new(1).map(Encoding::value), Ok(1));
    for actual in [0, 2, 3, 255] {
        assert_eq!(Encoding::new(actual), Err(InvalidBlob::Encoding { actual }));
    }
}

#[test]
fn the_first_byte_of_an_id_is_the_most_significant() {
    let mut bytes = [0; 32];
    bytes[31] = 7;
    let keeper = |bytes, shards| count(shards).keeper(&BlobId::new(bytes), ShardIndex::ZERO);
    assert_eq!(keeper(bytes, 10), Author::new(7));
    bytes[30] = 1;
    // 256 + 7 = 263
    assert_eq!(keeper(bytes, 10), Author::new(3));
    // Modulo 100: 2^20 = 76 and 76 * 76 = 76, so 2^256 = 76 * 2^16 = 36.
    assert_eq!(keeper([255; 32], 100), Author::new(35));
    assert_eq!(keeper([255; 32], 256), Author::new(255));
}

#[test]
fn sizes_are_those_of_the_table() {
    const MIB: u64 = 1 << 20;
    // S, length, segments, shard length
    let rows = [
        (4, 0, 1, 64),
        (4, 1, 1, 64),
        (4, 128, 1, 64),
        (4, 129, 1, 128),
        (4, MIB, 1, MIB / 2),
        (4, MIB + 1, 2, MIB / 2 + 64),
        (4, 3 * MIB, 3, 3 * MIB / 2),
        (1, MIB + 65, 2, MIB + 128),
        (10, MIB, 1, MIB / 4),
        // ceil(2^20 / 34) = 30841, and 482 * 64 = 30848
        (100, MIB, 1, 30_848),
        (100, 2 * MIB, 2, 2 * 30_848),
    ];
    for (shards, length, segments, shard) in rows {
        let layout = layout(shards, length);
        assert_eq!((layout.segments(), layout.shard_length()), (segments, shard), "{layout:?}");
        assert_eq!(layout.encoded_length(), u64::from(shards) * shard);
    }
    assert_eq!(layout(4, 0).segment_length(0), Some(0));
    assert_eq!(layout(4, 0).segment_length(1), None);
    assert_eq!(layout(4, MIB).chunk_length(1), None);
}

#[test]
fn a_blob_above_the_longest_is_refused() {
    let new = |length| BlobLayout::new(Encoding::Segmented, count(256), length);
    let longest = new(BLOB_LENGTH_MAX).unwrap();
    assert!(longest.encoded_length() > 2 * BLOB_LENGTH_MAX);
    let (actual, max) = (BLOB_LENGTH_MAX + 1, BLOB_LENGTH_MAX);
    assert_eq!(new(actual), Err(InvalidBlob::Length { actual, max }));
    assert!(new(u64::MAX).is_err());
}

#[test]
fn an_id_reads_back_from_its_text_and_its_json() {
    let id = BlobId::new(core::array::from_fn(|place| u8::try_from(place).unwrap()));
    let text = id.to_string();
    assert!(text.starts_with("000102") && text.len() == 64);
    assert_eq!(text.parse(), Ok(id));
    assert!(text[1..].parse::<BlobId>().is_err());
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(serde_json::from_str::<BlobId>(&json).unwrap(), id);
}

proptest! {
    #[test]
    fn every_shard_has_one_keeper_and_every_validator_one_shard(
        shards in 1_u16..=256,
        id in any::<[u8; 32]>(),
    ) {
        let (count, id) = (count(shards), BlobId::new(id));
        let keepers: std::collections::BTreeSet<Author> =
            count.shards().map(|shard| count.keeper(&id, shard)).collect();
        prop_assert_eq!(keepers.len(), usize::from(shards));
        for shard in count.shards() {
            let keeper = count.keeper(&id, shard);
            prop_assert!(keeper.value() < shards);
            prop_assert_eq!(count.kept_by(&id, keeper), shard);
        }
    }

    #[test]
    fn chunks_hold_their_segment_and_add_up_to_the_shard(
        shards in 1_u16..=256,
        length in 0_u64..(5 << 20),
    ) {
        let layout = layout(shards, length);
        let (mut source, mut shard) = (0, 0);
        for segment in 0..layout.segments() {
            prop_assert_eq!(shard, segment * layout.whole_chunk_length());
            let bytes = layout.segment_length(segment).unwrap();
            let chunk = layout.chunk_length(segment).unwrap();
            let room = chunk * u64::from(layout.shards().rebuild());
            prop_assert!(room >= bytes && chunk > 0 && chunk.is_multiple_of(CHUNK_ALIGNMENT));
            source += bytes;
            shard += chunk;
        }
        prop_assert_eq!((source, shard), (length, layout.shard_length()));
    }

    #[test]
    fn a_meta_has_one_encoding_and_every_other_byte_another_name(
        shards in 1_u16..=256,
        length in 0_u64..=BLOB_LENGTH_MAX,
        roots in any::<[[u8; 32]; 2]>(),
        place in 0_usize..BlobMeta::ENCODED_LENGTH,
        other in 1_u8..=255,
    ) {
        let [shards_root, content_hash] = roots;
        let meta = BlobMeta { layout: layout(shards, length), shards_root, content_hash };
        let mut bytes = meta.to_bytes();
        prop_assert_eq!(bytes.len(), BlobMeta::ENCODED_LENGTH);
        prop_assert_eq!(BlobMeta::from_bytes(&bytes), Ok(meta));
        bytes[place] ^= other;
        if let Ok(changed) = BlobMeta::from_bytes(&bytes) {
            prop_assert!(place >= 8, "byte {} follows from others", place);
            prop_assert_eq!(changed.to_bytes(), bytes);
            prop_assert_ne!(changed.id(), meta.id());
        }
    }
}
