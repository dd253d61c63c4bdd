//! `GET /v1/tx/{txid}/receipt` and `GET /v1/checkpoints/{index|latest}`.
//!
//! What is asked for is in one of three states, and each has an answer of its own: 200 with the
//! proof, 202 with what is known when the proof is still to come, 404 when there is nothing to prove.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use client::api::TxState;
use client::api::TxStatus;
use ledger::query;
use ledger::query::CheckpointRow;
use replica::tables;
use serde::Deserialize;
use tokio::time::Instant;
use types::BitcoinHash;
use types::Checkpoint;
use types::CommitIndex;
use types::receipt::LINKS_MAX;
use types::receipt::ProvenChain;
use types::receipt::ProvenCheckpoint;
use types::receipt::RECEIPT_VERSION;
use types::receipt::Receipt;
use types::table::TableFault;
use types::table::TableRead;

use super::transaction;
use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::http::view::View;

/// How long a request waits for a proof at most; then it is told what is known.
const WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptQuery {
    wait: Option<Wait>,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wait {
    Proof,
}

/// What there is to say of a transaction.
enum Found {
    Receipt(Box<Receipt>),
    NotYet(TxStatus),
}

/// 200 with the receipt; 202 with the transaction's status while there is none yet; with
/// `wait=proof`, after having waited for it.
pub(crate) async fn receipt(
    State(services): State<Services>,
    uri: Uri,
    Segments(txid): Segments<String>,
) -> Result<Response, Failure> {
    let query: ReceiptQuery = parse::query(&uri)?;
    let txid = parse::txid(&txid)?;
    let wait = query
        .wait
        .map(|Wait::Proof| query.timeout_ms.map_or(WAIT_MAX, Duration::from_millis).min(WAIT_MAX));
    let _permit = wait.map(|_| services.waiting().enter()).transpose()?;
    let until = Instant::now() + wait.unwrap_or_default();
    let mut status = services.handle().watch_status();
    loop {
        // What is proven after this look wakes the wait below.
        let proven = status.borrow_and_update().proven;
        let found = services.read_one(txid, move |view| find(view, txid)).await?;
        let known = match found {
            Found::Receipt(receipt) => return Ok(proof(receipt.to_text())),
            Found::NotYet(known) => known,
        };
        let woken = tokio::select! {
            woken = status.wait_for(|status| status.proven > proven) => woken.is_ok(),
            () = tokio::time::sleep_until(until) => false,
            () = services.shutdown().cancelled() => false,
        };
        if woken {
            continue;
        }
        return match known.status {
            TxState::Unknown if known.skipped.is_empty() => Err(Failure::not_found(
                "this node has never seen the transaction, or keeps it no longer",
            )),
            _ => Ok((StatusCode::ACCEPTED, Json(known)).into_response()),
        };
    }
}

/// 200 with the checkpoint and its proof; 202 with the bare checkpoint while it is not proven.
pub(crate) async fn checkpoint(
    State(services): State<Services>,
    Segments(index): Segments<String>,
) -> Result<Response, Failure> {
    let index = match index.as_str() {
        "latest" => None,
        index => Some(CommitIndex::new(parse::number(index)?)),
    };
    services.read_ledger(move |view| find_checkpoint(view.tables(), index)).await
}

fn proof(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

fn find(view: &View, txid: Txid) -> Result<Found, Failure> {
    let read = view.tables();
    let not_yet = || transaction::build(view, txid).map(Found::NotYet);
    let Some(decided) = query::decided_in(read, &txid)? else { return not_yet() };
    let rows = query::checkpoints_from(read, decided, LINKS_MAX + 1)?;
    let (Some(row), Some(proven)) = (rows.first(), chain(read, &rows)?) else { return not_yet() };
    if row.first_event < query::oldest_event(read)? {
        return Err(Failure::gone(
            "the events that the receipt is made from are no longer kept here: ask another node",
        ));
    }
    let Some((outcome, path)) = query::results_path(read, row, &txid)? else {
        return Err(Failure::not_found(
            "a coinbase has no outcome: the Merkle proof of its block proves it",
        ));
    };
    Ok(Found::Receipt(Box::new(Receipt {
        version: RECEIPT_VERSION,
        txid: BitcoinHash::new(txid.to_byte_array()),
        outcome: outcome.in_receipts(),
        path,
        proven,
    })))
}

fn find_checkpoint(read: &dyn TableRead, index: Option<CommitIndex>) -> Result<Response, Failure> {
    let index = match index {
        Some(index) => index,
        None => match tables::last_proven(read)? {
            CommitIndex::ZERO => return Err(Failure::not_found("no checkpoint is proven yet")),
            proven => proven,
        },
    };
    let rows = query::checkpoints_from(read, index, LINKS_MAX + 1)?;
    let first = rows.first().filter(|row| row.checkpoint.commit == index);
    let Some(CheckpointRow { checkpoint, .. }) = first else {
        return Err(Failure::not_found("there is no checkpoint at this commit"));
    };
    Ok(match chain(read, &rows)? {
        Some(proven) => proof(ProvenCheckpoint { version: RECEIPT_VERSION, proven }.to_text()),
        None => (StatusCode::ACCEPTED, Json(*checkpoint)).into_response(),
    })
}

/// From the first of these checkpoints to the first that is proven, with the proof.
pub(super) fn chain(
    read: &dyn TableRead,
    rows: &[CheckpointRow],
) -> Result<Option<ProvenChain>, TableFault> {
    let mut links: Vec<Checkpoint> = Vec::new();
    for row in rows {
        links.push(row.checkpoint);
        if let Some(proof) = tables::proof(read, row.checkpoint.commit)? {
            let checkpoint = links.remove(0);
            return Ok(Some(ProvenChain { checkpoint, links, proof }));
        }
    }
    Ok(None)
}
