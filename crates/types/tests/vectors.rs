//! Frozen bytes of every encoded type. A change here is a breaking change of the network: it needs
//! a new version byte and a line in the changelog. `vectors/encodings.json` holds them.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;

use bytes::Bytes;
use types::Author;
use types::BitcoinHash;
use types::BlobLayout;
use types::BlobMeta;
use types::Checkpoint;
use types::CheckpointProof;
use types::CheckpointVote;
use types::Commit;
use types::CommitIndex;
use types::Decode;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Header;
use types::Height;
use types::Item;
use types::Payload;
use types::Results;
use types::Round;
use types::ShardCount;
use types::TimestampMs;
use types::Unverified;
use types::VertexRef;
use types::blob::Encoding;
use types::checkpoint;
use types::coin;
use types::receipt::ProvenChain;
use types::receipt::Receipt;
use types::receipt::verify_receipt;
use types::results::Outcome;
use types::results::leaf;
use types::results::path;
use types::test_utils::TestNetwork;

fn header(network: &TestNetwork, payload: &Payload) -> Header {
    let committee = &network.committee;
    let author = Author::new(2);
    let encoded = payload.to_bytes();
    let edge = |round, author| VertexRef {
        round: Round::new(round),
        ..VertexRef::genesis(committee.chain(), committee.epoch(), Author::new(author))
    };
    Header {
        chain: *committee.chain(),
        epoch: committee.epoch(),
        author,
        round: Round::new(9),
        parents: vec![edge(8, 0), edge(8, 1), edge(8, 3)],
        late: vec![edge(6, 2)],
        coin_share: Some(network.coin_share(author, Round::new(5))),
        payload_root: Payload::root(&encoded),
        payload_length: u32::try_from(encoded.len()).unwrap(),
        timestamp: TimestampMs::new(1_750_000_000_123),
    }
}

/// A receipt for the second of three outcomes, from a checkpoint that the next one leads on from.
fn receipt(network: &TestNetwork) -> Receipt {
    let committee = &network.committee;
    let outcomes = [1_u8, 2, 3].map(|number| {
        let txid = BitcoinHash::new([number; 32]);
        match number {
            1 => (txid, Outcome::Rejected { conflict: BitcoinHash::new([9; 32]) }),
            _ => (txid, Outcome::Final { commit: CommitIndex::new(15) }),
        }
    });
    let leaves = outcomes.map(|(txid, outcome)| leaf(&txid, &outcome));
    let mut results = Results::default();
    outcomes.iter().for_each(|(txid, outcome)| results.push(txid, outcome));
    let checkpoint = Checkpoint {
        chain: *committee.chain(),
        epoch: Epoch::ZERO,
        commit: CommitIndex::new(16),
        commit_digest: Digest::new([4; 32]),
        previous: Digest::new([5; 32]),
        results_root: results.root(),
        height: Height::new(103),
        tip: BitcoinHash::new([6; 32]),
        utxo_hash: BitcoinHash::new([7; 32]),
        state_hash: Digest::new([8; 32]),
    };
    let link = Checkpoint {
        commit: CommitIndex::new(24),
        previous: checkpoint.digest(),
        results_root: types::results::empty_root(),
        ..checkpoint
    };
    let message = checkpoint::vote_message(&link.digest());
    let votes = [0, 2, 3].map(|author| {
        let signature = network.secrets[author].checkpoint.sign(message.as_bytes());
        (Author::new(u16::try_from(author).unwrap()), signature)
    });
    Receipt {
        version: 1,
        txid: outcomes[1].0,
        outcome: outcomes[1].1,
        path: path(&leaves, 1).unwrap(),
        proven: ProvenChain {
            checkpoint,
            links: vec![link],
            proof: CheckpointProof::aggregate(&votes, committee).unwrap(),
        },
    }
}

/// A blob of ten shards, two segments and one byte.
fn blob() -> BlobMeta {
    let shards = ShardCount::new(10).unwrap();
    let layout = BlobLayout::new(Encoding::Segmented, shards, (2 << 20) + 1).unwrap();
    BlobMeta { layout, shards_root: [0x0a; 32], content_hash: [0x0b; 32] }
}

