//! `meanwhile node check`: whether a node could be started here, one line a check, with what to do.
//!
//! **Invariant:** nothing is changed: a folder's writability is tried with a file that is gone again
//! at once, a port's freedom by listening for a moment.

use std::fmt::Display;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use clap::Args;
use node::Checked;
use node::Config;
use node::ConfigError;
use node::config::FOLLOWERS_MAX;
use node::keys::UNUSED_FILE;
use serde::Serialize;

use crate::error::Failure;
use crate::output;

/// How long a peer may take to answer.
const PEER_WAIT: Duration = Duration::from_secs(2);
/// The node holds so many HTTP connections, and some files of its own.
const FILES_HTTP: u64 = 4_096;
const FILES_OWN: u64 = 512;
const GIB: u64 = 1 << 30;
/// With less than this the disk is full before anybody looks; with less than the other, soon.
const SPACE_LEAST: u64 = GIB;
const SPACE_GOOD: u64 = 20 * GIB;
/// No clock that is right shows less: this program is younger.
const CLOCK_LEAST_MS: u64 = 1_735_689_600_000;

/// Check whether a node could be started with a configuration, without starting it
///
/// Looks at the configuration, the genesis and the secrets, at ports, peers, the data folder, the
/// limit on open files and the clock. Run it as the user that the node runs as. The exit code is 0
/// unless something fails; warnings do not count.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  meanwhile node check --config node.toml")]
pub(super) struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Display) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.to_string(), remedy: None }
    }

    fn warn(check: &'static str, says: impl Display, remedy: &'static str) -> Self {
        Self { check, verdict: Verdict::Warn, says: says.to_string(), remedy: Some(remedy) }
    }

    fn fail(check: &'static str, says: impl Display, remedy: &'static str) -> Self {
        Self { check, verdict: Verdict::Fail, says: says.to_string(), remedy: Some(remedy) }
    }
}

impl Check {
    /// Checks and prints.
    ///
    /// # Errors
    /// When something fails.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let findings = self.findings();
        let count = findings.iter().filter(|one| one.verdict == Verdict::Fail).count();
        if self.json {
            let all = serde_json::json!({ "ready": count == 0, "checks": findings });
            output::json(&all)?;
        } else {
            for finding in &findings {
                output::line(&line(finding))?;
            }
        }
        if count == 0 { Ok(()) } else { Err(Failure::NotReadyToStart { count }) }
    }

    fn findings(&self) -> Vec<Finding> {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(error) => {
                let remedy = "`meanwhile node example-config` prints an annotated one";
                return vec![Finding::fail("configuration", error, remedy)];
            }
        };
        let mut findings = vec![Finding::ok("configuration", self.config.display())];
        let checked = config.check();
        match &checked {
            Ok(checked) => findings.extend(agreed(&config, checked)),
            Err(error) => findings.push(refused(&config, error)),
        }
        findings.extend(ports(&config));
        findings.extend(peers(&config));
        findings.extend(data(&config.data_dir));
        findings.push(files(&config));
        findings.push(clock(checked.as_ref().ok()));
        findings
    }
}

fn line(finding: &Finding) -> String {
    let verdict = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let mut line = format!("{verdict:<5} {:<14} {}", finding.check, finding.says);
    if let Some(remedy) = finding.remedy {
        line.push_str(&format!("\n{:21}-> {remedy}", ""));
    }
    line
}

/// The genesis and the secrets, which fit.
fn agreed(config: &Config, checked: &Checked) -> Vec<Finding> {
    let quorums = checked.committee.quorums();
    let (size, faults) = (checked.committee.size(), quorums.faults());
    let genesis = format!(
        "{} ({}), {size} validators, bears {faults} faulty",
        checked.genesis.chain(),
        checked.genesis.name
    );
    let mut findings = vec![Finding::ok("genesis", genesis)];
    let key = hex::encode(checked.identity.transport().public().to_bytes());
    let Some(author) = checked.identity.author() else {
        findings.push(Finding::ok("keys", format!("a follower with transport key {key}")));
        return findings;
    };
    let name = checked.genesis.validators.get(author.index()).map_or("", |one| one.name.as_str());
    findings
        .push(Finding::ok("keys", format!("all four are those of validator {author} ({name})")));
    let secrets = config.validator.as_ref().map(|validator| validator.secrets_dir.clone());
    let is_unused = secrets.is_some_and(|dir| dir.join(UNUSED_FILE).exists());
    let is_empty =
        fs::read_dir(config.data_dir.join("store")).map_or(true, |mut dir| dir.next().is_none());
    findings.push(match (is_unused, is_empty) {
        (true, true) => Finding::ok("start", "a first start: these keys have never signed"),
        (false, false) => Finding::ok("start", "the store is taken up where it is"),
        (false, true) => Finding::warn(
            "start",
            "the store is empty and these keys have signed: the validator will be silent at first",
            "a lost disk: nothing to do but wait. Put an intact data folder back if there is one; \
             never an old copy",
        ),
        (true, false) => Finding::warn(
            "start",
            "the keys are marked as unused and the store is not empty",
            "look whether data_dir belongs to these keys; if it does, delete the file `unused`",
        ),
    });
    findings
}

fn refused(config: &Config, error: &ConfigError) -> Finding {
    let is_first_start = config.follower.is_some();
    match error {
        ConfigError::Genesis { .. }
        | ConfigError::GenesisMalformed { .. }
        | ConfigError::Unreadable { what: "the genesis", .. } => {
            Finding::fail("genesis", error, "every operator holds the same file: compare its hash")
        }
        ConfigError::Unreadable { file, what: "a secret", .. }
            if is_first_start && !file.exists() =>
        {
            Finding::warn(
                "keys",
                "no transport.key yet",
                "none: the first start makes and prints it",
            )
        }
        ConfigError::SecretExposed { .. }
        | ConfigError::SecretMalformed { .. }
        | ConfigError::SecretForeign { .. }
        | ConfigError::Unreadable { what: "a secret", .. } => Finding::fail(
            "keys",
            error,
            "point secrets_dir to the keys of this very validator, mode 0400, owned by this user",
        ),
        _ => Finding::fail("values", error, "correct the key that is named"),
    }
}

