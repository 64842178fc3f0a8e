//! Planned changes of a fleet under load: no error, no connection lost, nothing lost.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use memtide_testkit::{Fleet, PATIENCE, RoleProcess, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

#[test]
fn a_node_that_is_added_and_one_that_is_drained_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = Verifying::start(PROGRAM, fleet.memtide(), LOAD);

    let scaler = fleet.scaler_address().to_string();
    let tls = fleet.tls_dir();
    let tls = tls.to_str().unwrap();
    let words = ["--join", &scaler, "--fleet-tls", tls, "--zone", "b", "--port", "0"];
    let words = [&words[..], &["--memory", "64m"]].concat();
    let mut added = RoleProcess::start(PROGRAM, "engine", words);
    fleet.wait_settled(4);
    let nodes = fleet.cache(&["nodes"]);
    assert_eq!(nodes.lines().filter(|line| line.contains("127.0.0.1:")).count(), 4, "{nodes}");

    let name = node_at(&fleet, &added);
    fleet.cache(&["node", "drain", &name]);
    assert!(added.wait_exit(PATIENCE * 10).success(), "{}", added.logs().text());
    fleet.wait_settled(3);
    load.finish().assert_unnoticed();
}

fn node_at(fleet: &Fleet, engine: &RoleProcess) -> String {
    let nodes = fleet.json("/v1/nodes");
    let address = engine.address().to_string();
    let mut nodes = nodes["nodes"].as_array().unwrap().iter();
    let node = nodes.find(|node| node["address"] == *address).unwrap();
    node["id"].as_str().unwrap().to_owned()
}

#[test]
fn slots_that_move_from_node_to_node_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = Verifying::start(PROGRAM, fleet.memtide(), LOAD);
    for node in fleet.nodes() {
        fleet.cache(&["slots", "move", "0-1023,16000", "--to", &node.node]);
        wait_until("it is the primary of these slots", PATIENCE * 10, || {
            let topology = fleet.json("/v1/topology");
            let runs = topology["slots"].as_array().unwrap().iter();
            let first = |run: &Value| -> u32 {
                run["slots"].as_str().unwrap().split('-').next().unwrap().parse().unwrap()
            };
            let mut moved = runs.filter(|run| first(run) < 1024);
            moved.all(|run| run["primary"] == *node.node).then_some(())
        });
    }
    load.finish().assert_unnoticed();
}

#[test]
fn replicas_come_and_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 0);
    let load = Verifying::start(PROGRAM, fleet.memtide(), LOAD);
    for replicas in ["2", "1", "0"] {
        fleet.cache(&["replicas", replicas]);
        fleet.wait_settled(3);
    }
    load.finish().assert_unnoticed();
}
