//! Where the slots of a cache belong, and the next steps to get there.
//!
//! ```text
//! who holds what, nodes --Target::of--> who should --next_changes--> an update --> again
//!
//! Fleet       the nodes that may hold slots, and each one's share of the copies
//! Assignment  keep what is right, fill what is missing, then even out (even)
//! Primaries   which of the holders is the primary, evened out alike
//! steps       what design note 0007 lets one do next for a slot
//! ```
//! All of it is a function of the topology: no random source, and no memory between two calls.

mod assignment;
mod even;
mod fleet;
mod primaries;
mod share;
mod steps;

use std::collections::BTreeSet;

use crate::{NodeId, SlotConfig, SlotId, Topology};
use assignment::Assignment;
use fleet::Fleet;
use primaries::Primaries;

pub use steps::Pace;

/// How the slots of a cache should be held.
///
/// Every slot has its primary and the wanted replicas on different nodes, or as many as there are
/// nodes. In order of precedence:
///
/// 1. No node holds a slot that is draining or down.
/// 2. The holders of a slot are as evenly over the zones as the nodes allow: two share a zone only
///    where each other zone has one too, or has no node for it.
/// 3. Of the copies that the zones leave free, each node holds its share by
///    [`memory_max`](crate::NodeInfo::memory_max), from 2% less, rounded down, to 2% more, rounded
///    up. Nobody's share is above one copy of every slot; what is above goes to the others.
/// 4. Of what a node holds, it is the primary of its share, one slot in as many as each has
///    holders, within the same bounds.
/// 5. As little as possible is copied: what is held stays where it is unless one of these rules moves
///    it. A node that joins n others as large gets at most its share, rounded up, and nothing else is
///    copied; where zones differ in size, some slots fit it only by way of another node.
///
/// A slot that is on its way somewhere gets there before it is moved anew; while many are, the shares
/// may be missed, and are kept once they have arrived and the target is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The slots that it is of, in ascending order.
    ids: Vec<SlotId>,
    /// By place among these.
    slots: Vec<Wanted>,
    down: BTreeSet<NodeId>,
}

/// How a slot should be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By whom; `None` where no node may hold anything.
    pub primary: Option<NodeId>,
    /// Its replicas, by node.
    pub copies: Vec<NodeId>,
}

impl Target {
    /// How the slots of this topology should be held while these nodes are silent or dead.
    #[must_use]
    pub fn of(topology: &Topology, down: &BTreeSet<NodeId>) -> Self {
        Self::of_slots(topology, down, SlotId::all())
    }

    /// How some slots should be held, as if there were no others. They are in ascending order, none
    /// twice.
    #[must_use]
    pub fn of_slots(
        topology: &Topology,
        down: &BTreeSet<NodeId>,
        slots: impl IntoIterator<Item = SlotId>,
    ) -> Self {
        let ids: Vec<SlotId> = slots.into_iter().collect();
        let fleet = Fleet::of(topology, down, ids.len());
        let mut assignment = Assignment::of(topology, &fleet, &ids);
        assignment.fill();
        assignment.even_out();
        let primaries = Primaries::of(topology, &assignment, &ids).even_out();
        let slots = primaries.iter().enumerate().map(|(at, primary)| {
            let others = assignment.holders(at).iter().filter(|holder| Some(**holder) != *primary);
            let mut copies: Vec<_> = others.map(|holder| fleet.nodes[*holder].id).collect();
            copies.sort_unstable();
            Wanted { primary: primary.map(|holder| fleet.nodes[holder].id), copies }
        });
        let slots = slots.collect();
        Self { ids, slots, down: down.clone() }
    }

    /// Wants a node as the primary of a slot that has one, for reasons of its own. It replaces another
    /// holder where it is none: one of its zone, else one that does not have the slot yet, else the
    /// primary. Nothing happens to slots that the target is not of.
    pub fn pin(&mut self, topology: &Topology, slot: SlotId, node: NodeId) {
        let Some(at) = self.place(slot) else { return };
        let wanted = &self.slots[at];
        let Some(primary) = wanted.primary else { return };
        let zone = |node: NodeId| topology.nodes().get(&node).map(|info| &info.zone);
        let config = topology.slot(slot);
        let holders = || wanted.copies.iter().copied().chain([primary]);
        let replaced = (holders().find(|holder| *holder == node))
            .or_else(|| holders().find(|holder| zone(*holder) == zone(node)))
            .or_else(|| holders().find(|holder| !config.is_held_by(*holder)))
            .unwrap_or(primary);
        let mut copies: Vec<NodeId> = holders().filter(|holder| *holder != replaced).collect();
        copies.sort_unstable();
        self.slots[at] = Wanted { primary: Some(node), copies };
    }

    /// How a slot should be held; `None` of one that it is not of.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> Option<&Wanted> {
        self.place(slot).map(|at| &self.slots[at])
    }

    /// The slots that are not yet held as they should be, in order.
    pub fn remaining(&self, topology: &Topology) -> impl Iterator<Item = SlotId> {
        let all = self.ids.iter().zip(&self.slots);
        all.filter(|(slot, wanted)| !wanted.is_met_by(topology.slot(**slot))).map(|(slot, _)| *slot)
    }

    fn place(&self, slot: SlotId) -> Option<usize> {
        let number = usize::from(slot.number());
        if self.ids.get(number) == Some(&slot) {
            return Some(number);
        }
        self.ids.binary_search(&slot).ok()
    }
}

impl Wanted {
    /// Who should hold it, the primary first.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.primary.into_iter().chain(self.copies.iter().copied())
    }

    fn is_met_by(&self, config: &SlotConfig) -> bool {
        self.primary.is_none()
            || config.primary == self.primary
                && config.learners().next().is_none()
                && config.in_sync().eq(self.copies.iter().copied())
    }
}
