//! The roles as processes of their own, as on several hosts.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::{Path, PathBuf};
use std::process::Command;

use memtide_testkit::{Client, PATIENCE, RoleProcess, Signal, TlsClient, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Two nodes, a proxy and a scaler, with the certificates of one `memtide tls init`.
struct Roles {
    scaler: Option<RoleProcess>,
    nodes: Vec<RoleProcess>,
    proxy: RoleProcess,
    scaler_port: u16,
    scratch: tempfile::TempDir,
}

impl Roles {
    fn start() -> Self {
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
            let words = ["--zone", zone, "--port", "0", "--memory", "64m"];
            RoleProcess::start(PROGRAM, "engine", [&joins[..], &words].concat())
        };
        let nodes = vec![engine("a"), engine("b")];
        let data = scratch.path().join("proxy");
        let data = data.to_str().unwrap();
        let words = ["--port", "0", "--read-port", "0", "--data-dir", data];
        let proxy = RoleProcess::start(PROGRAM, "proxy", [&joins[..], &words].concat());
        let roles = Self { scaler: Some(scaler), nodes, proxy, scaler_port, scratch };
        wait_until("the fleet is ready", PATIENCE, || {
            (roles.proxy.get("/readyz").status == 200).then_some(())
        });
        roles
    }

    fn connect(&self) -> Client {
        let ca: PathBuf = self.scratch.path().join("proxy/tls/ca.pem");
        Client::tls(self.proxy.address(), &TlsClient::new(&ca))
    }
}

fn scaler(scratch: &Path, port: u16) -> RoleProcess {
    let (tls, data) = (scratch.join("tls"), scratch.join("scaler"));
    let port = port.to_string();
    let words = ["--port", &port, "--replicas", "1", "--nodes-min", "2", "--fleet-tls"];
    let words = [&words[..], &[tls.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]];
    RoleProcess::start(PROGRAM, "scaler", words.concat())
}

#[test]
fn the_data_path_does_not_need_the_scaler_and_it_goes_on_where_it_was() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let topology = |scaler: &RoleProcess| -> Value {
        serde_json::from_str(&scaler.get("/v1/topology").body).unwrap()
    };
    let before = topology(roles.scaler.as_ref().unwrap())["epoch"].as_u64().unwrap();
    let mut killed = roles.scaler.take().unwrap();
    killed.signal(Signal::KILL);
    killed.wait_exit(PATIENCE);
    assert_eq!(client.ask(b"append k 0 0 1\r\ny\r\n").unwrap(), "STORED\r\n");
    assert_eq!(roles.connect().ask(b"incr none 1\r\n").unwrap(), "NOT_FOUND\r\n");

    let again = scaler(roles.scratch.path(), roles.scaler_port);
    wait_until("both nodes are back, as who they were", PATIENCE, || {
        let nodes: Value = serde_json::from_str(&again.get("/v1/nodes").body).unwrap();
        let nodes = nodes["nodes"].as_array().unwrap().clone();
        let are_up = nodes.iter().all(|node| node["state"] == "up");
        (nodes.len() == 2 && are_up).then_some(())
    });
    assert!(topology(&again)["epoch"].as_u64().unwrap() >= before, "no epoch is used twice");
    client.send(b"get k\r\n").unwrap();
    let reply = client.read_until(b"END\r\n").unwrap();
    assert_eq!(reply, b"VALUE k 0 2\r\nxy\r\nEND\r\n");
}

#[test]
fn a_scaler_that_is_killed_and_started_again_goes_unnoticed() {
    let mut roles = Roles::start();
    let endpoint = format!("localhost:{}", roles.proxy.address().port());
    let ca = roles.scratch.path().join("proxy/tls/ca.pem");
    let load = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];
    let load = Verifying::start_at(Command::new(PROGRAM), &endpoint, &ca, load);
    for _ in 0..3 {
        let mut killed = roles.scaler.take().unwrap();
        killed.signal(Signal::KILL);
        killed.wait_exit(PATIENCE);
        roles.scaler = Some(scaler(roles.scratch.path(), roles.scaler_port));
        let again = roles.scaler.as_ref().unwrap();
        wait_until("both nodes are back", PATIENCE, || {
            let nodes: Value = serde_json::from_str(&again.get("/v1/nodes").body).unwrap();
            let nodes = nodes["nodes"].as_array().unwrap().clone();
            (nodes.len() == 2 && nodes.iter().all(|node| node["state"] == "up")).then_some(())
        });
    }
    load.finish().assert_unnoticed();
}

#[test]
fn certificates_of_the_fleet_are_read_again_when_asked_for() {
    let roles = Roles::start();
    let (tls, node) = (roles.scratch.path().join("tls"), &roles.nodes[0]);
    let says = |words: &str| {
        let found = node.logs().find(PATIENCE, |line| line.contains(words).then_some(()));
        assert!(found.is_some(), "not {words}: {}", node.logs().text());
    };
    std::fs::remove_file(tls.join("node.key")).unwrap();
    node.signal(Signal::HUP);
    says("the certificates of the fleet stay as they are");
    let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    node.signal(Signal::HUP);
    says("read the certificates of the fleet again");
    assert_eq!(roles.connect().ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
}

#[test]
fn a_node_that_is_told_to_stop_gives_its_slots_up_first() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    for number in 0..100 {
        let set = format!("set key-{number} 0 0 1\r\nx\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    let mut leaving = roles.nodes.remove(0);
    leaving.signal(Signal::TERM);
    assert!(leaving.wait_exit(PATIENCE).success(), "{}", leaving.logs().text());
    assert!(leaving.logs().text().contains("drained"), "{}", leaving.logs().text());
    for number in 0..100 {
        client.send(format!("get key-{number}\r\n").as_bytes()).unwrap();
        let reply = client.read_until(b"END\r\n").unwrap();
        assert!(reply.starts_with(b"VALUE"), "key-{number} is gone");
    }
}

#[test]
fn a_node_of_another_fleet_is_kept_out() {
    let roles = Roles::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(elsewhere.path()).output();
    assert!(made.unwrap().status.success());
    let join = format!("127.0.0.1:{}", roles.scaler_port);
    let dir = elsewhere.path().to_str().unwrap();
    let words = ["--join", &join, "--fleet-tls", dir, "--port", "0", "--memory", "64m"];
    let stranger = RoleProcess::start(PROGRAM, "engine", words);
    let reply = wait_until("it says why it cannot join", PATIENCE, || {
        let reply = stranger.get("/readyz");
        reply.body.contains("certificate").then_some(reply)
    });
    assert_eq!(reply.status, 503);
    let nodes: Value =
        serde_json::from_str(&roles.scaler.as_ref().unwrap().get("/v1/nodes").body).unwrap();
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 2);
}
