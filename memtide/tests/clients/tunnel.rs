//! stunnel in client mode, for clients that have no TLS of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use memtide_testkit::{Logs, PATIENCE};

use crate::client::Ours;
use crate::toolchain::Need;

/// A running stunnel, ended when dropped.
pub(crate) struct Tunnel {
    _process: Ours,
    /// Its near end on the loopback address.
    pub(crate) port: u16,
}

impl Tunnel {
    /// What it takes.
    pub(crate) fn need() -> Need {
        let mut version = Command::new("stunnel");
        version.arg("-version");
        Need::new(version, "stunnel: tests/clients/install stunnel")
    }

    /// Starts it in `directory` with this configuration, whose `accept` has port 0, and waits until
    /// it accepts connections.
    ///
    /// # Panics
    /// With its log when it does not come up.
    pub(crate) fn start(directory: &Path, configuration: &str) -> Self {
        // Which port it was given is in its log at this level only.
        let text = format!("debug = info\n{configuration}");
        std::fs::write(directory.join("stunnel.conf"), text).expect("the directory is writable");
        let mut process = Ours(
            Command::new("stunnel")
                .arg("stunnel.conf")
                .current_dir(directory)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("stunnel was found before"),
        );
        let logs = Logs::default();
        logs.follow(process.0.stderr.take().expect("stderr is piped"));
        let port = logs.find(PATIENCE, |line| {
            line.split_once("bound to 127.0.0.1:").and_then(|(_, port)| port.parse().ok())
        });
        let port = port.unwrap_or_else(|| panic!("stunnel did not come up:\n{}", logs.text()));
        Self { _process: process, port }
    }
}
