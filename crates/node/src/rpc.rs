//! Bitcoin Core's remote procedure calls and REST, as far as tools need them that know no other
//! server: `bitcoin-cli`, `bitcoincore-rpc`, BDK's and LDK's block sources, electrs.
//!
//! What is final and in no block yet counts as a transaction of the pool, and an output that a
//! final transaction spends is spent: nothing undoes either.
//!
//! **Invariants.** A call needs the cookie, which only the owner of the node can read; REST gives
//! what anybody may read. Nothing is changed but by submitting a transaction. Everything that a
//! client can grow has a bound with a name here.
//!
//! Source: Bitcoin Core, `src/rpc/`, `src/httprpc.cpp`, `src/rest.cpp`; `docs/bitcoin.md`.

mod chain;
mod cookie;
mod memory;
mod methods;
mod rest;
mod send;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::Bounded;
use crate::http::Reader;
use crate::jsonrpc;
use crate::jsonrpc::Call;
use crate::jsonrpc::Incoming;
use crate::jsonrpc::RpcError;
use crate::jsonrpc::Unread;
use crate::jsonrpc::Version;
use crate::jsonrpc::code;
use crate::metrics::Answered;
use crate::metrics::Door;

pub(crate) use self::cookie::Cookie;

/// How many bytes a request takes: packages of the largest usual transactions in hex.
const BODY_MAX: usize = 32 << 20;
/// How many requests a batch holds.
const BATCH_MAX: usize = 1_000;
/// How many bytes the answers to one batch take together; what comes behind is answered with an
/// error.
const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// How many requests are worked on at one time, as Core's queue.
const REQUESTS_MAX: usize = 64;
/// How many requests of REST are worked on at one time.
const REST_MAX: usize = 16;
/// How long a request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// How long what is under way may take when the node stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// What every handler shares.
#[derive(Clone, Debug)]
struct Shared(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    reader: Reader,
    cookie: Cookie,
    requests: Semaphore,
    rest: Semaphore,
}

/// Serves until `shutdown` is cancelled, then lets what is under way end within a deadline. The
/// cookie's file goes when this ends.
///
/// # Errors
/// When the listener fails for good.
pub(crate) async fn serve(
    listener: TcpListener,
    reader: Reader,
    cookie: Cookie,
    shutdown: CancellationToken,
) -> Result<(), io::Error> {
    let drained = shutdown.clone();
    let server = axum::serve(Bounded::new(listener), router(reader, cookie))
        .with_graceful_shutdown(shutdown.cancelled_owned());
    tokio::select! {
        served = server.into_future() => served,
        () = async {
            drained.cancelled().await;
            tokio::time::sleep(DRAIN_TIME_MAX).await;
        } => Ok(()),
    }
}

/// Everything that is served.
fn router(reader: Reader, cookie: Cookie) -> Router {
    let shared = Shared(Arc::new(Parts {
        reader,
        cookie,
        requests: Semaphore::new(REQUESTS_MAX),
        rest: Semaphore::new(REST_MAX),
    }));
    Router::new()
        .route("/", post(call).layer(DefaultBodyLimit::max(BODY_MAX)))
        .route("/rest/chaininfo.json", get(rest::chain_info))
        .route("/rest/headers/{name}", get(rest::headers))
        .route("/rest/headers/{count}/{name}", get(rest::headers_counted))
        .route("/rest/block/{name}", get(rest::block))
        .route("/rest/block/notxdetails/{name}", get(rest::block_without_details))
        .route("/rest/blockhashbyheight/{name}", get(rest::block_hash))
        .layer(CatchPanicLayer::new())
        .with_state(shared)
}

async fn call(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get(AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
    if !given.is_some_and(|given| shared.0.cookie.is(given)) {
        let realm = [(WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"")];
        return (StatusCode::UNAUTHORIZED, realm).into_response();
    }
    let Ok(_place) = shared.0.requests.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded").into_response();
    };
    match tokio::time::timeout(REQUEST_TIME_MAX, shared.answer(&body)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::GATEWAY_TIMEOUT, "the answer took too long").into_response(),
    }
}

impl Shared {
    async fn answer(&self, body: &[u8]) -> Response {
        match jsonrpc::read(body, BATCH_MAX) {
            Err(error) => self.unread(Unread { id: Value::Null, error }),
            Ok(Incoming::One(Err(unread))) => self.unread(unread),
            Ok(Incoming::One(Ok(mut call))) => {
                let result = self.carry_out(&mut call).await;
                if !call.wants_answer {
                    return StatusCode::NO_CONTENT.into_response();
                }
                let status = status(call.version, &result);
                json(status, &jsonrpc::answer(call.version, &call.id, result).to_string())
            }
            Ok(Incoming::Batch(calls)) => self.batch(calls).await,
        }
    }

    async fn batch(&self, calls: Vec<Result<Call, Unread>>) -> Response {
        let mut text = String::new();
        for call in calls {
            let answer = match call {
                Err(unread) => jsonrpc::answer(Version::One, &unread.id, Err(unread.error)),
                Ok(call) if text.len() > ANSWERS_BYTES_MAX => {
                    let error = RpcError::new(code::INTERNAL, "the batch asks for too much");
                    jsonrpc::answer(call.version, &call.id, Err(error))
                }
                Ok(mut call) => {
                    let result = self.carry_out(&mut call).await;
                    if !call.wants_answer {
                        continue;
                    }
                    jsonrpc::answer(call.version, &call.id, result)
                }
            };
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&answer.to_string());
        }
        if text.is_empty() {
            return StatusCode::NO_CONTENT.into_response();
        }
        text.push(']');
        json(StatusCode::OK, &text)
    }

    async fn carry_out(&self, call: &mut Call) -> Result<Value, RpcError> {
        let result = methods::call(&self.0.reader, call).await;
        self.count(result.is_ok());
        result
    }

    fn unread(&self, unread: Unread) -> Response {
        self.count(false);
        let result = Err(unread.error);
        let status = status(Version::One, &result);
        json(status, &jsonrpc::answer(Version::One, &unread.id, result).to_string())
    }

    fn count(&self, is_ok: bool) {
        let result = if is_ok { Answered::Ok } else { Answered::Error };
        self.0.reader.handle().metrics().request_answered(Door::Rpc, result);
    }
}

/// In the old version an error shows in the status line too.
fn status(version: Version, result: &Result<Value, RpcError>) -> StatusCode {
    match (version, result) {
        (Version::Two, _) | (_, Ok(_)) => StatusCode::OK,
        (_, Err(error)) => match error.code {
            code::INVALID_REQUEST => StatusCode::BAD_REQUEST,
            code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

fn json(status: StatusCode, text: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], format!("{text}\n")).into_response()
}
