//! A run: load, nodes and faults in virtual time, with the executor looking on.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_executor::{Effect, Executor, Fill, Filled, NodeSight, Record, Settings, Sight};
use memtide_limits::Limits;
use memtide_planner::{Amounts, SlotLoad};
use memtide_topology::{NodeId, SLOTS};

use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::slots::{Spread, Weights};
use crate::supply::Supply;
use crate::{Report, Scenario};

/// Bytes on the wire for an ECPU.
const WIRE_BYTES_PER_ECPU: f64 = 1_100.0;

/// Runs a scenario; the same seed gives the same report.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Report {
    let mut world = World::new(scenario, seed);
    while world.now < scenario.duration {
        world.step();
    }
    world.ledger.into_report(scenario, seed, &world.fleet)
}

pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    now: Duration,
    fleet: Fleet,
    supply: Supply,
    executor: Executor,
    fill: Fill,
    looked: Duration,
    /// What nodes said last that they hold, and how much of it they learn.
    said: BTreeMap<NodeId, Holding>,
    /// By how much the data scatters until the next look.
    scatter: f64,
    /// Bytes that were copied until the last look.
    copied: f64,
    /// The most bytes above what was granted since then.
    over: f64,
    weights: Weights,
    spread: Spread,
    ledger: Ledger,
    rng: Rng,
    kills: usize,
}

/// Bytes that a node holds, and of these still learns.
type Holding = (f64, f64);

