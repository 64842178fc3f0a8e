use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use memtide_engine_core::replication::Report;
use memtide_topology::{Epoch, NodeId, NodeInfo, REPLICAS_MAX, Topology};

use crate::crowds::Crowds;
use crate::joins::Joins;
use crate::members::Members;
use crate::placement::Placement;
use crate::wake::Wake;
use crate::watch::Watch;
use crate::wishes::Wishes;
use crate::{
    Effect, Event, Migration, Moved, NodeView, Operation, Outcome, Refused, Registration, Session,
    Settings,
};

/// See the crate.
#[derive(Debug)]
pub struct Manager {
    pub(crate) settings: Settings,
    pub(crate) topology: Arc<Topology>,
    pub(crate) members: Members,
    pub(crate) joins: Joins,
    pub(crate) wishes: Wishes,
    pub(crate) placement: Placement,
    pub(crate) watch: Watch,
    pub(crate) crowds: Crowds,
    pub(crate) progress: Progress,
    pub(crate) effects: VecDeque<Effect>,
    /// The time of the last call.
    pub(crate) now: Duration,
}

/// Where the manager is with its updates.
#[derive(Debug)]
pub(crate) struct Progress {
    /// A commit has no answer yet.
    pub(crate) is_committing: bool,
    /// No other begins before.
    pub(crate) not_before: Duration,
    /// Reports wait until then, unless something more urgent is to be stored.
    pub(crate) reports_from: Duration,
    /// No slots are placed before.
    pub(crate) steps_from: Duration,
    /// There is nothing to do before something happens, or it is time.
    pub(crate) is_idle: bool,
    pub(crate) wake: Wake,
    /// Of which topology it is known that no failover is needed while the same nodes are down.
    pub(crate) failed_over: Option<Epoch>,
    /// Slots that nobody serves, as last told.
    pub(crate) unserved: usize,
    /// It was told that slots move.
    pub(crate) is_migrating: bool,
    /// How far they have come since.
    pub(crate) moved: Moved,
    /// A cache without owners gets none before.
    pub(crate) found_from: Duration,
}

impl Progress {
    fn new(now: Duration, settings: &Settings) -> Self {
        Self {
            is_committing: false,
            not_before: now,
            reports_from: now,
            steps_from: now,
            is_idle: false,
            wake: Wake::default(),
            failed_over: None,
            unserved: 0,
            is_migrating: false,
            moved: Moved::default(),
            found_from: now + settings.founding_wait,
        }
    }
}

impl Manager {
    /// A manager that goes on from what is stored. It has heard of no node yet, and gives each
    /// [`Settings::silence_max`] and more to register again; before that it stores nothing.
    #[must_use]
    pub fn new(settings: Settings, topology: Arc<Topology>, now: Duration) -> Self {
        Self {
            watch: Watch::new(now, &topology),
            members: Members::of(now, &topology),
            progress: Progress::new(now, &settings),
            settings,
            topology,
            joins: Joins::default(),
            wishes: Wishes::default(),
            placement: Placement::default(),
            crowds: Crowds::default(),
            effects: VecDeque::new(),
            now,
        }
    }

    /// Stores nothing before that time: nodes that this manager does not know may come first, and say
    /// that what it has is not the newest.
    pub const fn hold_until(&mut self, at: Duration) {
        self.progress.not_before = at;
    }

    /// A node's control stream begins, and it says who it is. [`Effect::Welcome`] or
    /// [`Effect::Refuse`] answers, for a new node after the commit that adds it.
    ///
    /// A node has one stream: that an earlier one of the same node ends does not count any more.
    pub fn register(&mut self, now: Duration, session: Session, registration: Registration) {
        self.pass(now);
        match registration.node {
            None => self.joins.add(session, registration),
            Some(node) => match self.check_return(node, &registration) {
                Ok(()) => {
                    self.members.registers(now, session, node);
                    self.wishes.set_memory(&self.topology, node, registration.memory_max);
                    self.effects.push_back(Effect::Welcome { session, node });
                    self.stir();
                }
                Err(why) => self.effects.push_back(Effect::Refuse { session, why }),
            },
        }
        self.think();
    }

    /// A session's control stream has ended, whatever came of it before.
    pub fn gone(&mut self, now: Duration, session: Session) {
        self.pass(now);
        self.joins.session_ends(session);
        self.members.session_ends(now, session);
        self.think();
    }

