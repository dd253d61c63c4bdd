//! The routes under `/api`, as Blockstream's electrs serves them, so that wallets, `bdk_esplora`,
//! `esplora-client` and LDK work unchanged.
//!
//! A transaction counts as confirmed once a block has sealed it. One that is final and not sealed
//! yet is served as a transaction of the pool, with our own fields `final` and `commit`.
//! Source: Blockstream's electrs, `src/rest.rs`. Clients try 429, 500 and 503 again, so what is not
//! there is 404 and what is refused is 400.

mod address;
mod block;
mod mempool;
mod package;
mod transaction;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::routing::get;
use axum::routing::post;
use client::api::ErrorCode;

use crate::handle::Submitted;

use super::failure::Failure;
use super::parse;
use super::parse::TRANSACTION_BODY_MAX;
use super::services::Services;

pub(crate) use self::address::totals;
pub(crate) use self::mempool::fee_histogram;
pub(crate) use self::mempool::fee_rate;
pub(crate) use self::package::result as package_result;

/// Whose words a single transaction is answered in.
const METHOD: &str = "sendrawtransaction";
/// Core's code for a transaction that can not be read.
const RPC_DESERIALIZATION: i32 = -22;
/// Core's code for a transaction whose inputs are missing.
const RPC_VERIFY: i32 = -25;
/// Core's code for a transaction that the rules refuse.
const RPC_REJECTED: i32 = -26;
/// Core's code for a transaction that is in a block.
const RPC_IN_CHAIN: i32 = -27;

/// The routes.
pub(crate) fn router() -> Router<Services> {
    let transactions = Router::new()
        .route("/{txid}", get(transaction::get))
        .route("/{txid}/hex", get(transaction::hex))
        .route("/{txid}/raw", get(transaction::raw))
        .route("/{txid}/status", get(transaction::status))
        .route("/{txid}/merkle-proof", get(transaction::merkle_proof))
        .route("/{txid}/merkleblock-proof", get(transaction::merkle_block))
        .route("/{txid}/outspend/{index}", get(transaction::outspend))
        .route("/{txid}/outspends", get(transaction::outspends));
    let blocks = Router::new()
        .route("/{hash}", get(block::get))
        .route("/{hash}/status", get(block::status))
        .route("/{hash}/header", get(block::header))
        .route("/{hash}/raw", get(block::raw))
        .route("/{hash}/txs", get(block::transactions))
        .route("/{hash}/txs/{start}", get(block::transactions_from))
        .route("/{hash}/txids", get(block::txids))
        .route("/{hash}/txid/{index}", get(block::txid));
    Router::new()
        .route("/tx", post(broadcast).layer(DefaultBodyLimit::max(TRANSACTION_BODY_MAX)))
        .route(
            "/txs/package",
            post(package::submit).layer(DefaultBodyLimit::max(package::PACKAGE_BODY_MAX)),
        )
        .nest("/tx", transactions)
        .nest("/block", blocks)
        .route("/block-height/{height}", get(block::hash_at))
        .route("/blocks", get(block::newest))
        .route("/blocks/{start}", get(block::from))
        .route("/blocks/tip/hash", get(block::tip_hash))
        .route("/blocks/tip/height", get(block::tip_height))
        .nest("/address", address::router(address::Kind::Address))
        .nest("/scripthash", address::router(address::Kind::ScriptHash))
        .route("/mempool", get(mempool::stats))
        .route("/mempool/txids", get(mempool::txids))
        .route("/mempool/recent", get(mempool::recent))
        .route("/fee-estimates", get(mempool::fee_estimates))
}

/// `POST /tx`: the txid as text, or what Core's `sendrawtransaction` would have said.
async fn broadcast(State(services): State<Services>, body: Bytes) -> Result<String, Failure> {
    let transaction = parse::transaction(&body)
        .map_err(|failure| refusal(METHOD, RPC_DESERIALIZATION, &failure.reason))?;
    let txid = transaction.compute_txid();
    let submitted = services.handle().submit(transaction).await;
    services.pools().submitted();
    match submitted.map_err(Failure::from) {
        Ok(Submitted::AlreadyFinal { .. }) => {
            // Final and not sealed counts as in the pool here, and Core takes that again.
            let sealed = services.read_ledger(move |view| Ok(view.is_sealed(&txid)?)).await?;
            if sealed {
                return Err(refusal(
                    METHOD,
                    RPC_IN_CHAIN,
                    "Transaction outputs already in utxo set",
                ));
            }
            Ok(txid.to_string())
        }
        Ok(_) => Ok(txid.to_string()),
        Err(failure) if failure.code == ErrorCode::Refused => {
            // What the pool knows already is no failure to whoever sends it again.
            if failure.reason.contains("txn-already-") {
                return Ok(txid.to_string());
            }
            let missing = failure.reason.starts_with("bad-txns-inputs-missingorspent");
            Err(refusal(METHOD, if missing { RPC_VERIFY } else { RPC_REJECTED }, &failure.reason))
        }
        Err(failure) => Err(failure),
    }
}

fn refusal(method: &str, code: i32, message: &str) -> Failure {
    let error = serde_json::json!({ "code": code, "message": message });
    Failure { code: ErrorCode::Refused, reason: format!("{method} RPC error: {error}"), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_electrs_writes_it() {
        let failure = refusal(METHOD, RPC_REJECTED, "min relay fee not met, 0 < 110");
        assert_eq!(
            failure.reason,
            r#"sendrawtransaction RPC error: {"code":-26,"message":"min relay fee not met, 0 < 110"}"#
        );
        assert_eq!(failure.status(), 400);
    }
}
