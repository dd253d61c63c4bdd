//! Ordering under load: every validator in this process, over loopback and on disk.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use node::Checked;
use node::Config;
use node::bench::Given;
use node::bench::OrderingNode;
use node::config::BlobsConfig;
use node::config::LimitsConfig;
use node::config::NetworkConfig;
use node::config::PacingConfig;
use node::config::RetentionConfig;
use node::config::ValidatorConfig;
use node::keys::COIN_FILE;
use replica::ordering::PROPOSAL_ROOM;
use replica::ordering::Room;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use types::Commit;
use types::CommitIndex;
use types::Item;
use types::Round;
use types::Verified;
use types::Vertex;

use crate::dealer;
use crate::dealer::Plan;
use crate::error::Failure;
use crate::files;
use crate::output::Progress;
use crate::secrets;
use crate::secrets::Secrets;

use super::load::LoadPlan;
use super::load::Source;
use super::load::stamp;
use super::load::to_f64;
use super::process;
use super::report::Latencies;
use super::report::Report;
use super::report::by_minute;

/// How often the load is advanced.
const OFFER_EVERY: Duration = Duration::from_millis(5);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// One validator under load.
struct Driver {
    node: OrderingNode,
    source: Source,
    room: Room,
    plan: LoadPlan,
    began: Instant,
    stop: watch::Receiver<bool>,
    seen: Seen,
}

/// What one validator saw in the time that counts.
struct Seen {
    latencies: Latencies,
    committed: u64,
    commits: u64,
    first_round: Option<Round>,
    last_round: Round,
    last_commit: Option<CommitIndex>,
    missed: u64,
    offered_before: u64,
}

/// What one validator hands in at the end.
struct Share {
    seen: Seen,
    offered: u64,
    refused: u64,
}

/// Runs the validators under load and reports.
///
/// # Errors
/// When they can not run.
pub(crate) async fn measure(plan: LoadPlan, dir: Option<PathBuf>) -> Result<Report, Failure> {
    let folder = match &dir {
        Some(dir) => TempDir::with_prefix_in("meanwhile-bench-", dir),
        None => TempDir::with_prefix("meanwhile-bench-"),
    };
    let shown = dir.unwrap_or_else(std::env::temp_dir);
    let folder = folder.map_err(|source| files::at(&shown, source))?;
    let configs = prepare(&plan, folder.path())?;
    let mut nodes = Vec::new();
    for config in configs {
        nodes.push(OrderingNode::start(config).await?);
    }
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let mut drivers: Vec<JoinHandle<Result<Share, Failure>>> = Vec::new();
    for node in nodes {
        let driver = Driver::new(node, plan, began, stopped.clone());
        drivers.push(tokio::spawn(driver.run()));
    }
    tokio::time::sleep(plan.warm_up).await;
    let cpu_before = process::cpu_seconds();
    let samples = sample(&plan).await;
    let cpu_s = process::cpu_seconds() - cpu_before;
    let peak_rss_mb = process::peak_rss_mb();
    stop.send_replace(true);
    let mut shares = Vec::new();
    for driver in drivers {
        let share = driver.await.map_err(|error| Failure::Runtime(std::io::Error::other(error)))?;
        shares.push(share?);
    }
    Ok(report(&plan, &shares, &samples, cpu_s, peak_rss_mb))
}

async fn sample(plan: &LoadPlan) -> Vec<f64> {
    let seconds = plan.duration.as_secs().max(1);
    let mut progress = Progress::new("seconds measured", seconds);
    let mut clock = interval(SAMPLE_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    clock.tick().await;
    let mut samples = Vec::new();
    for second in 1..=seconds {
        clock.tick().await;
        let rss = process::rss_mb();
        samples.push(rss);
        progress.at(second, &format!("{rss:.0} MB"));
    }
    progress.finish();
    samples
}

impl Driver {
    fn new(
        node: OrderingNode,
        plan: LoadPlan,
        began: Instant,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let source = Source::new(&plan, node.author());
        let seen = Seen {
            latencies: Latencies::new(),
            committed: 0,
            commits: 0,
            first_round: None,
            last_round: Round::ZERO,
            last_commit: None,
            missed: 0,
            offered_before: 0,
        };
        Self { node, source, room: PROPOSAL_ROOM, plan, began, stop, seen }
    }

    async fn run(mut self) -> Result<Share, Failure> {
        let mut clock = interval(OFFER_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.stop.changed() => break,
                given = self.node.next() => match given {
                    Some(given) => self.take(given).await,
                    None => break,
                },
                _ = clock.tick() => {}
            }
            self.offer().await;
        }
        let (made, refused) = self.source.offered_and_refused();
        let offered = made - self.seen.offered_before;
        self.node.stop().await?;
        Ok(Share { seen: self.seen, offered, refused })
    }

    async fn offer(&mut self) {
        let since = self.began.elapsed();
        if since < self.plan.warm_up {
            self.seen.offered_before = self.source.offered_and_refused().0;
        }
        self.source.advance(since);
        let items = self.source.take(self.room.bytes, self.room.items);
        if items.is_empty() {
            return;
        }
        let taken = Room::of(&items);
        self.room.bytes -= taken.bytes;
        self.room.items -= taken.items;
        self.node.propose(items).await;
    }

    async fn take(&mut self, given: Given) {
        match given {
            Given::Room(room) => {
                self.room.bytes += room.bytes;
                self.room.items += room.items;
            }
            Given::Returned(items) => self.source.put_back(items),
            Given::Commit(ordered) => {
                if self.began.elapsed() >= self.plan.warm_up {
                    self.note(&ordered.commit, &ordered.vertices);
                }
                self.node.executed(ordered.commit.index).await;
            }
        }
    }

    fn note(&mut self, commit: &Commit, vertices: &[Verified<Vertex>]) {
        let now = self.began.elapsed();
        let seen = &mut self.seen;
        let index = commit.index;
        if let Some(last) = seen.last_commit {
            seen.missed += index.distance_from(last.next());
        }
        seen.last_commit = Some(index);
        seen.commits += 1;
        seen.first_round.get_or_insert(commit.leader.round);
        seen.last_round = seen.last_round.max(commit.leader.round);
        for vertex in vertices {
            let items = vertex.payload().items();
            seen.committed += u64::try_from(items.len()).unwrap_or(u64::MAX);
            if vertex.header().author != self.node.author() {
                continue;
            }
            for stamp in items.iter().filter_map(|item: &Item| stamp(item)) {
                let offered = Duration::from_micros(stamp.offered_us);
                seen.latencies.note(now.saturating_sub(offered));
            }
        }
    }
}