    /// A node that was welcomed is alive, and has adopted this topology.
    pub fn beat(&mut self, now: Duration, node: NodeId, adopted: Epoch) {
        self.pass(now);
        self.members.hears(now, node);
        let is_news = self.members.adopts(node, adopted)
            || self.members.down().contains(&node)
            || self.watch.emptied().contains_key(&node);
        if is_news {
            self.stir();
            self.think();
        }
    }

    /// A node that was welcomed wants something changed.
    pub fn report(&mut self, now: Duration, node: NodeId, report: Report) {
        self.pass(now);
        self.members.hears(now, node);
        if let Report::Incomplete(slot, epoch) = report
            && self.topology.slot(slot).epoch == epoch
        {
            self.crowds.incomplete(&self.topology, slot, node);
            self.think();
        }
        let had_reports = self.wishes.has_reports();
        if self.wishes.report(&self.topology, node, report) {
            if !had_reports {
                // Many come close together: they are to be one update.
                let from = now + self.settings.gather_reports;
                self.progress.reports_from = from.max(self.progress.steps_from);
            }
            if let Report::Diverged(_, name) = report {
                self.crowds.diverged(name.node);
            }
            self.think();
        }
    }

    /// A node wants to be drained: its process is to end, and waits for having left the topology. Where nobody could take
    /// its slots it is drained once somebody can.
    pub fn leaving(&mut self, now: Duration, node: NodeId) {
        self.pass(now);
        if self.topology.nodes().contains_key(&node) {
            self.wishes.set_leaving(node);
            if self.check_drain(node).is_err() {
                self.tell(Event::DrainRefused(node));
            }
            self.stir();
        }
        self.think();
    }

    /// A node's process is known to have ended. What it alone held is given up.
    pub fn dead(&mut self, now: Duration, node: NodeId) {
        self.pass(now);
        if let Some(event) = self.members.dies(now, node) {
            self.tell(event);
            self.stir();
        }
        self.think();
    }

    /// An operator wants something. What is accepted is stored soon, but is lost with the manager
    /// until the topology shows it.
    ///
    /// # Errors
    /// Where it cannot be, or would leave slots without anybody to hold them.
    pub fn operate(&mut self, now: Duration, operation: Operation) -> Result<(), Refused> {
        self.pass(now);
        match operation {
            Operation::Drain(node) => {
                self.check_drain(node)?;
                self.wishes.set_draining(&self.topology, node, true);
            }
            Operation::Undrain(node) => {
                self.check_known(node)?;
                if self.wishes.is_leaving(node) {
                    return Err(Refused::NodeLeaving(node));
                }
                self.wishes.set_draining(&self.topology, node, false);
            }
            Operation::Forget(node) => {
                self.check_known(node)?;
                if !self.members.state(node).is_down() {
                    return Err(Refused::NodeUp(node));
                }
                let event = self.members.dies(now, node);
                event.into_iter().for_each(|event| self.tell(event));
            }
            Operation::MoveSlots { slots, to } => {
                self.check_move(&slots, to)?;
                self.placement.pin(&self.topology, &slots, to);
            }
            Operation::SetMemory { node, memory_max } => {
                self.check_known(node)?;
                self.wishes.set_memory(&self.topology, node, memory_max);
            }
            Operation::SetReplicas(replicas) => {
                if replicas > REPLICAS_MAX {
                    return Err(Refused::ReplicasMax(replicas));
                }
                self.wishes.set_replicas(&self.topology, replicas);
            }
        }
        self.stir();
        self.think();
        Ok(())
    }

    /// What has become of an operation that was accepted before.
    #[must_use]
    pub fn outcome(&self, operation: &Operation) -> Outcome {
        let nodes = self.topology.nodes();
        let is_stored = match operation {
            Operation::Drain(node) => nodes.get(node).is_none_or(|info| info.is_draining),
            Operation::Undrain(node) => nodes.get(node).is_some_and(|info| !info.is_draining),
            Operation::Forget(node) => !nodes.contains_key(node),
            Operation::SetMemory { node, memory_max } => {
                nodes.get(node).is_some_and(|info| info.memory_max == *memory_max)
            }
            Operation::SetReplicas(replicas) => self.topology.replicas_wanted() == *replicas,
            // They are stored one after the other, for as long as it takes.
            Operation::MoveSlots { .. } => !self.progress.is_committing,
        };
        let waits = match operation {
            Operation::Forget(node) => self.members.dead().contains(node),
            Operation::MoveSlots { .. } => true,
            other => self.wishes.has(other),
        };
        match (is_stored, waits) {
            (true, _) => Outcome::Stored,
            (false, true) => Outcome::Waits,
            (false, false) => Outcome::Overtaken,
        }
    }

