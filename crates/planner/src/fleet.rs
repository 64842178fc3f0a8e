//! What a fleet could carry if its slots were where the manager will have them.

use std::collections::BTreeMap;

use memtide_topology::{NodeId, Topology, Zone};

use crate::amounts::{at_permille, scaled};
use crate::{Action, Amounts, Observation, Resource};

/// Nodes that hold slots by their memory, those among them that are still to come.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) zones: Vec<Zone>,
    pub(crate) members: Vec<Member>,
    /// Copies that there are to be of each slot.
    holders: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// `None` of one that is to come.
    pub(crate) node: Option<NodeId>,
    pub(crate) zone: usize,
    /// Bytes that it may hold: its weight.
    pub(crate) grant: u64,
    /// The least that one that is to come can be granted; nothing of the others.
    least: u64,
    /// What it has been granted so far.
    pub(crate) granted: u64,
    /// Of memory its host's share.
    pub(crate) capacity: Amounts,
    /// Bytes that it holds.
    pub(crate) used: u64,
}

/// Whole copies of slots that nodes have.
#[derive(Debug, Default)]
pub(crate) struct Held {
    slots: BTreeMap<NodeId, u64>,
    all: u64,
}

impl Held {
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut held = Self::default();
        for (_, config) in topology.slots() {
            for node in config.complete() {
                *held.slots.entry(node).or_default() += 1;
                held.all += 1;
            }
        }
        held
    }

    /// A node's part of an amount, by the slots that it has.
    pub(crate) fn part(&self, node: NodeId, amount: u64) -> u64 {
        scaled(amount, self.slots.get(&node).copied().unwrap_or(0), self.all)
    }
}

impl Fleet {
    /// Those that are up, stay and are for all slots, with what is under way done.
    pub(crate) fn of(seen: &Observation) -> Self {
        let mut fleet = Self::empty(seen.holders());
        for (node, info) in seen.topology.nodes() {
            let Some(it) = seen.up(*node) else { continue };
            if seen.is_leaving(*node) || it.reserved_for.is_some() {
                continue;
            }
            let mut grant = seen.expected().filter_map(|it| match it.action {
                Action::Grow { node: it, to, .. } | Action::Shrink { node: it, to, .. } => {
                    (it == *node).then_some(to)
                }
                _ => None,
            });
            let granted = info.memory_max;
            let grant = grant.next_back().unwrap_or(granted);
            let zone = fleet.zone(&info.zone);
            let mut capacity = it.capacity;
            capacity.memory = capacity.memory.max(grant);
            let (node, used) = (Some(*node), it.load.memory.max(it.memory_held));
            let least = 0;
            fleet.members.push(Member { node, zone, grant, least, granted, capacity, used });
        }
        for it in seen.expected() {
            if let Action::Add { offer, ref zone, memory, .. } = it.action {
                let offer = seen.offers.iter().find(|it| it.id == offer);
                // Of an offer that is gone nothing is known but that it is like the others.
                let like = fleet.members.first().map(|it| it.capacity).unwrap_or_default();
                let capacity = offer.map_or(like, |offer| offer.capacity);
                let least = memory;
                (0..it.nodes_missing).for_each(|_| fleet.add(zone, (memory, least), capacity));
            }
        }
        fleet
    }

    pub(crate) const fn empty(holders: usize) -> Self {
        Self { zones: Vec::new(), members: Vec::new(), holders }
    }

    /// One more that is to come, with what it is granted, and could be at the least.
    pub(crate) fn add(&mut self, zone: &Zone, (grant, least): (u64, u64), mut capacity: Amounts) {
        let zone = self.zone(zone);
        capacity.memory = capacity.memory.max(grant);
        let (node, granted, used) = (None, grant, 0);
        self.members.push(Member { node, zone, grant, least, granted, capacity, used });
    }

    /// Without one of them.
    pub(crate) fn without(&self, member: usize) -> Self {
        let mut fleet = self.clone();
        fleet.members.remove(member);
        fleet
    }

    pub(crate) fn zone(&mut self, zone: &Zone) -> usize {
        let known = self.zones.iter().position(|it| it == zone);
        known.unwrap_or_else(|| {
            self.zones.push(zone.clone());
            self.zones.len() - 1
        })
    }