fn computed() -> BTreeMap<&'static str, String> {
    let network = TestNetwork::new(4);
    let committee = &network.committee;
    let items = vec![Item::Transaction(Bytes::from_static(b"one")), Item::DevelopmentTicks(3)];
    let payload = Payload::new(items).unwrap();
    let header = header(&network, &payload);
    let vertex = network.sign(header.clone(), payload.clone());
    let commit = Commit {
        index: CommitIndex::new(7),
        previous: Digest::new([3; 32]),
        leader: vertex.reference(),
        slot: 1,
        vertices: vec![header.late[0], vertex.reference()],
        timestamp: TimestampMs::new(1_750_000_000_000),
    };
    let message = committee.coin_message(Round::new(5));
    let shares = [0, 3].map(|author| {
        let author = Author::new(author);
        (author, network.coin_share(author, Round::new(5)))
    });
    let signature = coin::recover(&shares, &message, committee.coin_group()).unwrap();
    let receipt = receipt(&network);
    let checkpoint = receipt.proven.checkpoint;
    let vote = CheckpointVote {
        commit: checkpoint.commit,
        digest: checkpoint.digest(),
        signature: receipt.proven.proof.signature,
    };
    BTreeMap::from([
        ("blob_id", blob().id().to_string()),
        ("blob_meta", hex::encode(blob().to_bytes())),
        ("checkpoint", hex::encode(checkpoint.to_bytes())),
        ("checkpoint_digest", checkpoint.digest().to_string()),
        ("checkpoint_message", checkpoint::vote_message(&checkpoint.digest()).to_string()),
        ("checkpoint_proof", hex::encode(receipt.proven.proof.to_bytes())),
        ("checkpoint_vote", hex::encode(Item::CheckpointVote(vote).to_bytes())),
        ("receipt", receipt.to_text()),
        ("chain", committee.chain().to_string()),
        ("genesis", hex::encode(network.genesis.to_bytes())),
        ("payload", hex::encode(payload.to_bytes())),
        ("payload_root", header.payload_root.to_string()),
        ("header", hex::encode(header.to_bytes())),
        ("header_digest", header.digest().to_string()),
        ("vertex", hex::encode(vertex.encoded())),
        ("commit", hex::encode(commit.to_bytes())),
        ("commit_digest", commit.digest().to_string()),
        ("coin_message", message.to_string()),
        ("coin_share", hex::encode(shares[0].1.as_bytes())),
        ("coin_signature", hex::encode(signature.as_bytes())),
        ("coin_seed", coin::coin_seed(committee.epoch(), Round::new(5), &signature).to_string()),
    ])
}

fn frozen() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("../vectors/encodings.json")).unwrap()
}

#[test]
fn encodings_are_the_frozen_ones() {
    let computed = computed();
    let frozen = frozen();
    let text = serde_json::to_string_pretty(&computed).unwrap();
    assert_eq!(computed.len(), frozen.len(), "computed now:\n{text}");
    for (name, value) in &computed {
        assert_eq!(Some(value), frozen.get(*name), "{name} changed; computed now:\n{text}");
    }
}

#[test]
fn frozen_bytes_decode_to_themselves() {
    let frozen = frozen();
    let bytes = |name: &str| Bytes::from(hex::decode(&frozen[name]).unwrap());
    let network = TestNetwork::new(4);
    let vertex = Unverified::decode(&bytes("vertex")).unwrap();
    let vertex = vertex.verify(&network.committee, network.genesis.consensus.rules()).unwrap();
    assert_eq!(vertex.reference().digest.to_string(), frozen["header_digest"]);
    let commit = Commit::from_bytes(&bytes("commit")).unwrap();
    assert_eq!(commit.digest().to_string(), frozen["commit_digest"]);
    let blob = BlobMeta::from_bytes(&bytes("blob_meta")).unwrap();
    assert_eq!(blob.id().to_string(), frozen["blob_id"]);
    let checkpoint = Checkpoint::from_bytes(&bytes("checkpoint")).unwrap();
    assert_eq!(checkpoint.digest().to_string(), frozen["checkpoint_digest"]);
    let proof = CheckpointProof::from_bytes(&bytes("checkpoint_proof")).unwrap();
    let receipt = Receipt::parse(&frozen["receipt"]).unwrap();
    assert_eq!(receipt.proven.proof, proof);
    assert_eq!(verify_receipt(&network.genesis, &receipt).unwrap().checkpoint(), &checkpoint);
    assert!(!Item::from_bytes(&bytes("checkpoint_vote")).unwrap().wants_order());
    assert_eq!(Payload::from_bytes(&bytes("payload")).unwrap(), *vertex.payload());
    assert_eq!(Header::from_bytes(&bytes("header")).unwrap(), *vertex.header());
}
