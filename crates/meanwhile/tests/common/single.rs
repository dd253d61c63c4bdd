//! One node as a process of its own, from a configuration that a test has written.

use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc;

use client::Client;

use super::PATIENCE;
use super::binary;
use super::lines;

/// A running node; it ends with the test.
pub(crate) struct Single {
    child: Child,
    said: Mutex<mpsc::Receiver<String>>,
}

impl Single {
    /// Starts the node of a configuration.
    pub(crate) fn start(config: &Path) -> Self {
        Self::spawn(Command::new(binary()), config)
    }

    /// Starts the node of a configuration in a network namespace.
    pub(crate) fn start_in(namespace: &str, config: &Path) -> Self {
        let mut command = Command::new("ip");
        // It becomes the node itself, so that signals reach it.
        command.args(["netns", "exec", namespace, &binary()]);
        Self::spawn(command, config)
    }

    fn spawn(mut command: Command, config: &Path) -> Self {
        let mut child = command
            .args(["node", "--parent-pipe", "--config"])
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Mutex::new(lines(child.stderr.take().unwrap()));
        Self { child, said }
    }

    /// The next line of the log that holds all of these.
    pub(crate) fn says(&self, parts: &[&str]) -> String {
        let said = self.said.lock().unwrap();
        loop {
            let line = said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line {parts:?}"));
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// A client of it, once it serves. The port is in its log.
    pub(crate) fn client(&self) -> Client {
        let line = self.says(&["node started", "http_address=Some("]);
        let address = line.split("http_address=Some(").nth(1).unwrap();
        let address = address.split(')').next().unwrap();
        Client::new(&format!("http://{address}")).unwrap()
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the node ended with {status}");
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
