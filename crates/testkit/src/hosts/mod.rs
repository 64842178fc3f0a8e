mod namespace;
mod trunk;

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tappers::{Interface, Tap};

pub(crate) use namespace::Namespace;
use namespace::ip;
use trunk::{Trunk, hardware};

/// Hosts, each a network namespace with an address of its own: what a process there sends to another host goes through
/// a cable that can be pulled. They are in one zone, or in several, which can be cut off and be far from each other.
/// Gone when dropped; it needs root and Debian's `iproute2`, and with several zones `/dev/net/tun`.
///
/// ```text
/// host 0 (10.77.0.1) --cable--+-- bridge of zone 0 --TAP--+
/// host 1 (10.77.0.2) --cable--+                           +-- a switch in this process,
/// host 2 (10.77.0.3) --cable----- bridge of zone 1 --TAP--+   where frames wait
/// ```
#[derive(Debug)]
pub struct Hosts {
    /// What the names of its namespaces begin with.
    prefix: String,
    /// Of each host.
    zones: Vec<u8>,
    /// With several zones.
    trunk: Option<Trunk>,
}

/// Number of networks that this process has made, so that each has names of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// An address of hardware that nobody has.
const NOBODY: &str = "02:00:00:00:00:99";

/// Numbers of second cables begin here; those of hosts end before.
const SECOND: u8 = 200;

impl Hosts {
    /// Makes so many hosts in one zone, fewer than 200.
    ///
    /// # Panics
    /// Without root or `iproute2`, with the command that failed.
    #[must_use]
    pub fn new(count: u8) -> Self {
        Self::in_zones(&vec![0; usize::from(count)])
    }

