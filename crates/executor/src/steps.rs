//! How steps go on.

use core::time::Duration;

use memtide_manager::Operation;
use memtide_planner::{Action, Failed, StepId};
use memtide_topology::NodeId;

use crate::{Call, Event, Executor, Fate, Kept, Sight, Source};

/// What is known of a step beside what is on record; begun anew where the executor is.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) since: Duration,
    /// The state of the record that has it first.
    pub(crate) version: u64,
    phase: Phase,
    /// Of a step that adds nodes: why one of them will not come.
    fault: Option<String>,
}

/// How far a step is that does not add nodes.
///
/// ```text
///   Waits --> Resizes --> Resized --> Operates --> Operated: the topology will show it
///     +-------------------------------^
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waits,
    Resizes,
    Resized,
    Operates,
    Operated,
}

impl Work {
    pub(crate) const fn since(since: Duration) -> Self {
        Self { since, version: 0, phase: Phase::Waits, fault: None }
    }
}

impl Kept {
    /// One that adds no nodes.
    pub(crate) const fn of(id: StepId, plan: u64, action: Action) -> Self {
        Self { id, plan, action, source: None, instances: Vec::new(), is_given_up: false }
    }

    const fn adds_nodes(&self) -> bool {
        matches!(self.action, Action::Add { .. } | Action::Isolate { .. })
    }

    /// The node that it is for, where it is for one that there is.
    const fn node(&self) -> Option<NodeId> {
        match self.action {
            Action::Grow { node, .. }
            | Action::Shrink { node, .. }
            | Action::Stay { node }
            | Action::Drain { node }
            | Action::Move { to: node, .. } => Some(node),
            Action::Add { .. } | Action::Isolate { .. } | Action::GiveUp { .. } => None,
        }
    }

    const fn is_grant(&self) -> bool {
        matches!(self.action, Action::Grow { .. } | Action::Shrink { .. })
    }
}

impl Executor {
    /// Takes out what is done, and what cannot be done any more.
    pub(crate) fn finish(&mut self, sight: &Sight) {
        let is_for_nobody = |kept: &&Kept| {
            let node = kept.node();
            node.is_some_and(|node| !sight.topology.nodes().contains_key(&node))
                && !self.is_done(kept, sight)
        };
        let vain: Vec<Kept> = self.record.steps.iter().filter(is_for_nobody).cloned().collect();
        for kept in vain {
            let node = kept.node().map(|node| node.to_string()).unwrap_or_default();
            self.step_fails(&kept, &format!("{node} has left"));
        }
        let done: Vec<Kept> =
            self.record.steps.iter().filter(|kept| self.is_done(kept, sight)).cloned().collect();
        for kept in done {
            self.change().steps.retain(|it| it.id != kept.id);
            let fault = self.work.get(&kept.id).and_then(|work| work.fault.clone());
            match fault {
                Some(why) => self.end_step(kept.id, |_| Fate::Failed(why)),
                None if kept.is_given_up => self.end_step(kept.id, Fate::GivenUp),
                None => self.end_step(kept.id, Fate::Done),
            }
            if let Action::Shrink { node, to, .. } = kept.action
                && let Some(instance) = self.instance_of(node, sight)
                && !self.is_called(&instance)
            {
                // Where that fails, its surroundings allow more than it uses.
                self.call(None, Call::Resize { instance, memory: to });
            }
        }
    }

    /// Has all steps go on that can.
    pub(crate) fn advance(&mut self, sight: &Sight) {
        for kept in self.record.steps.clone() {
            let Some(work) = self.work.get(&kept.id) else { continue };
            if kept.is_given_up || !self.is_stored(work.version) {
                continue;
            }
            if kept.adds_nodes() {
                self.order_nodes(&kept, sight);
            } else {
                self.advance_step(&kept, work.phase, sight);
            }
        }
        self.finish(sight);
    }

