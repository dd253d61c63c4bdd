//! Processes are killed under load, as a power cut would: the network goes on, what was
//! acknowledged becomes final, nobody ever contradicts himself.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use client::Client;
use client::api::TxState;
use common::Devnet;
use common::PATIENCE;
use common::load::Load;
use common::load::assert_all_final;
use common::payer::Payer;
use common::store_paths;
use common::stores::Vertices;
use tokio::runtime::Runtime;

/// How often all validators are killed; more for a long run.
const KILLS_VARIABLE: &str = "MEANWHILE_TEST_KILLS";
const KILLS_DEFAULT: usize = 2;

async fn wait_ready(client: &Client) {
    // The event log answers as soon as the node serves; the client waits for that by itself.
    common::events_until(client, 1).await;
}

#[test]
fn a_killed_validator_is_missed_by_nobody_and_catches_up() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let clients = devnet.clients();
    let acknowledged = runtime.block_on(async {
        let load = Load::start(&devnet).await;
        load.progress(30).await;
        devnet.kill(3);
        load.progress(60).await;
        devnet.restart(3);
        wait_ready(&clients[3]).await;
        load.progress(30).await;
        let acknowledged = load.stop().await;
        common::assert_same_history(&clients).await;
        assert_all_final(&clients, &acknowledged).await;
        acknowledged
    });
    println!("{} payments acknowledged, all final", acknowledged.len());
    let folder = devnet.stop();
    let vertices = Vertices::read(&store_paths(folder.path(), 4));
    vertices.assert_no_conflict();
    assert!(vertices.of(3) > 0);
}

#[test]
fn the_chain_resumes_after_all_validators_were_killed_at_once() {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(KILLS_DEFAULT);
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let clients = devnet.clients();
    let acknowledged = runtime.block_on(async {
        let load = Load::start(&devnet).await;
        for kill in 0..kills {
            // At an instant that is another one every time.
            load.progress(1 + kill * 7 % 20).await;
            devnet.kill_all();
            for index in 0..devnet.validators() {
                devnet.restart(index);
            }
            for client in &clients {
                wait_ready(client).await;
            }
        }
        load.progress(20).await;
        let acknowledged = load.stop().await;
        common::assert_same_history(&clients).await;
        assert_all_final(&clients, &acknowledged).await;
        acknowledged
    });
    println!("{kills} kills, {} payments acknowledged, all final", acknowledged.len());
    let folder = devnet.stop();
    Vertices::read(&store_paths(folder.path(), 4)).assert_no_conflict();
}

#[test]
fn a_stopped_network_resumes_where_it_was() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let port = devnet.port();
    let (before, txid) = runtime.block_on(async {
        let mut payer = Payer::funded(&devnet.client(0), 5).await;
        let payment = payer.pay();
        devnet.client(0).submit_and_wait(&payment, PATIENCE).await.unwrap();
        let last = common::assert_same_history(&devnet.clients()).await;
        (common::events_until(&devnet.client(0), last).await, payment.compute_txid())
    });
    let folder = devnet.stop();
    let devnet = Devnet::resume(folder, port, &[]);
    runtime.block_on(async {
        let last = before.last().unwrap().sequence;
        assert_eq!(common::events_until(&devnet.client(2), last).await, before);
        let status = devnet.client(3).tx_status(&txid).await.unwrap();
        assert_eq!(status.status, TxState::Final);
        common::assert_same_history(&devnet.clients()).await;
    });
}

#[test]
fn validators_end_when_their_supervisor_is_killed() {
    let devnet = Devnet::start();
    let pids: Vec<u64> = (0..devnet.validators()).map(|index| devnet.pid(index)).collect();
    let port = devnet.port();
    // While it runs, a second one in the same folder is refused.
    let dir = devnet.dir().to_str().unwrap().to_owned();
    let second = common::run(&["devnet", "--dir", &dir, "--http-port", "9"]);
    let error = common::text(&second.stderr);
    assert!(!second.status.success() && error.contains("already running"), "{error}");

    let folder = devnet.kill_supervisor();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(common::until("the end of all validators", async || {
        let is_alive = |pid: &u64| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        (!pids.iter().any(is_alive)).then_some(())
    }));
    let devnet = Devnet::resume(folder, port, &[]);
    runtime.block_on(async { common::assert_same_history(&devnet.clients()).await });
}
