use std::collections::{BTreeMap, BTreeSet};

use super::share::{ONE, divide};
use crate::{NodeId, Topology, Zone};

/// The nodes that may hold slots, and what the zones and memories make of them.
pub(super) struct Fleet {
    /// By id; elsewhere in this module a node is its place here.
    pub(super) nodes: Vec<Member>,
    /// How many slots there are to be held.
    pub(super) slots: usize,
    /// How many of the nodes each slot is to have.
    pub(super) holders: usize,
    /// So many holders of each slot are in every zone that has as many nodes.
    level: usize,
    /// So many zones have one holder more of each slot.
    zones_above: usize,
}

/// A node that may hold slots.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) zone: usize,
    /// Of the copies of all slots, in units of 1/[`ONE`](super::share::ONE).
    pub(super) share: u128,
}

impl Fleet {
    pub(super) fn of(topology: &Topology, down: &BTreeSet<NodeId>, slots: usize) -> Self {
        let usable = topology.nodes().iter();
        let usable = usable.filter(|(id, node)| !node.is_draining && !down.contains(id));
        let mut zones: BTreeMap<&Zone, Vec<(NodeId, u128)>> = BTreeMap::new();
        for (id, node) in usable {
            // A node without memory would still be needed where it is the only one of its zone.
            let weight = u128::from(node.memory_max.max(1));
            zones.entry(&node.zone).or_default().push((*id, weight));
        }
        let zones: Vec<_> = zones.into_values().collect();
        let sizes: Vec<usize> = zones.iter().map(Vec::len).collect();
        let holders = sizes.iter().sum::<usize>().min(1 + usize::from(topology.replicas_wanted()));
        let level = (1..=holders).take_while(|level| filled(&sizes, *level) <= holders).last();
        let level = level.unwrap_or(0);
        let zones_above = holders - filled(&sizes, level);
        let mut fleet = Self { nodes: Vec::new(), slots, holders, level, zones_above };
        let all = fleet.copies(1);
        for (zone, share) in fleet.zone_shares(&zones).into_iter().enumerate() {
            let weights: Vec<u128> = zones[zone].iter().map(|(_, weight)| *weight).collect();
            let shares = divide(share, &weights, &vec![(0, all); weights.len()]);
            let members = zones[zone].iter().zip(shares);
            fleet.nodes.extend(members.map(|((id, _), share)| Member { id: *id, zone, share }));
        }
        fleet.nodes.sort_by_key(|node| node.id);
        fleet
    }

    /// Of all copies, by memory as far as every slot's holders are evenly over the zones.
    fn zone_shares(&self, zones: &[Vec<(NodeId, u128)>]) -> Vec<u128> {
        let weight = |zone: &Vec<(NodeId, u128)>| zone.iter().map(|(_, weight)| weight).sum();
        let bounds = |zone: &Vec<(NodeId, u128)>| {
            let least = self.copies(zone.len().min(self.level));
            let one_more = if zone.len() > self.level { self.copies(1) } else { 0 };
            (least, least + one_more)
        };
        let weights: Vec<u128> = zones.iter().map(weight).collect();
        divide(self.copies(self.holders), &weights, &zones.iter().map(bounds).collect::<Vec<_>>())
    }

    /// So many copies of every slot, in units of 1/[`ONE`].
    fn copies(&self, copies: usize) -> u128 {
        ONE * u128::try_from(self.slots * copies).expect("a count of copies")
    }

    /// The place of a node that may hold slots.
    pub(super) fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |member| member.id).ok()
    }

    /// Whether a slot with these holders may have another, as far as the zones go.
    pub(super) fn has_room(
        &self,
        holders: impl Iterator<Item = usize> + Clone,
        node: usize,
    ) -> bool {
        let count = |zone: usize| holders.clone().filter(|at| self.nodes[*at].zone == zone).count();
        let here = count(self.nodes[node].zone);
        // A zone above the level has `level + 1` holders, each of which counts once in this sum.
        let above = holders.clone().filter(|at| count(self.nodes[*at].zone) > self.level).count();
        here < self.level || here == self.level && above / (self.level + 1) < self.zones_above
    }
}

/// Holders of a slot that have no more than `level` in any zone, at most.
fn filled(sizes: &[usize], level: usize) -> usize {
    sizes.iter().map(|nodes| level.min(*nodes)).sum()
}
