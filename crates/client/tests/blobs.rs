//! Blobs between a client and keepers that are honest, slow, silent or lying, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test says by failing what was wrong")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::put;
use blobs::Committed;
use blobs::Piece;
use blobs::ShardHasher;
use blobs::ShardProof;
use blobs::SlicePlan;
use blobs::SliceRange;
use blobs::test_utils::StoredBlob;
use blobs::test_utils::bytes;
use bytes::Bytes;
use client::Client;
use client::Deadlines;
use client::api::blobs::BlobMetaAnswer;
use client::api::blobs::SHARD_PROOF_HEADER;
use client::api::blobs::ShardUpload;
use client::api::blobs::SliceQuery;
use client::api::blobs::UploadQuery;
use client::blobs::BlobError;
use client::blobs::BlobReader;
use client::blobs::BlobSource;
use client::blobs::Keepers;
use client::blobs::upload;
use tokio::net::TcpListener;
use types::Author;
use types::BlobId;
use types::Decode as _;
use types::Encode as _;
use types::ShardCount;
use types::ShardIndex;

/// How a keeper behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manner {
    #[default]
    Honest,
    /// It takes connections and never answers.
    Silent,
    /// It changes a byte of every slice that it sends.
    Lying,
    /// It refuses some pieces of an upload and forgets others.
    Forgetful,
}

#[derive(Default)]
struct Held {
    proof: Vec<u8>,
    bytes: Vec<u8>,
    outboard: Vec<u8>,
    is_whole: bool,
}

#[derive(Default)]
struct Shelf {
    manner: Mutex<Manner>,
    held: Mutex<BTreeMap<(BlobId, u16), Held>>,
    calls: Mutex<u64>,
}

type Shelves = Arc<Shelf>;

impl Shelf {
    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }
}

async fn silent_if_so(shelf: &Shelves) {
    if shelf.manner() == Manner::Silent {
        std::future::pending::<()>().await;
    }
}

async fn take(
    State(shelf): State<Shelves>,
    Path((blob, shard)): Path<(BlobId, u16)>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    silent_if_so(&shelf).await;
    let proof = hex::decode(headers[SHARD_PROOF_HEADER].to_str().unwrap()).unwrap();
    let proven = ShardProof::from_bytes(&proof).unwrap().verify(&blob).unwrap();
    assert_eq!(proven.shard(), ShardIndex::new(shard));
    let mut calls = shelf.calls.lock().unwrap();
    *calls += 1;
    let mut held = shelf.held.lock().unwrap();
    let held = held.entry((blob, shard)).or_default();
    held.proof = proof;
    if shelf.manner() == Manner::Forgetful {
        match *calls % 8 {
            0 => held.bytes.truncate(held.bytes.len() / 8 * 7),
            2 => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => {}
        }
    }
    let received = u64::try_from(held.bytes.len()).unwrap();
    if query.offset == received && !held.is_whole {
        held.bytes.extend_from_slice(&body);
    }
    let received = u64::try_from(held.bytes.len()).unwrap();
    if received == proven.meta().layout.shard_length() && !held.is_whole {
        let mut hasher = ShardHasher::default();
        hasher.update(&held.bytes);
        let hash = hasher.finish();
        assert_eq!(&hash.leaf, proven.leaf());
        (held.outboard, held.is_whole) = (hash.outboard, true);
    }
    axum::Json(ShardUpload { received, held: held.is_whole }).into_response()
}

async fn give(
    State(shelf): State<Shelves>,
    Path((blob, shard)): Path<(BlobId, u16)>,
    Query(query): Query<SliceQuery>,
) -> Response {
    silent_if_so(&shelf).await;
    let held = shelf.held.lock().unwrap();
    let Some(held) = held.get(&(blob, shard)).filter(|held| held.is_whole) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let length = u64::try_from(held.bytes.len()).unwrap();
    let range = SliceRange::new(query.from.unwrap(), query.to.unwrap(), length).unwrap();
    let place = |offset| usize::try_from(offset).unwrap();
    let piece = |piece| match piece {
        Piece::Pair { offset } => held.outboard[place(offset)..][..64].to_vec(),
        Piece::Bytes { offset, length } => held.bytes[place(offset)..][..length].to_vec(),
    };
    let mut slice: Vec<u8> = SlicePlan::new(range).flat_map(piece).collect();
    if shelf.manner() == Manner::Lying {
        let middle = slice.len() / 2;
        slice[middle] ^= 1;
    }
    ([(SHARD_PROOF_HEADER, hex::encode(&held.proof))], slice).into_response()
}

