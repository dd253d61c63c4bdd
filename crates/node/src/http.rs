//! The HTTP side of a node: Esplora under `/api`, the network's own routes under `/v1`, and pages
//! for people at `/`.
//!
//! **Invariants.** A handler reads the store on a blocking thread and changes nothing but through
//! [`Handle`]; every body, query and answer has a bound with a name; what is too much at one time
//! is refused with 503 and Retry-After. Routes and answers: `docs/api.md`.

mod esplora;
mod failure;
mod gate;
mod health;
mod listener;
mod outcomes;
pub(crate) mod parse;
mod pool;
mod reader;
mod services;
mod v1;
mod view;

#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::Any;
use tower_http::cors::CorsLayer;
use tracing::error;
use tracing::warn;

use crate::faucet::Faucet;
use crate::handle::Handle;
use crate::page;

use self::failure::Manner;
use self::gate::Gate;
use self::gate::REQUEST_TIME_MAX;
use self::gate::REQUESTS_MAX;
use self::gate::WAITING_MAX;
use self::outcomes::Outcomes;

pub(crate) use self::esplora::fee_histogram;
pub(crate) use self::esplora::fee_rate;
pub(crate) use self::esplora::package_result;
pub(crate) use self::esplora::totals as script_totals;
pub(crate) use self::failure::Failure;
pub(crate) use self::listener::Bounded;
pub(crate) use self::parse::NETWORK;
pub(crate) use self::reader::Reader;
pub(crate) use self::services::Services;
pub(crate) use self::v1::EVIDENCE_MAX;
pub(crate) use self::v1::evidence_page;
pub(crate) use self::v1::graph;
pub(crate) use self::v1::status;
pub(crate) use self::v1::tx_status;
pub(crate) use self::view::Found;
pub(crate) use self::view::Place;
pub(crate) use self::view::View;

/// How many bytes a body takes where a route names no limit of its own.
const BODY_MAX: usize = 4_096;
/// How long a request that waits for an outcome may take: its own wait and some room.
const WAITING_TIME_MAX: Duration = Duration::from_secs(60);
/// How long what is under way may take when the node stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// Serves until `shutdown` is cancelled, then lets what is under way end within a deadline. It
/// owns every task that it starts, the faucet's included.
///
/// # Errors
/// When the listener fails for good.
pub(crate) async fn serve(
    listener: TcpListener,
    reader: Reader,
    shutdown: CancellationToken,
) -> Result<(), std::io::Error> {
    let mut tasks = JoinSet::new();
    let router = router(reader, &shutdown, &mut tasks);
    let drained = shutdown.clone();
    let server = axum::serve(Bounded::new(listener), router)
        .with_graceful_shutdown(shutdown.cancelled_owned());
    let deadline = async {
        drained.cancelled().await;
        tokio::time::sleep(DRAIN_TIME_MAX).await;
    };
    let served = tokio::select! {
        served = server.into_future() => served,
        () = deadline => {
            warn!("connections are left behind: they did not end in time");
            Ok(())
        }
    };
    drained.cancel();
    while tasks.join_next().await.is_some() {}
    served
}

/// Everything that is served, as one service; its tasks go to `tasks` and end with `shutdown`.
pub(crate) fn router(
    reader: Reader,
    shutdown: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Router {
    let handle = reader.handle().clone();
    let development = handle.genesis().development;
    let (outcomes, task) = Outcomes::new(handle.clone(), shutdown.clone());
    tasks.spawn(task);
    let faucet = development.then(|| faucet(&handle, shutdown, tasks)).flatten();
    let services = Services::new(reader, faucet, outcomes, shutdown.clone());

    let requests = Gate::new(REQUESTS_MAX, Some(REQUEST_TIME_MAX));
    let waiting = Gate::new(REQUESTS_MAX + WAITING_MAX, Some(WAITING_TIME_MAX));
    let gated = |router: Router<Services>, gate: &Gate| {
        router.layer(middleware::from_fn_with_state(gate.clone(), gate::keep))
    };
    let v1 = gated(v1::router(), &requests)
        .merge(gated(v1::waiting_router(development), &waiting))
        .merge(v1::stream_router());
    let api = gated(esplora::router(), &requests);
    let pages = gated(page::router(), &requests);
    let plain = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics));

    let read_by_anybody =
        CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::HEAD]);
    Router::new()
        .nest("/v1", finished(otherwise_not_found(v1), Manner::Json))
        .nest("/api", finished(otherwise_not_found(api), Manner::Text))
        .merge(finished(plain, Manner::Text))
        .merge(finished(otherwise_not_found(pages), Manner::Page))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(read_by_anybody)
        .with_state(services)
}

fn otherwise_not_found(router: Router<Services>) -> Router<Services> {
    router.fallback(async || StatusCode::NOT_FOUND)
}

/// Gives a part its way of showing failures, those of a handler that panicked included.
fn finished(router: Router<Services>, manner: Manner) -> Router<Services> {
    router.layer(CatchPanicLayer::custom(panicked)).layer(middleware::map_response(
        move |response: Response| async move { failure::show(manner, response) },
    ))
}

/// A panic in a handler is a fault of this program: the answer says so, the log says where.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the box over")]
fn panicked(fault: Box<dyn std::any::Any + Send>) -> Response {
    let text = fault
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| fault.downcast_ref::<&str>().copied());
    error!(fault = text.unwrap_or("unknown"), "a handler panicked");
    Failure::internal().into_response()
}

fn faucet(
    handle: &Handle,
    shutdown: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Option<Faucet> {
    let (key, own) = (handle.faucet_key().copied()?, handle.own()?);
    match Faucet::new(handle.clone(), &key, own, shutdown.clone()) {
        Ok((faucet, task)) => {
            tasks.spawn(task.boxed());
            Some(faucet)
        }
        Err(fault) => {
            error!(%fault, "faucet can not open");
            None
        }
    }
}
