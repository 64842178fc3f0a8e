use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::hosts::Namespace;
use crate::process::Reaped;
use crate::{Authority, Hosts, Logs, PATIENCE, signal, wait_until};

/// How long one that may be away is asked, before it is asked again.
const SHORT: &str = "2s";

/// How long one is that is there: its disk may be busy.
const LONG: &str = "30s";

/// A real etcd of one member or more on free ports of loopback, or each on a host of its own, with its data in a
/// directory of the test. Ended when dropped.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    authority: Option<Authority>,
    /// Of the host from which it is asked, if not this one.
    asker: Option<Namespace>,
    scratch: tempfile::TempDir,
}

#[derive(Debug)]
struct Member {
    words: Vec<String>,
    /// For its clients.
    address: SocketAddr,
    /// Of the host that it is on, if not this one.
    namespace: Option<Namespace>,
    /// `None` while it is not run.
    process: Option<Reaped>,
    logs: Logs,
}

impl Etcd {
    /// Starts so many members, and waits until they answer.
    ///
    /// # Panics
    /// With the log of one that does not, or where there is no etcd (Debian's `etcd-server`).
    #[must_use]
    pub fn start(members: usize) -> Self {
        Self::start_with(members, None)
    }

    /// The same over TLS: members show certificates of this CA, and ask for one of it.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_tls(members: usize, authority: Authority) -> Self {
        Self::start_with(members, Some(authority))
    }

    /// The same with a member on each of these hosts, asked from another one by [`Self::ctl`].
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_on(hosts: &Hosts, members: &[u8], asker: u8, authority: Authority) -> Self {
        let places = members.iter().map(|&host| {
            let at = |port| SocketAddr::from((hosts.address(host), port));
            (Some(hosts.namespace(host)), [at(2379), at(2380)])
        });
        Self::start_at(places.collect(), Some(hosts.namespace(asker)), Some(authority))
    }

    fn start_with(count: usize, authority: Option<Authority>) -> Self {
        // All are bound at one time, so that no two are the same.
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let listeners: Vec<_> = (0..2 * count).map(bind).collect();
        let address = |it: &TcpListener| it.local_addr().expect("it is bound");
        let addresses: Vec<_> = listeners.iter().map(address).collect();
        drop(listeners);
        let places = addresses.chunks(2).map(|pair| (None, [pair[0], pair[1]]));
        Self::start_at(places.collect(), None, authority)
    }

    /// Each member at a place of its own, with its addresses for clients and for the others.
    fn start_at(
        places: Vec<(Option<Namespace>, [SocketAddr; 2])>,
        asker: Option<Namespace>,
        authority: Option<Authority>,
    ) -> Self {
        let scratch = tempfile::tempdir().expect("the temporary directory must be writable");
        let scheme = if authority.is_some() { "https" } else { "http" };
        let mut etcd = Self { members: Vec::new(), authority, asker, scratch };
        etcd.write_certificates(
            &places.iter().map(|(_, [address, _])| *address).collect::<Vec<_>>(),
        );
        let cluster = places.iter().enumerate();
        let cluster = cluster.map(|(at, (_, [_, peer]))| format!("m{at}=http://{peer}"));
        let cluster = cluster.collect::<Vec<_>>().join(",");
        for (at, (namespace, [address, peer])) in places.into_iter().enumerate() {
            let (url, peer) = (format!("{scheme}://{address}"), format!("http://{peer}"));
            let dir = etcd.path(&format!("m{at}"));
            let words = [
                ["--name", &format!("m{at}")],
                ["--data-dir", &dir],
                ["--listen-client-urls", &url],
                ["--advertise-client-urls", &url],
                ["--listen-peer-urls", &peer],
                ["--initial-advertise-peer-urls", &peer],
                ["--initial-cluster", &cluster],
                ["--initial-cluster-state", "new"],
            ];
            let mut words = words.concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
            words.extend(etcd.tls_words());
            let logs = Logs::default();
            etcd.members.push(Member { words, address, namespace, process: None, logs });
            etcd.restart(at);
        }
        etcd.wait_well();
        etcd
    }

    /// Where its members are: `http://127.0.0.1:4567` or `https`, parted by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let urls = self.members.iter().map(|it| format!("{scheme}://{}", it.address));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The ports of its members.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|it| it.address.port()).collect()
    }

    /// Where its CA, and the certificate and key of a client are; with [`Self::start_tls`].
    #[must_use]
    pub fn tls_files(&self) -> [PathBuf; 3] {
        ["ca.pem", "etcd.pem", "etcd.key"].map(|name| self.scratch.path().join(name))
    }

    /// The member that leads, as a majority has it.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|&at| {
            let url = self.urls().split(',').nth(at).expect("there is such a member").to_owned();
            let status =
                self.try_ctl_at(&url, SHORT, &["endpoint", "status", "--write-out", "json"]);
            let status: serde_json::Value =
                serde_json::from_str(&status.unwrap_or_default()).unwrap_or_default();
            let status = &status[0]["Status"];
            status["leader"].is_u64() && status["leader"] == status["header"]["member_id"]
        })
    }

    /// Sends a signal to a member.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn signal(&self, at: usize, number: Signal) {
        let process = self.members[at].process.as_ref().expect("it runs");
        signal(process.0.id(), number);
    }

    /// Kills a member.
    pub fn kill(&mut self, at: usize) {
        self.members[at].process = None;
    }

    /// Starts a member again, with the data that it has.
    ///
    /// # Panics
    /// Where there is no etcd.
    pub fn restart(&mut self, at: usize) {
        let member = &mut self.members[at];
        let mut child = command(member.namespace.as_ref(), "etcd")
            .args(&member.words)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcd must be installed: apt-get install etcd-server etcd-client");
        member.logs.follow(child.stderr.take().expect("stderr is piped"));
        member.process = Some(Reaped(child));
    }

    /// Members show certificates of this CA from now on, and ask for one of it: they are started again. So are
    /// [`Self::tls_files`].
    pub fn renew(&mut self, authority: Authority) {
        self.authority = Some(authority);
        let members: Vec<_> = self.members.iter().map(|it| it.address).collect();
        self.write_certificates(&members);
        for at in 0..self.members.len() {
            self.kill(at);
            self.restart(at);
        }
    }

    /// Waits until the majority answers.
    ///
    /// # Panics
    /// With the logs, where it does not.
    pub fn wait_well(&self) {
        wait_until("etcd answers", PATIENCE, || {
            self.try_ctl_at(&self.urls(), SHORT, &["get", "nothing"]).ok()
        });
    }

    /// `etcdctl` with these words; gives what it printed.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn ctl(&self, words: &[&str]) -> String {
        self.try_ctl(words).unwrap_or_else(|error| panic!("etcdctl {words:?}: {error}"))
    }

    /// The same by one member.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn ctl_of(&self, at: usize, words: &[&str]) -> String {
        let url = self.urls().split(',').nth(at).expect("there is such a member").to_owned();
        let done = self.try_ctl_at(&url, LONG, words);
        done.unwrap_or_else(|error| panic!("etcdctl {words:?}: {error}"))
    }

    /// What it prints, or why it fails.
    ///
    /// # Errors
    /// What it prints then.
    pub fn try_ctl(&self, words: &[&str]) -> Result<String, String> {
        self.try_ctl_at(&self.urls(), LONG, words)
    }

    fn try_ctl_at(&self, urls: &str, within: &str, words: &[&str]) -> Result<String, String> {
        let [ca, cert, key] = self.tls_files();
        let mut command = command(self.asker.as_ref(), "etcdctl");
        command.env_clear().env("ETCDCTL_API", "3").args(["--endpoints", urls]);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        if self.authority.is_some() {
            command.arg("--cacert").arg(ca).arg("--cert").arg(cert).arg("--key").arg(key);
        }
        let output = command.args(["--command-timeout", within]).args(words).output();
        let output = output.expect("etcdctl must be installed: apt-get install etcd-client");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().expect("it is UTF-8").to_owned()
    }

    fn write_certificates(&self, members: &[SocketAddr]) {
        let Some(authority) = &self.authority else { return };
        let elsewhere = members.iter().filter(|address| address.ip() != Ipv4Addr::LOCALHOST);
        let names = elsewhere.map(|address| address.ip().to_string()).collect::<Vec<_>>();
        let identity = authority.issue_for("etcd", &names);
        let texts = [&authority.certificate_pem, &identity.certificate_pem, &identity.key_pem];
        for (path, text) in self.tls_files().iter().zip(texts) {
            std::fs::write(path, text).expect("the scratch directory is ours");
        }
    }

    fn tls_words(&self) -> Vec<String> {
        if self.authority.is_none() {
            return Vec::new();
        }
        let files = [
            ("--trusted-ca-file", "ca.pem"),
            ("--cert-file", "etcd.pem"),
            ("--key-file", "etcd.key"),
        ];
        let files = files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), self.path(name)]);
        files.chain(["--client-cert-auth".to_owned()]).collect()
    }
}

/// A program on a host, or on this one.
fn command(namespace: Option<&Namespace>, program: &str) -> Command {
    namespace.map_or_else(|| Command::new(program), |it| it.command(program))
}
