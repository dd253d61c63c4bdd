//! A snapshot of a network of one validator, taken into an empty store.

use ledger::query;
use store::Durability;
use store::MemoryStore;
use store::Store as _;

use super::*;
use crate::execution::tests::solo::Solo;
use crate::execution::tests::solo::first_output;
use crate::execution::tests::solo::payment;

/// Lets a network live until it stands at a proven checkpoint with history behind it.
fn grown() -> Solo {
    let mut solo = Solo::new();
    let mut coin = solo.coins()[0];
    for number in 0..6 {
        let pay = payment(coin, 10_000);
        coin = first_output(&pay);
        solo.submit(number, &pay);
        solo.rounds(3);
    }
    let stands = |solo: &Solo| {
        let applied = solo.execution().ledger().applied();
        tables::proof(&solo.store, applied).unwrap().is_some()
    };
    for _ in 0..100 {
        if solo.execution().ledger().applied() > CommitIndex::new(40) && stands(&solo) {
            return solo;
        }
        solo.rounds(1);
    }
    panic!("no checkpoint is proven: {:?}", solo.execution().ledger().applied());
}

fn frames(solo: &Solo) -> Vec<Bytes> {
    let applied = solo.execution().ledger().applied();
    let proof = tables::proof(&solo.store, applied).unwrap().unwrap();
    let mut export = SnapshotExport::new(&solo.store, proof, &solo.network.genesis).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = export.next_frame(&solo.store).unwrap() {
        frames.push(frame);
    }
    frames
}

fn import(genesis: &Genesis, frames: &[Bytes]) -> Result<MemoryStore, SnapshotFault> {
    let store = MemoryStore::new(&crate::all_tables());
    let mut import = SnapshotImport::new(genesis)?;
    for (number, frame) in (1..).zip(frames) {
        let (head, contents) = frame.split_first_chunk::<FRAME_HEAD_BYTES>().unwrap();
        let damaged = |reason| SnapshotFault::Frame { frame: number, reason };
        let head = FrameHead::decode(head).map_err(damaged)?;
        let contents = Bytes::copy_from_slice(contents);
        store.write(import.take(&store, &head, &contents)?, Durability::Buffered)?;
    }
    store.write(import.finish(&store)?, Durability::Synced)?;
    Ok(store)
}

#[test]
fn a_node_from_a_snapshot_and_the_vertices_above_the_line_orders_and_applies_the_same() {
    let mut solo = grown();
    let store = import(&solo.network.genesis, &frames(&solo)).unwrap();
    let checkpoint = solo.execution().ledger().checkpoint_now();
    let line = solo.ordering().consensus().gc_round();
    let pay = payment(solo.coins()[0], 10_000);
    solo.submit(99, &pay);
    solo.rounds(40);
    // What peers would send: the vertices above the line. There are none here but the original.
    let from = tables::vertex_key(&tables::first_of(line.next()));
    let mut changes = Changes::default();
    for (key, value) in tables::vertices_from(&solo.store, &from, usize::MAX).unwrap() {
        changes.put(tables::VERTICES, key, value);
    }
    let own = tables::own_newest(&solo.store).unwrap().unwrap();
    tables::put_own(&mut changes, &own);
    let before = tables::last_commit(&store).unwrap().unwrap();
    assert_eq!((before.index, before.digest()), (checkpoint.commit, checkpoint.commit_digest));
    store.write(changes, Durability::Synced).unwrap();
    let mut twin = Solo::over(solo.network.clone(), store);
    twin.now = solo.now;
    twin.open();
    twin.rounds(1);
    let applied = solo.execution().ledger().applied();
    assert!(applied > checkpoint.commit.saturating_add(16), "{applied}");
    assert!(twin.execution().ledger().applied() >= applied);
    let last = |solo: &Solo| query::checkpoints_from(&solo.store, applied.saturating_sub(16), 1);
    assert_eq!(last(&solo).unwrap()[0].checkpoint, last(&twin).unwrap()[0].checkpoint);
    assert!(query::outcome(&twin.store, &pay.compute_txid()).unwrap().is_some());
}

#[test]
fn damaged_shortened_reordered_and_foreign_snapshots_are_refused() {
    let solo = grown();
    let genesis = &solo.network.genesis;
    let frames = frames(&solo);
    for (place, frame) in frames.iter().enumerate() {
        for at in [0, 7, FRAME_HEAD_BYTES, frame.len() - 1] {
            let mut bytes = frame.to_vec();
            bytes[at] ^= 1;
            let mut changed = frames.clone();
            changed[place] = bytes.into();
            assert!(import(genesis, &changed).is_err(), "byte {at} of frame {place}");
        }
        let mut fewer = frames.clone();
        fewer.remove(place);
        assert!(import(genesis, &fewer).is_err(), "without frame {place}");
    }
    let other = types::test_utils::TestNetwork::new(1).genesis;
    assert!(matches!(import(&other, &frames), Err(SnapshotFault::WrongChain { .. })));
}

#[test]
fn a_checkpoint_that_nobody_signed_is_refused() {
    let solo = grown();
    let mut import = SnapshotImport::new(&solo.network.genesis).unwrap();
    let mut checkpoint = solo.execution().ledger().checkpoint_now();
    let proof = tables::proof(&solo.store, checkpoint.commit).unwrap().unwrap();
    checkpoint.utxo_hash = types::BitcoinHash::new([3; 32]);
    let refused = import.begin(checkpoint, &proof);
    assert_eq!(refused, Err(SnapshotFault::Proof(ProofError::Signature)));
    assert_eq!(import.checkpoint(), None);
}
