//! All processes of a run, and what happens to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine_core::replication::Outcome;
use memtide_routing::{Effect, Kind, Router, Submission};
use memtide_testkit::Rng;
use memtide_topology::{Epoch, NodeId, SlotId, Topology, Zone};

use crate::checks::Checks;
use crate::clock::Clock;
use crate::control::Control;
use crate::event::{Arrival, Event, Payload, Place};
use crate::heap::{Heap, MS, Nanos};
use crate::member::Member;
use crate::network::Network;
use crate::node::Step;
use crate::plan::Plan;
use crate::script::Script;
use crate::store::Command;
use crate::stored::Stored;
use crate::trace::Trace;
use crate::workload::Workload;

/// Between two timers of a node and of the manager.
const TICK: Nanos = 20 * MS;
/// Between two timers of a proxy.
const PROXY_TICK: Nanos = 5 * MS;

/// A run.
pub struct World {
    pub plan: Plan,
    pub heap: Heap<Event>,
    pub network: Network,
    pub processes: BTreeMap<Place, Process>,
    pub nodes: BTreeMap<NodeId, Member>,
    pub proxies: BTreeMap<u32, Proxy>,
    pub stored: Stored,
    pub script: Script,
    /// The real manager, where it is not the scripted one.
    pub control: Option<Control>,
    pub workload: Workload,
    pub checks: Checks,
    pub trace: Trace,
    pub rng: Rng,
    pub zones: Vec<Zone>,
    /// Whose process has ended, and from when on the manager knows.
    pub exits: Vec<(Nanos, NodeId)>,
    pub last_node: u64,
    /// No faults any more.
    pub is_quiet: bool,
    /// No requests any more.
    pub is_closing: bool,
}

/// A proxy core's routing.
pub type Proxy = Router<Command, Outcome>;

/// A process, as the machine sees it.
pub struct Process {
    pub clock: Clock,
    /// What waits for it to go on, while it is stopped.
    pub stopped: Option<Vec<Event>>,
    /// The newest topology that a proxy has.
    pub adopted: Epoch,
    /// A node is to get to a chunk.
    pub is_reading: bool,
}

impl World {
    /// Lets the next event happen; `false` where something is wrong.
    pub fn step(&mut self) -> bool {
        if let Some(event) = self.heap.next() {
            self.happen(event);
        }
        self.checks.violation().is_none()
    }

    fn happen(&mut self, event: Event) {
        let Some(at) = event.at() else { return self.happen_to_none(event) };
        let Some(process) = self.processes.get_mut(&at) else { return };
        if let Some(waiting) = &mut process.stopped {
            return waiting.push(event);
        }
        self.note(at, &event);
        match event {
            Event::Arrive(arrival) if self.network.receives(&arrival) => {
                let Arrival { from, to, incarnation, payload, .. } = arrival;
                self.receive((from, Some(incarnation)), to, payload);
            }
            Event::Datagram { from, to, payload } => self.receive((from, None), to, payload),
            Event::LinkUp { at, peer, incarnation }
                if self.network.goes_up(at, peer, incarnation) =>
            {
                self.link_up(at, peer);
            }
            Event::LinkDown { at, peer, incarnation }
                if self.network.goes_down(at, peer, incarnation) =>
            {
                self.link_down(at, peer, incarnation);
            }
            Event::Tick(at) => self.tick(at),
            Event::ReadChunk(at) => self.read_chunk(at),
            Event::Answered(answered) => self.answered(answered),
            _ => {}
        }
    }

    fn happen_to_none(&mut self, event: Event) {
        match event {
            Event::Connect(one, other) => {
                let is_awake = |place| {
                    self.processes.get(&place).is_some_and(|process| process.stopped.is_none())
                };
                if is_awake(one) && is_awake(other) {
                    self.network.connect(&mut self.heap, one, other);
                } else if self.processes.contains_key(&one) && self.processes.contains_key(&other) {
                    self.heap.after(100 * MS, Event::Connect(one, other));
                }
            }
            Event::Silence(one, other) if self.network.is_silent(one, other) => {
                self.network.cut(&mut self.heap, one, other);
            }
            Event::Store(storing) => self.store(&storing),
            Event::Resume(place) => self.resume(place),
            Event::Think(client) => self.think(client),
            Event::Fault => self.fault(),
            Event::Over(fault) => self.end_fault(fault),
            _ => {}
        }
    }

