//! The real configuration manager in the world: its storage, and its control streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine_core::replication::Report;
use memtide_manager::{Effect, Event as Told, Manager, Operation, Registration, Session, Settings};
use memtide_testkit::Rng;
use memtide_topology::{Epoch, NodeId, Pace, Topology, Update};

use crate::event::{Event, Payload, Place};
use crate::heap::{MS, Nanos};
use crate::plan::{Plan, Profile};
use crate::world::World;

/// How long the storage takes, in milliseconds: mostly little.
const STORE_MS_MAX: [usize; 6] = [1, 5, 5, 30, 30, 300];

/// The manager's process, and what the world knows of it.
pub struct Control {
    pub manager: Manager,
    settings: Settings,
    /// Of the process: an answer of the storage for an earlier one is nobody's.
    incarnation: u64,
    /// Who is at the other end of a control stream.
    sessions: BTreeMap<Session, Place>,
    told_dead: BTreeSet<NodeId>,
    /// What processes say that do not know who they are.
    pub newcomers: BTreeMap<u64, Registration>,
    /// What nodes say.
    registrations: BTreeMap<NodeId, Registration>,
    last_newcomer: u64,
    rng: Rng,
}

/// What the storage was asked for.
#[derive(Debug)]
pub struct Storing {
    update: Update,
    incarnation: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Answered {
    is_done: bool,
    stored: Arc<Topology>,
    incarnation: u64,
}

impl Control {
    pub fn new(plan: &Plan, slots: &[memtide_topology::SlotId], mut rng: Rng) -> Self {
        let settings = settings(plan, slots, &mut rng);
        let manager = Manager::new(settings.clone(), Arc::new(Topology::empty()), MS_ZERO);
        Self {
            manager,
            settings,
            incarnation: 0,
            sessions: BTreeMap::new(),
            told_dead: BTreeSet::new(),
            newcomers: BTreeMap::new(),
            registrations: BTreeMap::new(),
            last_newcomer: 0,
            rng,
        }
    }

    fn store_delay(&mut self) -> Nanos {
        let longest = *self.rng.pick(&STORE_MS_MAX);
        self.rng.below(longest * 1_000) as Nanos * MS / 1_000
    }
}

const MS_ZERO: core::time::Duration = core::time::Duration::ZERO;

/// As hasty as the plan, so that much happens in the time that there is.
fn settings(plan: &Plan, slots: &[memtide_topology::SlotId], rng: &mut Rng) -> Settings {
    let ms = core::time::Duration::from_millis;
    let any = |rng: &mut Rng, of: &[u64]| ms(*rng.pick(of));
    let is_deposed = plan.profile == Profile::Deposed;
    Settings {
        silence_max: core::time::Duration::from_nanos(plan.silence_max),
        gone_grace: if is_deposed { ms(50) } else { any(rng, &[0, 50, 200]) },
        nodes_min: 1 + rng.below(plan.nodes),
        founding_grace: ms(300),
        founding_wait: ms(0),
        return_grace: any(rng, &[0, 4]),
        gather_events: ms(1_000),
        gather_nodes: any(rng, &[0, 100, 200]),
        gather_reports: any(rng, &[0, 10]),
        step_interval: any(rng, &[0, 25]),
        retry_after: ms(50),
        tick: ms(20),
        handover_grace: any(rng, &[0, 20, 300]),
        linger: any(rng, &[0, 500, 2_000]),
        probation: any(rng, &[0, 200]),
        probation_max: ms(1_000),
        forget_after: any(rng, &[2_000, 600_000]),
        pace: Pace { slots_max: *rng.pick(&[1, 2, 256]), learners_max: *rng.pick(&[1, 2, 256]) },
        slots: slots.to_vec(),
    }
}

impl World {
    /// Starts a process that wants to become a node.
    pub fn add_newcomer(&mut self) {
        let zone = self.rng.below(self.zones.len());
        let is_pressed = self.plan.is_pressed();
        let Some(control) = &mut self.control else { return };
        control.last_newcomer += 1;
        let number = control.last_newcomer;
        let few = usize::try_from(number).expect("few nodes") % self.zones.len();
        let zone = if number <= self.plan.nodes as u64 { few } else { zone };
        let registration = Registration {
            node: None,
            zone: self.zones[zone].clone(),
            address: format!("n{number}:1"),
            memory_max: self.plan.memory_max << if is_pressed { 0 } else { control.rng.below(2) },
        };
        control.newcomers.insert(number, registration);
        self.add_process(Place::Newcomer(number));
    }

    /// A process has its control stream, and says who it is.
    pub fn register(&mut self, at: Place) {
        let Some(control) = &self.control else { return };
        let registration = match at {
            Place::Newcomer(number) => control.newcomers.get(&number),
            Place::Node(id) => control.registrations.get(&id),
            _ => None,
        };
        if let Some(registration) = registration {
            let payload = Payload::Register(registration.clone());
            self.network.send(&mut self.heap, at, Place::Manager, payload);
        }
    }

    /// The manager hears something over a control stream.
    pub fn hear_at_manager(&mut self, from: Place, session: Option<u64>, payload: Payload) {
        let now = self.manager_now();
        let Some(control) = &mut self.control else { return };
        match (payload, from, session) {
            (Payload::Register(registration), _, Some(session)) => {
                control.sessions.insert(session, from);
                control.manager.register(now, session, registration);
                let topology = Arc::clone(control.manager.topology());
                self.send_from_manager(from, Payload::Topology(topology));
            }
            (Payload::Adopted(epoch), Place::Node(node), _) => {
                control.manager.beat(now, node, epoch);
            }
            (Payload::Adopted(epoch), ..) => self.tell_topology(from, epoch),
            (Payload::Report(report), Place::Node(node), _) => self.report(node, report),
            _ => {}
        }
        self.carry_out();
    }

