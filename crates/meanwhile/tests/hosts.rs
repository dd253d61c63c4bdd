//! Four hosts in network namespaces of their own: links are cut and mended, one host stands still,
//! clocks are hours apart, messages are late and lost, and payments go on. Needs root; says so and
//! skips otherwise.
//!
//! `MEANWHILE_TEST_STOP_SECONDS=60` lets the host stand still for a whole minute.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use bitcoin::Txid;
use client::Client;
use client::api::TxState;
use client::api::ValidatorState;
use common::Devnet;
use common::PATIENCE;
use common::lab::Lab;
use common::payer::Payer;
use common::single::Single;
use common::store_paths;
use common::stores::Vertices;
use tokio::runtime::Runtime;

const HOSTS: u16 = 4;
const STOP_VARIABLE: &str = "MEANWHILE_TEST_STOP_SECONDS";
/// How long the host stands still when nobody says.
const STOP_SECONDS: u64 = 7;
/// How long a link is cut: longer than it takes to be called silent.
const CUT: Duration = Duration::from_secs(7);
/// What every clock is off by.
const CLOCKS_HOURS: [i64; 4] = [0, 5, -3, 26];
const DELAY_MS: u64 = 10;
const LOSS_PERCENT: u64 = 1;

/// Four hosts that run.
struct Hosts {
    lab: Lab,
    nodes: Vec<Single>,
    clients: Vec<Client>,
    acknowledged: Vec<Txid>,
}

impl Hosts {
    fn start(lab: Lab, dir: &Path) -> Self {
        let configs: Vec<PathBuf> = (0..HOSTS).map(|host| configure(&lab, dir, host)).collect();
        let nodes: Vec<Single> = (0..HOSTS)
            .zip(&configs)
            .map(|(host, config)| Single::start_in(&Lab::namespace(host), config))
            .collect();
        let clients = nodes.iter().map(Single::client).collect();
        Self { lab, nodes, clients, acknowledged: Vec::new() }
    }