    fn note(&mut self, at: Place, event: &Event) {
        let (kind, from) = match event {
            Event::Arrive(arrival) => (arrival.number << 8 | 1, arrival.from.number()),
            Event::Datagram { from, .. } => (2, from.number()),
            Event::LinkUp { peer, .. } => (3, peer.number()),
            Event::LinkDown { peer, .. } => (4, peer.number()),
            _ => (5, 0),
        };
        self.trace.mark([self.heap.now(), at.number() << 32 | from, kind]);
        if !matches!(event, Event::Tick(_)) {
            self.trace.line(self.heap.now(), || crate::describe::event(event));
        }
    }

    fn tick(&mut self, at: Place) {
        let tick = if matches!(at, Place::Proxy(_)) { PROXY_TICK } else { TICK };
        self.heap.after(tick, Event::Tick(at));
        match at {
            Place::Node(id) => {
                self.with_node(id, Member::tick);
                self.maintain(id);
                if let Some(node) = self.nodes.get(&id) {
                    let payload = Payload::Adopted(node.replication().adopted());
                    self.send_to_manager(at, payload);
                }
                self.leave_if_drained(id);
            }
            Place::Proxy(proxy) => {
                self.with_proxy(proxy, Proxy::tick);
                if self.rng.percent(2) {
                    self.ask_topology(at);
                }
            }
            Place::Newcomer(_) => {}
            Place::Manager if self.control.is_some() => self.tick_manager(),
            Place::Manager => {
                let now = self.heap.now();
                let known = self.exits.iter().filter(|(from, _)| *from <= now);
                let dead: BTreeSet<NodeId> = known.map(|(_, node)| *node).collect();
                if self.script.tick(&mut self.stored, (now, self.is_quiet), &dead) {
                    self.publish();
                }
            }
        }
    }

    /// Now and then, what has expired goes, and an item that has not.
    fn maintain(&mut self, id: NodeId) {
        if self.is_closing || !self.rng.percent(3) {
            return;
        }
        let slots = &self.stored.slots;
        let slot: SlotId = *self.rng.pick(slots);
        let Some(node) = self.nodes.get(&id) else { return };
        let mut evicted = None;
        let keys = node.keys(slot);
        let is_serving = node.replication().is_serving(slot);
        if self.plan.is_evicting && is_serving && !keys.is_empty() && self.rng.percent(20) {
            let key = *self.rng.pick(&keys);
            self.checks.evicts(key);
            evicted = Some(key);
        }
        self.with_node(id, |node, step| node.maintain(step, slot, evicted));
    }

    /// Sends the topology to everybody.
    pub fn publish(&mut self) {
        let topology: &Arc<Topology> = &self.stored.topology;
        let now = self.heap.now();
        self.trace.line(now, || crate::describe::topology(topology, &self.stored.slots));
        let has_streams = self.control.is_some();
        for place in self.processes.keys().filter(|place| **place != Place::Manager) {
            let payload = Payload::Topology(Arc::clone(topology));
            if has_streams && !place.is_proxy() {
                self.network.send(&mut self.heap, Place::Manager, *place, payload);
            } else {
                self.network.datagram(&mut self.heap, Place::Manager, *place, payload);
            }
        }
    }

