//! The roles on hosts of their own, whose cables are pulled: a scaler, a proxy with its clients, and
//! a node in each of three zones.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::PathBuf;
use std::process::Command;

use memtide_testkit::{Hosts, PATIENCE, RoleProcess, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

const SCALER: u8 = 0;
const PROXY: u8 = 1;
/// Of the nodes; each is in a zone of its own.
const NODES: [(u8, &str); 3] = [(2, "a"), (3, "b"), (4, "c")];

/// Few keys, so that each has a long history, and several requests in flight on each.
const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

struct Site {
    scaler: RoleProcess,
    proxy: RoleProcess,
    nodes: Vec<RoleProcess>,
    hosts: Hosts,
    scratch: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let tls = path("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir", &tls]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let hosts = Hosts::new(5);
        let start = |host: u8, role: &str, words: &[&str]| {
            let words = [words, &["--fleet-tls", &tls, "--port", "0"]].concat();
            let bind = hosts.address(host).into();
            RoleProcess::start_by(hosts.command(host, PROGRAM), bind, role, words)
        };
        let data = path("scaler");
        let words = ["--replicas", "1", "--nodes-min", "3", "--data-dir", &data];
        let scaler = start(SCALER, "scaler", &words);
        let join = scaler.address().to_string();
        let node = |(host, zone)| {
            start(host, "engine", &["--join", &join, "--zone", zone, "--memory", "64m"])
        };
        let nodes = NODES.map(node).into();
        let data = path("proxy");
        let words = ["--join", &join, "--read-port", "0", "--data-dir", &data];
        let proxy = start(PROXY, "proxy", &words);
        let site = Self { scaler, proxy, nodes, hosts, scratch };
        site.wait_settled();
        site
    }

    fn load(&self) -> Verifying {
        let ca: PathBuf = self.scratch.path().join("proxy/tls/ca.pem");
        let command = self.hosts.command(PROXY, PROGRAM);
        Verifying::start_by(command, (self.proxy.address(), &ca), LOAD)
    }

    /// What `memtide cache <word> --json` says on the scaler's host.
    fn cache(&self, word: &str) -> Value {
        let admin = self.scaler.admin_address().to_string();
        let mut command = self.hosts.command(SCALER, PROGRAM);
        let output = command.args(["cache", word, "--json", "--admin", &admin]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many nodes are in this state.
    fn count(&self, state: &str) -> usize {
        let nodes = self.cache("nodes");
        let nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["state"] == state).count()
    }

    fn wait_settled(&self) {
        wait_until("every slot has its copies, where they belong", PATIENCE * 10, || {
            let complete = self.cache("nodes")["slots"]["complete"].as_u64();
            let left = self.cache("migrations")["remaining_slots"].as_u64();
            let is_settled = self.count("up") == 3 && complete == Some(16_384) && left == Some(0);
            is_settled.then_some(())
        });
    }
}

#[test]
fn a_node_that_is_cut_off_from_everyone_is_replaced_and_comes_back_unnoticed() {
    let site = Site::start();
    let load = site.load();
    let (host, _) = NODES[0];
    site.hosts.cut_off(host);
    wait_until("the others have its slots, each with a copy", PATIENCE * 10, || {
        let complete = site.cache("nodes")["slots"]["complete"].as_u64();
        (site.count("silent") == 1 && complete == Some(16_384)).then_some(())
    });
    // All this time it believed that it has its slots, and nobody could ask it.
    site.hosts.reconnect(host);
    site.wait_settled();
    load.finish().assert_unnoticed();
    assert_eq!(site.nodes.len(), 3);
}

#[test]
fn a_scaler_that_is_cut_off_from_everyone_is_not_missed_and_does_no_harm() {
    let site = Site::start();
    let load = site.load();
    site.hosts.cut_off(SCALER);
    wait_until("it hears nobody", PATIENCE * 10, || (site.count("up") == 0).then_some(()));
    site.hosts.reconnect(SCALER);
    site.wait_settled();
    load.finish().assert_unnoticed();
}
