//! `POST /txs/package`: transactions that come together, so that a child may pay for its parent.
//!
//! The body is a JSON array of hex, parents first, as electrs and `esplora-client` send it; the
//! answer is that of Core's `submitpackage`, refusals included: only what can not be read is 400.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use bitcoin::Amount;
use bitcoin::Transaction;
use bitcoin::Wtxid;
use client::esplora::PackageFees;
use client::esplora::PackageResult;
use client::esplora::PackageTransactionResult;
use ledger::mempool::FeeRate;
use ledger::mempool::MemberAnswer;
use ledger::mempool::MemberResult;
use ledger::mempool::PACKAGE_MAX;
use ledger::mempool::PackageAnswer;

use crate::http::failure::Failure;
use crate::http::parse;
use crate::http::services::Services;

use super::RPC_DESERIALIZATION;
use super::refusal;

/// How many bytes of JSON a package may take: the most weight of a package in nothing but witness,
/// twice for the hex, and the array around it.
pub(crate) const PACKAGE_BODY_MAX: usize = 2 * 404_000 + 4_096;
/// Core's code for a parameter that can not be.
const RPC_INVALID_PARAMETER: i32 = -8;
const METHOD: &str = "submitpackage";

pub(crate) async fn submit(
    State(services): State<Services>,
    body: Bytes,
) -> Result<Json<PackageResult>, Failure> {
    let transactions = read(&body)?;
    drop(body);
    let answer = services.handle().submit_package(transactions).await;
    services.pools().submitted();
    Ok(Json(result(answer?)))
}

fn read(body: &[u8]) -> Result<Vec<Transaction>, Failure> {
    let hint = "the body is a JSON array of transactions in hex, parents first";
    let texts: Vec<String> = serde_json::from_slice(body)
        .map_err(|_| Failure::malformed("the package can not be read", hint))?;
    if texts.is_empty() || texts.len() > PACKAGE_MAX {
        let words = format!("Array must contain between 1 and {PACKAGE_MAX} transactions.");
        return Err(refusal(METHOD, RPC_INVALID_PARAMETER, &words));
    }
    let read = |text: &String| {
        parse::transaction(text.as_bytes())
            .map_err(|failure| refusal(METHOD, RPC_DESERIALIZATION, &failure.reason))
    };
    texts.iter().map(read).collect()
}

/// An answer in the form of Core's `submitpackage`.
pub(crate) fn result(answer: PackageAnswer) -> PackageResult {
    PackageResult {
        package_msg: answer.fault.unwrap_or_else(|| "success".to_owned()),
        tx_results: answer.members.into_iter().map(member).collect(),
        replaced_transactions: answer.replaced,
    }
}

fn member(answer: MemberAnswer) -> (Wtxid, PackageTransactionResult) {
    let mut told = PackageTransactionResult {
        txid: answer.txid,
        other_wtxid: None,
        vsize: None,
        fees: None,
        error: None,
    };
    let mut paid = |vsize: u64, base, effective: Option<(FeeRate, Vec<Wtxid>)>| {
        told.vsize = Some(u32::try_from(vsize).unwrap_or(u32::MAX));
        let (rate, includes) = effective.unzip();
        told.fees = Some(PackageFees {
            base,
            effective_feerate: rate.map(|rate| Amount::from_sat(rate.sat_per_kvb()).to_btc()),
            effective_includes: includes,
        });
    };
    match answer.result {
        MemberResult::Admitted { vsize, fee, effective, includes } => {
            paid(vsize, fee, Some((effective, includes)));
        }
        MemberResult::InPool { vsize, fee } => paid(vsize, fee, None),
        MemberResult::OtherWitness(wtxid) => told.other_wtxid = Some(wtxid),
        MemberResult::Refused(reject) => told.error = Some(reject.reason),
        MemberResult::NotValidated => told.error = Some("package-not-validated".to_owned()),
    }
    (answer.wtxid, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_package_is_told_so() {
        assert_eq!(read(b"{}").unwrap_err().reason, "the package can not be read");
        let none = read(b"[]").unwrap_err().reason;
        assert!(none.starts_with("submitpackage RPC error: {\"code\":-8"), "{none}");
        let words = read(b"[\"00\"]").unwrap_err().reason;
        assert!(words.starts_with("submitpackage RPC error: {\"code\":-22"), "{words}");
        let many = serde_json::to_vec(&vec!["00"; PACKAGE_MAX + 1]).unwrap();
        assert!(read(&many).unwrap_err().reason.contains("between 1 and 25"));
    }
}
