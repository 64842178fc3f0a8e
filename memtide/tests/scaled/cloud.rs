//! A scaler by itself, a proxy, and nodes that others start.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use memtide_testkit::{PATIENCE, RoleProcess, Signal, Verifying, reply_within, signal, wait_until};

use super::{ANSWERED, LOAD, PROGRAM, Scaler, Seen};

/// A cache in two zones with a copy of each slot, of two nodes at least and six at most.
pub struct Cloud {
    scaler: Option<RoleProcess>,
    scaler_words: Vec<String>,
    port: String,
    pub proxy: RoleProcess,
    scratch: tempfile::TempDir,
}

impl Cloud {
    /// One whose nodes are started and ended by `nodes.sh`, three in each zone at most, each for so many ECPUs a second.
    pub fn start(ecpus: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("nodes")).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scaled/nodes.sh");
        let directory = scratch.path().to_str().unwrap();
        // By the shell: the file need not be one that may be run.
        let hook = ["/bin/sh", script, directory, PROGRAM, "3", ecpus].join(",");
        let cloud = Self::begin(scratch, &["--provision", &hook]);
        cloud.wait_ready();
        cloud
    }

    /// One whose nodes others start: it is not ready before they have.
    pub fn without_nodes() -> Self {
        Self::begin(tempfile::tempdir().unwrap(), &[])
    }

    fn begin(scratch: tempfile::TempDir, words: &[&str]) -> Self {
        let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let (tls, scaler_data, proxy_data) = (path("tls"), path("scaler"), path("proxy"));
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir", &tls]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let own = ["--fleet-tls", &tls, "--data-dir", &scaler_data, "--replicas", "1"];
        let bounds = ["--nodes-min", "2", "--nodes-max", "6", "--scale-in-after", "2s"];
        let words = [&own[..], &bounds, words].concat();
        let scaler_words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let scaler = start_scaler(&scaler_words, "0");
        // Where it is found when it is started again.
        let (join, port) = (scaler.address().to_string(), scaler.address().port().to_string());
        fs::write(path("join"), &join).unwrap();
        let own = ["--join", &join, "--fleet-tls", &tls, "--data-dir", &proxy_data];
        let words = [&own[..], &["--port", "0", "--read-port", "0"]].concat();
        let proxy = RoleProcess::start(PROGRAM, "proxy", words);
        Self { scaler: Some(scaler), scaler_words, port, proxy, scratch }
    }

    /// Waits until clients can be served.
    pub fn wait_ready(&self) {
        wait_until("the fleet is ready", PATIENCE * 2, || {
            (self.proxy.get("/readyz").status == 200).then_some(())
        });
    }

    /// Starts a node or a spare by hand.
    pub fn engine(&self, words: &[&str]) -> RoleProcess {
        let path = |name: &str| self.scratch.path().join(name);
        let (join, tls) = (fs::read_to_string(path("join")).unwrap(), path("tls"));
        let own = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--port", "0"];
        RoleProcess::start(PROGRAM, "engine", [&own[..], words].concat())
    }

    pub fn scaler(&self) -> Scaler {
        Scaler(self.scaler.as_ref().unwrap().admin_address())
    }

    /// The scaler's process ends, in the middle of whatever it does.
    pub fn kill_scaler(&mut self) {
        let mut killed = self.scaler.take().unwrap();
        killed.signal(Signal::KILL);
        killed.wait_exit(PATIENCE);
    }

    /// Starts another one in its place, on its data directory.
    pub fn start_scaler(&mut self) {
        self.scaler = Some(start_scaler(&self.scaler_words, &self.port));
    }

    /// A load that is checked, and is answered.
    pub fn load(&self) -> Verifying {
        let load = self.load_with(&LOAD);
        load.wait_answered(ANSWERED);
        load
    }

    /// A load that is checked, of these words.
    pub fn load_with(&self, words: &[&str]) -> Verifying {
        let words = words.iter().map(|&word| word.to_owned()).chain(reply_within());
        Verifying::start_on(PROGRAM, &self.proxy, &self.ca_file(), words)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("proxy/tls/ca.pem")
    }

    /// Nodes that `nodes.sh` starts from now on take until [`Self::let_go`] before they do anything.
    pub fn hold(&self) {
        fs::write(self.scratch.path().join("hold"), "").unwrap();
    }

    pub fn let_go(&self) {
        fs::remove_file(self.scratch.path().join("hold")).unwrap();
    }

    /// The names of all that `nodes.sh` has started so far.
    pub fn started(&self) -> Vec<String> {
        let started = fs::read_to_string(self.scratch.path().join("started")).unwrap_or_default();
        started.lines().map(str::to_owned).collect()
    }

    /// How many nodes `nodes.sh` has that are not ended, whether their processes run or not.
    pub fn kept(&self) -> usize {
        fs::read_dir(self.scratch.path().join("nodes")).unwrap().count()
    }

    /// The processes of `nodes.sh` that run.
    pub fn running(&self) -> Vec<u32> {
        self.directories().iter().filter_map(|node| pid_of(node)).filter(|pid| runs(*pid)).collect()
    }

    /// The process of a node that `nodes.sh` has started ends.
    pub fn kill(&self, node: &Seen) {
        let log = |it: &PathBuf| fs::read_to_string(it.join("log")).unwrap_or_default();
        let address = format!("\"address\":\"{}\"", node.address);
        let mut directories = self.directories().into_iter();
        let found = directories.find(|it| log(it).contains(&address)).and_then(|it| pid_of(&it));
        signal(found.unwrap(), Signal::KILL);
    }

    fn directories(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path().join("nodes"));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(scaler) = &self.scaler {
            drop(std::thread::panicking().then(|| Scaler(scaler.admin_address())));
        }
        // Or it would have others started.
        drop(self.scaler.take());
        for pid in self.running() {
            signal(pid, Signal::KILL);
        }
    }
}

fn start_scaler(words: &[String], port: &str) -> RoleProcess {
    let words = words.iter().map(String::as_str).chain(["--port", port]);
    RoleProcess::start(PROGRAM, "scaler", words)
}

fn pid_of(directory: &std::path::Path) -> Option<u32> {
    fs::read_to_string(directory.join("pid")).ok()?.trim().parse().ok()
}

/// One that nobody has waited for yet does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
