//! A fleet around a manager, in virtual time: processes that register, beat, copy and end, and a
//! store that is slow and fails.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(dead_code, reason = "each test uses what it needs")]

pub mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use memtide_engine_core::replication::{CopyName, Report};
use memtide_manager::{
    Effect, Event, Manager, Operation, Refused, Registration, Session, Settings, Unwelcome,
};
use memtide_topology::{
    CacheId, CaughtUp, Epoch, HashSeed, NodeId, Pace, SlotConfig, SlotId, Topology, Update, Zone,
};

pub const MS: Duration = Duration::from_millis(1);
pub const GIB: u64 = 1 << 30;
/// Between two steps of the fleet.
const STEP: Duration = Duration::from_millis(20);

/// The same for the same seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

pub fn slot(number: u16) -> SlotId {
    SlotId::new(number).unwrap()
}

/// A few slots, so that a step is short.
pub fn few(count: u16) -> Settings {
    let slots = (0..count).map(|number| slot(number * 5 + 2)).collect();
    let pace = Pace { slots_max: 16, learners_max: 8 };
    Settings { slots, pace, founding_grace: 500 * MS, ..Settings::default() }
}

/// A process that is a node, or wants to become one.
pub struct Process {
    pub zone: &'static str,
    pub memory: u64,
    /// Who it is, when it knows.
    pub id: Option<NodeId>,
    pub session: Option<Session>,
    /// Nothing that it says arrives.
    pub is_silent: bool,
    /// It hears of no newer topology.
    pub is_behind: bool,
    pub adopted: Epoch,
    pub refused: Option<Unwelcome>,
}

pub struct Fleet {
    pub manager: Manager,
    pub settings: Settings,
    pub now: Duration,
    pub stored: Arc<Topology>,
    /// By the port of its address.
    pub processes: BTreeMap<usize, Process>,
    /// What the store is doing, and until when.
    flight: Option<(Duration, Update)>,
    pub events: Vec<Event>,
    /// What primaries have said.
    reports: BTreeSet<CaughtUp>,
    /// Whose process has ended.
    ended: BTreeSet<NodeId>,
    /// Who was down when the manager made its last update.
    down_at_commit: BTreeSet<NodeId>,
    pub ids: BTreeSet<NodeId>,
    pub commits: usize,
    last_port: usize,
    last_session: Session,
    pub random: Random,
    /// How long a commit takes at most, and one in how many fails.
    pub store_delay_max: Duration,
    pub store_fails_one_in: Option<usize>,
    /// One in how many learners has caught up at a step.
    pub catches_up_one_in: usize,
    /// Neither of these catches up with the other.
    pub cut_off: Option<(NodeId, NodeId)>,
}