/// What a moment asks for, and who gets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    /// Since the look before.
    pub(crate) passed: Duration,
    /// ECPUs per second that are asked for, within the limit.
    pub(crate) asked: f64,
    /// Bytes, once.
    pub(crate) data: f64,
    pub(crate) limits: Limits,
    /// Asked of each node.
    pub(crate) load: BTreeMap<NodeId, f64>,
    pub(crate) memory: BTreeMap<NodeId, Holding>,
    pub(crate) served: f64,
    pub(crate) copied: f64,
    /// The most bytes above what was granted since the look before.
    pub(crate) over: f64,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let mut fleet = Fleet::new(scenario.replicas);
        let settings =
            Settings { policy: scenario.policy.clone(), spares_per_zone: scenario.supply.warm };
        let mut executor = Executor::new(settings, Record::new(seed));
        let supply = Supply::new(scenario, seed, &mut executor, &mut fleet);
        // They begin with all slots where they belong, and nothing in them.
        let nothing = vec![0.0; usize::from(SLOTS)];
        while {
            fleet.copy(1.0, &nothing);
            fleet.round(Duration::from_secs(3_600), &nothing);
            fleet.remaining > 0
        } {}
        Self {
            scenario,
            now: Duration::ZERO,
            supply,
            executor,
            fill: Fill::default(),
            looked: Duration::ZERO,
            said: BTreeMap::new(),
            scatter: 0.0,
            copied: fleet.copied,
            over: 0.0,
            weights: Weights::new(seed),
            spread: Spread::default(),
            ledger: Ledger::default(),
            rng: Rng::new(seed ^ 0x10ad),
            kills: 0,
            fleet,
        }
    }

    fn step(&mut self) {
        if self.now == self.looked {
            self.fleet.fail_over();
        }
        let step = self.scenario.step;
        self.now += step;
        self.answer();
        let data = self.data();
        let bytes = self.weights.bytes(data);
        self.fleet.copy(self.scenario.supply.copy_rate * step.as_secs_f64(), &bytes);
        for node in self.fleet.round(step, &bytes) {
            self.supply.left(&node);
        }
        let memory = self.hold(data);
        self.report(&memory);
        if self.looked + self.fill.look_interval(self.scenario.tick) <= self.now {
            self.look((data, &bytes), memory);
        }
    }

    /// All that is due until now, one after the other: an answer leads to the next call.
    fn answer(&mut self) {
        while let Some(at) = self.supply.next(self.now) {
            self.supply.deliver(at, (&mut self.executor, &mut self.fleet), self.scenario);
            self.poll(at);
        }
    }

    fn poll(&mut self, at: Duration) {
        while let Some(effect) = self.executor.poll() {
            match effect {
                Effect::Event(event) => self.ledger.hear(at, &event),
                Effect::Store { version, .. } => self.supply.store(at, version, self.scenario),
                Effect::Call(id, call) => self.supply.call(at, id, call, self.scenario),
            }
        }
    }

    fn look(&mut self, (data, bytes): (f64, &[f64]), memory: BTreeMap<NodeId, Holding>) {
        let mut moment = self.ask(data);
        moment.memory = memory;
        (self.copied, self.looked) = (self.fleet.copied, self.now);
        self.kill();
        self.load(&mut moment);
        let sight = Arc::new(self.sight(&moment, bytes));
        self.ledger.asked = moment.asked;
        self.executor.look(sight);
        self.check();
        self.poll(self.now);
        self.ledger.record(self.scenario, &moment, &self.fleet);
        self.scatter = self.scenario.data.noise * self.rng.normal();
    }

    fn limits(&self) -> Limits {
        let limits = self.scenario.limits.iter().rev().find(|(from, _)| *from <= self.now);
        limits.map(|(_, limits)| *limits).unwrap_or_default()
    }

    fn ask(&mut self, data: f64) -> Moment {
        let limits = self.limits();
        let load = &self.scenario.load;
        let asked = load.at(self.now) * (1.0 + load.noise * self.rng.normal());
        let asked = cut(asked, limits.ecpu_per_second.max);
        let passed = self.now.saturating_sub(self.looked);
        let (at, copied) = (self.now, self.fleet.copied - self.copied);
        let over = core::mem::take(&mut self.over);
        Moment { at, passed, asked, data, limits, copied, over, ..Moment::default() }
    }

    /// Bytes that clients store.
    fn data(&self) -> f64 {
        let data = self.scenario.data.at(self.now) * (1.0 + self.scatter);
        cut(data, self.limits().data_storage.max)
    }

    fn kill(&mut self) {
        let due = self.scenario.kills.get(self.kills).filter(|(at, _)| *at <= self.now);
        let Some((_, nodes)) = due else { return };
        self.kills += 1;
        for _ in 0..*nodes {
            let up: Vec<NodeId> = self.fleet.nodes.keys().copied().collect();
            let node = up[self.rng.below(up.len())];
            self.ledger.tell(self.now, format!("{node} is killed"));
            self.supply.killed(&self.fleet.nodes[&node].name);
            self.fleet.kill(node);
        }
    }

    /// Who holds how much.
    fn hold(&mut self, data: f64) -> BTreeMap<NodeId, Holding> {
        self.weights.follow(&self.scenario.skew, self.now);
        self.spread.follow(&self.fleet.topology, &self.weights);
        let mut memory: BTreeMap<NodeId, Holding> = BTreeMap::new();
        for (node, part) in &self.spread.bytes {
            memory.insert(*node, (data * part, 0.0));
        }
        for (node, have) in self.fleet.learned() {
            let memory = memory.entry(node).or_default();
            *memory = (memory.0 + have, memory.1 + have);
        }
        let over = self.fleet.topology.nodes().iter().map(|(node, info)| {
            let held = memory.get(node).map_or(0.0, |it| it.0);
            (held - info.memory_max as f64).max(0.0)
        });
        self.over = self.over.max(over.sum());
        memory
    }

    /// Nodes say what they hold, each at times of its own.
    fn report(&mut self, memory: &BTreeMap<NodeId, Holding>) {
        let Some(every) = self.scenario.report else { return };
        let holders = f64::from(self.scenario.replicas) + 1.0;
        for (node, info) in self.fleet.topology.nodes() {
            // As if they were started one after the other.
            let phase = every.mul_f64(node.number() as f64 * 0.618 % 1.0);
            let count = |at: Duration| (at + phase).as_nanos() / every.as_nanos();
            if count(self.now) == count(self.now.saturating_sub(self.scenario.step)) {
                continue;
            }
            let (held, learned) = memory.get(node).copied().unwrap_or_default();
            self.said.insert(*node, (held, learned));
            let own = whole((held - learned) / holders);
            let said = Filled { own, used: whole(held), max: info.memory_max };
            self.fill.hear(self.now, *node, said);
        }
    }

    /// Who is asked for how much.
    fn load(&self, moment: &mut Moment) {
        for (node, part) in &self.spread.ecpu {
            moment.load.insert(*node, moment.asked * part);
        }
        let served = moment.load.iter().filter(|(node, _)| self.fleet.is_up(**node));
        let capacity = |node: &NodeId| self.fleet.nodes[node].capacity.ecpu as f64;
        moment.served = served.map(|(node, load)| load.min(capacity(node))).sum();
    }

    fn sight(&mut self, moment: &Moment, bytes: &[f64]) -> Sight {
        if self.scenario.report.is_none() {
            self.said.clone_from(&moment.memory);
        }
        let copying = moment.copied / moment.passed.as_secs_f64();
        let copying = copying / self.fleet.nodes.len().max(1) as f64;
        let mut served_part: BTreeMap<NodeId, f64> = BTreeMap::new();
        let nodes = self.fleet.nodes.iter().map(|(id, node)| {
            let asked = moment.load.get(id).copied().unwrap_or(0.0);
            let served = asked.min(node.capacity.ecpu as f64);
            served_part.insert(*id, if asked > 0.0 { served / asked } else { 0.0 });
            let (held, learned) = self.said.get(id).copied().unwrap_or_default();
            let busy = served / node.capacity.ecpu as f64 + if copying > 0.0 { 0.1 } else { 0.0 };
            let load = Amounts {
                memory: whole(held - learned),
                ecpu: whole(served),
                cpu: whole(node.capacity.cpu as f64 * busy.min(1.0)),
                network: whole(served * WIRE_BYTES_PER_ECPU + 2.0 * copying),
            };
            let (is_up, capacity) = (self.fleet.is_up(*id), node.capacity);
            let (memory_held, instance) = (whole(held), node.name.clone());
            let sight =
                NodeSight { is_up, load, memory_held, capacity, instance, ..NodeSight::default() };
            (*id, NodeSight { has_said: true, ..sight })
        });
        let nodes = nodes.collect();
        let slots = self.fleet.topology.slots().map(|(slot, config)| {
            let at = usize::from(slot.number());
            let part = config.primary.and_then(|it| served_part.get(&it)).copied().unwrap_or(0.0);
            let ecpu = whole(moment.asked * self.weights.ecpu(at) * part);
            SlotLoad { bytes: whole(bytes[at]), ecpu }
        });
        let holders = u64::from(self.scenario.replicas) + 1;
        let growth = self.fill.look(self.now, |node| self.fleet.nodes.contains_key(&node));
        Sight {
            at: self.now,
            topology: Arc::clone(&self.fleet.topology),
            nodes,
            // Who comes is a node at once.
            coming: std::collections::BTreeSet::new(),
            slots: slots.collect(),
            limits: moment.limits,
            supplies: self.supply.supplies(self.scenario),
            ecpu_wanted: self.scenario.is_demand_known.then(|| whole(moment.asked)),
            memory_growth: growth.stored(|own| own * holders),
            slots_remaining: self.fleet.remaining,
        }
    }

    /// What no plan may do.
    fn check(&self) {
        let steps = &self.executor.record().steps;
        let coming: usize = steps.iter().map(|kept| kept.instances.len()).sum();
        let nodes = self.fleet.topology.nodes().len() + coming;
        let most = self.scenario.policy.nodes_max;
        assert!(nodes <= most, "{:?}: {nodes} nodes of {most}: {steps:?}", self.now);
    }
}

/// No more than a limit, where there is one.
fn cut(figure: f64, max: u64) -> f64 {
    let figure = figure.max(0.0);
    if max == 0 { figure } else { figure.min(max as f64) }
}

/// The count below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "such a conversion saturates, and amounts are not below 0"
)]
pub(crate) fn whole(amount: f64) -> u64 {
    amount as u64
}
