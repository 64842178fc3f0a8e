//! What operators ask for over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{Fleet, http_with, primaries};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{NodeId, SlotId};

#[test]
fn the_fleet_is_shown() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let a = fleet.node("a");
    let (a, b) = ((a.id(), a), fleet.child("b", 7));
    let b = (b.id(), b);
    let settled = rig.until_settled(&[a.0, b.0]);
    let topology = rig.json("/v1/topology");
    assert_eq!(topology["cache"], "default");
    assert!(topology["epoch"].as_u64().unwrap() >= settled.epoch().number());
    assert_eq!(topology["nodes"][1]["zone"], "b");
    let owned: u32 = topology["slots"].as_array().unwrap().iter().map(width).sum();
    assert_eq!(owned, 16_384);
    let nodes = wait_until("the nodes' usage to be known", PATIENCE, || {
        let nodes = rig.json("/v1/nodes");
        let is_known = |at: usize| nodes["nodes"][at]["items"] == 5;
        (is_known(0) && is_known(1)).then_some(nodes)
    });
    let node = &nodes["nodes"][1];
    assert_eq!((&node["id"], &node["state"]), (&b.0.to_string().into(), &"up".into()));
    assert_eq!((&node["parent_token"], &node["draining"]), (&7.into(), &false.into()));
    assert!(node["instance"].is_null(), "nobody has named it");
    assert_eq!(node["primary_slots"], primaries(&settled, b.0));
    assert_eq!(nodes["slots"]["complete"], 16_384);
    let migrations = wait_until("the manager to find nothing left to move", PATIENCE, || {
        let migrations = rig.json("/v1/migrations");
        (migrations["remaining_slots"] == 0).then_some(migrations)
    });
    assert_eq!(migrations["running"].as_array().unwrap().len(), 0);
    let metrics = rig.get("/metrics").1;
    for line in [
        format!("memtide_node_requests_total{{node=\"{}\"}} 7", a.0),
        format!("memtide_node_cpu_seconds_total{{node=\"{}\"}} 1.5", a.0),
        "memtide_nodes{state=\"up\",zone=\"b\"} 1".to_owned(),
        "memtide_slots{state=\"complete\"} 16384".to_owned(),
        "memtide_migrations_running 0".to_owned(),
        format!("memtide_topology_epoch {}", settled.epoch().number()),
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "no {line} in {metrics}");
    }
}

/// Slots of a run such as `0-99`.
fn width(run: &serde_json::Value) -> u32 {
    let slots = run["slots"].as_str().unwrap();
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    last.parse::<u32>().unwrap() - first.parse::<u32>().unwrap() + 1
}

#[test]
fn slots_are_moved_and_replicas_made() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (a, b) = (fleet.node("a"), fleet.node("b"));
    let nodes = [a.id(), b.id()];
    rig.until_settled(&nodes);
    for node in nodes {
        let body = format!(r#"{{"slots":"0-99,200","to":"{node}"}}"#);
        let (status, body) = rig.post("/v1/slots/move", &body);
        assert_eq!(status, 200, "{body}");
        rig.until("the slots to be there", |topology| {
            let is_there = |slot| topology.slot(SlotId::new(slot).unwrap()).primary == Some(node);
            (0..100).all(is_there) && is_there(200)
        });
    }
    let (status, body) = rig.put("/v1/replicas", r#"{"replicas":1}"#);
    assert_eq!(status, 200, "{body}");
    assert_eq!(rig.topology().replicas_wanted(), 1, "it is stored before it is answered");
    rig.until("all slots to have a replica", |topology| {
        topology.slots().all(|(_, config)| config.in_sync().count() == 1)
    });
}

#[test]
fn what_cannot_be_is_refused_by_its_reason() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let a = fleet.node("a");
    let id = a.id();
    rig.until_settled(&[id]);
    let example = r#"the body is not as {"slots":"0-99,200","to":"n3"}: "#;
    let unknown = NodeId::new(999);
    for (path, body, status, why) in [
        (format!("/v1/nodes/{unknown}/drain"), "", 404, "there is no node n999".to_owned()),
        (format!("/v1/nodes/{unknown}/forget"), "", 404, "there is no node n999".to_owned()),
        (
            format!("/v1/nodes/{id}/drain"),
            "",
            409,
            format!(
                "{id} is the last node that is up and not draining; add another before it is drained"
            ),
        ),
        (
            format!("/v1/nodes/{id}/forget"),
            "",
            409,
            format!("{id} is up; drain it, or end its process first"),
        ),
        (
            "/v1/nodes/x%0a/drain".to_owned(),
            "",
            400,
            r"x\n is no node; nodes are called n3, say: see /v1/nodes".to_owned(),
        ),
        (
            format!("/v1/nodes/{id}/paint"),
            "",
            404,
            "paint: a node can be drained, undrained and forgotten".to_owned(),
        ),
        (
            "/v1/slots/move".to_owned(),
            "{}",
            400,
            format!("{example}missing field `slots` at line 1 column 2"),
        ),
        (
            "/v1/slots/move".to_owned(),
            r#"{"slots":"9-1","to":"n1"}"#,
            400,
            "slots: range 9-1 goes down".to_owned(),
        ),
        (
            "/v1/slots/move".to_owned(),
            r#"{"slots":"1","to":"n999"}"#,
            404,
            "there is no node n999".to_owned(),
        ),
    ] {
        assert_eq!(rig.post(&path, body), (status, format!("{why}\n")), "{path} {body}");
    }
}

#[test]
fn what_is_no_request_is_refused_as_such() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let (status, body) = rig.put("/v1/replicas", r#"{"replicas":9}"#);
    assert_eq!((status, body.as_str()), (400, "9 replicas wanted; the most is 4\n"));
    assert_eq!(rig.get("/v1/replicas").0, 405);
    let huge = "0,".repeat(1 << 17);
    assert_eq!(rig.post("/v1/slots/move", &huge).0, 413);
    let (status, body) = rig.get("/v1/nothing");
    assert!(
        status == 404 && body.contains("/v1/nodes") && body.contains("PUT /v1/replicas"),
        "{body}"
    );
}

#[test]
fn a_web_page_changes_nothing() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let line = "PUT /v1/replicas";
    let page = "Origin: http://example.com\r\n";
    let (status, body) = http_with(rig.address, line, page, r#"{"replicas":1}"#);
    assert_eq!(status, 403, "{body}");
    assert_eq!(rig.topology().replicas_wanted(), 0);
    assert_eq!(http_with(rig.address, "GET /v1/nodes", page, "").0, 200);
}

#[test]
fn who_is_turned_away_is_counted_and_told_why() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let node = fleet.stranger();
    let (why, _) = node.refused();
    assert_eq!(why, "this scaler is of the cache default, not other");
    wait_until("it to be counted", PATIENCE, || {
        // A machine that is too busy for a handshake has it tried again.
        let metrics = rig.get("/metrics").1;
        let line = metrics.lines().find_map(|it| it.strip_prefix("memtide_fleet_refused_total "));
        line.filter(|count| *count != "0").map(|_| ())
    });
    assert_eq!(rig.json("/v1/nodes")["nodes"].as_array().unwrap().len(), 0);
}
