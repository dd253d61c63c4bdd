//! Frozen bytes: of every row, of a network's first blocks and of the results root. A change here
//! is a breaking change of the network or of its stores: it needs a new version byte and a line in
//! the changelog. `vectors/encodings.txt` holds them.

use std::collections::BTreeMap;

use bitcoin::BlockHash;
use bitcoin::Network;
use bitcoin::Txid;
use bitcoin::Wtxid;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bytes::Bytes;
use types::Author;
use types::BitcoinHash;
use types::CommitIndex;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Height;
use types::Results;
use types::TimestampMs;
use types::blob::BlobChange;
use types::blob::BlobId;
use types::blob::BlobLayout;
use types::blob::BlobOutcome;
use types::blob::Encoding;
use types::blob::ShardCount;

use super::*;
use crate::blobs::BlobCertificate;
use crate::blobs::BlobEnd;
use crate::blobs::BlobEnding;
use crate::blobs::BlobRow;
use crate::blobs::ValidatorSet;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::rows::BlockRow;
use crate::rows::CheckpointRow;
use crate::rows::CommitRow;
use crate::rows::HistoryRow;
use crate::rows::Place;
use crate::rows::RejectedRow;
use crate::rows::Spender;
use crate::rows::State;
use crate::rows::Totals;
use crate::rows::TransactionRow;
use crate::rules::SkipReason;
use crate::test_utils::anyone;

