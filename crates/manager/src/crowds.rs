//! What nodes say of thousands of slots at a time, and again and again: told once, by node.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_topology::{Epoch, NodeId, SlotId, Topology};

use crate::{Event, Settings};

/// What is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Crowds {
    diverged: Tally<NodeId>,
    incomplete: Tally<NodeId>,
    /// By primary and copy.
    cut_off: Tally<(NodeId, NodeId)>,
    /// Slots whose node is known to have a part of them only, at their epoch.
    known: BTreeMap<SlotId, (NodeId, Epoch)>,
}

/// How many slots of whom.
#[derive(Debug)]
struct Tally<K> {
    slots: BTreeMap<K, usize>,
    told: Option<Duration>,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), told: None }
    }
}

impl Crowds {
    /// A copy of a slot has another history. To be said once of each.
    pub(crate) fn diverged(&mut self, node: NodeId) {
        *self.diverged.slots.entry(node).or_default() += 1;
    }

    /// It is stored that a slot goes on without a copy that its primary cannot reach.
    pub(crate) fn cut_off(&mut self, primary: NodeId, copy: NodeId) {
        *self.cut_off.slots.entry((primary, copy)).or_default() += 1;
    }

    /// A node is to take over a slot of which it has a part; said again for as long as that is so.
    pub(crate) fn incomplete(&mut self, topology: &Topology, slot: SlotId, node: NodeId) {
        let epoch = topology.slot(slot).epoch;
        if self.known.insert(slot, (node, epoch)) != Some((node, epoch)) {
            *self.incomplete.slots.entry(node).or_default() += 1;
        }
    }

    /// Follows the topology: what was of another epoch of a slot is over.
    pub(crate) fn follow(&mut self, topology: &Topology) {
        self.known.retain(|slot, (_, epoch)| topology.slot(*slot).epoch == *epoch);
    }

    /// What is to be told now: what comes first at once, and the rest gathered.
    pub(crate) fn events(&mut self, now: Duration, settings: &Settings) -> Vec<Event> {
        let diverged = self.diverged.take(now, settings.gather_events);
        let diverged = diverged.into_iter().map(|(node, slots)| Event::Diverged { node, slots });
        let incomplete = self.incomplete.take(now, settings.gather_events);
        let incomplete =
            incomplete.into_iter().map(|(node, slots)| Event::Incomplete { node, slots });
        let cut_off = self.cut_off.take(now, settings.gather_events).into_iter();
        let cut_off =
            cut_off.map(|((primary, copy), slots)| Event::CutOff { primary, copy, slots });
        diverged.chain(incomplete).chain(cut_off).collect()
    }
}

impl<K> Tally<K> {
    fn take(&mut self, now: Duration, gather: Duration) -> BTreeMap<K, usize> {
        if self.slots.is_empty() || self.told.is_some_and(|told| told + gather > now) {
            return BTreeMap::new();
        }
        self.told = Some(now);
        core::mem::take(&mut self.slots)
    }
}
