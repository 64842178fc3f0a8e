//! How a run begins, and how processes come and go.

use std::collections::BTreeMap;

use memtide_routing::{Router, Settings};
use memtide_testkit::Rng;
use memtide_topology::{Epoch, NodeId, SlotId, Zone};

use crate::checks::Checks;
use crate::clock::Clock;
use crate::control::Control;
use crate::event::{Event, Place};
use crate::heap::{Heap, MS, Nanos};
use crate::member::Member;
use crate::network::Network;
use crate::plan::{Plan, Profile};
use crate::script::Script;
use crate::stored::Stored;
use crate::trace::{Recording, Trace};
use crate::workload::Workload;
use crate::world::{Process, World};

impl World {
    /// The fleet of a plan, before anything has happened.
    pub fn new(plan: Plan, mut rng: Rng, recording: Recording) -> Self {
        let mut fork = || Rng::new(rng.next_u64());
        let slots: Vec<SlotId> =
            (0..plan.slots).map(|slot| SlotId::new(slot * 3 + 1).expect("few slots")).collect();
        let key_slots = slots.iter().copied().cycle().take(plan.keys).collect();
        let clients: Vec<u32> =
            (0..plan.proxies).flat_map(|proxy| vec![proxy; plan.clients_per_proxy]).collect();
        let mut world = Self {
            heap: Heap::new(),
            network: Network::new(fork()),
            processes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            proxies: BTreeMap::new(),
            script: Script::new(&plan, fork()),
            workload: Workload::new((&clients, &plan), key_slots, fork()),
            checks: Checks::default(),
            trace: Trace::new(recording),
            rng: fork(),
            control: None,
            stored: Stored::new(slots, &plan),
            zones: ["a", "b", "c"].map(|name| Zone::new(name).expect("a name")).to_vec(),
            exits: Vec::new(),
            last_node: 0,
            is_quiet: false,
            is_closing: false,
            plan,
        };
        world.zones.truncate(world.plan.zones);
        if !world.plan.is_scripted {
            let control = Control::new(&world.plan, &world.stored.slots, fork());
            world.control = Some(control);
        }
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.add_process(Place::Manager);
        for proxy in 0..self.plan.proxies {
            self.proxies.insert(proxy, Router::new(u64::from(proxy) + 1, Settings::default()));
            self.add_process(Place::Proxy(proxy));
        }
        self.restart_manager();
        (0..self.plan.nodes).for_each(|_| self.add_node());
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        if self.control.is_none() {
            let slots = self.stored.slots.clone();
            self.stored.found(slots.into_iter().zip(nodes.into_iter().cycle()));
            self.publish();
        }
        for client in 0..u32::try_from(self.workload.clients()).expect("few clients") {
            self.heap.at(500 * MS, Event::Think(client));
        }
        self.heap.at(1_500 * MS, Event::Fault);
    }

    /// Starts a node, or what will be one.
    pub fn add_node(&mut self) {
        if self.control.is_some() {
            return self.add_newcomer();
        }
        self.last_node += 1;
        let id = NodeId::new(self.last_node);
        self.start_node(id);
        let zone = self.rng.below(self.zones.len());
        let few = usize::try_from(self.last_node).expect("few nodes") % self.zones.len();
        let zone = if self.last_node <= self.plan.nodes as u64 { few } else { zone };
        self.stored.add(id, &self.zones[zone]);
        self.publish();
    }

    /// Starts a node's process.
    pub fn start_node(&mut self, id: NodeId) {
        self.nodes.insert(id, Member::new(id, &self.plan, &self.stored.slots));
        self.add_process(Place::Node(id));
    }

    /// Starts a process.
    pub fn add_process(&mut self, place: Place) {
        let clock = Clock::new(&mut self.rng);
        let others: Vec<Place> = self.processes.keys().copied().collect();
        let (stopped, adopted, is_reading) = (None, Epoch::ZERO, false);
        self.processes.insert(place, Process { clock, stopped, adopted, is_reading });
        for other in others {
            let is_linked = match (place, other) {
                (Place::Manager, _) | (_, Place::Manager) => {
                    self.control.is_some() && !(place.is_proxy() || other.is_proxy())
                }
                (Place::Newcomer(_), _) | (_, Place::Newcomer(_)) => false,
                _ => place.node().is_some() || other.node().is_some(),
            };
            if is_linked {
                let delay = self.rng.below(100) as Nanos * MS;
                self.heap.after(delay, Event::Connect(place.min(other), place.max(other)));
            }
        }
        let first = self.rng.below(20) as Nanos * MS;
        self.heap.after(first, Event::Tick(place));
    }

    /// A node's process ends, with all that it held.
    pub fn remove_node(&mut self, id: NodeId, known_after: Nanos) {
        let place = Place::Node(id);
        self.trace.line(self.heap.now(), || format!("{place} ends"));
        self.nodes.remove(&id);
        self.processes.remove(&place);
        self.network.leave(&mut self.heap, place);
        self.exits.push((self.heap.now() + known_after, id));
    }
}

impl Plan {
    /// Whether processes are stopped.
    pub fn has_pauses(&self) -> bool {
        self.profile == Profile::All
    }
}
