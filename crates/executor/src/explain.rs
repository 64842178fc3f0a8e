//! What was decided lately, why, and what came of it.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use memtide_limits::units::show_size;
use memtide_planner::{Action, Figures, Plan, Resource, StepId, Why};
use memtide_topology::Epoch;

use crate::Event;

/// Decisions that are kept.
const DECISIONS_MAX: usize = 64;

/// A plan with steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which, from 1.
    pub number: u64,
    /// When.
    pub at: Duration,
    /// The topology that it was made of.
    pub parent: Epoch,
    /// What it was made on.
    pub figures: Figures,
    /// What is to be done.
    pub steps: Vec<DecidedStep>,
}

/// A step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedStep {
    /// Which.
    pub id: StepId,
    /// What.
    pub action: Action,
    /// Why.
    pub why: Why,
    /// What came of it.
    pub fate: Fate,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    UnderWay,
    /// It was done, after this time.
    Done(Duration),
    /// It failed, or was not begun as one before it failed; why.
    Failed(String),
    /// It took too long.
    GivenUp(Duration),
}

/// The decisions of late, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decisions(VecDeque<Decision>);

impl Decisions {
    pub(crate) fn add(&mut self, number: u64, plan: &Plan) -> Decision {
        let steps = plan.steps.iter().map(|step| DecidedStep {
            id: step.id,
            action: step.action.clone(),
            why: step.why,
            // Who gives up has nothing to wait for.
            fate: match step.action {
                Action::GiveUp { .. } => Fate::Done(Duration::ZERO),
                _ => Fate::UnderWay,
            },
        });
        let decision = Decision {
            number,
            at: plan.at,
            parent: plan.parent,
            figures: plan.figures,
            steps: steps.collect(),
        };
        if self.0.len() == DECISIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(decision.clone());
        decision
    }

    /// A step has ended; says so where it was the last of its decision.
    pub(crate) fn end(
        &mut self,
        now: Duration,
        step: StepId,
        fate: impl FnOnce(Duration) -> Fate,
    ) -> Option<Event> {
        let of = |it: &&mut Decision| it.steps.iter().any(|known| known.id == step);
        let decision = self.0.iter_mut().find(of)?;
        let took = now.saturating_sub(decision.at);
        let it = decision.steps.iter_mut().find(|known| known.id == step)?;
        if it.fate != Fate::UnderWay {
            return None;
        }
        it.fate = fate(took);
        let is_over = decision.steps.iter().all(|it| it.fate != Fate::UnderWay);
        let done = decision.steps.iter().filter(|it| matches!(it.fate, Fate::Done(_))).count();
        let steps = (done, decision.steps.len() - done);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        is_over.then_some(Event::Carried { decision: decision.number, steps, took_ms })
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.0.iter()
    }
}

/// In one line: what of all steps together, why, and on which figures.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decision {}: ", self.number)?;
        for (at, (what, why)) in self.summary().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{what}, because {why}")?;
        }
        let mut is_first = true;
        for resource in Resource::ALL {
            let need = self.figures.of(resource);
            let Some(capacity) = need.capacity.filter(|capacity| *capacity > 0) else { continue };
            let opening = if is_first { " (" } else { ", " };
            let (load, capacity) = (resource.show(need.load), resource.show(capacity));
            write!(f, "{opening}{resource} {load} of {capacity}")?;
            is_first = false;
        }
        f.write_str(if is_first { "" } else { ")" })
    }
}

impl Decision {
    /// What is done, alike steps together, and why; for each reason in turn.
    #[must_use]
    pub fn summary(&self) -> Vec<(String, String)> {
        let mut summary: Vec<(String, String)> = Vec::new();
        let mut rest: Vec<&DecidedStep> = self.steps.iter().collect();
        while let Some(first) = rest.first().copied() {
            let is_alike =
                |it: &&DecidedStep| it.action.name() == first.action.name() && it.why == first.why;
            let alike: Vec<&DecidedStep> = rest.extract_if(.., |it| is_alike(it)).collect();
            summary.push((together(&alike), first.why.to_string()));
        }
        summary
    }
}

/// Alike steps as one.
fn together(steps: &[&DecidedStep]) -> String {
    let [first, _, ..] = steps else { return steps[0].action.to_string() };
    let (mut before, mut after, mut nodes) = (0_u64, 0_u64, 0_u64);
    for step in steps {
        match step.action {
            Action::Grow { from, to, .. } | Action::Shrink { from, to, .. } => {
                before = before.saturating_add(from);
                after = after.saturating_add(to);
            }
            Action::Add { nodes: more, memory, .. } => {
                nodes += u64::from(more);
                after = after.saturating_add(memory.saturating_mul(u64::from(more)));
            }
            _ => {}
        }
    }
    let (count, name) = (steps.len(), first.action.name());
    match first.action {
        Action::Grow { .. } | Action::Shrink { .. } => format!(
            "{name} {count} nodes from {} to {} together",
            show_size(before),
            show_size(after)
        ),
        Action::Add { .. } => format!("add {nodes} nodes of {} together", show_size(after)),
        _ => {
            let each: Vec<String> = steps.iter().map(|step| step.action.to_string()).collect();
            each.join(", ")
        }
    }
}
