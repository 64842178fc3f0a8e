use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use crate::process::Reaped;
use crate::{Client, Logs, PATIENCE, Server, Side, wait_until};

/// Debian's memcached over plain TCP on a port that it chose, ended when dropped.
#[derive(Debug)]
pub struct Memcached {
    process: Reaped,
    port: u16,
    logs: Logs,
    _scratch: tempfile::TempDir,
}

impl Memcached {
    /// Starts it with 64 MB of memory.
    ///
    /// # Panics
    /// When it is not installed or does not come up.
    #[must_use]
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().expect("the temporary directory must be writable");
        let port_file = scratch.path().join("port");
        let logs = Logs::default();
        let child = Command::new("memcached")
            .args(["-u", "root", "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", "64"])
            // One worker, and no threads for the LRU: what they hold for a moment makes memcached
            // store a shrinking number anew instead of in its place.
            .args(["-t", "1", "-o", "no_lru_maintainer,no_lru_crawler"])
            .env("MEMCACHED_PORT_FILENAME", &port_file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("failed to start memcached ({error}): the tests compare with it, install it with `apt-get install memcached`")
        });
        let mut process = Reaped(child);
        logs.follow(process.0.stderr.take().expect("stderr is piped"));
        let port = wait_until("memcached to name its port", PATIENCE, || {
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("memcached ended with {status}: {}", logs.text());
            }
            let text = std::fs::read_to_string(&port_file).ok()?;
            text.lines().find_map(|line| line.strip_prefix("TCP INET: ")?.parse().ok())
        });
        Self { process, port, logs, _scratch: scratch }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What it wrote to stderr.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

impl Server for Memcached {
    fn side(&self) -> Side {
        Side::Memcached
    }

    fn connect(&self) -> Client {
        Client::tcp(self.address())
    }
}
