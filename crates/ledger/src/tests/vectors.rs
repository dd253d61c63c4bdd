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
use types::CommitIndex;
use types::DecodeError;
use types::Digest;
use types::Encode;
use types::Height;
use types::TimestampMs;

use super::*;
use crate::event::Event;
use crate::event::EventKind;
use crate::event::Outcome;
use crate::results::Results;
use crate::rows::BlockRow;
use crate::rows::CommitRow;
use crate::rows::HistoryRow;
use crate::rows::Place;
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
    results.push(&txid(), &Outcome::Final { commit: CommitIndex::new(8) });
    results.push(&txid(), &Outcome::Rejected { conflict: Txid::from_byte_array([2; 32]) });
    results.push(&txid(), &Outcome::Final { commit: CommitIndex::new(9) });
    results
}

fn events() -> [(&'static str, String); 4] {
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
    ]
}

fn coins() -> [(&'static str, String); 8] {
    let coin = |coinbase| Coin { output: anyone(5), coinbase };
    let change = Totals { transactions: 1, funded: 2, funded_sat: 3, spent: 4, spent_sat: 5 };
    let unsealed = Unsealed {
        txid: txid(),
        wtxid: Wtxid::from_byte_array([3; 32]),
        weight: 400,
        size: 100,
        sigops_cost: 4,
        fee_sat: 150,
    };
    let commit = CommitIndex::new(8);
    let raw = Bytes::from_static(b"raw");
    [
        ("coin", frozen(&coin(None))),
        ("coin_coinbase", frozen(&coin(Some(Height::new(7))))),
        ("place", frozen(&Place { height: Height::new(7), position: 6 })),
        ("spender", frozen(&Spender { txid: txid(), input: 5 })),
        ("totals", frozen(&change)),
        ("history", frozen(&HistoryRow { txid: txid(), change })),
        ("unsealed", frozen(&unsealed)),
        ("transaction", frozen(&TransactionRow { commit, order: 3, raw })),
    ]
}

fn chain() -> [(&'static str, String); 6] {
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
        results: results(),
    };
    let tip = ledger().ledger.tip();
    [
        ("block", frozen(&block)),
        ("commit", frozen(&commit)),
        ("state", frozen(&state)),
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
