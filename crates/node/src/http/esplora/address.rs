//! `/address/:address` and `/scripthash/:hash`: the same answers under two names.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use bitcoin::OutPoint;
use client::esplora::AddressStats;
use client::esplora::CHAIN_TXS_PAGE;
use client::esplora::MEMPOOL_TXS_MAX;
use client::esplora::ScriptHashStats;
use client::esplora::ScriptStats;
use client::esplora::Transaction;
use client::esplora::Utxo;
use ledger::ScriptHash;
use ledger::Totals;
use ledger::query;
use types::table::TableFault;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::parse::Segments;
use crate::http::services::Services;
use crate::http::view::Unspent;
use crate::http::view::View;

/// How many unspent outputs one answer gives; with more the script is too busy for this route.
const UTXOS_MAX: usize = 10_000;
/// How many entries of a history are read at one time.
const HISTORY_PAGE: usize = 50;

/// Which of the two names a path uses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// An address.
    Address,
    /// A script's hash.
    ScriptHash,
}

struct Subject {
    script: ScriptHash,
    name: String,
}

/// The routes below one of the two names.
pub(crate) fn router(kind: Kind) -> Router<Services> {
    Router::new()
        .route("/{name}", get(stats))
        .route("/{name}/txs", get(transactions))
        .route("/{name}/txs/chain", get(chain))
        .route("/{name}/txs/chain/{last}", get(chain_after))
        .route("/{name}/txs/mempool", get(mempool))
        .route("/{name}/utxo", get(utxo))
        .layer(Extension(kind))
}

impl Kind {
    fn read(self, name: &str) -> Result<Subject, Failure> {
        match self {
            Self::Address => {
                let (address, script) = parse::address(name)?;
                Ok(Subject { script: ScriptHash::of(&script), name: address.to_string() })
            }
            Self::ScriptHash => {
                let script = parse::script_hash(name)?;
                Ok(Subject { script, name: script.to_string() })
            }
        }
    }
}

async fn stats(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments(name): Segments<String>,
) -> Result<Response, Failure> {
    let Subject { script, name } = kind.read(&name)?;
    let (sealed, others) = services.read(move |view| Ok(totals(view, &script)?)).await?;
    let (chain_stats, mempool_stats) = (script_stats(&sealed), script_stats(&others));
    Ok(match kind {
        Kind::Address => {
            Json(AddressStats { address: name, chain_stats, mempool_stats }).into_response()
        }
        Kind::ScriptHash => {
            Json(ScriptHashStats { scripthash: name, chain_stats, mempool_stats }).into_response()
        }
    })
}

/// What sealed transactions did to a script, and what all others did.
pub(crate) fn totals(view: &View, script: &ScriptHash) -> Result<(Totals, Totals), TableFault> {
    let stats = query::script_stats(view.tables(), script)?;
    let mut others = stats.unsealed;
    for txid in view.pooled(script, MEMPOOL_TXS_MAX)? {
        let Some(found) = view.find(&txid)? else { continue };
        let funded = found.transaction.output.iter().cloned();
        let funded = funded.filter(|output| ScriptHash::of(&output.script_pubkey) == *script);
        let spent = view.prevouts(&found.transaction)?.into_iter().flatten();
        let spent = spent.filter(|output| ScriptHash::of(&output.script_pubkey) == *script);
        let mut change = Totals { transactions: 1, ..Totals::default() };
        for output in funded {
            change.funded = change.funded.saturating_add(1);
            change.funded_sat = change.funded_sat.saturating_add(output.value.to_sat());
        }
        for output in spent {
            change.spent = change.spent.saturating_add(1);
            change.spent_sat = change.spent_sat.saturating_add(output.value.to_sat());
        }
        others = others.plus(&change);
    }
    Ok((stats.sealed, others))
}

fn script_stats(totals: &Totals) -> ScriptStats {
    ScriptStats {
        tx_count: totals.transactions,
        funded_txo_count: totals.funded,
        funded_txo_sum: totals.funded_sat,
        spent_txo_count: totals.spent,
        spent_txo_sum: totals.spent_sat,
    }
}

/// At most [`MEMPOOL_TXS_MAX`] that are not sealed, then the newest page of those that are.
async fn transactions(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    let script = kind.read(&name)?.script;
    services
        .read(move |view| {
            let mut all = unsealed(view, &script)?;
            all.extend(sealed(view, &script, None)?);
            Ok(Json(all))
        })
        .await
}

async fn chain(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    let script = kind.read(&name)?.script;
    services.read_ledger(move |view| Ok(Json(sealed(view, &script, None)?))).await
}

async fn chain_after(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments((name, last)): Segments<(String, String)>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    let (script, last) = (kind.read(&name)?.script, parse::txid(&last)?);
    services
        .read_ledger(move |view| {
            let record = query::transaction(view.tables(), &last)?;
            let Some(record) = record else { return Ok(Json(Vec::new())) };
            Ok(Json(sealed(view, &script, Some(record.order))?))
        })
        .await
}

async fn mempool(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<Transaction>>, Failure> {
    let script = kind.read(&name)?.script;
    services.read(move |view| Ok(Json(unsealed(view, &script)?))).await
}

fn unsealed(view: &View, script: &ScriptHash) -> Result<Vec<Transaction>, TableFault> {
    let mut txids = view.pooled(script, MEMPOOL_TXS_MAX)?;
    txids.extend(view.unsealed(script)?.into_iter().map(|entry| entry.txid));
    txids.truncate(MEMPOOL_TXS_MAX);
    view.transactions_json(txids)
}

/// One page of sealed transactions, the newest first, behind the one with the number `before`.
fn sealed(
    view: &View,
    script: &ScriptHash,
    before: Option<u64>,
) -> Result<Vec<Transaction>, TableFault> {
    let (mut txids, mut cursor) = (Vec::with_capacity(CHAIN_TXS_PAGE), before);
    loop {
        let page = query::history(view.tables(), script, cursor, HISTORY_PAGE)?;
        cursor = page.last().map(|entry| entry.order);
        let sealed = page.iter().filter(|entry| entry.place.is_some()).map(|entry| entry.txid);
        txids.extend(sealed.take(CHAIN_TXS_PAGE - txids.len()));
        if txids.len() == CHAIN_TXS_PAGE || page.len() < HISTORY_PAGE {
            return view.transactions_json(txids);
        }
    }
}

/// Every output that may be spent, less what the pool spends, and what the pool makes.
async fn utxo(
    State(services): State<Services>,
    Extension(kind): Extension<Kind>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<Utxo>>, Failure> {
    let script = kind.read(&name)?.script;
    services
        .read(move |view| {
            let unspent = view.unspent(&script, UTXOS_MAX)?.ok_or_else(|| {
                Failure::malformed(
                    format!("Too many unspent transaction outputs (>{UTXOS_MAX})"),
                    "follow the events of the script, or page through its transactions",
                )
            })?;
            let shown = unspent.into_iter().map(|Unspent { outpoint, value, place }| {
                let OutPoint { txid, vout } = outpoint;
                Utxo { txid, vout, status: place.status(), value }
            });
            Ok(Json(shown.collect()))
        })
        .await
}
