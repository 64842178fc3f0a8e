//! Nodes with a map each in place of a store, links that deliver when a test says so, and a clock.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memtide_topology::{Epoch, KeyHash, NodeId, RequestId, SlotId, Topology};

use super::super::*;

pub const LEASE: Duration = Duration::from_secs(1);

pub fn node(number: u64) -> NodeId {
    NodeId::new(number)
}

pub fn slot() -> SlotId {
    SlotId::new(7).unwrap()
}

pub fn settings() -> ReplicationSettings {
    ReplicationSettings { lease: LEASE, records_per_slot_max: 4, ..ReplicationSettings::default() }
}

/// What a client asks of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Get,
    /// Adds one; answers the sum.
    Incr,
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Number(u8),
    Moved(Option<NodeId>),
    Unknown,
}

pub struct Site {
    pub now: Duration,
    pub nodes: BTreeMap<NodeId, Process>,
    /// Under way, by sender and receiver; there is a link where there is a queue.
    links: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    pub heard: BTreeMap<Ticket, Heard>,
    pub reports: Vec<Report>,
    /// Of handovers, by those that took over.
    pub pauses: Vec<Duration>,
    /// Chunks that were asked for, by whom and for whom, and are read when a test says so; `None` where
    /// all is read at once.
    pub unread: Option<VecDeque<(NodeId, NodeId)>>,
    /// Of the slot, as the proxy knows it.
    pub epoch: Epoch,
    next: u64,
}

pub struct Process {
    pub core: Replication,
    pub items: BTreeMap<u64, u8>,
    pub version: u64,
    pub part: Option<Part>,
    requests: BTreeMap<Ticket, (Asked, u64, Ask)>,
    outcomes: BTreeMap<Ticket, Outcome>,
}

impl Site {
    /// So many nodes, all linked.
    pub fn new(count: u64) -> Self {
        let process = |number| {
            let core = Replication::new(node(number), settings());
            let (items, requests, outcomes) = Default::default();
            let process = Process { core, items, version: 0, part: None, requests, outcomes };
            (node(number), process)
        };
        let mut site = Self {
            now: Duration::from_secs(100),
            nodes: (1..=count).map(process).collect(),
            links: BTreeMap::new(),
            heard: BTreeMap::new(),
            reports: Vec::new(),
            pauses: Vec::new(),
            unread: None,
            epoch: Epoch::new(1),
            next: 0,
        };
        for a in 1..=count {
            for b in a + 1..=count {
                site.link(a, b);
            }
        }
        site
    }

    pub fn link(&mut self, a: u64, b: u64) {
        for (from, to) in [(node(a), node(b)), (node(b), node(a))] {
            self.links.insert((from, to), VecDeque::new());
        }
        for (from, to) in [(node(a), node(b)), (node(b), node(a))] {
            self.nodes.get_mut(&from).unwrap().core.link_up(to);
            self.carry_out(from);
        }
    }

    /// What is under way is lost.
    pub fn cut(&mut self, a: u64, b: u64) {
        for (from, to) in [(node(a), node(b)), (node(b), node(a))] {
            self.links.remove(&(from, to));
        }
        for (from, to) in [(node(a), node(b)), (node(b), node(a))] {
            self.nodes.get_mut(&from).unwrap().core.link_down(self.now, to);
            self.carry_out(from);
        }
    }

    pub fn adopt(&mut self, number: u64, topology: &Topology) {
        let now = self.now;
        self.core(number).adopt(now, Arc::new(topology.clone()));
        self.carry_out(node(number));
        self.epoch = topology.slot(slot()).epoch;
    }

    /// Delivers what is under way from one node to another.
    pub fn deliver(&mut self, from: u64, to: u64) {
        let link = (node(from), node(to));
        let messages = self.links.get_mut(&link).map(core::mem::take).unwrap_or_default();
        for message in messages {
            let now = self.now;
            self.core(to).receive(now, node(from), message);
            self.carry_out(node(to));
        }
    }

    /// Delivers all messages, also those that come of it.
    pub fn settle(&mut self) {
        while let Some((&(from, to), _)) = self.links.iter().find(|(_, queue)| !queue.is_empty()) {
            self.deliver(from.number(), to.number());
        }
    }

    /// The chunk that was asked for first is read; says whether one was asked for.
    pub fn read_chunk(&mut self, is_last: bool) -> bool {
        let Some((at, to)) = self.unread.as_mut().and_then(VecDeque::pop_front) else {
            return false;
        };
        let now = self.now;
        self.nodes.get_mut(&at).unwrap().read_chunk(now, (slot(), to), is_last);
        self.carry_out(at);
        true
    }

