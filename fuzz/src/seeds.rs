//! Writes a few good inputs for every target, so that a fuzzer starts behind the first check:
//! `cargo run --bin seeds -- corpus`.

use std::path::Path;

use bitcoin::BlockHash;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::Magic;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message::RawNetworkMessage;
use bitcoin::p2p::message_blockdata::GetHeadersMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bytes::Bytes;
use fuzz::NETWORK;
use fuzz::RULES;
use replica::wire::FetchRounds;
use replica::wire::Message;
use replica::wire::Range;
use replica::wire::Status;
use types::Author;
use types::Commit;
use types::CommitIndex;
use types::Digest;
use types::Encode;
use types::Epoch;
use types::Header;
use types::Item;
use types::Payload;
use types::Round;
use types::TimestampMs;
use types::Verified;
use types::Vertex;
use types::VertexRef;
use types::dkg::Dealing;
use types::dkg::Transcript;
use types::test_utils::TestCeremony;
use types::test_utils::corrupt_dealing;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let folder = std::env::args().nth(1).ok_or("usage: seeds CORPUS_FOLDER")?;
    let folder = Path::new(&folder);
    let vertex = vertex()?;
    let reference = vertex.reference();
    let commit = Commit {
        index: CommitIndex::new(7),
        previous: Digest::new([3; 32]),
        leader: reference,
        slot: 0,
        vertices: vec![reference],
        timestamp: TimestampMs::new(1_750_000_000_000),
    };
    write(folder, "vertex", &[vertex.encoded()])?;
    let blob = blob()?;
    write(folder, "blob", &blob.each_ref().map(Vec::as_slice))?;
    write(folder, "payload", &[&vertex.payload().to_bytes()])?;
    write(folder, "commit", &[&commit.to_bytes(), &vertex.header().to_bytes()])?;
    write(folder, "genesis", &[&serde_json::to_vec(&NETWORK.genesis)?])?;
    write(folder, "config", &[include_bytes!("../../crates/node/src/config/example.toml")])?;
    write(folder, "transaction", &[&transaction(&[0x51])?, &transaction(&[])?])?;
    write(folder, "script", &[&[0x51; 64]])?;
    write(folder, "electrum", &[
        b"{\"id\":1,\"method\":\"server.version\",\"params\":[\"x\",[\"1.4\",\"1.6\"]]}\n",
        b"[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"m\",\"params\":{\"n\":null}},3]\n\n",
    ])?;
    write(folder, "bitcoin_p2p", &[&bitcoin_messages()])?;
    write(folder, "consensus", &[&round_robin(16), &round_robin(40)])?;
    write_ceremony(folder)?;
    write_messages(folder, &vertex)?;
    write_bodies(folder)
}

/// One of each message that a full node sends, in a row.
fn bitcoin_messages() -> Vec<u8> {
    let hash = BlockHash::from_byte_array([7; 32]);
    let txid = Txid::from_byte_array([8; 32]);
    let messages = [
        NetworkMessage::Verack,
        NetworkMessage::Ping(7),
        NetworkMessage::SendHeaders,
        NetworkMessage::FeeFilter(1_000),
        NetworkMessage::GetData(vec![Inventory::WitnessBlock(hash)]),
        NetworkMessage::Inv(vec![Inventory::Transaction(txid)]),
        NetworkMessage::GetHeaders(GetHeadersMessage {
            version: 70_016,
            locator_hashes: vec![hash],
            stop_hash: hash,
        }),
    ];
    let raw = |message| RawNetworkMessage::new(Magic::REGTEST, message);
    messages.into_iter().flat_map(|message| encode::serialize(&raw(message))).collect()
}

fn write(folder: &Path, target: &str, seeds: &[&[u8]]) -> Outcome {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}

