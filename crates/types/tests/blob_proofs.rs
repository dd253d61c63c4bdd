//! What the chain and a proof say of blobs: frozen bytes, and proofs that somebody has changed, none
//! of which is believed. `vectors/blobs.json` holds the bytes.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use types::Author;
use types::BitcoinHash;
use types::BlobMeta;
use types::Checkpoint;
use types::CheckpointProof;
use types::CommitIndex;
use types::Decode;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Height;
use types::Item;
use types::Payload;
use types::Results;
use types::ShardCount;
use types::blob::BLOB_STATEMENTS_PER_VERTEX_MAX;
use types::blob::BlobChange;
use types::blob::BlobClaim;
use types::blob::BlobLayout;
use types::blob::BlobOperation;
use types::blob::BlobOutcome;
use types::blob::BlobReference;
use types::blob::BlobRefusal;
use types::blob::BlobStatement;
use types::blob::Encoding;
use types::blob::proof::BlobProof;
use types::blob::proof::BlobProofError;
use types::blob::proof::verify_blob_proof_of;
use types::checkpoint;
use types::receipt::ProvenChain;
use types::results::path;
use types::test_utils::TestNetwork;

static NETWORK: LazyLock<TestNetwork> = LazyLock::new(|| TestNetwork::new(4));

fn meta() -> BlobMeta {
    let layout = BlobLayout::new(Encoding::Segmented, ShardCount::new(4).unwrap(), 70_000);
    BlobMeta { layout: layout.unwrap(), shards_root: [1; 32], content_hash: [2; 32] }
}

fn outcome(change: BlobChange) -> BlobOutcome {
    let commit = CommitIndex::new(15);
    BlobOutcome { blob: meta().id(), registered_by: BitcoinHash::new([3; 32]), commit, change }
}

fn certified() -> BlobChange {
    BlobChange::Certified { end_height: Height::new(70) }
}

/// A proof of an outcome that stands behind another one.
fn proof(meta: Option<&BlobMeta>, outcome: BlobOutcome) -> BlobProof {
    let committee = &NETWORK.committee;
    let mut results = Results::default();
    let leaves = [Digest::new([5; 32]), outcome.leaf()];
    leaves.iter().for_each(|leaf| results.push_leaf(*leaf));
    let checkpoint = Checkpoint {
        chain: *committee.chain(),
        epoch: Epoch::ZERO,
        commit: CommitIndex::new(16),
        commit_digest: Digest::new([4; 32]),
        previous: Digest::new([5; 32]),
        results_root: results.root(),
        height: Height::new(60),
        tip: BitcoinHash::new([6; 32]),
        utxo_hash: BitcoinHash::new([7; 32]),
        state_hash: Digest::new([8; 32]),
    };
    let message = checkpoint::vote_message(&checkpoint.digest());
    let votes = [0_u16, 2, 3].map(|author| {
        let key = &NETWORK.secrets[usize::from(author)].checkpoint;
        (Author::new(author), key.sign(message.as_bytes()))
    });
    let proof = CheckpointProof::aggregate(&votes, committee).unwrap();
    let proven = ProvenChain { checkpoint, links: Vec::new(), proof };
    BlobProof::new(meta, outcome, path(&leaves, 1).unwrap(), proven)
}

fn statement(registration: u64) -> Item {
    let blob = meta().id();
    Item::BlobStatement(BlobStatement { claim: BlobClaim::Held, registration, blob })
}

fn computed() -> BTreeMap<&'static str, String> {
    let register = BlobReference {
        operation: BlobOperation::Register,
        blob: meta().id(),
        layout: meta().layout,
        end_height: Height::new(70),
    };
    let reason = BlobRefusal::Unpaid { price_sat: 20, fee_sat: 10 };
    let genesis = TestNetwork::with(1, |genesis| genesis.blobs.price_msat_per_mib_tick = 7).genesis;
    BTreeMap::from([
        ("reference", hex::encode(register.to_bytes())),
        ("statement", hex::encode(statement(9).to_bytes())),
        ("outcome_certified", hex::encode(outcome(certified()).to_bytes())),
        ("outcome_refused", hex::encode(outcome(BlobChange::Refused { reason }).to_bytes())),
        ("leaf_certified", outcome(certified()).leaf().to_string()),
        ("proof_certified", proof(Some(&meta()), outcome(certified())).to_text()),
        ("proof_invalid", proof(None, outcome(BlobChange::Invalid)).to_text()),
        ("chain_of_dear_blobs", genesis.chain().to_string()),
    ])
}

