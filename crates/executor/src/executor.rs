use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use memtide_planner::{
    Action, Failed, Figures, Observation, Past, Plan, Policy, Seen, Step, StepId, UnderWay, plan,
};
use memtide_topology::SlotId;

use crate::adopt::Since;
use crate::explain::Decisions;
use crate::instances::Pauses;
use crate::steps::Work;
use crate::{Call, CallId, Decision, Effect, Event, Fate, Instance, Kept, Record, Sight, Source};

/// How the fleet is changed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The planner's.
    pub policy: Policy,
    /// Spares that the provisioner is asked to have ready in each zone.
    pub spares_per_zone: u32,
}

/// See the crate.
#[derive(Clone, Debug)]
pub struct Executor {
    pub(crate) settings: Settings,
    past: Past,
    pub(crate) record: Record,
    /// Which state of the record this is, which one is known to be on disk, and which one is being written.
    version: u64,
    stored: u64,
    storing: Option<u64>,
    is_store_failing: bool,
    /// What is known of steps beside what is on record.
    pub(crate) work: BTreeMap<StepId, Work>,
    /// Calls without an answer, and the steps that they are for.
    pub(crate) calls: BTreeMap<CallId, (Option<StepId>, Call)>,
    last_call: u64,
    pub(crate) pauses: Pauses,
    /// Since when instances were nodes and are none any more.
    pub(crate) lost: BTreeMap<String, Duration>,
    /// Since when nodes that are its instances are down.
    pub(crate) absent: BTreeMap<u64, Duration>,
    /// When instances became nodes.
    pub(crate) joined: BTreeMap<String, Duration>,
    /// Spares whose surroundings let them have what they are to be granted.
    pub(crate) resized: BTreeSet<String>,
    /// Which state of the record has a spare first, or says that an instance is not wanted; of those that may not
    /// be on disk.
    pub(crate) births: BTreeMap<String, u64>,
    /// Instances that are told to become nodes, since the last sight.
    pub(crate) taken: BTreeSet<String>,
    /// Since when the provisioner has had instances that nobody has ordered and that have not come.
    pub(crate) strangers: Since<String>,
    /// Since when there have been too many spares of supplies that have an order.
    pub(crate) surplus_since: Since<u32>,
    /// Since the last plan.
    pub(crate) failed: Vec<Failed>,
    pub(crate) decisions: Decisions,
    figures: Figures,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) sight: Option<Arc<Sight>>,
    /// The time of the last call.
    pub(crate) now: Duration,
}

impl Executor {
    /// One that goes on with what is on record. It begins nothing before it has seen the fleet.
    #[must_use]
    pub fn new(settings: Settings, record: Record) -> Self {
        Self {
            settings,
            past: Past::default(),
            record,
            // Even what was just read is written once: a record that cannot be is to be known early.
            version: 1,
            stored: 0,
            storing: None,
            is_store_failing: false,
            work: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_call: 0,
            pauses: Pauses::default(),
            lost: BTreeMap::new(),
            absent: BTreeMap::new(),
            joined: BTreeMap::new(),
            resized: BTreeSet::new(),
            births: BTreeMap::new(),
            taken: BTreeSet::new(),
            strangers: Since::new(),
            surplus_since: Since::new(),
            failed: Vec::new(),
            decisions: Decisions::default(),
            figures: Figures::default(),
            effects: VecDeque::new(),
            sight: None,
            now: Duration::ZERO,
        }
    }

    /// Instances that run already, and that nobody has on record.
    pub fn has(&mut self, name: String, instance: Instance) {
        self.change().instances.entry(name).or_insert(instance);
    }

    /// Looks at the fleet, plans, and begins what is to be done. To be called about once a second, and at once when
    /// a node is lost or limits change; not before all nodes that are on their way back are here.
    pub fn look(&mut self, sight: Arc<Sight>) {
        self.now = self.now.max(sight.at);
        for kept in &self.record.steps {
            self.work.entry(kept.id).or_insert_with(|| Work::since(self.now));
        }
        self.taken.clear();
        self.adopt(&sight);
        self.link(&sight);
        self.sight = Some(Arc::clone(&sight));
        self.finish(&sight);
        let seen = self.observation(&sight);
        self.failed.clear();
        let (plan, past) = plan(&seen, &self.settings.policy, core::mem::take(&mut self.past));
        self.past = past;
        self.figures = plan.figures;
        self.take(plan, &sight);
        self.keep_spares(&sight);
        self.forget_absent(&sight);
        self.end_unwanted(&sight);
        self.go_on();
    }

