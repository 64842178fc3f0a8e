//! Where slots belong, and how they get there.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::fleet::*;
use common::*;
use memtide_topology::{Change, Failover, NodeId, Pace, Previous, SLOTS, SlotId, Target, Topology};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_new_cache_is_held_by_its_second_update() {
    let topology = of_zones(1, &["a", "b", "c"]);
    let target = Target::of(&topology, &nobody());
    let first = apply(&topology, target.next_changes(&topology, Pace::UNBOUNDED));
    assert!(first.slots().all(|(_, config)| config.primary.is_some() && config.copies.len() == 1));
    let second = catch_up(&first);
    assert_eq!(target.remaining(&second).count(), 0);
    assert_eq!(target.next_changes(&second, Pace::UNBOUNDED), []);
}

#[test]
fn who_is_asked_twice_says_the_same() {
    let topology = settled(&of_zones(1, &["a", "b", "c", "a"])).0;
    let topology = apply(&topology, vec![add_node(9, "b", 2 * GIB)]);
    let (one, two) = (Target::of(&topology, &nobody()), Target::of(&topology, &nobody()));
    assert_eq!(one, two);
    let pace = Pace { slots_max: 100, learners_max: 50 };
    assert_eq!(one.next_changes(&topology, pace), two.next_changes(&topology, pace));
}

#[test]
fn a_settled_fleet_stays_as_it_is() {
    let topology = settled(&of_zones(2, &["a", "b", "c", "a", "b", "c", "c"])).0;
    let target = Target::of(&topology, &nobody());
    assert_eq!(target.remaining(&topology).count(), 0);
}

#[test]
fn a_node_that_joins_gets_its_share_and_nothing_else_moves() {
    for (replicas, zones, nodes) in
        [(0, 1, 3), (0, 3, 10), (1, 1, 4), (1, 2, 3), (1, 3, 4), (1, 3, 10), (2, 3, 9), (2, 3, 10)]
    {
        let is_even = nodes % zones == 0;
        let zones: Vec<_> = (0..nodes).map(|at| ["a", "b", "c"][at % zones]).collect();
        let before = settled(&of_zones(replicas, &zones)).0;
        for zone in zones.iter().collect::<BTreeSet<_>>() {
            let joined = apply(&before, vec![add_node(99, zone, GIB)]);
            let copied = copies_needed(&joined, &Target::of(&joined, &nobody()));
            let share = (usize::from(SLOTS) * usize::from(replicas + 1)).div_ceil(nodes + 1);
            let case = format!("R={replicas}, {nodes} nodes, one more in {zone}: {copied:?}");
            let own = copied[&node(99)];
            assert!(own <= share, "{case}, of {share}");
            // Where the zones differ, some slots only fit the new node by way of another.
            let others = copied.values().sum::<usize>() - own;
            assert!(others == 0 || !is_even && others * 20 < own, "{case}");
        }
    }
}

#[test]
fn a_new_zone_gets_a_copy_of_what_shares_one() {
    let before = settled(&of_zones(1, &["a", "a", "a"])).0;
    let joined = apply(&before, vec![add_node(9, "b", GIB)]);
    let target = Target::of(&joined, &nobody());
    let copied = copies_needed(&joined, &target);
    assert_eq!(copied, BTreeMap::from([(node(9), usize::from(SLOTS))]));
    assert_settled(&settled(&joined).0, &nobody());
}

#[test]
fn a_draining_node_is_emptied_and_may_leave() {
    for (replicas, zones) in [(0, vec!["a", "a", "a"]), (1, vec!["a", "b", "a", "b"])] {
        let before = settled(&of_zones(replicas, &zones)).0;
        let drain = Change::SetDraining { node: node(2), is_draining: true };
        let after = settled(&apply(&before, vec![drain])).0;
        assert_eq!(load(&after, node(2)), 0);
        assert_settled(&after, &nobody());
        apply(&after, vec![Change::RemoveNode { node: node(2) }]);
    }
}

#[test]
fn the_pace_is_kept() {
    let topology = settled(&of_zones(1, &["a", "b"])).0;
    let mut topology = apply(&topology, vec![add_node(9, "a", GIB)]);
    let pace = Pace { slots_max: 1_000, learners_max: 300 };
    for _ in 0..3 {
        let target = Target::of(&topology, &nobody());
        let next = apply(&topology, target.next_changes(&topology, pace));
        let differs = next.slots().filter(|(at, config)| *config != topology.slot(*at)).count();
        let learners: usize = next.slots().map(|(_, config)| config.learners().count()).sum();
        assert!(differs <= 1_000 && learners <= 300, "{differs} slots, {learners} learners");
        topology = next;
    }
    let learners: usize = topology.slots().map(|(_, config)| config.learners().count()).sum();
    assert_eq!(learners, 300, "as much as may be is under way");
}