impl Fleet {
    pub fn new(settings: Settings, replicas: u8, seed: u64) -> Self {
        let new = Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas);
        let stored = Arc::new(new.unwrap());
        let now = Duration::from_secs(1_000);
        Self {
            manager: Manager::new(settings.clone(), Arc::clone(&stored), now),
            settings,
            now,
            stored,
            processes: BTreeMap::new(),
            flight: None,
            events: Vec::new(),
            reports: BTreeSet::new(),
            ended: BTreeSet::new(),
            down_at_commit: BTreeSet::new(),
            ids: BTreeSet::new(),
            commits: 0,
            last_port: 0,
            last_session: 0,
            random: Random(seed),
            store_delay_max: Duration::ZERO,
            store_fails_one_in: None,
            catches_up_one_in: 1,
            cut_off: None,
        }
    }

    /// A fleet of a node in each of these zones, settled.
    pub fn settled(settings: Settings, replicas: u8, zones: &[&'static str]) -> Self {
        let settings = Settings { nodes_min: zones.len(), ..settings };
        let mut fleet = Self::new(settings, replicas, 1);
        zones.iter().for_each(|zone| _ = fleet.start(zone, GIB));
        fleet.settle();
        fleet.events.clear();
        fleet
    }

    /// Starts a process; its name here is its port.
    pub fn start(&mut self, zone: &'static str, memory: u64) -> usize {
        self.last_port += 1;
        let process = Process {
            zone,
            memory,
            id: None,
            session: None,
            is_silent: false,
            is_behind: false,
            adopted: Epoch::ZERO,
            refused: None,
        };
        self.processes.insert(self.last_port, process);
        self.connect(self.last_port);
        self.last_port
    }

    /// A process opens a control stream.
    pub fn connect(&mut self, port: usize) {
        self.last_session += 1;
        let session = self.last_session;
        let Some(process) = self.processes.get_mut(&port) else { return };
        if process.refused.is_some() {
            return;
        }
        process.session = Some(session);
        let registration = Registration {
            node: process.id,
            zone: Zone::new(process.zone).unwrap(),
            address: format!("host:{port}"),
            memory_max: process.memory,
        };
        self.manager.register(self.now, session, registration);
        self.carry_out();
    }

    /// A process's control stream ends.
    pub fn disconnect(&mut self, port: usize) {
        let session = self.processes.get_mut(&port).and_then(|process| process.session.take());
        session.into_iter().for_each(|session| self.manager.gone(self.now, session));
        self.carry_out();
    }

    /// A process ends; with it its stream.
    pub fn end(&mut self, port: usize) -> Option<NodeId> {
        self.disconnect(port);
        let id = self.processes.remove(&port)?.id?;
        self.ended.insert(id);
        Some(id)
    }

    /// A process ends, and its parent says so.
    pub fn kill(&mut self, port: usize) {
        if let Some(id) = self.end(port) {
            self.manager.dead(self.now, id);
            self.carry_out();
        }
    }

    pub fn operate(&mut self, operation: Operation) -> Result<(), Refused> {
        let result = self.manager.operate(self.now, operation);
        self.carry_out();
        result
    }

    pub fn id(&self, port: usize) -> NodeId {
        self.processes[&port].id.expect("it was welcomed")
    }

    pub fn config(&self, number: usize) -> &SlotConfig {
        self.stored.slot(self.settings.slots[number])
    }

    /// The manager's process is started anew; what the store was doing it did, or did not.
    pub fn restart(&mut self) {
        if let Some((_, update)) = self.flight.take()
            && self.random.one_in(2)
        {
            self.store(&update);
        }
        let stored = Arc::clone(&self.stored);
        self.manager = Manager::new(self.settings.clone(), stored, self.now);
        self.processes.values_mut().for_each(|process| process.session = None);
        self.carry_out();
    }

    /// Until nothing is to be done any more.
    pub fn settle(&mut self) {
        for _ in 0..3_000 {
            let commits = self.commits;
            self.pass(Duration::from_millis(2_500));
            if commits == self.commits && self.manager.remaining() == 0 {
                return;
            }
        }
        panic!("not settled: {:?}", self.events);
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += STEP.min(until - self.now);
            self.step();
        }
    }

    fn step(&mut self) {
        if self.flight.as_ref().is_some_and(|(until, _)| *until <= self.now) {
            let (_, update) = self.flight.take().unwrap();
            self.answer(&update);
        }
        let ports: Vec<usize> = self.processes.keys().copied().collect();
        for port in ports {
            self.live(port);
        }
        self.say_what_caught_up();
        self.manager.tick(self.now);
        assert!(self.manager.next_timeout() > self.now, "it would be ticked for ever");
        self.carry_out();
    }

    /// What a process does of itself.
    fn live(&mut self, port: usize) {
        let process = self.processes.get_mut(&port).unwrap();
        if process.is_silent {
            return;
        }
        let step = self.now.as_millis() / STEP.as_millis();
        let is_time = step.is_multiple_of(8) || self.random.one_in(8);
        match (process.session, process.id) {
            (None, _) if is_time => self.connect(port),
            (Some(_), Some(id)) if is_time => {
                if !process.is_behind {
                    process.adopted = self.stored.epoch();
                }
                self.manager.beat(self.now, id, process.adopted);
                self.carry_out();
            }
            _ => {}
        }
    }

    fn say_what_caught_up(&mut self) {
        for slot in self.settings.slots.clone() {
            let config = Arc::clone(self.stored.slot(slot));
            let Some(primary) = config.primary.filter(|node| self.is_up(*node)) else { continue };
            for copy in config.copies.iter().filter(|copy| !copy.is_in_sync) {
                let pair = (primary.min(copy.node), primary.max(copy.node));
                if self.cut_off == Some(pair)
                    || !self.is_up(copy.node)
                    || !self.random.one_in(self.catches_up_one_in)
                {
                    continue;
                }
                let (epoch, node, since) = (config.epoch, copy.node, copy.since);
                self.reports.insert(CaughtUp { slot, epoch, node, since });
                let report = Report::CaughtUp(slot, CopyName { epoch, node, since });
                self.manager.report(self.now, primary, report);
                self.carry_out();
            }
        }
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        let mut processes = self.processes.values();
        processes.any(|process| process.id == Some(node) && !process.is_silent)
    }

    pub fn carry_out(&mut self) {
        while let Some(effect) = self.manager.poll() {
            match effect {
                Effect::Commit { update, next } => {
                    assert!(self.flight.is_none(), "two commits at a time");
                    assert!(update.parent <= self.stored.epoch());
                    assert_eq!(self.manager.topology().apply(&update).as_ref(), Ok(&*next));
                    let views = self.manager.nodes().into_iter();
                    let down = views.filter(|view| view.state.is_down());
                    self.down_at_commit = down.map(|view| view.node).collect();
                    let delay_max = usize::try_from(self.store_delay_max.as_millis()).unwrap();
                    match self.random.below(delay_max + 1) {
                        0 => self.answer(&update),
                        delay => {
                            let delay = MS * u32::try_from(delay).unwrap();
                            self.flight = Some((self.now + delay, update));
                        }
                    }
                }
                Effect::Welcome { session, node } => {
                    let mut processes = self.processes.values_mut();
                    if let Some(process) =
                        processes.find(|process| process.session == Some(session))
                    {
                        assert!(process.id.is_none_or(|id| id == node), "it is another now");
                        process.id = Some(node);
                    }
                }
                Effect::Refuse { session, why } => {
                    let mut processes = self.processes.values_mut();
                    if let Some(process) =
                        processes.find(|process| process.session == Some(session))
                    {
                        (process.session, process.refused) = (None, Some(why));
                    }
                }
                Effect::Event(event) => {
                    assert!(!matches!(event, Event::Dropped(_)), "{event}");
                    self.events.push(event);
                }
            }
        }
    }

    /// The store has done what it was asked, or has failed before or after it.
    fn answer(&mut self, update: &Update) {
        let fails = self.store_fails_one_in.is_some_and(|many| self.random.one_in(many));
        if !fails || self.random.one_in(2) {
            self.store(update);
        }
        let stored = Arc::clone(&self.stored);
        if fails {
            self.manager.conflict(self.now, stored);
        } else {
            self.manager.committed(self.now, stored);
        }
        self.carry_out();
    }

    fn store(&mut self, update: &Update) {
        let next = Arc::new(self.stored.apply(update).unwrap());
        rules::check(self, &next);
        self.ids.extend(next.nodes().keys().copied());
        self.stored = next;
        self.commits += 1;
    }
}

/// Ports of processes that may be chosen, at random order.
pub fn ports(fleet: &mut Fleet) -> VecDeque<usize> {
    let mut ports: VecDeque<usize> = fleet.processes.keys().copied().collect();
    let turn = if ports.is_empty() { 0 } else { fleet.random.below(ports.len()) };
    ports.rotate_left(turn);
    ports
}
