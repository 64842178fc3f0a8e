//! A fleet, a manager and a provisioner in virtual time, with faults.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; it is test code")]

mod calls;
mod pods;
mod sight;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_executor::{Call, CallId, Executor, Instance, Record, Settings};
use memtide_limits::Limits;
use memtide_planner::Policy;
use memtide_testkit::Rng;
use memtide_topology::{
    CacheId, CaughtUp, Change, Epoch, HashSeed, NodeId, NodeInfo, Pace, Target, Topology, Update,
    Zone,
};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
const TICK: Duration = Duration::from_millis(250);
const HANGS: Duration = Duration::from_secs(20);

/// How often what goes wrong, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Calls that fail.
    pub fails: usize,
    /// Calls that are answered only when their time is over.
    pub hangs: usize,
    /// Nodes that join late.
    pub late: usize,
    /// Records that cannot be written.
    pub disk: usize,
    /// Looks after which the executor begins anew.
    pub crashes: usize,
    /// Seconds in which a node dies.
    pub deaths: usize,
    /// Of these, those that nobody has seen: the node is in the topology until it is taken out.
    pub unseen: usize,
    /// Crashes after which a node is not heard for a while.
    pub silences: usize,
}

/// A process that the provisioner has started, or somebody else as a spare.
#[derive(Clone, Debug)]
pub struct Process {
    pub zone: Zone,
    pub memory: u64,
    pub joins: Option<Duration>,
    pub node: Option<NodeId>,
    pub is_spare: bool,
    /// Once it was drained, it waits again under its name.
    pub began_as_spare: bool,
}

#[derive(Clone)]
enum Due {
    Store(u64, Arc<Record>),
    Call(CallId, Call, Result<(), String>),
}

#[derive(Clone)]
pub struct World {
    pub now: Duration,
    pub rng: Rng,
    pub faults: Faults,
    pub topology: Arc<Topology>,
    pub processes: BTreeMap<String, Process>,
    /// What is on disk.
    pub disk: Record,
    pub executor: Executor,
    pub settings: Settings,
    pub zones: Vec<Zone>,
    /// Bytes of items, each once.
    pub data: u64,
    /// Bytes a second by which nodes say that they fill.
    pub growth: u64,
    pub limits: Limits,
    pub log: Vec<String>,
    /// Processes that the provisioner has started so far.
    pub starts: usize,
    /// Effects so far, and before which one the executor crashes.
    pub effects: usize,
    pub crash_at: Option<usize>,
    /// Slots that each node holds, and of which topology.
    held: BTreeMap<NodeId, u64>,
    settled: Option<Epoch>,
    due: Vec<(Duration, u64, Due)>,
    incarnation: u64,
    named: usize,
    /// Where nodes are pods: how many each zone is to have, and when those come that are not there.
    pub pods: BTreeMap<Zone, u32>,
    pods_due: BTreeMap<String, Duration>,
    /// Spares that were taken as nodes.
    pub takes: usize,
    /// A node that the executor has not heard since it began, and until when.
    silent: Option<(NodeId, Duration)>,
    /// Nodes that have died and that nobody has taken out, and what they were called.
    pub dead: BTreeMap<NodeId, String>,
    /// Those of them that the executor has not heard since it began.
    unheard: BTreeSet<NodeId>,
}

pub fn zone(name: &str) -> Zone {
    Zone::new(name).unwrap()
}

