//! `/tx/:txid` and what lies below.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bitcoin::MerkleBlock;
use bitcoin::OutPoint;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use client::esplora::MerkleProof;
use client::esplora::Outspend;
use client::esplora::Status;
use client::esplora::Transaction;
use ledger::query;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::http::view::Found;
use crate::http::view::View;

/// How many outputs `/outspends` tells about at most: more than a standard transaction has.
const OUTSPENDS_MAX: usize = 5_000;

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Json<Transaction>, Failure> {
    let txid = parse::txid(&txid)?;
    services
        .read_around(txid, move |view| Ok(Json(view.transaction_json(&found(view, &txid)?)?)))
        .await
}

pub(crate) async fn hex(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<String, Failure> {
    let txid = parse::txid(&txid)?;
    services
        .read_one(txid, move |view| {
            Ok(encode::serialize_hex(found(view, &txid)?.transaction.as_ref()))
        })
        .await
}

pub(crate) async fn raw(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<impl IntoResponse, Failure> {
    let txid = parse::txid(&txid)?;
    let bytes = services
        .read_one(txid, move |view| Ok(encode::serialize(found(view, &txid)?.transaction.as_ref())))
        .await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes))
}

/// As electrs does, an unknown transaction is one that is not confirmed.
pub(crate) async fn status(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Json<Status>, Failure> {
    let txid = parse::txid(&txid)?;
    let status = services
        .read_one(txid, move |view| Ok(view.find(&txid)?.map(|found| found.place.status())))
        .await?;
    Ok(Json(status.unwrap_or_default()))
}

pub(crate) async fn merkle_proof(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Json<MerkleProof>, Failure> {
    let txid = parse::txid(&txid)?;
    services
        .read_ledger(move |view| {
            let proof = query::merkle_proof(view.tables(), &txid)?.ok_or_else(unconfirmed)?;
            Ok(Json(MerkleProof {
                block_height: proof.place.height.value(),
                merkle: proof.branch.into_iter().map(Txid::from_raw_hash).collect(),
                pos: usize::try_from(proof.place.position).unwrap_or(usize::MAX),
            }))
        })
        .await
}

pub(crate) async fn merkle_block(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<String, Failure> {
    let txid = parse::txid(&txid)?;
    services
        .read_ledger(move |view| {
            let place = query::place(view.tables(), &txid)?.ok_or_else(unconfirmed)?;
            let block = view.block(place.height)?.ok_or_else(Failure::internal)?;
            let count = usize::try_from(block.transactions).unwrap_or(usize::MAX);
            let txids = query::block_txids(view.tables(), place.height, 0, count)?;
            let proof =
                MerkleBlock::from_header_txids_with_predicate(&block.header, &txids, |candidate| {
                    *candidate == txid
                });
            Ok(encode::serialize_hex(&proof))
        })
        .await
}

pub(crate) async fn outspend(
    State(services): State<Services>,
    Segments((txid, index)): Segments<(String, String)>,
) -> Result<Json<Outspend>, Failure> {
    let (txid, vout) = (parse::txid(&txid)?, parse::number::<u32>(&index)?);
    services.read(move |view| Ok(Json(spend(view, OutPoint { txid, vout })?))).await
}

pub(crate) async fn outspends(
    State(services): State<Services>,
    Segments(txid): Segments<String>,
) -> Result<Json<Vec<Outspend>>, Failure> {
    let txid = parse::txid(&txid)?;
    services
        .read(move |view| {
            let outputs = found(view, &txid)?.transaction.output.len().min(OUTSPENDS_MAX);
            let vouts = (0_u32..).take(outputs);
            let spends = vouts.map(|vout| spend(view, OutPoint { txid, vout }));
            spends.collect::<Result<Vec<_>, _>>().map(Json)
        })
        .await
}

fn found(view: &View, txid: &Txid) -> Result<Found, Failure> {
    view.find(txid)?.ok_or_else(|| Failure::not_found("Transaction not found"))
}

fn unconfirmed() -> Failure {
    Failure::not_found("Transaction not found or is unconfirmed")
}

fn spend(view: &View, outpoint: OutPoint) -> Result<Outspend, Failure> {
    let Some((txid, vin)) = view.spender(&outpoint)? else { return Ok(Outspend::default()) };
    let status = view.find(&txid)?.map(|found| found.place.status());
    Ok(Outspend { spent: true, txid: Some(txid), vin: Some(vin), status })
}
