//! Planned changes of a fleet under load: no error, no connection lost, nothing lost.

use crate::fault_load::{ANSWERED, load};
use memtide_testkit::{Fleet, PATIENCE, RoleProcess};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

#[test]
fn a_node_that_is_added_and_one_that_is_drained_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = load(&fleet);

    let scaler = fleet.scaler_address().to_string();
    let tls = fleet.tls_dir();
    let tls = tls.to_str().unwrap();
    let words = ["--join", &scaler, "--fleet-tls", tls, "--zone", "b", "--port", "0"];
    let words = [&words[..], &["--memory", "64m"]].concat();
    let mut added = RoleProcess::start(PROGRAM, "engine", words);
    fleet.wait_settled(4);
    load.wait_answered(ANSWERED);
    let nodes = fleet.cache(&["nodes"]);
    assert_eq!(nodes.lines().filter(|line| line.contains("127.0.0.1:")).count(), 4, "{nodes}");

    let name = node_at(&fleet, &added);
    fleet.cache(&["node", "drain", &name]);
    assert!(added.wait_exit(PATIENCE * 10).success(), "{}", added.logs().text());
    fleet.wait_settled(3);
    load.wait_answered(ANSWERED);
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
fn all_slots_that_move_from_node_to_node_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = load(&fleet);
    let nodes = fleet.nodes();
    for node in nodes.iter().chain(&nodes[..1]) {
        fleet.cache(&["slots", "move", "0-16383", "--to", &node.node]);
        fleet.wait_all_on(node);
        load.wait_answered(ANSWERED);
    }
    load.finish().assert_unnoticed();
    let paused = |name: &str| -> f64 {
        let metrics = fleet.node_metrics();
        let name = format!("memtide_node_handover_pause_seconds_{name}");
        metrics.values().filter_map(|node| node.sum(&name)).sum()
    };
    assert!(paused("count") > 16_384.0, "{} handovers were timed", paused("count"));
    assert!(paused("sum") > 0.0);
}

#[test]
fn replicas_come_and_go_unnoticed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 0);
    let load = load(&fleet);
    for replicas in ["2", "1", "0"] {
        fleet.cache(&["replicas", replicas]);
        fleet.wait_settled(3);
        load.wait_answered(ANSWERED);
    }
    load.finish().assert_unnoticed();
}
