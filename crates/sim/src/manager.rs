//! The scripted configuration manager: what it keeps in storage, and what it does on a timer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine_core::replication::{CopyName, Report};
use memtide_testkit::Rng;
use memtide_topology::{Epoch, NodeId, NodeInfo, SlotConfig, SlotId, Topology, Zone};

use crate::heap::Nanos;
use crate::plan::Plan;
use crate::review::Review;

/// The manager: [`Stored`] outlives it.
pub struct Manager {
    pub stored: Stored,
    /// When a node was heard last; forgotten with the process.
    heard: BTreeMap<NodeId, Nanos>,
    /// When the process began.
    began: Nanos,
    /// Moves of a slot to a node that an operator has asked for.
    moves: Vec<(SlotId, NodeId)>,
    replicas: usize,
    silence_max: Nanos,
    rng: Rng,
}

/// What the manager's storage keeps.
pub struct Stored {
    pub topology: Arc<Topology>,
    pub slots: Vec<SlotId>,
    /// How often a slot was given up for lost.
    pub lost: BTreeMap<SlotId, u32>,
}

impl Manager {
    pub fn new(slots: Vec<SlotId>, plan: &Plan, rng: Rng) -> Self {
        let stored = Stored { topology: Arc::new(Topology::empty()), slots, lost: BTreeMap::new() };
        let (replicas, silence_max) = (plan.replicas, plan.silence_max);
        let (heard, moves) = (BTreeMap::new(), Vec::new());
        Self { stored, heard, began: 0, moves, replicas, silence_max, rng }
    }

    /// The process is started anew.
    pub fn restart(&mut self, now: Nanos) {
        self.heard.clear();
        self.moves.clear();
        self.began = now;
    }

    /// A node says that it lives.
    pub fn hear(&mut self, now: Nanos, node: NodeId) {
        self.heard.insert(node, now);
    }

    /// A process joins the cache.
    pub fn register(&mut self, node: NodeId, zone: &Zone) {
        let mut nodes = self.stored.topology.nodes().clone();
        let info = NodeInfo {
            address: format!("{node}:1"),
            zone: zone.clone(),
            memory_max: 0,
            is_draining: false,
        };
        nodes.insert(node, info);
        self.stored.commit(nodes, []);
    }

    /// An operator wants a node to give up its slots.
    pub fn drain(&mut self, node: NodeId) {
        let mut nodes = self.stored.topology.nodes().clone();
        if let Some(info) = nodes.get_mut(&node) {
            info.is_draining = true;
            self.stored.commit(nodes, []);
        }
    }

    /// An operator wants a slot to have another primary.
    pub fn move_slot(&mut self, slot: SlotId, to: NodeId) {
        self.moves.push((slot, to));
    }

    /// A node's report; `true` where it changed something.
    pub fn report(&mut self, from: NodeId, report: Report) -> bool {
        let epoch = self.stored.topology.epoch().next();
        let slot = match report {
            Report::CaughtUp(slot, _) | Report::Diverged(slot, _) | Report::Incomplete(slot, _) => {
                slot
            }
        };
        let mut config = SlotConfig::clone(self.stored.topology.slot(slot));
        if config.primary != Some(from) {
            return false;
        }
        let change = |config: &mut SlotConfig, name: CopyName, is_in_sync| {
            let is_present = config.epoch == name.epoch;
            let copies = config.copies.iter_mut();
            let copy = copies.filter(|_| is_present).find(|copy| {
                copy.node == name.node && copy.since == name.since && copy.is_in_sync != is_in_sync
            });
            if let Some(copy) = copy {
                copy.is_in_sync = is_in_sync;
                copy.since = if is_in_sync { copy.since } else { epoch };
                return true;
            }
            false
        };
        let is_changed = match report {
            Report::CaughtUp(_, name) => change(&mut config, name, true),
            Report::Diverged(_, name) => change(&mut config, name, false),
            Report::Incomplete(..) => false,
        };
        if is_changed {
            let nodes = self.stored.topology.nodes().clone();
            self.stored.commit(nodes, [(slot, config)]);
        }
        is_changed
    }

    /// Looks at each slot and changes what must be; the dead are those that are known to be.
    pub fn tick(&mut self, now: Nanos, dead: &BTreeSet<NodeId>, is_quiet: bool) -> bool {
        let before = self.stored.topology.epoch();
        let alive = self.alive(now, dead);
        let slots = self.stored.slots.clone();
        for slot in slots {
            let review = Review {
                stored: &self.stored,
                alive: &alive,
                dead,
                target: self.moves.iter().find(|(moved, _)| *moved == slot).map(|(_, to)| *to),
                replicas: self.replicas,
                epoch: self.stored.topology.epoch().next(),
                is_sparing: is_quiet || self.rng.percent(70),
            };
            let Some((config, is_lost)) = review.slot(slot) else { continue };
            if is_lost {
                *self.stored.lost.entry(slot).or_default() += 1;
            }
            let nodes = self.stored.topology.nodes().clone();
            self.stored.commit(nodes, [(slot, config)]);
        }
        let topology = Arc::clone(&self.stored.topology);
        self.moves
            .retain(|(slot, to)| topology.slot(*slot).primary != Some(*to) && alive.contains(to));
        self.leave(dead);
        before != self.stored.topology.epoch()
    }

    /// Takes nodes out that hold nothing and are dead or to go.
    fn leave(&mut self, dead: &BTreeSet<NodeId>) {
        let topology = Arc::clone(&self.stored.topology);
        let mut nodes = topology.nodes().clone();
        let is_holder = |node: NodeId| {
            self.stored.slots.iter().any(|slot| topology.slot(*slot).holders().any(|of| of == node))
        };
        nodes.retain(|node, info| is_holder(*node) || !(info.is_draining || dead.contains(node)));
        if nodes.len() < topology.nodes().len() {
            self.stored.commit(nodes, []);
        }
    }

    fn alive(&self, now: Nanos, dead: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let is_alive = |node: &NodeId| {
            let heard = self.heard.get(node).copied().unwrap_or(0).max(self.began);
            !dead.contains(node) && heard + self.silence_max > now
        };
        self.stored.topology.nodes().keys().copied().filter(is_alive).collect()
    }

    /// Whether all slots have all copies, on nodes that are to stay.
    pub fn is_restored(&self) -> bool {
        let topology = &self.stored.topology;
        let staying = topology.nodes().values().filter(|info| !info.is_draining).count();
        let wanted = self.replicas.min(staying.saturating_sub(1));
        self.stored.slots.iter().all(|slot| {
            let config = topology.slot(*slot);
            config.primary.is_some()
                && config.in_sync().count() == wanted
                && config.learners().count() == 0
        })
    }
}

impl Stored {
    /// Stores the next topology.
    fn commit(
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