    fn advance_step(&mut self, kept: &Kept, phase: Phase, sight: &Sight) {
        let is_next = matches!(phase, Phase::Waits | Phase::Resized);
        if !is_next || self.is_done(kept, sight) || self.has_to_wait(kept) {
            return;
        }
        let operation = match kept.action {
            Action::Grow { node, to, .. } => {
                let resized = self.instance_of(node, sight).filter(|_| phase == Phase::Waits);
                if let Some(instance) = resized {
                    if !self.is_called(&instance) {
                        self.call(Some(kept.id), Call::Resize { instance, memory: to });
                        self.set_phase(kept.id, Phase::Resizes);
                    }
                    return;
                }
                Operation::SetMemory { node, memory_max: to }
            }
            Action::Shrink { node, to, .. } => Operation::SetMemory { node, memory_max: to },
            Action::Drain { node } => Operation::Drain(node),
            Action::Stay { node } => Operation::Undrain(node),
            Action::Move { ref slots, to } => Operation::MoveSlots { slots: slots.clone(), to },
            Action::Add { .. } | Action::Isolate { .. } | Action::GiveUp { .. } => return,
        };
        self.call(Some(kept.id), Call::Operate(operation));
        self.set_phase(kept.id, Phase::Operates);
    }

    /// Nobody leaves before the rest has been granted what it needs then; and who is being granted less
    /// is granted more after that, as nobody knows which of the two would be the last.
    fn has_to_wait(&self, kept: &Kept) -> bool {
        let mut before = self.record.steps.iter().take_while(|it| it.id != kept.id);
        match kept.action {
            Action::Drain { .. } => before.any(|it| it.plan == kept.plan && it.is_grant()),
            Action::Grow { node: grows, .. } => {
                before.any(|it| matches!(it.action, Action::Shrink { node, .. } if node == grows))
            }
            _ => false,
        }
    }

    /// Whether a step has led to what it was to.
    fn is_done(&self, kept: &Kept, sight: &Sight) -> bool {
        // What a node has that is about to shrink, it has not for long.
        let is_for_now = matches!(kept.action, Action::Grow { .. }) && self.has_to_wait(kept);
        is_shown(kept, sight) && !is_for_now
    }

    fn order_nodes(&mut self, kept: &Kept, sight: &Sight) {
        for name in &kept.instances {
            let Some(it) = self.record.instances.get(name) else { continue };
            if it.is_unwanted || self.is_called(name) {
                continue;
            }
            let (instance, memory) = (name.clone(), it.memory);
            if it.is_started {
                // Who names its nodes begins them all as spares; and one that was taken may have begun anew.
                if sight.is_waiting(name) && self.taken.insert(instance.clone()) {
                    self.call(Some(kept.id), Call::Take { instance, memory });
                }
                continue;
            }
            let is_held = it.is_provisioned && !self.resized.contains(name);
            let call = match kept.source {
                Some(Source::Spares) if is_held => Call::Resize { instance, memory },
                Some(Source::Spares) => {
                    self.taken.insert(name.clone());
                    Call::Take { instance, memory }
                }
                _ => it.start(instance),
            };
            self.call(Some(kept.id), call);
        }
    }

    fn set_phase(&mut self, id: StepId, phase: Phase) {
        if let Some(work) = self.work.get_mut(&id) {
            work.phase = phase;
        }
    }

    pub(crate) fn step_answered(&mut self, step: Option<StepId>, result: Result<(), String>) {
        let Some(kept) = step.and_then(|id| self.kept(id)) else { return };
        let Some(work) = self.work.get_mut(&kept.id) else { return };
        match result {
            Ok(()) if work.phase == Phase::Resizes => work.phase = Phase::Resized,
            Ok(()) => work.phase = Phase::Operated,
            Err(why) => self.step_fails(&kept, &why),
        }
    }

    pub(crate) fn is_in_step(&self, instance: &str) -> bool {
        self.record.steps.iter().any(|kept| kept.instances.iter().any(|name| name == instance))
    }

    /// The surroundings of a spare let it have what it is to be granted, or do not.
    pub(crate) fn spare_answered(
        &mut self,
        step: Option<StepId>,
        instance: String,
        result: Result<(), String>,
    ) {
        match (result, step) {
            (Ok(()), _) => drop(self.resized.insert(instance)),
            (Err(why), Some(step)) => self.node_fails(step, &instance, &why),
            (Err(_), None) => {}
        }
    }

    /// A step is not begun after all, where it was not: the reverse is wanted.
    pub(crate) fn take_back(&mut self, is_reverse: impl Fn(&Action) -> bool) {
        let waits = |id: &StepId| self.work.get(id).is_some_and(|it| it.phase == Phase::Waits);
        let steps = self.record.steps.iter();
        let waiting = steps.filter(|kept| is_reverse(&kept.action) && waits(&kept.id));
        let waiting: Vec<Kept> = waiting.cloned().collect();
        waiting.iter().for_each(|kept| self.drop_step(kept, "the reverse is wanted by now"));
    }