    fn report(&mut self, node: NodeId, report: Report) {
        let now = self.manager_now();
        if let Some(control) = &mut self.control {
            control.manager.report(now, node, report);
        }
    }

    /// A proxy asks for what is newer than this.
    fn tell_topology(&mut self, to: Place, epoch: Epoch) {
        let Some(control) = &self.control else { return };
        let topology = control.manager.topology();
        if topology.epoch() > epoch {
            let payload = Payload::Topology(Arc::clone(topology));
            self.network.datagram(&mut self.heap, Place::Manager, to, payload);
        }
    }

    /// A control stream has ended, as the manager sees it.
    pub fn session_ends(&mut self, session: u64) {
        let now = self.manager_now();
        if let Some(control) = &mut self.control {
            control.sessions.remove(&session);
            control.manager.gone(now, session);
        }
        self.carry_out();
    }

    /// The manager's timer; those that have started nodes say which of them have ended.
    pub fn tick_manager(&mut self) {
        let (time, now) = (self.heap.now(), self.manager_now());
        let Some(control) = &mut self.control else { return };
        for (_, node) in self.exits.iter().filter(|(from, _)| *from <= time) {
            if control.told_dead.insert(*node) {
                control.manager.dead(now, *node);
            }
        }
        control.manager.tick(now);
        self.carry_out();
    }

    /// An operator asks for something.
    pub fn operate(&mut self, operation: Operation) {
        let now = self.manager_now();
        let Some(control) = &mut self.control else { return };
        let result = control.manager.operate(now, operation.clone());
        self.trace.line(self.heap.now(), || format!("{operation:?}: {result:?}"));
        self.carry_out();
    }

    /// The manager's process is started anew, from what is stored.
    pub fn restart_manager(&mut self) {
        let now = self.manager_now();
        let Some(control) = &mut self.control else { return };
        control.incarnation += 1;
        control.sessions.clear();
        control.told_dead.clear();
        let stored = Arc::clone(&self.stored.topology);
        control.manager = Manager::new(control.settings.clone(), stored, now);
    }

    /// The storage gets to what it was asked for. It may fail, before or after.
    pub fn store(&mut self, storing: &Storing) {
        let Some(control) = &mut self.control else { return };
        let fails = !self.is_quiet && control.rng.percent(5);
        let is_lost = fails && control.rng.percent(50);
        let is_stored = !is_lost && self.stored.update(&storing.update);
        let answered = Answered {
            is_done: is_stored && !fails,
            stored: Arc::clone(&self.stored.topology),
            incarnation: storing.incarnation,
        };
        let delay = control.store_delay() / 4;
        self.heap.after(delay, Event::Answered(answered));
    }

    /// The manager hears from its storage.
    pub fn answered(&mut self, answered: Answered) {
        let now = self.manager_now();
        let Some(control) = &mut self.control else { return };
        if answered.incarnation != control.incarnation {
            return;
        }
        let before = control.manager.topology().epoch();
        if answered.is_done {
            control.manager.committed(now, answered.stored);
        } else {
            control.manager.conflict(now, answered.stored);
        }
        if control.manager.topology().epoch() > before {
            self.publish();
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.control.as_mut().and_then(|control| control.manager.poll()) {
            match effect {
                Effect::Commit { update, .. } => self.commit(update),
                Effect::Welcome { session, node } => {
                    self.answer_session(session, Payload::Welcome(node));
                }
                Effect::Refuse { session, why } => {
                    self.answer_session(session, Payload::Refused(why));
                }
                Effect::Event(event) => {
                    self.trace.line(self.heap.now(), || format!("manager: {event}"));
                    if matches!(event, Told::Dropped(_) | Told::Incomplete { .. }) {
                        self.checks.violated(|| format!("the manager says: {event}"));
                    }
                }
            }
        }
    }

    fn commit(&mut self, update: Update) {
        let Some(control) = &mut self.control else { return };
        let storing = Storing { update, incarnation: control.incarnation };
        let delay = control.store_delay();
        self.heap.after(delay, Event::Store(storing));
    }

    fn answer_session(&mut self, session: u64, payload: Payload) {
        let place = self.control.as_ref().and_then(|control| control.sessions.get(&session));
        if let Some(place) = place.copied()
            && self.network.is_up(Place::Manager, place, session)
        {
            self.send_from_manager(place, payload);
        }
    }

    fn send_from_manager(&mut self, to: Place, payload: Payload) {
        self.network.send(&mut self.heap, Place::Manager, to, payload);
    }

    /// A process hears who it is, and becomes a node; its control stream begins anew.
    pub fn become_node(&mut self, number: u64, id: NodeId) {
        let place = Place::Newcomer(number);
        let Some(control) = &mut self.control else { return };
        let Some(registration) = control.newcomers.remove(&number) else { return };
        control.registrations.insert(id, Registration { node: Some(id), ..registration });
        self.processes.remove(&place);
        self.network.leave(&mut self.heap, place);
        self.start_node(id);
    }

    /// A node that is none any more ends, and another process is started for it.
    pub fn end_refused(&mut self, id: NodeId) {
        self.remove_node(id, 0);
        self.miss_node();
    }

    /// A node whose topology does not have it has been drained.
    pub fn leave_if_drained(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id).filter(|_| self.control.is_some()) else { return };
        let is_newer = node.topology().epoch().number() >= id.number();
        if is_newer && !node.topology().nodes().contains_key(&id) {
            self.remove_node(id, 0);
        }
    }

    fn manager_now(&self) -> core::time::Duration {
        let process = self.processes.get(&Place::Manager);
        process.map_or(MS_ZERO, |process| process.clock.now(self.heap.now()))
    }
}
