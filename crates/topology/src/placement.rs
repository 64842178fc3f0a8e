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
        let fleet = Fleet::of(topology, down);
        let mut assignment = Assignment::of(topology, &fleet);
        assignment.fill();
        assignment.even_out();
        let primaries = Primaries::of(topology, &assignment).even_out();
        let slots = SlotId::all().map(|slot| {
            let at = usize::from(slot.number());
            let primary = primaries.get(at).copied().flatten();
            let others = assignment.holders(at).iter().filter(|holder| Some(**holder) != primary);
            let mut copies: Vec<_> = others.map(|holder| fleet.nodes[*holder].id).collect();
            copies.sort_unstable();
            Wanted { primary: primary.map(|holder| fleet.nodes[holder].id), copies }
        });
        Self { slots: slots.collect(), down: down.clone() }
    }

    /// How a slot should be held.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> &Wanted {
        &self.slots[usize::from(slot.number())]
    }

    /// The slots that are not yet held as they should be.
    pub fn remaining(&self, topology: &Topology) -> impl Iterator<Item = SlotId> {
        topology
            .slots()
            .filter(|(slot, config)| !self.slot(*slot).is_met_by(config))
            .map(|(at, _)| at)
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
