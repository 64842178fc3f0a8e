//! Where slots belong, for as long as the nodes stay what they are, and what operators have moved.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use memtide_topology::{Change, NodeId, Pace, SlotId, Target, Topology};

use crate::Settings;
use crate::wake::Wake;

/// Times that a target that was reached is made anew before it is taken for good.
const RENEWALS_MAX: u32 = 8;

/// The target, and when it is made anew: when nodes come, go, drain or change, and once when it is
/// reached, because shares may be missed while slots are on their way.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    target: Option<Target>,
    /// What the target was made of.
    inputs: Inputs,
    /// Since when they are others.
    changed: Option<Duration>,
    /// Since when there is a node, where nobody holds a slot.
    first: Option<Duration>,
    renewals: u32,
    is_final: bool,
    /// Who is to be the primary of a slot by an operator's wish.
    pins: BTreeMap<SlotId, NodeId>,
    remaining: usize,
    /// Learners that may take any time.
    cut_off: usize,
}

/// All that decides where slots belong, but for where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Inputs {
    /// Nodes that do not drain, with their memory.
    staying: BTreeMap<NodeId, u64>,
    /// Nodes that get no slots now.
    away: BTreeSet<NodeId>,
    replicas: u8,
}

impl Inputs {
    fn of(topology: &Topology, away: BTreeSet<NodeId>) -> Self {
        let staying = topology.nodes().iter().filter(|(_, info)| !info.is_draining);
        let staying = staying.map(|(node, info)| (*node, info.memory_max)).collect();
        Self { staying, away, replicas: topology.replicas_wanted() }
    }

    fn is_usable(&self, node: NodeId) -> bool {
        self.staying.contains_key(&node) && !self.away.contains(&node)
    }

    fn usable(&self) -> usize {
        self.staying.keys().filter(|node| !self.away.contains(node)).count()
    }

    /// Whether slots have to find another place: that does not wait for more changes.
    fn is_urgent_after(&self, before: &Self) -> bool {
        let is_lost = |node: &NodeId| before.is_usable(*node) && !self.is_usable(*node);
        self.replicas != before.replicas || before.staying.keys().any(is_lost)
    }
}

impl Placement {
    /// An operator moves slots.
    pub(crate) fn pin(&mut self, topology: &Topology, slots: &[SlotId], to: NodeId) {
        for slot in slots {
            self.pins.insert(*slot, to);
            if let Some(target) = &mut self.target {
                target.pin(topology, *slot, to);
            }
        }
        self.remaining = self.count(topology);
    }

    /// How many slots are not yet held as they should be, as of the last look.
    pub(crate) const fn remaining(&self) -> usize {
        self.remaining
    }

    /// So many learners do not count for the pace: it is not known when they will have caught up.
    pub(crate) const fn expects_nothing_of(&mut self, cut_off: usize) {
        self.cut_off = cut_off;
    }

    /// Whether the target does not know of nodes that may hold slots by now.
    pub(crate) const fn is_stale(&self) -> bool {
        self.changed.is_some()
    }

    /// Whether anybody holds a slot.
    pub(crate) fn is_founded(topology: &Topology, settings: &Settings) -> bool {
        settings.slots.iter().any(|slot| topology.slot(*slot).primary.is_some())
    }

    /// What to change next.
    pub(crate) fn next_changes(
        &mut self,
        (now, wake): (Duration, &mut Wake),
        topology: &Topology,
        away: BTreeSet<NodeId>,
        settings: &Settings,
    ) -> Vec<Change> {
        let inputs = Inputs::of(topology, away);
        let is_held = Self::is_founded(topology, settings);
        if !is_held && !self.may_found((now, wake), &inputs, settings) {
            return Vec::new();
        }
        self.renew((now, wake), topology, inputs, settings);
        self.remaining = self.count(topology);
        if self.remaining == 0 && !self.is_final {
            self.make(topology, settings);
            self.renewals += 1;
            self.is_final = self.remaining == 0 || self.renewals >= RENEWALS_MAX;
        }
        let slots_max = if is_held { settings.pace.slots_max } else { usize::MAX };
        let learners_max = settings.pace.learners_max.saturating_add(self.cut_off);
        let pace = Pace { slots_max, learners_max };
        let target = self.target.iter();
        target.flat_map(|target| target.next_changes(topology, pace)).collect()
    }

    /// Whether there are nodes enough for the first owners, or it has waited for them long enough.
    fn may_found(
        &mut self,
        (now, wake): (Duration, &mut Wake),
        inputs: &Inputs,
        settings: &Settings,
    ) -> bool {
        let usable = inputs.usable();
        if usable == 0 {
            self.first = None;
            return false;
        }
        let until = *self.first.get_or_insert(now) + settings.founding_grace;
        let may = usable >= settings.nodes_min || until <= now;
        if !may {
            wake.at(until);
        }
        may
    }

    /// Makes the target anew where what it was made of is not so any more.
    fn renew(
        &mut self,
        (now, wake): (Duration, &mut Wake),
        topology: &Topology,
        inputs: Inputs,
        settings: &Settings,
    ) {
        if self.target.is_some() && self.inputs == inputs {
            self.changed = None;
            return;
        }
        let due = *self.changed.get_or_insert(now) + settings.gather_nodes;
        let is_first = self.target.is_none();
        if !is_first && !inputs.is_urgent_after(&self.inputs) && due > now {
            return wake.at(due);
        }
        self.changed = None;
        let before = core::mem::replace(&mut self.inputs, inputs);
        let inputs = &self.inputs;
        let is_same = (&before.staying, before.replicas) == (&inputs.staying, inputs.replicas);
        self.pins.retain(|slot, to| {
            let is_reached = topology.slot(*slot).primary == Some(*to);
            // One that is only away for a moment gets them when it is back.
            inputs.staying.contains_key(to) && (is_same || is_first || !is_reached)
        });
        (self.renewals, self.is_final) = (0, false);
        self.make(topology, settings);
    }

    fn make(&mut self, topology: &Topology, settings: &Settings) {
        let slots = settings.slots.iter().copied();
        let mut target = Target::of_slots(topology, &self.inputs.away, slots);
        for (slot, to) in self.pins.iter().filter(|(_, to)| self.inputs.is_usable(**to)) {
            target.pin(topology, *slot, *to);
        }
        self.target = Some(target);
        self.remaining = self.count(topology);
    }

    fn count(&self, topology: &Topology) -> usize {
        self.target.iter().flat_map(|target| target.remaining(topology)).count()
    }
}
