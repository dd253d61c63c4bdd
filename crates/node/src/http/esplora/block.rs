//! `/block/:hash`, `/block-height/:height` and `/blocks`.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bitcoin::Txid;
use bitcoin::consensus::encode;
use client::esplora::BLOCKS_PAGE;
use client::esplora::Block;
use client::esplora::BlockStatus;
use client::esplora::CHAIN_TXS_PAGE;
use client::esplora::Transaction;
use ledger::query;
use ledger::query::BlockRecord;
use types::Height;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::http::view::View;
use crate::http::view::block_json;

pub(crate) async fn get(
    State(services): State<Services>,
    Segments(hash): Segments<String>,
) -> Result<Json<Block>, Failure> {
    with_block(services, hash, |_, block| Ok(Json(block_json(block)))).await
}

/// As electrs does, an unknown block is one that is not in the chain.
pub(crate) async fn status(
    State(services): State<Services>,
    Segments(hash): Segments<String>,
) -> Result<Json<BlockStatus>, Failure> {
    let hash = parse::block_hash(&hash)?;
    services
        .read_ledger(move |view| {
            let height = query::height(view.tables(), &hash)?;
            let next = height.map(|height| view.block(height.next())).transpose()?.flatten();
            Ok(Json(BlockStatus {
                in_best_chain: height.is_some(),
                height: height.map(Height::value),
                next_best: next.map(|block| block.hash),
            }))
        })
        .await
}

pub(crate) async fn header(
    State(services): State<Services>,
    Segments(hash): Segments<String>,
) -> Result<String, Failure> {
    with_block(services, hash, |_, block| Ok(encode::serialize_hex(&block.header))).await
}

pub(crate) async fn raw(
    State(services): State<Services>,
    Segments(hash): Segments<String>,
) -> Result<impl IntoResponse, Failure> {
    let bytes = with_block(services, hash, |view, block| {
        let block = query::full_block(view.tables(), block.height)?;
        Ok(encode::serialize(&block.ok_or_else(Failure::internal)?))
    });
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes.await?))
}

pub(crate) async fn transactions(
    services: State<Services>,
    Segments(hash): Segments<String>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    transactions_from(services, Segments((hash, "0".to_owned()))).await
}

pub(crate) async fn transactions_from(
    State(services): State<Services>,
    Segments((hash, start)): Segments<(String, String)>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    let start = parse::number::<u32>(&start)?;
    with_block(services, hash, move |view, block| {
        if start >= block.transactions {
            return Err(Failure::not_found("start index out of range"));
        }
        let page = u32::try_from(CHAIN_TXS_PAGE).unwrap_or(u32::MAX);
        if !start.is_multiple_of(page) {
            return Err(Failure::malformed(
                format!("start index must be a multiple of {page}"),
                "start at the first transaction of a page",
            ));
        }
        let txids = query::block_txids(view.tables(), block.height, start, CHAIN_TXS_PAGE)?;
        Ok(Json(view.transactions_json(txids)?))
    })
    .await
}

pub(crate) async fn txids(
    State(services): State<Services>,
    Segments(hash): Segments<String>,
) -> Result<Json<Vec<Txid>>, Failure> {
    with_block(services, hash, |view, block| {
        let count = usize::try_from(block.transactions).unwrap_or(usize::MAX);
        Ok(Json(query::block_txids(view.tables(), block.height, 0, count)?))
    })
    .await
}

pub(crate) async fn txid(
    State(services): State<Services>,
    Segments((hash, index)): Segments<(String, String)>,
) -> Result<String, Failure> {
    let index = parse::number::<u32>(&index)?;
    with_block(services, hash, move |view, block| {
        let txids = query::block_txids(view.tables(), block.height, index, 1)?;
        let txid = txids.first().ok_or_else(|| Failure::not_found("tx not found"))?;
        Ok(txid.to_string())
    })
    .await
}

pub(crate) async fn hash_at(
    State(services): State<Services>,
    Segments(height): Segments<String>,
) -> Result<String, Failure> {
    let height = parse::height(&height)?;
    services
        .read_ledger(move |view| {
            let block = view.block(height)?.ok_or_else(not_found)?;
            Ok(block.hash.to_string())
        })
        .await
}

pub(crate) async fn newest(State(services): State<Services>) -> Result<Json<Vec<Block>>, Failure> {
    services.read_ledger(|view| page(view, view.summary()?.tip.height)).await
}

pub(crate) async fn from(
    State(services): State<Services>,
    Segments(start): Segments<String>,
) -> Result<Json<Vec<Block>>, Failure> {
    let start = parse::height(&start)?;
    services
        .read_ledger(move |view| {
            if start > view.summary()?.tip.height {
                return Err(not_found());
            }
            page(view, start)
        })
        .await
}

pub(crate) async fn tip_hash(State(services): State<Services>) -> Result<String, Failure> {
    services.read_ledger(|view| Ok(view.summary()?.tip.hash.to_string())).await
}

pub(crate) async fn tip_height(State(services): State<Services>) -> Result<String, Failure> {
    services.read_ledger(|view| Ok(view.summary()?.tip.height.to_string())).await
}

fn page(view: &View, start: Height) -> Result<Json<Vec<Block>>, Failure> {
    let mut blocks = Vec::with_capacity(BLOCKS_PAGE);
    let mut next = Some(start);
    while let Some(height) = next
        && blocks.len() < BLOCKS_PAGE
    {
        blocks.extend(view.block(height)?.as_ref().map(block_json));
        next = height.previous();
    }
    Ok(Json(blocks))
}

async fn with_block<T: Send + 'static>(
    services: Services,
    hash: String,
    work: impl FnOnce(&View, &BlockRecord) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let hash = parse::block_hash(&hash)?;
    services
        .read_ledger(move |view| work(view, &view.block_by_hash(&hash)?.ok_or_else(not_found)?))
        .await
}

fn not_found() -> Failure {
    Failure::not_found("Block not found")
}
