use std::collections::BTreeMap;
use std::sync::Arc;

use crate::invalid::is_address;
use crate::limits::{COPIES_MAX, NODES_MAX, REPLICAS_MAX};
use crate::topology::TopologyParts;
use crate::{
    ApplyError, CaughtUp, Change, CopyConfig, Epoch, NodeId, NodeInfo, Previous, Refusal,
    SlotConfig, SlotId, Topology, Update,
};

impl Topology {
    /// What an update makes of it, at the next epoch.
    ///
    /// Slots that are not named stay the same allocations, and slots that were alike stay alike,
    /// so that an update of many costs little more than one of few.
    ///
    /// # Errors
    /// Where the update is for another epoch, or a change does not fit; then nothing has happened.
    pub fn apply(&self, update: &Update) -> Result<Self, ApplyError> {
        if update.parent != self.epoch() {
            return Err(ApplyError::StaleParent { parent: update.parent, epoch: self.epoch() });
        }
        let mut parts = self.parts.clone();
        parts.epoch = parts.epoch.next();
        for (index, change) in update.changes.iter().enumerate() {
            parts.make(change).map_err(|refusal| ApplyError::Refused {
                index,
                change: change.kind(),
                refusal,
            })?;
        }
        Ok(Self::from_parts(parts)?)
    }

    /// Whether a report is of what is there, so that [`Change::MakeInSync`] with it would succeed.
    #[must_use]
    pub fn is_current(&self, report: &CaughtUp) -> bool {
        let config = self.slot(report.slot);
        let is_its = |copy: &CopyConfig| copy.since == report.since && !copy.is_in_sync;
        config.epoch == report.epoch && config.copy(report.node).is_some_and(is_its)
    }
}

impl TopologyParts {
    fn make(&mut self, change: &Change) -> Result<(), Refusal> {
        let epoch = self.epoch;
        match change {
            Change::AddNode { node, info } => self.add_node(*node, info),
            Change::RemoveNode { node } => self.remove_node(*node),
            Change::SetDraining { node, is_draining } => {
                self.node_mut(*node)?.is_draining = *is_draining;
                Ok(())
            }
            Change::SetMemory { node, memory_max } => {
                self.node_mut(*node)?.memory_max = *memory_max;
                Ok(())
            }
            Change::SetReplicas { replicas } => {
                self.replicas_wanted = *replicas;
                if *replicas > REPLICAS_MAX { Err(Refusal::ReplicasMax(*replicas)) } else { Ok(()) }
            }
            Change::SetPrimary { slots, primary, previous } => {
                let is_draining = self.node_mut(*primary)?.is_draining;
                self.edit(slots, |slot, config| {
                    if config.primary.is_none() && is_draining {
                        return Err(Refusal::NodeDraining(*primary));
                    }
                    set_primary(slot, config, (*primary, epoch), *previous)
                })
            }
            Change::AddLearner { slots, node } => {
                if self.node_mut(*node)?.is_draining {
                    return Err(Refusal::NodeDraining(*node));
                }
                self.edit(slots, |slot, config| add_learner(slot, config, *node, epoch))
            }
            Change::MakeInSync { reports } => self.make_in_sync(reports),
            Change::MakeLearner { slots, node } => self.edit(slots, |slot, config| {
                let copy = copy_mut(slot, config, *node)?;
                (copy.is_in_sync, copy.since) = (false, epoch);
                Ok(())
            }),
            Change::DropCopy { slots, node } => self.edit(slots, |slot, config| {
                copy_mut(slot, config, *node)?;
                config.copies.retain(|copy| copy.node != *node);
                Ok(())
            }),
            Change::Abandon { slots } => self.edit(slots, |slot, config| {
                config.primary.take().ok_or(Refusal::NoPrimary(slot))?;
                config.copies.clear();
                Ok(())
            }),
        }
    }

    fn add_node(&mut self, node: NodeId, info: &NodeInfo) -> Result<(), Refusal> {
        if self.nodes.contains_key(&node) {
            return Err(Refusal::NodeExists(node));
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(Refusal::NodesMax);
        }
        if !is_address(&info.address) {
            return Err(Refusal::NodeAddress(node));
        }
        self.nodes.insert(node, info.clone());
        Ok(())
    }

