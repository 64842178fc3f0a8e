//! A node's process: the real replication core, and a model of the store that it drives.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memtide_engine_core::replication::{
    Asked, Effect, Executed, Message, Moved, Outcome, Replication, ReplicationSettings,
    SlotMessage, Ticket, Verdict,
};
use memtide_topology::{Answer, NodeId, Request, SlotId, Topology};

use crate::checks::Checks;
use crate::event::{Payload, Place};
use crate::heap::Nanos;
use crate::store::{Command, Store, hash_of};

/// A node.
pub struct Node {
    pub id: NodeId,
    pub replication: Replication,
    pub store: Store,
    /// The newest topology that it was given, by whomever.
    pub topology: Arc<Topology>,
    requests: BTreeMap<Ticket, Waiting>,
    resumed: VecDeque<Ticket>,
    /// Chunks of copies that are to be read, and for whom.
    unread: Vec<(SlotId, NodeId)>,
    /// A command that was executed just before the process was stopped.
    unfinished: Option<(Asked, Executed)>,
    last_ticket: Ticket,
}

/// A request that waits.
struct Waiting {
    proxy: Place,
    link: u64,
    request: Request<Command>,
    answer: Option<(Outcome, u64)>,
    /// The version that it left the slot at, where it changed something.
    changed: Option<u64>,
}

/// What a node sees of the world while it handles an event.
pub struct Step<'w> {
    /// The monotonic clock.
    pub now: Duration,
    /// The wall clock.
    pub wall: Nanos,
    /// True time, for the checks.
    pub time: Nanos,
    pub checks: &'w mut Checks,
    /// What it sends.
    pub out: &'w mut Vec<(Place, Payload)>,
    /// Whether the process is to be stopped before it reads the clock after a command.
    pub stops: &'w mut dyn FnMut() -> bool,
}

impl Node {
    pub fn new(id: NodeId, settings: ReplicationSettings) -> Self {
        Self {
            id,
            replication: Replication::new(id, settings),
            store: Store::default(),
            topology: Arc::new(Topology::empty()),
            requests: BTreeMap::new(),
            resumed: VecDeque::new(),
            unread: Vec::new(),
            unfinished: None,
            last_ticket: 0,
        }
    }

    /// Takes a newer topology.
    pub fn adopt(&mut self, step: &mut Step<'_>, topology: Arc<Topology>) {
        self.note_topology(&topology);
        self.replication.adopt(step.now, topology);
        self.work(step);
    }

    /// Takes a message of another node.
    pub fn hear(&mut self, step: &mut Step<'_>, peer: NodeId, message: Message) {
        if let Message::Topology(topology) = &message {
            self.note_topology(topology);
        }
        self.replication.receive(step.now, peer, message);
        self.work(step);
    }

    /// Takes a request that came over a proxy's link.
    pub fn asked(
        &mut self,
        step: &mut Step<'_>,
        (proxy, link): (Place, u64),
        request: Request<Command>,
    ) {
        self.last_ticket += 1;
        let waiting = Waiting { proxy, link, request, answer: None, changed: None };
        self.requests.insert(self.last_ticket, waiting);
        self.resumed.push_back(self.last_ticket);
        self.work(step);
    }

    /// A link begins.
    pub fn link_up(&mut self, step: &mut Step<'_>, peer: Place) {
        if let Place::Node(peer) = peer {
            self.replication.link_up(peer);
        }
        self.work(step);
    }

    /// A link has ended.
    pub fn link_down(&mut self, step: &mut Step<'_>, peer: Place, link: u64) {
        match peer {
            Place::Node(peer) => {
                self.store.end_copies(peer);
                self.unread.retain(|(_, to)| *to != peer);
                self.replication.link_down(step.now, peer);
            }
            _ => {
                self.replication.proxy_gone(link);
                self.requests.retain(|_, waiting| waiting.link != link);
            }
        }
        self.work(step);
    }

    pub fn tick(&mut self, step: &mut Step<'_>) {
        self.replication.tick(step.now);
        self.work(step);
    }

