use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_topology::{Epoch, NodeId, SlotId, Topology, Zone};

use crate::links::{LinkId, Links};

/// Who answers for a slot, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The slot's epoch.
    pub epoch: Epoch,
    pub primary: Option<NodeId>,
}

/// The topology, and what nodes said that is newer.
#[derive(Debug)]
pub struct Owners {
    topology: Arc<Topology>,
    /// Newer than the whole topology, each.
    hints: BTreeMap<SlotId, Owner>,
}

impl Owners {
    pub fn new() -> Self {
        Self { topology: Arc::new(Topology::empty()), hints: BTreeMap::new() }
    }

    /// Who answers for the slot.
    pub fn owner(&self, slot: SlotId) -> Owner {
        if !self.hints.is_empty()
            && let Some(&hint) = self.hints.get(&slot)
        {
            return hint;
        }
        let config = self.topology.slot(slot);
        Owner { epoch: config.epoch, primary: config.primary }
    }

    /// Whether a node that says this of a slot knows a newer topology, or one in which the slot
    /// has lost its primary, which is no new epoch of the slot.
    pub fn is_behind(&self, slot: SlotId, said: Owner) -> bool {
        let known = self.owner(slot);
        said.epoch > self.topology.epoch()
            || (said.epoch == known.epoch && said.primary.is_none() && known.primary.is_some())
    }

    /// Takes what a node says of a slot; tells whether that is news. What says no name is none:
    /// only the topology takes a primary away.
    pub fn learn(&mut self, slot: SlotId, said: Owner) -> bool {
        let is_news = said.primary.is_some()
            && said.epoch > self.topology.epoch()
            && said.epoch > self.owner(slot).epoch;
        if is_news {
            self.hints.insert(slot, said);
        }
        is_news
    }

    /// Takes a topology; `false` where it is not newer.
    pub fn adopt(&mut self, topology: Arc<Topology>) -> bool {
        let is_newer = topology.epoch() > self.topology.epoch();
        if is_newer {
            self.hints.retain(|_, hint| hint.epoch > topology.epoch());
            self.topology = topology;
        }
        is_newer
    }

    /// The connected copy to read from: in the own zone, or else any that is in sync, or else
    /// the primary.
    pub fn nearest(
        &self,
        slot: SlotId,
        links: &Links,
        zone: Option<&Zone>,
    ) -> Option<(NodeId, LinkId)> {
        let primary = self.owner(slot).primary;
        let copies = || self.topology.slot(slot).in_sync().filter(|node| Some(*node) != primary);
        let is_near = |node: &NodeId| {
            zone.is_some() && self.topology.nodes().get(node).map(|info| &info.zone) == zone
        };
        let connected = |node: NodeId| links.of(node).map(|link| (node, link));
        let near = copies().chain(primary).filter(is_near).find_map(connected);
        near.or_else(|| copies().chain(primary).find_map(connected))
    }
}
