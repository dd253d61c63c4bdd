use blobs::test_utils::StoredBlob;
use blobs::test_utils::StoredShard;
use blobs::test_utils::bytes;
use tempfile::TempDir;
use types::ShardCount;

use super::*;

fn blob(number: u64, length: usize) -> StoredBlob {
    StoredBlob::honest(ShardCount::new(4).unwrap(), &bytes(number, length))
}

fn proven(stored: &StoredBlob, shard: usize) -> ProvenShard {
    let proof: ShardProof = stored.shards[shard].proof.clone();
    proof.verify(&stored.meta.id()).unwrap()
}

fn open(dir: &TempDir, quota_bytes: u64) -> ShardStore {
    ShardStore::open(dir.path(), quota_bytes, 0).unwrap()
}

fn put(store: &ShardStore, stored: &StoredBlob, shard: usize) -> Result<(), StoreError> {
    let StoredShard { bytes, .. } = &stored.shards[shard];
    let mut upload = store.upload(proven(stored, shard), 0, true)?;
    upload.write(bytes)?;
    upload.finish()
}

#[test]
fn a_shard_comes_in_pieces_and_goes_on_after_a_restart_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let stored = blob(1, 100_000);
    let (id, all) = (stored.meta.id(), &stored.shards[2].bytes);
    let cut = 20_000;
    {
        let store = open(&dir, 1 << 30);
        let mut upload = store.upload(proven(&stored, 2), 0, false).unwrap();
        upload.write(&all[..cut]).unwrap();
    }
    let store = open(&dir, 1 << 30);
    let wrong = store.upload(proven(&stored, 2), 7, false).map(|_| ());
    assert!(matches!(wrong, Err(StoreError::Offset { received: 20_000 })), "{wrong:?}");
    let mut upload = store.upload(proven(&stored, 2), 20_000, false).unwrap();
    assert!(store.held(&id).is_none());
    upload.write(&all[cut..]).unwrap();
    upload.finish().unwrap();
    let reopened = open(&dir, 1 << 30);
    assert_eq!(reopened.held(&id), Some(proven(&stored, 2)));
    let mut read = Vec::new();
    reopened.bytes(&id).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(&read, all);
    let range = SliceRange::new(5, 40_000, stored.meta.layout.shard_length()).unwrap();
    let slice = reopened.slice(&id, range).unwrap();
    let reader = blobs::SliceReader::new(&proven(&stored, 2), range).unwrap();
    assert_eq!(reader.read_all(&slice).unwrap().range(5, 40_000), Some(&all[5..40_000]));
}

#[test]
fn bytes_that_are_not_the_shards_are_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1 << 30);
    let mut stored = blob(2, 10_000);
    stored.shards[1].bytes[77] ^= 1;
    assert!(matches!(put(&store, &stored, 1), Err(StoreError::Bytes)));
    assert!(store.held(&stored.meta.id()).is_none());
    stored.shards[1].bytes[77] ^= 1;
    put(&store, &stored, 1).unwrap();
    let mut longer = blob(3, 10_000);
    longer.shards[0].bytes.push(0);
    assert!(matches!(put(&store, &longer, 0), Err(StoreError::Bytes)));
}

#[test]
fn what_has_no_room_is_refused_with_words_that_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 100_000);
    put(&store, &blob(4, 100_000), 0).unwrap();
    let full = put(&store, &blob(5, 100_000), 0).unwrap_err();
    assert!(full.to_string().contains("raise blobs.quota_mib"), "{full}");
    store.remove(&blob(4, 100_000).meta.id()).unwrap();
    put(&store, &blob(5, 100_000), 0).unwrap();
    let other = tempfile::tempdir().unwrap();
    let crowded = ShardStore::open(other.path(), 1 << 30, u64::MAX / 2).unwrap();
    let full = put(&crowded, &blob(6, 1_000), 0).unwrap_err();
    assert!(full.to_string().contains("are kept for ordering"), "{full}");
}

#[test]
fn shards_of_unknown_blobs_have_a_bound_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 1 << 40);
    let count = u64::try_from(EARLY_BLOBS_MAX).unwrap();
    for number in 0..count {
        drop(store.upload(proven(&blob(number, 10), 0), 0, false).unwrap());
    }
    let stored = blob(count, 10);
    let refused = store.upload(proven(&stored, 0), 0, false).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Early)), "{refused:?}");
    put(&store, &stored, 0).unwrap();
}

#[test]
fn the_cursor_and_what_is_wanted_survive() {
    let dir = tempfile::tempdir().unwrap();
    let id = blob(7, 10).meta.id();
    {
        let store = open(&dir, 1 << 30);
        assert_eq!((store.cursor(), store.wanted().unwrap()), (0, Vec::new()));
        store.want(&id).unwrap();
        store.set_cursor(77).unwrap();
    }
    let store = open(&dir, 1 << 30);
    assert_eq!((store.cursor(), store.wanted().unwrap()), (77, vec![id]));
    store.unwant(&id).unwrap();
    store.unwant(&id).unwrap();
    assert_eq!(store.wanted().unwrap(), Vec::new());
}
