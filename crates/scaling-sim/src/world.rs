//! A run: load, nodes and faults in virtual time, with the planner looking on.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_limits::Limits;
use memtide_planner::{Action, Amounts, Observation, Past, Plan, Seen, SlotLoad, plan};
use memtide_topology::{NodeId, SLOTS};

use crate::fleet::{Fleet, Node};
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
        world.tick();
    }
    world.ledger.into_report(scenario, seed, &world.fleet)
}

pub(crate) struct World<'s> {
    scenario: &'s Scenario,
    now: Duration,
    fleet: Fleet,
    supply: Supply,
    past: Past,
    weights: Weights,
    spread: Spread,
    ledger: Ledger,
    rng: Rng,
    kills: usize,
}

/// What a moment asks for, and who gets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    /// ECPUs per second that are asked for, within the limit.
    pub(crate) asked: f64,
    /// Bytes, once.
    pub(crate) data: f64,
    pub(crate) limits: Limits,
    /// Asked of each node.
    pub(crate) load: BTreeMap<NodeId, f64>,
    /// Held by each node, and of these still learned.
    pub(crate) memory: BTreeMap<NodeId, (f64, f64)>,
    pub(crate) served: f64,
    pub(crate) copied: f64,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let mut fleet = Fleet::new(scenario.replicas);
        let zones = usize::from(scenario.zones);
        for at in 0..scenario.nodes {
            let zone = at % zones;
            let capacity = scenario.sizes[at % scenario.sizes.len()];
            fleet.join(zone, scenario.granted, Node { zone, capacity, reserved_for: None });
        }
        let weights = Weights::new(seed);
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
            supply: Supply::new(scenario, seed),
            past: Past::default(),
            weights,
            spread: Spread::default(),
            ledger: Ledger::default(),
            rng: Rng::new(seed ^ 0x10ad),
            kills: 0,
            fleet,
        }
    }

    fn tick(&mut self) {
        self.now += self.scenario.tick;
        self.fleet.fail_over();
        self.supply.deliver(self.now, &mut self.fleet);
        let mut moment = self.ask();
        let bytes = self.weights.bytes(moment.data);
        let before = self.fleet.copied;
        let step = self.scenario.step;
        let mut time = Duration::ZERO;
        while time < self.scenario.tick {
            time += step;
            self.fleet.copy(self.scenario.supply.copy_rate * step.as_secs_f64(), &bytes);
            for node in self.fleet.round(step, &bytes) {
                self.supply.take_back(node.zone, self.scenario);
            }
        }
        moment.copied = self.fleet.copied - before;
        self.kill();
        self.load(&mut moment);
        let seen = self.observe(&moment, &bytes);
        let (plan, past) = plan(&seen, &self.scenario.policy, core::mem::take(&mut self.past));
        self.past = past;
        self.check(&plan, &seen);
        self.ledger.record(self.scenario, &moment, &plan, (&seen, &self.fleet));
        self.supply.begin(&plan, &mut self.fleet, self.scenario);
    }

    fn ask(&mut self) -> Moment {
        let scenario = self.scenario;
        let limits = scenario.limits.iter().rev().find(|(from, _)| *from <= self.now);
        let limits = limits.map(|(_, limits)| *limits).unwrap_or_default();
        let mut noisy = |curve: &crate::Curve| {
            (curve.at(self.now) * (1.0 + curve.noise * self.rng.normal())).max(0.0)
        };
        let (load, data) = (noisy(&scenario.load), noisy(&scenario.data));
        let cut = |figure: f64, max: u64| if max == 0 { figure } else { figure.min(max as f64) };
        let asked = cut(load, limits.ecpu_per_second.max);
        let data = cut(data, limits.data_storage.max);
        Moment { at: self.now, asked, data, limits, ..Moment::default() }
    }

    fn kill(&mut self) {
        let due = self.scenario.kills.get(self.kills).filter(|(at, _)| *at <= self.now);
        let Some((_, nodes)) = due else { return };
        self.kills += 1;
        for _ in 0..*nodes {
            let up: Vec<NodeId> = self.fleet.nodes.keys().copied().collect();
            let node = up[self.rng.below(up.len())];
            self.ledger.tell(self.now, format!("{node} is killed"));
            self.fleet.kill(node);
        }
    }

    /// Who is asked for how much, and holds how much.
    fn load(&mut self, moment: &mut Moment) {
        self.weights.follow(&self.scenario.skew, self.now);
        self.spread.follow(&self.fleet.topology, &self.weights);
        for (node, part) in &self.spread.ecpu {
            moment.load.insert(*node, moment.asked * part);
        }
        for (node, part) in &self.spread.bytes {
            moment.memory.insert(*node, (moment.data * part, 0.0));
        }
        for (node, have) in self.fleet.learned() {
            let memory = moment.memory.entry(node).or_default();
            *memory = (memory.0 + have, memory.1 + have);
        }
        let served = moment.load.iter().filter(|(node, _)| self.fleet.is_up(**node));
        let capacity = |node: &NodeId| self.fleet.nodes[node].capacity.ecpu as f64;
        moment.served = served.map(|(node, load)| load.min(capacity(node))).sum();
    }

    fn observe(&self, moment: &Moment, bytes: &[f64]) -> Observation {
        let seconds = self.scenario.tick.as_secs_f64();
        let copying = moment.copied / seconds / self.fleet.nodes.len().max(1) as f64;
        let mut served_part: BTreeMap<NodeId, f64> = BTreeMap::new();
        let nodes = self.fleet.nodes.iter().map(|(id, node)| {
            let asked = moment.load.get(id).copied().unwrap_or(0.0);
            let served = asked.min(node.capacity.ecpu as f64);
            served_part.insert(*id, if asked > 0.0 { served / asked } else { 0.0 });
            let (memory, learning) = moment.memory.get(id).copied().unwrap_or_default();
            let busy = served / node.capacity.ecpu as f64 + if copying > 0.0 { 0.1 } else { 0.0 };
            let load = Amounts {
                memory: whole(memory),
                ecpu: whole(served),
                cpu: whole(node.capacity.cpu as f64 * busy.min(1.0)),
                network: whole(served * WIRE_BYTES_PER_ECPU + 2.0 * copying),
            };
            let (is_up, capacity) = (self.fleet.is_up(*id), node.capacity);
            let (memory_learning, reserved_for) = (whole(learning), node.reserved_for);
            let may_leave = true;
            let memory_held = 0;
            (
                *id,
                Seen {
                    is_up,
                    load,
                    memory_held,
                    memory_learning,
                    capacity,
                    may_leave,
                    leave_rank: 0,
                    reserved_for,
                },
            )
        });
        let nodes = nodes.collect();
        let slots = self.fleet.topology.slots().map(|(slot, config)| {
            let at = usize::from(slot.number());
            let part = config.primary.and_then(|it| served_part.get(&it)).copied().unwrap_or(0.0);
            let ecpu = whole(moment.asked * self.weights.ecpu(at) * part);
            SlotLoad { bytes: whole(bytes[at]), ecpu }
        });
        Observation {
            at: self.now,
            topology: std::sync::Arc::clone(&self.fleet.topology),
            nodes,
            slots: slots.collect(),
            limits: moment.limits,
            offers: self.supply.offers(self.scenario),
            ecpu_wanted: self.scenario.is_demand_known.then(|| whole(moment.asked)),
            slots_remaining: self.fleet.remaining,
            under_way: self.supply.under_way.clone(),
            failed: self.supply.failed.clone(),
        }
    }

    /// What no plan may do.
    fn check(&mut self, plan: &Plan, seen: &Observation) {
        self.supply.failed.clear();
        let added = plan.steps.iter().map(|step| match &step.action {
            Action::Add { nodes, .. } => usize::try_from(*nodes).unwrap_or(usize::MAX),
            Action::Isolate { .. } => 1,
            _ => 0,
        });
        let missing =
            seen.under_way.iter().map(|it| usize::try_from(it.nodes_missing).unwrap_or(0));
        let nodes = seen.topology.nodes().len() + added.sum::<usize>() + missing.sum::<usize>();
        let most = self.scenario.policy.nodes_max;
        assert!(nodes <= most, "{:?}: {nodes} nodes of {most}: {plan:?}", self.now);
    }
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
