//! `/v1/blobs`: what blobs cost and who keeps them, whole blobs, and shards.
//!
//! Every body streams or is one bounded piece. Shards are taken from anybody who can prove them, and
//! only by the validator that keeps them: what is on the chain decides what stays.

use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::put;
use bytes::Bytes;
use client::api::ErrorCode;
use client::api::blobs::BlobMetaAnswer;
use client::api::blobs::BlobService;
use client::api::blobs::BlobState;
use client::api::blobs::BlobStatus;
use client::api::blobs::Keeper;
use client::api::blobs::SHARD_PROOF_HEADER;
use client::api::blobs::SLICE_BYTES_MAX;
use client::api::blobs::ShardUpload;
use client::api::blobs::SliceQuery;
use client::api::blobs::StoredBlob;
use client::api::blobs::UPLOAD_PIECE_BYTES_MAX;
use client::api::blobs::UploadQuery;
use futures_util::StreamExt as _;
use futures_util::stream;
use ledger::blobs::BlobEnding;
use ledger::blobs::BlobRow;
use ledger::query;
use serde::Deserialize;
use types::BlobMeta;
use types::Encode as _;
use types::Height;
use types::ShardIndex;
use types::blob::BlobId;
use types::blob::proof::BlobProof;
use types::receipt::LINKS_MAX;
use types::receipt::ProvenChain;
use types::table::TableFault;
use types::table::TableRead;

use super::proof::chain;
use crate::blobs::PublishError;
use crate::blobs::ReadError;
use crate::blobs::StoreError;
use crate::blobs::parse_proof;
use crate::faucet::recipient;
use crate::http::failure::Failure;
use crate::http::failure::Whole;
use crate::http::gate::Counted;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::metrics::ShardResult;