    /// By zone, its members' memory.
    pub(crate) fn weights(&self) -> Vec<u64> {
        let mut weights = vec![0_u64; self.zones.len()];
        self.members.iter().for_each(|it| weights[it.zone] += it.grant);
        weights
    }

    /// Zones that have members.
    pub(crate) fn zones_used(&self) -> usize {
        self.weights().iter().filter(|weight| **weight > 0).count()
    }

    pub(crate) fn granted(&self) -> u64 {
        self.members.iter().map(|it| it.grant).sum()
    }

    /// How much of a resource all of them can give, without any of them being asked for more than it
    /// has; `None` where that is not known.
    pub(crate) fn capacity(&self, resource: Resource) -> Option<u64> {
        let shares = self.shares();
        let all: f64 = shares.iter().sum();
        let of = |it: &Member| {
            if resource == Resource::Memory { it.grant } else { it.capacity[resource] }
        };
        let members = self.members.iter().zip(shares);
        let members = members.filter(|(it, share)| of(it) > 0 && *share > 0.0);
        let each = members.map(|(it, share)| of(it) as f64 * all / share);
        each.min_by(f64::total_cmp).map(whole)
    }

    /// How much memory those that are there can give with the slots where they are.
    pub(crate) fn memory_here(&self, topology: &Topology) -> Option<u64> {
        let held = Held::of(topology);
        let count = |it: &Member| held.slots.get(&it.node?).copied().filter(|count| *count > 0);
        let members = self.members.iter().filter_map(|it| Some((it.grant, count(it)?)));
        members.map(|(grant, count)| scaled(grant, held.all, count)).min()
    }

    /// Copies of each slot that every member will have on average: as [`memtide_topology::Target`] has it, by memory, as far as
    /// the holders of a slot can be evenly over the zones, and no more than one.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let mut zones: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate() {
            zones.entry(member.zone).or_default().push(at);
        }
        let zones: Vec<Vec<usize>> = zones.into_values().collect();
        let holders = self.holders.min(self.members.len());
        let filled = |level: usize| zones.iter().map(|zone| level.min(zone.len())).sum::<usize>();
        let level = (1..=holders).take_while(|level| filled(*level) <= holders).last().unwrap_or(0);
        let grant = |at: &usize| self.members[*at].grant.max(1) as f64;
        let weights: Vec<f64> = zones.iter().map(|zone| zone.iter().map(grant).sum()).collect();
        let bounds = zones.iter().map(|zone| {
            let least = zone.len().min(level) as f64;
            (least, least + if zone.len() > level { 1.0 } else { 0.0 })
        });
        let of_zones = divide(holders as f64, &weights, &bounds.collect::<Vec<_>>());
        let mut shares = vec![0.0; self.members.len()];
        for (zone, share) in zones.iter().zip(of_zones) {
            let weights: Vec<f64> = zone.iter().map(grant).collect();
            let divided = divide(share, &weights, &vec![(0.0, 1.0); zone.len()]);
            zone.iter().zip(divided).for_each(|(at, share)| shares[*at] = share);
        }
        shares
    }

    /// Divides memory among the members by what work they can do, so that they are all as busy, nobody getting
    /// more than its host's share. Nobody gets less than before where nothing is `loosened`; otherwise so much
    /// that of it no more than `loosened` thousandths are in use: slots move for that, and leave before they are evicted.
    pub(crate) fn grant(
        &mut self,
        total: u64,
        is_fixed: impl Fn(NodeId) -> bool,
        loosened: Option<u64>,
    ) {
        let strength = |it: &Member| it.capacity.ecpu.max(it.capacity.cpu).max(1) as f64;
        let weights: Vec<f64> = self.members.iter().map(strength).collect();
        let bounds = self.members.iter().map(|it| {
            let is_fixed = it.node.is_some_and(&is_fixed);
            let most = if is_fixed { it.grant } else { it.capacity.memory.max(it.grant) };
            let least = match loosened {
                Some(band) if !is_fixed => at_permille(it.used, band).max(it.least).min(it.grant),
                _ => it.grant,
            };
            (least as f64, most as f64)
        });
        let bounds: Vec<(f64, f64)> = bounds.collect();
        let least: f64 = bounds.iter().map(|it| it.0).sum();
        let most: f64 = bounds.iter().map(|it| it.1).sum();
        let divided = divide((total as f64).clamp(least, most.max(least)), &weights, &bounds);
        self.members.iter_mut().zip(divided).for_each(|(it, grant)| it.grant = whole(grant));
    }
}

