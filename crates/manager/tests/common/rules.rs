//! What design note 0007 says the manager must keep, from its statement: of each stored step.

use std::collections::BTreeMap;

use memtide_topology::{CaughtUp, NodeId, SlotConfig, SlotId, Topology, Zone};

use super::Fleet;

/// Panics where the step to a topology is not one that may be.
pub fn check(fleet: &Fleet, after: &Topology) {
    let before = &fleet.stored;
    assert_eq!(after.epoch(), before.epoch().next());
    for node in after.nodes().keys().filter(|node| !before.nodes().contains_key(node)) {
        assert_eq!(node.number(), after.epoch().number(), "an id is the epoch that added it");
        assert!(!fleet.ids.contains(node), "{node} was another before");
    }
    for (slot, config) in after.slots() {
        if before.slot(slot) != config {
            check_slot(fleet, (slot, before.slot(slot), config), after);
        }
    }
}

fn check_slot(
    fleet: &Fleet,
    (slot, before, config): (SlotId, &SlotConfig, &SlotConfig),
    after: &Topology,
) {
    let what = format!("{slot:?}: {before:?} -> {config:?}");
    let has_reported = |node: NodeId| {
        before.copy(node).is_some_and(|copy| {
            let report = CaughtUp { slot, epoch: before.epoch, node, since: copy.since };
            fleet.reports.contains(&report)
        })
    };
    let is_complete =
        |node: NodeId| before.complete().any(|holder| holder == node) || has_reported(node);
    let (Some(from), Some(to)) = (before.primary, config.primary) else {
        return check_loss(fleet, before, &what);
    };
    if from == to {
        assert_eq!((before.epoch, before.born), (config.epoch, config.born), "{what}");
    } else {
        assert_eq!((config.epoch, config.born), (after.epoch(), before.born), "{what}");
        assert!(is_complete(to), "who takes over is complete: {what}");
    }
    for copy in &config.copies {
        let is_handover = copy.node == from && from != to;
        let is_new = before.copy(copy.node).is_none_or(|was| was.since != copy.since);
        assert!(!is_new || copy.since == after.epoch(), "{what}");
        assert!(!copy.is_in_sync || is_handover || is_complete(copy.node), "in sync: {what}");
        assert!(!copy.is_in_sync || !is_new || is_handover, "in sync anew: {what}");
    }
    if from != to && config.copy(from).is_some_and(|copy| copy.is_in_sync) {
        let dropped = before.in_sync().find(|node| !config.is_held_by(*node));
        assert_eq!(dropped, None, "dropped in a handover: {what}");
    } else if from != to {
        assert_eq!(config.in_sync().count(), 0, "the others learn after a failover: {what}");
    }
    check_drops(fleet, (before, config), after, &what);
}

/// Given up is only what nobody can have any more.
fn check_loss(fleet: &Fleet, before: &SlotConfig, what: &str) {
    let alive = before.complete().find(|node| !fleet.ended.contains(node));
    assert_eq!(alive, None, "given up though one lives: {what}");
}

/// Who is up and holds all stays, until there are enough others.
fn check_drops(
    fleet: &Fleet,
    (before, config): (&SlotConfig, &SlotConfig),
    after: &Topology,
    what: &str,
) {
    let is_up = |node: &NodeId| !fleet.down_at_commit.contains(node);
    let staying = after.nodes().iter().filter(|(node, info)| !info.is_draining && is_up(node));
    let wanted = staying.count().min(1 + usize::from(after.replicas_wanted()));
    let dropped = before.complete().filter(|node| !config.is_held_by(*node));
    let needless = dropped.filter(is_up).count();
    assert!(needless == 0 || config.complete().count() >= wanted, "dropped too soon: {what}");
}

/// Panics where a fleet that is calm is not as it should be.
pub fn check_calm(fleet: &Fleet) {
    let topology = &fleet.stored;
    let staying: BTreeMap<NodeId, &Zone> = (topology.nodes().iter())
        .filter(|(_, info)| !info.is_draining)
        .map(|(node, info)| (*node, &info.zone))
        .collect();
    let holders = staying.len().min(1 + usize::from(topology.replicas_wanted()));
    for slot in &fleet.settings.slots {
        let config = topology.slot(*slot);
        let what = format!("{slot:?}: {config:?} of {staying:?}");
        assert_eq!(config.complete().count(), holders, "{what}");
        assert_eq!(config.learners().count(), 0, "{what}");
        assert!(config.holders().all(|node| staying.contains_key(&node)), "{what}");
        let count = |zone: &Zone| config.holders().filter(|node| staying[node] == zone).count();
        for crowded in staying.values() {
            let size = |zone: &Zone| staying.values().filter(|of| **of == zone).count();
            let has_room =
                |zone: &&&Zone| count(zone) < size(zone) && count(zone) + 1 < count(crowded);
            assert!(!staying.values().any(|zone| has_room(&zone)), "crowds {crowded}: {what}");
        }
    }
    assert_eq!(fleet.manager.remaining(), 0);
    assert_eq!(fleet.manager.migrations(), []);
}