    /// Lets time pass, with everything delivered.
    pub fn pass(&mut self, time: Duration) {
        self.settle();
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(50));
            for number in self.numbers() {
                self.tick(number);
            }
            self.settle();
        }
    }

    pub fn tick(&mut self, number: u64) {
        let now = self.now;
        self.core(number).tick(now);
        self.carry_out(node(number));
    }

    pub fn ask(&mut self, number: u64, key: u64, ask: Ask) -> Ticket {
        self.next += 1;
        let id = RequestId { client: 1, number: self.next };
        self.ask_as(number, key, ask, (id, 1, None))
    }

    /// A request of this id and round; with the version that was seen where it is a retry.
    pub fn ask_as(
        &mut self,
        number: u64,
        key: u64,
        ask: Ask,
        (id, round, retry): (RequestId, u32, Option<u64>),
    ) -> Ticket {
        self.next += 1;
        let epoch = self.epoch;
        let (ticket, is_retry, seen) = (self.next, retry.is_some(), retry.unwrap_or(0));
        let (link, slot, answered) = (1, slot(), 0);
        let asked = Asked { ticket, link, id, slot, epoch, round, seen, answered, is_retry };
        self.hand_in(node(number), asked, (key, ask));
        self.carry_out(node(number));
        ticket
    }

    pub fn core(&mut self, number: u64) -> &mut Replication {
        &mut self.nodes.get_mut(&node(number)).unwrap().core
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.nodes.keys().map(|node| node.number()).collect()
    }

    fn hand_in(&mut self, at: NodeId, asked: Asked, (key, ask): (u64, Ask)) {
        let process = self.nodes.get_mut(&at).unwrap();
        match process.core.request(self.now, &asked) {
            Verdict::Execute => {
                let executed = process.execute(key, ask);
                let outcome = Arc::clone(&executed.outcome);
                process.outcomes.insert(asked.ticket, outcome);
                process.requests.insert(asked.ticket, (asked, key, ask));
                if process.core.executed(self.now, &asked, executed) {
                    self.carry_out_one(at, Effect::Release(asked.ticket));
                }
            }
            Verdict::Recorded(outcome) => {
                process.outcomes.insert(asked.ticket, outcome);
            }
            Verdict::Held => {
                process.requests.insert(asked.ticket, (asked, key, ask));
            }
            Verdict::Moved(moved) => {
                self.heard.insert(asked.ticket, Heard::Moved(moved.primary));
            }
            Verdict::Unknown => {
                self.heard.insert(asked.ticket, Heard::Unknown);
            }
        }
    }

    fn carry_out(&mut self, at: NodeId) {
        while let Some(effect) = self.nodes.get_mut(&at).unwrap().core.poll() {
            self.carry_out_one(at, effect);
        }
    }

    fn carry_out_one(&mut self, at: NodeId, effect: Effect) {
        let process = self.nodes.get_mut(&at).unwrap();
        match effect {
            Effect::Send(to, message) => {
                if let Some(queue) = self.links.get_mut(&(at, to)) {
                    queue.push_back(message);
                }
            }
            Effect::Release(ticket) => {
                let outcome = process.outcomes.remove(&ticket).expect("it was executed");
                self.heard.insert(ticket, Heard::Number(outcome[0]));
            }
            Effect::Refuse(ticket, moved) => {
                self.heard.insert(ticket, Heard::Moved(moved.primary));
            }
            Effect::Resume(ticket) => {
                let (asked, key, ask) = process.requests.remove(&ticket).expect("it was held");
                self.hand_in(at, asked, (key, ask));
            }
            Effect::Apply(slot, entries) => {
                entries.iter().for_each(|entry| process.put(&entry.change));
                let version = entries.last().unwrap().position.version;
                process.version = version;
                process.core.applied(self.now, slot, version);
            }
            Effect::Copy(slot, items) => {
                items.chunks(9).for_each(|item| process.put(item));
                process.core.copied(self.now, slot);
            }
            Effect::Drop(_) => {
                process.items.clear();
                (process.version, process.part) = (0, None);
            }
            Effect::Hold(_, part) => {
                process.part = Some(part);
                if let Part::Primary { version } = part {
                    assert!(version >= process.version, "versions never go back");
                    process.version = version;
                }
            }
            Effect::ReadChunk(slot, to) => {
                if let Some(unread) = &mut self.unread {
                    return unread.push_back((at, to));
                }
                process.read_chunk(self.now, (slot, to), true);
            }
            Effect::Report(report) => self.reports.push(report),
            Effect::Paused(_, pause) => self.pauses.push(pause),
        }
    }
}

impl Process {
    fn read_chunk(&mut self, now: Duration, (slot, to): (SlotId, NodeId), is_last: bool) {
        let items = self.items.iter().flat_map(|(key, value)| encode(*key, *value));
        let items = items.collect::<Vec<_>>().into();
        self.core.chunk_read(now, (slot, to), (items, is_last));
    }

    fn execute(&mut self, key: u64, ask: Ask) -> Executed {
        let hash = Some(KeyHash::from_bits(key));
        let value = self.items.entry(key).or_default();
        let mut changes = Vec::new();
        if ask == Ask::Incr {
            *value += 1;
            self.version += 1;
            let bytes = encode(key, *value).into();
            changes.push(Change { version: self.version, key: hash, bytes });
        }
        Executed { key: hash, changes, outcome: [*value].into() }
    }

    fn put(&mut self, item: &[u8]) {
        let key = u64::from_le_bytes(item[..8].try_into().unwrap());
        self.items.insert(key, item[8]);
    }
}

fn encode(key: u64, value: u8) -> Vec<u8> {
    let mut bytes = key.to_le_bytes().to_vec();
    bytes.push(value);
    bytes
}
