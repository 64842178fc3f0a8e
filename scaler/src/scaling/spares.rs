//! Processes that wait to be taken as nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use memtide_control::{Capacity, Program, Registration, SessionId};
use memtide_executor::{Source, Supplied};
use memtide_planner::Amounts;
use memtide_topology::Zone;

/// From when a spare is taken until it has joined.
const READY_IN: Duration = Duration::from_millis(300);

/// Spares by their names.
#[derive(Debug, Default)]
pub struct Spares(BTreeMap<String, (SessionId, Registration)>);

impl Spares {
    /// One has come, or has come back.
    pub fn add(&mut self, session: SessionId, registration: Registration) {
        self.0.insert(registration.instance.clone(), (session, registration));
    }

    /// A stream has ended.
    pub fn left(&mut self, session: SessionId) {
        self.0.retain(|_, (of, _)| *of != session);
    }

    /// One is to become a node.
    pub fn take(&mut self, name: &str) -> Option<(SessionId, Registration)> {
        self.0.remove(name)
    }

    /// What each of them runs.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.0.values().map(|(_, registration)| &registration.program)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the process of this stream is one.
    pub fn has(&self, session: SessionId) -> bool {
        self.0.values().any(|(of, _)| *of == session)
    }

    /// As the executor is told of them: those of one zone and size together.
    pub fn supplies(&self) -> Vec<Supplied> {
        let mut alike: BTreeMap<(Zone, [u64; 4]), Supplied> = BTreeMap::new();
        for (name, (_, it)) in &self.0 {
            let Capacity { memory, cpu, ecpu, network } = it.capacity;
            let memory = if memory == 0 { it.memory_max } else { memory };
            let size = [memory, cpu, ecpu, network];
            let new = || Supplied {
                source: Source::Spares,
                kind: size.map(|figure| figure.to_string()).join("/"),
                zone: it.zone.clone(),
                capacity: Amounts { memory, ecpu, cpu, network },
                memory_min: it.memory_max.min(memory),
                nodes: 0,
                ready_in: READY_IN,
                names: Vec::new(),
                there: Vec::new(),
            };
            let supply = alike.entry((it.zone.clone(), size)).or_insert_with(new);
            supply.nodes += 1;
            supply.memory_min = supply.memory_min.max(it.memory_max.min(memory));
            supply.names.push(name.clone());
        }
        alike.into_values().collect()
    }
}
