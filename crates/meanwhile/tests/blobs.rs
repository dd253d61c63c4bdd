//! Blobs on a network of four processes, some of which are away or lie: what was acknowledged is
//! readable, who lies is named, and everybody says the same of what nobody can read.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::pin;

use blobs::test_utils::StoredBlob as Stored;
use blobs::test_utils::bytes;
use client::Client;
use client::api::BlobChange;
use client::api::EventKind;
use client::api::EventQuery;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use client::api::blobs::SHARD_PROOF_HEADER;
use client::api::blobs::ShardUpload;
use client::api::blobs::StoredBlob;
use client::api::blobs::UPLOAD_PIECE_BYTES_MAX;
use common::Devnet;
use common::PATIENCE;
use common::payer::Payer;
use futures_util::StreamExt as _;
use reqwest::StatusCode;
use tokio::runtime::Runtime;
use types::Author;
use types::Encode as _;
use types::ShardCount;
use types::blob::BlobId;
use types::blob::BlobOperation;
use types::blob::BlobReference;
use types::blob::proof::BlobProof;
use types::blob::proof::verify_blob_proof;

/// How often a process is killed while blobs are written; more for a long run.
const KILLS_VARIABLE: &str = "MEANWHILE_TEST_BLOB_KILLS";
const KILLS_DEFAULT: usize = 2;
const TICKS: u32 = 50;
/// Two segments and a bit.
const LENGTH: usize = (2 << 20) + 12_345;

/// Whoever asks the nodes over HTTP.
struct Asker {
    http: reqwest::Client,
    urls: Vec<String>,
}

impl Asker {
    fn new(devnet: &Devnet) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, urls: (0..devnet.validators()).map(|index| devnet.url(index)).collect() }
    }

    async fn get(&self, node: usize, path: &str) -> reqwest::Response {
        self.http.get(format!("{}/v1/blobs/{path}", self.urls[node])).send().await.unwrap()
    }

    async fn try_publish(&self, node: usize, body: Vec<u8>) -> Option<BlobStatus> {
        let url = format!("{}/v1/blobs?ticks={TICKS}", self.urls[node]);
        let answer = self.http.put(url).body(body).send().await.ok()?;
        if !answer.status().is_success() {
            println!("not published: {}", answer.text().await.ok()?);
            return None;
        }
        match answer.json().await.ok()? {
            StoredBlob::NewlyCreated(status) | StoredBlob::AlreadyCertified(status) => Some(status),
        }
    }

    async fn publish(&self, node: usize, body: Vec<u8>) -> BlobStatus {
        self.try_publish(node, body).await.expect("the blob is published")
    }

    async fn status(&self, node: usize, id: &BlobId) -> Option<BlobStatus> {
        let url = format!("{}/v1/blobs/{id}/status", self.urls[node]);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    async fn read(&self, node: usize, id: &BlobId) -> Vec<u8> {
        let answer = self.get(node, &id.to_string()).await;
        let status = answer.status();
        let body = answer.bytes().await.unwrap().to_vec();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        body
    }

    async fn metric(&self, node: usize, name: &str) -> u64 {
        let text = self.http.get(format!("{}/metrics", self.urls[node])).send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(' ').next().unwrap_or_default().parse().unwrap_or_default()
    }
}

