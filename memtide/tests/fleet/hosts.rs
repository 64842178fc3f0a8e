//! A fleet on several hosts, made of network namespaces, whose cables are pulled under load.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use memtide_testkit::{Hosts, PATIENCE, RoleProcess, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

const SCALER: u8 = 0;
/// The first of three hosts with a node each, in a zone each.
const NODE: u8 = 1;
/// The proxy, and the load.
const PROXY: u8 = 4;

const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

/// Ended before its hosts are, in this order.
struct Fleet {
    proxy: RoleProcess,
    _nodes: Vec<RoleProcess>,
    scaler: RoleProcess,
    hosts: Hosts,
    scratch: tempfile::TempDir,
}

impl Fleet {
    fn start() -> Self {
        let (hosts, scratch) = (Hosts::new(5), tempfile::tempdir().unwrap());
        let tls = scratch.path().join("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let fleet_tls = ["--fleet-tls", tls.to_str().unwrap()];
        let data = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let of_scaler = data("scaler");
        let words = ["--port", "0", "--replicas", "1", "--nodes-min", "3", "--data-dir"];
        let words = [&fleet_tls[..], &words, &[&of_scaler]].concat();
        let ip = hosts.address(SCALER);
        let program = hosts.command(SCALER, PROGRAM);
        let scaler = RoleProcess::start_at(program, ip, "scaler", words);
        let join = scaler.address().to_string();
        let joins = [&fleet_tls[..], &["--join", &join]].concat();
        let node = |(number, zone): (u8, &str)| {
            let host = NODE + number;
            let words = ["--zone", zone, "--port", "0", "--memory", "64m"];
            let words = [&joins[..], &words].concat();
            let program = hosts.command(host, PROGRAM);
            RoleProcess::start_at(program, hosts.address(host), "engine", words)
        };
        let nodes = [(0, "a"), (1, "b"), (2, "c")].map(node).into_iter().collect();
        let of_proxy = data("proxy");
        let words = ["--port", "0", "--read-port", "0", "--data-dir", &of_proxy];
        let words = [&joins[..], &words].concat();
        let program = hosts.command(PROXY, PROGRAM);
        let proxy = RoleProcess::start_at(program, Ipv4Addr::LOCALHOST, "proxy", words);
        let fleet = Self { proxy, _nodes: nodes, scaler, hosts, scratch };
        fleet.wait_settled(3);
        fleet
    }

    fn load(&self) -> Verifying {
        let endpoint = format!("localhost:{}", self.proxy.address().port());
        let ca = self.scratch.path().join("proxy/tls/ca.pem");
        let program = self.hosts.command(PROXY, PROGRAM);
        wait_until("the proxy is ready", PATIENCE, || self.is_proxy_ready().then_some(()));
        Verifying::start_at(program, &endpoint, Path::new(&ca), LOAD)
    }

    fn is_proxy_ready(&self) -> bool {
        let admin = self.proxy.admin_address().to_string();
        let mut ask = self.hosts.command(PROXY, PROGRAM);
        let asked = ask.args(["healthcheck", "proxy", "--ready", "--admin", &admin]).output();
        asked.unwrap().status.success()
    }

    /// What `memtide cache` says on the scaler's host.
    fn cache(&self, what: &str) -> Value {
        let admin = self.scaler.admin_address().to_string();
        let mut ask = self.hosts.command(SCALER, PROGRAM);
        let output = ask.args(["cache", what, "--json", "--admin", &admin]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Slots that have all their copies.
    fn complete(&self) -> u64 {
        self.cache("nodes")["slots"]["complete"].as_u64().unwrap()
    }

    fn node_count(&self, state: &str) -> usize {
        let nodes = self.cache("nodes");
        let nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["state"] == state).count()
    }

    /// Waits until so many nodes are up, and every slot has its copies where they belong.
    fn wait_settled(&self, count: usize) {
        wait_until("every slot has its copies", PATIENCE * 10, || {
            let nodes = self.cache("nodes");
            let is_complete = nodes["slots"]["complete"] == 16_384;
            let is_still = self.cache("migrations")["remaining_slots"] == 0;
            (is_complete && is_still && self.node_count("up") == count).then_some(())
        });
    }
}

#[test]
fn a_primary_that_is_cut_off_from_everyone_goes_unnoticed_and_so_does_its_return() {
    let fleet = Fleet::start();
    let load = fleet.load();
    fleet.hosts.cut_off(NODE);
    wait_until("it is found silent", PATIENCE, || (fleet.node_count("silent") == 1).then_some(()));
    // The others hold everything, twice; what it has is of no use any more.
    fleet.wait_settled(2);
    fleet.hosts.reconnect(NODE);
    fleet.wait_settled(3);
    load.finish().assert_unnoticed();
}

/// Both reach the scaler and the proxy, so neither is lost: their slots go on without the other.
#[test]
fn two_nodes_that_are_cut_from_each_other_go_unnoticed() {
    let fleet = Fleet::start();
    let load = fleet.load();
    fleet.hosts.cut_between(NODE, NODE + 1);
    wait_until("slots go on without a copy", PATIENCE, || {
        (fleet.complete() < 16_384).then_some(())
    });
    wait_until("all that the two have in common do", PATIENCE, || {
        (fleet.complete() < 16_384 * 3 / 4).then_some(())
    });
    wait_until("nobody is lost", PATIENCE, || (fleet.node_count("up") == 3).then_some(()));
    fleet.hosts.mend_between(NODE, NODE + 1);
    fleet.wait_settled(3);
    load.finish().assert_unnoticed();
}

#[test]
fn a_scaler_that_is_cut_off_goes_unnoticed() {
    let fleet = Fleet::start();
    let load = fleet.load();
    fleet.hosts.cut_off(SCALER);
    wait_until("nobody is heard any more", PATIENCE, || {
        (fleet.node_count("up") == 0).then_some(())
    });
    fleet.hosts.reconnect(SCALER);
    fleet.wait_settled(3);
    load.finish().assert_unnoticed();
}
