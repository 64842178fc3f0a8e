//! The scripted configuration manager: it does what it may, at random, and stores it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine_core::replication::{CopyName, Report};
use memtide_testkit::Rng;
use memtide_topology::{NodeId, SlotConfig, SlotId};

use crate::heap::Nanos;
use crate::plan::Plan;
use crate::review::Review;
use crate::stored::Stored;

/// The manager; what it stores outlives it.
pub struct Script {
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

impl Script {
    pub fn new(plan: &Plan, rng: Rng) -> Self {
        let (replicas, silence_max) = (plan.replicas, plan.silence_max);
        let (heard, moves) = (BTreeMap::new(), Vec::new());
        Self { heard, began: 0, moves, replicas, silence_max, rng }
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

    /// An operator wants a slot to have another primary.
    pub fn move_slot(&mut self, slot: SlotId, to: NodeId) {
        self.moves.push((slot, to));
    }

    /// A node's report; `true` where it changed something.
    pub fn report(stored: &mut Stored, from: NodeId, report: Report) -> bool {
        let epoch = stored.topology.epoch().next();
        let slot = match report {
            Report::CaughtUp(slot, _)
            | Report::Diverged(slot, _)
            | Report::Unreachable(slot, _)
            | Report::Incomplete(slot, _) => slot,
        };
        let mut config = SlotConfig::clone(stored.topology.slot(slot));
        if config.primary != Some(from) {
            return false;
        }
        let change = |config: &mut SlotConfig, name: CopyName, (was_in_sync, is_in_sync)| {
            let is_present = config.epoch == name.epoch;
            let copies = config.copies.iter_mut();
            let copy = copies.filter(|_| is_present).find(|copy| {
                copy.node == name.node
                    && copy.since == name.since
                    && was_in_sync != Some(!copy.is_in_sync)
            });
            if let Some(copy) = copy {
                copy.is_in_sync = is_in_sync;
                copy.since = if is_in_sync { copy.since } else { epoch };
                return true;
            }
            false
        };
        let is_changed = match report {
            Report::CaughtUp(_, name) => change(&mut config, name, (Some(false), true)),
            Report::Diverged(_, name) => change(&mut config, name, (Some(true), false)),
            Report::Unreachable(_, name) => change(&mut config, name, (None, false)),
            Report::Incomplete(..) => false,
        };
        if is_changed {
            let nodes = stored.topology.nodes().clone();
            stored.commit(nodes, [(slot, config)]);
        }
        is_changed
    }

    /// Looks at each slot and changes what must be; the dead are those that are known to be.
    pub fn tick(
        &mut self,
        stored: &mut Stored,
        (now, is_quiet): (Nanos, bool),
        dead: &BTreeSet<NodeId>,
    ) -> bool {
        let before = stored.topology.epoch();
        let alive = self.alive(stored, now, dead);
        let slots = stored.slots.clone();
        for slot in slots {
            let review = Review {
                stored,
                alive: &alive,
                dead,
                target: self.moves.iter().find(|(moved, _)| *moved == slot).map(|(_, to)| *to),
                replicas: self.replicas,
                epoch: stored.topology.epoch().next(),
                is_sparing: is_quiet || self.rng.percent(70),
            };
            let Some((config, is_lost)) = review.slot(slot) else { continue };
            if is_lost {
                *stored.lost.entry(slot).or_default() += 1;
            }
            let nodes = stored.topology.nodes().clone();
            stored.commit(nodes, [(slot, config)]);
        }
        let topology = Arc::clone(&stored.topology);
        self.moves
            .retain(|(slot, to)| topology.slot(*slot).primary != Some(*to) && alive.contains(to));
        Self::leave(stored, dead);
        before != stored.topology.epoch()
    }

    /// Takes nodes out that hold nothing and are dead or to go.
    fn leave(stored: &mut Stored, dead: &BTreeSet<NodeId>) {
        let topology = Arc::clone(&stored.topology);
        let mut nodes = topology.nodes().clone();
        let is_holder = |node: NodeId| {
            stored.slots.iter().any(|slot| topology.slot(*slot).holders().any(|of| of == node))
        };
        nodes.retain(|node, info| is_holder(*node) || !(info.is_draining || dead.contains(node)));
        if nodes.len() < topology.nodes().len() {
            stored.commit(nodes, []);
        }
    }

    fn alive(&self, stored: &Stored, now: Nanos, dead: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let is_alive = |node: &NodeId| {
            let heard = self.heard.get(node).copied().unwrap_or(0).max(self.began);
            !dead.contains(node) && heard + self.silence_max > now
        };
        stored.topology.nodes().keys().copied().filter(is_alive).collect()
    }
}
