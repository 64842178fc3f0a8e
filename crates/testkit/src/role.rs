use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::hosts::Namespace;
use crate::process::Reaped;
use crate::{Hosts, HttpReply, Logs, PATIENCE, http_get, signal};

/// A role of a fleet in a process of its own: `memtide scaler`, `engine` or `proxy`. Ended when
/// dropped.
#[derive(Debug)]
pub struct RoleProcess {
    process: Reaped,
    logs: Logs,
    ip: Ipv4Addr,
    port: u16,
    admin: SocketAddr,
    /// Of the host that it is on, if not this one.
    namespace: Option<Namespace>,
}

impl RoleProcess {
    /// Starts `memtide <role>` on loopback with more arguments, and waits until it listens.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        role: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::start_at(Command::new(program.as_ref()), Ipv4Addr::LOCALHOST, role, arguments)
    }

    /// The same by this command, as of [`crate::Hosts::command`], listening at an address of its host; its admin
    /// HTTP is on that host's loopback.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at<S: AsRef<OsStr>>(
        mut program: Command,
        ip: Ipv4Addr,
        role: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let child = program
            .args([role, "--bind", &ip.to_string(), "--admin", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program must be there");
        let mut process = Reaped(child);
        let logs = Logs::default();
        logs.follow(process.0.stderr.take().expect("stderr is piped"));
        let (port, admin) = logs.find(PATIENCE, listening).unwrap_or_else(|| {
            panic!("no `listening` event from memtide {role}:\n{}", logs.text())
        });
        Self { process, logs, ip, port, admin, namespace: None }
    }

    /// The same on a host, whose admin HTTP is asked from there.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_on<S: AsRef<OsStr>>(
        (hosts, host): (&Hosts, u8),
        program: impl AsRef<Path>,
        role: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let command = hosts.command(host, program.as_ref());
        let started = Self::start_at(command, hosts.address(host), role, arguments);
        Self { namespace: Some(hosts.namespace(host)), ..started }
    }

    /// Where it listens for its peers; of a proxy for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.ip, self.port))
    }

    /// The admin HTTP port.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin
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

    /// Sends it a signal.
    pub fn signal(&self, number: Signal) {
        signal(self.pid(), number);
    }

    /// How it has ended, if it has.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        self.process.try_exit()
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
        match &self.namespace {
            Some(namespace) => namespace.inside(|| http_get(self.admin, path)),
            None => http_get(self.admin, path),
        }
    }
}

/// The port and the admin address of a `listening` event.
fn listening(line: &str) -> Option<(u16, SocketAddr)> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    if event.get("message")?.as_str()? != "listening" {
        return None;
    }
    let port = event.get("port")?.as_u64()?.try_into().ok()?;
    Some((port, event.get("admin")?.as_str()?.parse().ok()?))
}
