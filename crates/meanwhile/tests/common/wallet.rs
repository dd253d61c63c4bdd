//! A wallet whose daemon is a process of its own.

use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;
use super::binary;
use super::lines;
use super::run;
use super::text;

/// How long between two questions, where nothing else tells.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A wallet in a folder of its own.
pub(crate) struct Wallet {
    folder: TempDir,
    url: String,
    daemon: Option<Child>,
}

/// What happens to a wallet's payments, as it happens.
pub(crate) struct News {
    process: Child,
    lines: Receiver<String>,
}

impl Wallet {
    /// Makes a wallet of the node at `url`; its daemon is not started.
    pub(crate) fn init(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "a passphrase\n").unwrap();
        let wallet = Self { folder, url: url.to_owned(), daemon: None };
        let secret = wallet.secret();
        wallet.must(&["init", "--url", url, "--passphrase-file", &secret]);
        wallet
    }

    /// The folder of the wallet.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("wallet")
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&mut self) {
        let mut daemon = Command::new(binary())
            .args(["wallet", "start", "--passphrase-file", &self.secret(), "--dir"])
            .arg(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = lines(daemon.stderr.take().unwrap());
        self.daemon = Some(daemon);
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = said.recv_timeout(left) else {
                panic!("the wallet did not start: {heard:?}");
            };
            if line.contains("the wallet is ready") {
                return;
            }
            heard.push(line);
        }
    }

    /// Stops the daemon in good order.
    pub(crate) fn stop(&mut self) {
        self.must(&["stop"]);
        let status = self.daemon.take().unwrap().wait().unwrap();
        assert!(status.success(), "the wallet ended with {status}");
    }

    /// Ends the daemon's process at once, as a dead battery would.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Runs a command of the wallet that must succeed.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// Runs a command of the wallet.
    pub(crate) fn ask(&self, arguments: &[&str]) -> std::process::Output {
        let dir = self.dir();
        let mut all = vec!["wallet"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["--dir", dir.to_str().unwrap()]);
        run(&all)
    }

    /// Runs a command of the wallet and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.must(&[arguments, &["--json"]].concat());
        serde_json::from_str(&output).unwrap()
    }

    /// Waits until the wallet can be paid while it is off, and gives its offer.
    pub(crate) fn offer(&self) -> String {
        let offer = self.until("an offer", || {
            let output = self.ask(&["receive"]);
            output.status.success().then(|| text(&output.stdout).trim().to_owned())
        });
        assert!(offer.starts_with("lno1"), "{offer}");
        offer
    }

    /// Has the network's faucet pay this wallet over Lightning, and waits for the money.
    pub(crate) fn fund(&self, amount: &str) {
        self.offer();
        let invoice = self.must(&["receive", "--invoice", amount]);
        let output = run(&["faucet", &invoice, amount, "--url", &self.url]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        self.until("the faucet's money", || {
            self.states().contains(&"received".to_owned()).then_some(())
        });
    }

    /// Pays, and gives the payment's name.
    pub(crate) fn pay(&self, to: &str, amount: &str) -> String {
        let paid = self.json(&["pay", to, amount, "--again"]);
        paid["payment_id"].as_str().unwrap().to_owned()
    }

    /// All payments.
    pub(crate) fn payments(&self) -> Vec<Value> {
        self.json(&["payments"]).as_array().unwrap().clone()
    }

    /// What each payment has come to, the oldest first.
    pub(crate) fn states(&self) -> Vec<String> {
        let payments = self.payments();
        payments.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    }

    /// What is ours in channels, in thousandths of a satoshi.
    pub(crate) fn lightning_msat(&self) -> u64 {
        self.json(&["balance"])["lightning_msat"].as_u64().unwrap()
    }

    /// Listens to what happens to payments.
    pub(crate) fn follow(&self) -> News {
        let mut process = Command::new(binary())
            .args(["wallet", "payments", "--follow", "--json", "--dir"])
            .arg(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(process.stdout.take().unwrap());
        News { process, lines }
    }

    fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = ask() {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} did not come in time");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn secret(&self) -> String {
        self.folder.path().join("secret").to_str().unwrap().to_owned()
    }
}

impl News {
    /// Waits until a payment has come to one of these states, and says to which.
    pub(crate) fn wait(&self, payment_id: &str, wanted: &[&str]) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the wallet tells in time");
            let payment: Value = serde_json::from_str(&line).unwrap();
            let state = payment["state"].as_str().unwrap();
            if payment["payment_id"] == payment_id && wanted.contains(&state) {
                return payment;
            }
        }
    }

    /// Waits for the next payment that is received for the first time.
    pub(crate) fn received(&self) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the wallet is paid in time");
            let payment: Value = serde_json::from_str(&line).unwrap();
            if payment["state"] == "received" {
                return payment;
            }
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Wallet {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }
}
