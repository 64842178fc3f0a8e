//! What nodes and operators have asked for, and is not stored yet.

use std::collections::{BTreeMap, BTreeSet};

use memtide_engine_core::replication::{CopyName, Report};
use memtide_topology::{CaughtUp, Change, Epoch, NodeId, SlotId, Topology};

use crate::Operation;

/// All of it is said as it should be, not as a step: what the topology shows is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    caught_up: BTreeSet<CaughtUp>,
    /// Copies in sync that have another history, by slot and node.
    diverged: BTreeMap<(SlotId, NodeId), CopyName>,
    /// Required copies that their primaries cannot reach, by slot and node.
    unreachable: BTreeMap<(SlotId, NodeId), CopyName>,
    /// Learners that were such copies, and since when: nobody can say when they will catch up.
    cut_off: BTreeMap<(SlotId, NodeId), Epoch>,
    /// Primaries and copies of slots of which that has been stored, and that nobody was told of.
    cut_off_news: Vec<(NodeId, NodeId)>,
    draining: BTreeMap<NodeId, bool>,
    /// Nodes whose processes are to end.
    leaving: BTreeSet<NodeId>,
    memory: BTreeMap<NodeId, u64>,
    replicas: Option<u8>,
}

impl Wishes {
    /// A node's report; `false` where it is out of date, or no wish.
    pub(crate) fn report(&mut self, topology: &Topology, from: NodeId, report: Report) -> bool {
        let is_primary = |slot: SlotId| topology.slot(slot).primary == Some(from);
        match report {
            Report::CaughtUp(slot, CopyName { epoch, node, since }) => {
                let report = CaughtUp { slot, epoch, node, since };
                is_primary(slot) && topology.is_current(&report) && self.caught_up.insert(report)
            }
            Report::Diverged(slot, name) => {
                is_primary(slot)
                    && is_in_sync(topology, slot, &name)
                    && self.diverged.insert((slot, name.node), name).is_none()
            }
            Report::Unreachable(slot, name) => {
                is_primary(slot)
                    && is_copy(topology, slot, &name)
                    && self.unreachable.insert((slot, name.node), name).is_none()
            }
            Report::Incomplete(..) => false,
        }
    }

    /// Forgets what primaries say that are down: a copy that only they do not reach may have to take
    /// over from them.
    pub(crate) fn forget_reports_of(&mut self, topology: &Topology, down: &BTreeSet<NodeId>) {
        self.unreachable.retain(|(slot, _), _| {
            topology.slot(*slot).primary.is_some_and(|primary| !down.contains(&primary))
        });
    }

    /// Whether slots are to go on without a copy.
    pub(crate) fn has_unreachable(&self) -> bool {
        !self.unreachable.is_empty()
    }

    /// By the primary and the copy, once for each slot, since it was asked last: slots that go on without
    /// a copy because their primary cannot reach it, by what is stored.
    pub(crate) fn take_cut_off(&mut self) -> Vec<(NodeId, NodeId)> {
        core::mem::take(&mut self.cut_off_news)
    }

    /// How many learners cannot be expected to catch up.
    pub(crate) fn cut_off(&self) -> usize {
        self.cut_off.len()
    }

    pub(crate) fn set_draining(&mut self, topology: &Topology, node: NodeId, is_draining: bool) {
        self.draining.insert(node, is_draining);
        self.forget_done(topology);
    }