    pub(crate) fn kept(&self, id: StepId) -> Option<Kept> {
        self.record.steps.iter().find(|kept| kept.id == id).cloned()
    }

    /// A step cannot be done, and so are those after it of its plan that have not begun.
    pub(crate) fn step_fails(&mut self, kept: &Kept, why: &str) {
        self.failed.push(Failed { id: kept.id, action: kept.action.clone(), at: self.now });
        let (step, action) = (kept.id, kept.action.clone());
        self.tell(Event::Failed { step, action, why: why.to_owned() });
        self.drop_step(kept, why);
        self.drop_after(kept, "failed");
    }

    /// What comes after a step in its plan, and has not begun, is not done without it.
    fn drop_after(&mut self, kept: &Kept, what: &str) {
        let has_begun = |executor: &Self, it: &Kept| {
            let is_waiting =
                executor.work.get(&it.id).is_some_and(|work| work.phase == Phase::Waits);
            !is_waiting || it.instances.iter().any(|name| !executor.is_untouched(name))
        };
        let after = self.record.steps.iter().filter(|it| it.plan == kept.plan && it.id > kept.id);
        let after: Vec<Kept> = after.filter(|it| !has_begun(self, it)).cloned().collect();
        for it in after {
            self.drop_step(&it, &format!("{} before it {what}", kept.id));
        }
    }

    fn drop_step(&mut self, kept: &Kept, why: &str) {
        self.change().steps.retain(|it| it.id != kept.id);
        kept.instances.iter().for_each(|name| self.unwant(name));
        self.end_step(kept.id, |_| Fate::Failed(why.to_owned()));
    }

    /// One of the nodes that a step adds will not come.
    pub(crate) fn node_fails(&mut self, id: StepId, instance: &str, why: &str) {
        let Some(kept) = self.kept(id) else { return };
        self.failed.push(Failed { id, action: kept.action.clone(), at: self.now });
        let (action, why) = (kept.action, why.to_owned());
        self.tell(Event::Failed { step: id, action, why: why.clone() });
        if let Some(work) = self.work.get_mut(&id) {
            work.fault = Some(why);
        }
        self.unwant(instance);
        self.forget_in_steps(instance);
    }

    /// An instance has joined, or never will.
    pub(crate) fn forget_in_steps(&mut self, instance: &str) {
        let is_in = |kept: &Kept| kept.instances.iter().any(|name| name == instance);
        if self.record.steps.iter().any(is_in) {
            let steps = &mut self.change().steps;
            steps.iter_mut().for_each(|kept| kept.instances.retain(|name| name != instance));
        }
    }

    /// The planner waits for a step no longer. Nodes that it adds and that have not come are ended.
    pub(crate) fn give_up(&mut self, id: StepId) {
        let Some(kept) = self.kept(id) else { return };
        if !kept.adds_nodes() {
            self.change().steps.retain(|it| it.id != id);
            self.end_step(id, Fate::GivenUp);
            return self.drop_after(&kept, "was given up");
        }
        let steps = &mut self.change().steps;
        steps.iter_mut().filter(|it| it.id == id).for_each(|it| it.is_given_up = true);
        kept.instances.iter().for_each(|name| self.unwant(name));
    }

    fn instance_of(&self, node: NodeId, sight: &Sight) -> Option<String> {
        let name = &sight.nodes.get(&node)?.instance;
        let it = self.record.instances.get(name)?;
        it.is_provisioned.then(|| name.clone())
    }
}

/// Whether the topology shows what a step was to lead to.
fn is_shown(kept: &Kept, sight: &Sight) -> bool {
    let nodes = sight.topology.nodes();
    match &kept.action {
        // A later step may have gone further.
        Action::Grow { node, to, .. } => nodes.get(node).is_some_and(|info| info.memory_max >= *to),
        Action::Shrink { node, to, .. } => {
            nodes.get(node).is_some_and(|info| info.memory_max <= *to)
        }
        Action::Drain { node } => nodes.get(node).is_none_or(|info| info.is_draining),
        Action::Stay { node } => nodes.get(node).is_some_and(|info| !info.is_draining),
        Action::Move { slots, to } => {
            slots.iter().all(|slot| sight.topology.slot(*slot).primary == Some(*to))
        }
        Action::Add { .. } | Action::Isolate { .. } => kept.instances.is_empty(),
        Action::GiveUp { .. } => true,
    }
}
