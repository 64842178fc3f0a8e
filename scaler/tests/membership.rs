//! Nodes come, come back, and go.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{Fleet, primaries};
use memtide_testkit::{PATIENCE, wait_until};

#[test]
fn nodes_get_ids_and_slots_and_a_third_gets_its_share() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (a, b) = (fleet.node("a"), fleet.node("b"));
    let nodes = [a.id(), b.id()];
    assert_ne!(nodes[0], nodes[1]);
    let topology = rig.until_settled(&nodes);
    wait_until("both nodes to hear of it", PATIENCE, || {
        (a.epoch() >= topology.epoch() && b.epoch() >= topology.epoch()).then_some(())
    });
    let c = fleet.node("c");
    rig.until_settled(&[nodes[0], nodes[1], c.id()]);
    for kind in ["node_joined", "slots_founded", "migration_began", "migration_ended"] {
        wait_until(kind, PATIENCE, || rig.has_event(kind).then_some(()));
    }
    wait_until("the metrics and the events to tell the same", PATIENCE, || {
        let metrics = rig.get("/metrics").1;
        let line =
            metrics.lines().find_map(|it| it.strip_prefix("memtide_slots_handed_over_total "));
        let moved = line.and_then(|count| count.parse::<f64>().ok())?;
        let told = rig.get("/v1/events").1.contains(&format!("{moved} slots handed over"));
        (moved > 5_000.0 && told).then_some(())
    });
    // In each of the dozens of commits slots were handed over.
    let page = rig.json("/v1/events");
    let events = page["events"].as_array().unwrap().len();
    assert!(events < 40, "{events} events: {page}");
}

#[test]
fn a_node_keeps_its_id_and_a_scaler_goes_on_where_the_one_before_was() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (a, b) = (fleet.node("a"), fleet.node("a"));
    let nodes = [a.id(), b.id()];
    let before = rig.until_settled(&nodes);
    drop(rig);
    let rig = fleet.start();
    assert_eq!(*rig.topology(), *before);
    wait_until("both nodes to be back", PATIENCE, || {
        (a.ids().len() == 2 && b.ids().len() == 2).then_some(())
    });
    assert_eq!((a.ids(), b.ids()), (vec![nodes[0]; 2], vec![nodes[1]; 2]));
    let c = fleet.node("a");
    assert!(!nodes.contains(&c.id()), "an id is never used again");
    rig.until_settled(&[nodes[0], nodes[1], c.id()]);
}

#[test]
fn a_drained_node_gives_up_its_slots_and_is_told_that_it_has_left() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (a, b) = (fleet.node("a"), fleet.node("b"));
    let (stays, goes) = (a.id(), b.id());
    rig.until_settled(&[stays, goes]);
    let (status, body) = rig.post(&format!("/v1/nodes/{goes}/drain"), "");
    assert_eq!(status, 200, "{body}");
    assert!(rig.topology().nodes().get(&goes).is_none_or(|info| info.is_draining), "it is stored");
    let (why, last) = b.refused();
    assert_eq!(
        why,
        format!("{goes} is no node of this cache any more; start it anew to join as another")
    );
    assert!(!last.unwrap().nodes().contains_key(&goes), "it was shown first that it has left");
    rig.until_settled(&[stays]);
    assert!(rig.has_event("node_left"));
}

#[test]
fn a_node_that_was_told_to_stop_leaves_by_itself() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (a, mut b) = (fleet.node("a"), fleet.node("b"));
    rig.until_settled(&[a.id(), b.id()]);
    b.leave();
    b.refused();
    rig.until_settled(&[a.id()]);
}