#[test]
fn a_fleet_without_usable_nodes_is_left_alone() {
    let topology = settled(&of_zones(1, &["a", "b"])).0;
    let drain = |number| Change::SetDraining { node: node(number), is_draining: true };
    let topology = apply(&topology, vec![drain(1), drain(2)]);
    let target = Target::of(&topology, &nobody());
    assert_eq!(target.next_changes(&topology, Pace::UNBOUNDED), []);
    assert_eq!(Target::of(&new(1), &nobody()).next_changes(&new(1), Pace::UNBOUNDED), []);
}

#[test]
fn a_thousand_nodes_are_placed() {
    let zones: Vec<_> = (0..1_000).map(|at| ["a", "b", "c"][at % 3]).collect();
    let (topology, rounds) = settled(&of_zones(2, &zones));
    assert!(rounds <= 2, "{rounds} rounds");
    assert_settled(&topology, &nobody());
}

#[test]
fn a_node_that_is_down_gets_nothing_and_its_slots_wait_for_a_failover() {
    let before = settled(&of_zones(1, &["a", "b", "c"])).0;
    let down = BTreeSet::from([node(2)]);
    let target = Target::of(&before, &down);
    let is_its = |at: &SlotId| before.slot(*at).primary == Some(node(2));
    assert!(target.remaining(&before).filter(is_its).count() > 5_000);
    let next = apply(&before, target.next_changes(&before, Pace::UNBOUNDED));
    assert!(SlotId::all().filter(is_its).all(|at| next.slot(at) == before.slot(at)));

    let mut topology = apply(&next, Failover::of(&next, &down).changes);
    for _ in 0..4 {
        let target = Target::of(&topology, &down);
        topology = catch_up(&apply(&topology, target.next_changes(&topology, Pace::UNBOUNDED)));
    }
    assert_settled(&topology, &down);
}

/// It drops what it can spare, and only that.
#[test]
fn a_slot_with_all_the_copies_that_may_be_still_moves() {
    let crowd = of_zones(1, &["a"; 11]);
    let mut changes = vec![set_primary(&[slot(7)], 1, Previous::Gone)];
    changes.extend((2..=9).map(|copy| add_learner(&[slot(7)], copy)));
    let drain = |number| Change::SetDraining { node: node(number), is_draining: true };
    changes.extend((1..=9).map(drain));
    let after = settled(&catch_up(&apply(&crowd, changes))).0;
    assert_settled(&after, &nobody());
}

#[test]
fn the_slots_that_are_nearest_to_loss_come_first() {
    let before = settled(&of_zones(1, &["a", "b", "c"])).0;
    let bare: Vec<SlotId> = (16_000..16_010).map(slot).collect();
    let drops = bare.iter().flat_map(|at| {
        let copies = before.slot(*at).copies.iter();
        copies.map(|copy| Change::DropCopy { slots: vec![*at], node: copy.node })
    });
    let mut changes: Vec<_> = drops.collect();
    changes.push(add_node(9, "a", GIB));
    let before = apply(&before, changes);
    let pace = Pace { slots_max: 10, learners_max: 10 };
    let after = step(&before, pace);
    assert!(bare.iter().all(|at| after.slot(*at).learners().count() == 1));
}

fn copies_needed(topology: &Topology, target: &Target) -> BTreeMap<NodeId, usize> {
    let mut needed = BTreeMap::new();
    for (at, config) in topology.slots() {
        for holder in
            target.slot(at).unwrap().holders().filter(|holder| !config.is_held_by(*holder))
        {
            *needed.entry(holder).or_default() += 1;
        }
    }
    needed
}

/// Something happens to a fleet; those that are killed have failed over and left.
fn shake(random: &mut Random, topology: &Topology, next_id: &mut u64) -> Topology {
    let nodes: Vec<NodeId> = topology.nodes().keys().copied().collect();
    let any = (!nodes.is_empty()).then(|| nodes[random.below(nodes.len().max(1))]);
    match (random.below(6), any) {
        (0 | 1, _) | (_, None) => {
            *next_id += 1;
            apply(topology, vec![random_node(random, *next_id)])
        }
        (2, Some(node)) => {
            apply(topology, vec![Change::SetDraining { node, is_draining: !random.one_in(3) }])
        }
        (3, Some(_)) => {
            let replicas = u8::try_from(random.below(4)).unwrap();
            apply(topology, vec![Change::SetReplicas { replicas }])
        }
        (_, Some(node)) => kill(topology, node),
    }
}