impl World {
    /// `nodes` of 64 MiB in turn of the zones, which the provisioner has started.
    pub fn new(zones: usize, replicas: u8, nodes: usize, seed: u64) -> Self {
        let topology = Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas).unwrap();
        let policy = Policy {
            nodes_min: nodes,
            nodes_max: 12,
            in_after: Duration::from_secs(20),
            in_after_max: Duration::from_secs(40),
            cool_down: Duration::from_secs(10),
            ..Policy::default()
        };
        let settings = Settings { policy, spares_per_zone: 0 };
        let disk = Record::new(seed);
        let mut world = Self {
            now: Duration::ZERO,
            rng: Rng::new(seed),
            faults: Faults::default(),
            topology: Arc::new(topology),
            processes: BTreeMap::new(),
            executor: Executor::new(settings.clone(), disk.clone()),
            disk,
            settings,
            zones: (0..zones).map(|it| zone(&format!("z{it}"))).collect(),
            data: 0,
            growth: 0,
            limits: Limits::default(),
            log: Vec::new(),
            starts: 0,
            effects: 0,
            crash_at: None,
            held: BTreeMap::new(),
            settled: None,
            due: Vec::new(),
            incarnation: 0,
            named: 0,
            pods: BTreeMap::new(),
            pods_due: BTreeMap::new(),
            takes: 0,
            silent: None,
            dead: BTreeMap::new(),
            unheard: BTreeSet::new(),
        };
        for at in 0..nodes {
            let zone = world.zones[at % zones].clone();
            let name = format!("first-{at}");
            let running = Instance::running(String::new(), zone.clone(), 64 * MIB);
            world.executor.has(name.clone(), running);
            world.disk = world.executor.record().clone();
            world.start(&name, (&zone, 64 * MIB), false);
        }
        world
    }

    /// A spare that somebody else has started.
    pub fn add_spare(&mut self, zone: &str) {
        self.named += 1;
        let (name, zone) = (format!("spare-{}", self.named), self::zone(zone));
        let process = Process {
            zone,
            memory: 0,
            joins: None,
            node: None,
            is_spare: true,
            began_as_spare: true,
        };
        self.processes.insert(name, process);
    }

    fn start(&mut self, name: &str, (zone, memory): (&Zone, u64), is_spare: bool) {
        if self.processes.contains_key(name) {
            return;
        }
        self.starts += 1;
        let late = if self.rng.percent(self.faults.late) { 90 } else { 1 };
        let joins = (!is_spare).then(|| self.now + Duration::from_secs(late));
        let (zone, node) = (zone.clone(), None);
        self.processes.insert(
            name.to_owned(),
            Process { zone, memory, joins, node, is_spare, began_as_spare: is_spare },
        );
    }

    pub fn apply(&mut self, changes: Vec<Change>) -> bool {
        let update = Update { parent: self.topology.epoch(), changes };
        match self.topology.apply(&update) {
            Ok(next) => self.topology = Arc::new(next),
            Err(_) => return false,
        }
        true
    }

    /// For so many seconds.
    pub fn run(&mut self, seconds: u64) {
        (0..seconds * 4).for_each(|_| self.tick());
    }

    /// For so many seconds with so many bytes of items, and on with the next.
    pub fn follow(&mut self, load: &[(u64, u64)]) {
        for (seconds, data) in load {
            self.data = *data;
            self.run(*seconds);
        }
    }

    /// As [`Self::follow`]; and at every `every`th effect on the way another one that was the same up to there crashes
    /// before it and goes on to the end, where it is looked at.
    pub fn crash_on_the_way(
        &mut self,
        load: &[(u64, u64)],
        every: usize,
        mut look: impl FnMut(usize, &Self),
    ) {
        let ticks = load.iter().flat_map(|(seconds, data)| (0..seconds * 4).map(|_| *data));
        let ticks: Vec<u64> = ticks.collect();
        let mut next = self.effects;
        for (at, data) in ticks.iter().enumerate() {
            self.data = *data;
            let before = self.clone();
            self.tick();
            while next < self.effects {
                let mut other = Self { crash_at: Some(next), ..before.clone() };
                for data in &ticks[at..] {
                    other.data = *data;
                    other.tick();
                }
                look(next, &other);
                next += every;
            }
        }
    }

    /// For a quarter of a second.
    pub fn tick(&mut self) {
        self.now += TICK;
        self.reconcile();
        self.join();
        self.answer();
        if self.now.subsec_millis() == 0 {
            self.settle();
            if self.rng.percent(self.faults.deaths) {
                self.kill();
            }
            self.look();
            if self.rng.percent(self.faults.crashes) {
                self.crash();
            }
        }
    }

    pub fn look(&mut self) {
        let sight = Arc::new(self.sight());
        self.executor.look(sight);
        self.poll();
    }

    /// The executor ends, and another one begins with what is on disk. What it has asked for is done or not.
    pub fn crash(&mut self) {
        self.log(|| "crash".to_owned());
        self.incarnation += 1;
        let nodes: Vec<NodeId> = self.topology.nodes().keys().copied().collect();
        self.silent = None;
        if !nodes.is_empty() && self.rng.percent(self.faults.silences) {
            let until = self.now + Duration::from_secs(70);
            self.silent = Some((*self.rng.pick(&nodes), until));
        }
        self.unheard = self.dead.keys().copied().collect();
        self.executor = Executor::new(self.settings.clone(), self.disk.clone());
    }

    fn log(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:?} {}", self.now, line());
        self.log.push(line);
    }

    /// A node that others have copies of dies.
    pub fn kill(&mut self) {
        let is_spared = |name: &&String| {
            let node = self.processes[*name].node;
            node.is_none_or(|node| {
                self.topology.slots().any(|(_, it)| it.complete().all(|holder| holder == node))
            })
        };
        let names: Vec<String> =
            self.processes.keys().filter(|name| !is_spared(name)).cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = self.rng.pick(&names).clone();
        let node = self.processes.remove(&name).unwrap().node.unwrap();
        self.log(|| format!("{name} ({node}) dies"));
        let down = self.dead.keys().copied().chain([node]).collect();
        let failover = memtide_topology::Failover::of(&self.topology, &down);
        assert!(failover.lost.is_empty());
        if !failover.changes.is_empty() {
            assert!(self.apply(failover.changes));
        }
        let slots = self.topology.slots().filter(|(_, it)| it.is_held_by(node));
        let slots = slots.map(|(slot, _)| slot).collect();
        self.apply(vec![Change::DropCopy { slots, node }]);
        if self.rng.percent(self.faults.unseen) {
            self.dead.insert(node, name);
        } else {
            assert!(self.apply(vec![Change::RemoveNode { node }]), "{node}");
        }
    }

    fn join(&mut self) {
        let due = |it: &Process| it.node.is_none() && it.joins.is_some_and(|at| at <= self.now);
        let names: Vec<String> =
            self.processes.iter().filter(|(_, it)| due(it)).map(|(name, _)| name.clone()).collect();
        for name in names {
            if self.executor.turns_away(&name) {
                // It is refused, and tries again.
                self.processes.get_mut(&name).unwrap().joins = Some(self.now + 4 * TICK);
                continue;
            }
            let node = NodeId::new(self.topology.epoch().next().number());
            let it = self.processes[&name].clone();
            let address = format!("{name}:1");
            let info =
                NodeInfo { address, zone: it.zone, memory_max: it.memory, is_draining: false };
            assert!(self.apply(vec![Change::AddNode { node, info }]));
            self.processes.get_mut(&name).unwrap().node = Some(node);
        }
    }

    /// Gets all slots where they belong, and takes drained nodes out.
    fn settle(&mut self) {
        if self.settled == Some(self.topology.epoch()) {
            return;
        }
        let dead: BTreeSet<NodeId> = self.dead.keys().copied().collect();
        for _ in 0..4 {
            let target = Target::of(&self.topology, &dead);
            if target.remaining(&self.topology).next().is_none() {
                break;
            }
            self.apply(target.next_changes(&self.topology, Pace::UNBOUNDED));
            let mut reports = Vec::new();
            for (slot, config) in self.topology.slots() {
                for copy in config.copies.iter().filter(|copy| !copy.is_in_sync) {
                    let (epoch, node, since) = (config.epoch, copy.node, copy.since);
                    reports.push(CaughtUp { slot, epoch, node, since });
                }
            }
            if !reports.is_empty() {
                self.apply(vec![Change::MakeInSync { reports }]);
            }
        }
        let holders: BTreeSet<NodeId> =
            self.topology.slots().flat_map(|(_, it)| it.complete().collect::<Vec<_>>()).collect();
        let nodes = self.topology.nodes().iter();
        let left: Vec<NodeId> = nodes
            .filter(|(node, info)| info.is_draining && !holders.contains(node))
            .filter(|(node, _)| !dead.contains(node))
            .map(|(node, _)| *node)
            .collect();
        for node in left {
            assert!(self.apply(vec![Change::RemoveNode { node }]));
            // A drained node's process ends by itself.
            self.processes.retain(|_, it| it.node != Some(node) || it.began_as_spare);
            for it in self.processes.values_mut().filter(|it| it.node == Some(node)) {
                (it.node, it.joins, it.is_spare) = (None, None, true);
            }
        }
        self.held.clear();
        for (_, config) in self.topology.slots() {
            config.complete().for_each(|node| *self.held.entry(node).or_default() += 1);
        }
        self.settled = Some(self.topology.epoch());
    }

    /// Instances and processes that should not be there any more.
    pub fn leftovers(&self) -> Vec<String> {
        let idle = |(name, it): (&String, &Process)| {
            let is_known = self.executor.record().instances.contains_key(name);
            let is_left = !it.is_spare && (it.node.is_none() || !is_known);
            is_left.then(|| name.clone())
        };
        let steps = self.executor.record().steps.iter().map(|kept| format!("{}", kept.id));
        let unwanted = self.executor.record().instances.iter().filter(|(_, it)| it.is_unwanted);
        let unwanted = unwanted.map(|(name, _)| format!("{name} on record"));
        let dead = self.dead.values().map(|name| format!("{name} in the topology"));
        self.processes.iter().filter_map(idle).chain(steps).chain(unwanted).chain(dead).collect()
    }

    pub fn nodes(&self) -> usize {
        self.topology.nodes().len()
    }

    pub fn memory(&self) -> u64 {
        self.topology.nodes().values().map(|info| info.memory_max).sum()
    }
}