    /// Lets a node handle something, and sends what comes of it.
    pub fn with_node(&mut self, id: NodeId, act: impl FnOnce(&mut Member, &mut Step<'_>)) {
        let time = self.heap.now();
        let place = Place::Node(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(process) = self.processes.get(&place) else { return };
        let mut out = Vec::new();
        let mut is_stopped = false;
        let (is_quiet, rng) = (self.is_quiet || !self.plan.has_pauses(), &mut self.rng);
        let mut stops = || {
            is_stopped = !is_quiet && rng.below(400) == 0;
            is_stopped
        };
        let mut step = Step {
            now: process.clock.now(time),
            wall: process.clock.wall(time),
            time,
            checks: &mut self.checks,
            out: &mut out,
            stops: &mut stops,
        };
        act(node, &mut step);
        let lease = self.plan.settings.lease;
        for slot in &self.stored.slots {
            let (replication, config) = (node.replication(), node.topology().slot(*slot));
            if replication.is_serving(*slot) {
                self.checks.serves((*slot, config), id, time);
            } else if replication.may_read(process.clock.now(time), *slot) {
                let position = replication.position(*slot);
                self.checks.reads((*slot, config), id, position, (time, lease));
            }
        }
        let is_copying = node.is_copying();
        for (to, payload) in out {
            self.trace.line(time, || crate::describe::sent(place, to, &payload));
            if to == Place::Manager {
                self.send_to_manager(place, payload);
            } else {
                self.network.send(&mut self.heap, place, to, payload);
            }
        }
        if is_copying {
            self.read_soon(place);
        }
        if is_stopped {
            let pause = self.pause_length();
            self.stop(place, pause);
        }
    }

    /// Over the control stream, where there are some.
    fn send_to_manager(&mut self, from: Place, payload: Payload) {
        if self.control.is_some() {
            self.network.send(&mut self.heap, from, Place::Manager, payload);
        } else {
            self.network.datagram(&mut self.heap, from, Place::Manager, payload);
        }
    }

    pub fn with_proxy(&mut self, proxy: u32, act: impl FnOnce(&mut Proxy, core::time::Duration)) {
        let time = self.heap.now();
        let place = Place::Proxy(proxy);
        let Some(process) = self.processes.get(&place) else { return };
        let Some(router) = self.proxies.get_mut(&proxy) else { return };
        act(router, process.clock.now(time));
        let mut wants_topology = false;
        while let Some(action) = router.poll() {
            match action {
                Effect::Send { node, request } => {
                    let (to, payload) = (Place::Node(node), Payload::Ask(request));
                    self.trace.line(time, || crate::describe::sent(place, to, &payload));
                    self.network.send(&mut self.heap, place, to, payload);
                }
                Effect::Done { ticket, result } => {
                    self.trace.line(time, || crate::describe::done(ticket, &result));
                    self.workload.answer(time, ticket, &result, &mut self.checks);
                }
                Effect::WantTopology => wants_topology = true,
            }
        }
        if wants_topology {
            self.ask_topology(place);
        }
    }

    /// A proxy asks the manager and a node what they know.
    fn ask_topology(&mut self, place: Place) {
        let Some(process) = self.processes.get(&place) else { return };
        let payload = Payload::Adopted(process.adopted);
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        if !nodes.is_empty() {
            let any = Place::Node(*self.rng.pick(&nodes));
            self.network.send(&mut self.heap, place, any, payload.clone());
        }
        self.network.datagram(&mut self.heap, place, Place::Manager, payload);
    }

    fn think(&mut self, client: u32) {
        if self.is_closing {
            return;
        }
        let delay = 1 + self.rng.below(2_000) as Nanos * self.plan.think / 1_000;
        self.heap.after(delay, Event::Think(client));
        let now = self.heap.now();
        let Some(ask) = self.workload.ask(now, client as usize) else { return };
        self.trace.mark([now, u64::from(client), ask.ticket]);
        self.trace.line(now, || format!("client {client} asks #{} {:?}", ask.ticket, ask.command));
        self.with_proxy(ask.proxy, |router, now| {
            let kind = if ask.command.is_read() { Kind::Read } else { Kind::Mutation };
            let (ticket, slot, command) = (ask.ticket, ask.slot, ask.command);
            router.submit(now, Submission { ticket, slot, kind, command });
        });
    }

    /// Stops a process, or lets it stay stopped.
    pub fn stop(&mut self, place: Place, pause: Nanos) {
        if let Some(process) = self.processes.get_mut(&place)
            && process.stopped.is_none()
        {
            process.stopped = Some(Vec::new());
            self.trace.line(self.heap.now(), || format!("{place} is stopped"));
            self.heap.after(pause, Event::Resume(place));
        }
    }

    /// Lets a stopped process go on, with all that has waited.
    pub fn resume(&mut self, place: Place) {
        let Some(process) = self.processes.get_mut(&place) else { return };
        let Some(waiting) = process.stopped.take() else { return };
        self.trace.line(self.heap.now(), || format!("{place} goes on"));
        if let Place::Node(id) = place {
            self.with_node(id, Member::finish);
        }
        for event in waiting {
            self.happen(event);
        }
    }

    pub fn pause_length(&mut self) -> Nanos {
        let longest = *self.rng.pick(&[50, 500, 4_000]);
        self.rng.below(longest) as Nanos * MS
    }
}