    /// Whether a chunk of a copy is to be read.
    pub const fn is_copying(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads one of the chunks that are to be read, by any number.
    pub fn read_chunk(&mut self, step: &mut Step<'_>, any: usize) {
        if !self.unread.is_empty() {
            let (slot, to) = self.unread.remove(any % self.unread.len());
            if let Some(chunk) = self.store.read_chunk(slot, to) {
                self.replication.chunk_read(step.now, (slot, to), chunk);
            }
        }
        self.work(step);
    }

    /// Expires items, and evicts one.
    pub fn maintain(&mut self, step: &mut Step<'_>, slot: SlotId, evicted: Option<u32>) {
        if self.store.is_primary(slot) && self.replication.is_serving(slot) {
            let changes = self.store.maintain(slot, step.wall, evicted);
            if !changes.is_empty() {
                let version = changes.last().map_or(0, |change| change.version);
                step.checks.content(slot, version, self.store.content(slot));
                self.replication.changed(step.now, slot, changes);
            }
        }
        self.work(step);
    }

    /// The process goes on after it was stopped.
    pub fn finish(&mut self, step: &mut Step<'_>) {
        if let Some((asked, executed)) = self.unfinished.take()
            && self.replication.executed(step.now, &asked, executed)
        {
            self.carry_out(step, Effect::Release(asked.ticket));
        }
        self.work(step);
    }

    fn note_topology(&mut self, topology: &Arc<Topology>) {
        if topology.epoch() > self.topology.epoch() {
            self.topology = Arc::clone(topology);
        }
    }

    /// Carries out all effects, and hands in the requests that may be, until the process is
    /// stopped.
    fn work(&mut self, step: &mut Step<'_>) {
        loop {
            while let Some(effect) = self.replication.poll() {
                self.carry_out(step, effect);
            }
            if self.unfinished.is_some() {
                return;
            }
            let Some(ticket) = self.resumed.pop_front() else { return };
            self.hand_in(step, ticket);
        }
    }

    fn hand_in(&mut self, step: &mut Step<'_>, ticket: Ticket) {
        let Some(waiting) = self.requests.get(&ticket) else { return };
        let Request { id, slot, epoch, round, seen, answered, is_retry, command } = waiting.request;
        let link = waiting.link;
        let asked = Asked { ticket, link, id, slot, epoch, round, seen, answered, is_retry };
        match self.replication.request(step.now, &asked) {
            Verdict::Held => {}
            Verdict::Moved(moved) => self.moved(step, ticket, moved),
            Verdict::Unknown => self.answer(step, ticket, Answer::Unknown),
            Verdict::Recorded(outcome) => {
                let version = self.version(slot);
                self.will_answer(ticket, outcome, version);
            }
            Verdict::Execute => {
                step.checks.executes(self.store.is_primary(slot), slot, self.id);
                let (reply, changes) = self.store.execute(slot, command, step.wall);
                let outcome = reply.encode();
                if let Some(change) = changes.last() {
                    step.checks.content(slot, change.version, self.store.content(slot));
                }
                if let Some(waiting) = self.requests.get_mut(&ticket) {
                    waiting.changed = changes.last().map(|change| change.version);
                }
                let key = Some(hash_of(command.key, slot));
                let executed = Executed { key, changes, outcome: Arc::clone(&outcome) };
                let mut is_told = false;
                if (step.stops)() {
                    self.unfinished = Some((asked, executed));
                } else {
                    is_told = self.replication.executed(step.now, &asked, executed);
                }
                let version = self.version(slot);
                self.will_answer(ticket, outcome, version);
                if is_told {
                    self.carry_out(step, Effect::Release(ticket));
                }
            }
        }
    }

    fn will_answer(&mut self, ticket: Ticket, outcome: Outcome, version: u64) {
        if let Some(waiting) = self.requests.get_mut(&ticket) {
            waiting.answer = Some((outcome, version));
        }
    }

    fn version(&self, slot: SlotId) -> u64 {
        self.replication.position(slot).map_or(0, |position| position.version)
    }

    fn carry_out(&mut self, step: &mut Step<'_>, effect: Effect) {
        match effect {
            Effect::Send(peer, message) => {
                if let Message::Slot(slot, message) = &message {
                    self.note_sent(step, *slot, peer, message);
                }
                step.out.push((Place::Node(peer), Payload::Peer(message)));
            }
            Effect::Release(ticket) => {
                let waiting = self.requests.get(&ticket);
                if let Some((outcome, version)) = waiting.and_then(|waiting| waiting.answer.clone())
                {
                    self.answer(step, ticket, Answer::Done { outcome, version });
                }
            }
            Effect::Resume(ticket) => self.resumed.push_back(ticket),
            Effect::Refuse(ticket, moved) => self.moved(step, ticket, moved),
            Effect::Apply(slot, entries) => {
                let mut last = 0;
                for entry in entries {
                    self.store.apply(slot, &entry);
                    last = entry.position.version;
                    if self.is_in_sync(slot) {
                        self.claim(step, slot, last);
                    }
                }
                self.replication.applied(step.now, slot, last);
            }
            Effect::Copy(slot, items) => {
                self.store.put_items(slot, &items);
                self.replication.copied(step.now, slot);
            }
            Effect::Drop(slot) => self.store.forget(slot),
            Effect::Hold(slot, part) => {
                self.store.hold(slot, part);
                step.checks.holds(slot, part, self.store.content(slot));
            }
            Effect::ReadChunk(slot, to) => self.unread.push((slot, to)),
            Effect::Report(report) => step.out.push((Place::Manager, Payload::Report(report))),
            Effect::Paused(..) => {}
        }
    }

    fn note_sent(
        &mut self,
        step: &mut Step<'_>,
        slot: SlotId,
        peer: NodeId,
        message: &SlotMessage,
    ) {
        match message {
            SlotMessage::CopyBegins { .. } => {
                self.store.begin_copy(slot, peer);
                // What was asked for the copy before it must not be read for this.
                self.unread.retain(|asked| *asked != (slot, peer));
            }
            SlotMessage::Consent { epoch, .. } => step.checks.consents(slot, *epoch),
            SlotMessage::Opened { position: Some(position), .. } => {
                self.claim(step, slot, position.version);
            }
            _ => {}
        }
    }

    /// Whether it may be promoted, as far as it knows.
    fn is_in_sync(&self, slot: SlotId) -> bool {
        self.topology.slot(slot).copy(self.id).is_some_and(|copy| copy.is_in_sync)
    }

    /// It says that it has all of the slot up to this version.
    fn claim(&self, step: &mut Step<'_>, slot: SlotId, version: u64) {
        let content = self.store.content(slot);
        step.checks.claims((slot, version), content, || {
            format!("{} holds {}", self.id, self.store.describe(slot))
        });
    }

    fn moved(&mut self, step: &mut Step<'_>, ticket: Ticket, moved: Moved) {
        let Moved { epoch, primary, may_be_done } = moved;
        self.answer(step, ticket, Answer::Moved { epoch, primary, may_be_done });
    }

    fn answer(&mut self, step: &mut Step<'_>, ticket: Ticket, answer: Answer<Outcome>) {
        if let Some(waiting) = self.requests.remove(&ticket) {
            let id = waiting.request.id;
            if let (Some(version), Answer::Done { .. }) = (waiting.changed, &answer) {
                step.checks.tells(waiting.request.slot, version, step.time);
            }
            step.out.push((waiting.proxy, Payload::Answer(id, answer)));
        }
    }
}