/// Waits until a node's event log says this of a blob.
async fn until(client: &Client, id: BlobId, wanted: BlobChange) {
    let mut events = pin!(client.events(EventQuery::default()));
    let wait = async {
        while let Some(event) = events.next().await {
            if let EventKind::Blob { blob, change, .. } = event.unwrap().kind
                && (blob, change) == (id, wanted)
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it becomes of the blob in time");
}

/// Waits until the ledger has heard that so many hold their shards.
async fn until_held(asker: &Asker, node: usize, id: &BlobId, count: u16) {
    common::until("the acknowledgements", async || {
        let status = asker.status(node, id).await?;
        (status.acknowledged >= count).then_some(())
    })
    .await;
}

fn shard_file(devnet: &Devnet, node: u16, id: &BlobId) -> PathBuf {
    devnet.dir().join(format!("validator-{node}/data/blobs/held/{id}/bytes"))
}

#[test]
fn who_was_away_during_a_write_rebuilds_its_shard_and_then_another_may_go() {
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let asker = Asker::new(&devnet);
    Runtime::new().unwrap().block_on(async {
        let source = bytes(1, LENGTH);
        devnet.kill(3);
        let status = asker.publish(0, source.clone()).await;
        let id = status.blob_id;
        assert_eq!(status.state, BlobState::Certified);
        assert_eq!(status.missing, [Author::new(3)]);
        // The writer goes away, too, and hands nothing out any more.
        devnet.kill(0);
        devnet.restart(3);
        devnet.restart(0);
        until_held(&asker, 0, &id, 4).await;
        let used = asker.metric(3, "node_blob_repair_bytes_total").await;
        println!("{used} bytes fetched to rebuild one of 4 shards of {LENGTH} bytes");
        devnet.kill(1);
        assert_eq!(asker.read(3, &id).await, source);
        let etag = asker.get(3, &id.to_string()).await;
        assert_eq!(etag.headers()["etag"], format!("\"{id}\""));
        assert!(etag.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        let url = format!("{}/v1/blobs/{id}", asker.urls[3]);
        let part =
            asker.http.get(url).header("range", "bytes=1048570-1048589").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes().await.unwrap(), source[1_048_570..=1_048_589]);
    });
}

#[test]
fn who_starts_from_a_snapshot_rebuilds_the_shards_of_before() {
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let asker = Asker::new(&devnet);
    Runtime::new().unwrap().block_on(async {
        let source = bytes(4, LENGTH);
        let id = asker.publish(0, source.clone()).await.blob_id;
        until_held(&asker, 0, &id, 4).await;
        let file = devnet.dir().join("state.snapshot");
        let (file, config) = (file.to_str().unwrap(), devnet.config(3));
        let output = common::run(&["snapshot", "export", "-o", file, "--url", &devnet.url(0)]);
        assert!(output.status.success(), "{}", common::text(&output.stderr));
        devnet.kill(3);
        std::fs::remove_dir_all(devnet.data(3)).unwrap();
        std::fs::create_dir(devnet.data(3)).unwrap();
        let config = config.to_str().unwrap();
        let output = common::run(&["snapshot", "import", file, "--config", config]);
        assert!(output.status.success(), "{}", common::text(&output.stderr));
        devnet.restart(3);
        common::until("the shard", async || shard_file(&devnet, 3, &id).exists().then_some(()))
            .await;
        // It counts: with it and one other, everything is there.
        devnet.kill(0);
        devnet.kill(1);
        assert_eq!(asker.read(3, &id).await, source);
    });
}

#[test]
fn a_liar_is_named_and_too_many_who_are_silent_are_a_clear_error() {
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let asker = Asker::new(&devnet);
    Runtime::new().unwrap().block_on(async {
        let source = bytes(2, LENGTH);
        let id = asker.publish(0, source.clone()).await.blob_id;
        until_held(&asker, 0, &id, 4).await;
        // The keeper of the shard that a reader asks for first.
        let shards = ShardCount::new(4).unwrap();
        let reader = 3;
        let first = shards.shards().map(|shard| shards.keeper(&id, shard));
        let liar = first.map(|author| author.value()).find(|author| *author != reader).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(shard_file(&devnet, liar, &id));
        file.unwrap().write_all_at(&[0x55; 64], 20_000).unwrap();
        assert_eq!(asker.read(usize::from(reader), &id).await, source);
        let name = format!("node_blob_lies_total{{peer=\"{liar}\"}}");
        assert_eq!(asker.metric(usize::from(reader), &name).await, 1);

        // Another blob, of which one shard is left: that of the only node that answers.
        let other = asker.publish(0, bytes(3, LENGTH)).await.blob_id;
        until_held(&asker, 0, &other, 4).await;
        (0..3).for_each(|node| devnet.kill(node));
        let answer = asker.get(usize::from(reader), &other.to_string()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = answer.text().await.unwrap();
        assert!(text.contains("no answer from validators: "), "{text}");
        // What was read before is there all the same.
        assert_eq!(asker.read(usize::from(reader), &id).await, source);
    });
}

#[test]
fn an_inconsistent_encoding_is_the_same_410_with_proof_for_every_reader() {
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let asker = Asker::new(&devnet);
    Runtime::new().unwrap().block_on(async {
        let shards = ShardCount::new(4).unwrap();
        let lie = |all: &mut Vec<Vec<u8>>| all[3][100] ^= 1;
        let stored = Stored::inconsistent(shards, &bytes(4, 200_000), lie);
        let id = stored.meta.id();
        let client = devnet.client(0);
        let mut payer = Payer::funded(&client, 7).await;
        let height = client.status().await.unwrap().height;
        let reference = BlobReference {
            operation: BlobOperation::Register,
            blob: id,
            layout: stored.meta.layout,
            end_height: height.saturating_add(TICKS),
        };
        let registration = payer.register(&reference, 10_000);
        client.submit_and_wait(&registration, PATIENCE).await.unwrap();
        for (shard, stored) in shards.shards().zip(&stored.shards) {
            let keeper = shards.keeper(&id, shard);
            let url = format!("{}/v1/blobs/{id}/shards/{shard}", asker.urls[keeper.index()]);
            let proof = hex::encode(stored.proof.to_bytes());
            // In two pieces, and the first one again: the answer says where to go on.
            let cut = stored.bytes.len() / 2;
            for (offset, piece, received) in [
                (0, &stored.bytes[..cut], cut),
                (0, &stored.bytes[..cut], cut),
                (cut, &stored.bytes[cut..], stored.bytes.len()),
            ] {
                assert!(piece.len() <= UPLOAD_PIECE_BYTES_MAX);
                let put = asker.http.put(format!("{url}?offset={offset}"));
                let put = put.header(SHARD_PROOF_HEADER, &proof).body(piece.to_vec());
                let answer: ShardUpload = put.send().await.unwrap().json().await.unwrap();
                assert_eq!(answer.received, u64::try_from(received).unwrap());
            }
        }
        until(&client, id, BlobChange::Certified).await;
        let genesis = std::fs::read_to_string(devnet.dir().join("genesis.json")).unwrap();
        let genesis = serde_json::from_str(&genesis).unwrap();
        let mut outcomes = Vec::new();
        for node in 0..4 {
            let answer = asker.get(node, &id.to_string()).await;
            assert_eq!(answer.status(), StatusCode::GONE, "node {node}");
            let proof = BlobProof::parse(&answer.text().await.unwrap()).unwrap();
            let verified = verify_blob_proof(&genesis, &proof).unwrap();
            assert_eq!(verified.outcome().change, types::blob::BlobChange::Invalid);
            assert_eq!(verified.outcome().blob, id);
            outcomes.push((*verified.outcome(), *verified.checkpoint()));
        }
        // Whose signatures are added up may differ from node to node, and nothing else.
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    });
}

#[test]
fn whatever_was_acknowledged_is_readable_after_kills() {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(KILLS_DEFAULT);
    let devnet = Devnet::with(&["--block-interval", "1h"]);
    let asker = Asker::new(&devnet);
    let genesis = std::fs::read_to_string(devnet.dir().join("genesis.json")).unwrap();
    let genesis = serde_json::from_str(&genesis).unwrap();
    Runtime::new().unwrap().block_on(async {
        let mut acknowledged = Vec::new();
        for round in 0..kills {
            let number = u64::try_from(round).unwrap();
            let source = bytes(100 + number, 300_000 + 7_919 * round);
            let victim = u16::try_from(round % 3).unwrap() + 1;
            // One is killed while it takes its shard, and comes back while others are asked.
            let writing = asker.try_publish(0, source.clone());
            let killing = async {
                tokio::task::yield_now().await;
                devnet.kill(victim);
                devnet.restart(victim);
            };
            let (published, ()) = tokio::join!(writing, killing);
            if let Some(status) = published {
                acknowledged.push((status.blob_id, source));
            }
        }
        assert!(!acknowledged.is_empty());
        for (id, source) in &acknowledged {
            assert_eq!(asker.read(3, id).await, *source, "{id}");
            until_held(&asker, 0, id, 4).await;
            let proof = common::until("the proof", async || {
                let answer = asker.get(1, &format!("{id}/proof")).await;
                answer.status().is_success().then_some(answer)
            });
            let proof = BlobProof::parse(&proof.await.text().await.unwrap()).unwrap();
            let verified = verify_blob_proof(&genesis, &proof).unwrap();
            assert_eq!(verified.meta().unwrap().id(), *id);
        }
        println!("{kills} kills, {} blobs acknowledged, all readable", acknowledged.len());
    });
}
