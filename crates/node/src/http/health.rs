//! `/health`, `/ready` and `/metrics`: for whoever runs the node.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::failure::Failure;
use super::services::Services;

/// What `/metrics` answers: the text format of Prometheus, OpenMetrics as `prometheus-client`
/// writes it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// The node has caught up, and its answers are current.
pub(crate) async fn ready(State(services): State<Services>) -> Result<&'static str, Failure> {
    let status = services.handle().status();
    if let Some(alarm) = &status.alarm {
        return Err(Failure::unavailable(format!("ordering stopped: {alarm}")));
    }
    if !status.is_ready() {
        let lag = status.commit.distance_from(status.applied);
        return Err(Failure::unavailable(format!(
            "catching up: {lag} commits are to be applied at round {}",
            status.round
        )));
    }
    Ok("ready\n")
}

/// The counters.
pub(crate) async fn metrics(State(services): State<Services>) -> impl IntoResponse {
    let handle = services.handle();
    handle.metrics().stored(handle.store_bytes());
    let text = handle.metrics().encode();
    (StatusCode::OK, [(CONTENT_TYPE, METRICS_TYPE)], text)
}