async fn meta(State(shelf): State<Shelves>, Path(blob): Path<BlobId>) -> Response {
    silent_if_so(&shelf).await;
    let held = shelf.held.lock().unwrap();
    match held.iter().find(|((id, _), _)| *id == blob) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some((_, held)) => {
            let meta = hex::encode(&held.proof[1..81]);
            axum::Json(BlobMetaAnswer { blob_id: blob, meta }).into_response()
        }
    }
}

/// Keepers on ports that the system chooses.
struct Network {
    shelves: Vec<Shelves>,
    urls: Vec<String>,
}

impl Network {
    async fn start(count: usize) -> Self {
        let (mut shelves, mut urls) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let shelf = Shelves::default();
            let router = Router::new()
                .route("/v1/blobs/{id}/shards/{shard}", put(take).get(give))
                .route("/v1/blobs/{id}/meta", get(meta))
                .layer(axum::extract::DefaultBodyLimit::max(8 << 20))
                .with_state(shelf.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.push(format!("http://{}", listener.local_addr().unwrap()));
            tokio::spawn(async move { axum::serve(listener, router).await });
            shelves.push(shelf);
        }
        Self { shelves, urls }
    }

    fn keepers(&self) -> Keepers {
        let second = Duration::from_secs(1);
        let deadlines = Deadlines { answer: 2 * second, ..Deadlines::default() };
        Keepers::at(&self.urls, deadlines).unwrap()
    }

    fn behave(&self, validators: impl IntoIterator<Item = usize>, manner: Manner) {
        for validator in validators {
            *self.shelves[validator].manner.lock().unwrap() = manner;
        }
    }

    /// Puts a blob that somebody else has encoded onto all shelves.
    fn place(&self, blob: &StoredBlob) {
        let id = blob.meta.id();
        for (shard, stored) in (0_u16..).zip(&blob.shards) {
            let keeper = blob.meta.layout.shards().keeper(&id, ShardIndex::new(shard));
            let held = Held {
                proof: stored.proof.to_bytes(),
                bytes: stored.bytes.clone(),
                outboard: stored.outboard.clone(),
                is_whole: true,
            };
            self.shelves[keeper.index()].held.lock().unwrap().insert((id, shard), held);
        }
    }

    async fn read(&self, blob: BlobId) -> Result<(Vec<u8>, Vec<(Author, bool)>), BlobError> {
        let entry = Client::new(&self.urls[0]).unwrap();
        let reader = BlobReader::open(&entry, self.keepers(), blob, threads()).await?;
        let mut read = Vec::new();
        let report = reader
            .read_all(|bytes| {
                read.extend_from_slice(bytes);
                Ok(())
            })
            .await?;
        let faults = report.faults.iter();
        Ok((read, faults.map(|fault| (fault.validator, fault.fault.is_lie())).collect()))
    }
}

fn threads() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

/// A file of `length` bytes as a blob, encoded once.
fn source(shards: u16, length: usize) -> (BlobSource, Committed, Vec<u8>) {
    let content = bytes(u64::from(shards), length);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let source = BlobSource::new(file, ShardCount::new(shards).unwrap(), threads()).unwrap();
    let committed = source.commit(|_| {}).unwrap();
    assert_eq!(&committed, &blobs::test_utils::encode(source.layout().shards(), &content).0);
    (source, committed, content)
}

