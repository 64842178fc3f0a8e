//! Faults, and what operators do.

use memtide_manager::Operation;
use memtide_topology::NodeId;

use crate::event::{Event, Place};
use crate::heap::{MS, Nanos};
use crate::plan::{Profile, SILENCE_NOTICED_MAX};
use crate::world::World;

/// A fault that has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes from one to the other.
    Blocked(Place, Place),
    /// All to and from it takes longer.
    Slow(Place),
    /// The manager's process is not there.
    NoManager,
    /// There is a node too few.
    MissingNode,
}

/// Nodes that there are at most.
const NODES_MAX: usize = 8;

impl World {
    /// A fault begins, or an operator does something.
    pub fn fault(&mut self) {
        if self.is_quiet {
            return;
        }
        let next = 1 + self.rng.below(2_000) as Nanos * self.plan.fault_interval / 1_000;
        self.heap.after(next, Event::Fault);
        let choices = match self.plan.profile {
            Profile::Planned => 0..30,
            Profile::Crashes => 0..45,
            Profile::Deposed => 80..92,
            Profile::Cut => 100..118,
            Profile::All => 0..110,
        };
        match choices.start + self.rng.below(choices.len()) {
            0..8 => self.grow(),
            8..12 => self.drain(),
            12..30 => self.move_slot(),
            30..45 => self.crash(),
            45..58 => self.pause(),
            58..70 => self.cut(),
            70..80 => self.partition(),
            80..92 => self.cut_off_primary(),
            92..96 => self.slow_down(),
            96..100 => self.lose_manager(),
            115..118 => self.move_slot(),
            _ => self.cut_pair(),
        }
    }

    pub fn end_fault(&mut self, fault: Fault) {
        self.trace.line(self.heap.now(), || format!("over: {fault:?}"));
        match fault {
            Fault::Blocked(from, to) => self.network.unblock(&mut self.heap, from, to),
            Fault::Slow(place) => self.network.slow_down(place, 0),
            Fault::NoManager => self.manager_returns(),
            Fault::MissingNode if self.has_manager() => self.add_node(),
            Fault::MissingNode => self.heap.after(200 * MS, Event::Over(fault)),
        }
    }

    /// Ends all faults, and lets no more begin.
    pub fn end_all_faults(&mut self) {
        self.is_quiet = true;
        self.tell(|| "all faults end".to_owned());
        let places: Vec<Place> = self.processes.keys().copied().collect();
        for place in &places {
            self.network.slow_down(*place, 0);
            for other in &places {
                self.network.unblock(&mut self.heap, *place, *other);
            }
        }
        self.manager_returns();
        for place in places {
            self.resume(place);
        }
        let wanted = usize::from(self.stored.topology.replicas_wanted()).max(self.plan.replicas);
        while self.population() < wanted + 2 {
            self.add_node();
        }
    }

    fn manager_returns(&mut self) {
        if !self.processes.contains_key(&Place::Manager) {
            self.network.forget(Place::Manager);
            self.add_process(Place::Manager);
            self.script.restart(self.heap.now());
            self.restart_manager();
        }
    }

    fn some_node(&mut self) -> Option<NodeId> {
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        if nodes.is_empty() { None } else { Some(*self.rng.pick(&nodes)) }
    }

    /// Nodes, and processes that will be some.
    fn population(&self) -> usize {
        let newcomers = self.control.as_ref().map_or(0, |control| control.newcomers.len());
        self.nodes.len() + newcomers
    }

    /// There will be another node.
    pub fn miss_node(&mut self) {
        let delay = self.rng.below(2_000) as Nanos * MS;
        self.heap.after(delay, Event::Over(Fault::MissingNode));
    }

    fn some_process(&mut self) -> Place {
        let places: Vec<Place> = self.processes.keys().copied().collect();
        *self.rng.pick(&places)
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        self.trace.line(self.heap.now(), what);
    }

    fn has_manager(&self) -> bool {
        self.processes.get(&Place::Manager).is_some_and(|process| process.stopped.is_none())
    }

    fn grow(&mut self) {
        if self.population() < NODES_MAX && self.has_manager() {
            self.tell(|| "a node is added".to_owned());
            self.add_node();
        }
    }

    fn drain(&mut self) {
        let staying = self.stored.topology.nodes().values();
        let staying = staying.filter(|info| !info.is_draining).count();
        if staying > self.plan.replicas + 2
            && self.has_manager()
            && let Some(node) = self.some_node()
        {
            if self.control.is_some() {
                return self.reorganize(node);
            }
            self.tell(|| format!("{node} is drained"));
            self.stored.drain(node);
            self.publish();
        }
    }

    fn reorganize(&mut self, node: NodeId) {
        let replicas = u8::try_from(self.rng.below(3)).expect("few");
        let operation = match self.rng.below(8) {
            0 => Operation::Undrain(node),
            1 | 2 => Operation::SetReplicas(replicas),
            3 => Operation::MoveSlots { slots: self.stored.slots.clone(), to: node },
            _ => Operation::Drain(node),
        };
        self.operate(operation);
    }

    fn move_slot(&mut self) {
        let slot = *self.rng.pick(&self.stored.slots);
        let Some(to) = self.some_node().filter(|_| self.has_manager()) else { return };
        self.tell(|| format!("{slot:?} is to move to {to}"));
        if self.control.is_some() {
            let slots = vec![slot];
            return self.operate(Operation::MoveSlots { slots, to });
        }
        self.script.move_slot(slot, to);
    }

