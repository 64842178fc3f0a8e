//! What nodes are told that a fleet cannot take as they are, and what one says that it leaves behind.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::roles::{Roles, epoch_of};
use memtide_testkit::{PATIENCE, RoleProcess, Signal, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

#[test]
fn a_second_node_at_an_address_is_told_whose_it_is() {
    let roles = Roles::start();
    let address = roles.nodes[0].address();
    let (port, join) = (address.port().to_string(), format!("127.0.0.1:{}", roles.scaler_port));
    let tls = roles.scratch.path().join("tls");
    let words = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--memory", "64m"];
    let same = ["--port", &port, "--advertise", "127.0.0.1"];
    let ip = Ipv4Addr::new(127, 0, 0, 2);
    let second =
        RoleProcess::start_at(Command::new(PROGRAM), ip, "engine", [&words[..], &same].concat());
    let reason = wait_until("it to say why it cannot join", PATIENCE, || {
        let reply = second.get("/readyz");
        // A node that was not heard for a moment is called silent.
        reply.body.contains("which is up; give").then_some(reply.body)
    });
    assert!(reason.contains(&format!("{address} is the address of n")), "{reason}");
    assert_eq!(roles.nodes[0].get("/readyz").status, 200);
}

#[test]
fn a_node_with_other_items_is_told_what_the_fleet_takes() {
    let roles = Roles::start();
    let mut other = roles.start_node(&["--zone", "a", "--port", "0", "--item-size-max", "2m"]);
    assert_eq!(other.wait_exit(PATIENCE).code(), Some(78));
    let text = other.logs().text();
    assert!(text.contains("starting it again will not help"), "{text}");
    assert!(text.contains("--item-size-max of this fleet is 1048576 bytes, not 2097152"), "{text}");
}

#[test]
fn who_asks_the_wrong_role_is_told_which_it_is_and_whom_to_ask() {
    let roles = Roles::start();
    let at = |role: &RoleProcess| role.admin_address().to_string();
    let (scaler, proxy) = (at(roles.scaler.as_ref().unwrap()), at(&roles.proxy));
    let run = |words: &[&str]| {
        let output = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let (code, text) = run(&["cache", "topology", "--admin", &proxy]);
    let expected = "memtide proxy has no /v1/topology; give --admin of the memtide scaler";
    assert!(code == 64 && text.contains(expected), "{text}");
    let (code, text) = run(&["cache", "save-topology", "--admin", &scaler]);
    let expected = "memtide scaler has no /v1/topology/save; give --admin of a node";
    assert!(code == 64 && text.contains(expected), "{text}");
    let (code, text) = run(&["healthcheck", "engine", "--admin", &scaler]);
    assert!(code == 1 && text.contains("a memtide scaler answers at"), "{text}");
    assert_eq!(run(&["healthcheck", "scaler", "--admin", &scaler]), (0, "ok\n".to_owned()));
    assert_eq!(run(&["healthcheck", "--admin", &scaler]), (0, "ok\n".to_owned()));

    let cache: Value = serde_json::from_str(&roles.proxy.get("/v1/cache").body).unwrap();
    let usage = cache["usage"].as_object().unwrap();
    let names: Vec<_> = usage.keys().map(String::as_str).collect();
    assert_eq!(names, ["connections", "ecpus"], "it does not know what nodes store");

    let (code, text) = run(&["cache", "topology", "--admin", &scaler, "--slots"]);
    assert_eq!(code, 0, "{text}");
    let rows = text.lines().filter(|line| line.contains("  n1  ") || line.contains("  n2  "));
    let which = rows.filter_map(|row| {
        row.split_whitespace().last()?.split(',').next()?.split('-').next()?.parse().ok()
    });
    assert!(which.collect::<Vec<u32>>().contains(&0), "slot 0 is somebody's: {text}");
}

#[test]
fn a_node_whose_drain_runs_out_of_time_says_what_it_still_has_and_fails() {
    let mut roles = Roles::start();
    let mut node = roles.start_node(&["--zone", "c", "--port", "0", "--drain-timeout", "300ms"]);
    let scaler = roles.scaler.as_ref().unwrap();
    wait_until("it to have its share, and to know", PATIENCE, || {
        let nodes: Value = serde_json::from_str(&scaler.get("/v1/nodes").body).unwrap();
        let third = nodes["nodes"].as_array()?.get(2)?.clone();
        let is_settled = nodes["slots"]["complete"] == 16_384 && third["primary_slots"] != 0;
        (is_settled && epoch_of(&node) >= nodes["epoch"].as_u64()?).then_some(())
    });
    // Nobody takes its slots from it.
    roles.kill_scaler();
    node.signal(Signal::TERM);
    let code = node.wait_exit(PATIENCE).code();
    let text = node.logs().text();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the drain took too long: this node ends with "), "{text}");
}

/// A whole fleet that is stopped: the last node waits for nobody.
#[test]
fn the_last_of_all_nodes_that_are_stopped_ends_and_says_that_nobody_is_left() {
    let mut roles = Roles::start();
    roles.nodes.iter().for_each(|node| node.signal(Signal::TERM));
    let ends: Vec<_> = roles
        .nodes
        .iter_mut()
        .map(|node| (node.wait_exit(PATIENCE * 4).code(), node.logs().text()))
        .collect();
    let nobody = |(_, text): &&(Option<i32>, String)| text.contains("all other nodes have left");
    let last: Vec<_> = ends.iter().filter(nobody).collect();
    assert!(last.len() == 1 && last[0].0 == Some(1), "{ends:?}");
    assert!(
        ends.iter().any(|(code, text)| *code == Some(0) && text.contains("drained")),
        "{ends:?}"
    );
}

#[test]
fn who_waits_for_a_drain_is_told_what_is_left_and_when_it_is_done() {
    let roles = Roles::start();
    let admin = roles.scaler.as_ref().unwrap().admin_address().to_string();
    let drain = |wait: &str| {
        let words = ["cache", "node", "drain", "n2", "--wait", wait, "--admin", &admin];
        Command::new(PROGRAM).args(words).env_clear().output().unwrap()
    };
    let early = drain("0s");
    let text = String::from_utf8_lossy(&early.stderr).into_owned();
    assert_eq!(early.status.code(), Some(69), "{text}");
    assert!(text.starts_with("memtide: n2 still holds "), "{text}");
    let done = drain("60s");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