fn judge(text: &str) -> Result<BlobOutcome, BlobProofError> {
    let verified = verify_blob_proof_of(&NETWORK.committee, &BlobProof::parse(text)?)?;
    Ok(*verified.outcome())
}

#[test]
fn encodings_are_the_frozen_ones() {
    let frozen: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../vectors/blobs.json")).unwrap();
    let computed = computed();
    let text = serde_json::to_string_pretty(&computed).unwrap();
    assert_eq!(computed.len(), frozen.len(), "computed now:\n{text}");
    for (name, value) in &computed {
        assert_eq!(Some(value), frozen.get(*name), "{name} changed; computed now:\n{text}");
    }
    let bytes = hex::decode(&frozen["reference"]).unwrap();
    assert_eq!(bytes.len(), BlobReference::ENCODED_LENGTH);
    assert!(Item::from_bytes(&hex::decode(&frozen["statement"]).unwrap()).unwrap().wants_order());
}

#[test]
fn a_proof_of_each_kind_is_believed() {
    let certificate = proof(Some(&meta()), outcome(certified()));
    let verified = verify_blob_proof_of(&NETWORK.committee, &certificate).unwrap();
    assert_eq!(verified.meta(), Some(&meta()));
    assert_eq!(judge(&certificate.to_text()).unwrap(), outcome(certified()));
    assert!(certificate.to_text().len() < 2_000, "{}", certificate.to_text().len());
    let invalid = outcome(BlobChange::Invalid);
    assert_eq!(judge(&proof(None, invalid).to_text()).unwrap(), invalid);
}

#[test]
fn a_meta_goes_with_a_certificate_and_is_the_blobs_own() {
    let other = BlobMeta { content_hash: [9; 32], ..meta() };
    let rows = [
        (proof(None, outcome(certified())), "goes with a certificate"),
        (proof(Some(&meta()), outcome(BlobChange::Invalid)), "goes with a certificate"),
        (proof(Some(&other), outcome(certified())), "is not that of the blob"),
        (proof(None, outcome(BlobChange::Deleted)), "neither certified nor invalid"),
    ];
    for (proof, reason) in rows {
        let error = verify_blob_proof_of(&NETWORK.committee, &proof).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn every_single_changed_byte_is_noticed() {
    let text = proof(Some(&meta()), outcome(certified())).to_text();
    let mut judged = 0;
    for place in 0..text.len() {
        for mask in [0x01, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= mask;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(judge(&changed).is_err(), "byte {place} ^ {mask:#x}: {changed}");
            judged += 1;
        }
    }
    assert!(judged >= 1_000, "{judged}");
}

#[test]
fn a_vertex_says_so_much_about_blobs_and_no_more() {
    let count = u64::try_from(BLOB_STATEMENTS_PER_VERTEX_MAX).unwrap();
    let full: Vec<Item> = (0..count).map(statement).collect();
    let payload = Payload::new(full.clone()).unwrap();
    assert_eq!(Payload::from_bytes(&payload.to_bytes()), Ok(payload.clone()));
    let mut over = full;
    over.push(statement(count));
    assert!(Payload::new(over).is_err());
    // One statement more, put behind the others by hand.
    let mut bytes = payload.to_bytes();
    bytes[..4].copy_from_slice(&u32::try_from(count + 1).unwrap().to_le_bytes());
    bytes.extend_from_slice(&statement(count).to_bytes());
    assert!(Payload::from_bytes(&bytes).is_err());
}