    /// Pays at host 0 for at least so long, each payment after the one before is final, and gives
    /// the median of the times that it took.
    async fn pay(&mut self, payer: &mut Payer, at_least: Duration) -> Duration {
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < 11 || began.elapsed() < at_least {
            let payment = payer.pay();
            let sent = Instant::now();
            let outcome = self.clients[0].submit_and_wait(&payment, PATIENCE).await.unwrap();
            assert_eq!(outcome.status, TxState::Final);
            times.push(sent.elapsed());
            self.acknowledged.push(outcome.txid);
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Hands a payment to a host, which acknowledges it. What becomes of it is seen later.
    async fn hand_over(&mut self, payer: &mut Payer, host: usize) -> Txid {
        let submitted = self.clients[host].submit(&payer.pay()).await.unwrap();
        self.acknowledged.push(submitted.txid);
        submitted.txid
    }

    async fn becomes_final(&self, txid: Txid, host: usize) {
        common::until("the outcome of what was acknowledged", async || {
            let status = self.clients[host].tx_status(&txid).await.ok()?;
            (status.status == TxState::Final).then_some(())
        })
        .await;
    }

    /// Waits until host 0 calls a host so.
    async fn is_seen(&self, host: usize, state: ValidatorState) {
        common::until(&format!("host {host} is seen as {state:?}"), async || {
            let status = self.clients[0].status().await.ok()?;
            (status.validators[host].state == state).then_some(())
        })
        .await;
    }

    /// Waits until a host takes part again and has what host 0 has now. Gives how long it took.
    async fn returns(&self, host: usize) -> Duration {
        let began = Instant::now();
        let goal = self.clients[0].status().await.unwrap().commit;
        common::until(&format!("host {host} has caught up"), async || {
            let status = self.clients[host].status().await.ok()?;
            (status.commit >= goal && status.lag_commits == 0).then_some(())
        })
        .await;
        self.is_seen(host, ValidatorState::Live).await;
        began.elapsed()
    }
}

/// Writes the configuration of one host over that of the development network.
fn configure(lab: &Lab, dir: &Path, host: u16) -> PathBuf {
    let address = lab.address(host);
    let others = (0..HOSTS).filter(|other| *other != host);
    let peers: String =
        others.map(|other| format!("{other} = \"{}:7000\"\n", lab.address(other))).collect();
    let offset = CLOCKS_HOURS[usize::from(host)] * 3_600_000;
    let text = format!(
        "genesis = \"../genesis.json\"\ndata_dir = \"data\"\n\
         [validator]\nauthor = {host}\nsecrets_dir = \"keys\"\n\
         [network]\nlisten = \"{address}:7000\"\n[network.peers]\n{peers}\
         [http]\nbind = \"{address}:3000\"\n\
         [development]\nfaucet_key_file = \"keys/faucet.wif\"\nlink_delay_ms = {DELAY_MS}\n\
         link_loss_percent = {LOSS_PERCENT}\nclock_offset_ms = {offset}\n"
    );
    let file = dir.join(format!("validator-{host}/host.toml"));
    fs::write(&file, text).unwrap();
    file
}

fn stop_time() -> Duration {
    let seconds = std::env::var(STOP_VARIABLE).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(STOP_SECONDS))
}

async fn live_through(hosts: &mut Hosts) {
    let mut payer = Payer::funded(&hosts.clients[0], 11).await;
    let mut other = Payer::funded(&hosts.clients[3], 12).await;
    hosts.becomes_final(other.last(), 3).await;
    let all = hosts.pay(&mut payer, Duration::ZERO).await;
    println!("all four live: finality p50 {all:?}");

    // What host 3 acknowledged before its link went is not lost.
    let kept = hosts.hand_over(&mut other, 3).await;
    hosts.lab.link(3, "down");
    let cut = hosts.pay(&mut payer, CUT).await;
    hosts.is_seen(3, ValidatorState::Silent).await;
    hosts.lab.link(3, "up");
    let back = hosts.returns(3).await;
    hosts.becomes_final(kept, 0).await;
    println!("link of host 3 cut for {CUT:?}: finality p50 {cut:?}; live again {back:?} after");

    // Two and two are no quorum: nothing becomes final, nothing is lost.
    hosts.lab.link(2, "down");
    hosts.lab.link(3, "down");
    let before = hosts.hand_over(&mut payer, 0).await;
    hosts.is_seen(2, ValidatorState::Silent).await;
    hosts.is_seen(3, ValidatorState::Silent).await;
    let waiting = hosts.hand_over(&mut payer, 0).await;
    let status = hosts.clients[0].tx_status(&waiting).await.unwrap();
    assert_eq!(status.status, TxState::Pending, "nothing is final without a quorum");
    let mended = Instant::now();
    hosts.lab.link(2, "up");
    hosts.lab.link(3, "up");
    hosts.becomes_final(before, 0).await;
    hosts.becomes_final(waiting, 0).await;
    let resumed = mended.elapsed();
    hosts.returns(2).await;
    hosts.returns(3).await;
    println!("two of four cut off: nothing final; final again {resumed:?} after the links healed");

    let still = stop_time();
    hosts.nodes[2].signal("-STOP");
    let stopped = hosts.pay(&mut payer, still).await;
    hosts.is_seen(2, ValidatorState::Silent).await;
    hosts.nodes[2].signal("-CONT");
    let back = hosts.returns(2).await;
    println!("host 2 stopped for {still:?}: finality p50 {stopped:?}; live again {back:?} after");
    let after = hosts.pay(&mut payer, Duration::ZERO).await;
    println!("all four live again: finality p50 {after:?}");
}

#[test]
fn four_hosts_live_through_cut_links_a_standstill_and_wrong_clocks() {
    let lab = match Lab::new(HOSTS) {
        Ok(lab) => lab,
        Err(reason) => {
            println!("skipped: no network namespaces here, which takes root: {reason}");
            return;
        }
    };
    let folder = Devnet::start().stop();
    let began = Instant::now();
    let mut hosts = Hosts::start(lab, folder.path());
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        live_through(&mut hosts).await;
        common::assert_same_history(&hosts.clients).await;
        for client in &hosts.clients {
            for txid in &hosts.acknowledged {
                let status = client.tx_status(txid).await.unwrap();
                assert_eq!(status.status, TxState::Final, "{txid} was acknowledged");
            }
        }
    });
    let count = hosts.acknowledged.len();
    println!("{count} payments acknowledged, all final at all four; {:?} in all", began.elapsed());
    for node in hosts.nodes {
        node.stop();
    }
    Vertices::read(&store_paths(folder.path(), HOSTS)).assert_no_conflict();
}