    fn remove_node(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.node_mut(node)?;
        let mut slots = SlotId::all().zip(&self.slots);
        if let Some((slot, _)) = slots.find(|(_, config)| config.is_held_by(node)) {
            return Err(Refusal::NodeHolds(node, slot));
        }
        self.nodes.remove(&node);
        Ok(())
    }

    fn node_mut(&mut self, node: NodeId) -> Result<&mut NodeInfo, Refusal> {
        self.nodes.get_mut(&node).ok_or(Refusal::NodeUnknown(node))
    }

    fn make_in_sync(&mut self, reports: &[CaughtUp]) -> Result<(), Refusal> {
        // Together where they are alike, so that the slots stay alike.
        let mut alike: BTreeMap<(NodeId, Epoch, Epoch), Vec<SlotId>> = BTreeMap::new();
        for &CaughtUp { slot, epoch, node, since } in reports {
            alike.entry((node, epoch, since)).or_default().push(slot);
        }
        for ((node, epoch, since), slots) in alike {
            self.edit(&slots, |slot, config| {
                let is_its_epoch = config.epoch == epoch;
                let copy = copy_mut(slot, config, node)?;
                if copy.is_in_sync || !is_its_epoch || copy.since != since {
                    return Err(Refusal::ReportStale(slot, node));
                }
                copy.is_in_sync = true;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Does the same to each of these slots; once for all those that are alike.
    fn edit(
        &mut self,
        slots: &[SlotId],
        edit: impl Fn(SlotId, &mut SlotConfig) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut edited: BTreeMap<Arc<SlotConfig>, Arc<SlotConfig>> = BTreeMap::new();
        for &slot in slots {
            let config = &mut self.slots[usize::from(slot.number())];
            if let Some(done) = edited.get(config) {
                *config = Arc::clone(done);
                continue;
            }
            let mut next = SlotConfig::clone(config);
            edit(slot, &mut next)?;
            let before = std::mem::replace(config, Arc::new(next));
            edited.insert(before, Arc::clone(config));
        }
        Ok(())
    }
}

fn set_primary(
    slot: SlotId,
    config: &mut SlotConfig,
    (primary, epoch): (NodeId, Epoch),
    previous: Previous,
) -> Result<(), Refusal> {
    if config.primary == Some(primary) {
        return Err(Refusal::IsPrimary(slot, primary));
    }
    let before = config.primary.replace(primary);
    config.epoch = epoch;
    let Some(before) = before else {
        config.born = epoch;
        return Ok(());
    };
    if !copy_mut(slot, config, primary)?.is_in_sync {
        return Err(Refusal::NotInSync(slot, primary));
    }
    config.copies.retain(|copy| copy.node != primary);
    if previous == Previous::InSync {
        insert(config, CopyConfig { node: before, since: epoch, is_in_sync: true });
    }
    Ok(())
}

fn add_learner(
    slot: SlotId,
    config: &mut SlotConfig,
    node: NodeId,
    since: Epoch,
) -> Result<(), Refusal> {
    match config.primary {
        None => return Err(Refusal::NoPrimary(slot)),
        Some(primary) if primary == node => return Err(Refusal::IsPrimary(slot, node)),
        Some(_) => {}
    }
    if config.copy(node).is_some() {
        return Err(Refusal::IsCopy(slot, node));
    }
    if config.copies.len() >= COPIES_MAX {
        return Err(Refusal::CopiesMax(slot));
    }
    insert(config, CopyConfig { node, since, is_in_sync: false });
    Ok(())
}

/// Adds a copy that is not there at its place in the order.
fn insert(config: &mut SlotConfig, copy: CopyConfig) {
    let at = config.copies.partition_point(|other| other.node < copy.node);
    config.copies.insert(at, copy);
}

fn copy_mut(
    slot: SlotId,
    config: &mut SlotConfig,
    node: NodeId,
) -> Result<&mut CopyConfig, Refusal> {
    let copy = config.copies.iter_mut().find(|copy| copy.node == node);
    copy.ok_or(Refusal::NotACopy(slot, node))
}
