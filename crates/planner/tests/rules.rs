//! Each rule of the planner by itself.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers of tests")]

mod common;

use core::time::Duration;

use common::{GIB, NODE, World, added};
use memtide_limits::{Limits, Range};
use memtide_planner::{Action, Amounts, Failed, Note, Resource, UnderWay, Why};
use memtide_topology::{Change, SlotId};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn memory_grows_in_place_first_and_then_nodes_come() {
    let mut world = World::alike(1, 0, 1, GIB);
    world.run(5);
    assert_eq!((world.story().as_str(), world.nodes.len()), ("grow", 1));
    assert!(world.granted() > GIB * 4 / 3, "{}", world.granted());
    world.load.1 = 5 * GIB;
    world.run(20);
    assert_eq!(world.nodes.len(), 1, "the host has 8 GiB");
    world.load.1 = 9 * GIB;
    world.run(5);
    assert_eq!(world.nodes.len(), 2);
    assert!(world.granted() >= 9 * GIB * 10 / 8, "{}", world.granted());
}

#[test]
fn nodes_come_for_work_and_go_when_the_rest_carries_it() {
    let mut world = World::alike(2, 1, 2, 2 * GIB);
    world.run(130);
    assert_eq!(world.story(), "");
    world.load.0 = 300_000;
    world.run(10);
    assert_eq!(world.nodes.len(), 6, "300k of 600k: at most 60% in use, and zones alike");
    world.load.0 = 60_000;
    world.run(100);
    assert_eq!(world.nodes.len(), 6, "nothing is given back at once");
    world.run(300);
    assert_eq!(world.nodes.len(), 2);
    assert_eq!(world.zones().into_values().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_moment_above_the_band_is_nothing_and_saturation_is_at_once() {
    let mut world = World::alike(1, 0, 2, 2 * GIB);
    world.load.0 = 100_000;
    world.run(20);
    for (load, seconds) in [(160_000, 2), (100_000, 5), (170_000, 1), (100_000, 30)] {
        world.load.0 = load;
        world.run(seconds);
    }
    assert_eq!(world.story(), "");
    world.load.0 = 190_000;
    assert!(added(&world.look()) >= 1, "{:?}", world.plans);
}

#[test]
fn who_does_not_know_what_is_wanted_doubles() {
    let mut world = World::alike(1, 0, 3, 2 * GIB);
    world.knows_demand = false;
    world.load.0 = 5_000_000;
    let mut nodes = vec![3];
    for _ in 0..4 {
        world.run(1);
        nodes.push(world.nodes.len());
    }
    assert_eq!(nodes, [3, 6, 12, 24, 48]);
}

#[test]
fn the_future_is_told_from_a_ramp_and_trusted_to_double() {
    let mut world = World::alike(1, 0, 4, 2 * GIB);
    world.knows_demand = true;
    for second in 0..12 {
        world.load.0 = 150_000 + second * 10_000;
        world.run(1);
    }
    let first = world.plans.first().expect("nodes come before they are needed");
    let need = first.figures.of(Resource::Ecpu);
    assert!(need.load < 300_000, "above what is to be in use only in the future: {need:?}");
    assert!(need.foretold > need.load && need.foretold <= 2 * need.load, "{need:?}");
    assert!(matches!(first.steps[0].why, Why::Above(Resource::Ecpu)), "{first:?}");
}

#[test]
fn minima_bring_capacity_before_the_load_and_maxima_bound_it() {
    let mut world = World::alike(2, 1, 2, GIB);
    world.limits = World::limit(Range { min: 450_000, max: 0 }, Range { min: 10 * GIB, max: 0 });
    world.run(1);
    assert_eq!(world.nodes.len(), 6, "450k is 75% of what six can do");
    assert!(world.granted() >= 20 * GIB, "with copies: {}", world.granted());
    assert!(matches!(world.plans[0].steps[0].why, Why::Promised(_)));
    world.limits = Limits::default();
    world.run(200);
    assert_eq!(world.nodes.len(), 2, "{}", world.story());

    world.limits = World::limit(Range { min: 0, max: 100_000 }, Range { min: 0, max: 2 * GIB });
    world.load = (2_000_000, 4 * GIB);
    world.run(20);
    assert_eq!(world.nodes.len(), 2, "more would be throttled");
    assert!(world.granted() <= 5 * GIB, "and evicted: {}", world.granted());
}

#[test]
fn the_operators_maximum_is_never_passed_and_says_so() {
    let mut world = World::alike(2, 0, 2, GIB);
    world.policy.nodes_max = 5;
    world.load.0 = 2_000_000;
    world.run(20);
    assert_eq!(world.nodes.len(), 5);
    let notes: Vec<Note> = world.plans.iter().flat_map(|plan| plan.notes.clone()).collect();
    assert!(notes.contains(&Note::NodesMax(Resource::Ecpu)), "{notes:?}");
    assert!(notes.len() < 5, "said once: {notes:?}");
}

/// As when all pods of a fleet are replaced at a time.
#[test]
fn nodes_whose_processes_are_to_end_are_replaced_beyond_the_maximum() {
    let mut world = World::alike(2, 0, 2, GIB);
    (world.policy.nodes_min, world.policy.nodes_max) = (2, 2);
    world.leaving = world.nodes.keys().copied().collect();
    world.run(30);
    assert_eq!((world.story().as_str(), world.nodes.len()), ("add", 4));
}

#[test]
fn copies_get_zones_of_their_own() {
    let mut world = World::alike(1, 1, 2, GIB);
    world.offers = (0..3).map(|it| common::offer(it, it as usize, 10)).collect();
    world.run(5);
    assert!(world.zones().len() >= 2, "{:?}", world.zones());
    world.load.0 = 500_000;
    world.run(10);
    let zones: Vec<usize> = world.zones().into_values().collect();
    let (least, most) = (zones.iter().min().unwrap(), zones.iter().max().unwrap());
    assert!(zones.len() == 3 && most - least <= 1, "{:?}", world.zones());
}

#[test]
fn no_nodes_are_added_where_they_would_not_help() {
    let mut world = World::alike(2, 1, 2, GIB);
    world.offers = vec![common::offer(0, 0, 50)];
    world.load.0 = 600_000;
    world.run(20);
    assert_eq!(world.nodes.len(), 2, "each copy needs its zone, and one zone has no nodes left");
    let notes: Vec<Note> = world.plans.iter().flat_map(|plan| plan.notes.clone()).collect();
    assert_eq!(notes, [Note::NoNodes(Resource::Ecpu)]);
}

#[test]
fn memory_goes_by_what_hosts_can_do() {
    let large = Amounts { memory: 64 * GIB, ecpu: 400_000, cpu: 8_000, network: 4 << 30 };
    let mut world = World::new(1, 0, &[(NODE, GIB), (large, GIB)]);
    world.load = (300_000, 10 * GIB);
    world.run(5);
    let granted: Vec<u64> = world.topology.nodes().values().map(|it| it.memory_max).collect();
    assert_eq!(world.nodes.len(), 2);
    assert_eq!(granted[1] / granted[0], 4, "{granted:?}");
}

#[test]
fn a_node_with_more_memory_than_work_gives_slots_to_others() {
    let strong = Amounts { ecpu: 400_000, cpu: 8_000, ..NODE };
    let mut world = World::new(1, 0, &[(NODE, 4 * GIB), (strong, 4 * GIB)]);
    world.load = (250_000, GIB);
    world.run(5);
    assert_eq!(world.nodes.len(), 2, "half of it is too much for the one and little for the other");
    let granted: Vec<u64> = world.topology.nodes().values().map(|it| it.memory_max).collect();
    assert!(granted[1] / granted[0] >= 3, "{granted:?}");
}

#[test]
fn a_fleet_that_is_not_whole_gives_nothing_back() {
    for break_it in 0..4 {
        let mut world = World::alike(2, 1, 6, 2 * GIB);
        world.run(125);
        assert!(world.story().contains("drain"), "it would: {}", world.story());

        let mut world = World::alike(2, 1, 6, 2 * GIB);
        let last = *world.nodes.keys().last().unwrap();
        match break_it {
            0 => world.down.push(last),
            1 => {
                let lost = world.topology.slots().find(|(_, it)| it.primary != Some(last));
                let (slot, config) = lost.unwrap();
                let (slots, node) = (vec![slot], config.copies[0].node);
                world.apply(vec![Change::MakeLearner { slots, node }]);
            }
            2 => world.policy.nodes_min = 6,
            _ => world.kept = world.nodes.keys().copied().collect(),
        }
        world.run(300);
        assert!(!world.story().contains("drain"), "{break_it}: {}", world.story());
    }
}

#[test]
fn a_node_that_was_to_leave_stays_when_it_is_needed() {
    let mut world = World::alike(1, 0, 4, 2 * GIB);
    world.load.0 = 60_000;
    for _ in 0..125 {
        if world.look().steps.iter().any(|it| matches!(it.action, Action::Drain { .. })) {
            break;
        }
    }
    let plan = world.plans.last().unwrap().clone();
    for step in &plan.steps {
        if let Action::Drain { node } = step.action {
            world.apply(vec![Change::SetDraining { node, is_draining: true }]);
        }
    }
    world.load.0 = 390_000;
    let plan = world.look();
    assert!(matches!(plan.steps[0].action, Action::Stay { .. }), "{plan:?}");
}

#[test]
fn what_failed_is_not_tried_again_at_once_and_another_is_asked() {
    let mut world = World::alike(1, 0, 2, GIB);
    world.offers.push(common::offer(7, 0, 10));
    world.load.0 = 190_000;
    let first = world.look().steps.remove(0);
    let Action::Add { offer, .. } = first.action else { panic!("{first:?}") };
    let fails = |world: &mut World, step: &memtide_planner::Step| {
        let mut seen = world.observe();
        seen.failed = vec![Failed { id: step.id, action: step.action.clone(), at: seen.at }];
        let (plan, past) = memtide_planner::plan(&seen, &world.policy, world.past.clone());
        world.past = past;
        world.now += seconds(1);
        plan
    };
    let second = fails(&mut world, &first).steps.remove(0);
    assert!(matches!(second.action, Action::Add { offer: it, .. } if it != offer), "{second:?}");
    let third = fails(&mut world, &second);
    assert!(third.steps.is_empty(), "both have failed: {third:?}");
    assert_eq!(third.notes, [Note::NoNodes(Resource::Ecpu)]);
    let waited = (0..30).position(|_| added(&world.look()) > 0);
    assert!(waited.is_some_and(|it| (2..=6).contains(&it)), "after 5 s: {waited:?}");
}

#[test]
fn what_is_overdue_is_given_up_and_still_counts_as_a_node() {
    let mut world = World::alike(1, 0, 2, GIB);
    world.policy.nodes_max = 4;
    world.load.0 = 230_000;
    world.run(0);
    let step = world.look().steps.remove(0);
    assert_eq!(added(world.plans.last().unwrap()), 2);
    let since = world.now;
    let waits = |is_given_up| UnderWay {
        id: step.id,
        action: step.action.clone(),
        since,
        nodes_missing: 2,
        is_given_up,
    };
    world.under_way = vec![waits(false)];
    for _ in 0..30 {
        assert_eq!(world.look().steps, [], "it is waited for");
    }
    world.now += seconds(3);
    let plan = world.look();
    assert_eq!(plan.steps[0].action, Action::GiveUp { step: step.id });
    world.under_way = vec![waits(true)];
    let plan = world.look();
    assert_eq!(added(&plan), 0, "late ones may come, and then there are four: {plan:?}");
}

#[test]
fn a_planner_that_has_just_begun_gives_nothing_back() {
    let mut world = World::alike(1, 0, 6, GIB);
    world.run(119);
    assert_eq!(world.story(), "");
    world.run(20);
    assert!(world.story().contains("drain"));
}

#[test]
fn a_lone_hot_slot_gets_a_node_to_itself_and_gives_it_back() {
    let mut world = World::alike(2, 1, 4, 2 * GIB);
    world.knows_slots = true;
    world.load.0 = 190_000;
    let slot = SlotId::new(77).unwrap();
    world.hot.insert(slot, 300);
    world.run(10);
    assert_eq!((world.reserved.len(), world.nodes.len()), (1, 5), "{}", world.story());
    let node = *world.reserved.keys().next().unwrap();
    assert_eq!(world.topology.slot(slot).primary, Some(node));
    let held = world.topology.slots().filter(|(_, it)| it.is_held_by(node)).count();
    assert!(held < 700, "{held} slots beside: those of 64 MiB of 8 GiB");
    let told = world.plans[0].steps[0].to_string();
    assert!(told.ends_with("because slot 77 takes 57% of a node"), "{told}");
    world.hot.clear();
    world.run(250);
    assert_eq!(world.nodes.len(), 4, "{}", world.story());
}

#[test]
fn a_slot_that_is_too_hot_for_any_node_is_told() {
    let mut world = World::alike(1, 0, 4, 2 * GIB);
    world.knows_slots = true;
    world.load.0 = 200_000;
    world.hot.insert(SlotId::new(5).unwrap(), 450);
    world.run(30);
    let notes: Vec<Note> = world.plans.iter().flat_map(|plan| plan.notes.clone()).collect();
    assert_eq!(notes, [Note::SlotTooHot(SlotId::new(5).unwrap())]);
    assert_eq!(world.nodes.len(), 5, "one for it alone, and no more");
}

#[test]
fn slots_that_are_hot_together_part() {
    let mut world = World::alike(1, 0, 5, 2 * GIB);
    world.knows_slots = true;
    world.load.0 = 280_000;
    let first = *world.nodes.keys().next().unwrap();
    let slots = world.topology.slots().filter(|(_, it)| it.primary == Some(first));
    let hot: Vec<SlotId> = slots.map(|(slot, _)| slot).take(6).collect();
    hot.iter().for_each(|slot| {
        world.hot.insert(*slot, 40);
    });
    world.run(10);
    assert_eq!((world.story().as_str(), world.nodes.len()), ("move", 5));
    let left = hot.iter().filter(|it| world.topology.slot(**it).primary == Some(first)).count();
    assert!((1..=4).contains(&left), "{left} of 6 stay: as few move as is enough");
    world.run(100);
    assert_eq!(world.plans.len(), 1, "and then there is peace: {:?}", world.plans.last());
}

#[test]
fn what_nobody_knows_is_not_looked_at() {
    let unknown = Amounts { memory: 8 * GIB, ..Amounts::default() };
    let mut world = World::new(1, 0, &[(unknown, GIB); 2]);
    world.load = (9_000_000, 3 * GIB);
    world.run(10);
    assert_eq!((world.story().as_str(), world.nodes.len()), ("grow", 2));
}

/// Its node cannot be cooled, and nothing is moved in vain.
#[test]
fn a_lone_slot_that_gets_no_node_moves_nobody_in_vain() {
    let mut world = World::alike(1, 0, 4, 2 * GIB);
    world.policy.nodes_max = 4;
    world.knows_slots = true;
    world.load.0 = 200_000;
    world.hot.insert(SlotId::new(5).unwrap(), 350);
    world.run(60);
    let notes: Vec<Note> = world.plans.iter().flat_map(|plan| plan.notes.clone()).collect();
    assert_eq!((world.story().as_str(), notes), ("", vec![Note::NodesMax(Resource::Ecpu)]));
}

/// Of the slots of the first node, six that take a quarter of all the work together.
fn heat(world: &mut World) -> Vec<SlotId> {
    let first = *world.nodes.keys().next().unwrap();
    let slots = world.topology.slots().filter(|(_, it)| it.primary == Some(first));
    let hot: Vec<SlotId> = slots.map(|(slot, _)| slot).take(6).collect();
    world.hot.extend(hot.iter().map(|slot| (*slot, 40)));
    hot
}

/// A cache without a limit of data at its most nodes is always full: its hot slots move all the same.
#[test]
fn hot_slots_part_where_no_more_memory_can_be_had() {
    for replicas in 0..2 {
        let host = Amounts { memory: 2 * GIB, ..NODE };
        let mut world = World::new(1, replicas, &[(host, 2 * GIB); 5]);
        (world.policy.nodes_max, world.knows_slots) = (5, true);
        world.load = (280_000, 40 * GIB);
        let hot = heat(&mut world);
        let first = *world.nodes.keys().next().unwrap();
        world.run(10);
        assert_eq!((world.story().as_str(), world.nodes.len()), ("move", 5));
        let left = hot.iter().filter(|it| world.topology.slot(**it).primary == Some(first)).count();
        assert!((1..=4).contains(&left), "{left} of 6 stay");
        world.run(200);
        let moves = world.plans.iter().filter(|plan| !plan.steps.is_empty()).count();
        assert_eq!(moves, 1, "and then there is peace: {:?}", world.plans.last());
        let notes: Vec<Note> = world.plans.iter().flat_map(|plan| plan.notes.clone()).collect();
        assert_eq!(notes, [Note::NodesMax(Resource::Memory)]);
    }
}

/// Nobody has room for what is hot, and a node for a slot alone would be one for memory.
#[test]
fn no_slot_moves_where_work_is_short_too() {
    let host = Amounts { memory: 2 * GIB, ..NODE };
    let mut world = World::new(1, 0, &[(host, 2 * GIB); 5]);
    (world.policy.nodes_max, world.knows_slots) = (5, true);
    world.load = (480_000, 40 * GIB);
    heat(&mut world);
    world.run(100);
    assert_eq!(world.story(), "");
}

#[test]
fn memory_that_fills_is_ahead_of_what_comes() {
    const MIB: u64 = 1 << 20;
    let filling = |mib: u64, growth: u64| {
        let mut world = World::alike(1, 0, 2, 64 * MIB);
        (world.load.1, world.growth) = (mib * MIB, growth * MIB);
        world
    };
    for (mib, growth, granted) in [
        (20, 0, 128),
        (60, 0, 128),
        // Less than a 64th of all a second.
        (110, 1, 128),
        (20, 45, 128),
        // What comes in a second would leave less than is to be free: there is room for four.
        (60, 60, 256),
        (100, 20, 225),
        // No more than twice as much at a time.
        (20, 500, 256),
    ] {
        let plan = filling(mib, growth).look();
        let to = plan.steps.iter().map(|step| match step.action {
            Action::Grow { to, .. } => to / MIB,
            _ => panic!("{step}"),
        });
        let to = if plan.steps.is_empty() { 128 } else { to.sum() };
        assert!(to.abs_diff(granted) <= 2, "{mib} MiB, {growth} a second: {to}, {plan:?}");
        let why = Why::Filling(growth * MIB);
        assert!(plan.steps.iter().all(|step| step.why == why), "{plan:?}");
    }
    let mut world = filling(60, 60);
    world.limits = World::limit(Range::default(), Range { min: 0, max: 200 * MIB });
    world.run(5);
    assert!(world.granted() <= 210 * MIB, "{}: more may not be stored", world.granted());
    let mut world = filling(60, 60);
    world.run(1);
    world.growth = 0;
    world.run(100);
    assert_eq!((world.story().as_str(), world.granted() / MIB), ("grow", 256));
    world.run(60);
    assert!(world.granted() <= 128 * MIB, "given back: {}", world.granted() / MIB);
}

/// Nodes have joined, and slots are on their way to them: those who have them still take all that comes.
#[test]
fn memory_that_fills_is_ahead_where_the_slots_are() {
    const MIB: u64 = 1 << 20;
    let mut world = World::alike(1, 0, 2, 64 * MIB);
    (world.load.1, world.growth) = (100 * MIB, 30 * MIB);
    for _ in 0..6 {
        world.join(common::zone(0), NODE, 64 * MIB);
    }
    let plan = world.look();
    let first: Vec<_> = world.nodes.keys().take(2).copied().collect();
    let grows = |step: &memtide_planner::Step| matches!(step.action, Action::Grow { node, .. } if first.contains(&node));
    assert_eq!(plan.steps.iter().filter(|step| grows(step)).count(), 2, "{plan:?}");
}

fn slots_of(world: &World) -> Vec<usize> {
    let of = |node| world.topology.slots().filter(|(_, it)| it.is_held_by(node)).count();
    world.nodes.keys().map(|node| of(*node)).collect()
}

/// Large items of one node: all grow alike, so that no slot moves for it.
#[test]
fn a_node_that_fills_sooner_than_others_gets_room() {
    for replicas in 0..2 {
        let mut world = World::alike(1, replicas, 4, 2 * GIB);
        world.policy.nodes_min = 4;
        world.load.1 = 5 * GIB / (1 + u64::from(replicas));
        let slots = slots_of(&world);
        world.run(130);
        assert_eq!(world.story(), "");
        world.fat.insert(SlotId::new(5).unwrap(), GIB * 13 / 20);
        world.run(10);
        assert_eq!((world.story().as_str(), world.nodes.len()), ("grow", 4));
        let told = world.plans[0].steps[0].to_string();
        assert!(told.contains("is full to") && told.ends_with("while others have room"), "{told}");
        let grants: Vec<u64> = world.topology.nodes().values().map(|it| it.memory_max).collect();
        assert!(grants.iter().all(|it| *it == grants[0] && *it < 3 * GIB), "{grants:?}");
        assert_eq!(slots_of(&world), slots, "no slot moves for it");
        world.run(300);
        assert_eq!(world.plans.len(), 1, "and it is left alone: {:?}", world.plans.last());
        world.fat.clear();
        world.load.1 = 100 << 20;
        world.run(400);
        assert!(world.granted() < GIB, "given back: {}", world.granted());
    }
}

/// Where the others cannot grow, it does by itself, for as long as that helps.
#[test]
fn a_full_node_grows_alone_where_only_it_can() {
    let host = Amounts { memory: 2 * GIB, ..NODE };
    let mut world = World::new(1, 0, &[(NODE, 2 * GIB), (host, 2 * GIB), (host, 2 * GIB)]);
    (world.policy.nodes_min, world.policy.nodes_max) = (3, 3);
    world.load.1 = 3 * GIB;
    let first = *world.nodes.keys().next().unwrap();
    let slot = world.topology.slots().find(|(_, it)| it.primary == Some(first)).unwrap().0;
    world.fat.insert(slot, GIB * 9 / 10);
    world.run(60);
    assert_eq!((world.story().as_str(), world.nodes.len()), ("grow", 3));
    let held = world.observe().nodes[&first].load.memory;
    let granted = world.topology.nodes()[&first].memory_max;
    assert!(held < granted / 100 * 93 && granted <= 8 * GIB, "{held} of {granted}");
    let plans = world.plans.len();
    world.run(100);
    assert_eq!(world.plans.len(), plans, "{:?}", world.plans.last());
}