#[test]
fn a_child_that_ended_is_dead_at_once_and_its_copies_take_over() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| {
        config.replicas = Some(1);
        config.settings.nodes_min = 2;
        // Only who ended is lost.
        config.settings.gone_grace = PATIENCE * 2;
    });
    let (a, b) = (fleet.child("a", 71), fleet.child("b", 72));
    let (stays, ends) = (a.id(), b.id());
    rig.until_settled(&[stays, ends]);
    drop(b);
    rig.handle().child_ended(72);
    let after = rig.until_settled(&[stays]);
    rig.until("the dead node to be out", |topology| !topology.nodes().contains_key(&ends));
    assert_eq!(primaries(&after, stays), 16_384);
    wait_until("the metrics to tell", PATIENCE, || {
        let metrics = rig.get("/metrics").1;
        let is_told = metrics.contains("\nmemtide_failovers_total 1\n")
            && metrics.contains("\nmemtide_slots_lost_total 0\n");
        is_told.then_some(())
    });
    // Whoever ended before it was known as a node is dead as soon as it is.
    rig.handle().child_ended(73);
    let c = fleet.child("b", 73);
    let id = c.id();
    rig.until("the late child to be out", |topology| !topology.nodes().contains_key(&id));
    drop(a);
}

/// A parent that was killed cannot say that its children have ended with it.
#[test]
fn children_are_dead_when_their_parent_starts_anew_and_nodes_from_outside_live_on() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| config.settings.nodes_min = 2);
    let (outside, child) = (fleet.node("a"), fleet.child("b", 7));
    let (stays, ends) = (outside.id(), child.id());
    let before = rig.until_settled(&[stays, ends]);
    drop(rig);
    drop(child);
    let rig = fleet.start();
    let after = rig.until_settled(&[stays]);
    assert!(rig.has_event("slots_lost"), "those of the child start empty");
    assert!(!rig.has_event("node_silent"), "nobody had to be waited for");
    assert_eq!(outside.ids(), [stays, stays]);
    for (slot, config) in before.slots().filter(|(_, config)| config.primary == Some(stays)) {
        assert_eq!(after.slot(slot).born, config.born, "what the other holds is not given up");
    }
}

/// The list was written for a topology that was never stored, or lies beside another one.
#[test]
fn a_node_that_has_the_id_of_a_child_and_not_its_address_is_somebody_else() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let node = fleet.node("a");
    let id = node.id();
    let before = rig.until_settled(&[id]);
    drop(rig);
    let children = format!("memtide children\n{id} 127.0.0.1:1\n");
    std::fs::write(fleet.data_dir().join("children"), children).unwrap();
    let rig = fleet.start();
    wait_until("the node to be back", PATIENCE, || (node.ids() == [id, id]).then_some(()));
    assert!(!rig.has_event("node_dead") && !rig.has_event("slots_lost"), "it is no child");
    assert!(rig.topology().slots().eq(before.slots()), "what it holds is not given up");
}

#[test]
fn an_address_is_one_nodes_for_as_long_as_that_is_up() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let first = fleet.node_at("127.0.0.1:777");
    let id = first.id();
    let second = fleet.node_at("127.0.0.1:777");
    let why = second.until_trouble("the address of");
    assert!(why.contains(&format!("127.0.0.1:777 is the address of {id}, which is up")), "{why}");
    assert!(second.lives_on() && second.ids().is_empty());
    assert_eq!(rig.topology().nodes().len(), 1);
    drop(first);
    assert_ne!(second.id(), id, "it joins once the other has gone");
}

#[test]
fn slots_of_a_node_that_is_only_lost_wait_for_it_until_an_operator_forgets_it() {
    let fleet = Fleet::new();
    let rig = fleet.start_with(|config| {
        config.settings.nodes_min = 2;
        config.settings.gone_grace = std::time::Duration::ZERO;
    });
    let (a, b) = (fleet.node("a"), fleet.node("b"));
    let (stays, lost) = (a.id(), b.id());
    rig.until_settled(&[stays, lost]);
    drop(b);
    let unserved = |wanted: bool| {
        wait_until("the slots to be counted", PATIENCE, || {
            let slots = &rig.json("/v1/nodes")["slots"];
            ((slots["unserved"] != 0) == wanted).then_some(())
        });
    };
    unserved(true);
    assert!(rig.topology().nodes().contains_key(&lost), "it may come back");
    assert!(rig.has_event("node_gone") && rig.has_event("slots_unserved"));
    let (status, body) = rig.post(&format!("/v1/nodes/{lost}/forget"), "");
    assert_eq!(status, 200, "{body}");
    rig.until_settled(&[stays]);
    unserved(false);
    assert!(rig.has_event("slots_lost"));
}
