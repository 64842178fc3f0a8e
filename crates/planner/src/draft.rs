use std::collections::BTreeSet;

use memtide_topology::NodeId;

use crate::fleet::Fleet;
use crate::need::{self, Figures};
use crate::{Action, Band, Note, Observation, Past, Plan, Policy, Resource, Step, Why};

/// A plan that is being made.
pub(crate) struct Draft<'a> {
    pub(crate) seen: &'a Observation,
    pub(crate) policy: &'a Policy,
    pub(crate) past: Past,
    /// With all that is under way done.
    pub(crate) fleet: Fleet,
    pub(crate) figures: Figures,
    pub(crate) notes: BTreeSet<Note>,
    steps: Vec<Step>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(seen: &'a Observation, policy: &'a Policy, mut past: Past) -> Self {
        let load = past.without_moves(need::load(seen), seen.is_moving());
        past.follow(seen, policy, load);
        let fleet = Fleet::of(seen);
        let mut needs = Resource::ALL.map(|resource| {
            need::need((seen, policy), &past, load, resource, fleet.capacity(resource))
        });
        // Nobody has to count slots where nothing comes.
        let here = (seen.memory_growth > 0).then(|| fleet.memory_here(&seen.topology)).flatten();
        needs[0] = needs[0].with_fill((seen, policy), here);
        let coming: usize = seen
            .under_way
            .iter()
            .map(|it| usize::try_from(it.nodes_missing).unwrap_or(usize::MAX))
            .sum();
        let stays = |node: &&NodeId| !seen.nodes.get(*node).is_some_and(|it| it.is_leaving);
        let nodes_all = seen.topology.nodes().keys().filter(stays).count() + coming;
        let figures = Figures { needs, nodes: fleet.members.len(), nodes_all };
        let (steps, notes) = (Vec::new(), BTreeSet::new());
        Self { seen, policy, past, fleet, figures, notes, steps }
    }

    pub(crate) fn step(&mut self, action: Action, why: Why) {
        if let Action::Drain { node } = action {
            self.past.given_back.insert(node);
        }
        let id = self.past.next_id();
        self.steps.push(Step { id, action, why });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The memory of nodes that are there, where it is another than in the fleet before: first who gets more.
    pub(crate) fn grants(&mut self, fleet: &Fleet, why: Why) {
        let mut shrinks = Vec::new();
        for it in &fleet.members {
            let Some(node) = it.node else { continue };
            let before = self.fleet.members.iter().find(|before| before.node == Some(node));
            // One that stays after all is not in the fleet before.
            let before = before.map_or(it.granted, |before| before.grant);
            let (from, to) = (it.granted, it.grant);
            if to > before {
                self.step(Action::Grow { node, from, to }, why);
            } else if to < before {
                shrinks.push(Action::Shrink { node, from, to });
            }
        }
        shrinks.into_iter().for_each(|action| self.step(action, why));
    }

    /// How much of memory is to be in use.
    pub(crate) fn memory(&self) -> Band {
        need::band(self.seen, self.policy, Resource::Memory)
    }

    /// How many nodes more there may be.
    pub(crate) const fn nodes_left(&self) -> usize {
        self.policy.nodes_max.saturating_sub(self.figures.nodes_all)
    }

    /// Fewer nodes are too few: each copy of a slot has a node of its own.
    pub(crate) fn nodes_floor(&self) -> usize {
        self.policy.nodes_min.max(self.seen.holders())
    }

    pub(crate) fn finish(mut self) -> (Plan, Past) {
        let notes = self.past.news(self.notes);
        let (parent, at) = (self.seen.topology.epoch(), self.seen.at);
        let plan = Plan { parent, at, steps: self.steps, notes, figures: self.figures };
        (plan, self.past)
    }
}
