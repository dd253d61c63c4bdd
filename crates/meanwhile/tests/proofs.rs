//! Receipts and snapshots of real processes: what a payment's receipt takes and proves, and that a
//! validator whose disk is gone goes on from another one's snapshot.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use client::Client;
use client::api::CheckpointAnswer;
use client::api::ReceiptAnswer;
use client::api::TxState;
use common::Devnet;
use common::PATIENCE;
use common::payer::Payer;
use common::run;
use common::text;
use common::until;
use types::CommitIndex;
use types::Genesis;
use types::receipt::Receipt;
use types::receipt::verify_receipt;

/// How many payments are timed; 200 for a figure that is worth something.
const PAYMENTS_VARIABLE: &str = "MEANWHILE_TEST_PAYMENTS";
const PAYMENTS_DEFAULT: usize = 10;

fn payments() -> usize {
    std::env::var(PAYMENTS_VARIABLE).ok().map_or(PAYMENTS_DEFAULT, |text| text.parse().unwrap())
}

fn genesis_path(devnet: &Devnet) -> String {
    devnet.state()["genesis"].as_str().unwrap().to_owned()
}

async fn receipt(client: &Client, txid: &bitcoin::Txid) -> Receipt {
    match client.receipt(txid, Some(PATIENCE)).await.unwrap() {
        ReceiptAnswer::Ready(receipt) => *receipt,
        ReceiptAnswer::NotYet(status) => panic!("no receipt: {status:?}"),
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted[place].as_secs_f64() * 1_000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payment_gets_a_receipt_that_a_folder_with_the_genesis_alone_believes() {
    let devnet = Devnet::start();
    let genesis_path = genesis_path(&devnet);
    let genesis: Genesis =
        serde_json::from_str(&fs::read_to_string(&genesis_path).unwrap()).unwrap();
    let client = devnet.client(0);
    let mut payer = Payer::funded(&client, 1).await;
    let mut times = Vec::new();
    let mut sizes = Vec::new();
    let mut last = None;
    for _ in 0..payments() {
        let payment = payer.pay();
        let txid = payment.compute_txid();
        let began = Instant::now();
        client.submit(&payment).await.unwrap();
        let receipt = receipt(&client, &txid).await;
        times.push(began.elapsed());
        sizes.push(receipt.to_text().len());
        let verified = verify_receipt(&genesis, &receipt).unwrap();
        assert_eq!(verified.txid().to_string(), txid.to_string());
        last = Some((txid, receipt));
    }
    times.sort_unstable();
    println!(
        "receipts of {} payments: p50 {:.0} ms, p99 {:.0} ms; {} to {} bytes",
        times.len(),
        percentile(&times, 50),
        percentile(&times, 99),
        sizes.iter().min().unwrap(),
        sizes.iter().max().unwrap(),
    );
    // The commands, in a folder that holds nothing but the genesis.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::copy(&genesis_path, at("genesis.json")).unwrap();
    let (txid, receipt) = last.unwrap();
    let (txid, url) = (txid.to_string(), devnet.url(1));
    let fetch = ["tx", "receipt", &txid, "--wait", "-o", &at("receipt.json"), "--url", &url];
    let output = run(&fetch);
    assert!(output.status.success(), "{}", text(&output.stderr));
    drop(devnet);
    let verify = |file: &str| run(&["verify", file, "--genesis", &at("genesis.json")]);
    let output = verify(&at("receipt.json"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("{txid} is final since commit")));
    // Another node may have heard other votes: both receipts hold.
    fs::write(at("other.json"), receipt.to_text()).unwrap();
    assert!(verify(&at("other.json")).status.success());
    fs::write(at("false.json"), receipt.to_text().replace("final", "Final")).unwrap();
    let output = verify(&at("false.json"));
    assert!(!output.status.success() && output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_whose_disk_is_gone_goes_on_from_a_snapshot() {
    let devnet = Devnet::start();
    let clients = devnet.clients();
    let mut payer = Payer::funded(&clients[0], 1).await;
    let wait = PATIENCE;
    let funding = payer.last();
    let mut spent = funding;
    for _ in 0..payments() {
        spent = payer.last();
        clients[0].submit_and_wait(&payer.pay(), wait).await.unwrap();
    }
    clients[0].ticks(2).await.unwrap();
    // Something is final and in no block while the snapshot is made.
    let unsealed = payer.pay();
    clients[0].submit_and_wait(&unsealed, wait).await.unwrap();
    let commit = start_from_snapshot(&devnet);
    devnet.restart(3);
    assert_follows(&clients, &mut payer, commit).await;
    // Full nodes and tools are told that it has not everything.
    for (index, pruned, names) in [(0, false, "NETWORK"), (3, true, "NETWORK_LIMITED")] {
        let info = call(&devnet, index, "getblockchaininfo").await;
        assert_eq!(info["pruned"], pruned);
        assert_eq!(info["pruneheight"].is_number(), pruned);
        assert!(info["size_on_disk"].as_u64().unwrap() > 0);
        let info = call(&devnet, index, "getnetworkinfo").await;
        assert_eq!(info["localservicesnames"][0], names);
    }
    let late = &clients[3];
    // What was sealed before is not kept there, and nothing is made up about it: of the faucet's
    // payment a coin is left, which stands in a block; of another one nothing is.
    assert_eq!(clients[0].tx_status(&spent).await.unwrap().status, TxState::Final);
    assert_eq!(late.tx_status(&spent).await.unwrap().status, TxState::Unknown);
    let known = late.tx_status(&funding).await.unwrap();
    assert_eq!((known.status, known.commit), (TxState::Final, None));
    assert_eq!(known.height, clients[0].tx_status(&funding).await.unwrap().height);
}

/// Takes validator 3's disk away, and fills its folder from a snapshot of validator 0; gives the commit of
/// the snapshot.
fn start_from_snapshot(devnet: &Devnet) -> CommitIndex {
    devnet.kill(3);
    let data = devnet.data(3);
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let file = devnet.dir().join("state.snapshot");
    let began = Instant::now();
    let output = run(&["snapshot", "export", "-o", path(&file), "--url", &devnet.url(0)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let exported = began.elapsed();
    let config = path(&devnet.config(3)).to_owned();
    // A damaged one leaves nothing behind.
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = devnet.dir().join("damaged.snapshot");
    fs::write(&damaged, &bytes).unwrap();
    let output = run(&["snapshot", "import", path(&damaged), "--config", &config]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("damaged"), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    let began = Instant::now();
    let output = run(&["snapshot", "import", path(&file), "--config", &config, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let imported = began.elapsed();
    println!(
        "snapshot of {} bytes: exported in {exported:?}, imported in {imported:?}",
        bytes.len(),
    );
    let replayed = replay(devnet);
    println!(
        "every commit applied again in {replayed:?}, {:.1} times as long",
        replayed.as_secs_f64() / imported.as_secs_f64()
    );
    let checkpoint: types::Checkpoint = serde_json::from_slice(&output.stdout).unwrap();
    let again = run(&["snapshot", "import", path(&file), "--config", &config]);
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
    checkpoint.commit
}

/// Asserts that validator 3 follows: a later payment is final there too, and its state is the one that
/// others sign.
async fn assert_follows(clients: &[Client], payer: &mut Payer, commit: CommitIndex) {
    let payment = payer.pay();
    clients[0].submit_and_wait(&payment, PATIENCE).await.unwrap();
    let txid = payment.compute_txid();
    let late = &clients[3];
    until("the payment at the new node", async || {
        let status = late.tx_status(&txid).await.ok()?;
        status.status.is_outcome().then_some(())
    })
    .await;
    let height = clients[0].ticks(1).await.unwrap();
    until("the block at the new node", async || {
        (late.tip_height().await.ok()? >= height).then_some(())
    })
    .await;
    assert_eq!(
        late.block_hash(height).await.unwrap(),
        clients[0].block_hash(height).await.unwrap()
    );
    let proven = until("a proof at the new node", async || {
        let proven = late.status().await.ok()?.proven;
        (proven > commit).then_some(proven)
    })
    .await;
    assert_eq!(digest(late, proven).await, digest(&clients[0], proven).await);
}

/// Makes the ledger of validator 2 anew from its commits, and says how long that took.
fn replay(devnet: &Devnet) -> Duration {
    devnet.kill(2);
    let config = devnet.config(2);
    let began = Instant::now();
    let output = run(&["node", "reindex", "--config", path(&config)]);
    let took = began.elapsed();
    assert!(output.status.success(), "{}", text(&output.stderr));
    devnet.restart(2);
    took
}

/// One of Bitcoin Core's calls at a validator.
async fn call(devnet: &Devnet, index: usize, method: &str) -> serde_json::Value {
    let state = devnet.state();
    let validator = &state["validators"][index];
    let cookie = fs::read_to_string(validator["rpc_cookie"].as_str().unwrap()).unwrap();
    let (user, password) = cookie.trim().split_once(':').unwrap();
    let request = reqwest::Client::new()
        .post(validator["rpc"].as_str().unwrap())
        .basic_auth(user, Some(password))
        .json(&serde_json::json!({ "id": 1, "method": method, "params": [] }));
    let answer = request.send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    answer["result"].clone()
}

async fn digest(client: &Client, commit: CommitIndex) -> types::Digest {
    match client.checkpoint(Some(commit)).await.unwrap() {
        CheckpointAnswer::Proven(proven) => proven.proven.checkpoint.digest(),
        CheckpointAnswer::NotYet(bare) => bare.digest(),
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
