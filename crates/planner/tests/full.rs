//! What the planner does where memory fills, and some of it cannot be had.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers of tests")]

mod common;

use core::time::Duration;

use common::{GIB, NODE, World};
use memtide_planner::{Action, Amounts, Failed, Plan, Step, plan};
use memtide_topology::NodeId;

/// A look by which the executor says that these steps have failed; a second passes.
fn look_failed(world: &mut World, steps: &[Step]) -> Plan {
    let mut seen = world.observe();
    let failed = |step: &Step| Failed { id: step.id, action: step.action.clone(), at: seen.at };
    seen.failed = steps.iter().map(failed).collect();
    let (plan, past) = plan(&seen, &world.policy, world.past.clone());
    world.past = past;
    world.now += Duration::from_secs(1);
    plan
}

/// Of two nodes that fill, the first cannot grow; what the other is granted then.
fn grown(world: &mut World, failed: &[Step]) -> u64 {
    (world.load.1, world.growth) = (GIB * 3 / 2, GIB * 2 / 5);
    let nodes: Vec<NodeId> = world.nodes.keys().copied().collect();
    let plan = look_failed(world, failed);
    let grows = plan.steps.iter().filter_map(|step| match step.action {
        Action::Grow { node, to, .. } => Some((node, to)),
        _ => None,
    });
    let grows: Vec<_> = grows.collect();
    assert!(matches!(grows[..], [(node, _)] if node == nodes[1]), "{plan:?}");
    grows[0].1
}

/// Memory is what slots are placed by: with more than its own slots need it would get those of the first, too.
#[test]
fn a_node_that_fills_gets_what_its_slots_need_where_another_cannot_grow() {
    let host = |memory| Amounts { memory, ..NODE };
    let mut capped = World::new(1, 0, &[(host(GIB), GIB), (host(64 * GIB), GIB)]);
    let mut fixed = World::new(1, 0, &[(host(64 * GIB), GIB); 2]);
    let node = *fixed.nodes.keys().next().unwrap();
    fixed.growth = 2 * GIB;
    let first = fixed.look().steps.remove(0);
    assert!(matches!(first.action, Action::Grow { node: it, .. } if it == node), "{first:?}");
    for (world, failed) in [(&mut capped, vec![]), (&mut fixed, vec![first])] {
        let to = grown(world, &failed);
        // Half of what comes in four seconds on top of what there is, at 80%.
        let expected = (GIB * 3 / 2 + GIB * 8 / 5) * 10 / 8 / 2;
        assert!(to.abs_diff(expected) < GIB / 64, "{to}, and not {expected}");
    }
}

/// They would be evicted from where they come to, and more is to be had in a moment.
#[test]
fn no_slot_moves_while_what_has_failed_is_to_be_asked_for_again() {
    // Nodes that cannot be started, and memory that cannot be granted.
    for (memory, nodes_max) in [(2 * GIB, 100), (8 * GIB, 5)] {
        let host = Amounts { memory, ..NODE };
        let mut world = World::new(1, 0, &[(host, 2 * GIB); 5]);
        (world.policy.nodes_max, world.knows_slots) = (nodes_max, true);
        world.load = (280_000, 40 * GIB);
        let first = *world.nodes.keys().next().unwrap();
        let slots = world.topology.slots().filter(|(_, it)| it.primary == Some(first));
        let hot: Vec<_> = slots.map(|(slot, _)| (slot, 40)).take(6).collect();
        world.hot.extend(hot);
        let mut failed = Vec::new();
        for second in 0..60 {
            failed = look_failed(&mut world, &failed).steps;
            let moves = |step: &Step| matches!(step.action, Action::Move { .. });
            assert!(!failed.iter().any(moves), "after {second} s: {failed:?}");
        }
    }
}

/// The peak of the minutes before, which is known by then, is far below.
#[test]
fn what_is_granted_ahead_of_what_comes_is_not_given_back_while_it_comes() {
    let mut world = World::alike(1, 0, 2, 64 << 20);
    world.policy.nodes_min = 2;
    world.load.1 = 60 << 20;
    world.run(130);
    assert_eq!(world.story(), "");
    world.growth = 60 << 20;
    world.run(10);
    assert_eq!((world.story().as_str(), world.granted() >> 20), ("grow", 256));
    world.growth = 0;
    world.run(10);
    assert_eq!(world.story(), "grow shrink");
}
