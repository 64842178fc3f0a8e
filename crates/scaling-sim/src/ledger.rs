//! What is written down of a run.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_executor::{Decision, Event as Told};
use memtide_planner::Action;
use memtide_topology::NodeId;

use crate::fleet::Fleet;
use crate::report::{Event, Report, Sample, Totals};
use crate::world::Moment;
use crate::{Scenario, least};

/// Two decisions against each other within this time are one too many, where the load was the same.
const REVERSAL_WITHIN: Duration = Duration::from_secs(600);

/// Loads are the same that differ by less than this part.
const SAME_LOAD: f64 = 0.15;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What is asked for at this look.
    pub(crate) asked: f64,
    samples: Vec<Sample>,
    events: Vec<Event>,
    totals: Totals,
    /// When nodes were added (true) or given back last, and at which load.
    last: Option<(bool, Duration, f64)>,
    /// What each node held when all was in its place last.
    held: BTreeMap<NodeId, f64>,
}

impl Ledger {
    pub(crate) fn tell(&mut self, at: Duration, text: String) {
        self.events.push(Event { at, text });
    }

    /// What the executor has told.
    pub(crate) fn hear(&mut self, at: Duration, told: &Told) {
        match told {
            Told::Decided(decision) => {
                for step in &decision.steps {
                    self.tell(at, format!("{} {}, because {}", step.id, step.action, step.why));
                }
                self.decided(at, decision);
            }
            // That all went well need not be told of each.
            Told::Carried { steps: (_, 0), .. } => {}
            other => self.tell(at, other.to_string()),
        }
    }

    pub(crate) fn record(&mut self, scenario: &Scenario, moment: &Moment, fleet: &Fleet) {
        self.moved(moment, fleet);
        let nodes = fleet.nodes.len();
        let granted: u64 = fleet.topology.nodes().values().map(|info| info.memory_max).sum();
        let sample = Sample {
            at: moment.at,
            asked: moment.asked,
            served: moment.served,
            usable: usable(moment, fleet),
            capacity: fleet.nodes.values().map(|node| node.capacity.ecpu as f64).sum(),
            nodes,
            nodes_least: least::nodes(scenario, moment),
            granted: granted as f64,
            held: moment.memory.values().map(|it| it.0).sum(),
            over: moment.over,
            copied: moment.copied,
            remaining: fleet.remaining,
        };
        let seconds = moment.passed.as_secs_f64();
        let totals = &mut self.totals;
        totals.asked += sample.asked * seconds;
        totals.served += sample.served * seconds;
        totals.node_hours += nodes as f64 * seconds / 3_600.0;
        totals.node_hours_least += sample.nodes_least as f64 * seconds / 3_600.0;
        totals.nodes_most = totals.nodes_most.max(nodes);
        totals.over_most = totals.over_most.max(sample.over);
        self.samples.push(sample);
    }

    /// Counts decisions, and those that undo the one before though nothing has changed.
    fn decided(&mut self, at: Duration, decision: &Decision) {
        for step in &decision.steps {
            let is_out = match step.action {
                Action::Add { .. } | Action::Stay { .. } => true,
                Action::Drain { .. } => false,
                _ => continue,
            };
            let is_reversal = self.last.is_some_and(|(was_out, then, load)| {
                let is_same = (self.asked - load).abs() < SAME_LOAD * load.max(1.0);
                was_out != is_out && then + REVERSAL_WITHIN > at && is_same
            });
            self.totals.reversals += usize::from(is_reversal);
            self.totals.decisions += 1;
            self.last = Some((is_out, at, self.asked));
        }
    }

    /// What had to move at the least, from one time when all was in its place to the next: what nodes have that
    /// have come, or what those had that have gone, whichever is more.
    fn moved(&mut self, moment: &Moment, fleet: &Fleet) {
        let is_draining = fleet.topology.nodes().values().any(|info| info.is_draining);
        if fleet.remaining > 0 || is_draining || !fleet.nodes.keys().all(|it| fleet.is_up(*it)) {
            return;
        }
        let held = |node: &NodeId| moment.memory.get(node).map_or(0.0, |it| it.0);
        let now: BTreeMap<NodeId, f64> = fleet.nodes.keys().map(|it| (*it, held(it))).collect();
        if !self.held.is_empty() {
            let not_in = |these: &BTreeMap<NodeId, f64>, others: &BTreeMap<NodeId, f64>| {
                let these = these.iter().filter(|(node, _)| !others.contains_key(node));
                these.map(|(_, held)| held).sum::<f64>()
            };
            self.totals.moved_least += not_in(&now, &self.held).max(not_in(&self.held, &now));
        }
        self.held = now;
    }

    pub(crate) fn into_report(mut self, scenario: &Scenario, seed: u64, fleet: &Fleet) -> Report {
        self.totals.moved = self.samples.iter().map(|it| it.copied).sum();
        self.totals.lost = fleet.lost;
        let (name, about) = (scenario.name, scenario.about);
        let Self { samples, events, totals, .. } = self;
        let (nodes_max, zones) = (scenario.policy.nodes_max, scenario.zones);
        Report { name, about, seed, zones, nodes_max, samples, events, totals }
    }
}

/// How much of a load that is spread as it is could be served without any node being above what it can.
fn usable(moment: &Moment, fleet: &Fleet) -> f64 {
    let parts = moment.load.iter().filter_map(|(node, load)| {
        let capacity =
            if fleet.is_up(*node) { fleet.nodes[node].capacity.ecpu as f64 } else { 0.0 };
        (*load > 0.0).then(|| capacity / load)
    });
    moment.asked * parts.min_by(f64::total_cmp).unwrap_or(0.0)
}
