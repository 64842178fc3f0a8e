//! Those that the executor asks: a provisioner that takes its time, fails and is late, the manager, and a disk.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_executor::{Call, CallId, Executor, Instance, Source, Supplied};
use memtide_manager::Operation;
use memtide_topology::Change;

use crate::Scenario;
use crate::fleet::{Fleet, Node, zone_name};
use crate::rng::Rng;

/// A provisioner answers an order, or that a process has ended, after so long.
const ANSWER_DELAY: Duration = Duration::from_millis(50);

/// A process that may not join comes again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// The least memory of a node.
const MEMORY_MIN: u64 = 64 << 20;

/// Processes, and answers that are on their way.
#[derive(Debug)]
pub(crate) struct Supply {
    processes: BTreeMap<String, Process>,
    /// In the order in which they were asked for.
    due: Vec<(Duration, Due)>,
    rng: Rng,
}

/// A process that is a node, will be one, or waits to be taken.
#[derive(Clone, Debug)]
struct Process {
    zone: usize,
    size: usize,
    memory: u64,
    state: State,
    /// It waits again once it was drained.
    began_as_spare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begins,
    Waits,
    IsNode,
}

#[derive(Clone, Debug)]
enum Due {
    Stored(u64),
    Answer(CallId, Result<(), String>),
    /// The manager has stored what is wanted.
    Operated(CallId, Operation),
    Comes(String),
    Ends(String),
}

/// What a kind says: the size.
fn kind(size: usize) -> String {
    size.to_string()
}

fn size_of(kind: &str) -> usize {
    kind.parse().unwrap_or(0)
}

impl Supply {
    /// With spares that wait, and the nodes at the begin, of which the executor knows that they are to be had.
    pub(crate) fn new(
        scenario: &Scenario,
        seed: u64,
        executor: &mut Executor,
        fleet: &mut Fleet,
    ) -> Self {
        let rng = Rng::new(seed ^ 0x5eed);
        let mut supply = Self { processes: BTreeMap::new(), due: Vec::new(), rng };
        let zones = usize::from(scenario.zones);
        for at in 0..scenario.nodes {
            let (zone, size, name) = (at % zones, at % scenario.sizes.len(), format!("first-{at}"));
            let memory = scenario.granted;
            let instance = Instance::running(kind(size), zone_name(zone), memory);
            executor.has(name.clone(), instance);
            let (state, began_as_spare) = (State::IsNode, false);
            let process = Process { zone, size, memory, state, began_as_spare };
            supply.processes.insert(name.clone(), process);
            fleet.join(zone, memory, Node { name, capacity: scenario.sizes[size] });
        }
        for zone in 0..zones {
            for number in 0..scenario.supply.warm {
                let name = format!("warm-{zone}-{number}");
                let instance = Instance::running(kind(0), zone_name(zone), MEMORY_MIN);
                executor.has(name.clone(), Instance { is_spare: true, ..instance });
                let (state, began_as_spare) = (State::Waits, true);
                let process = Process { zone, size: 0, memory: 0, state, began_as_spare };
                supply.processes.insert(name, process);
            }
        }
        supply
    }

    pub(crate) fn supplies(&self, scenario: &Scenario) -> Vec<Supplied> {
        let of = |zone: usize, size: usize| Supplied {
            source: Source::Provisioner,
            kind: kind(size),
            zone: zone_name(zone),
            capacity: scenario.sizes[size],
            memory_min: MEMORY_MIN,
            nodes: 1_024,
            ready_in: scenario.supply.cold_delay,
            names: Vec::new(),
            there: Vec::new(),
        };
        let zones = 0..usize::from(scenario.zones);
        let pools = zones.clone().map(|zone| {
            let mine = |it: &Process| it.state == State::Waits && it.zone == zone;
            let names = self.processes.iter().filter(|(_, it)| mine(it));
            let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
            let (source, ready_in) = (Source::Spares, scenario.supply.warm_delay);
            let nodes = u32::try_from(names.len()).unwrap_or(u32::MAX);
            Supplied { source, nodes, names, ready_in, ..of(zone, 0) }
        });
        let sizes = 0..scenario.sizes.len();
        let cold = zones.flat_map(|zone| sizes.clone().map(move |size| of(zone, size)));
        pools.filter(|pool| pool.nodes > 0).chain(cold).collect()
    }

    /// A node has left: its process ends, or waits again.
    pub(crate) fn left(&mut self, node: &Node) {
        if let Some(it) = self.processes.get_mut(&node.name) {
            if it.began_as_spare {
                it.state = State::Waits;
            } else {
                self.processes.remove(&node.name);
            }
        }
    }

    pub(crate) fn killed(&mut self, name: &str) {
        self.processes.remove(name);
    }

    pub(crate) fn store(&mut self, now: Duration, version: u64, scenario: &Scenario) {
        let takes = self.about(scenario.supply.disk_delay);
        self.due.push((now + takes, Due::Stored(version)));
    }