fn ports(config: &Config) -> Vec<Finding> {
    let listen = config.network.listen.map(|address| ("peer port", address));
    let http = config.http.as_ref().map(|http| ("http port", http.bind));
    listen.into_iter().chain(http).map(|(check, address)| port(check, address)).collect()
}

fn port(check: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) => Finding::fail(
            check,
            format!("{address}: {error}"),
            "stop what listens there (this node, perhaps), or give an address of this machine",
        ),
    }
}

fn peers(config: &Config) -> Vec<Finding> {
    let own = config.validator.as_ref().map(|validator| validator.author.to_string());
    let others = config.network.peers.iter().filter(|(name, _)| own.as_ref() != Some(*name));
    // Each may take its time, so all are asked at once.
    let asked: Vec<_> = others
        .map(|(name, address)| {
            let (name, address) = (name.clone(), address.clone());
            std::thread::spawn(move || peer(&name, &address))
        })
        .collect();
    asked.into_iter().filter_map(|thread| thread.join().ok()).collect()
}

fn peer(name: &str, address: &str) -> Finding {
    let resolved: io::Result<Vec<SocketAddr>> = address.to_socket_addrs().map(Iterator::collect);
    let addresses = match resolved {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => {
            return Finding::fail("peer", format!("{name} at {address}: no address"), UNRESOLVED);
        }
        Err(error) => {
            return Finding::fail("peer", format!("{name} at {address}: {error}"), UNRESOLVED);
        }
    };
    let reached =
        addresses.iter().any(|address| TcpStream::connect_timeout(address, PEER_WAIT).is_ok());
    if reached {
        Finding::ok("peer", format!("{name} at {address} answers"))
    } else {
        Finding::warn(
            "peer",
            format!("{name} at {address} does not answer"),
            "harmless if it is not started yet; else look at the firewalls on both sides",
        )
    }
}

const UNRESOLVED: &str = "correct the name, or write its address";

fn data(dir: &Path) -> Vec<Finding> {
    // The node makes the folder itself: then it is its parent that has to let it.
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let probe = there.join(format!(".meanwhile-check-{}", std::process::id()));
    let written = fs::write(&probe, b"x");
    fs::remove_file(&probe).ok();
    let mut findings = vec![match written {
        Ok(()) => Finding::ok("data folder", format!("{} can be written", dir.display())),
        Err(error) => Finding::fail(
            "data folder",
            format!("{}: {error}", there.display()),
            "let the user that the node runs as own it",
        ),
    }];
    findings.extend(space(there));
    findings
}

fn space(dir: &Path) -> Option<Finding> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let says = format!("{} GiB free", free / GIB);
    Some(match free {
        0..SPACE_LEAST => Finding::fail(
            "disk space",
            format!("{} MiB free", free >> 20),
            "a full disk stops the node: free some, or move data_dir",
        ),
        SPACE_LEAST..SPACE_GOOD => {
            Finding::warn("disk space", says, "plan for 20 GiB or more, and watch it")
        }
        _ => Finding::ok("disk space", says),
    })
}

fn files(config: &Config) -> Finding {
    let peers = u64::try_from(config.network.peers.len()).unwrap_or(u64::MAX);
    let followers = config.network.followers.as_ref().map_or(0, |followers| followers.count_max);
    let followers = u64::from(followers.min(FOLLOWERS_MAX));
    let http = if config.http.is_some() { FILES_HTTP } else { 0 };
    let needed =
        FILES_OWN + http + 2 * (peers + followers) + u64::from(config.limits.pending_handshakes);
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < needed => Finding::warn(
            "open files",
            format!("limited to {limit}, up to {needed} may be wanted"),
            "raise it: LimitNOFILE= of systemd, or ulimit -n",
        ),
        Some(limit) => {
            Finding::ok("open files", format!("limited to {limit}, {needed} are enough"))
        }
        None => Finding::ok("open files", "not limited"),
    }
}

fn clock(checked: Option<&Checked>) -> Finding {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let start = checked.map_or(0, |checked| checked.genesis.start_ms.value());
    if now < CLOCK_LEAST_MS || now < start {
        return Finding::warn(
            "clock",
            "it shows a time before the network's start",
            "set it, with NTP for instance. A wrong clock can not break agreement, but f + 1 of \
             them make blocks' times wrong",
        );
    }
    Finding::ok("clock", "later than the network's start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_fails_and_a_free_one_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port("peer port", address).verdict, Verdict::Fail);
        drop(taken);
        assert_eq!(port("peer port", address).verdict, Verdict::Ok);
    }

    #[test]
    fn a_name_that_does_not_resolve_fails_and_one_that_does_not_answer_warns() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap().to_string();
        assert_eq!(peer("1", &address).verdict, Verdict::Ok);
        drop(nobody);
        assert_eq!(peer("1", &address).verdict, Verdict::Warn);
        assert_eq!(peer("1", "no such host:1").verdict, Verdict::Fail);
    }

    #[test]
    fn a_missing_data_folder_is_judged_by_its_parent_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let findings = data(&folder.path().join("not/yet"));
        assert_eq!(findings[0].verdict, Verdict::Ok);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let findings = data(Path::new("/proc/nothing/here"));
        assert_eq!(findings[0].verdict, Verdict::Fail);
    }
}
