//! `GET /v1/snapshot`: this node's state at a proven checkpoint, as one stream.
//!
//! The store is asked for a view at the moment when a checkpoint was applied; the stream is read off
//! that view, a frame at a time, while the node goes on. Nothing is prepared or kept: a reader that is
//! too slow is cut off, since a view that lives holds old values in the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use replica::snapshot::SNAPSHOT_MAGIC;
use replica::snapshot::SnapshotExport;
use replica::tables;
use tokio::sync::mpsc;
use tracing::error;
use types::CheckpointProof;
use types::table::TableRead;

use crate::http::failure::Failure;
use crate::http::gate::Counted;
use crate::http::services::Services;

/// How long a checkpoint may take to come, and then its proof.
const PROOF_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one frame may wait for its reader.
const STALL_MAX: Duration = Duration::from_secs(60);
/// How many frames wait for the reader.
const FRAMES_WAITING: usize = 2;

type Held = Arc<dyn TableRead + Send + Sync>;

pub(crate) async fn get(State(services): State<Services>) -> Result<Response, Failure> {
    let permit = services.snapshots().enter()?;
    let late = || Failure::unavailable("no checkpoint was proven in time");
    let (held, proof) =
        tokio::time::timeout(PROOF_TIME_MAX, proven(&services)).await.map_err(|_| late())??;
    let genesis = Arc::clone(services.handle().genesis());
    let (frames, waiting) = mpsc::channel::<Bytes>(FRAMES_WAITING);
    let runtime = tokio::runtime::Handle::current();
    let send = move |frame: Bytes| {
        let sent = runtime.block_on(tokio::time::timeout(STALL_MAX, frames.send(frame)));
        matches!(sent, Ok(Ok(())))
    };
    tokio::task::spawn_blocking(move || {
        let read = held.as_ref();
        let mut export = match SnapshotExport::new(read, proof, &genesis) {
            Ok(export) => export,
            Err(fault) => return error!(%fault, "a snapshot can not be made"),
        };
        let mut goes_on = send(Bytes::from_static(SNAPSHOT_MAGIC));
        while goes_on {
            goes_on = match export.next_frame(read) {
                Ok(Some(frame)) => send(frame),
                Ok(None) => false,
                // The reader finds out by the end that is missing.
                Err(fault) => {
                    error!(%fault, "a snapshot broke off");
                    false
                }
            };
        }
    });
    let stream = stream::unfold(waiting, async |mut waiting| {
        let frame = waiting.recv().await?;
        Some((Ok::<Bytes, Infallible>(frame), waiting))
    });
    let stream = stream.take_until(services.shutdown().clone().cancelled_owned());
    let mut response = Body::from_stream(Counted::new(Box::pin(stream), permit)).into_response();
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// A view of the store at a checkpoint, with the proof that came for it.
async fn proven(services: &Services) -> Result<(Held, CheckpointProof), Failure> {
    let handle = services.handle();
    let mut status = handle.watch_status();
    loop {
        let held = handle.at_checkpoint().await?;
        let view = Arc::clone(&held);
        let summary = tokio::task::spawn_blocking(move || ledger::query::summary(view.as_ref()));
        let summary = summary.await.map_err(|_| Failure::internal())??;
        let commit = summary.ok_or_else(Failure::internal)?.applied;
        status
            .wait_for(|status| status.proven >= commit)
            .await
            .map_err(|_| Failure::unavailable("the node is stopping"))?;
        let proof =
            services.read_ledger(move |view| Ok(tables::proof(view.tables(), commit)?)).await?;
        // A later one may have been proven in its place: then the next one is taken.
        if let Some(proof) = proof {
            return Ok((held, proof));
        }
    }
}