    /// Somebody is asked.
    pub(crate) fn call(&mut self, now: Duration, id: CallId, call: Call, scenario: &Scenario) {
        let supply = &scenario.supply;
        match call {
            Call::Operate(operation) => {
                let takes = self.about(supply.disk_delay);
                self.due.push((now + takes, Due::Operated(id, operation)));
            }
            Call::Start { instance, kind, zone, memory, is_spare } => {
                let zone = (0..usize::from(scenario.zones)).find(|at| zone_name(*at) == zone);
                let (zone, size) = (zone.unwrap_or_default(), size_of(&kind));
                let (state, began_as_spare) = (State::Begins, is_spare);
                let process = Process { zone, size, memory, state, began_as_spare };
                self.order(now, (id, instance, process), supply.cold_delay, scenario);
            }
            Call::Take { instance, memory } => {
                let waits = self.processes.get(&instance).filter(|it| it.state == State::Waits);
                let Some(spare) = waits.cloned() else {
                    let answer = Due::Answer(id, Err("no such spare waits".to_owned()));
                    return self.due.push((now, answer));
                };
                let process = Process { memory, state: State::Begins, ..spare };
                self.order(now, (id, instance, process), supply.warm_delay, scenario);
            }
            Call::Resize { .. } => self.due.push((now, Due::Answer(id, Ok(())))),
            Call::Release { instance } | Call::End { instance } => {
                self.due.push((now, Due::Ends(instance)));
                self.due.push((now + ANSWER_DELAY, Due::Answer(id, Ok(()))));
            }
        }
    }

    /// A process is to come, and does, or is late, or does not.
    fn order(
        &mut self,
        now: Duration,
        (id, name, process): (CallId, String, Process),
        delay: Duration,
        scenario: &Scenario,
    ) {
        let takes = delay.mul_f64(0.8 + 0.4 * self.rng.unit());
        let late = if self.rng.unit() < scenario.supply.late { 10.0 } else { 1.0 };
        if self.rng.unit() < scenario.supply.failing {
            self.processes.remove(&name);
            let why = "it has ended before it could join".to_owned();
            return self.due.push((now + takes, Due::Answer(id, Err(why))));
        }
        self.processes.insert(name.clone(), process);
        self.due.push((now + ANSWER_DELAY.min(takes), Due::Answer(id, Ok(()))));
        self.due.push((now + takes.mul_f64(late), Due::Comes(name)));
    }

    /// About so long.
    fn about(&mut self, delay: Duration) -> Duration {
        delay.mul_f64(0.5 + self.rng.unit())
    }

    /// When the next thing is due, if it is by a time.
    pub(crate) fn next(&self, until: Duration) -> Option<Duration> {
        self.due.iter().map(|(at, _)| *at).filter(|at| *at <= until).min()
    }

    /// Does what is due at a time, and answers.
    pub(crate) fn deliver(
        &mut self,
        now: Duration,
        (executor, fleet): (&mut Executor, &mut Fleet),
        scenario: &Scenario,
    ) {
        let due: Vec<_> = self.due.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, due) in due {
            match due {
                Due::Stored(version) => executor.stored(now, version, Ok(())),
                Due::Answer(id, result) => executor.answered(now, id, result),
                Due::Operated(id, operation) => {
                    executor.answered(now, id, operate(fleet, operation));
                }
                Due::Comes(name) => self.comes(now, name, (executor, fleet), scenario),
                Due::Ends(name) => {
                    let ended = self.processes.remove(&name);
                    assert_ne!(ended.map(|it| it.state), Some(State::IsNode), "{name} is a node");
                }
            }
        }
    }

    fn comes(
        &mut self,
        now: Duration,
        name: String,
        (executor, fleet): (&Executor, &mut Fleet),
        scenario: &Scenario,
    ) {
        let begins = self.processes.get_mut(&name).filter(|it| it.state == State::Begins);
        // Who was ended meanwhile does not come.
        let Some(it) = begins else { return };
        if executor.is_unwanted(&name) {
            return self.due.push((now + AGAIN, Due::Comes(name)));
        }
        if it.began_as_spare && is_spare(executor, &name) {
            it.state = State::Waits;
            return;
        }
        it.state = State::IsNode;
        fleet.join(it.zone, it.memory, Node { name, capacity: scenario.sizes[it.size] });
    }
}

/// Whether it is to wait until it is taken.
fn is_spare(executor: &Executor, name: &str) -> bool {
    executor.record().instances.get(name).is_some_and(|it| it.is_spare)
}

/// What the manager does.
fn operate(fleet: &mut Fleet, operation: Operation) -> Result<(), String> {
    let node = match &operation {
        Operation::SetMemory { node, .. }
        | Operation::Drain(node)
        | Operation::Undrain(node)
        | Operation::MoveSlots { to: node, .. } => *node,
        other => return Err(format!("{other:?} is not for here")),
    };
    if !fleet.is_up(node) {
        return Err(format!("{node} is down"));
    }
    match operation {
        Operation::SetMemory { node, memory_max } => {
            fleet.set(Change::SetMemory { node, memory_max });
        }
        Operation::Drain(node) => fleet.set(Change::SetDraining { node, is_draining: true }),
        Operation::Undrain(node) => fleet.set(Change::SetDraining { node, is_draining: false }),
        Operation::MoveSlots { slots, to } => fleet.pin(&slots, to),
        _ => {}
    }
    Ok(())
}
