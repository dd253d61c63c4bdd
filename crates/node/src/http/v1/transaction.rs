//! `POST /v1/tx` and `GET /v1/tx/{txid}`.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use bitcoin::Txid;
use client::api::Submitted as Answer;
use client::api::TxState;
use client::api::TxStatus;
use ledger::Outcome;
use ledger::query;
use serde::Deserialize;

use crate::handle::Submitted;
use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::http::view::View;

/// How long a submission waits for its outcome at most; then the answer says `pending`.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How many reasons for being passed over one answer gives.
const SKIPPED_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitQuery {
    wait: Option<Wait>,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wait {
    Final,
}

/// 202 with what is known at once; with `wait=final`, 200 with the outcome, or 202 and `pending`
/// when it did not come in time.
pub(crate) async fn submit(
    State(services): State<Services>,
    uri: Uri,
    body: Bytes,
) -> Result<Response, Failure> {
    let query: SubmitQuery = parse::query(&uri)?;
    let transaction = parse::transaction(&body)?;
    drop(body);
    let txid = transaction.compute_txid();
    let Some(Wait::Final) = query.wait else {
        let status = put_in(&services, transaction, txid).await?;
        return Ok((StatusCode::ACCEPTED, Json(Answer { txid, status })).into_response());
    };
    let _permit = services.waiting().enter()?;
    let decided = services.outcomes().register(txid).await;
    put_in(&services, transaction, txid).await?;
    let mut status = services.read_one(txid, move |view| build(view, txid)).await?;
    if !status.status.is_outcome() {
        let wait_max = query.timeout_ms.map_or(WAIT_MAX, Duration::from_millis).min(WAIT_MAX);
        tokio::select! {
            _ = tokio::time::timeout(wait_max, decided) => {}
            () = services.shutdown().cancelled() => {}
        }
        status = services.read_one(txid, move |view| build(view, txid)).await?;
    }
    let code = if status.status.is_outcome() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((code, Json(status)).into_response())
}

/// Submits and says what is known. That a transaction is known already is no failure: sending it
/// again is harmless.
async fn put_in(
    services: &Services,
    transaction: bitcoin::Transaction,
    txid: Txid,
) -> Result<TxState, Failure> {
    let submitted = services.handle().submit(transaction).await;
    services.pools().submitted();
    match submitted {
        Ok(Submitted::AlreadyFinal { .. }) => Ok(TxState::Final),
        Ok(_) => Ok(TxState::Pending),
        Err(error) => {
            let failure = Failure::from(error);
            if failure.code != client::api::ErrorCode::Refused {
                return Err(failure);
            }
            // A refused transaction may have its outcome: then that is the answer.
            let status = services.read_one(txid, move |view| build(view, txid)).await?;
            if status.status.is_outcome() { Ok(status.status) } else { Err(failure) }
        }
    }
}

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Json<TxStatus>, Failure> {
    let txid = parse::txid(&txid)?;
    services.read_one(txid, move |view| Ok(Json(build(view, txid)?))).await
}

/// What is known of a txid.
pub(crate) fn build(view: &View, txid: Txid) -> Result<TxStatus, Failure> {
    let outcome = view.outcome(&txid)?;
    let height = query::place(view.tables(), &txid)?.map(|place| place.height);
    let mut skipped = query::skipped(view.tables(), &txid, SKIPPED_MAX)?;
    skipped.reverse();
    let (status, commit, conflict) = match outcome {
        Some(Outcome::Final { commit }) => (TxState::Final, Some(commit), None),
        Some(Outcome::Rejected { conflict, .. }) => (TxState::Rejected, None, Some(conflict)),
        None if view.pool().get(&txid).is_some() => (TxState::Pending, None, None),
        // A node that began with a snapshot knows of some only that a coin of theirs stands in a block.
        None if height.is_some() => (TxState::Final, None, None),
        None => (TxState::Unknown, None, None),
    };
    Ok(TxStatus {
        txid,
        status,
        commit,
        height,
        conflict,
        skipped: skipped.into_iter().map(|(_, reason)| reason.to_string()).collect(),
    })
}