/// Encodes a value, sees to it that it is read back and that every shorter or longer string is
/// refused.
fn frozen<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    for length in 0..bytes.len() {
        assert!(T::from_bytes(&bytes[..length]).is_err(), "{value:?}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(T::from_bytes(&longer), Err(DecodeError::Trailing { left: 1 }));
    hex::encode(bytes)
}

fn txid() -> Txid {
    Txid::from_byte_array([1; 32])
}

fn event(kind: EventKind) -> String {
    frozen(&Event { sequence: 9, commit: CommitIndex::new(8), kind })
}

fn results() -> Results {
    let mut results = Results::default();
    let outcomes = [
        Outcome::Final { commit: CommitIndex::new(8) },
        Outcome::Rejected { conflict: Txid::from_byte_array([2; 32]) },
        Outcome::Final { commit: CommitIndex::new(9) },
    ];
    for outcome in outcomes {
        results.push(&BitcoinHash::new([1; 32]), &outcome.in_receipts());
    }
    results
}

fn blob_outcome() -> BlobOutcome {
    BlobOutcome {
        blob: BlobId::new([7; 32]),
        registered_by: BitcoinHash::new([1; 32]),
        commit: CommitIndex::new(8),
        change: BlobChange::Certified { end_height: Height::new(70) },
    }
}

fn blob_row() -> BlobRow {
    let mut held_by = ValidatorSet::default();
    assert!(held_by.insert(Author::new(2)));
    let commit = CommitIndex::new(8);
    BlobRow {
        registration: 6,
        registered_by: txid(),
        registered_in: CommitIndex::new(7),
        handle: bitcoin::OutPoint { txid: txid(), vout: 1 },
        layout: BlobLayout::new(Encoding::Segmented, ShardCount::new(4).unwrap(), 9).unwrap(),
        end_height: Height::new(70),
        held_by,
        disputed_by: ValidatorSet::default(),
        certified: Some(BlobCertificate { first: commit, newest: commit }),
        ended: Some(BlobEnd { ending: BlobEnding::Expired, commit, height: Height::new(70) }),
    }
}

fn events() -> [(&'static str, String); 6] {
    let txid = txid();
    let outcome = |outcome| event(EventKind::Outcome { txid, outcome });
    let conflict = Txid::from_byte_array([2; 32]);
    [
        ("event_final", outcome(Outcome::Final { commit: CommitIndex::new(8) })),
        ("event_rejected", outcome(Outcome::Rejected { conflict })),
        (
            "event_skipped",
            event(EventKind::Skipped {
                txid,
                wtxid: Wtxid::from_byte_array([3; 32]),
                author: Author::new(2),
                reason: SkipReason::NonFinal,
            }),
        ),
        (
            "event_block",
            event(EventKind::Block {
                height: Height::new(7),
                hash: BlockHash::from_byte_array([4; 32]),
            }),
        ),
        ("event_checkpoint", event(EventKind::Checkpoint { digest: Digest::new([5; 32]) })),
        ("event_blob", event(EventKind::Blob(blob_outcome()))),
    ]
}

fn coins() -> [(&'static str, String); 10] {
    let coin = |coinbase| Coin { output: anyone(5), coinbase };
    let change = Totals { transactions: 1, funded: 2, funded_sat: 3, spent: 4, spent_sat: 5 };
    let unsealed = Unsealed {
        commit: CommitIndex::new(8),
        txid: txid(),
        wtxid: Wtxid::from_byte_array([3; 32]),
        weight: 400,
        size: 100,
        sigops_cost: 4,
        fee_sat: 150,
        spent: vec![coin(None), coin(Some(Height::new(7)))],
    };
    let commit = CommitIndex::new(8);
    let raw = Bytes::from_static(b"raw");
    [
        ("blob", frozen(&blob_row())),
        ("coin", frozen(&coin(None))),
        ("coin_coinbase", frozen(&coin(Some(Height::new(7))))),
        ("place", frozen(&Place { height: Height::new(7), position: 6 })),
        ("spender", frozen(&Spender { txid: txid(), input: 5 })),
        ("totals", frozen(&change)),
        ("history", frozen(&HistoryRow { txid: txid(), change })),
        ("unsealed", frozen(&unsealed)),
        ("rejected", frozen(&RejectedRow { winner: txid(), commit })),
        ("transaction", frozen(&TransactionRow { commit, order: 3, raw })),
    ]
}

fn chain() -> [(&'static str, String); 10] {
    let genesis = genesis_block(Network::Regtest);
    let block = BlockRow {
        commit: CommitIndex::new(8),
        header: genesis.header,
        transactions: 1,
        size: 285,
        weight: 1_140,
        median_time_past: 77,
    };
    let commit = CommitRow {
        digest: Digest::new([5; 32]),
        timestamp: TimestampMs::new(1_750_000_000_123),
        leader: Author::new(3),
        finals: 1,
        rejected: 2,
        skipped: 3,
        repeated: 4,
        ignored: 5,
        blocks: 6,
        last_event: 7,
    };
    let state = State {
        chain: Digest::new([6; 32]),
        applied: CommitIndex::new(8),
        digest: Digest::new([5; 32]),
        last_tick: TimestampMs::new(1_750_000_000_000),
        height: Height::new(7),
        hash: genesis.block_hash(),
        times: vec![1, 2, 3],
        last_event: 9,
        next_order: 10,
        first_unsealed: 8,
        unsealed_count: 2,
        unsealed_weight: 800,
        block_results: results(),
        checkpoint_results: results(),
        checkpoint: Digest::new([7; 32]),
        checkpoint_event: 5,
        sealed_chain: Digest::new([8; 32]),
        final_chain: Digest::new([9; 32]),
    };
    let mut hashes = crate::checkpoint::Hashes::empty();
    hashes.add_rejected(&txid(), &txid(), CommitIndex::new(8));
    let row = CheckpointRow {
        checkpoint: crate::checkpoint::of_state(&state, &hashes, Epoch::new(1)),
        first_event: 6,
        last_event: 9,
    };
    let base = rows::Base { commit: CommitIndex::new(8), height: Height::new(7), event: 9 };
    let tip = ledger().ledger.tip();
    [
        ("block", frozen(&block)),
        ("commit", frozen(&commit)),
        ("state", frozen(&state)),
        ("base", frozen(&base)),
        ("hashes", frozen(&hashes)),
        ("checkpoint", frozen(&row)),
        ("carry_hash", crate::checkpoint::Carry::of(&state, &hashes).hash().to_string()),
        ("results_root", results().root().to_string()),
        ("results_root_empty", crate::empty_root().to_string()),
        ("genesis_tip_of_four", tip.hash.to_string()),
    ]
}

#[test]
fn encodings_are_frozen() {
    let computed: BTreeMap<&str, String> =
        events().into_iter().chain(coins()).chain(chain()).collect();
    let computed: String =
        computed.iter().map(|(name, bytes)| format!("{name} {bytes}\n")).collect();
    assert!(computed == include_str!("../../vectors/encodings.txt"), "\n{computed}");
}

#[test]
fn every_reason_has_words_of_its_own_and_a_byte() {
    let words: std::collections::BTreeSet<String> =
        SkipReason::ALL.iter().map(SkipReason::to_string).collect();
    assert_eq!(words.len(), SkipReason::ALL.len());
    for (place, reason) in SkipReason::ALL.iter().enumerate() {
        assert_eq!(reason.to_bytes(), [u8::try_from(place).unwrap()]);
        assert_eq!(SkipReason::from_bytes(&reason.to_bytes()), Ok(*reason));
    }
    assert!(SkipReason::from_bytes(&[200]).is_err());
}
