//! What the configuration manager's storage keeps, whoever that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_topology::{
    CacheId, Epoch, NodeId, NodeInfo, SlotConfig, SlotId, Topology, Update, Zone,
};

use crate::memcached::SEED;
use crate::plan::Plan;

/// The newest topology, and what was given up on the way to it.
pub struct Stored {
    pub topology: Arc<Topology>,
    /// The slots that there are keys of; the others are nobody's.
    pub slots: Vec<SlotId>,
    /// How often a slot was given up for lost.
    pub lost: BTreeMap<SlotId, u32>,
    /// Of each node.
    memory_max: u64,
}

impl Stored {
    pub fn new(slots: Vec<SlotId>, plan: &Plan) -> Self {
        let replicas = u8::try_from(plan.replicas).expect("few");
        let topology = Topology::new(CacheId::default(), SEED, replicas);
        let topology = Arc::new(topology.expect("few replicas"));
        Self { topology, slots, lost: BTreeMap::new(), memory_max: plan.memory_max }
    }

    /// Stores what an update leads to, unless somebody else was first.
    pub fn update(&mut self, update: &Update) -> bool {
        let Ok(next) = self.topology.apply(update) else { return false };
        for slot in &self.slots {
            let (before, after) = (self.topology.slot(*slot), next.slot(*slot));
            let is_given_up = after.primary.is_none() || after.born != before.born;
            if before.primary.is_some() && is_given_up {
                *self.lost.entry(*slot).or_default() += 1;
            }
        }
        self.topology = Arc::new(next);
        true
    }

    /// Whether all slots have all copies, on nodes that are to stay.
    pub fn is_restored(&self) -> bool {
        let topology = &self.topology;
        let staying = topology.nodes().values().filter(|info| !info.is_draining).count();
        let wanted = usize::from(topology.replicas_wanted()).min(staying.saturating_sub(1));
        self.slots.iter().all(|slot| {
            let config = topology.slot(*slot);
            config.primary.is_some()
                && config.in_sync().count() == wanted
                && config.learners().count() == 0
        })
    }

    /// Adds a node.
    pub fn add(&mut self, node: NodeId, zone: &Zone) {
        let mut nodes = self.topology.nodes().clone();
        let info = NodeInfo {
            address: format!("{node}:1"),
            zone: zone.clone(),
            memory_max: self.memory_max,
            is_draining: false,
        };
        nodes.insert(node, info);
        self.commit(nodes, []);
    }

    /// Has a node give up its slots.
    pub fn drain(&mut self, node: NodeId) {
        let mut nodes = self.topology.nodes().clone();
        if let Some(info) = nodes.get_mut(&node) {
            info.is_draining = true;
            self.commit(nodes, []);
        }
    }

    /// Stores the next topology.
    pub fn commit(
        &mut self,
        nodes: BTreeMap<NodeId, NodeInfo>,
        changed: impl IntoIterator<Item = (SlotId, SlotConfig)>,
    ) {
        let mut parts = Topology::clone(&self.topology).into_parts();
        parts.epoch = parts.epoch.next();
        parts.nodes = nodes;
        for (slot, mut config) in changed {
            config.copies.sort_by_key(|copy| copy.node);
            parts.slots[usize::from(slot.number())] = Arc::new(config);
        }
        let topology = Topology::from_parts(parts);
        self.topology = Arc::new(topology.expect("the script makes valid topologies"));
    }

    /// Gives the slots their first owners.
    pub fn found(&mut self, owners: impl IntoIterator<Item = (SlotId, NodeId)>) {
        let epoch: Epoch = self.topology.epoch().next();
        let of = |(slot, owner)| {
            (slot, SlotConfig { epoch, born: epoch, primary: Some(owner), copies: Vec::new() })
        };
        let nodes = self.topology.nodes().clone();
        let changed: Vec<_> = owners.into_iter().map(of).collect();
        self.commit(nodes, changed);
    }
}
