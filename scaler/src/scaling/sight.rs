//! What the executor is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use memtide_control::Capacity;
use memtide_executor::{NodeSight, Sight};
use memtide_manager::NodeState;
use memtide_planner::{Amounts, SlotLoad};
use memtide_topology::{NodeId, SlotConfig, SlotId, Topology};

use super::Driver;
use super::rates::Taken;
use crate::run::Loop;
use crate::sessions::Sessions;

impl Loop {
    /// The fleet as it is now; `None` while nodes are on their way back to a scaler that was started anew.
    pub(super) fn sight(&mut self, now: Duration, driver: &mut Driver) -> Option<Sight> {
        let views = self.manager.nodes();
        if views.iter().any(|view| view.state == NodeState::Unheard) {
            return None;
        }
        let topology = Arc::clone(self.manager.topology());
        let holders = u64::from(topology.replicas_wanted()) + 1;
        let usages = views.iter().filter(|view| !view.state.is_down());
        let usages = usages.filter_map(|view| self.sessions.said(view.node)?.usage.as_ref());
        let taken = Taken::of(usages, holders);
        let mut nodes = BTreeMap::new();
        for view in &views {
            let said = self.sessions.said(view.node);
            let mut load = Amounts::default();
            if let Some((said, usage)) = said.and_then(|said| Some((said, said.usage.as_ref()?))) {
                load = driver.rates.of(view.node, said.used_at, usage);
                load.memory = taken.by(usage);
            }
            let is_up = !view.state.is_down();
            let is_leaving = is_up && view.is_leaving;
            let capacity = capacity(said.map(|said| said.capacity()), view.info.memory_max);
            let instance = said.map(|said| said.instance().to_owned()).unwrap_or_default();
            let usage = said.and_then(|said| said.usage);
            let memory_held = usage.map_or(0, |usage| usage.memory_used);
            let has_said = said.is_some();
            let sight =
                NodeSight { is_up, is_leaving, has_said, load, memory_held, capacity, instance };
            nodes.insert(view.node, sight);
        }
        driver.rates.keep(|node| nodes.contains_key(&node));
        let growth = self.fill.look(now, |node| nodes.contains_key(&node));
        let memory_growth = growth.stored(|own| taken.of_data(own));
        let joining = self.sessions.joining().filter(|(session, _)| !self.spares.has(*session));
        let coming: BTreeSet<String> = joining.map(|(_, name)| name.to_owned()).collect();
        let mut supplies = driver.supplies();
        supplies.extend(self.spares.supplies());
        Some(Sight {
            at: now,
            slots: slots(&topology, &self.sessions, &nodes),
            topology,
            nodes,
            coming,
            limits: self.grants.limits(),
            supplies,
            ecpu_wanted: None,
            memory_growth,
            slots_remaining: self.manager.remaining(),
        })
    }
}

/// Who does not say what it can hold holds what it has.
fn capacity(said: Option<Capacity>, memory_max: u64) -> Amounts {
    let Capacity { memory, cpu, ecpu, network } = said.unwrap_or_default();
    Amounts { memory: if memory == 0 { memory_max } else { memory }, ecpu, cpu, network }
}

/// What all slots take, where nodes say it of those that take the most: the rest of what a node does is of its
/// other slots alike.
fn slots(
    topology: &Topology,
    sessions: &Sessions,
    nodes: &BTreeMap<NodeId, NodeSight>,
) -> Vec<SlotLoad> {
    let said = |node: NodeId| sessions.said(node).map_or(&[][..], |said| said.slots.as_slice());
    let mut loads: BTreeMap<SlotId, SlotLoad> = BTreeMap::new();
    let mut rest: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
    for (node, seen) in nodes {
        let mine = said(*node).iter().filter(|it| topology.slot(it.slot).primary == Some(*node));
        let mut named = 0;
        for it in mine {
            named += it.ecpu;
            loads.insert(it.slot, SlotLoad { bytes: it.bytes, ecpu: it.ecpu });
        }
        rest.insert(*node, (seen.load.ecpu.saturating_sub(named), 0));
    }
    if loads.is_empty() {
        return Vec::new();
    }
    let others = |slot: SlotId| !loads.contains_key(&slot);
    for (_, config) in topology.slots().filter(|(slot, _)| others(*slot)) {
        if let Some((_, count)) = config.primary.and_then(|node| rest.get_mut(&node)) {
            *count += 1;
        }
    }
    let of = |(slot, config): (SlotId, &Arc<SlotConfig>)| {
        let alike = config.primary.and_then(|node| rest.get(&node));
        let ecpu = alike.map_or(0, |(ecpu, count)| ecpu / (*count).max(1));
        loads.get(&slot).copied().unwrap_or(SlotLoad { bytes: 0, ecpu })
    };
    topology.slots().map(of).collect()
}
