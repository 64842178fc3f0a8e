//! What holds for every fleet, load and policy: random ones, of seeds that a failure prints.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers of tests")]

mod common;

use core::time::Duration;
use std::collections::BTreeSet;

use common::{GIB, World, added, offer};
use memtide_limits::Range;
use memtide_planner::{Action, Amounts, Observation, Plan, Resource, StepId, plan};
use memtide_topology::{NodeId, SlotId};
use proptest::prelude::*;

/// Zones, replicas, nodes by what they can do, load and data, limits, the most nodes, a hot slot, and what is known.
#[derive(Clone, Debug)]
struct Case {
    zones: usize,
    replicas: u8,
    nodes: Vec<(u64, u64, u64)>,
    load: (u64, u64),
    limits: (Range, Range),
    nodes_max: usize,
    hot: Option<(u16, u64)>,
    knows: (bool, bool),
    offers: Vec<(usize, u32)>,
}

fn range(most: u64) -> impl Strategy<Value = Range> {
    let some = (0..most, 0..most).prop_map(|(a, b)| Range { min: a.min(b), max: a.max(b) });
    prop_oneof![3 => Just(Range::default()), 1 => some]
}

fn case() -> impl Strategy<Value = Case> {
    let node = (1..5_u64, 1..9_u64, 1..9_u64);
    let fleet = (1..4_usize, 0..3_u8, proptest::collection::vec(node, 1..9));
    let load = (0..900_000_u64, 0..24 * GIB);
    let limits = (range(600_000), range(20 * GIB));
    let hot = proptest::option::weighted(0.4, (0..16_384_u16, 50..600_u64));
    let offers = proptest::collection::vec((0..3_usize, 0..30_u32), 0..4);
    let rest = (4..24_usize, hot, (any::<bool>(), any::<bool>()), offers);
    (fleet, load, limits, rest).prop_map(|(fleet, load, limits, rest)| Case {
        zones: fleet.0,
        replicas: fleet.1,
        nodes: fleet.2,
        load,
        limits,
        nodes_max: rest.0,
        hot: rest.1,
        knows: rest.2,
        offers: rest.3,
    })
}

fn world(case: &Case) -> World {
    let nodes: Vec<(Amounts, u64)> = case
        .nodes
        .iter()
        .map(|(cores, share, granted)| {
            let (memory, ecpu, cpu) = (share * GIB, cores * 50_000, cores * 1_000);
            let granted = (*granted * GIB / 4).min(memory);
            (Amounts { memory, ecpu, cpu, network: 1 << 30 }, granted)
        })
        .collect();
    let mut world = World::new(case.zones, case.replicas, &nodes);
    world.load = case.load;
    world.limits = World::limit(case.limits.0, case.limits.1);
    // A shorter memory, for shorter tests.
    world.policy.in_after = Duration::from_secs(30);
    world.policy.cool_down = Duration::from_secs(15);
    world.policy.nodes_max = case.nodes_max.max(nodes.len());
    (world.knows_slots, world.knows_demand) = case.knows;
    world.hot.extend(case.hot.map(|(slot, part)| (SlotId::new(slot).unwrap(), part)));
    let offers = case.offers.iter().enumerate();
    world.offers =
        offers.map(|(id, (zone, nodes))| offer(id as u32, zone % case.zones, *nodes)).collect();
    world
}

/// What no plan may do, whatever was seen.
fn check(world: &World, plan: &Plan, ids: &mut BTreeSet<StepId>) {
    if plan.steps.is_empty() {
        return;
    }
    let seen = world.observe();
    let nodes = world.topology.nodes();
    assert!(plan.steps.iter().all(|step| ids.insert(step.id)), "a step's name twice: {plan:?}");
    let all = nodes.len() + added(plan) as usize;
    assert!(added(plan) == 0 || all <= world.policy.nodes_max, "{all} nodes: {plan:?}");
    let mut rest: BTreeSet<NodeId> = nodes.keys().copied().collect();
    for step in &plan.steps {
        match &step.action {
            Action::Grow { node, from, to } => {
                assert!(to > from && *to <= seen.nodes[node].capacity.memory, "{step}");
            }
            Action::Shrink { node, from, to } => {
                let used = seen.nodes[node].load.memory;
                assert!(to < from && *to >= used, "{step}: {used} used, none is to be evicted");
            }
            Action::Add { offer, zone, nodes, memory } => {
                let offer = world.offers.iter().find(|it| it.id == *offer).unwrap();
                assert!(offer.zone == *zone && *nodes <= offer.nodes, "{step}");
                assert!((offer.memory_min..=offer.capacity.memory).contains(memory), "{step}");
            }
            Action::Drain { node } => {
                assert!(rest.remove(node), "{step}");
            }
            _ => {}
        }
    }
    if rest.len() < nodes.len() {
        assert_eq!(added(plan), 0, "out and in at once: {plan:?}");
        check_rest(&seen, plan, &rest);
    }
}

