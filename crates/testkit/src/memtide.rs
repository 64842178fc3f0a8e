use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Reaped;
use crate::{
    Client, HttpReply, Logs, Metrics, PATIENCE, Server, Side, TlsClient, http_get, rss_bytes,
    signal,
};

/// A running `memtide serve` on free ports with a data directory of its own. Ended when dropped.
#[derive(Debug)]
pub struct Memtide {
    process: Reaped,
    logs: Logs,
    tls: TlsClient,
    ca_file: PathBuf,
    listening: Listening,
    _scratch: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy, Debug)]
struct Listening {
    port: u16,
    read_port: u16,
    admin: SocketAddr,
}

/// What to start.
#[derive(Debug)]
pub struct MemtideBuilder {
    program: PathBuf,
    arguments: Vec<OsString>,
    ca_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    /// Where its admin HTTP is.
    admin: Vec<OsString>,
}

impl MemtideBuilder {
    /// Adds command line arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The CA that [`Memtide::connect`] trusts, where it is not the one in the data directory.
    #[must_use]
    pub fn trusting(mut self, ca_file: &Path) -> Self {
        self.ca_file = Some(ca_file.to_owned());
        self
    }

    /// Keeps its state here and leaves it there, instead of in a directory that goes with it.
    #[must_use]
    pub fn data_dir(mut self, directory: &Path) -> Self {
        self.data_dir = Some(directory.to_owned());
        self
    }

    /// With these words in the place of the `--admin` that it would be given.
    #[must_use]
    pub fn reachable(mut self, admin: &[&str]) -> Self {
        self.admin = admin.iter().map(OsString::from).collect();
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start(self) -> Memtide {
        let scratch = self
            .data_dir
            .is_none()
            .then(|| tempfile::tempdir().expect("the temporary directory must be writable"));
        let data_dir = match (&self.data_dir, &scratch) {
            (Some(directory), _) => directory.clone(),
            (None, scratch) => scratch.as_ref().expect("made above").path().join("data"),
        };
        let logs = Logs::default();
        let mut process = Reaped(self.spawn(&data_dir));
        logs.follow(process.0.stderr.take().expect("stderr is piped"));
        // Standard output is for people; it must be read all the same, or its pipe fills.
        Logs::default().follow(process.0.stdout.take().expect("stdout is piped"));
        let listening = logs.find(PATIENCE, listening_event).unwrap_or_else(|| {
            panic!("no `listening` event from {}:\n{}", self.program.display(), logs.text())
        });
        let ca_file = self.ca_file.unwrap_or_else(|| data_dir.join("tls/ca.pem"));
        let tls = TlsClient::new(&ca_file);
        Memtide { process, logs, tls, ca_file, listening, _scratch: scratch }
    }

    fn spawn(&self, data_dir: &Path) -> Child {
        let inherited = std::env::vars_os().filter(|(name, _)| {
            // A developer's own settings must not change what the tests see.
            name.to_str().is_some_and(|name| !name.starts_with("MEMTIDE_"))
        });
        Command::new(&self.program)
            .args(["--port", "0", "--read-port", "0", "--bind", "127.0.0.1"])
            .args(&self.admin)
            .args(["--log-format", "json", "--data-dir"])
            .arg(data_dir)
            .args(&self.arguments)
            .env_clear()
            .envs(inherited)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {}: {error}", self.program.display()))
    }
}

impl Memtide {
    /// Of the program at this path, which an integration test has in `CARGO_BIN_EXE_memtide`.
    #[must_use]
    pub fn builder(program: impl AsRef<Path>) -> MemtideBuilder {
        MemtideBuilder {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            ca_file: None,
            data_dir: None,
            admin: ["--admin", "127.0.0.1:0"].map(OsString::from).to_vec(),
        }
    }

    /// The primary port (11211 by default).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.listening.port))
    }

    /// The read-optimized port (11212 by default).
    #[must_use]
    pub fn read_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.listening.read_port))
    }

    /// The admin HTTP port.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.listening.admin
    }

    /// The client configuration that trusts it; connections through it share session tickets.
    #[must_use]
    pub const fn tls(&self) -> &TlsClient {
        &self.tls
    }

    /// The CA that [`Memtide::tls`] trusts.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// What it has logged.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Its resident memory in bytes.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        rss_bytes(self.pid())
    }

    /// Sends it a signal.
    pub fn signal(&self, number: Signal) {
        signal(self.pid(), number);
    }

    /// Waits until it has ended by itself, and all that it logged is there.
    ///
    /// # Panics
    /// When it does not end within `patience`.
    pub fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let status = self.process.wait_exit(patience);
        self.logs.wait_end(patience);
        status
    }

    /// A `GET` on the admin port.
    #[must_use]
    pub fn get(&self, path: &str) -> HttpReply {
        http_get(self.listening.admin, path)
    }

    /// A scrape.
    ///
    /// # Panics
    /// When `/metrics` does not answer 200.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200, "{}", reply.body);
        Metrics::parse(&reply.body)
    }
}

impl Server for Memtide {
    fn side(&self) -> Side {
        Side::Memtide
    }

    fn connect(&self) -> Client {
        Client::tls(self.address(), &self.tls)
    }
}

/// The addresses in a `listening` event, whether its fields are nested or flat.
fn listening_event(line: &str) -> Option<Listening> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    if fields.get("message")?.as_str()? != "listening" {
        return None;
    }
    let port = |name: &str| {
        let value = fields.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())?.try_into().ok()
    };
    let admin = fields.get("admin")?.as_str()?.parse().ok()?;
    Some(Listening { port: port("port")?, read_port: port("read_port")?, admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_addresses_in_either_shape_of_the_event() {
        for line in [
            r#"{"level":"INFO","fields":{"message":"listening","port":5,"read_port":6,"admin":"127.0.0.1:7"}}"#,
            r#"{"message":"listening","port":"5","read_port":"6","admin":"127.0.0.1:7"}"#,
        ] {
            let event = listening_event(line).expect("a listening event");
            assert_eq!((event.port, event.read_port, event.admin.port()), (5, 6, 7));
        }
        assert!(listening_event(r#"{"fields":{"message":"draining"}}"#).is_none());
        assert!(listening_event("no json").is_none());
    }
}
