//! Who takes over from the dead.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::fleet::*;
use common::*;
use memtide_topology::{Change, Failover, NodeId, Previous, SlotId, Topology};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Slots 0 to 9: primary n1, in sync `copies`, of these zones.
fn fleet(zones: &[&str], copies: &[u64]) -> Topology {
    let slots: Vec<SlotId> = (0..10).map(slot).collect();
    let mut changes = vec![set_primary(&slots, 1, Previous::Gone)];
    changes.extend(copies.iter().map(|copy| add_learner(&slots, *copy)));
    catch_up(&apply(&of_zones(2, zones), changes))
}

/// What becomes of a topology when nodes die, and the slots that are lost.
fn failed_over(topology: &Topology, dead: &[u64]) -> (Topology, Vec<SlotId>) {
    let failover = Failover::of(topology, &dead.iter().copied().map(node).collect());
    (apply(topology, failover.changes), failover.lost)
}

fn primaries(topology: &Topology, node: NodeId) -> usize {
    topology.slots().filter(|(_, config)| config.primary == Some(node)).count()
}

#[test]
fn a_copy_in_sync_takes_over_and_the_others_learn() {
    let (before, at) = (fleet(&["a", "b", "c"], &[2, 3]), [slot(0)]);
    let learner = Change::MakeLearner { slots: at.to_vec(), node: node(2) };
    let before = apply(&before, vec![learner]);
    let (after, lost) = failed_over(&before, &[1]);
    assert_eq!(lost, []);
    let config = after.slot(slot(0));
    assert_eq!((config.primary, config.epoch), (Some(node(3)), after.epoch()), "n2 was a learner");
    let [copy] = config.copies[..] else { panic!("{config:?}") };
    assert_eq!((copy.node, copy.is_in_sync, copy.since), (node(2), false, after.epoch()));
}

#[test]
fn a_dead_copy_is_dropped_and_the_epoch_stays() {
    let before = fleet(&["a", "b", "c"], &[2, 3]);
    let (after, lost) = failed_over(&before, &[3]);
    let config = after.slot(slot(0));
    assert_eq!((config.primary, config.epoch), (Some(node(1)), before.slot(slot(0)).epoch));
    assert_eq!(config.copies[..], before.slot(slot(0)).copies[..1], "n2 stays in sync");
    assert_eq!(lost, []);
}

#[test]
fn a_slot_without_a_complete_copy_is_lost_and_left_alone() {
    let before = fleet(&["a", "b", "c"], &[2]);
    let at = vec![slot(0)];
    let before = apply(&before, vec![Change::MakeLearner { slots: at.clone(), node: node(2) }]);
    let (after, lost) = failed_over(&before, &[1]);
    assert_eq!(lost, at);
    assert_eq!(after.slot(slot(0)), before.slot(slot(0)));
    let (_, lost) = failed_over(&before, &[1, 2]);
    assert_eq!(lost.len(), 10);
}

#[test]
fn the_heirs_share_what_is_inherited() {
    let (after, _) = failed_over(&fleet(&["a", "b", "c"], &[2, 3]), &[1]);
    assert_eq!((primaries(&after, node(2)), primaries(&after, node(3))), (5, 5));

    let before = fleet(&["a", "b", "c"], &[2, 3]);
    let grown = Change::SetMemory { node: node(3), memory_max: 4 * GIB };
    let (after, _) = failed_over(&apply(&before, vec![grown]), &[1]);
    assert_eq!((primaries(&after, node(2)), primaries(&after, node(3))), (2, 8), "by memory");

    let before = fleet(&["a", "b", "c", "b"], &[2, 3]);
    let busy = set_primary(&(20..40).map(slot).collect::<Vec<_>>(), 4, Previous::Gone);
    let (after, _) = failed_over(&apply(&before, vec![busy]), &[1]);
    assert!(primaries(&after, node(3)) > 6, "n4 is in the zone of n2, and has much to do");

    let drain = Change::SetDraining { node: node(3), is_draining: true };
    let (after, _) = failed_over(&apply(&before, vec![drain]), &[1]);
    assert_eq!(primaries(&after, node(3)), 0, "who drains takes over only alone");
    let (after, _) = failed_over(&after, &[2]);
    assert_eq!(primaries(&after, node(3)), 0, "n3 is a learner since the failover before");
}

#[test]
fn only_the_slots_that_are_asked_for_change() {
    let before = fleet(&["a", "b", "c"], &[2, 3]);
    let failover = Failover::of_slots(&before, &BTreeSet::from([node(1)]), [slot(3)]);
    let after = apply(&before, failover.changes);
    let changed = after.slots().filter(|(at, config)| *config != before.slot(*at));
    assert_eq!(changed.map(|(at, _)| at).collect::<Vec<_>>(), [slot(3)]);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn only_who_was_in_sync_takes_over(seed: u64, deaths in 1usize..4) {
        let before = random(seed);
        let mut random = Random(seed);
        let nodes: Vec<NodeId> = before.nodes().keys().copied().collect();
        let dead: BTreeSet<NodeId> =
            (0..deaths).filter_map(|_| nodes.get(random.below(nodes.len().max(1))).copied()).collect();
        prop_assume!(before.epoch().number() < u64::MAX);
        let failover = Failover::of(&before, &dead);
        let after = apply(&before, failover.changes);
        for (at, config) in after.slots() {
            let was = before.slot(at);
            let is_lost = failover.lost.contains(&at);
            let survives = was.complete().any(|node| !dead.contains(&node));
            prop_assert_eq!(is_lost, was.primary.is_some() && !survives);
            if is_lost {
                prop_assert_eq!(config, was);
                continue;
            }
            prop_assert!(config.holders().all(|node| !dead.contains(&node)));
            if config.primary == was.primary {
                prop_assert_eq!(config.epoch, was.epoch);
            } else {
                prop_assert_eq!(config.epoch, after.epoch());
                prop_assert!(was.in_sync().any(|node| Some(node) == config.primary));
                prop_assert!(config.copies.iter().all(|copy| !copy.is_in_sync && copy.since == after.epoch()));
            }
        }
        prop_assert_eq!(Failover::of(&after, &dead).changes, vec![]);
    }
}