    /// Makes hosts, each in the zone of this number, from 0.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn in_zones(zones: &[u8]) -> Self {
        assert!(zones.len() < usize::from(SECOND), "fewer than {SECOND} hosts");
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mt{}-{number}", std::process::id());
        let mut hosts = Self { prefix, zones: zones.to_vec(), trunk: None };
        ip(&["netns", "add", &hosts.hub().0]);
        let count = hosts.zone_count();
        for zone in 0..count {
            hosts.hub().ip(&["link", "add", &bridge(zone), "type", "bridge"]);
            hosts.hub().ip(&["link", "set", &bridge(zone), "up"]);
        }
        if count > 1 {
            hosts.trunk = Some(Trunk::join((0..count).map(|zone| hosts.tap(zone)).collect()));
        }
        for host in 0..hosts.count() {
            hosts.plug_in(host);
        }
        hosts
    }

    /// The address of a host.
    #[must_use]
    pub fn address(&self, host: u8) -> Ipv4Addr {
        assert!(host < self.count(), "there are {} hosts", self.count());
        Ipv4Addr::new(10, 77, 0, host + 1)
    }

    /// The zone that a host is in.
    #[must_use]
    pub fn zone(&self, host: u8) -> u8 {
        self.zones[usize::from(host)]
    }

    /// A program that is to run on a host.
    #[must_use]
    pub fn command(&self, host: u8, program: impl AsRef<OsStr>) -> Command {
        self.namespace(host).command(program)
    }

    /// Where the file system shows a host's network to `setns` and to `nsenter --net=..`.
    #[must_use]
    pub fn network_file(&self, host: u8) -> std::path::PathBuf {
        self.namespace(host).file()
    }

    /// Does this on a thread that has the network of a host. Sockets that it makes stay there.
    ///
    /// # Panics
    /// As the work does.
    pub fn inside<T: Send>(&self, host: u8, work: impl FnOnce() -> T + Send) -> T {
        self.namespace(host).inside(work)
    }

    /// Pulls a host's cable: nothing that it sends arrives any more, nothing comes, and nobody is told.
    pub fn cut_off(&self, host: u8) {
        self.hub().ip(&["link", "set", &port(host), "nomaster"]);
    }

    /// Plugs the cable in again.
    pub fn reconnect(&self, host: u8) {
        self.hub().ip(&["link", "set", &port(host), "master", &bridge(self.zone(host))]);
    }

    /// Nothing leaves a zone any more, nothing gets into it, and nobody is told; its hosts hear each other.
    ///
    /// # Panics
    /// Where all are in one zone.
    pub fn cut_zone_off(&self, zone: u8) {
        self.trunk().set_cut(zone, true);
    }

    /// The zone is joined to the others again.
    ///
    /// # Panics
    /// As [`Self::cut_zone_off`].
    pub fn reconnect_zone(&self, zone: u8) {
        self.trunk().set_cut(zone, false);
    }

    /// What a host of one of these zones sends to another of them arrives after so long, each way: a round trip is twice
    /// that.
    ///
    /// # Panics
    /// As [`Self::cut_zone_off`].
    pub fn delay_between(&self, zones: &[u8], one_way: Duration) {
        for (at, one) in zones.iter().enumerate() {
            zones[at + 1..].iter().for_each(|other| self.trunk().set_delay(*one, *other, one_way));
        }
    }

    /// Has two hosts hear nothing of each other, and nobody told; others hear both.
    pub fn cut_between(&self, one: u8, other: u8) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// They hear each other again.
    pub fn mend_between(&self, one: u8, other: u8) {
        self.mend_one_way(one, other);
        self.mend_one_way(other, one);
    }

    /// Has a host hear nothing of what another sends it, which hears it still: what is sent goes to an address of
    /// hardware that nobody has.
    pub fn cut_one_way(&self, from: u8, to: u8) {
        let to = self.address(to).to_string();
        let words = ["neigh", "replace", &to, "lladdr", NOBODY, "nud", "permanent", "dev", "eth0"];
        self.namespace(from).ip(&words);
    }

    /// It is heard again.
    pub fn mend_one_way(&self, from: u8, to: u8) {
        let to = self.address(to).to_string();
        self.namespace(from).ip(&["neigh", "delete", &to, "dev", "eth0"]);
    }

    /// Lays a second cable from a host to another's zone: what the one sends to the other takes that, and so do the
    /// answers, also while the zone is cut off.
    pub fn lay_cable(&self, from: u8, to: u8) {
        let (namespace, zone, to) = (self.namespace(from), self.zone(to), self.address(to));
        let (port, number) = (format!("second{from}"), SECOND + from);
        let (address, to) = (Ipv4Addr::new(10, 77, 0, number).to_string(), to.to_string());
        let pair = ["link", "add", &port, "type", "veth", "peer", "name", "eth1"];
        let far = ["address", &hardware(zone, number), "netns", &namespace.0];
        self.hub().ip(&[&pair[..], &far].concat());
        self.hub().ip(&["link", "set", &port, "master", &bridge(zone), "up"]);
        // The address is that of this cable alone.
        let ignoring = "/proc/sys/net/ipv4/conf/all/arp_ignore";
        namespace.inside(|| std::fs::write(ignoring, "1")).expect("only root may set it");
        namespace.ip(&["address", "add", &address, "dev", "eth1"]);
        namespace.ip(&["link", "set", "eth1", "up"]);
        namespace.ip(&["route", "add", &to, "dev", "eth1", "src", &address]);
    }

    /// Takes it away.
    pub fn remove_cable(&self, from: u8) {
        self.hub().ip(&["link", "delete", &format!("second{from}")]);
    }

    /// The namespace that is a host.
    pub(crate) fn namespace(&self, host: u8) -> Namespace {
        Namespace(format!("{}-{host}", self.prefix))
    }

    fn plug_in(&self, host: u8) {
        let (namespace, port) = (self.namespace(host), port(host));
        let (address, zone) = (format!("{}/24", self.address(host)), self.zone(host));
        ip(&["netns", "add", &namespace.0]);
        let pair = ["link", "add", &port, "type", "veth", "peer", "name", "eth0"];
        let far = ["address", &hardware(zone, host), "netns", &namespace.0];
        self.hub().ip(&[&pair[..], &far].concat());
        self.hub().ip(&["link", "set", &port, "master", &bridge(zone), "up"]);
        namespace.ip(&["address", "add", &address, "dev", "eth0"]);
        namespace.ip(&["link", "set", "eth0", "up"]);
        namespace.ip(&["link", "set", "lo", "up"]);
    }

    /// The switch's end of a zone.
    fn tap(&self, zone: u8) -> Tap {
        let name = tap(zone);
        // Without offload the kernel fills in checksums, and sends no frame that is longer than the MTU.
        let made = self.hub().inside(|| Interface::new(&name).and_then(Tap::new_named));
        let made = made.unwrap_or_else(|error| panic!("a TAP device needs /dev/net/tun: {error}"));
        self.hub().ip(&["link", "set", &name, "master", &bridge(zone), "up"]);
        made
    }

    fn trunk(&self) -> &Trunk {
        self.trunk.as_ref().expect("several zones")
    }

    fn hub(&self) -> Namespace {
        Namespace(format!("{}-hub", self.prefix))
    }

    fn count(&self) -> u8 {
        u8::try_from(self.zones.len()).expect("there are fewer")
    }

    fn zone_count(&self) -> u8 {
        self.zones.iter().max().map_or(0, |last| last + 1)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Whatever of it was not made cannot be removed.
        let remove = |words: &[&str]| drop(Command::new("ip").args(words).output());
        let hub = self.hub().0;
        if self.trunk.is_some() {
            // Ends its threads.
            let taps = (0..self.zone_count()).map(tap);
            taps.for_each(|name| remove(&["-n", &hub, "link", "delete", &name]));
        }
        let hosts = (0..self.count()).map(|host| self.namespace(host).0);
        hosts.chain([hub.clone()]).for_each(|name| remove(&["netns", "delete", &name]));
    }
}

