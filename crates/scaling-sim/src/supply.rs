//! A provisioner that takes its time, fails and is late, and the executor before it.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_planner::{Action, Amounts, Failed, Offer, Plan, Step, UnderWay};
use memtide_topology::{Change, SlotId};

use crate::Scenario;
use crate::fleet::{Fleet, Node, zone_name};
use crate::rng::Rng;

/// Nodes that can be had and are under way.
#[derive(Debug)]
pub(crate) struct Supply {
    /// Warm spares, by zone.
    warm: Vec<u32>,
    orders: Vec<Order>,
    pub(crate) under_way: Vec<UnderWay>,
    pub(crate) failed: Vec<Failed>,
    rng: Rng,
}

#[derive(Debug)]
struct Order {
    step: Step,
    zone: usize,
    capacity: Amounts,
    memory: u64,
    slot: Option<SlotId>,
    due: Duration,
    is_failing: bool,
}

/// What an offer's number says: zone, size, and whether it is a warm spare.
fn offer_id(zone: usize, size: usize, is_warm: bool) -> u32 {
    let id = (zone * 16 + size) * 2 + usize::from(is_warm);
    u32::try_from(id).unwrap_or(u32::MAX)
}

impl Supply {
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        Self {
            warm: vec![scenario.supply.warm; usize::from(scenario.zones)],
            orders: Vec::new(),
            under_way: Vec::new(),
            failed: Vec::new(),
            rng: Rng::new(seed ^ 0x5eed),
        }
    }

    pub(crate) fn offers(&self, scenario: &Scenario) -> Vec<Offer> {
        let of = |zone, size, is_warm| Offer {
            id: offer_id(zone, size, is_warm),
            zone: zone_name(zone),
            capacity: scenario.sizes[size],
            memory_min: 64 << 20,
            nodes: if is_warm { self.warm[zone] } else { 1_024 },
            ready_in: if is_warm { scenario.supply.warm_delay } else { scenario.supply.cold_delay },
        };
        let zones = 0..usize::from(scenario.zones);
        let warm = zones.clone().map(|zone| of(zone, 0, true));
        let sizes = 0..if scenario.supply.is_cold { scenario.sizes.len() } else { 0 };
        let cold = zones.flat_map(|zone| sizes.clone().map(move |size| (zone, size)));
        warm.chain(cold.map(|(zone, size)| of(zone, size, false))).collect()
    }

    /// A node was given back.
    pub(crate) fn take_back(&mut self, zone: usize, scenario: &Scenario) {
        self.warm[zone] = (self.warm[zone] + 1).min(scenario.supply.warm);
    }

    /// Begins what a plan says.
    pub(crate) fn begin(&mut self, plan: &Plan, fleet: &mut Fleet, scenario: &Scenario) {
        for step in &plan.steps {
            let of_node = |node| fleet.is_up(node);
            match &step.action {
                Action::Grow { node, .. } | Action::Shrink { node, .. } if of_node(*node) => {
                    self.wait(step, plan.at, 0);
                }
                Action::Drain { node } if of_node(*node) => {
                    fleet.set(Change::SetDraining { node: *node, is_draining: true });
                }
                Action::Stay { node } if of_node(*node) => {
                    fleet.set(Change::SetDraining { node: *node, is_draining: false });
                }
                Action::Move { slots, to } if of_node(*to) => fleet.pin(slots, *to),
                Action::Add { offer, nodes, memory, .. } => {
                    let order = (*offer, *nodes, *memory);
                    self.order((step, None), order, plan.at, scenario);
                }
                Action::Isolate { slot, offer, memory, .. } => {
                    self.order((step, Some(*slot)), (*offer, 1, *memory), plan.at, scenario);
                }
                Action::GiveUp { step } => {
                    let given_up = self.under_way.iter_mut().filter(|it| it.id == *step);
                    given_up.for_each(|it| it.is_given_up = true);
                }
                _ => {
                    let (id, action) = (step.id, step.action.clone());
                    self.failed.push(Failed { id, action, at: plan.at });
                    // Those after it are not done.
                    return;
                }
            }
        }
    }

    fn wait(&mut self, step: &Step, since: Duration, nodes_missing: u32) {
        let (id, action) = (step.id, step.action.clone());
        self.under_way.push(UnderWay { id, action, since, nodes_missing, is_given_up: false });
    }

    fn order(
        &mut self,
        (step, slot): (&Step, Option<SlotId>),
        (offer, nodes, memory): (u32, u32, u64),
        now: Duration,
        scenario: &Scenario,
    ) {
        self.wait(step, now, nodes);
        let number = usize::try_from(offer).unwrap_or_default();
        let (is_warm, size, zone) = (number % 2 == 1, number / 2 % 16, number / 32);
        if is_warm {
            self.warm[zone] = self.warm[zone].saturating_sub(nodes);
        }
        let supply = &scenario.supply;
        let delay = if is_warm { supply.warm_delay } else { supply.cold_delay };
        for _ in 0..nodes {
            let factor = 0.8 + 0.4 * self.rng.unit();
            let late = if self.rng.unit() < supply.late { 10.0 } else { 1.0 };
            let is_failing = self.rng.unit() < supply.failing;
            let due = now + delay.mul_f64(factor * late);
            let (step, capacity) = (step.clone(), scenario.sizes[size]);
            self.orders.push(Order { step, zone, capacity, memory, slot, due, is_failing });
        }
    }

    /// Does what is due by now. Memory takes from one look to the next.
    pub(crate) fn deliver(&mut self, now: Duration, fleet: &mut Fleet) {
        let mut arrived: BTreeMap<_, u32> = BTreeMap::new();
        for order in self.orders.extract_if(.., |order| order.due <= now) {
            *arrived.entry(order.step.id).or_default() += 1;
            if order.is_failing {
                let (id, action) = (order.step.id, order.step.action);
                self.failed.push(Failed { id, action, at: now });
                continue;
            }
            let Order { zone, capacity, slot, memory, .. } = order;
            fleet.join(zone, memory, Node { zone, capacity, reserved_for: slot });
        }
        for it in &mut self.under_way {
            match it.action {
                Action::Grow { node, to, .. } | Action::Shrink { node, to, .. } => {
                    if fleet.is_up(node) {
                        fleet.set(Change::SetMemory { node, memory_max: to });
                    }
                }
                _ => {
                    it.nodes_missing -= arrived.get(&it.id).copied().unwrap_or(0);
                }
            }
        }
        self.under_way.retain(|it| it.nodes_missing > 0);
    }
}