    /// The answer to [`Effect::Store`].
    pub fn stored(&mut self, now: Duration, version: u64, result: Result<(), String>) {
        self.now = self.now.max(now);
        self.storing = None;
        match result {
            Ok(()) => {
                self.stored = self.stored.max(version);
                self.is_store_failing = false;
                let stored = self.stored;
                self.births.retain(|_, born| *born > stored);
                self.go_on();
            }
            // It is tried again with the next look.
            Err(why) => {
                if !core::mem::replace(&mut self.is_store_failing, true) {
                    self.tell(Event::StoreFailed(why));
                }
            }
        }
    }

    /// The answer to [`Effect::Call`]: what was asked for has been done or begun, or why not. Whoever calls bounds the time
    /// that it takes.
    pub fn answered(&mut self, now: Duration, call: CallId, result: Result<(), String>) {
        self.now = self.now.max(now);
        let Some((step, call)) = self.calls.remove(&call) else { return };
        match call {
            Call::Resize { instance, .. } if self.is_in_step(&instance) => {
                self.spare_answered(step, instance, result);
            }
            Call::Operate(_) | Call::Resize { .. } => self.step_answered(step, result),
            Call::Start { instance, .. } | Call::Take { instance, .. } => {
                self.start_answered(step, &instance, result);
            }
            Call::End { instance } | Call::Release { instance } => {
                self.end_answered(&instance, result);
            }
        }
        self.go_on();
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether a process of this name may not become a node, now that it wants to: it is being ended. One that was
    /// ended and comes all the same, as its order was carried out late, is ended once more.
    pub fn turns_away(&mut self, instance: &str) -> bool {
        let is_late = self.record.gave(instance) && !self.record.instances.contains_key(instance);
        if is_late {
            self.change().instances.insert(instance.to_owned(), Instance::late());
            self.unwant(instance);
        }
        self.is_unwanted(instance)
    }

    /// Whether an instance is being ended.
    #[must_use]
    pub fn is_unwanted(&self, instance: &str) -> bool {
        self.record.instances.get(instance).is_some_and(|it| it.is_unwanted)
    }

    /// What it intends and has begun.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// What was decided lately, the newest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.all().rev()
    }

    /// What the last plan was made on.
    #[must_use]
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How it decides.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// Since when a step has been under way.
    #[must_use]
    pub fn since(&self, step: StepId) -> Option<Duration> {
        self.work.get(&step).map(|work| work.since)
    }
}

impl Executor {
    /// The record, which is other than before from here on.
    pub(crate) const fn change(&mut self) -> &mut Record {
        self.version += 1;
        &mut self.record
    }

    /// Which state of the record the next change makes.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) const fn is_stored(&self, version: u64) -> bool {
        version <= self.stored
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    pub(crate) fn call(&mut self, step: Option<StepId>, call: Call) {
        self.last_call += 1;
        let id = CallId(self.last_call);
        self.calls.insert(id, (step, call.clone()));
        self.effects.push_back(Effect::Call(id, call));
    }

    /// Whether an instance waits for an answer: its calls are made one after the other.
    pub(crate) fn is_called(&self, instance: &str) -> bool {
        self.calls.values().any(|(_, call)| call.instance() == Some(instance))
    }

    /// Whether it is being ended at this moment.
    pub(crate) fn is_ending(&self, instance: &str) -> bool {
        let is_end = |call: &Call| matches!(call, Call::End { .. } | Call::Release { .. });
        self.calls.values().any(|(_, call)| is_end(call) && call.instance() == Some(instance))
    }

    /// Begins what may be begun, and has stored what is not.
    fn go_on(&mut self) {
        if let Some(sight) = self.sight.clone() {
            self.advance(&sight);
            self.start_spares();
        }
        if self.storing.is_none() && self.stored < self.version {
            self.storing = Some(self.version);
            let (version, record) = (self.version, Arc::new(self.record.clone()));
            self.effects.push_back(Effect::Store { version, record });
        }
    }

