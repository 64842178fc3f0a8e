//! Virtual time, links, a manager that moves slots at random, and the nodes between them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_routing::{Effect, Kind, Router, Settings, Submission};
use memtide_topology::{
    Answer, Epoch, NodeId, NodeInfo, Request, RequestId, SlotId, Topology, Zone,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::checks::Lives;
use crate::node::{Command, Entry, Outcome, Part, Reply};

pub const NODES: usize = 3;
pub const SLOTS: usize = 3;
pub const FAULTS_END: Duration = Duration::from_millis(1_200);
const HEALED: Duration = Duration::from_millis(2_000);

#[derive(Debug)]
pub enum Event {
    Submit,
    Deliver(usize, u64, Request<Command>),
    Answer(usize, u64, RequestId, Answer<Outcome>),
    Commit(usize, usize, Epoch, usize),
    /// No lease of the node that served is left.
    Free(usize, (usize, Epoch)),
    Adopt(usize, usize),
    RouterAdopts(usize),
    Connect(usize),
    Fault,
    Heal,
    Last,
}

pub struct Node {
    pub parts: Vec<Part>,
    pub link: Option<u64>,
    /// When the last request comes that is under way.
    pub last: Duration,
    adopted: usize,
}

pub struct World {
    pub rng: Xoshiro256PlusPlus,
    pub now: Duration,
    is_silent: bool,
    settings: Settings,
    pub router: Router<Command, Outcome>,
    pub nodes: Vec<Node>,
    pub topologies: Vec<Arc<Topology>>,
    pub owners: Vec<(Epoch, Option<usize>)>,
    /// Who serves, or may still have a lease.
    pub servers: Vec<Option<(usize, Epoch)>>,
    /// The last epoch that was served.
    served: Vec<Epoch>,
    pub histories: Vec<Vec<Entry>>,
    events: BTreeMap<(Duration, u64), Event>,
    lives: Lives,
    tickets: u64,
    links: u64,
    pushed: u64,
}

impl World {
    pub fn new(seed: u64, is_silent: bool) -> Self {
        let settings = Settings {
            patience: Duration::from_millis(300),
            grace: Duration::from_millis(20),
            pause_max: Duration::from_millis(16),
            outstanding_max: 200,
            queued_per_slot_max: 30,
            ..Settings::default()
        };
        let node = |_| Node {
            parts: (0..SLOTS).map(|_| Part::default()).collect(),
            link: None,
            last: Duration::ZERO,
            adopted: 0,
        };
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            now: Duration::ZERO,
            is_silent,
            router: Router::new(seed, settings.clone()),
            settings,
            nodes: (0..NODES).map(node).collect(),
            topologies: vec![Arc::new(Topology::empty())],
            owners: (0..SLOTS).map(|slot| (Epoch::new(1), Some(slot % NODES))).collect(),
            servers: vec![None; SLOTS],
            served: vec![Epoch::ZERO; SLOTS],
            histories: vec![Vec::new(); SLOTS],
            events: BTreeMap::new(),
            lives: Lives::default(),
            tickets: 0,
            links: 0,
            pushed: 0,
        }
    }

    /// Runs to the end, checks everything, and gives how many tickets had an outcome, and not.
    pub fn run(mut self) -> (usize, usize) {
        self.publish();
        for node in 0..NODES {
            self.at(0, Event::Connect(node));
        }
        self.at(1, Event::Submit);
        self.at(30, Event::Fault);
        self.events.insert((FAULTS_END, u64::MAX), Event::Heal);
        self.events.insert((HEALED, u64::MAX), Event::Last);
        loop {
            let event = self.events.first_key_value().map(|(&(at, _), _)| at);
            let timeout = self.router.next_timeout();
            match (event, timeout) {
                (Some(at), None) => self.step(at),
                (Some(at), Some(timeout)) if at < timeout => self.step(at),
                (_, Some(timeout)) => {
                    self.now = self.now.max(timeout);
                    self.router.tick(self.now);
                }
                (None, None) => break,
            }
            self.drain();
        }
        assert_eq!(self.router.outstanding(), 0);
        self.lives.check_sends(&self.settings);
        for (slot, history) in self.histories.iter().enumerate() {
            self.lives.check_history(slot, history);
        }
        for ticket in self.tickets - SLOTS as u64 + 1..=self.tickets {
            let end = self.lives.end(ticket);
            assert!(matches!(end, Some(Ok(_))), "after all faults: {end:?}");
        }
        self.lives.tally()
    }

    fn step(&mut self, at: Duration) {
        self.now = at;
        let (_, event) = self.events.pop_first().unwrap();
        match event {
            Event::Submit => self.submit_some(),
            Event::Deliver(node, link, request) if self.nodes[node].link == Some(link) => {
                self.deliver(node, link, request);
            }
            Event::Answer(node, link, id, answer) if self.nodes[node].link == Some(link) => {
                self.router.answered(at, id_of(node), id, answer);
            }
            Event::Deliver(..) | Event::Answer(..) => {}
            Event::Commit(node, slot, epoch, len) => self.commit(node, slot, epoch, len),
            Event::Free(slot, server) => {
                if self.servers[slot] == Some(server) {
                    self.servers[slot] = None;
                }
            }
            Event::Adopt(node, index) => self.adopt(node, index),
            Event::RouterAdopts(index) => {
                self.router.adopt(at, Arc::clone(&self.topologies[index]));
            }
            Event::Connect(node) => {
                self.links += 1;
                self.nodes[node].link = Some(self.links);
                self.router.link_up(at, id_of(node));
            }
            Event::Fault => self.fault(),
            Event::Heal => self.heal(),
            Event::Last => (0..SLOTS).for_each(|slot| self.submit(slot, Kind::Mutation)),
        }
        self.serve();
    }

    fn submit_some(&mut self) {
        for _ in 0..if self.chance(10) { 12 } else { 1 } {
            let slot = self.rng.random_range(0..SLOTS);
            let kind = match self.rng.random_range(0..100) {
                0..55 => Kind::Mutation,
                55..88 => Kind::Read,
                _ => Kind::ReadAnyCopy,
            };
            self.submit(slot, kind);
            let server = self.servers[slot].map(|(node, _)| node);
            if let (Some(node), true) = (server, self.chance(25))
                && let Some(epoch) = self.nodes[node].parts[slot].serving
            {
                let part = &mut self.nodes[node].parts[slot];
                part.append(None);
                let len = part.log.len();
                self.later(4, Event::Commit(node, slot, epoch, len));
            }
        }
        if self.now < FAULTS_END {
            self.later(6, Event::Submit);
        }
    }

    fn submit(&mut self, slot: usize, kind: Kind) {
        self.tickets += 1;
        let command = Command { ticket: self.tickets, kind };
        self.lives.submitted(command, slot, self.now + self.settings.patience);
        let submission = Submission { ticket: command.ticket, slot: slot_of(slot), kind, command };
        self.router.submit(self.now, submission);
    }

    fn drain(&mut self) {
        while let Some(effect) = self.router.poll() {
            match effect {
                Effect::Send { node, request } => {
                    self.lives.sent(&request);
                    let delay = Duration::from_micros(self.rng.random_range(50..2_000));
                    let node = usize::try_from(node.number()).unwrap();
                    let Some(link) = self.nodes[node].link else { continue };
                    let at = self.nodes[node].last.max(self.now + delay);
                    self.nodes[node].last = at;
                    self.push(at, Event::Deliver(node, link, request));
                }
                Effect::Done { ticket, result } => self.lives.ended(self.now, ticket, result),
                Effect::WantTopology if self.chance(70) => {
                    self.later(20, Event::RouterAdopts(self.topologies.len() - 1));
                }
                Effect::WantTopology => {}
            }
        }
    }

    fn deliver(&mut self, node: usize, link: u64, request: Request<Command>) {
        let slot = usize::from(request.slot.number());
        let part = &mut self.nodes[node].parts[slot];
        let reply = part.request(id_of(node), link, request);
        let serving = part.serving;
        match reply {
            Reply::Now(answer) => self.answer(node, link, request.id, answer),
            Reply::Later(len) => {
                let epoch = serving.expect("who executes serves");
                let most = if self.chance(10) { 40 } else { 4 };
                self.later(most, Event::Commit(node, slot, epoch, len));
            }
            Reply::Never => {}
        }
    }

    fn answer(&mut self, node: usize, link: u64, id: RequestId, answer: Answer<Outcome>) {
        self.later(4, Event::Answer(node, link, id, answer));
    }

    fn commit(&mut self, node: usize, slot: usize, epoch: Epoch, len: usize) {
        let part = &mut self.nodes[node].parts[slot];
        if part.serving != Some(epoch) || part.is_cut {
            return;
        }
        let done = part.commit(len);
        let known = self.histories[slot].len();
        self.histories[slot].extend_from_slice(&part.log[known..part.committed]);
        for (link, id, answer) in done {
            self.answer(node, link, id, answer);
        }
    }

    pub fn adopt(&mut self, node: usize, index: usize) {
        if index <= self.nodes[node].adopted {
            return;
        }
        self.nodes[node].adopted = index;
        for slot in 0..SLOTS {
            let config = Arc::clone(self.topologies[index].slot(slot_of(slot)));
            let part = &mut self.nodes[node].parts[slot];
            part.is_in_sync = config.in_sync().any(|copy| copy == id_of(node));
            if (part.epoch, part.primary) == (config.epoch, config.primary) {
                continue;
            }
            let (serving, len) = (part.serving, part.log.len());
            if let Some(epoch) = serving
                && !part.is_cut
            {
                self.commit(node, slot, epoch, len);
                self.servers[slot] = None;
            }
            let part = &mut self.nodes[node].parts[slot];
            (part.epoch, part.primary) = (config.epoch, config.primary);
            let (epoch, primary) = (config.epoch, config.primary);
            if serving.is_some() || config.primary != Some(id_of(node)) {
                for (link, id, may_be_done) in part.step_down(self.is_silent) {
                    let moved = Answer::Moved { epoch, primary, may_be_done };
                    self.answer(node, link, id, moved);
                }
            }
        }
    }

    /// Who may serve begins to, with what it holds.
    fn serve(&mut self) {
        for node in 0..NODES {
            for slot in 0..SLOTS {
                let part = &mut self.nodes[node].parts[slot];
                let is_due = part.serving.is_none() && part.primary == Some(id_of(node));
                if is_due && self.servers[slot].is_none() && part.epoch >= self.served[slot] {
                    let part = &mut self.nodes[node].parts[slot];
                    part.log.clone_from(&self.histories[slot]);
                    part.committed = part.log.len();
                    part.serving = Some(part.epoch);
                    self.servers[slot] = Some((node, part.epoch));
                    self.served[slot] = part.epoch;
                    for (link, request) in core::mem::take(&mut part.held) {
                        self.deliver(node, link, request);
                    }
                }
            }
        }
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub fn later(&mut self, most_ms: u64, event: Event) {
        let delay = self.rng.random_range(0..=most_ms * 1_000);
        self.push(self.now + Duration::from_micros(delay), event);
    }

    fn at(&mut self, millis: u64, event: Event) {
        self.push(Duration::from_millis(millis), event);
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.pushed += 1;
        self.events.insert((at, self.pushed), event);
    }
}

pub fn id_of(node: usize) -> NodeId {
    NodeId::new(node as u64)
}

pub fn info_of(node: usize) -> NodeInfo {
    let (address, zone) = (format!("n{node}:1"), Zone::new("z").unwrap());
    NodeInfo { address, zone, memory_max: 1, is_draining: false }
}

pub fn slot_of(slot: usize) -> SlotId {
    SlotId::new(u16::try_from(slot).unwrap()).unwrap()
}
