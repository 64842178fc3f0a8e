//! The roles as processes of their own, as on several hosts.

use std::process::Command;

use crate::roles::{Roles, epoch_of};
use memtide_testkit::{PATIENCE, RoleProcess, Signal, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

#[test]
fn the_data_path_does_not_need_the_scaler_and_it_goes_on_where_it_was() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    roles.kill_scaler();
    assert_eq!(client.ask(b"append k 0 0 1\r\ny\r\n").unwrap(), "STORED\r\n");
    assert_eq!(roles.connect().ask(b"incr none 1\r\n").unwrap(), "NOT_FOUND\r\n");

    let adopted = roles.nodes.iter().map(epoch_of).max().unwrap();
    roles.start_scaler();
    roles.wait_both_up();
    let next = roles.set_replicas(0);
    assert!(next > adopted, "epoch {next} was adopted before it was stored again");
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
        roles.kill_scaler();
        roles.start_scaler();
        roles.wait_both_up();
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
    assert!(leaving.wait_exit(PATIENCE * 4).success(), "{}", leaving.logs().text());
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
    let expected = "was not signed by the CA in this process's --fleet-tls, ca.pem";
    assert!(reply.status == 503 && reply.body.contains(expected), "{}", reply.body);
    let nodes: Value =
        serde_json::from_str(&roles.scaler.as_ref().unwrap().get("/v1/nodes").body).unwrap();
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 2);
}
