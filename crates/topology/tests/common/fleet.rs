//! A fleet that follows its placement: learners catch up, nodes die.

use super::*;
use memtide_topology::{CaughtUp, Failover, Pace, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Rounds in which any fleet settles when everything is done that may be.
const ROUNDS_MAX: usize = 12;

pub fn nobody() -> BTreeSet<NodeId> {
    BTreeSet::new()
}

pub fn load(topology: &Topology, node: NodeId) -> usize {
    topology.slots().filter(|(_, config)| config.is_held_by(node)).count()
}

/// Does what may be done next; nothing complete is given up before its successors are complete.
pub fn step(topology: &Topology, pace: Pace) -> Topology {
    let target = Target::of(topology, &nobody());
    let next = apply(topology, target.next_changes(topology, pace));
    for (at, config) in next.slots() {
        let before = topology.slot(at).complete().count();
        let wanted = target.slot(at).unwrap().holders().count();
        assert!(config.complete().count() >= before.min(wanted), "{at:?} lost a complete holder");
    }
    next
}

/// Every learner has caught up.
pub fn catch_up(topology: &Topology) -> Topology {
    let reports = topology.slots().flat_map(|(slot, config)| {
        let learners = config.copies.iter().filter(|copy| !copy.is_in_sync);
        learners.map(move |copy| CaughtUp {
            slot,
            epoch: config.epoch,
            node: copy.node,
            since: copy.since,
        })
    });
    apply(topology, vec![Change::MakeInSync { reports: reports.collect() }])
}

/// The fleet when nothing more is to be done, and after how many rounds; each with a new target.
pub fn settled(topology: &Topology) -> (Topology, usize) {
    let mut topology = topology.clone();
    for round in 0..=ROUNDS_MAX {
        let next = catch_up(&step(&topology, Pace::UNBOUNDED));
        if next.slots().eq(topology.slots()) {
            return (next, round);
        }
        topology = next;
    }
    panic!("not settled in {ROUNDS_MAX} rounds");
}

/// A node dies, and what it had alone is given up.
pub fn kill(topology: &Topology, dead: NodeId) -> Topology {
    let failover = Failover::of(topology, &BTreeSet::from([dead]));
    let mut changes = failover.changes;
    changes.push(Change::Abandon { slots: failover.lost });
    changes.push(Change::RemoveNode { node: dead });
    apply(topology, changes)
}

/// Every rule of where slots belong, from their statement and not from how they are placed.
pub fn assert_settled(topology: &Topology, down: &BTreeSet<NodeId>) {
    let nodes = topology.nodes().iter();
    let usable: BTreeMap<NodeId, &NodeInfo> = nodes
        .filter(|(id, node)| !node.is_draining && !down.contains(id))
        .map(|(id, node)| (*id, node))
        .collect();
    if usable.is_empty() {
        return;
    }
    let holders = usable.len().min(1 + usize::from(topology.replicas_wanted()));
    let mut zones: BTreeMap<&Zone, usize> = BTreeMap::new();
    usable.values().for_each(|node| *zones.entry(&node.zone).or_default() += 1);
    for (at, config) in topology.slots() {
        assert_eq!(config.complete().count(), holders, "{at:?}: {config:?}");
        assert_eq!(config.learners().count(), 0, "{at:?}");
        assert!(config.holders().all(|node| usable.contains_key(&node)), "{at:?}");
        let count =
            |zone: &Zone| config.holders().filter(|node| usable[node].zone == *zone).count();
        for crowded in zones.keys() {
            let has_room = |(zone, size): (&&Zone, &usize)| {
                count(zone) < *size && count(zone) + 1 < count(crowded)
            };
            assert!(!zones.iter().any(has_room), "{at:?} crowds {crowded}: {config:?}");
        }
    }
    assert_balanced(topology, &usable, &zones, holders);
}

fn assert_balanced(
    topology: &Topology,
    usable: &BTreeMap<NodeId, &NodeInfo>,
    zones: &BTreeMap<&Zone, usize>,
    holders: usize,
) {
    let slots = f64::from(SLOTS);
    let mut loads: BTreeMap<NodeId, (f64, f64)> =
        usable.keys().map(|node| (*node, (0.0, 0.0))).collect();
    for (_, config) in topology.slots() {
        config.holders().for_each(|node| loads.get_mut(&node).unwrap().0 += 1.0);
        loads.get_mut(&config.primary.unwrap()).unwrap().1 += 1.0;
    }
    let is_near = |what: &str, node: NodeId, count: f64, share: f64, slack: f64| {
        let (low, high) = ((share * (1.0 - slack)).floor(), (share * (1.0 + slack)).ceil());
        assert!((low..=high).contains(&count), "{node}: {count} {what}, its share is {share}");
    };
    let memory = |of: &dyn Fn(&NodeInfo) -> bool| -> f64 {
        usable.values().filter(|node| of(node)).map(|node| node.memory_max as f64).sum()
    };
    let copies = slots * holders as f64;
    let share = |part: f64, whole: f64, copies: f64| copies * part / whole;
    let all = memory(&|_| true);
    let of_zone = |zone: &Zone| memory(&|node: &NodeInfo| node.zone == *zone);
    let is_free = holders <= zones.len()
        && zones.keys().all(|zone| share(of_zone(zone), all, copies) <= slots)
        && (holders < zones.len() || zones.len() == 1);
    for (node, (load, primaries)) in &loads {
        is_near("primaries", *node, *primaries, load / holders as f64, 0.021);
        let own = usable[node].memory_max as f64;
        if is_free {
            is_near("copies", *node, *load, share(own, all, copies), 0.021);
        }
        let peers: Vec<NodeId> =
            usable.keys().filter(|peer| usable[peer].zone == usable[node].zone).copied().collect();
        if peers.iter().all(|peer| loads[peer].0 < slots * 0.9) {
            let together: f64 = peers.iter().map(|peer| loads[peer].0).sum();
            let share = share(own, of_zone(&usable[node].zone), together);
            is_near("copies in its zone", *node, *load, share, 0.045);
        }
    }
}