    pub(crate) fn set_leaving(&mut self, node: NodeId) {
        self.leaving.insert(node);
    }

    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.leaving.contains(&node)
    }

    /// Nodes that want to be drained, and are not.
    pub(crate) fn undrained(&self, topology: &Topology) -> Vec<NodeId> {
        let leaving = self.leaving.iter().copied();
        leaving.filter(|node| !self.is_draining(topology, *node)).collect()
    }

    pub(crate) fn set_memory(&mut self, topology: &Topology, node: NodeId, memory_max: u64) {
        self.memory.insert(node, memory_max);
        self.forget_done(topology);
    }

    pub(crate) fn set_replicas(&mut self, topology: &Topology, replicas: u8) {
        self.replicas = Some(replicas);
        self.forget_done(topology);
    }

    /// Whether a node drains, or is to.
    pub(crate) fn is_draining(&self, topology: &Topology, node: NodeId) -> bool {
        let stored = topology.nodes().get(&node).is_some_and(|info| info.is_draining);
        self.draining.get(&node).copied().unwrap_or(stored)
    }

    /// Forgets what the topology shows, and what no longer fits.
    pub(crate) fn forget_done(&mut self, topology: &Topology) {
        let nodes = topology.nodes();
        self.caught_up.retain(|report| topology.is_current(report));
        self.diverged.retain(|(slot, _), name| is_in_sync(topology, *slot, name));
        let gone =
            self.unreachable.extract_if(.., |(slot, _), name| !is_copy(topology, *slot, name));
        for ((slot, node), name) in gone {
            if let Some(since) = learner_since(topology, slot, node)
                && since > name.since
            {
                self.cut_off.insert((slot, node), since);
                let config = topology.slot(slot);
                // In a later epoch of the slot it was a failover that made it one.
                let primary = config.primary.filter(|_| config.epoch == name.epoch);
                self.cut_off_news.extend(primary.map(|primary| (primary, node)));
            }
        }
        self.cut_off
            .retain(|(slot, node), since| learner_since(topology, *slot, *node) == Some(*since));
        self.draining.retain(|node, is_draining| {
            nodes.get(node).is_some_and(|info| info.is_draining != *is_draining)
        });
        self.leaving.retain(|node| nodes.contains_key(node));
        self.memory.retain(|node, memory_max| {
            nodes.get(node).is_some_and(|info| info.memory_max != *memory_max)
        });
        self.replicas = self.replicas.filter(|replicas| *replicas != topology.replicas_wanted());
    }

    /// Whether what an operator wants of a node or of all is among them.
    pub(crate) fn has(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Drain(node) => self.draining.get(node) == Some(&true),
            Operation::Undrain(node) => self.draining.get(node) == Some(&false),
            Operation::SetMemory { node, memory_max } => self.memory.get(node) == Some(memory_max),
            Operation::SetReplicas(replicas) => self.replicas == Some(*replicas),
            Operation::Forget(_) | Operation::MoveSlots { .. } => false,
        }
    }

    pub(crate) fn has_reports(&self) -> bool {
        !self.caught_up.is_empty() || !self.diverged.is_empty() || !self.unreachable.is_empty()
    }

    pub(crate) fn has_orders(&self) -> bool {
        !self.draining.is_empty() || !self.memory.is_empty() || self.replicas.is_some()
    }

    /// What the reports ask for.
    pub(crate) fn of_reports(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.caught_up.is_empty() {
            let reports = self.caught_up.iter().copied().collect();
            changes.push(Change::MakeInSync { reports });
        }
        let anew: BTreeSet<&(SlotId, NodeId)> =
            self.diverged.keys().chain(self.unreachable.keys()).collect();
        let mut learners: BTreeMap<NodeId, Vec<SlotId>> = BTreeMap::new();
        for (slot, node) in anew {
            learners.entry(*node).or_default().push(*slot);
        }
        let learners = learners.into_iter();
        changes.extend(learners.map(|(node, slots)| Change::MakeLearner { slots, node }));
        changes
    }

    /// What operators ask for, and nodes of themselves.
    pub(crate) fn of_orders(&self) -> Vec<Change> {
        let draining = self.draining.iter();
        let draining =
            draining.map(|(node, is)| Change::SetDraining { node: *node, is_draining: *is });
        let memory = self.memory.iter();
        let memory =
            memory.map(|(node, memory)| Change::SetMemory { node: *node, memory_max: *memory });
        let replicas = self.replicas.iter();
        let replicas = replicas.map(|replicas| Change::SetReplicas { replicas: *replicas });
        draining.chain(memory).chain(replicas).collect()
    }

    /// Gives up what does not fit.
    pub(crate) fn drop_reports(&mut self) {
        self.caught_up.clear();
        self.diverged.clear();
        self.unreachable.clear();
    }

    /// Gives up what does not fit.
    pub(crate) fn drop_orders(&mut self) {
        self.draining.clear();
        self.memory.clear();
        self.replicas = None;
    }
}

/// Whether a copy is what its primary said of it, and in sync.
fn is_in_sync(topology: &Topology, slot: SlotId, name: &CopyName) -> bool {
    let copy = topology.slot(slot).copy(name.node);
    is_copy(topology, slot, name) && copy.is_some_and(|copy| copy.is_in_sync)
}

/// Whether a copy is what its primary said of it.
fn is_copy(topology: &Topology, slot: SlotId, name: &CopyName) -> bool {
    let config = topology.slot(slot);
    let copy = config.copy(name.node);
    config.epoch == name.epoch && copy.is_some_and(|copy| copy.since == name.since)
}

/// Since when a node is a learner, if it is one.
fn learner_since(topology: &Topology, slot: SlotId, node: NodeId) -> Option<Epoch> {
    let copy = topology.slot(slot).copy(node)?;
    (!copy.is_in_sync).then_some(copy.since)
}