const LENGTH: usize = (21 << 20) + 12_345;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_stored_with_one_keeper_away_and_read_with_another_one_lying() {
    let network = Network::start(4).await;
    network.behave([2], Manner::Silent);
    let (source, committed, content) = source(4, LENGTH);
    let report = upload(&source, &committed, &network.keepers(), |_| {}).await.unwrap();
    assert_eq!(report.held.len(), 3);
    assert_eq!(report.faults[0].validator, Author::new(2));
    network.behave([2], Manner::Honest);
    // The one that was away has nothing, and says so; it is neither liar nor needed.
    let (read, _) = network.read(committed.meta().id()).await.unwrap();
    assert!(read == content);
    // An upload that is repeated brings it only what it lacks.
    let report = upload(&source, &committed, &network.keepers(), |_| {}).await.unwrap();
    assert_eq!(report.held.len(), 4);
    assert_eq!(report.sent_bytes, committed.meta().layout.shard_length());
    for liar in 0..4 {
        network.behave([liar], Manner::Lying);
        let (read, faults) = network.read(committed.meta().id()).await.unwrap();
        assert!(read == content);
        let validator = Author::new(u16::try_from(liar).unwrap());
        assert!(faults.iter().all(|fault| *fault == (validator, true)), "{faults:?}");
        network.behave([liar], Manner::Honest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_keepers_silent_than_a_blob_stands_end_in_a_clear_error() {
    let network = Network::start(4).await;
    let blob = StoredBlob::honest(ShardCount::new(4).unwrap(), &bytes(1, 3 << 20));
    network.place(&blob);
    network.behave([1], Manner::Silent);
    assert!(network.read(blob.meta.id()).await.is_ok());
    network.behave([1, 2, 3], Manner::Silent);
    let error = network.read(blob.meta.id()).await.unwrap_err();
    assert!(matches!(error, BlobError::TooFewShards { needed: 2, given: 1, .. }), "{error}");
    assert!(error.to_string().contains("validator 3"), "{error}");
    let (source, committed, _) = source(4, 5000);
    let error = upload(&source, &committed, &network.keepers(), |_| {}).await.unwrap_err();
    assert!(matches!(error, BlobError::TooFewKeepers { needed: 3, given: 1, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_that_forgets_gets_everything_in_the_end() {
    let network = Network::start(4).await;
    network.behave([0, 1, 3], Manner::Forgetful);
    let (source, committed, content) = source(4, LENGTH);
    let report = upload(&source, &committed, &network.keepers(), |_| {}).await.unwrap();
    assert_eq!((report.held.len(), report.faults.len()), (4, 0));
    network.behave(0..4, Manner::Honest);
    assert!(network.read(committed.meta().id()).await.unwrap().0 == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_whose_writer_lied_is_refused_whoever_is_asked() {
    let network = Network::start(4).await;
    let shards = ShardCount::new(4).unwrap();
    let blob = StoredBlob::inconsistent(shards, &bytes(1, 9 << 20), |shards| {
        shards[3][1 << 20] ^= 1;
    });
    network.place(&blob);
    for away in 0..4 {
        network.behave([away], Manner::Lying);
        let error = network.read(blob.meta.id()).await.unwrap_err();
        assert!(matches!(error, BlobError::Inconsistent(_)), "{error}");
        network.behave([away], Manner::Honest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_read_around_liars_and_brings_little_more_than_itself() {
    let network = Network::start(10).await;
    let content = bytes(4, 6 << 20);
    let blob = StoredBlob::honest(ShardCount::new(10).unwrap(), &content);
    network.place(&blob);
    for liars in [0..0, 0..3, 4..7] {
        network.behave(liars.clone(), Manner::Lying);
        for range in [0..10_u64, 1_048_570..1_048_580, 2_000_000..2_700_000] {
            let mut reader = BlobReader::new(network.keepers(), blob.meta, threads());
            let mut read = Vec::new();
            let sink = |bytes: &[u8]| {
                read.extend_from_slice(bytes);
                Ok(())
            };
            reader.read_range(range.clone(), sink).await.unwrap();
            let bounds = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert!(read == content[bounds], "{range:?}");
        }
        network.behave(liars, Manner::Honest);
    }
    let mut reader = BlobReader::new(network.keepers(), blob.meta, threads());
    assert!(reader.read_range(5..5, |_| Ok(())).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_a_blob_like_any_other() {
    let network = Network::start(4).await;
    let (source, committed, _) = source(4, 0);
    upload(&source, &committed, &network.keepers(), |_| {}).await.unwrap();
    assert!(network.read(committed.meta().id()).await.unwrap().0.is_empty());
}
