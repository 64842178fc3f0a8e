use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Epoch, NodeId, SLOTS, SlotConfig, SlotId, Zone};

/// The nodes and slot owners of one cache at one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    epoch: Epoch,
    nodes: BTreeMap<NodeId, NodeInfo>,
    /// By slot; equal ones are mostly the same allocation.
    slots: Vec<Arc<SlotConfig>>,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// `host:port` of its node protocol.
    pub address: String,
    /// Its failure domain.
    pub zone: Zone,
    /// Bytes of items and index that it may hold.
    pub memory_max: u64,
    /// It is to give up all its slots, and gets no more.
    pub is_draining: bool,
}

impl Topology {
    /// Before the first node: nobody owns a slot.
    #[must_use]
    pub fn empty() -> Self {
        let nobody = Arc::new(SlotConfig::default());
        let slots = vec![nobody; usize::from(SLOTS)];
        Self { epoch: Epoch::ZERO, nodes: BTreeMap::new(), slots }
    }

    /// The next one, for the simulator: with these nodes, and these owners of these slots.
    #[doc(hidden)]
    #[must_use]
    pub fn next_for_simulation(
        &self,
        nodes: BTreeMap<NodeId, NodeInfo>,
        changed: impl IntoIterator<Item = (SlotId, SlotConfig)>,
    ) -> Self {
        let mut next = Self { epoch: self.epoch.next(), nodes, slots: self.slots.clone() };
        for (slot, config) in changed {
            next.slots[usize::from(slot.number())] = Arc::new(config);
        }
        next
    }

    /// Its version.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All nodes, by id.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<NodeId, NodeInfo> {
        &self.nodes
    }

    /// Who holds a slot.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> &Arc<SlotConfig> {
        &self.slots[usize::from(slot.number())]
    }
}

impl Topology {
    #[doc(hidden)]
    #[must_use]
    pub fn for_tests(epoch: Epoch, slots: impl IntoIterator<Item = (SlotId, SlotConfig)>) -> Self {
        let mut topology = Self { epoch, ..Self::empty() };
        for (slot, config) in slots {
            topology.slots[usize::from(slot.number())] = Arc::new(config);
        }
        topology
    }
}