    fn crash(&mut self) {
        if self.nodes.len() < 3 {
            return;
        }
        let Some(node) = self.some_node() else { return };
        let seen = if self.rng.percent(80) { 300 } else { 4_000 };
        let seen = self.rng.below(seen) as Nanos * MS;
        self.remove_node(node, seen);
        self.miss_node();
    }

    fn pause(&mut self) {
        let place = self.some_process();
        let pause = self.pause_length();
        self.stop(place, pause);
    }

    fn cut(&mut self) {
        let links = self.network.links();
        if !links.is_empty() {
            let (one, other) = *self.rng.pick(&links);
            self.tell(|| format!("the link of {one} and {other} breaks"));
            self.network.cut(&mut self.heap, one, other);
        }
    }

    fn partition(&mut self) {
        let Some(one) = self.some_node().map(Place::Node) else { return };
        let others: Vec<Place> = match self.rng.below(4) {
            0 => vec![Place::Manager],
            1 => self.processes.keys().copied().collect(),
            2 => self.processes.keys().copied().filter(|place| place.node().is_some()).collect(),
            _ => vec![self.some_process()],
        };
        let (is_in, is_out) =
            *self.rng.pick(&[(true, true), (true, true), (true, false), (false, true)]);
        let longest = *self.rng.pick(&[200, 1_500, 5_000]);
        let length = self.rng.below(longest) as Nanos * MS;
        self.tell(|| format!("{one} is cut off {others:?}, in: {is_in}, out: {is_out}"));
        for other in others.into_iter().filter(|other| *other != one) {
            if is_in {
                self.block(other, one, length);
            }
            if is_out {
                self.block(one, other, length);
            }
        }
    }

    /// A primary and a copy of its do not hear each other, or one does not hear the other; everybody else
    /// hears both.
    fn cut_pair(&mut self) {
        let slot = *self.rng.pick(&self.stored.slots);
        let config = self.stored.topology.slot(slot);
        let copies: Vec<NodeId> = config.copies.iter().map(|copy| copy.node).collect();
        let (Some(primary), false) = (config.primary, copies.is_empty()) else { return };
        let (one, other) = (Place::Node(primary), Place::Node(*self.rng.pick(&copies)));
        let (is_to, is_from) = *self.rng.pick(&[(true, true), (true, false), (false, true)]);
        let length = (200 + self.rng.below(4_000) as Nanos) * MS;
        self.tell(|| format!("{one} and {other} are cut from each other: {is_to}, {is_from}"));
        if is_to {
            self.block(one, other, length);
        }
        if is_from {
            self.block(other, one, length);
        }
    }

    /// A primary that only proxies reach, of which some reach nobody else; where it has several copies,
    /// maybe one of them with it.
    fn cut_off_primary(&mut self) {
        let slot = *self.rng.pick(&self.stored.slots);
        let config = self.stored.topology.slot(slot);
        let Some(primary) = config.primary else { return };
        let copies: Vec<NodeId> = config.in_sync().collect();
        if copies.len() > 1 && self.rng.percent(50) {
            let copy = *self.rng.pick(&copies);
            return self.cut_off_pair([Place::Node(primary), Place::Node(copy)]);
        }
        let one = Place::Node(primary);
        let length = (500 + self.rng.below(2_000) as Nanos) * MS;
        self.tell(|| format!("{one} is cut off from all but proxies"));
        let others: Vec<Place> = self.processes.keys().copied().collect();
        let (proxies, others): (Vec<_>, Vec<_>) =
            others.into_iter().filter(|other| *other != one).partition(Place::is_proxy);
        let mut cut_off = vec![one];
        cut_off.extend(proxies.into_iter().filter(|_| self.rng.percent(50)));
        for other in others {
            for one in &cut_off {
                self.block(other, *one, length);
                self.block(*one, other, length);
            }
        }
    }

    /// Two nodes that nobody else reaches, but some proxies, and that reach each other.
    fn cut_off_pair(&mut self, pair: [Place; 2]) {
        let length = (2_000 + self.rng.below(3_000) as Nanos) * MS;
        self.tell(|| format!("{} and {} are cut off from all others", pair[0], pair[1]));
        let others: Vec<Place> = self.processes.keys().copied().collect();
        for other in others.into_iter().filter(|other| !pair.contains(other)) {
            if other.is_proxy() && self.rng.percent(50) {
                continue;
            }
            for one in pair {
                self.block(other, one, length);
                self.block(one, other, length);
            }
        }
    }

    fn block(&mut self, from: Place, to: Place, length: Nanos) {
        self.network.block(from, to);
        self.heap.after(length, Event::Over(Fault::Blocked(from, to)));
        let noticed = self.silence_noticed();
        self.heap.after(noticed, Event::Silence(from.min(to), from.max(to)));
    }

    fn silence_noticed(&mut self) -> Nanos {
        self.rng.below(2_000) as Nanos * (SILENCE_NOTICED_MAX / 2_000)
    }

    fn slow_down(&mut self) {
        let place = self.some_process();
        let by = self.rng.below(300) as Nanos * MS;
        self.network.slow_down(place, by);
        self.heap.after(self.rng.below(3_000) as Nanos * MS, Event::Over(Fault::Slow(place)));
    }

    fn lose_manager(&mut self) {
        if self.processes.remove(&Place::Manager).is_some() {
            self.tell(|| "the manager is killed".to_owned());
            self.network.leave(&mut self.heap, Place::Manager);
            self.heap.after(self.rng.below(6_000) as Nanos * MS, Event::Over(Fault::NoManager));
        }
    }
}
