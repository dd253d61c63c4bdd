//! Processes that end at every instant which has a name: right before a write, right behind it, in
//! the middle of what follows. Whoever comes back goes on where it was.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at a surprise")]

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

use common::Devnet;
use common::PATIENCE;
use common::free_port;
use common::load::Load;
use common::load::assert_all_final;
use common::payer::Payer;
use common::run;
use common::store_paths;
use common::stores::Vertices;
use common::text;
use node::failpoints::Point;
use tokio::runtime::Runtime;

/// How a process ends that was aborted.
const ABORTED: i32 = 6;
/// How often a point is passed before the process ends there.
const PASSED: [u32; 3] = [0, 9, 150];

/// A command that ends at a point when it has passed it so often.
fn ending_at(command: &mut Command, point: Point, passed: u32) -> &mut Command {
    command.env("FAILPOINTS", format!("{}={passed}*off->return", point.name()))
}

fn meanwhile(arguments: &[&str]) -> Command {
    let mut command = Command::new(common::binary());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits for a process to abort.
fn assert_aborts(mut child: Child, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().ok();
            panic!("it never came to {what}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(status.signal(), Some(ABORTED), "{what}: {status}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_validator_that_ends_at_any_point_goes_on_where_it_was() {
    let points = [
        Point::OrderingUnwritten,
        Point::OrderingWritten,
        Point::OrderingActing,
        Point::ExecutionUnwritten,
        Point::ExecutionWritten,
        Point::ExecutionActing,
    ];
    let devnet = Devnet::start();
    let clients = devnet.clients();
    let runtime = Runtime::new().unwrap();
    let mut ends = 0;
    let acknowledged = runtime.block_on(async {
        let load = Load::start(&devnet).await;
        load.progress(5).await;
        devnet.kill(3);
        let config = devnet.config(3);
        for (point, passed) in points.iter().flat_map(|point| PASSED.map(|passed| (*point, passed)))
        {
            let mut command = meanwhile(&["node", "--config", path(&config)]);
            let child = ending_at(&mut command, point, passed).spawn().unwrap();
            let what = format!("{} behind {passed} others", point.name());
            tokio::task::spawn_blocking(move || assert_aborts(child, &what)).await.unwrap();
            ends += 1;
        }
        devnet.restart(3);
        let acknowledged = load.stop().await;
        common::assert_same_history(&clients).await;
        assert_all_final(&clients, &acknowledged).await;
        acknowledged
    });
    println!("{ends} ends at {} points; {} payments, all final", points.len(), acknowledged.len());
    let folder = devnet.stop();
    Vertices::read(&store_paths(folder.path(), 4)).assert_no_conflict();
}

#[test]
fn a_network_whose_validators_end_in_their_first_moments_starts_all_the_same() {
    for point in [Point::GenesisWritten, Point::MarkRemoved] {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port(4);
        let flags = ["--block-interval", "1h", "--no-lsp"];
        let mut supervisor = Devnet::supervisor(folder.path(), port, &flags);
        let output = ending_at(&mut supervisor, point, 0).output().unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("signal 6"), "{}: {said}", point.name());

        let devnet = Devnet::resume(folder, port, &[]);
        Runtime::new().unwrap().block_on(async {
            let mut payer = Payer::funded(&devnet.client(1), 1).await;
            devnet.client(1).submit_and_wait(&payer.pay(), PATIENCE).await.unwrap();
            common::assert_same_history(&devnet.clients()).await;
        });
    }
}

#[test]
fn an_import_that_ends_early_leaves_no_store_or_a_whole_one() {
    let devnet = Devnet::start();
    let runtime = Runtime::new().unwrap();
    let client = devnet.client(0);
    runtime.block_on(async {
        let mut payer = Payer::funded(&client, 1).await;
        client.submit_and_wait(&payer.pay(), PATIENCE).await.unwrap();
    });
    let file = devnet.dir().join("state.snapshot");
    let output = run(&["snapshot", "export", "-o", path(&file), "--url", &devnet.url(0)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    devnet.kill(3);
    let (data, config) = (devnet.data(3), devnet.config(3));
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let import = ["snapshot", "import", path(&file), "--config", path(&config)];
    for (point, has_store) in [(Point::SnapshotFilled, false), (Point::SnapshotNamed, true)] {
        let child = ending_at(&mut meanwhile(&import), point, 0).spawn().unwrap();
        assert_aborts(child, point.name());
        assert_eq!(data.join("store").exists(), has_store, "{}", point.name());
    }
    let again = run(&import);
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
    devnet.restart(3);
    runtime.block_on(async {
        let height = client.ticks(1).await.unwrap();
        common::until("the block at the new node", async || {
            (devnet.client(3).tip_height().await.ok()? >= height).then_some(())
        })
        .await;
        let hash = client.block_hash(height).await.unwrap();
        assert_eq!(devnet.client(3).block_hash(height).await.unwrap(), hash);
    });
}

#[test]
fn a_ledger_is_made_anew_however_often_that_is_cut_short() {
    let devnet = Devnet::start();
    let clients = devnet.clients();
    let runtime = Runtime::new().unwrap();
    let before = runtime.block_on(async {
        let load = Load::start(&devnet).await;
        load.progress(30).await;
        load.stop().await;
        let last = common::assert_same_history(&clients).await;
        common::events_until(&clients[3], last).await
    });
    let (config, data) = (devnet.config(3), devnet.data(3));
    let reindex = ["node", "reindex", "--json", "--config", path(&config)];
    let refused = run(&reindex);
    assert!(!refused.status.success(), "a node runs in {}", data.display());
    devnet.kill(3);
    for (point, passed) in [
        (Point::ReindexClearing, 0),
        (Point::ReindexClearing, 5),
        (Point::ReindexCleared, 0),
        (Point::GenesisWritten, 0),
    ] {
        let child = ending_at(&mut meanwhile(&reindex), point, passed).spawn().unwrap();
        assert_aborts(child, point.name());
    }
    // A node that is started instead goes on with it.
    let mut node = meanwhile(&["node", "--config", path(&config)]);
    let child = ending_at(&mut node, Point::ExecutionWritten, 20).spawn().unwrap();
    assert_aborts(child, Point::ExecutionWritten.name());
    let output = run(&reindex);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("made anew: {made}");
    devnet.restart(3);
    runtime.block_on(async {
        let last = before.last().unwrap().sequence;
        assert_eq!(common::events_until(&clients[3], last).await, before);
        common::assert_same_history(&clients).await;
    });
    let folder = devnet.stop();
    Vertices::read(&store_paths(folder.path(), 4)).assert_no_conflict();
}