/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a reader waits for the proof that a blob is invalid.
const VERDICT_TIME_MAX: Duration = Duration::from_secs(20);
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What is known of a blob, and where the chain stands.
struct Known {
    row: Option<BlobRow>,
    height: Height,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishQuery {
    ticks: u32,
    /// Who gets the blob's handle.
    owner: Option<String>,
}

/// Routes that answer at once.
pub(super) fn router() -> Router<Services> {
    Router::new()
        .route("/blobs", get(service))
        .route("/blobs/{id}/status", get(status))
        .route("/blobs/{id}/proof", get(proof))
        .route("/blobs/{id}/meta", get(meta))
}

/// Routes that take or give many bytes.
pub(super) fn stream_router() -> Router<Services> {
    let piece = DefaultBodyLimit::max(UPLOAD_PIECE_BYTES_MAX);
    Router::new()
        .route("/blobs", put(publish).layer(DefaultBodyLimit::disable()))
        .route("/blobs/{id}", get(read))
        .route("/blobs/{id}/shards/{shard}", get(shard).put(upload).layer(piece))
}

async fn service(State(services): State<Services>) -> Result<Json<BlobService>, Failure> {
    let height = services.read_ledger(|view| Ok(view.summary()?.tip.height)).await?;
    let handle = services.handle();
    let parameters = handle.genesis().blobs;
    let keepers = handle.committee().authors().map(|validator| Keeper {
        validator,
        url: handle.blobs().url(validator).map(str::to_owned),
    });
    Ok(Json(BlobService {
        shards: handle.blobs().shards().value(),
        height,
        price_msat_per_mib_tick: parameters.price_msat_per_mib_tick,
        length_max: parameters.length_max,
        ticks_max: parameters.ticks_max,
        keepers: keepers.collect(),
    }))
}

async fn status(
    State(services): State<Services>,
    Segments(id): Segments<String>,
) -> Result<Json<BlobStatus>, Failure> {
    let id = blob_id(&id)?;
    status_of(&services, id).await.map(Json)
}

async fn status_of(services: &Services, id: BlobId) -> Result<BlobStatus, Failure> {
    let Known { row, height } = known(services, id).await?;
    let blobs = services.handle().blobs();
    let own_shard = blobs.own_shard(&id);
    let held = blobs.store().held(&id).is_some();
    let layout = row.map(|row| row.layout);
    let missing = |row: &BlobRow| {
        let all = services.handle().committee().authors();
        all.filter(|author| !row.held_by.contains(*author)).collect()
    };
    Ok(BlobStatus {
        blob_id: id,
        state: row.map_or(BlobState::Unknown, |row| state(&row, height)),
        length: layout.map(|layout| layout.length()),
        encoded_length: layout.map(|layout| layout.encoded_length()),
        shards: layout.map(|layout| layout.shards().value()),
        registered_by: row.map(|row| row.registered_by),
        registered_at: row.map(|row| row.registered_in),
        certified_at: row.and_then(|row| row.certified).map(|certificate| certificate.first),
        end_height: row.map(|row| row.end_height),
        handle: row.map(|row| row.handle),
        acknowledged: row.map_or(0, |row| row.held_by.count()),
        missing: row.as_ref().map(missing).unwrap_or_default(),
        own_shard,
        held,
    })
}

fn state(row: &BlobRow, height: Height) -> BlobState {
    match row.ended.map(|end| end.ending) {
        Some(BlobEnding::Deleted) => BlobState::Deleted,
        Some(BlobEnding::Invalid) => BlobState::Invalid,
        Some(BlobEnding::Expired) => BlobState::Expired,
        None if !row.is_live(height) => BlobState::Expired,
        None if row.certified.is_some() => BlobState::Certified,
        None => BlobState::Registered,
    }
}

async fn proof(
    State(services): State<Services>,
    Segments(id): Segments<String>,
) -> Result<Response, Failure> {
    let id = blob_id(&id)?;
    match proof_of(&services, id).await? {
        Some(text) => Ok(json(text)),
        None => Err(Failure::not_found(
            "there is no proof of this blob here: not yet, or this node does not know its meta",
        )),
    }
}

/// The proof that a blob is certified, or invalid, in its one text.
async fn proof_of(services: &Services, id: BlobId) -> Result<Option<String>, Failure> {
    let meta = find_meta(services, id).await?;
    let find = move |view: &crate::http::View| {
        let read = view.tables();
        let Some(row) = query::blob(read, &id)? else { return Ok(None) };
        Ok(build_proof(read, &id, &row, meta.as_ref())?)
    };
    Ok(services.read_ledger(find).await?.map(|proof| proof.to_text()))
}

fn build_proof(
    read: &dyn TableRead,
    id: &BlobId,
    row: &BlobRow,
    meta: Option<&BlobMeta>,
) -> Result<Option<BlobProof>, TableFault> {
    let invalid = row.ended.filter(|end| end.ending == BlobEnding::Invalid);
    let decided = invalid.map(|end| end.commit);
    let certified = row.certified.map(|certificate| certificate.newest);
    let meta = meta.filter(|_| invalid.is_none());
    let Some(decided) = decided.or(certified.filter(|_| meta.is_some())) else { return Ok(None) };
    let rows = query::checkpoints_from(read, decided, LINKS_MAX + 1)?;
    let proven: Option<ProvenChain> = chain(read, &rows)?;
    let (Some(first), Some(proven)) = (rows.first(), proven) else { return Ok(None) };
    let found = query::blob_path(read, first, id)?;
    Ok(found.map(|(outcome, path)| BlobProof::new(meta, outcome, path, proven)))
}

async fn meta(
    State(services): State<Services>,
    Segments(id): Segments<String>,
) -> Result<Response, Failure> {
    let id = blob_id(&id)?;
    refuse_invalid(&services, id).await?;
    match find_meta(&services, id).await? {
        Some(meta) => {
            let answer = BlobMetaAnswer { blob_id: id, meta: hex::encode(meta.to_bytes()) };
            let mut response = Json(answer).into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
            Ok(response)
        }
        None => {
            Err(Failure::not_found("no validator that could be asked has a shard of this blob"))
        }
    }
}

/// What a blob is: from the own shard, or from whoever has one.
async fn find_meta(services: &Services, id: BlobId) -> Result<Option<BlobMeta>, Failure> {
    let blobs = services.handle().blobs();
    if let Some(shard) = blobs.store().held(&id) {
        return Ok(Some(*shard.meta()));
    }
    let Known { row: Some(row), .. } = known(services, id).await? else { return Ok(None) };
    Ok(blobs.ask_meta(&id, &row).await)
}

async fn publish(
    State(services): State<Services>,
    uri: Uri,
    body: Body,
) -> Result<Response, Failure> {
    let query: PublishQuery = parse::query(&uri)?;
    let handle = services.handle();
    let Some(faucet) = services.faucet() else {
        return Err(Failure::not_found(
            "this node pays for nobody's blobs: register the blob, and send each validator its shard",
        ));
    };
    let ticks_max = handle.genesis().blobs.ticks_max;
    if query.ticks == 0 || query.ticks > ticks_max {
        let reason = format!("{} ticks, 1 to {ticks_max} are allowed", query.ticks);
        return Err(Failure::malformed(reason, "say for how many ticks the blob is to be kept"));
    }
    let owner = match query.owner {
        None => None,
        Some(owner) => {
            let address = owner.parse().map_err(|_| {
                Failure::malformed("not a Bitcoin address", "owner gets the handle of the blob")
            })?;
            Some(recipient(address)?)
        }
    };
    let _permit = services.publishing().enter()?;
    let blobs = handle.blobs();
    let length_max = handle.genesis().blobs.length_max;
    let encoded = blobs.encode(body.into_data_stream(), length_max).await?;
    let id = encoded.meta().id();
    refuse_invalid(&services, id).await?;
    let is_new = blobs.publish(handle, faucet, encoded, (query.ticks, owner)).await?;
    let status = status_of(&services, id).await?;
    let answer = match is_new {
        true => StoredBlob::NewlyCreated(status),
        false => StoredBlob::AlreadyCertified(status),
    };
    Ok(Json(answer).into_response())
}

async fn read(
    State(services): State<Services>,
    headers: HeaderMap,
    Segments(id): Segments<String>,
) -> Result<Response, Failure> {
    let id = blob_id(&id)?;
    let Known { row, height } = known(&services, id).await?;
    let Some(row) = row else {
        return Err(Failure::not_found("no such blob is registered"));
    };
    match state(&row, height) {
        BlobState::Certified => {}
        BlobState::Invalid => return verdict(&services, id).await,
        BlobState::Registered => {
            return Err(Failure::unavailable("the blob is registered and not certified yet"));
        }
        BlobState::Deleted | BlobState::Expired | BlobState::Unknown => {
            return Err(Failure::not_found("the blob is not kept any more"));
        }
    }
    let etag = format!("\"{id}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let permit = services.reading().enter()?;
    let blobs = services.handle().blobs().clone();
    let file = match blobs.read(&id, row.layout).await {
        Ok(file) => file,
        Err(ReadError::Inconsistent) => {
            blobs.found_inconsistent(id);
            return verdict(&services, id).await;
        }
        Err(error) => return Err(error.into()),
    };
    let length = row.layout.length();
    let response = send(file, length, &headers, permit)?;
    Ok(with_tag(response, &etag))
}

/// Waits until it is proven that a blob is invalid, and says so with the proof.
async fn verdict(services: &Services, id: BlobId) -> Result<Response, Failure> {
    let mut events = services.handle().watch_status();
    let wait = async {
        loop {
            events.borrow_and_update();
            let is_over = known(services, id).await?.row.is_some_and(|row| row.is_inconsistent());
            if is_over && let Some(text) = proof_of(services, id).await? {
                return Ok::<_, Failure>(text);
            }
            if events.changed().await.is_err() {
                return Err(Failure::unavailable("the node is stopping"));
            }
        }
    };
    match tokio::time::timeout(VERDICT_TIME_MAX, wait).await {
        Ok(text) => {
            let mut response = (StatusCode::GONE, json(text?)).into_response();
            response.extensions_mut().insert(Whole);
            Ok(response)
        }
        Err(_) => Err(Failure::unavailable(
            "the blob's encoding is inconsistent, and the validators are still judging it",
        )),
    }
}

/// 410 for a blob that is known to be invalid.
async fn refuse_invalid(services: &Services, id: BlobId) -> Result<(), Failure> {
    match known(services, id).await?.row.is_some_and(|row| row.is_inconsistent()) {
        true => Err(Failure {
            code: ErrorCode::Gone,
            reason: "the blob's encoding is inconsistent: it was ended for good".to_owned(),
            hint: Some("GET /v1/blobs/{id}/proof has the proof"),
        }),
        false => Ok(()),
    }
}

async fn shard(
    State(services): State<Services>,
    uri: Uri,
    headers: HeaderMap,
    Segments((id, shard)): Segments<(String, String)>,
) -> Result<Response, Failure> {
    let query: SliceQuery = parse::query(&uri)?;
    let (id, wanted) = (blob_id(&id)?, ShardIndex::new(parse::number(&shard)?));
    let blobs = services.handle().blobs();
    let held = blobs.store().held(&id).filter(|held| held.shard() == wanted);
    let Some(held) = held else {
        return Err(Failure::not_found("this node does not hold that shard"));
    };
    let permit = services.reading().enter()?;
    let length = held.meta().layout.shard_length();
    let mut response = match (query.from, query.to) {
        (None, None) => {
            let file = blobs.blocking(move |store| store.bytes(&id)).await??;
            send(file, length, &headers, permit)?
        }
        (Some(from), Some(to)) => {
            let range = blobs::SliceRange::new(from, to, length).ok();
            let range = range.filter(|_| to - from <= SLICE_BYTES_MAX).ok_or_else(|| {
                Failure::malformed(
                    format!("bytes {from} to {to} of a shard of {length}"),
                    "a slice is not empty, inside of the shard, and at most 16 MiB long",
                )
            })?;
            let slice = blobs.blocking(move |store| store.slice(&id, range)).await??;
            drop(permit);
            slice.into_response()
        }
        _ => {
            return Err(Failure::malformed("half a range", "give both from and to, or none"));
        }
    };
    let proof = hex::encode(held.proof().to_bytes());
    if let Ok(proof) = HeaderValue::try_from(proof) {
        response.headers_mut().insert(SHARD_PROOF_HEADER, proof);
    }
    Ok(with_tag(response, &format!("\"{id}-{wanted}\"")))
}

async fn upload(
    State(services): State<Services>,
    uri: Uri,
    headers: HeaderMap,
    Segments((id, shard)): Segments<(String, String)>,
    body: Bytes,
) -> Result<Json<ShardUpload>, Failure> {
    let query: UploadQuery = parse::query(&uri)?;
    let (id, wanted) = (blob_id(&id)?, ShardIndex::new(parse::number(&shard)?));
    let blobs = services.handle().blobs().clone();
    if blobs.own_shard(&id) != Some(wanted) {
        return Err(Failure::malformed(
            "this node does not keep that shard",
            "shard i of a blob is kept by validator (i + id) mod S",
        ));
    }
    let proof = headers.get(SHARD_PROOF_HEADER).and_then(|proof| proof.to_str().ok());
    let proof = proof.and_then(|proof| parse_proof(proof, &id));
    let proof = proof.filter(|proof| proof.shard() == wanted).ok_or_else(|| {
        Failure::malformed("the shard's proof is missing or wrong", "it goes into a header")
    })?;
    let length = proof.meta().layout.shard_length();
    if blobs.store().held(&id).is_some() {
        return Ok(Json(ShardUpload { received: length, held: true }));
    }
    let Known { row, height } = known(&services, id).await?;
    if row.is_some_and(|row| row.is_inconsistent()) {
        refuse_invalid(&services, id).await?;
    }
    let live = row.filter(|row| row.is_live(height));
    if live.is_some_and(|row| row.layout != proof.meta().layout) {
        return Err(Failure::malformed(
            "length and shards are not those of the registration",
            "send the shards of the blob that was registered",
        ));
    }
    let is_registered = live.is_some();
    let taken = blobs.blocking(move |store| {
        let mut upload = store.upload(proof, query.offset, is_registered)?;
        upload.write(&body)?;
        let received = upload.received();
        if received < length {
            return Ok(ShardUpload { received, held: false });
        }
        upload.finish().map(|()| ShardUpload { received, held: true })
    });
    let taken = taken.await?;
    let metrics = services.handle().metrics().blobs();
    match taken {
        Ok(upload) => {
            if upload.held {
                metrics.received(ShardResult::Held);
                blobs.held(id);
            }
            Ok(Json(upload))
        }
        // It goes on elsewhere: no error, the answer says where.
        Err(StoreError::Offset { received }) => Ok(Json(ShardUpload { received, held: false })),
        Err(error) => {
            metrics.received(match error {
                StoreError::Bytes => ShardResult::Wrong,
                StoreError::Busy => ShardResult::Busy,
                _ => ShardResult::NoRoom,
            });
            Err(error.into())
        }
    }
}

async fn known(services: &Services, id: BlobId) -> Result<Known, Failure> {
    let look = move |view: &crate::http::View| {
        let row = query::blob(view.tables(), &id)?;
        Ok(Known { row, height: view.summary()?.tip.height })
    };
    services.read_ledger(look).await
}

fn blob_id(text: &str) -> Result<BlobId, Failure> {
    text.parse().map_err(|_| {
        Failure::malformed("not a blob's name", "a blob's name has 64 hexadecimal digits")
    })
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn with_tag(mut response: Response, etag: &str) -> Response {
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, IMMUTABLE);
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(header::ETAG, etag);
        }
    }
    response
}

