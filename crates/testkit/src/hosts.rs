use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Hosts on one switch, each a network namespace with an address of its own: what a process there
/// sends to another host goes through a cable that can be pulled. Gone when dropped; it needs root
/// and Debian's `iproute2`.
///
/// ```text
/// host 0 (10.77.0.1) --cable--+
/// host 1 (10.77.0.2) --cable--+-- bridge, in a namespace of its own
/// host 2 (10.77.0.3) --cable--+
/// ```
#[derive(Debug)]
pub struct Hosts {
    /// What the names of its namespaces begin with.
    prefix: String,
    count: u8,
}

/// Number of networks that this process has made, so that each has names of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

impl Hosts {
    /// Makes so many hosts, up to 200.
    ///
    /// # Panics
    /// Without root or `iproute2`, with the command that failed.
    #[must_use]
    pub fn new(count: u8) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { prefix: format!("mt{}-{number}", std::process::id()), count };
        let hub = hosts.hub();
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &hub, "link", "set", "bridge", "up"]);
        for host in 0..count {
            hosts.plug_in(host);
        }
        hosts
    }

    /// The address of a host.
    #[must_use]
    pub fn address(&self, host: u8) -> Ipv4Addr {
        assert!(host < self.count, "there are {} hosts", self.count);
        Ipv4Addr::new(10, 77, 0, host + 1)
    }

    /// A program that is to run on a host.
    #[must_use]
    pub fn command(&self, host: u8, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        // `ip netns exec` becomes the program, so the process that is started is the program's.
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Where the file system shows a host's network to `setns` and to `nsenter --net=..`.
    #[must_use]
    pub fn network_file(&self, host: u8) -> std::path::PathBuf {
        Path::new("/run/netns").join(self.namespace(host))
    }

    /// Pulls a host's cable: nothing that it sends arrives any more, nothing comes, and nobody is told.
    pub fn cut_off(&self, host: u8) {
        ip(&["-n", &self.hub(), "link", "set", &port(host), "nomaster"]);
    }

    /// Plugs the cable in again.
    pub fn reconnect(&self, host: u8) {
        ip(&["-n", &self.hub(), "link", "set", &port(host), "master", "bridge"]);
    }

    /// Has two hosts hear nothing of each other, and nobody told; others hear both. What one sends to
    /// the other goes to an address of hardware that nobody has.
    pub fn cut_between(&self, one: u8, other: u8) {
        for (from, to) in [(one, other), (other, one)] {
            let (namespace, to) = (self.namespace(from), self.address(to).to_string());
            let nobody = "02:00:00:00:00:99";
            ip(&[
                "-n",
                &namespace,
                "neigh",
                "replace",
                &to,
                "lladdr",
                nobody,
                "nud",
                "permanent",
                "dev",
                "eth0",
            ]);
        }
    }

    /// They hear each other again.
    pub fn mend_between(&self, one: u8, other: u8) {
        for (from, to) in [(one, other), (other, one)] {
            let (namespace, to) = (self.namespace(from), self.address(to).to_string());
            ip(&["-n", &namespace, "neigh", "delete", &to, "dev", "eth0"]);
        }
    }

    fn plug_in(&self, host: u8) {
        let (hub, namespace, port) = (self.hub(), self.namespace(host), port(host));
        let address = format!("{}/24", self.address(host));
        ip(&["netns", "add", &namespace]);
        ip(&[
            "-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
            &namespace,
        ]);
        ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"]);
        ip(&["-n", &namespace, "address", "add", &address, "dev", "eth0"]);
        ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn namespace(&self, host: u8) -> String {
        format!("{}-{host}", self.prefix)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let names = (0..self.count).map(|host| self.namespace(host)).chain([self.hub()]);
        for name in names {
            // Whatever of it was not made cannot be removed.
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

/// The switch's end of a host's cable.
fn port(host: u8) -> String {
    format!("port{host}")
}

fn ip(arguments: &[&str]) {
    let line = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{}`: {error}; it needs Debian's package iproute2", line())
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` (it needs root): {}", line(), said.trim());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(hosts: &Hosts, from: u8, to: u8) -> bool {
        // A host without a listener refuses a connection at once.
        let target = format!("exec 3<>/dev/tcp/{}/9", hosts.address(to));
        let mut attempt = hosts.command(from, "timeout");
        let output = attempt.args(["1", "bash", "-c", &target]).output().unwrap();
        String::from_utf8_lossy(&output.stderr).contains("refused")
    }

    #[test]
    fn a_host_is_reached_unless_its_cable_is_pulled() {
        let hosts = Hosts::new(3);
        assert!(reaches(&hosts, 0, 1));
        hosts.cut_off(1);
        assert!(!reaches(&hosts, 0, 1));
        assert!(!reaches(&hosts, 1, 2));
        assert!(reaches(&hosts, 0, 2));
        hosts.reconnect(1);
        assert!(reaches(&hosts, 0, 1));
        hosts.cut_between(0, 1);
        assert!(!reaches(&hosts, 0, 1) && !reaches(&hosts, 1, 0));
        assert!(reaches(&hosts, 0, 2) && reaches(&hosts, 2, 1));
        hosts.mend_between(0, 1);
        assert!(reaches(&hosts, 0, 1));
    }
}
