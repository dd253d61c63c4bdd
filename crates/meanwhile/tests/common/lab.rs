//! Four hosts on one machine: a network namespace each, joined by a bridge in a fifth one, with a
//! link of their own that can be cut. They are gone with the test, and what an earlier test left that
//! was killed is swept away at the start.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What the names of our namespaces start with; the process that made one follows.
const PREFIX: &str = "meanwhile-";

/// The hosts' network.
pub(crate) struct Lab {
    hosts: u16,
    subnet: String,
}

impl Lab {
    /// Makes the network, or says why the system does not let us.
    pub(crate) fn new(hosts: u16) -> Result<Self, String> {
        sweep();
        let lab = Self { hosts, subnet: format!("10.213.{}", std::process::id() % 250) };
        lab.make()?;
        Ok(lab)
    }

    /// The address of a host.
    pub(crate) fn address(&self, host: u16) -> String {
        format!("{}.{}", self.subnet, host + 1)
    }

    /// The namespace of a host.
    pub(crate) fn namespace(host: u16) -> String {
        name(&host.to_string())
    }

    /// Cuts or mends the link of a host, at the bridge's end: the host itself sees no more of it
    /// than of a cable that somebody pulled elsewhere.
    pub(crate) fn link(&self, host: u16, state: &str) {
        ip(&["-n", &name("hub"), "link", "set", &port(host), state]).unwrap();
    }

    fn make(&self) -> Result<(), String> {
        let hub = name("hub");
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for host in 0..self.hosts {
            let namespace = Self::namespace(host);
            ip(&["netns", "add", &namespace])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
            self.plug(&["-n", &namespace], &["netns", &namespace], "eth", host)?;
        }
        // This process stands outside and asks over a link of its own.
        let outside = format!("mw{}", std::process::id());
        self.plug(&[], &[], &outside, self.hosts)
    }

    fn plug(&self, inside: &[&str], netns: &[&str], device: &str, host: u16) -> Result<(), String> {
        let (hub, port) = (name("hub"), port(host));
        let add = ["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", device];
        match netns {
            [] => {
                let own = std::process::id().to_string();
                ip(&[&add[..], &["netns", &own]].concat())?;
            }
            netns => ip(&[&add[..], netns].concat())?,
        }
        ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"])?;
        let address = format!("{}/24", self.address(host));
        ip(&[inside, &["addr", "add", &address, "dev", device]].concat())?;
        ip(&[inside, &["link", "set", device, "up"]].concat())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in 0..self.hosts {
            ip(&["netns", "del", &Self::namespace(host)]).ok();
        }
        ip(&["netns", "del", &name("hub")]).ok();
    }
}

fn name(what: &str) -> String {
    format!("{PREFIX}{}-{what}", std::process::id())
}

fn port(host: u16) -> String {
    format!("port{host}")
}

/// Deletes namespaces of ours whose process is gone.
fn sweep() {
    let Ok(entries) = fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let namespace = entry.file_name().to_string_lossy().into_owned();
        let pid = namespace.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(pid) = pid
            && pid.parse::<u32>().is_ok()
            && !Path::new("/proc").join(pid).exists()
        {
            ip(&["netns", "del", &namespace]).ok();
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip can not be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("ip {}: {said}", arguments.join(" ")))
}
