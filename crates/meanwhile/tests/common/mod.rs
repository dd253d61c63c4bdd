//! A development network of real processes, for tests: started on free ports in a temporary folder
//! and ended with the test, whatever becomes of it.
//!
//! Tests wait on events (a line, an answer, an entry of the event log), never on the clock; every
//! wait has a deadline.
#![allow(dead_code, reason = "each test uses its own part of this")]

pub(crate) mod lab;
pub(crate) mod load;
pub(crate) mod payer;
pub(crate) mod single;
pub(crate) mod stores;
pub(crate) mod wallet;

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use client::Client;
use client::api::Event;
use client::api::EventQuery;
use futures_util::StreamExt as _;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test says that it never came.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test: the one that was built with the tests, or another one that is named, such
/// as a release build, to measure it.
pub(crate) fn binary() -> String {
    let named = std::env::var("MEANWHILE_TEST_BINARY").ok();
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_meanwhile").to_owned())
}

/// A running development network.
pub(crate) struct Devnet {
    supervisor: Child,
    said: mpsc::Receiver<String>,
    folder: TempDir,
    port: u16,
    validators: u16,
}

impl Devnet {
    /// Starts four validators with blocks far apart, so that a test decides when one is sealed.
    pub(crate) fn start() -> Self {
        Self::with(&["--block-interval", "1h"])
    }

