//! Packages and fee estimates as wallets ask for them.

use bitcoin::Amount;
use bitcoin::OutPoint;
use bitcoin::consensus::encode::serialize_hex;
use client::esplora::FeeEstimates;
use client::esplora::PackageResult;

use super::wallet::spend;
use super::wallet::spend_for;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_pays_nothing_comes_with_the_child_that_pays() {
    let served = Served::start().await;
    let funded = served.pay(&address(20), 100_000).await;
    served.wait_final(funded).await;
    let free = spend_for(20, OutPoint { txid: funded, vout: 0 }, 100_000, 0);
    let refused = served.post("/api/tx", serialize_hex(&free)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("min relay fee not met"), "{}", refused.text());
    let child = spend(20, OutPoint { txid: free.compute_txid(), vout: 0 }, 100_000);
    let body = serde_json::to_string(&[serialize_hex(&free), serialize_hex(&child)]).unwrap();
    let result: PackageResult = served.post("/api/txs/package", body).await.json();
    assert_eq!(result.package_msg, "success");
    let told = &result.tx_results[&free.compute_wtxid()];
    let fees = told.fees.as_ref().unwrap();
    assert_eq!((told.txid, fees.base), (free.compute_txid(), Amount::ZERO));
    assert!(fees.effective_feerate.unwrap() > 0.000_01);
    assert_eq!(fees.effective_includes.as_ref().map(Vec::len), Some(2));
    served.wait_final(child.compute_txid()).await;
    let text = served.post("/api/txs/package", "[]").await;
    assert_eq!(text.status, StatusCode::BAD_REQUEST);
    assert!(text.text().starts_with("submitpackage RPC error"), "{}", text.text());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_are_never_empty_and_never_below_what_is_admitted() {
    let served = Served::start().await;
    let estimates: FeeEstimates = served.json("/api/fee-estimates").await;
    for target in ["1", "2", "6", "144", "1008"] {
        assert!(estimates[target] >= 1.0, "{target}");
    }
    served.stop().await;
}
