use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::process::Reaped;
use crate::{Authority, Logs, PATIENCE, signal, wait_until};

/// A real etcd of one member or more on free ports of loopback, with its data in a directory of the test. Ended
/// when dropped.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    authority: Option<Authority>,
    scratch: tempfile::TempDir,
}

#[derive(Debug)]
struct Member {
    words: Vec<String>,
    port: u16,
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

    fn start_with(count: usize, authority: Option<Authority>) -> Self {
        let scratch = tempfile::tempdir().expect("the temporary directory must be writable");
        // All are bound at one time, so that no two are the same.
        let bind = |_| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let listeners: Vec<_> = (0..2 * count).map(bind).collect();
        let port = |it: &TcpListener| it.local_addr().expect("it is bound").port();
        let ports: Vec<_> = listeners.iter().map(port).collect();
        drop(listeners);
        let scheme = if authority.is_some() { "https" } else { "http" };
        let mut etcd = Self { members: Vec::new(), authority, scratch };
        etcd.write_certificates();
        let peer = |at: usize| format!("http://127.0.0.1:{}", ports[count + at]);
        let cluster = (0..count).map(|at| format!("m{at}={}", peer(at)));
        let cluster = cluster.collect::<Vec<_>>().join(",");
        for (at, &port) in ports.iter().take(count).enumerate() {
            let url = format!("{scheme}://127.0.0.1:{port}");
            let dir = etcd.path(&format!("m{at}"));
            let words = [
                ["--name", &format!("m{at}")],
                ["--data-dir", &dir],
                ["--listen-client-urls", &url],
                ["--advertise-client-urls", &url],
                ["--listen-peer-urls", &peer(at)],
                ["--initial-advertise-peer-urls", &peer(at)],
                ["--initial-cluster", &cluster],
                ["--initial-cluster-state", "new"],
            ];
            let mut words = words.concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
            words.extend(etcd.tls_words());
            let logs = Logs::default();
            etcd.members.push(Member { words, port, process: None, logs });
            etcd.restart(at);
        }
        etcd.wait_well();
        etcd
    }

    /// Where its members are: `http://127.0.0.1:4567` or `https`, parted by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let urls = self.members.iter().map(|it| format!("{scheme}://127.0.0.1:{}", it.port));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The ports of its members.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|it| it.port).collect()
    }

    /// Where its CA, and the certificate and key of a client are; with [`Self::start_tls`].
    #[must_use]
    pub fn tls_files(&self) -> [PathBuf; 3] {
        ["ca.pem", "etcd.pem", "etcd.key"].map(|name| self.scratch.path().join(name))
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
        let mut child = Command::new("etcd")
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
        self.write_certificates();
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
        wait_until("etcd answers", PATIENCE, || self.try_ctl(&["get", "nothing"]).ok());
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
        let done = self.try_ctl_at(&url, words);
        done.unwrap_or_else(|error| panic!("etcdctl {words:?}: {error}"))
    }

    fn try_ctl(&self, words: &[&str]) -> Result<String, String> {
        self.try_ctl_at(&self.urls(), words)
    }

    fn try_ctl_at(&self, urls: &str, words: &[&str]) -> Result<String, String> {
        let [ca, cert, key] = self.tls_files();
        let mut command = Command::new("etcdctl");
        command.env_clear().env("ETCDCTL_API", "3").args(["--endpoints", urls]);
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        if self.authority.is_some() {
            command.arg("--cacert").arg(ca).arg("--cert").arg(cert).arg("--key").arg(key);
        }
        let output = command.args(["--command-timeout", "2s"]).args(words).output();
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

    fn write_certificates(&self) {
        let Some(authority) = &self.authority else { return };
        let identity = authority.issue("etcd");
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