/// Sends a file, or the one range of it that is asked for.
fn send(
    file: File,
    length: u64,
    headers: &HeaderMap,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Result<Response, Failure> {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, from, to) = match range.and_then(|range| parse_range(range, length)) {
        None => (StatusCode::OK, 0, length),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => {
            let all = HeaderValue::try_from(format!("bytes */{length}"));
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            if let Ok(all) = all {
                response.headers_mut().insert(header::CONTENT_RANGE, all);
            }
            return Ok(response);
        }
    };
    let chunks = Counted::new(Box::pin(chunks(file, from, to)), permit);
    let mut response = (status, Body::from_stream(chunks)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        let shown = HeaderValue::try_from(format!("bytes {from}-{}/{length}", to - 1));
        headers.insert(header::CONTENT_RANGE, shown.map_err(|_| Failure::internal())?);
    }
    Ok(response)
}

/// One range as HTTP writes it: none when it is to be passed over, `Some(None)` when nothing of it is
/// there.
fn parse_range(text: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok();
    let (from, to) = match (from, to) {
        ("", last) => (length.saturating_sub(number(last)?), length),
        (from, "") => (number(from)?, length),
        (from, to) => (number(from)?, number(to)?.saturating_add(1).min(length)),
    };
    Some((from < to).then_some((from, to)))
}

