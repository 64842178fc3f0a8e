//! The roles as processes of their own, as on several hosts.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use memtide_testkit::{Client, PATIENCE, RoleProcess, Signal, TlsClient, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Two nodes, a proxy and a scaler, with the certificates of one `memtide tls init`.
pub struct Roles {
    pub scaler: Option<RoleProcess>,
    pub nodes: Vec<RoleProcess>,
    pub proxy: RoleProcess,
    pub scaler_port: u16,
    pub scratch: tempfile::TempDir,
}

impl Roles {
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let tls = scratch.path().join("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let scaler = scaler(scratch.path(), 0);
        let scaler_port = scaler.address().port();
        let join = scaler.address().to_string();
        let tls = tls.to_str().unwrap();
        let joins = ["--join", &join, "--fleet-tls", tls];
        let engine = |zone| {
            let data = scratch.path().join(format!("node-{zone}"));
            let words = ["--zone", zone, "--port", "0", "--memory", "64m", "--drain-timeout", "2m"];
            let words = [&joins[..], &words, &["--data-dir", data.to_str().unwrap()]].concat();
            RoleProcess::start(PROGRAM, "engine", words)
        };
        let nodes = vec![engine("a"), engine("b")];
        let proxy = proxy(scratch.path(), &join, "proxy");
        let roles = Self { scaler: Some(scaler), nodes, proxy, scaler_port, scratch };
        roles.wait_ready();
        roles
    }

    /// Waits until clients can be served.
    pub fn wait_ready(&self) {
        wait_until("the fleet is ready", PATIENCE, || {
            (self.proxy.get("/readyz").status == 200).then_some(())
        });
    }

    /// The proxy's process ends by this signal.
    pub fn stop_proxy(&mut self, signal: Signal) {
        self.proxy.signal(signal);
        self.proxy.wait_exit(PATIENCE);
    }

    /// Starts another one in its place, on its data directory.
    pub fn replace_proxy(&mut self) {
        self.proxy = self.start_proxy("proxy");
        self.wait_ready();
    }

    pub fn connect(&self) -> Client {
        let ca: PathBuf = self.scratch.path().join("proxy/tls/ca.pem");
        Client::tls(self.proxy.address(), &TlsClient::new(&ca))
    }

    /// What the scaler keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.scratch.path().join("scaler")
    }

    /// The scaler's process ends, in the middle of whatever it does.
    pub fn kill_scaler(&mut self) {
        let mut killed = self.scaler.take().unwrap();
        killed.signal(Signal::KILL);
        killed.wait_exit(PATIENCE);
    }

    /// Starts another one in its place.
    pub fn start_scaler(&mut self) -> &RoleProcess {
        self.scaler.insert(scaler(self.scratch.path(), self.scaler_port))
    }

    /// Starts another one, with what the first one has kept where it has the same name.
    pub fn start_proxy(&self, name: &str) -> RoleProcess {
        proxy(self.scratch.path(), &format!("127.0.0.1:{}", self.scaler_port), name)
    }

    /// Starts a node with more arguments, and without waiting for it to join.
    pub fn start_node(&self, words: &[&str]) -> RoleProcess {
        let (join, tls) =
            (format!("127.0.0.1:{}", self.scaler_port), self.scratch.path().join("tls"));
        let joins = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--memory", "64m"];
        RoleProcess::start(PROGRAM, "engine", [&joins[..], words].concat())
    }

    /// Waits until both nodes are up, as the scaler sees them.
    pub fn wait_both_up(&self) {
        let scaler = self.scaler.as_ref().unwrap();
        wait_until("both nodes are back, as who they were", PATIENCE, || {
            let nodes: Value = serde_json::from_str(&scaler.get("/v1/nodes").body).unwrap();
            let nodes = nodes["nodes"].as_array().unwrap().clone();
            let are_up = nodes.iter().all(|node| node["state"] == "up");
            (nodes.len() == 2 && are_up).then_some(())
        });
    }

    /// Asks the scaler for so many replicas, and gives an epoch that has them. Where its disk is slow, that it was
    /// accepted is an answer too.
    pub fn set_replicas(&self, count: u8) -> u64 {
        let scaler = self.scaler.as_ref().unwrap();
        let admin = scaler.admin_address().to_string();
        let words = ["cache", "--json", "replicas", &count.to_string(), "--admin", &admin];
        let output = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let is_accepted = said.contains("accepted, and not stored yet");
        assert!(output.status.success() || is_accepted, "{said}");
        wait_until("as many replicas are wanted", PATIENCE, || {
            let topology: Value = serde_json::from_str(&scaler.get("/v1/topology").body).unwrap();
            (topology["replicas_wanted"] == count).then(|| topology["epoch"].as_u64().unwrap())
        })
    }

    /// Waits until all slots have their copies, and everybody knows that: nothing more is stored then.
    pub fn wait_at_rest(&self) {
        let scaler = self.scaler.as_ref().unwrap();
        let json = |path| serde_json::from_str::<Value>(&scaler.get(path).body).unwrap();
        wait_until("nothing is left to be stored", PATIENCE * 4, || {
            let (nodes, left) = (json("/v1/nodes"), json("/v1/migrations"));
            let epoch = nodes["epoch"].as_u64()?;
            let is_known = self.nodes.iter().all(|node| epoch_of(node) == epoch);
            let is_done = nodes["slots"]["complete"] == 16_384 && left["remaining_slots"] == 0;
            (is_done && is_known).then_some(())
        });
    }
}

/// `memtide_node_epoch` of a node.
pub fn epoch_of(node: &RoleProcess) -> u64 {
    let metrics = node.get("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("memtide_node_epoch "));
    line.map_or(0, |epoch| epoch.parse().unwrap())
}

/// A file's bytes by its name, of all in a directory.
pub type Saved = BTreeMap<PathBuf, Vec<u8>>;

/// What is in a directory and those below it; whoever writes there meanwhile renames files.
pub fn save(dir: &Path) -> Saved {
    let mut saved = Saved::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            saved.extend(save(&entry.path()));
        } else {
            match std::fs::read(entry.path()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                bytes => drop(saved.insert(entry.path(), bytes.unwrap())),
            }
        }
    }
    saved
}

/// Puts back what was in a directory, and removes all else.
pub fn restore(dir: &Path, saved: &Saved) {
    std::fs::remove_dir_all(dir).unwrap();
    for (path, bytes) in saved {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn proxy(scratch: &Path, join: &str, name: &str) -> RoleProcess {
    let (tls, data) = (scratch.join("tls"), scratch.join(name));
    let words = ["--join", join, "--fleet-tls", tls.to_str().unwrap(), "--port", "0"];
    let words = [&words[..], &["--read-port", "0", "--data-dir", data.to_str().unwrap()]];
    RoleProcess::start(PROGRAM, "proxy", words.concat())
}

pub fn scaler(scratch: &Path, port: u16) -> RoleProcess {
    let (tls, data) = (scratch.join("tls"), scratch.join("scaler"));
    let port = port.to_string();
    let words = ["--port", &port, "--replicas", "1", "--nodes-min", "2", "--fleet-tls"];
    let words = [&words[..], &[tls.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]];
    RoleProcess::start(PROGRAM, "scaler", words.concat())
}
