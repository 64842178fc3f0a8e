//! A fleet that does at once what is planned, so that only the planner takes time.
#![allow(dead_code, reason = "no test uses all of it")]

use core::cell::RefCell;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_limits::{Limits, Range};
use memtide_planner::{
    Action, Amounts, Observation, Offer, Past, Plan, Policy, Seen, SlotLoad, UnderWay, plan,
};
use memtide_topology::{
    CacheId, CaughtUp, Change, Epoch, HashSeed, NodeId, NodeInfo, Pace, SLOTS, SlotId, Target,
    Topology, Update, Zone,
};

pub const GIB: u64 = 1 << 30;

/// What a node of these tests can do.
pub const NODE: Amounts = Amounts { memory: 8 * GIB, ecpu: 100_000, cpu: 2_000, network: 1 << 30 };

pub struct World {
    pub now: Duration,
    pub topology: Arc<Topology>,
    pub nodes: BTreeMap<NodeId, Amounts>,
    pub down: Vec<NodeId>,
    pub reserved: BTreeMap<NodeId, SlotId>,
    /// Those that are not the planner's to give back.
    pub kept: Vec<NodeId>,
    /// ECPUs per second, and bytes stored once.
    pub load: (u64, u64),
    /// A slot's part of the load, in thousandths, beside its part of the rest.
    pub hot: BTreeMap<SlotId, u64>,
    /// Bytes of a slot beside its part of the data.
    pub fat: BTreeMap<SlotId, u64>,
    /// Bytes a second by which nodes say that they fill.
    pub growth: u64,
    pub knows_slots: bool,
    pub knows_demand: bool,
    pub limits: Limits,
    /// Nodes whose processes are to end.
    pub leaving: BTreeSet<NodeId>,
    /// Slots that were moved, and whereto; and the nodes that there were then.
    pins: BTreeMap<SlotId, NodeId>,
    pinned_for: Vec<NodeId>,
    pub offers: Vec<Offer>,
    pub policy: Policy,
    pub past: Past,
    pub under_way: Vec<UnderWay>,
    /// All plans that had steps or notes.
    pub plans: Vec<Plan>,
    /// Slots that each node is the primary of, and holds, in a topology.
    counts: RefCell<Option<(Epoch, Counts)>>,
}

type Counts = BTreeMap<NodeId, (u64, u64)>;

pub fn zone(number: usize) -> Zone {
    Zone::new(&format!("zone-{number}")).unwrap()
}

pub fn offer(id: u32, in_zone: usize, nodes: u32) -> Offer {
    let (capacity, ready_in) = (NODE, Duration::from_secs(1));
    Offer { id, zone: zone(in_zone), capacity, memory_min: 64 << 20, nodes, ready_in }
}

