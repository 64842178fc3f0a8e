//! What the executor is shown of the fleet.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_executor::{NodeSight, Sight, Source, Supplied};
use memtide_planner::Amounts;
use memtide_topology::{NodeId, SLOTS, Zone};

use super::{GIB, MIB, Process, World};

impl World {
    pub(super) fn sight(&self) -> Sight {
        let names: BTreeMap<NodeId, &String> =
            self.processes.iter().filter_map(|(name, it)| Some((it.node?, name))).collect();
        let nodes = self.topology.nodes().iter().map(|(node, info)| {
            let held = self.held.get(node).copied().unwrap_or(0);
            let memory = (held * (self.data / u64::from(SLOTS))).min(info.memory_max);
            let load = Amounts { memory, ..Amounts::default() };
            let capacity = Amounts { memory: GIB, ..Amounts::default() };
            let is_silent = self.silent.is_some_and(|(it, until)| it == *node && until > self.now);
            let has_said = !is_silent && !self.unheard.contains(node);
            let instance = names.get(node).copied().or_else(|| self.dead.get(node));
            let instance = instance.filter(|_| has_said).cloned().unwrap_or_default();
            let (is_up, memory_held) = (!is_silent && !self.dead.contains_key(node), memory);
            let is_leaving = false;
            (
                *node,
                NodeSight { is_up, is_leaving, has_said, load, memory_held, capacity, instance },
            )
        });
        let provisioned = self.zones.iter().map(|zone| self.supply(zone));
        let pools = self.zones.iter().map(|zone| {
            let waits = |it: &&Process| it.is_spare && it.node.is_none() && it.zone == *zone;
            let names = self.processes.iter().filter(|(_, it)| waits(it));
            let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
            Supplied {
                source: Source::Spares,
                nodes: u32::try_from(names.len()).unwrap(),
                names,
                ready_in: Duration::from_millis(100),
                ..self.supply(zone)
            }
        });
        let supplies = provisioned.chain(pools.filter(|it| it.nodes > 0)).collect();
        Sight {
            at: self.now,
            topology: Arc::clone(&self.topology),
            nodes: nodes.collect(),
            // They join at once.
            coming: BTreeSet::new(),
            slots: Vec::new(),
            limits: self.limits,
            supplies,
            ecpu_wanted: None,
            memory_growth: self.growth,
            slots_remaining: 0,
        }
    }

    fn supply(&self, zone: &Zone) -> Supplied {
        let running = self.processes.values().filter(|it| it.zone == *zone).count();
        if let Some(replicas) = self.pods.get(zone) {
            return self.pods_supply(zone, *replicas);
        }
        Supplied { nodes: u32::try_from(12_usize.saturating_sub(running)).unwrap(), ..none(zone) }
    }
}

/// A provisioner that has nothing of what it could have in a zone.
pub(super) fn none(zone: &Zone) -> Supplied {
    Supplied {
        source: Source::Provisioner,
        kind: String::new(),
        zone: zone.clone(),
        capacity: Amounts { memory: GIB, ..Amounts::default() },
        memory_min: 64 * MIB,
        nodes: 0,
        ready_in: Duration::from_secs(1),
        names: Vec::new(),
        there: Vec::new(),
    }
}
