//! A scaler with the wrong data directory: nothing is decided twice, and nobody ends for it.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::fs;
use std::path::Path;

use common::{Fleet, Rig};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::Epoch;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Waits until the scaler stands still, and checks that it says so everywhere; gives the reason.
fn until_behind(rig: &Rig) -> String {
    let (_, why) = wait_until("it not to be ready", PATIENCE, || {
        Some(rig.get("/readyz")).filter(|(status, _)| *status == 503)
    });
    assert!(rig.has_event("store_behind"));
    assert!(rig.get("/metrics").1.contains("\nmemtide_topology_store_behind 1\n"));
    let (status, body) = rig.put("/v1/replicas", r#"{"replicas":3}"#);
    assert_eq!((status, body.trim_end()), (503, why.trim_end()));
    why
}

#[test]
fn an_older_directory_changes_nothing_and_the_newest_one_goes_on() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let nodes = [fleet.node("a"), fleet.node("b")];
    let ids = [nodes[0].id(), nodes[1].id()];
    let older = rig.until_settled(&ids);
    drop(rig);
    let kept = tempfile::tempdir().unwrap();
    copy(&fleet.data_dir(), &kept.path().join("older"));
    let rig = fleet.start();
    rig.put("/v1/replicas", r#"{"replicas":1}"#);
    let newest = rig.until_settled(&ids);
    nodes.iter().for_each(|node| until_epoch(node, newest.epoch()));
    drop(rig);
    copy(&fleet.data_dir(), &kept.path().join("newest"));

    copy(&kept.path().join("older"), &fleet.data_dir());
    // It would store that before anything else.
    let rig = fleet.start_with(|config| config.replicas = Some(2));
    let why = until_behind(&rig);
    assert!(why.contains(&format!("newest stored here is {}:", older.epoch().number())), "{why}");
    assert_eq!(*rig.topology(), *older, "nobody was told of anything");
    for node in &nodes {
        node.until_trouble("it stands still");
        assert!(node.lives_on());
        assert_eq!(node.epoch(), newest.epoch());
    }
    let late = fleet.node("c");
    late.until_trouble("it stands still");
    assert!(late.ids().is_empty(), "nobody joins");
    drop(rig);

    copy(&kept.path().join("newest"), &fleet.data_dir());
    let rig = fleet.start();
    let all = [ids[0], ids[1], late.id()];
    rig.until_settled(&all);
    assert_eq!(rig.get("/readyz").0, 200);
    assert!(nodes.iter().zip(&ids).all(|(node, id)| node.ids().iter().all(|it| it == id)));
}

#[test]
fn an_empty_directory_begins_no_second_fleet_beside_one_at_work() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let node = fleet.node("a");
    let newest = rig.until_settled(&[node.id()]);
    until_epoch(&node, newest.epoch());
    drop(rig);
    let kept = tempfile::tempdir().unwrap();
    copy(&fleet.data_dir(), kept.path());
    fs::remove_dir_all(fleet.data_dir()).unwrap();

    // As patient before it begins a cache as the program is.
    let rig = fleet.start_with(|config| config.settings.founding_wait = PATIENCE * 2);
    let late = fleet.node("b");
    let why = until_behind(&rig);
    assert!(why.contains("of a fleet of which nothing is stored here"), "{why}");
    node.until_trouble("it stands still");
    assert!(node.lives_on() && node.epoch() == newest.epoch());
    assert!(rig.topology().slots().all(|(_, config)| config.primary.is_none()));
    drop((rig, late));

    fs::remove_dir_all(fleet.data_dir()).unwrap();
    copy(kept.path(), &fleet.data_dir());
    let rig = fleet.start();
    wait_until("the node to be back", PATIENCE, || (node.ids().len() == 2).then_some(()));
    assert_eq!(rig.get("/readyz").0, 200);
}

#[test]
fn a_node_of_another_fleet_of_the_same_name_is_turned_away_and_keeps_what_it_has() {
    let fleet = Fleet::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let start_elsewhere =
        || fleet.start_with(|config| config.data_dir = elsewhere.path().join("topology"));
    let rig = start_elsewhere();
    let theirs = fleet.node("a");
    rig.until_settled(&[theirs.id()]);
    drop((rig, theirs));
    // Its epochs are its own.
    fleet.seen.lock().unwrap().clear();
    let rig = fleet.start();
    let node = fleet.node("a");
    let newest = rig.until_settled(&[node.id()]);
    until_epoch(&node, newest.epoch());
    drop(rig);

    let rig = start_elsewhere();
    node.until_trouble("it is of the fleet");
    assert!(node.lives_on() && node.epoch() == newest.epoch());
    wait_until("it to be told", PATIENCE, || rig.has_event("fleet_stranger").then_some(()));
    assert_eq!(rig.get("/readyz").0, 200, "it is the node that is wrong here");
    let events = rig.get("/v1/events").1;
    assert_eq!(events.matches("fleet_stranger").count(), 1, "it comes again and again");
}

fn until_epoch(node: &common::Node, epoch: Epoch) {
    wait_until("the node to hear", PATIENCE, || (node.epoch() >= epoch).then_some(()));
}
