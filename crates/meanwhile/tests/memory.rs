//! Validators whose memory is wrong: one that lost its disk, and one whose keys are at work twice.
#![allow(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::path::PathBuf;

use client::Client;
use client::api::EvidenceKind;
use client::api::TxState;
use common::Devnet;
use common::PATIENCE;
use common::payer::Payer;
use common::single::Single;
use serde_json::Value;
use tokio::runtime::Runtime;
use types::Author;
use types::Round;

/// Pays at a node, once it has the coin that is paid with.
async fn pay(payer: &mut Payer, client: &Client) {
    let coin = payer.last();
    common::until("the coin", async || {
        let status = client.tx_status(&coin).await.ok()?;
        (status.status == TxState::Final).then_some(())
    })
    .await;
    let outcome = client.submit_and_wait(&payer.pay(), PATIENCE).await.unwrap();
    assert_eq!(outcome.status, TxState::Final);
}

/// The newest round of a validator of which somebody else holds a vertex.
async fn round(client: &Client, author: Author) -> Round {
    let status = client.status().await.unwrap();
    status.validators.iter().find(|one| one.index == author).unwrap().round
}

#[test]
fn a_validator_that_lost_its_disk_is_silent_until_what_it_may_have_signed_is_past() {
    let devnet = Devnet::start();
    let (lost, own) = (3, Author::new(3));
    let clients = devnet.clients();
    Runtime::new().unwrap().block_on(async {
        let mut payer = Payer::funded(&clients[0], 5).await;
        for _ in 0..5 {
            pay(&mut payer, &clients[0]).await;
        }
        devnet.kill(lost);
        let signed = round(&clients[0], own).await;
        fs::remove_dir_all(devnet.dir().join("validator-3/data")).unwrap();
        devnet.restart(lost);

        // The others go on, and it follows them without a word of its own.
        let recovering = common::until("it serves and knows that it lost its memory", async || {
            clients[3].status().await.ok()?.recovering
        })
        .await;
        assert_eq!(round(&clients[0], own).await, signed, "{recovering:?}");
        let mut past = None;
        while past.is_none() {
            pay(&mut payer, &clients[0]).await;
            let status = clients[3].status().await.unwrap();
            past = status.recovering.is_none().then_some(status);
        }
        let again = common::until("it signs again", async || {
            let round = round(&clients[0], own).await;
            (round > signed).then_some(round)
        })
        .await;
        assert!(again > signed.saturating_add(1), "{again} follows {signed}");

        // Whoever pays there is served as before, and nobody has anything against it.
        pay(&mut payer, &clients[3]).await;
        common::assert_same_history(&clients).await;
        for client in &clients {
            assert_eq!(client.evidence(None).await.unwrap().evidence, []);
        }
    });
}

/// Copies a validator as it was before its first start, with its links and its pages elsewhere.
fn second_machine(devnet: &Devnet, index: u16) -> PathBuf {
    let from = devnet.dir().join(format!("validator-{index}"));
    let to = devnet.dir().join("second-machine");
    fs::create_dir_all(to.join("keys")).unwrap();
    for file in fs::read_dir(from.join("keys")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("keys").join(file.file_name())).unwrap();
    }
    fs::write(to.join("keys").join(node::keys::UNUSED_FILE), "").unwrap();
    let text = fs::read_to_string(from.join("node.toml")).unwrap();
    let elsewhere = |line: &str| match line.split_once(" = \"127.0.0.1:") {
        Some((name @ ("listen" | "bind"), _)) => format!("{name} = \"127.0.0.1:0\"\n"),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(elsewhere).collect();
    assert!(text.matches("127.0.0.1:0\"").count() >= 2, "{text}");
    let config = to.join("node.toml");
    fs::write(&config, text).unwrap();
    config
}

#[test]
fn keys_that_are_at_work_on_two_machines_are_proven_to_anybody_who_has_the_genesis() {
    let devnet = Devnet::start();
    let clients = devnet.clients();
    let twice = Author::ZERO;
    let genesis = devnet.dir().join("genesis.json");
    let genesis = genesis.to_str().unwrap();
    Runtime::new().unwrap().block_on(async {
        let mut payer = Payer::funded(&clients[1], 6).await;
        pay(&mut payer, &clients[1]).await;
        let second = Single::start(&second_machine(&devnet, twice.value()));
        for client in &clients[1..] {
            let found = common::until("evidence", async || {
                let page = client.evidence(None).await.unwrap();
                page.evidence.into_iter().next()
            })
            .await;
            assert_eq!((found.kind, found.author), (EvidenceKind::Equivocation, twice));
        }

        // Checked against a genesis of one's own, not against what the node says.
        let url = devnet.url(1);
        let list = ["evidence", "--url", &url, "--genesis", genesis];
        let json = common::run(&[&list[..], &["--json"]].concat());
        assert!(json.status.success(), "{}", common::text(&json.stderr));
        for line in common::text(&json.stdout).lines() {
            let piece: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&piece["author"], &piece["verified"]), (&0.into(), &true.into()), "{line}");
        }
        let told = common::text(&common::run(&list).stdout);
        assert!(told.contains("proven, both signed with the key in your genesis"), "{told}");

        // It is held against those keys alone: everybody else is served.
        for client in &clients[1..] {
            pay(&mut payer, client).await;
        }
        second.stop();
        common::assert_same_history(&clients[1..]).await;
    });
}