impl World {
    /// Nodes that take turns with the zones.
    pub fn new(zones: usize, replicas: u8, nodes: &[(Amounts, u64)]) -> Self {
        let topology = Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas).unwrap();
        let offers = (0..zones).map(|it| offer(it as u32, it, 100)).collect();
        let mut world = Self {
            now: Duration::ZERO,
            topology: Arc::new(topology),
            nodes: BTreeMap::new(),
            down: Vec::new(),
            reserved: BTreeMap::new(),
            kept: Vec::new(),
            load: (10_000, GIB),
            hot: BTreeMap::new(),
            fat: BTreeMap::new(),
            growth: 0,
            knows_slots: false,
            knows_demand: true,
            limits: Limits::default(),
            leaving: BTreeSet::new(),
            pins: BTreeMap::new(),
            pinned_for: Vec::new(),
            offers,
            policy: Policy::default(),
            past: Past::default(),
            under_way: Vec::new(),
            plans: Vec::new(),
            counts: RefCell::new(None),
        };
        for (at, (capacity, granted)) in nodes.iter().enumerate() {
            world.join(zone(at % zones), *capacity, *granted);
        }
        world.settle();
        world
    }

    /// So many nodes alike.
    pub fn alike(zones: usize, replicas: u8, nodes: usize, granted: u64) -> Self {
        Self::new(zones, replicas, &vec![(NODE, granted); nodes])
    }

    pub fn limit(ecpu: Range, data: Range) -> Limits {
        Limits { ecpu_per_second: ecpu, data_storage: data }
    }

    pub fn join(&mut self, zone: Zone, capacity: Amounts, memory_max: u64) -> NodeId {
        let node = NodeId::new(self.topology.epoch().next().number());
        let address = format!("n{}:1", node.number());
        let info = NodeInfo { address, zone, memory_max, is_draining: false };
        self.apply(vec![Change::AddNode { node, info }]);
        self.nodes.insert(node, capacity);
        node
    }

    pub fn apply(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            let update = Update { parent: self.topology.epoch(), changes };
            self.topology = Arc::new(self.topology.apply(&update).unwrap());
        }
    }

    /// Gets all slots where they belong. Those that were moved stay until nodes come or go.
    fn place(&mut self, moved: impl Iterator<Item = (SlotId, NodeId)>) {
        let nodes: Vec<NodeId> = self.topology.nodes().keys().copied().collect();
        if nodes != self.pinned_for {
            self.pins.clear();
            self.pinned_for = nodes;
        }
        self.pins.extend(moved);
        let mut target = Target::of(&self.topology, &self.down.iter().copied().collect());
        self.pins.iter().for_each(|(slot, to)| target.pin(&self.topology, *slot, *to));
        while target.remaining(&self.topology).next().is_some() {
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
    }

    /// Gets all slots where they belong, and takes nodes out that were drained.
    pub fn settle(&mut self) {
        for _ in 0..8 {
            self.place(core::iter::empty());
        }
        let nodes = self.topology.nodes().iter();
        let gone: Vec<NodeId> =
            nodes.filter(|(_, info)| info.is_draining).map(|(node, _)| *node).collect();
        self.apply(gone.iter().map(|node| Change::RemoveNode { node: *node }).collect());
        gone.iter().for_each(|node| {
            self.nodes.remove(node);
        });
    }

    pub fn observe(&self) -> Observation {
        let (ecpu, data) = self.load;
        let max = self.limits.ecpu_per_second.max;
        let ecpu = if max > 0 { ecpu.min(max) } else { ecpu };
        let hot: u64 = self.hot.values().sum();
        let even = ecpu * (1_000 - hot) / 1_000 / u64::from(SLOTS);
        let slot_ecpu =
            |slot: SlotId| even + self.hot.get(&slot).map_or(0, |part| ecpu * part / 1_000);
        let loads = self.loads((ecpu, even), data);
        let seen = |(node, capacity): (&NodeId, &Amounts)| {
            let mut load = loads.get(node).copied().unwrap_or_default();
            load.ecpu = load.ecpu.min(capacity.ecpu);
            // What is more is evicted.
            load.memory = load.memory.min(self.topology.nodes()[node].memory_max);
            load.cpu = load.ecpu * capacity.cpu / capacity.ecpu.max(1);
            let (is_up, capacity) = (!self.down.contains(node), *capacity);
            let reserved_for = self.reserved.get(node).copied();
            let may_leave = !self.kept.contains(node);
            let is_leaving = self.leaving.contains(node);
            let seen = Seen { is_up, is_leaving, may_leave, load, capacity, ..Seen::default() };
            (*node, Seen { reserved_for, ..seen })
        };
        let bytes = data / u64::from(SLOTS);
        let slots = SlotId::all().map(|slot| SlotLoad { bytes, ecpu: slot_ecpu(slot) });
        Observation {
            at: self.now,
            topology: Arc::clone(&self.topology),
            nodes: self.nodes.iter().map(seen).collect(),
            slots: if self.knows_slots { slots.collect() } else { Vec::new() },
            limits: self.limits,
            offers: self.offers.clone(),
            ecpu_wanted: self.knows_demand.then_some(ecpu),
            memory_growth: self.growth,
            slots_remaining: 0,
            under_way: self.under_way.clone(),
            failed: Vec::new(),
        }
    }

    /// What each node does. Slots are counted once for each topology.
    fn loads(&self, (ecpu, even): (u64, u64), data: u64) -> BTreeMap<NodeId, Amounts> {
        let mut counts = self.counts.borrow_mut();
        let topology = &self.topology;
        if counts.as_ref().is_none_or(|(epoch, _)| *epoch != topology.epoch()) {
            let mut slots = Counts::new();
            for (_, config) in topology.slots() {
                config.primary.iter().for_each(|it| slots.entry(*it).or_default().0 += 1);
                config.complete().for_each(|it| slots.entry(it).or_default().1 += 1);
            }
            *counts = Some((topology.epoch(), slots));
        }
        let slots = counts.iter().flat_map(|(_, slots)| slots);
        let of = |(node, (led, held)): (&NodeId, &(u64, u64))| {
            let memory = held * (data / u64::from(SLOTS));
            (*node, Amounts { memory, ecpu: led * even, ..Amounts::default() })
        };
        let mut loads: BTreeMap<NodeId, Amounts> = slots.map(of).collect();
        for (slot, bytes) in &self.fat {
            for node in topology.slot(*slot).complete() {
                loads.entry(node).or_default().memory += bytes;
            }
        }
        for (slot, part) in &self.hot {
            let primary = topology.slot(*slot).primary;
            let load = primary.and_then(|node| loads.get_mut(&node));
            load.into_iter().for_each(|it| it.ecpu += ecpu * part / 1_000);
        }
        loads
    }

    /// The plan of this moment; a second passes.
    pub fn look(&mut self) -> Plan {
        let (plan, past) = plan(&self.observe(), &self.policy, self.past.clone());
        self.past = past;
        self.now += Duration::from_secs(1);
        if !plan.steps.is_empty() || !plan.notes.is_empty() {
            self.plans.push(plan.clone());
        }
        plan
    }

    /// Looks on for so many seconds, and does all that is planned at once.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let plan = self.look();
            self.execute(&plan);
        }
    }

    pub fn execute(&mut self, plan: &Plan) {
        for step in &plan.steps {
            match step.action.clone() {
                Action::Grow { node, to: memory_max, .. }
                | Action::Shrink { node, to: memory_max, .. } => {
                    self.apply(vec![Change::SetMemory { node, memory_max }]);
                }
                Action::Add { offer, zone, nodes, memory } => {
                    let capacity = self.take(offer, nodes);
                    (0..nodes).for_each(|_| {
                        self.join(zone.clone(), capacity, memory);
                    });
                }
                Action::Isolate { slot, offer, zone, memory } => {
                    let capacity = self.take(offer, 1);
                    let node = self.join(zone, capacity, memory);
                    self.reserved.insert(node, slot);
                }
                Action::Drain { node } => {
                    self.apply(vec![Change::SetDraining { node, is_draining: true }]);
                }
                Action::Stay { node } => {
                    self.apply(vec![Change::SetDraining { node, is_draining: false }]);
                }
                Action::Move { .. } | Action::GiveUp { .. } => {}
            }
        }
        if !plan.steps.is_empty() {
            self.settle();
        }
        let moves = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Move { slots, to } => Some((slots, *to)),
            _ => None,
        });
        for (slots, to) in moves {
            self.place(slots.iter().map(|slot| (*slot, to)));
        }
    }

    fn take(&mut self, id: u32, nodes: u32) -> Amounts {
        let offer = self.offers.iter_mut().find(|offer| offer.id == id).unwrap();
        offer.nodes -= nodes;
        offer.capacity
    }

    pub fn granted(&self) -> u64 {
        self.topology.nodes().values().map(|info| info.memory_max).sum()
    }

    /// Nodes of each zone.
    pub fn zones(&self) -> BTreeMap<Zone, usize> {
        let mut zones = BTreeMap::new();
        self.topology
            .nodes()
            .values()
            .for_each(|info| *zones.entry(info.zone.clone()).or_default() += 1);
        zones
    }

    /// The names of all steps so far, each once in a row.
    pub fn story(&self) -> String {
        let steps = self.plans.iter().flat_map(|plan| &plan.steps);
        let mut names: Vec<&str> = steps.map(|step| step.action.name()).collect();
        names.dedup();
        names.join(" ")
    }
}

pub fn added(plan: &Plan) -> u32 {
    let nodes = plan.steps.iter().map(|step| match step.action {
        Action::Add { nodes, .. } => nodes,
        Action::Isolate { .. } => 1,
        _ => 0,
    });
    nodes.sum()
}
