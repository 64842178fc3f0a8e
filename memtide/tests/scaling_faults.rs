//! Nodes and scalers that are killed while a fleet changes by itself: it ends where it should, with nothing lost.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod scaled;

use std::collections::BTreeSet;

use memtide_testkit::{Fleet, PATIENCE, Signal, Verifying, reply_within, signal, wait_until};
use scaled::{ANSWERED, Cloud, LOAD, Look, PROGRAM, Scaler, Seen};

/// A node of those that were there before, from which slots move.
fn gives(look: &Look, first: &[Seen]) -> Option<Seen> {
    look.others(first).any(|node| node.slots > 0).then(|| first[0].clone())
}

/// One that gives up its slots, and has some left.
fn leaves(look: &Look) -> Option<Seen> {
    let mut leaving = look.nodes.iter().filter(|node| node.is_draining);
    leaving.find(|node| node.slots > 0).cloned()
}

/// One that has come in the place of another, and has the first copies. Whoever looks in time sees it long before it
/// has all; it is not asked for, as who looks late would wait for what has been.
fn replaces(look: &Look, before: &[Seen]) -> Option<Seen> {
    let mut new = look.others(before).filter(|node| node.state == "up");
    new.find(|node| node.slots > 0).cloned()
}

fn kill(fleet: &Fleet, node: &Seen) {
    let process = fleet.nodes().into_iter().find(|it| it.node == node.id).unwrap();
    signal(process.pid, Signal::KILL);
}

#[test]
fn nodes_that_are_killed_while_the_fleet_changes_cost_nothing() {
    let fleet = Fleet::start_scaling(
        PROGRAM,
        (2, 4),
        ("a,b", 1),
        &["--memory", "256m", "--scale-in-after", "2s"],
    );
    let scaler = Scaler(fleet.memtide().admin_address());
    let words = LOAD.map(str::to_owned).into_iter().chain(reply_within());
    let load = Verifying::start(PROGRAM, fleet.memtide(), words);
    load.wait_answered(ANSWERED);
    let first = scaler.until_settled(2);

    scaler.promise("15m");
    let victim = scaler.until("slots move to new nodes", |look| gives(look, &first));
    kill(&fleet, &victim);
    let four = scaler.until_settled(4);
    load.wait_answered(ANSWERED);

    kill(&fleet, &four[0]);
    let victim = scaler.until("copies are made anew", |look| replaces(look, &four));
    assert_eq!(victim.zone, four[0].zone, "its slots are in the other one, too");
    kill(&fleet, &victim);
    scaler.until_settled(4);
    load.wait_answered(ANSWERED);

    scaler.promise("0");
    let victim = scaler.until("slots move off a node that leaves", leaves);
    kill(&fleet, &victim);
    let left = scaler.until_settled(2);
    assert_ne!(left[0].zone, left[1].zone);
    wait_until("no process is left over", PATIENCE, || {
        let processes = fleet.json("/v1/processes");
        (processes["processes"].as_array().unwrap().len() == 2).then_some(())
    });
    load.wait_answered(ANSWERED);
    load.finish().assert_unnoticed();
}

#[test]
fn a_scaler_that_is_killed_while_the_fleet_changes_goes_on_with_it() {
    let mut cloud = Cloud::start("1000");
    let first = cloud.scaler().until_settled(2);
    let load = cloud.load();

    // More than three nodes do.
    cloud.hold();
    cloud.scaler().promise("3000");
    wait_until("two nodes are started", PATIENCE, || {
        (cloud.running().len() == 4 && cloud.started().len() == 4).then_some(())
    });
    cloud.kill_scaler();
    cloud.start_scaler();
    let awaited = wait_until("the scaler waits for nodes", PATIENCE, || {
        Some(cloud.scaler().awaited()).filter(|names| !names.is_empty())
    });
    let ordered: BTreeSet<String> = cloud.started().into_iter().skip(2).collect();
    assert_eq!(awaited, ordered, "those that were ordered before, and no others in their place");
    cloud.let_go();
    cloud.scaler().until("slots move to new nodes", |look| gives(look, &first));
    cloud.kill_scaler();
    cloud.start_scaler();
    let four = cloud.scaler().until_settled(4);
    load.wait_answered(ANSWERED);

    cloud.kill(&four[0]);
    let has_failed_over = |look: &Look| {
        let is_lost = look.nodes.iter().any(|node| node.id == four[0].id && node.state == "gone");
        (is_lost && look.complete < 16_384).then_some(())
    };
    cloud.scaler().until("slots have failed over", has_failed_over);
    cloud.kill_scaler();
    cloud.start_scaler();
    cloud.scaler().until("another node in its place", |look| {
        let up = look.nodes.iter().filter(|node| node.state == "up").count();
        (up == 4 && look.is_whole()).then_some(())
    });
    load.wait_answered(ANSWERED);

    // Nobody leaves before the one that was lost is given up.
    cloud.scaler().promise("0");
    cloud.scaler().until("slots move off a node that leaves", leaves);
    cloud.kill_scaler();
    cloud.start_scaler();
    cloud.scaler().until_settled(2);
    wait_until("no process is left over", PATIENCE, || (cloud.running().len() == 2).then_some(()));
    load.wait_answered(ANSWERED);
    load.finish().assert_unnoticed();
}