    fn observation(&self, sight: &Sight) -> Observation {
        let seen = |it: &crate::NodeSight| {
            let instance = self.record.instances.get(&it.instance);
            Seen {
                is_up: it.is_up,
                is_leaving: it.is_leaving,
                load: it.load,
                memory_learning: 0,
                memory_held: it.memory_held,
                capacity: it.capacity,
                may_leave: instance.is_some(),
                leave_rank: sight.leave_rank(&it.instance),
                reserved_for: instance.and_then(|it| it.slot).and_then(SlotId::new),
            }
        };
        let under_way = self.record.steps.iter().map(|kept| UnderWay {
            id: kept.id,
            action: kept.action.clone(),
            since: self.work.get(&kept.id).map_or(self.now, |work| work.since),
            nodes_missing: u32::try_from(kept.instances.len()).unwrap_or(u32::MAX),
            is_given_up: kept.is_given_up,
        });
        Observation {
            at: sight.at,
            topology: Arc::clone(&sight.topology),
            nodes: sight.nodes.iter().map(|(node, it)| (*node, seen(it))).collect(),
            slots: sight.slots.clone(),
            limits: sight.limits,
            offers: sight.supplies.iter().map(|it| it.offer(self.nodes_left(it))).collect(),
            ecpu_wanted: sight.ecpu_wanted,
            memory_growth: sight.memory_growth,
            slots_remaining: sight.slots_remaining,
            under_way: under_way.collect(),
            failed: self.failed.clone(),
        }
    }

    /// Takes a plan: what it says goes on record, and is begun once that is on disk.
    fn take(&mut self, plan: Plan, sight: &Sight) {
        for note in &plan.notes {
            self.tell(Event::Noted(*note));
        }
        if plan.steps.is_empty() {
            return;
        }
        let number = self.record.plans + 1;
        self.change().plans = number;
        let decision = self.decisions.add(number, &plan);
        self.tell(Event::Decided(Box::new(decision)));
        for step in plan.steps {
            self.put(number, step, sight);
        }
    }

    fn put(&mut self, plan: u64, step: Step, sight: &Sight) {
        let Step { id, action, .. } = step;
        match action {
            Action::GiveUp { step } => return self.give_up(step),
            Action::Stay { node } => self.take_back(|it| *it == Action::Drain { node }),
            Action::Drain { node } => self.take_back(|it| *it == Action::Stay { node }),
            Action::Grow { node: grows, .. } => {
                self.take_back(|it| matches!(*it, Action::Shrink { node, .. } if node == grows));
            }
            _ => {}
        }
        let (source, instances) = match self.name_nodes(&action, sight) {
            Ok(named) => named,
            Err(why) => return self.step_fails(&Kept::of(id, plan, action), &why),
        };
        let kept = Kept { source, instances, ..Kept::of(id, plan, action) };
        self.change().steps.push(kept);
        let mut work = Work::since(self.now);
        work.version = self.version();
        self.work.insert(id, work);
    }

    /// Names the nodes that a step adds, and has them on record.
    fn name_nodes(
        &mut self,
        action: &Action,
        sight: &Sight,
    ) -> Result<(Option<Source>, Vec<String>), String> {
        let (offer, nodes, memory, slot) = match *action {
            Action::Add { offer, nodes, memory, .. } => (offer, nodes, memory, None),
            Action::Isolate { offer, slot, memory, .. } => (offer, 1, memory, Some(slot.number())),
            _ => return Ok((None, Vec::new())),
        };
        let supply = sight.supplies.iter().find(|it| it.offer_id() == offer);
        let supply = supply.ok_or("such nodes cannot be had any more")?;
        let nodes = usize::try_from(nodes).unwrap_or(usize::MAX);
        let names: Vec<String> = match supply.source {
            Source::Provisioner => self.next_names(supply, nodes),
            Source::Spares => self.free_spares(supply).take(nodes).cloned().collect(),
        };
        if names.len() < nodes {
            return Err("so many of them cannot be had any more".to_owned());
        }
        for name in &names {
            let new = Instance { memory, slot, ..Instance::of(supply) };
            let it = self.change().instances.entry(name.clone()).or_insert(new);
            (it.memory, it.slot) = (memory, slot);
            // Of a spare, that it was begun is not that it was taken.
            (it.is_spare, it.is_started) = (false, false);
        }
        Ok((Some(supply.source), names))
    }

    /// A step has ended.
    pub(crate) fn end_step(&mut self, id: StepId, fate: impl FnOnce(Duration) -> Fate) {
        self.work.remove(&id);
        if let Some(event) = self.decisions.end(self.now, id, fate) {
            self.tell(event);
        }
    }
}
