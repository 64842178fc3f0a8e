//! What the manager makes of one slot: who must be promoted, added, handed over to or dropped.

use std::collections::BTreeSet;

use memtide_topology::{CopyConfig, Epoch, NodeId, SlotConfig, SlotId};

use crate::stored::Stored;

/// What a decision rests on.
pub struct Review<'m> {
    pub stored: &'m Stored,
    /// Who was heard of lately.
    pub alive: &'m BTreeSet<NodeId>,
    /// Whose process is known to have ended.
    pub dead: &'m BTreeSet<NodeId>,
    /// Who is to be the primary by an operator's wish.
    pub target: Option<NodeId>,
    pub replicas: usize,
    /// Of the topology that would come of it.
    pub epoch: Epoch,
    /// Whether those that are only silent, or only not needed any more, stay copies.
    pub is_sparing: bool,
}

impl Review<'_> {
    /// The next state of a slot, if it needs one, and whether its items are given up for lost.
    pub fn slot(&self, slot: SlotId) -> Option<(SlotConfig, bool)> {
        let config = self.stored.topology.slot(slot);
        let primary = config.primary?;
        if !self.alive.contains(&primary) {
            let next = self.fail_over(config, primary);
            return next.map(|next| (next, false)).or_else(|| self.give_up(config, primary));
        }
        let next = self
            .drop_silent(config)
            .or_else(|| self.hand_over(config, primary))
            .or_else(|| self.add_learner(config, primary))
            .or_else(|| self.drop_spare(config, primary))?;
        Some((next, false))
    }

    fn is_alive(&self, node: NodeId) -> bool {
        self.alive.contains(&node)
    }

    fn is_staying(&self, node: NodeId) -> bool {
        self.stored.topology.nodes().get(&node).is_some_and(|info| !info.is_draining)
    }

    fn learner(&self, node: NodeId) -> CopyConfig {
        CopyConfig { node, since: self.epoch, is_in_sync: false }
    }

    /// The others begin anew as learners: who has the new primary's position has it all.
    fn fail_over(&self, config: &SlotConfig, silent: NodeId) -> Option<SlotConfig> {
        let mut heirs = config.in_sync().filter(|node| self.is_alive(*node));
        let heir = heirs.next()?;
        let others = config.copies.iter().map(|copy| copy.node).filter(|node| *node != heir);
        let mut copies: Vec<_> =
            others.filter(|node| self.is_alive(*node)).map(|node| self.learner(node)).collect();
        if self.is_sparing && !self.dead.contains(&silent) {
            copies.push(self.learner(silent));
        }
        Some(SlotConfig { epoch: self.epoch, born: config.born, primary: Some(heir), copies })
    }

    /// Where all that had everything are dead, the slot begins anew.
    fn give_up(&self, config: &SlotConfig, primary: NodeId) -> Option<(SlotConfig, bool)> {
        let mut holders = config.in_sync().chain([primary]);
        if !holders.all(|node| self.dead.contains(&node)) {
            return None;
        }
        let heir = self.alive.iter().copied().find(|node| self.is_staying(*node))?;
        let (epoch, born) = (self.epoch, self.epoch);
        Some((SlotConfig { epoch, born, primary: Some(heir), copies: Vec::new() }, true))
    }

    fn drop_silent(&self, config: &SlotConfig) -> Option<SlotConfig> {
        let mut next = config.clone();
        next.copies.retain(|copy| self.is_alive(copy.node));
        (next.copies.len() < config.copies.len()).then_some(next)
    }

    /// To the operator's target, or away from a node that is to go.
    fn hand_over(&self, config: &SlotConfig, primary: NodeId) -> Option<SlotConfig> {
        let mut heirs = config.in_sync().filter(|node| self.is_alive(*node));
        let heir = match self.target {
            Some(target) => heirs.find(|node| *node == target)?,
            None if self.is_staying(primary) => return None,
            None => heirs.find(|node| self.is_staying(*node))?,
        };
        let mut copies = config.copies.clone();
        copies.retain(|copy| copy.node != heir);
        if self.is_sparing {
            copies.push(CopyConfig { node: primary, since: self.epoch, is_in_sync: true });
        }
        Some(SlotConfig { epoch: self.epoch, born: config.born, primary: Some(heir), copies })
    }

    fn add_learner(&self, config: &SlotConfig, primary: NodeId) -> Option<SlotConfig> {
        let staying = config.copies.iter().filter(|copy| self.is_staying(copy.node)).count();
        let wanted = self.replicas.max(usize::from(!self.is_staying(primary)));
        let is_free = |node: &NodeId| {
            self.is_staying(*node) && config.holders().all(|holder| holder != *node)
        };
        let target = self.target.filter(is_free).filter(|node| self.is_alive(*node));
        if target.is_none() && staying >= wanted {
            return None;
        }
        let zone = |node: NodeId| self.stored.topology.nodes().get(&node).map(|info| &info.zone);
        let used: Vec<_> = config.holders().map(zone).collect();
        let free = self.alive.iter().copied().filter(is_free);
        let best = free.min_by_key(|node| {
            let same = used.iter().filter(|used| **used == zone(*node)).count();
            (same, self.slots_of(*node), *node)
        });
        let mut next = config.clone();
        next.copies.push(self.learner(target.or(best)?));
        Some(next)
    }

    /// One that is not needed, or is to go and has been replaced.
    fn drop_spare(&self, config: &SlotConfig, primary: NodeId) -> Option<SlotConfig> {
        if self.target.is_some() || !self.is_staying(primary) {
            return None;
        }
        let staying = config.in_sync().filter(|node| self.is_staying(*node)).count();
        let spare = config.copies.iter().position(|copy| {
            let is_going = !self.is_staying(copy.node);
            if is_going { staying >= self.replicas } else { staying > self.replicas }
        })?;
        let mut next = config.clone();
        next.copies.remove(spare);
        Some(next)
    }

    fn slots_of(&self, node: NodeId) -> usize {
        let topology = &self.stored.topology;
        let holds = |slot: &&SlotId| topology.slot(**slot).holders().any(|of| of == node);
        self.stored.slots.iter().filter(holds).count()
    }
}