fn random_node(random: &mut Random, number: u64) -> Change {
    let zone = ["a", "b", "c", "d", "e"][random.below(5).min(random.below(5))];
    add_node(number, zone, GIB << random.below(3))
}

fn random_fleet(random: &mut Random) -> Topology {
    let replicas = u8::try_from(random.below(4)).unwrap();
    let nodes = 1 + [random.below(4), random.below(30)][random.below(2)];
    let nodes = (1..=nodes).map(|number| random_node(random, u64::try_from(number).unwrap()));
    let nodes: Vec<_> = nodes.collect();
    apply(&new(replicas), nodes)
}

proptest! {
    #![proptest_config(cases(8))]

    /// From anything, in a few rounds, without ever having fewer complete holders than before; and
    /// what comes out has spread and balance.
    #[test]
    fn any_fleet_settles(seed: u64) {
        let mut random = Random(seed);
        let mut topology = random_fleet(&mut random);
        let mut next_id = 100;
        for _ in 0..4 {
            // Things happen while slots are on their way.
            for _ in 0..random.below(4) {
                topology = step(&topology, Pace { slots_max: 5_000, learners_max: 3_000 });
                topology = if random.one_in(2) { catch_up(&topology) } else { topology };
                topology = shake(&mut random, &topology, &mut next_id);
            }
            topology = settled(&topology).0;
            assert_settled(&topology, &nobody());
        }
    }

    /// A target that is kept while the nodes stay is reached too, in four rounds.
    #[test]
    fn a_target_that_is_kept_is_reached(seed: u64) {
        let mut random = Random(seed);
        let mut topology = random_fleet(&mut random);
        let mut next_id = 100;
        for _ in 0..3 {
            topology = shake(&mut random, &settled(&topology).0, &mut next_id);
            let target = Target::of(&topology, &nobody());
            for _ in 0..4 {
                topology = catch_up(&apply(&topology, target.next_changes(&topology, Pace::UNBOUNDED)));
            }
            prop_assert_eq!(target.remaining(&topology).count(), 0);
        }
    }
}

#[test]
fn some_slots_are_placed_as_if_there_were_no_others() {
    let topology = of_zones(1, &["a", "b", "c", "a"]);
    let few: Vec<SlotId> = (0..8).map(|number| slot(number * 100)).collect();
    let target = Target::of_slots(&topology, &nobody(), few.iter().copied());
    let topology = apply(&topology, target.next_changes(&topology, Pace::UNBOUNDED));
    let topology = catch_up(&topology);
    let held = topology.slots().filter(|(_, config)| config.primary.is_some());
    assert_eq!(held.map(|(at, _)| at).collect::<Vec<_>>(), few);
    let primaries = |id| topology.slots().filter(|(_, config)| config.primary == Some(id)).count();
    assert!((1..=4).all(|number| (1..=3).contains(&primaries(node(number)))));
    assert_eq!(target.remaining(&topology).count(), 0);
    assert_eq!(target.slot(slot(1)), None);
}

#[test]
fn a_pinned_slot_goes_to_its_node_in_place_of_one_of_that_zone() {
    let before = settled(&of_zones(1, &["a", "b", "a", "b"])).0;
    let at = slot(7);
    let config = before.slot(at);
    let (primary, copy) = (config.primary.unwrap(), config.copies[0].node);
    let other = |node: NodeId| NodeId::new((node.number() + 1) % 4 + 1);
    for (to, stays) in [(copy, primary), (other(primary), copy), (other(copy), primary)] {
        let mut target = Target::of(&before, &nobody());
        target.pin(&before, at, to);
        let mut topology = before.clone();
        for _ in 0..3 {
            let next = target.next_changes(&topology, Pace::UNBOUNDED);
            topology = catch_up(&apply(&topology, next));
        }
        let config = topology.slot(at);
        assert_eq!(config.primary, Some(to));
        assert_eq!(config.copies.iter().map(|copy| copy.node).collect::<Vec<_>>(), [stays]);
        assert_eq!(target.remaining(&topology).count(), 0);
    }
}
