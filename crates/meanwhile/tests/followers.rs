//! Followers as processes: they hold what the validators hold, serve it, and cost nobody anything.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use client::Client;
use client::ClientError;
use client::api::TxState;
use client::api::ValidatorState;
use common::Devnet;
use common::PATIENCE;
use common::payer::Payer;
use common::single::Single;
use tokio::runtime::Runtime;
use types::CommitIndex;

/// Writes the configuration of a follower of these validators.
fn follower(devnet: &Devnet, name: &str, peers: &[u16], submit: bool) -> PathBuf {
    let dir = devnet.dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    let peers: String = peers
        .iter()
        .map(|peer| format!("{peer} = \"127.0.0.1:{}\"\n", devnet.port() + 500 + peer))
        .collect();
    let submit = match submit {
        // The first one is not there: it is passed over.
        true => format!("submit_to = [\"http://127.0.0.1:1\", \"{}\"]\n", devnet.url(1)),
        false => String::new(),
    };
    let text = format!(
        "genesis = \"../genesis.json\"\ndata_dir = \"data\"\n[follower]\n\
         secrets_dir = \"keys\"\n{submit}[network.peers]\n{peers}\
         [http]\nbind = \"127.0.0.1:0\"\n"
    );
    let file = dir.join("node.toml");
    fs::write(&file, text).unwrap();
    file
}

async fn pay(payer: &mut Payer, client: &Client) -> Duration {
    let began = Instant::now();
    let outcome = client.submit_and_wait(&payer.pay(), PATIENCE).await.unwrap();
    assert_eq!(outcome.status, TxState::Final);
    began.elapsed()
}

/// Waits until a node has applied what another one has committed.
async fn reaches(client: &Client, other: &Client) -> CommitIndex {
    let goal = other.status().await.unwrap().commit;
    common::until("the other's commit", async || {
        let status = client.status().await.unwrap();
        (status.commit >= goal && status.lag_commits == 0).then_some(())
    })
    .await;
    goal
}

#[test]
fn a_follower_that_starts_late_and_empty_holds_and_serves_what_the_validators_do() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let validators = devnet.clients();
        let mut payer = Payer::funded(&validators[0], 7).await;
        for _ in 0..5 {
            pay(&mut payer, &validators[0]).await;
        }
        common::assert_same_history(&validators).await;

        // Two of four are enough to follow: what the others make comes through them.
        let node = Single::start(&follower(&devnet, "late", &[2, 3], true));
        let client = node.client();
        let goal = reaches(&client, &validators[0]).await;
        let commit = client.commit(goal).await.unwrap();
        assert_eq!(commit, validators[1].commit(goal).await.unwrap());
        let status = client.status().await.unwrap();
        assert_eq!(status.validator, None);
        let live = |one: &client::api::ValidatorStatus| one.state == ValidatorState::Live;
        common::until("all four are seen as live", async || {
            client.status().await.unwrap().validators.iter().all(live).then_some(())
        })
        .await;

        // A wallet may use it for everything, paying included.
        for _ in 0..3 {
            pay(&mut payer, &client).await;
        }
        let mut again = payer.pay();
        client.submit_and_wait(&again, PATIENCE).await.unwrap();
        // The validator to which it hands on may be a moment behind it.
        validators[1].submit_and_wait(&again, PATIENCE).await.unwrap();
        payer.pay_again(&mut again);
        let refused = client.submit(&again).await.unwrap_err();
        let ClientError::Refused { status: 400, reason, .. } = refused else {
            panic!("{refused:?}");
        };
        assert!(reason.contains("missingorspent"), "{reason}");
        let mut all = validators.clone();
        all.push(client.clone());
        common::assert_same_history(&all).await;

        // It forgets nothing either.
        node.stop();
        pay(&mut payer, &validators[0]).await;
        let node = Single::start(&follower(&devnet, "late", &[0], false));
        let client = node.client();
        all[4] = client.clone();
        reaches(&client, &validators[0]).await;
        common::assert_same_history(&all).await;
        // Without anybody to submit to it says what to do.
        let error = client.submit(&payer.pay()).await.unwrap_err().to_string();
        assert!(error.contains("follower") && error.contains("validators"), "{error}");
        node.stop();
    });
}

#[test]
fn a_follower_that_stops_reading_slows_nobody_and_catches_up() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let validators = devnet.clients();
        let node = Single::start(&follower(&devnet, "slow", &[0, 1, 2, 3], false));
        let client = node.client();
        let mut payer = Payer::funded(&validators[0], 8).await;
        reaches(&client, &validators[0]).await;
        let median = async |payer: &mut Payer| {
            let mut times = Vec::new();
            for _ in 0..30 {
                times.push(pay(payer, &validators[0]).await);
            }
            times.sort();
            times[15]
        };
        let before = median(&mut payer).await;
        node.signal("-STOP");
        let during = median(&mut payer).await;
        node.signal("-CONT");
        println!("finality p50: {before:?} with a follower, {during:?} while it stands still");
        assert!(during < before * 3 + Duration::from_millis(100), "{before:?}, then {during:?}");
        reaches(&client, &validators[0]).await;
        let mut all = validators.clone();
        all.push(client);
        common::assert_same_history(&all).await;
        node.stop();
    });
}

#[test]
fn a_follower_that_is_not_listed_is_told_so_and_learns_nothing() {
    let devnet = Devnet::start();
    let config = devnet.dir().join("validator-3/node.toml");
    let text = fs::read_to_string(&config).unwrap();
    // Any point of the curve does: nobody has its secret.
    let listed = format!("admit = \"listed\"\nkeys = [\"58{}\"]", "66".repeat(31));
    assert!(text.contains("admit = \"any\""), "{text}");
    fs::write(&config, text.replace("admit = \"any\"", &listed)).unwrap();
    devnet.kill(3);
    devnet.restart(3);
    let node = Single::start(&follower(&devnet, "stranger", &[3], false));
    let client = node.client();
    let line = node.says(&["peer refused the connection", "network.followers", "key="]);
    println!("{line}");
    let status = Runtime::new().unwrap().block_on(client.status()).unwrap();
    assert_eq!(status.commit, CommitIndex::ZERO);
    let log = fs::read_to_string(devnet.dir().join("validator-3/log.txt")).unwrap();
    assert!(log.contains("connection refused"), "{log}");
    node.stop();
}