    /// Starts a network with flags of one's own.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::resume(folder, free_port(4), flags)
    }

    /// Starts a network with Lightning service providers.
    pub(crate) fn with_providers(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::launch(folder, free_port(4), flags)
    }

    /// Starts the network that is in a folder, without Lightning service providers.
    pub(crate) fn resume(folder: TempDir, port: u16, flags: &[&str]) -> Self {
        Self::launch(folder, port, &[flags, &["--no-lsp"]].concat())
    }

    fn launch(folder: TempDir, port: u16, flags: &[&str]) -> Self {
        let mut supervisor = Self::supervisor(folder.path(), port, flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = lines(supervisor.stderr.take().unwrap());
        let state = lines(supervisor.stdout.take().unwrap());
        let Ok(state) = state.recv_timeout(PATIENCE) else {
            supervisor.kill().ok();
            panic!("the network did not start: {:?}", said.iter().collect::<Vec<_>>());
        };
        let state: Value = serde_json::from_str(&state).unwrap();
        let validators = u16::try_from(state["validators"].as_array().unwrap().len()).unwrap();
        Self { supervisor, said, folder, port, validators }
    }

    /// The command that starts the network of a folder.
    pub(crate) fn supervisor(folder: &Path, port: u16, flags: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(["devnet", "--json", "--http-port", &port.to_string(), "--dir"])
            .arg(folder)
            .args(flags);
        command
    }

    /// The configuration of a validator.
    pub(crate) fn config(&self, index: u16) -> PathBuf {
        let folder = self.dir().join(format!("validator-{index}"));
        let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|end| end == "toml")).unwrap()
    }

    /// The data folder of a validator.
    pub(crate) fn data(&self, index: u16) -> PathBuf {
        self.dir().join(format!("validator-{index}/data"))
    }

    /// The folder of the network.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The port of the first validator's HTTP.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// How many validators there are.
    pub(crate) const fn validators(&self) -> u16 {
        self.validators
    }

    /// Where a validator serves HTTP.
    pub(crate) fn url(&self, index: u16) -> String {
        format!("http://127.0.0.1:{}", self.port + index)
    }

    /// Where a validator serves Electrum's protocol, as host and port.
    pub(crate) fn electrum(&self, index: u16) -> String {
        self.named(index, "electrum")
    }

    /// Where a validator serves Bitcoin's own network, as host and port.
    pub(crate) fn bitcoin_p2p(&self, index: u16) -> String {
        self.named(index, "bitcoin_p2p")
    }

    fn named(&self, index: u16, door: &str) -> String {
        let state = self.state();
        state["validators"][usize::from(index)][door].as_str().unwrap().to_owned()
    }

    /// A client of a validator.
    pub(crate) fn client(&self, index: u16) -> Client {
        Client::new(&self.url(index)).unwrap()
    }

    /// A client of every validator.
    pub(crate) fn clients(&self) -> Vec<Client> {
        (0..self.validators).map(|index| self.client(index)).collect()
    }

    /// What `devnet.json` says now.
    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(self.dir().join("devnet.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The process of a validator.
    pub(crate) fn pid(&self, index: u16) -> u64 {
        self.state()["validators"][usize::from(index)]["pid"].as_u64().unwrap()
    }

    /// Ends a validator's process at once, as a power cut would, and waits until the supervisor
    /// has noticed.
    pub(crate) fn kill(&self, index: u16) {
        kill_process(self.pid(index));
        self.wait_for(&format!("validator {index} was killed by signal 9"));
    }

    /// Ends the processes of all validators at once.
    pub(crate) fn kill_all(&self) {
        let pids: Vec<u64> = (0..self.validators).map(|index| self.pid(index)).collect();
        for pid in pids {
            kill_process(pid);
        }
        let mut left = usize::from(self.validators);
        while left > 0 {
            if self.next_line().contains("was killed by signal 9") {
                left -= 1;
            }
        }
    }

    /// Starts a validator again.
    pub(crate) fn restart(&self, index: u16) {
        let output =
            run(&["devnet", "restart", &index.to_string(), "--dir", self.dir().to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Ends a service provider's process at once, and waits until the supervisor has noticed.
    pub(crate) fn kill_provider(&self, index: u16) {
        kill_process(self.state()["lsps"][usize::from(index)]["pid"].as_u64().unwrap());
        self.wait_for(&format!("service provider {index} was killed by signal 9"));
    }

    /// Starts a service provider again.
    pub(crate) fn restart_provider(&self, index: u16) {
        let name = format!("lsp{index}");
        let output = run(&["devnet", "restart", &name, "--dir", self.dir().to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Waits until the supervisor says something.
    pub(crate) fn wait_for(&self, wanted: &str) {
        while !self.next_line().contains(wanted) {}
    }

    /// Stops the network in good order and gives back its folder.
    pub(crate) fn stop(mut self) -> TempDir {
        let dir = self.dir().to_str().unwrap().to_owned();
        let output = run(&["devnet", "stop", "--dir", &dir]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let status = self.supervisor.wait().unwrap();
        assert!(status.success(), "the supervisor ended with {status}");
        let folder = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.folder, folder)
    }

    /// Ends the supervisor's process at once and gives back its folder.
    pub(crate) fn kill_supervisor(mut self) -> TempDir {
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.folder, folder)
    }

    fn next_line(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("the supervisor says it in time")
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        // The validators end with their supervisor; a second kill of an ended process is nothing.
        self.supervisor.kill().ok();
        self.supervisor.wait().ok();
    }
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("MEANWHILE_URL").output().unwrap()
}

/// Runs the binary with something on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port such that it and the ports a network derives from it are free now. Tests run side by
/// side, in threads and in processes, so each starts looking at a place of its own.
pub(crate) fn free_port(validators: u16) -> u16 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let spread = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    for attempt in 0..2_000 {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let place = spread.wrapping_add(next.wrapping_mul(7)).wrapping_add(attempt) % 2_000;
        let port = 10_000 + u16::try_from(place).unwrap() * 10;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let all_free = |index| {
            let one = [0, 500, 1_000].map(|offset| port + offset + index);
            let two = [2_000, 2_001].map(|offset| port + offset + 2 * index);
            one.into_iter().chain(two).all(free)
        };
        // Those above are for Lightning service providers.
        if (0..validators).all(all_free) && (990..994).all(|offset| free(port + offset)) {
            return port;
        }
    }
    panic!("no free ports");
}

/// Waits until a node's event log has this event and gives everything up to it.
pub(crate) async fn events_until(client: &Client, last: u64) -> Vec<Event> {
    let mut stream = pin!(client.events(EventQuery::default()));
    let mut events = Vec::new();
    let wait = async {
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            let sequence = event.sequence;
            events.push(event);
            if sequence >= last {
                return;
            }
        }
    };
    if last > 0 {
        tokio::time::timeout(PATIENCE, wait).await.expect("the node gets there in time");
    }
    events
}

/// Asserts that every node tells the same history, and gives how many events it has. The last event
/// is a block that all are asked to seal now, so that its hash stands for all that came before.
pub(crate) async fn assert_same_history(clients: &[Client]) -> u64 {
    let height = clients[0].ticks(1).await.unwrap();
    let first = events_until_block(&clients[0], height.value()).await;
    let last = first.last().map_or(0, |event| event.sequence);
    for client in &clients[1..] {
        let events = events_until(client, last).await;
        assert_eq!(events, first, "two nodes tell different histories");
        let hash = client.block_hash(height).await.unwrap();
        assert_eq!(hash, clients[0].block_hash(height).await.unwrap());
    }
    last
}

async fn events_until_block(client: &Client, wanted: u32) -> Vec<Event> {
    let mut stream = pin!(client.events(EventQuery::default()));
    let mut events = Vec::new();
    let wait = async {
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            let found = matches!(&event.kind,
                client::api::EventKind::Block { height, .. } if height.value() >= wanted);
            events.push(event);
            if found {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the block is sealed in time");
    events
}

/// Asks again and again until an answer is right, or patience ends: only for what tells of itself
/// by no event, such as another program's process.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The paths of all validators' databases in a network's folder.
pub(crate) fn store_paths(dir: &Path, validators: u16) -> Vec<PathBuf> {
    (0..validators).map(|index| dir.join(format!("validator-{index}/data/store"))).collect()
}

/// Ends a process at once.
pub(crate) fn kill_process(pid: u64) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// The lines that come from a stream.
pub(crate) fn lines(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // A test that has ended listens no more; the pipe is read on so that nobody blocks.
            sender.send(line).ok();
        }
    });
    receiver
}