/// Divides a total by weights, nobody getting less or more than its bounds, which must allow it; what bounds
/// cut off goes to or comes from the others, by their weights.
pub(crate) fn divide(total: f64, weights: &[f64], bounds: &[(f64, f64)]) -> Vec<f64> {
    let mut shares: Vec<Option<f64>> = vec![None; weights.len()];
    loop {
        let free: Vec<usize> = (0..weights.len()).filter(|at| shares[*at].is_none()).collect();
        let weight: f64 = free.iter().map(|at| weights[*at]).sum();
        let rest = (total - shares.iter().flatten().sum::<f64>()).max(0.0);
        let share = |at: usize| rest * weights[at] / weight;
        let lacks: f64 = free.iter().map(|at| (bounds[*at].0 - share(*at)).max(0.0)).sum();
        let exceeds: f64 = free.iter().map(|at| (share(*at) - bounds[*at].1).max(0.0)).sum();
        // As in the layout of flexible boxes: what is bound on the side that weighs more stays so.
        let bound: Vec<(usize, f64)> = if lacks <= 0.0 && exceeds <= 0.0 {
            free.iter().map(|at| (*at, share(*at))).collect()
        } else if lacks >= exceeds {
            let low = free.iter().filter(|at| share(**at) < bounds[**at].0);
            low.map(|at| (*at, bounds[*at].0)).collect()
        } else {
            let high = free.iter().filter(|at| share(**at) > bounds[**at].1);
            high.map(|at| (*at, bounds[*at].1)).collect()
        };
        bound.into_iter().for_each(|(at, share)| shares[at] = Some(share));
        if let Some(shares) = shares.iter().copied().collect() {
            return shares;
        }
    }
}

/// The amount below; nothing of what is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "such a conversion saturates, and amounts are not below 0"
)]
pub(crate) fn whole(amount: f64) -> u64 {
    amount as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use memtide_topology::{
        CacheId, Change, HashSeed, NodeInfo, Pace, SLOTS, Target, Topology, Update,
    };
    use proptest::prelude::*;

    use super::*;

    /// Slots of each node, where the placement has them.
    fn placed(members: &[(usize, u64)], replicas: u8) -> Vec<usize> {
        let mut topology =
            Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas).unwrap();
        for (number, (zone, memory_max)) in (1..).zip(members) {
            let zone = Zone::new(&format!("z{zone}")).unwrap();
            let (node, address) = (NodeId::new(number), format!("n{number}:1"));
            let info = NodeInfo { address, zone, memory_max: *memory_max, is_draining: false };
            let changes = vec![Change::AddNode { node, info }];
            let update = Update { parent: topology.epoch(), changes };
            topology = topology.apply(&update).unwrap();
        }
        let target = Target::of(&topology, &BTreeSet::new());
        let changes = target.next_changes(&topology, Pace::UNBOUNDED);
        let update = Update { parent: topology.epoch(), changes };
        let topology = topology.apply(&update).unwrap();
        let of = |node| topology.slots().filter(|(_, it)| it.is_held_by(node)).count();
        (1..).take(members.len()).map(|number| of(NodeId::new(number))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// What is expected of a node is what the placement gives it.
        #[test]
        fn shares_are_those_of_the_placement(
            members in proptest::collection::vec((0..4_usize, 1..10_u64), 1..9),
            replicas in 0..4_u8,
        ) {
            let mut fleet = Fleet::empty(1 + usize::from(replicas));
            for (zone, grant) in &members {
                let zone = Zone::new(&format!("z{zone}")).unwrap();
                fleet.add(&zone, (grant << 30, 0), Amounts::default());
            }
            let shares = fleet.shares();
            let scaled: Vec<(usize, u64)> =
                members.iter().map(|(zone, grant)| (*zone, grant << 30)).collect();
            for (share, slots) in shares.iter().zip(placed(&scaled, replicas)) {
                let expected = share * f64::from(SLOTS);
                let is_near = (expected * 0.97 - 2.0..=expected * 1.03 + 2.0).contains(&(slots as f64));
                prop_assert!(is_near, "{slots} slots, {expected} expected: {shares:?}");
            }
        }
    }
}