    /// The answer to [`Effect::Commit`]: it is stored. `topology` is what is stored, and usually `next`.
    pub fn committed(&mut self, now: Duration, topology: Arc<Topology>) {
        self.pass(now);
        self.progress.is_committing = false;
        self.follow(topology);
        self.think();
    }

    /// The other answer: it is not, or not known to be. `topology` is what is stored, and may well be
    /// what it was, or `next`.
    pub fn conflict(&mut self, now: Duration, topology: Arc<Topology>) {
        self.pass(now);
        self.progress.is_committing = false;
        self.progress.not_before = now + self.settings.retry_after;
        self.follow(topology);
        self.think();
    }

    /// Somebody else has stored a topology; no answer to a commit.
    pub fn observe(&mut self, now: Duration, topology: Arc<Topology>) {
        self.pass(now);
        self.follow(topology);
        self.think();
    }

    /// Lets time pass. Call it at [`Manager::next_timeout`] at the latest.
    pub fn tick(&mut self, now: Duration) {
        self.pass(now);
        self.think();
    }

    /// When [`Manager::tick`] is due, at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Duration {
        let tick = self.now + self.settings.tick;
        let is_held_up = self.progress.is_committing || self.members.is_returning();
        let due = match is_held_up {
            true => None,
            false if self.wishes.has_reports() => Some(self.progress.reports_from),
            false => self.progress.wake.due(),
        };
        due.map_or(tick, |due| due.max(self.progress.not_before).min(tick))
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is stored, as far as it knows: what nodes and proxies are to be told.
    #[must_use]
    pub const fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The nodes of the topology, by id.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        let view = |(&node, info): (&NodeId, &NodeInfo)| NodeView {
            node,
            info: info.clone(),
            state: self.members.state(node),
            is_leaving: self.wishes.is_leaving(node),
            heard: self.members.heard(node),
            adopted: self.members.adopted(node),
        };
        self.topology.nodes().iter().map(view).collect()
    }

    /// The slots that are being copied, in order.
    #[must_use]
    pub fn migrations(&self) -> Vec<Migration> {
        self.watch.migrations(&self.topology)
    }

    /// How many slots were not held as they should be when it looked last.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.placement.remaining()
    }
}

impl Manager {
    /// Takes the time. What passed while the manager itself stood still is nobody's silence.
    fn pass(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.now);
        if passed > self.settings.silence_max / 2 {
            self.members.excuse(passed);
        }
        self.now = self.now.max(now);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    /// What was found out about the topology may not be so any more.
    pub(crate) fn stir(&mut self) {
        self.progress.is_idle = false;
        self.progress.failed_over = None;
    }

    /// Takes what is stored, and tells what has come of it.
    fn follow(&mut self, topology: Arc<Topology>) {
        if topology.epoch() <= self.topology.epoch() {
            return;
        }
        let before = core::mem::replace(&mut self.topology, topology);
        let after = Arc::clone(&self.topology);
        let events = self.watch.follow(self.now, (&before, &after), &self.settings);
        for event in events {
            if let Event::Moved(moved) = event {
                self.progress.moved.handed_over += moved.handed_over;
                self.progress.moved.copied += moved.copied;
            }
            self.tell(event);
        }
        self.crowds.follow(&after);
        self.members.follow(self.now, &after);
        for (session, node) in self.joins.take_added(&before, &after) {
            self.members.registers(self.now, session, node);
            self.effects.push_back(Effect::Welcome { session, node });
        }
        self.wishes.forget_done(&after);
        let is_up = |node: &NodeId| !self.members.down().contains(node);
        for (primary, copy) in self.wishes.take_cut_off() {
            if is_up(&primary) && is_up(&copy) {
                self.crowds.cut_off(primary, copy);
            }
        }
        self.stir();
    }
}