/// What stays when nodes leave.
fn check_rest(seen: &Observation, plan: &Plan, rest: &BTreeSet<NodeId>) {
    let nodes = seen.topology.nodes();
    let is_of_one = |node: &NodeId| seen.nodes[node].reserved_for.is_some();
    if nodes.keys().filter(|it| !rest.contains(it)).all(is_of_one) {
        return;
    }
    assert!(nodes.keys().all(|node| seen.nodes[node].is_up), "of a fleet that is not whole");
    let grown = |node: &NodeId| {
        let to = plan.steps.iter().find_map(|step| match step.action {
            Action::Grow { node: it, to, .. } | Action::Shrink { node: it, to, .. } => {
                (it == *node).then_some(to)
            }
            _ => None,
        });
        to.unwrap_or(nodes[node].memory_max)
    };
    let granted: u64 = rest.iter().filter(|it| !is_of_one(it)).map(grown).sum();
    let held: u64 = seen.nodes.values().map(|it| it.load.memory).sum();
    assert!(granted >= held, "{granted} bytes are left for {held}: {plan:?}");
    let holders = 1 + usize::from(seen.topology.replicas_wanted());
    assert!(rest.len() >= holders, "{plan:?}");
    let zones = |these: &mut dyn Iterator<Item = &NodeId>| {
        these.map(|node| &nodes[node].zone).collect::<BTreeSet<_>>().len()
    };
    let (before, after) = (zones(&mut nodes.keys()), zones(&mut rest.iter()));
    assert!(after >= before.min(holders), "zones {before} to {after}: {plan:?}");
    let complete = |(_, config): (_, &std::sync::Arc<memtide_topology::SlotConfig>)| {
        config.complete().count() >= holders.min(nodes.len())
    };
    assert!(seen.topology.slots().all(complete), "some slot has too few copies: {plan:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A load that stays ends in a fleet that stays: it grows, it may be trimmed, and then nothing is done any more.
    #[test]
    fn a_steady_load_ends_in_peace(case in case()) {
        let mut world = world(&case);
        let mut ids = BTreeSet::new();
        let mut last = None;
        for _ in 0..300 {
            let at = world.now;
            let plan = world.look();
            check(&world, &plan, &mut ids);
            if !plan.steps.is_empty() {
                last = Some(at);
            }
            world.execute(&plan);
        }
        let story = world.story();
        prop_assert!(last.is_none_or(|at| at.as_secs() < 240), "{story}: {:?}", world.plans.last());
        // But for a slot that is too hot for what is left.
        let adds = |plan: &Plan| plan.steps.iter().any(|it| matches!(it.action, Action::Add { .. }));
        let out = world.plans.iter().rposition(adds);
        let back = world.plans.iter().position(|plan| {
            plan.steps.iter().any(|step| matches!(step.action, Action::Drain { .. }))
        });
        let is_regretted = out.zip(back).is_some_and(|(out, back)| out > back);
        prop_assert!(!is_regretted, "given back and then added: {story}: {:?}", world.plans);
        // There is enough of everything, or it is said why not.
        let plan = world.look();
        let seen = world.observe();
        for resource in Resource::ALL {
            let need = plan.figures.of(resource);
            let is_short = need.capacity.is_some_and(|it| it + it / 64 < need.least);
            let is_told = world.plans.iter().any(|plan| !plan.notes.is_empty());
            prop_assert!(!is_short || is_told, "{resource}: {need:?} of {:?}", seen.nodes);
        }
    }

    /// Loads that jump, nodes that are lost: no plan breaks a rule, and the same observation gives the same plan.
    #[test]
    fn no_plan_breaks_a_rule(
        case in case(),
        turns in proptest::collection::vec((0..1_500_000_u64, 0..30 * GIB, 1..60_u64, any::<u8>()), 1..6),
    ) {
        let mut world = world(&case);
        let mut ids = BTreeSet::new();
        for (load, data, seconds, what) in turns {
            world.load = (load, data);
            world.down.clear();
            if what < 60 && world.nodes.len() > 1 {
                let nodes: Vec<NodeId> = world.nodes.keys().copied().collect();
                world.down.push(nodes[usize::from(what) % nodes.len()]);
            }
            for _ in 0..seconds {
                let again = plan(&world.observe(), &world.policy, world.past.clone());
                let plan = world.look();
                prop_assert_eq!(&again.0, &plan);
                check(&world, &plan, &mut ids);
                if world.down.is_empty() {
                    world.execute(&plan);
                }
            }
        }
    }

    /// What is under way is not planned again.
    #[test]
    fn steps_that_are_under_way_are_not_repeated(case in case()) {
        let mut world = world(&case);
        for _ in 0..60 {
            let plan = world.look();
            if plan.steps.is_empty() {
                continue;
            }
            let since = world.now;
            world.under_way = plan.steps.iter().map(|step| {
                let nodes_missing = match step.action {
                    Action::Add { nodes, .. } => nodes,
                    Action::Isolate { .. } => 1,
                    _ => 0,
                };
                let step = step.clone();
                memtide_planner::UnderWay {
                    id: step.id,
                    action: step.action,
                    since,
                    nodes_missing,
                    is_given_up: false,
                }
            }).collect();
            for offer in &mut world.offers {
                for step in &plan.steps {
                    if let Action::Add { offer: it, nodes, .. } = step.action
                        && it == offer.id
                    {
                        offer.nodes -= nodes;
                    }
                    if let Action::Isolate { offer: it, .. } = step.action
                        && it == offer.id
                    {
                        offer.nodes -= 1;
                    }
                }
            }
            for _ in 0..5 {
                let again = world.look();
                let is_same = |step: &memtide_planner::Step| {
                    !matches!(step.action, Action::Move { .. })
                        && plan.steps.iter().any(|it| it.action == step.action)
                };
                prop_assert!(!again.steps.iter().any(is_same), "{plan:?}\nthen {again:?}");
                let is_told = !plan.notes.is_empty();
                // A slot that turns out to be hot is news.
                let adds = |step: &memtide_planner::Step| matches!(step.action, Action::Add { .. });
                // Memory in place comes at once, and nodes once it is sure that something is short.
                let adds_more = plan.steps.iter().any(adds) && again.steps.iter().any(adds);
                prop_assert!(is_told || !adds_more, "{:?}\nthen {:?}", plan, again);
            }
            break;
        }
    }
}