fn write_ceremony(folder: &Path) -> Outcome {
    let ceremony = TestCeremony::new(4);
    let plan = &ceremony.plan;
    let mut dealings: Vec<Dealing> = plan.authors().map(|author| ceremony.deal(author)).collect();
    let (hostile, victim) = (Author::new(2), Author::new(1));
    dealings[2] = corrupt_dealing(plan, hostile, &ceremony.operators[2], victim);
    let mut responses = Vec::new();
    for (author, operator) in plan.authors().zip(&ceremony.operators) {
        let received = plan.respond(author, &operator.ceremony, &operator.vertex, &dealings)?;
        responses.push(received.response);
    }
    let seeds = [
        serde_json::to_vec(&plan.plan().cards[0])?,
        serde_json::to_vec(plan.plan())?,
        serde_json::to_vec(&dealings[0])?,
        serde_json::to_vec(&responses[1])?,
        serde_json::to_vec(&Transcript::gather(plan, dealings, responses)?)?,
    ];
    write(folder, "ceremony", &seeds.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn write_messages(folder: &Path, vertex: &Verified<Vertex>) -> Outcome {
    let reference = vertex.reference();
    let encoded = vertex.encoded();
    let status = Status { own: Some(reference), round: Round::new(9), commit: CommitIndex::new(7) };
    let rounds = FetchRounds { from: reference, until: Round::new(20) };
    let range = Range {
        from: reference,
        next: Some(reference),
        coins: Vec::new(),
        vertices: vec![encoded.clone()],
    };
    let messages = [
        Message::Vertex(encoded.clone()),
        Message::Status(status),
        Message::FetchVertices(vec![reference]),
        Message::FetchRounds(rounds),
        Message::Vertices(vec![encoded.clone()]),
        Message::Range(range),
    ];
    let messages: Vec<Vec<u8>> =
        messages.iter().map(|message| message.to_bytes().to_vec()).collect();
    write(folder, "wire", &messages.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn write_bodies(folder: &Path) -> Outcome {
    let txid = "00".repeat(32);
    let bodies = [
        r#"{"address":"bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x","amount_sat":5000}"#
            .to_owned(),
        r#"{"count":3}"#.to_owned(),
        format!(r#"{{"sequence":1,"commit":2,"kind":"outcome","txid":"{txid}","status":"final"}}"#),
        format!(r#"{{"txid":"{txid}","status":"pending","skipped":["non-final"]}}"#),
        r#"{"error":{"code":"refused","reason":"dust","hint":"pay more"}}"#.to_owned(),
    ];
    write(folder, "http_bodies", &bodies.iter().map(String::as_bytes).collect::<Vec<_>>())
}

/// A signed vertex of round 9 with a transaction in it.
/// A meta, the proof of a shard, and a slice of the shard that the target knows, behind its range.
fn blob() -> Result<[Vec<u8>; 3], Box<dyn std::error::Error>> {
    let source = blobs::test_utils::bytes(1, 100_000);
    let blob = blobs::test_utils::StoredBlob::honest(types::ShardCount::new(4)?, &source);
    let (from, to) = (20_000_u32, 20_100_u32);
    let length = blob.meta.layout.shard_length();
    let range = blobs::SliceRange::new(from.into(), to.into(), length)?;
    let stored = &blob.shards[0];
    let slice = [&from.to_le_bytes()[..], &to.to_le_bytes(), &stored.slice(range)].concat();
    Ok([blob.meta.to_bytes(), stored.proof.to_bytes(), slice])
}

fn vertex() -> Result<Verified<Vertex>, Box<dyn std::error::Error>> {
    let item = Item::Transaction(Bytes::from(transaction(&[0x51])?));
    let payload = Payload::new(vec![item])?;
    let encoded = payload.to_bytes();
    let parent = |author: u16| VertexRef {
        round: Round::new(8),
        author: Author::new(author),
        digest: Digest::new([1; 32]),
    };
    let author = Author::new(1);
    let header = Header {
        chain: *NETWORK.committee.chain(),
        epoch: Epoch::ZERO,
        author,
        round: Round::new(9),
        parents: (0..3).map(parent).collect(),
        late: Vec::new(),
        coin_share: None,
        payload_root: Payload::root(&encoded),
        payload_length: u32::try_from(encoded.len())?,
        timestamp: TimestampMs::new(1_750_000_000_000),
    };
    let coin_share = header.coin_round(RULES).map(|round| NETWORK.coin_share(author, round));
    Ok(NETWORK.sign(Header { coin_share, ..header }, payload))
}

fn transaction(script: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let transaction = bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn::default()],
        output: vec![bitcoin::TxOut {
            value: bitcoin::Amount::from_sat(4_999_990_000),
            script_pubkey: bitcoin::ScriptBuf::from_bytes([script, &[0x6a; 24]].concat()),
        }],
    };
    Ok(encode::serialize(&transaction))
}

/// All four authors, round after round, everybody building on everybody.
fn round_robin(vertices: u8) -> Vec<u8> {
    (0..vertices).flat_map(|number| [number % 4, 0x0f, 0, number.wrapping_mul(7)]).collect()
}