/// The switch's end of a host's cable.
fn port(host: u8) -> String {
    format!("port{host}")
}

/// What the cables of a zone's hosts are plugged into.
fn bridge(zone: u8) -> String {
    format!("bridge{zone}")
}

fn tap(zone: u8) -> String {
    format!("trunk{zone}")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::time::Instant;

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

    /// A socket of a host. It gives up soon: what is lost is waited for in vain.
    fn socket(hosts: &Hosts, host: u8) -> UdpSocket {
        let address = (hosts.address(host), 4000);
        let socket = hosts.inside(host, || UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket
    }

    /// Whether what the first sends comes to the other.
    fn hears(from: &UdpSocket, to: &UdpSocket) -> bool {
        from.send_to(b"x", to.local_addr().unwrap()).unwrap();
        to.recv_from(&mut [0; 8]).is_ok()
    }

    #[test]
    fn a_host_may_hear_another_that_does_not_hear_it() {
        let hosts = Hosts::in_zones(&[0, 0, 1]);
        let [one, same, other] = [0, 1, 2].map(|host| socket(&hosts, host));
        assert!(hears(&one, &same) && hears(&one, &other) && hears(&other, &one));
        for (host, far) in [(1, &same), (2, &other)] {
            hosts.cut_one_way(0, host);
            assert!(!hears(&one, far) && hears(far, &one), "host {host}");
            hosts.mend_one_way(0, host);
            assert!(hears(&one, far) && hears(far, &one), "host {host}");
        }
    }

    #[test]
    fn a_zone_that_is_cut_off_hears_itself_and_nobody_else() {
        let hosts = Hosts::in_zones(&[0, 0, 1, 2]);
        let [one, same, other, third] = [0, 1, 2, 3].map(|host| socket(&hosts, host));
        assert!(hears(&one, &other) && hears(&third, &same));
        hosts.cut_zone_off(0);
        assert!(hears(&one, &same) && hears(&other, &third));
        assert!(!hears(&one, &other) && !hears(&third, &same));
        // Whoever has a cable into it hears it all the same.
        hosts.lay_cable(3, 0);
        let near = hosts.inside(3, || UdpSocket::bind("0.0.0.0:4002")).unwrap();
        near.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        near.send_to(b"x", one.local_addr().unwrap()).unwrap();
        let (_, address) = one.recv_from(&mut [0; 8]).unwrap();
        one.send_to(b"y", address).unwrap();
        near.recv_from(&mut [0; 8]).unwrap();
        assert!(hears(&third, &other) && !hears(&third, &same));
        hosts.remove_cable(3);
        hosts.reconnect_zone(0);
        assert!(hears(&one, &other) && hears(&third, &same));
    }

    #[test]
    fn zones_may_be_far_from_each_other() {
        const DELAY: Duration = Duration::from_millis(50);
        let hosts = Hosts::in_zones(&[0, 1, 2]);
        let [one, other, near] = [0, 1, 2].map(|host| socket(&hosts, host));
        assert!(hears(&one, &other) && hears(&one, &near));
        hosts.delay_between(&[0, 1], DELAY);
        let began = Instant::now();
        assert!(hears(&one, &other) && hears(&other, &one));
        assert!(began.elapsed() >= 2 * DELAY, "{:?}", began.elapsed());
        // What is sent at a time arrives at a time, whole and in order.
        let address = SocketAddr::from((hosts.address(1), 4001));
        let listener = hosts.inside(1, || TcpListener::bind(address)).unwrap();
        let sent: Vec<u8> = (0..4 << 20).map(|at: u32| (at % 251).to_le_bytes()[0]).collect();
        let mut stream = hosts.inside(0, || TcpStream::connect(address)).unwrap();
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
            received
        });
        stream.write_all(&sent).unwrap();
        drop(stream);
        assert!(reader.join().unwrap() == sent, "other bytes than were sent");
    }
}