fn chunks(
    file: File,
    from: u64,
    to: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::unfold(Some((file, from)), move |state| async move {
        let (file, at) = state.filter(|(_, at)| *at < to)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let left = usize::try_from(to - at).unwrap_or(usize::MAX);
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut chunk)?;
            Ok::<_, std::io::Error>((file, Bytes::from(chunk)))
        });
        match read.await.map_err(std::io::Error::other).and_then(|read| read) {
            Ok((file, chunk)) => {
                let at = at + u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                Some((Ok(chunk), Some((file, at))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .fuse()
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        match error {
            StoreError::Quota { .. } | StoreError::DiskFull { .. } | StoreError::Early => {
                Self::no_room(reason)
            }
            StoreError::Busy | StoreError::Offset { .. } => Self::unavailable(reason),
            StoreError::Bytes => {
                Self::malformed(reason, "send the shard again, from its first byte")
            }
            StoreError::Io(error) => {
                tracing::error!(%error, "files of shards");
                Self::internal()
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::TooFew { .. } | ReadError::Inconsistent => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let reason = error.to_string();
        match error {
            PublishError::Body(_) => Self::malformed(reason, "send it again"),
            PublishError::Length { .. } => {
                Self { code: ErrorCode::TooLarge, reason, hint: Some("cut it into several blobs") }
            }
            PublishError::Refused(_) => {
                Self { code: ErrorCode::Refused, reason, hint: Some("the reason has the numbers") }
            }
            PublishError::Ended | PublishError::Late { .. } => Self::unavailable(reason),
            PublishError::Faucet(error) => error.into(),
            PublishError::Store(error) => error.into(),
            PublishError::Table(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_browsers_write_them() {
        let rows = [
            ("bytes=0-3", Some(Some((0, 4)))),
            ("bytes=2-", Some(Some((2, 10)))),
            ("bytes=-4", Some(Some((6, 10)))),
            ("bytes=5-99", Some(Some((5, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=4-3", Some(None)),
            ("items=0-3", None),
            ("bytes=a-b", None),
        ];
        for (text, range) in rows {
            assert_eq!(parse_range(text, 10), range, "{text}");
        }
    }
}
