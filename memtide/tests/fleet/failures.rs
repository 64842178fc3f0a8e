//! Node processes that are killed and stopped under load: clients wait, and notice nothing else.

use crate::fault_load::{ANSWERED, load};
use memtide_testkit::{Ending, Fleet, FleetNode, PATIENCE, Server as _, Signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Until there is a process in place of this one, with all that belongs there.
fn wait_replaced(fleet: &Fleet, lost: &FleetNode, count: usize) {
    wait_until("the process is replaced", PATIENCE, || {
        let nodes = fleet.nodes();
        let is_new = nodes.iter().all(|node| node.node != lost.node && node.pid != lost.pid);
        (nodes.len() == count && is_new).then_some(())
    });
    fleet.wait_settled(count);
}

#[test]
fn a_node_that_is_killed_is_replaced_and_nothing_is_lost() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = load(&fleet);
    // Each has primaries and replicas.
    for victim in fleet.nodes() {
        fleet.signal(&victim, Signal::KILL);
        load.wait_answered(ANSWERED);
        wait_replaced(&fleet, &victim, 3);
        load.wait_answered(ANSWERED);
        let zones = fleet.nodes().into_iter().filter(|node| node.zone == victim.zone);
        assert_eq!(zones.count(), 1, "its zone has a node again");
    }
    load.finish().assert_unnoticed();
}

#[test]
fn a_node_that_hangs_for_long_comes_back_without_what_it_missed() {
    let fleet = Fleet::start(PROGRAM, 3, "a,b,c", 1);
    let load = load(&fleet);
    let victim = fleet.nodes().remove(0);
    let state_is = |expected: &str| {
        let nodes = fleet.json("/v1/nodes");
        let nodes = nodes["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["id"] == *victim.node).any(|node| node["state"] == expected)
    };
    fleet.signal(&victim, Signal::STOP);
    wait_until("it is found silent", PATIENCE, || state_is("silent").then_some(()));
    wait_until("its slots have failed over", PATIENCE, || {
        let events = fleet.json("/v1/events")["events"].to_string();
        events.contains("slots_failed_over").then_some(())
    });
    load.wait_answered(ANSWERED);
    // A third of these keys were its own.
    let mut client = fleet.memtide().connect();
    for number in 0..100 {
        let set = format!("set key-{number} 0 0 1\r\nx\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    assert!(!state_is("up"), "it hung all the time");
    fleet.signal(&victim, Signal::CONT);
    for number in 0..100 {
        client.send(format!("get key-{number}\r\n").as_bytes()).unwrap();
        let reply = client.read_until(b"END\r\n").unwrap();
        assert!(reply.starts_with(b"VALUE"), "key-{number} is as it was before it was set");
    }
    fleet.wait_settled(3);
    load.wait_answered(ANSWERED);
    load.finish().assert_unnoticed();
}

#[test]
fn without_replicas_a_killed_node_costs_its_items_and_no_connection() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 0);
    let mut client = fleet.memtide().connect();
    for number in 0..100 {
        let set = format!("set key-{number} 0 0 1\r\nx\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    let victim = fleet.nodes().remove(0);
    fleet.signal(&victim, Signal::KILL);
    let mut hits = 0;
    for number in 0..100 {
        client.send(format!("get key-{number}\r\n").as_bytes()).unwrap();
        let reply = client.read_until(b"END\r\n").unwrap();
        hits += usize::from(reply.starts_with(b"VALUE"));
    }
    assert!((1..100).contains(&hits), "a part of the slots was on the other node: {hits}");
    wait_replaced(&fleet, &victim, 2);
    assert_eq!(client.ask(b"set key-0 0 0 1\r\ny\r\n").unwrap(), "STORED\r\n");
}

#[test]
fn children_end_with_their_parent() {
    let mut fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let nodes = fleet.nodes();
    let is_alive = |node: &FleetNode| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(nodes.iter().all(is_alive));
    fleet.memtide().signal(Signal::KILL);
    fleet.memtide_mut().wait_exit(PATIENCE);
    wait_until("no node process is left", PATIENCE, || (!nodes.iter().any(is_alive)).then_some(()));
}

#[test]
fn a_drain_answers_what_was_asked_and_ends_the_children() {
    const ASKED: usize = 50;
    let mut fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let nodes = fleet.nodes();
    let mut client = fleet.memtide().connect();
    // With both nodes stopped nobody answers, and nobody can take over.
    nodes.iter().for_each(|node| fleet.signal(node, Signal::STOP));
    let sets = (0..ASKED).map(|number| format!("set key-{number} 0 0 1\r\nx\r\n"));
    // In one record with what the proxy itself answers: with that answer it has all of it.
    let asked: String = ["version\r\n".to_owned()].into_iter().chain(sets).collect();
    client.send(asked.as_bytes()).unwrap();
    assert!(client.read_until(b"\r\n").unwrap().starts_with(b"VERSION"));
    fleet.memtide().signal(Signal::TERM);
    let logs = fleet.memtide().logs();
    let draining = logs.find(PATIENCE, |line| line.contains("draining").then_some(()));
    assert!(draining.is_some(), "{}", logs.text());
    nodes.iter().for_each(|node| fleet.signal(node, Signal::CONT));
    let (replies, ending) = client.read_to_end().unwrap();
    assert_eq!(String::from_utf8(replies).unwrap(), "STORED\r\n".repeat(ASKED));
    assert_eq!(ending, Ending::CloseNotify);
    assert!(fleet.memtide_mut().wait_exit(PATIENCE).success());
    for node in nodes {
        assert!(!std::path::Path::new(&format!("/proc/{}", node.pid)).exists(), "{node:?}");
    }
}