fn report(
    plan: &LoadPlan,
    shares: &[Share],
    samples: &[f64],
    cpu_s: f64,
    peak_rss_mb: f64,
) -> Report {
    let mut latencies = Latencies::new();
    for share in shares {
        latencies.add(&share.seen.latencies);
    }
    let seconds = plan.duration.as_secs_f64();
    let offered: u64 = shares.iter().map(|share| share.offered).sum();
    let first = shares.first().map(|share| &share.seen);
    let committed = first.map_or(0, |seen| seen.committed);
    let rounds = first.map_or(0, |seen| {
        seen.last_round.distance_from(seen.first_round.unwrap_or(seen.last_round))
    });
    let committed_per_s = to_f64(committed) / seconds;
    Report {
        validators: plan.validators,
        tx_bytes: plan.tx_bytes,
        rate: plan.rate,
        seconds,
        offered_per_s: to_f64(offered) / seconds,
        refused: shares.iter().map(|share| share.refused).sum(),
        committed,
        committed_per_s,
        mb_per_s: committed_per_s * to_f64(u64::try_from(plan.tx_bytes).unwrap_or(0)) / 1e6,
        commits_per_s: to_f64(first.map_or(0, |seen| seen.commits)) / seconds,
        rounds_per_s: to_f64(rounds) / seconds,
        p50_ms: latencies.quantile_ms(0.5),
        p90_ms: latencies.quantile_ms(0.9),
        p99_ms: latencies.quantile_ms(0.99),
        max_ms: latencies.max_ms(),
        cpu_s,
        peak_rss_mb,
        missed_commits: shares.iter().map(|share| share.seen.missed).sum(),
        rss_by_minute: by_minute(samples),
        rss_mb: samples.to_vec(),
    }
}

/// Makes keys, genesis and configurations in a folder.
fn prepare(plan: &LoadPlan, dir: &Path) -> Result<Vec<Checked>, Failure> {
    let mut cards = Vec::new();
    for index in 0..plan.validators {
        let secrets = Secrets::generate()?;
        secrets.write(&dir.join(format!("keys-{index}")))?;
        cards.push(secrets.card(format!("validator {index}")));
    }
    let (genesis, coins) = dealer::deal(Plan {
        name: "bench".to_owned(),
        cards,
        block_interval_ms: 10_000,
        max_block_weight: 4_000_000,
        allocations: Vec::new(),
    })?;
    files::write_json(&dir.join("genesis.json"), &genesis)?;
    let addresses = free_addresses(plan.validators)?;
    let mut checked = Vec::new();
    for (index, coin) in (0..plan.validators).zip(&coins) {
        let keys = dir.join(format!("keys-{index}"));
        secrets::write_coin(&keys.join(COIN_FILE), coin)?;
        let others = addresses.iter().zip(0_u16..).filter(|(_, other)| *other != index);
        let config = Config {
            genesis: dir.join("genesis.json"),
            data_dir: dir.join(format!("data-{index}")),
            validator: Some(ValidatorConfig { author: index, secrets_dir: keys }),
            follower: None,
            network: NetworkConfig {
                listen: Some(addresses[usize::from(index)]),
                followers: None,
                peers: others.map(|(address, at)| (at.to_string(), address.to_string())).collect(),
            },
            http: None,
            electrum: None,
            bitcoin_p2p: None,
            rpc: None,
            blobs: BlobsConfig::default(),
            pacing: PacingConfig::default(),
            limits: LimitsConfig::default(),
            retention: RetentionConfig::default(),
            development: None,
        };
        checked.push(config.check()?);
    }
    Ok(checked)
}

/// Ports that are free now, all different.
fn free_addresses(count: u16) -> Result<Vec<std::net::SocketAddr>, Failure> {
    let listeners: Result<Vec<std::net::TcpListener>, std::io::Error> =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect();
    let listeners = listeners.map_err(Failure::Runtime)?;
    listeners.iter().map(|listener| listener.local_addr().map_err(Failure::Runtime)).collect()
}
