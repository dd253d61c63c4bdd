//! People pay each other while one side is off: real processes, real Lightning, our chain.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use common::Devnet;
use common::wallet::Wallet;

/// How often the scenario is repeated; more for a long run.
const ROUNDS_VARIABLE: &str = "MEANWHILE_TEST_PAYMENTS";
const ROUNDS_DEFAULT: usize = 2;

/// Each test has ten processes; one after the other they do not stand in each other's way.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rounds() -> usize {
    let rounds = std::env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    rounds.unwrap_or(ROUNDS_DEFAULT)
}

/// A payer with money and a recipient, each with a service provider of its own.
fn two_wallets(devnet: &Devnet) -> (Wallet, Wallet) {
    let mut payer = Wallet::init(&devnet.url(0));
    payer.start();
    payer.fund("200000sat");
    let mut recipient = Wallet::init(&devnet.url(1));
    recipient.start();
    recipient.offer();
    let lsp = |wallet: &Wallet| wallet.json(&["status"])["lsp"].as_str().unwrap().to_owned();
    assert_ne!(lsp(&payer), lsp(&recipient), "wallets go to the provider with the fewest");
    (payer, recipient)
}

#[test]
fn somebody_who_is_offline_is_paid_by_somebody_who_leaves() {
    let _alone = alone();
    let devnet = Devnet::with_providers(&[]);
    let (mut payer, mut recipient) = two_wallets(&devnet);
    let offer = recipient.offer();
    let before = payer.lightning_msat();
    let mut waits = Vec::new();
    for round in 1..=rounds() {
        recipient.stop();
        // The offer is known while its wallet is off.
        assert_eq!(recipient.must(&["receive"]), offer);
        let news = payer.follow();
        let payment = payer.pay(&offer, "5000sat");
        let held = news.wait(&payment, &["held", "failed"]);
        assert_eq!(held["state"], "held", "{held}");
        assert!(held["claim_by"]["height"].as_u64().unwrap() > 0, "{held}");
        drop(news);
        payer.stop();

        recipient.start();
        let begun = Instant::now();
        let news = recipient.follow();
        for _ in 0..round {
            let received = news.received();
            assert_eq!(received["amount_msat"], 5_000_000);
        }
        waits.push(begun.elapsed());
        drop(news);
        assert_eq!(recipient.states(), vec!["received"; round]);

        payer.start();
        let news = payer.follow();
        let claimed = news.wait(&payment, &["claimed", "returned", "failed"]);
        assert_eq!(claimed["state"], "claimed", "{claimed}");
    }
    // Not a thousandth of a satoshi is lost: what one has less is what the other has more, and the fees.
    let payments = payer.payments();
    let outbound = payments.iter().filter(|one| one["direction"] == "outbound");
    let fees: u64 = outbound.map(|one| one["fee_msat"].as_u64().unwrap()).sum();
    let sent = 5_000_000 * u64::try_from(rounds()).unwrap();
    assert_eq!(payer.lightning_msat(), before - sent - fees);
    assert_eq!(recipient.lightning_msat(), sent);
    waits.sort();
    println!("from the recipient's start to its money: {:?}, median {:?}", waits, median(&waits));
}

fn median(waits: &[Duration]) -> Duration {
    waits.get(waits.len() / 2).copied().unwrap_or_default()
}

#[test]
fn a_payment_outlives_the_death_of_every_process_but_one() {
    let _alone = alone();
    let devnet = Devnet::with_providers(&[]);
    let (mut payer, mut recipient) = two_wallets(&devnet);
    let offer = recipient.offer();
    recipient.kill();
    let news = payer.follow();
    let payment = payer.pay(&offer, "7000sat");
    let held = news.wait(&payment, &["held", "failed"]);
    assert_eq!(held["state"], "held", "{held}");
    drop(news);
    payer.kill();
    // The node that the recipient's wallet asks about the chain.
    devnet.kill(1);
    devnet.restart(1);
    // Whoever holds the payment is killed too, and holds it still.
    devnet.kill_provider(0);
    devnet.restart_provider(0);

    recipient.start();
    let news = recipient.follow();
    assert_eq!(news.received()["amount_msat"], 7_000_000);
    drop(news);
    payer.start();
    let news = payer.follow();
    let claimed = news.wait(&payment, &["claimed", "returned", "failed"]);
    assert_eq!(claimed["state"], "claimed", "{claimed}");
    drop(news);
    // A second start tells nothing twice.
    recipient.kill();
    recipient.start();
    assert_eq!(recipient.states(), ["received"]);
}

#[test]
fn the_socket_and_the_provider_refuse_what_they_must() {
    let _alone = alone();
    let devnet = Devnet::with_providers(&[]);
    let (payer, recipient) = two_wallets(&devnet);
    let offer = recipient.offer();

    let refused = |arguments: &[&str], wanted: &str| {
        let output = payer.ask(arguments);
        let error = common::text(&output.stderr);
        assert!(!output.status.success() && error.contains(wanted), "{arguments:?}: {error}");
    };
    refused(&["pay", &offer], "leaves the amount open");
    refused(&["pay", "lno1nothing", "1sat"], "no offer and no invoice");
    refused(&["pay", &offer, "2btc"], "can be sent now");
    refused(&["pay", &offer, "5"], "no known unit");
    refused(&["channels", "close", "00"], "no channel");
    let other = payer.ask(&["start", "--passphrase-file", "/dev/null"]);
    assert!(!other.status.success());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let state = devnet.state();
        let api = state["lsps"][0]["api"].as_str().unwrap().to_owned();
        let http = reqwest::Client::new();
        let node_id = state_key(&http, &api).await;
        let wrong = serde_json::json!({"node_id": node_id, "nonce": "00", "signature": "x"});
        let answer = http.post(format!("{api}/v1/lsp/register")).json(&wrong).send().await.unwrap();
        assert_eq!(answer.status(), 403, "a made-up challenge");
        let asked = serde_json::json!({"node_id": node_id});
        let challenge = http.post(format!("{api}/v1/lsp/challenge")).json(&asked).send();
        let challenge: serde_json::Value = challenge.await.unwrap().json().await.unwrap();
        let wrong = serde_json::json!(
            {"node_id": node_id, "nonce": challenge["nonce"], "signature": "x"});
        let answer = http.post(format!("{api}/v1/lsp/register")).json(&wrong).send().await.unwrap();
        assert_eq!(answer.status(), 403, "a signature that is none");
        let large = "x".repeat(100_000);
        let answer = http.post(format!("{api}/v1/lsp/challenge")).body(large).send().await.unwrap();
        assert!(answer.status().is_client_error());
        let answer = http.get(format!("{api}/v1/nothing")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    });
}

async fn state_key(http: &reqwest::Client, api: &str) -> String {
    let card = http.get(format!("{api}/v1/lsp")).send().await.unwrap();
    let card: serde_json::Value = card.json().await.unwrap();
    card["node_id"].as_str().unwrap().to_owned()
}
