//! The network's own routes under `/v1`: submit and learn the outcome, events, status, commits,
//! the graph of vertices, and what only development networks have.
//!
//! Every answer is a type of the crate `client`; every failure is JSON with a code, a reason and
//! what to do.

mod blobs;
mod dag;
mod development;
mod events;
mod evidence;
mod proof;
mod snapshot;
mod status;
mod transaction;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::routing::post;

use super::parse::TRANSACTION_BODY_MAX;
use super::services::Services;

pub(crate) use self::dag::graph;
pub(crate) use self::evidence::EVIDENCE_MAX;
pub(crate) use self::evidence::page as evidence_page;
pub(crate) use self::status::build as status;
pub(crate) use self::transaction::build as tx_status;

/// How many bytes the body of a development request may take.
const REQUEST_BODY_MAX: usize = 4_096;

/// Routes that answer at once.
pub(crate) fn router() -> Router<Services> {
    Router::new()
        .route("/tx/{txid}", get(transaction::get))
        .route("/status", get(status::get))
        .route("/commits/{index}", get(status::commit))
        .route("/checkpoints/{index}", get(proof::checkpoint))
        .route("/dag", get(dag::get))
        .route("/evidence", get(evidence::get))
        .merge(blobs::router())
}

/// Routes that may wait for an outcome, a proof or a block: they have their own gate.
pub(crate) fn waiting_router(development: bool) -> Router<Services> {
    let router = Router::new()
        .route("/tx/{txid}/receipt", get(proof::receipt))
        .route("/tx", post(transaction::submit).layer(DefaultBodyLimit::max(TRANSACTION_BODY_MAX)));
    if !development {
        return router;
    }
    let small = || DefaultBodyLimit::max(REQUEST_BODY_MAX);
    router
        .route("/faucet", post(development::faucet).layer(small()))
        .route("/dev/ticks", post(development::ticks).layer(small()))
}

/// Routes that stream.
pub(crate) fn stream_router() -> Router<Services> {
    Router::new()
        .route("/events", get(events::get))
        .route("/snapshot", get(snapshot::get))
        .merge(blobs::stream_router())
}
