use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use memtide_topology::{Epoch, NodeId, SLOTS, SlotConfig, SlotId, Topology};

use super::clients::Clients;
use super::effect::{
    Asked, Change, Effect, Executed, Moved, ProxyLink, ReplicationSettings, Verdict,
};
use super::fences::Fences;
use super::links::{Env, Known, Links};
use super::message::{Message, Position, SlotMessage};
use super::slot::{Hold, Slot};
use crate::prefetch;

/// The replication of all slots of one node: who serves what, and what the copies are told.
///
/// Pure. Events go in with the time since an arbitrary start, by a clock that goes on while the
/// process or the machine is suspended; effects come out of [`Replication::poll`] and are to be
/// carried out in their order, all of them before the next event.
///
/// ```text
///                            a proxy's request
///                                   |
///  topology, links, --> request --> Execute --> (the store) --> executed --> Send to copies
///  messages, ticks          |                                                     |
///         |                Held --Resume--> request                             acks
///         +--> effects                                                            |
///                                                   Release(ticket) <--lease-- committed
/// ```
#[derive(Debug)]
pub struct Replication {
    me: NodeId,
    settings: ReplicationSettings,
    topology: Arc<Topology>,
    links: Links,
    fences: Fences,
    clients: Clients,
    /// By number.
    slots: Vec<Option<Box<Slot>>>,
    /// Those that are not `None`.
    held: BTreeSet<SlotId>,
    /// Of these, the ones that time may change something about: ticks look at no others.
    restless: BTreeSet<SlotId>,
    effects: VecDeque<Effect>,
    /// When the next beacons and reports are due.
    next_beacon: Duration,
    /// A slot may wait for a moment; otherwise ticks need not look at all of them.
    is_waiting: bool,
    /// Bytes in logs, when they were counted last.
    log_bytes: usize,
    /// Bytes that are remembered of requests.
    records_bytes: usize,
}

impl Replication {
    /// A node that has nothing yet. It takes what the topology gives it with the first
    /// [`Replication::adopt`].
    #[must_use]
    pub fn new(me: NodeId, settings: ReplicationSettings) -> Self {
        let slots = (0..SLOTS).map(|_| None).collect();
        Self {
            me,
            settings,
            topology: Arc::new(Topology::empty()),
            links: Links::default(),
            fences: Fences::default(),
            clients: Clients::default(),
            slots,
            held: BTreeSet::new(),
            restless: BTreeSet::new(),
            effects: VecDeque::new(),
            next_beacon: Duration::ZERO,
            is_waiting: false,
            log_bytes: 0,
            records_bytes: 0,
        }
    }

    /// What is to be done next; to be called until there is nothing, after each event.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The topology that it has adopted.
    #[must_use]
    pub fn adopted(&self) -> Epoch {
        self.topology.epoch()
    }

    /// Whether it answers for a slot.
    #[must_use]
    pub fn is_serving(&self, slot: SlotId) -> bool {
        self.slots[usize::from(slot.number())].as_ref().is_some_and(|slot| slot.is_serving())
    }

    /// Its place in a slot's history; `None` where it has none of the slot, or a part.
    #[must_use]
    pub fn position(&self, slot: SlotId) -> Option<Position> {
        let slot = self.slots[usize::from(slot.number())].as_ref()?;
        slot.is_whole().then(|| slot.position())
    }

    /// Whether the bytes of changes of a slot matter: where nobody has copies of it, they may be
    /// left empty.
    #[must_use]
    pub fn has_copies(&self, slot: SlotId) -> bool {
        self.slots[usize::from(slot.number())].as_ref().is_some_and(|slot| slot.has_copies())
    }

    /// Bytes of entries that copies have not acknowledged, as of the last tick that looked at all
    /// slots: with too many, writes must wait.
    #[must_use]
    pub const fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// Whether what this node has of a slot is complete and at most a lease old: for readers who
    /// take that instead of the newest.
    #[must_use]
    pub fn may_read(&self, now: Duration, slot: SlotId) -> bool {
        let place = &self.slots[usize::from(slot.number())];
        place.as_ref().is_some_and(|slot| slot.may_read(self.known(now)))
    }

    /// Takes a topology, unless it has a newer one.
    pub fn adopt(&mut self, now: Duration, topology: Arc<Topology>) {
        if topology.epoch() <= self.topology.epoch() {
            return;
        }
        self.is_waiting = true;
        let before = core::mem::replace(&mut self.topology, Arc::clone(&topology));
        self.links.reach.retain(|peer| topology.nodes().contains_key(&peer));
        for id in SlotId::all() {
            let (old, config) = (before.slot(id), topology.slot(id));
            if !Arc::ptr_eq(old, config) && old != config {
                if old.born != config.born {
                    self.with_slot(now, id, |slot, env| slot.give_up(env, config));
                }
                self.adopt_slot(now, id, config);
            }
        }
    }

    fn adopt_slot(&mut self, now: Duration, id: SlotId, config: &Arc<SlotConfig>) {
        if self.held.contains(&id) {
            self.restless.insert(id);
            return self.with_slot(now, id, |slot, env| slot.adopt(env, config));
        }
        let (place, mut env) = self.at(now, id);
        *place = Slot::new(&mut env, id, config).map(Box::new);
        if place.is_some() {
            self.held.insert(id);
            self.restless.insert(id);
        }
    }

    /// A link to a node begins. Nothing of an earlier link comes after this.
    pub fn link_up(&mut self, peer: NodeId) {
        self.links.up(peer);
        let hello = Message::Hello { adopted: self.topology.epoch() };
        self.effects.push_back(Effect::Send(peer, hello));
    }

    /// A link has ended; what was sent may not have come.
    pub fn link_down(&mut self, now: Duration, peer: NodeId) {
        if self.links.down(peer) {
            self.each_slot(now, |slot, env| slot.link_down(env, peer));
        }
    }

    /// A message of a node that is linked.
    pub fn receive(&mut self, now: Duration, from: NodeId, message: Message) {
        match message {
            Message::Hello { adopted } => {
                self.links.heard(from, adopted);
                let beacon = Message::Beacon { sent: now, adopted: self.topology.epoch() };
                // After the topology, where the peer lacks that: the sooner the lease begins.
                self.env(now).send(from, beacon);
                self.each_slot(now, |slot, env| {
                    slot.link_ready(env);
                    Hold::Held
                });
            }
            Message::Topology(topology) => {
                self.links.heard(from, topology.epoch());
                self.adopt(now, topology);
            }
            Message::Beacon { sent, adopted } => {
                self.links.heard(from, adopted);
                let (adopted, reads) = (self.topology.epoch(), self.reads_of(now, from));
                self.env(now).send(from, Message::BeaconAck { sent, adopted, reads });
            }
            Message::BeaconAck { sent, adopted, reads } => {
                self.links.heard(from, adopted);
                self.links.reach.answered(from);
                // Who has adopted a newer topology may be about to take over.
                if adopted <= self.topology.epoch() {
                    self.links.granted(from, sent, reads.min(self.settings.lease));
                    self.each_slot(now, |slot, env| slot.settle(env));
                }
            }
            Message::Slot(slot, message) => self.receive_slot(now, from, (slot, message)),
        }
    }

    /// Has what requests of these slots will touch brought near, that of all at the same time. A
    /// hint: it changes nothing.
    #[inline]
    pub fn prefetch(&self, slots: impl IntoIterator<Item = SlotId>) {
        let places = slots.into_iter().map(|slot| &self.slots[usize::from(slot.number())]);
        places.flatten().for_each(|slot| prefetch::whole(&**slot));
    }

    /// A node that is linked has sent a topology of this epoch, which is not newer than what is adopted
    /// here: all that such a message says, for a caller who does not read the rest of it.
    pub fn has_adopted(&mut self, from: NodeId, epoch: Epoch) {
        self.links.heard(from, epoch);
    }

    /// What to do with a proxy's request.
    pub fn request(&mut self, now: Duration, asked: &Asked) -> Verdict {
        if self.fences.is_refused(asked) {
            return Verdict::Moved(Moved::of(self.topology.slot(asked.slot)));
        }
        let (place, mut env) = self.at(now, asked.slot);
        match place {
            Some(slot) => slot.request(&mut env, asked),
            None => self.turn_away(asked),
        }
    }

    /// Refuses a request, because this node has not the slot or the caller has no room: it is tried
    /// again.
    pub fn turn_away(&mut self, asked: &Asked) -> Verdict {
        self.fences.refused(asked);
        Verdict::Moved(Moved::of(self.topology.slot(asked.slot)))
    }

    /// A request was executed on the store; `now` was read after that. Says whether its reply may be
    /// told at once; otherwise [`Effect::Release`] or [`Effect::Refuse`] comes for it.
    #[must_use]
    pub fn executed(&mut self, now: Duration, asked: &Asked, executed: Executed) -> bool {
        let mut is_told = false;
        self.with_slot(now, asked.slot, |slot, env| {
            is_told = slot.executed(env, asked, executed);
            Hold::Held
        });
        is_told
    }

    /// The store has evicted or expired items of a slot that this node is the primary of.
    pub fn changed(&mut self, now: Duration, slot: SlotId, changes: Vec<Change>) {
        self.with_slot(now, slot, |slot, env| slot.changed(env, changes));
    }

    /// The store has the entries of an [`Effect::Apply`] up to this version.
    pub fn applied(&mut self, now: Duration, slot: SlotId, version: u64) {
        self.with_slot(now, slot, |slot, env| {
            slot.applied(env, version);
            Hold::Held
        });
    }

    /// The store has the items of an [`Effect::Copy`].
    pub fn copied(&mut self, now: Duration, slot: SlotId) {
        self.with_slot(now, slot, |slot, env| {
            slot.copied(env);
            Hold::Held
        });
    }

    /// The chunk of an [`Effect::ReadChunk`], which may be empty, and whether it is the last.
    pub fn chunk_read(
        &mut self,
        now: Duration,
        (slot, to): (SlotId, NodeId),
        (items, is_last): (Arc<[u8]>, bool),
    ) {
        self.with_slot(now, slot, |slot, env| {
            slot.chunk_read(env, to, (items, is_last));
            Hold::Held
        });
    }

    /// A proxy's link has ended.
    pub fn proxy_gone(&mut self, link: ProxyLink) {
        self.fences.forget(link);
    }

    /// Time has passed. To be called several times in a beacon interval.
    pub fn tick(&mut self, now: Duration) {
        let is_due = now >= self.next_beacon;
        if is_due {
            self.next_beacon = now + self.settings.beacon_interval;
            let adopted = self.topology.epoch();
            for peer in self.links.ready_peers() {
                self.env(now).send(peer, Message::Beacon { sent: now, adopted });
            }
        }
        if !is_due && !self.is_waiting {
            return;
        }
        let (mut is_waiting, mut log_bytes) = (false, 0);
        let mut restless = core::mem::take(&mut self.restless);
        restless.retain(|id| {
            self.with_slot(now, *id, |slot, env| {
                let hold = slot.settle(env);
                if hold == Hold::Held {
                    is_waiting |= slot.is_waiting();
                    log_bytes += slot.log_bytes();
                    if is_due {
                        slot.report(env);
                    }
                }
                hold
            });
            let slot = &self.slots[usize::from(id.number())];
            slot.as_ref().is_some_and(|slot| !slot.is_at_rest())
        });
        self.restless = restless;
        (self.is_waiting, self.log_bytes) = (is_waiting, log_bytes);
        if is_due {
            self.clients.end_interval();
            self.links.reach.end_interval(&self.settings);
        }
    }

    fn receive_slot(
        &mut self,
        now: Duration,
        from: NodeId,
        (slot, message): (SlotId, SlotMessage),
    ) {
        if !message.is_of_stream() {
            self.links.heard(from, message.epoch());
        }
        self.with_slot(now, slot, |slot, env| slot.receive(env, from, message));
    }

    /// For how much longer a peer's copies of this node's slots may be read: the least of all, as one
    /// answer is for them all.
    fn reads_of(&self, now: Duration, peer: NodeId) -> Duration {
        let held =
            self.held.iter().filter_map(|slot| self.slots[usize::from(slot.number())].as_ref());
        let reads = held.filter_map(|slot| slot.reads_of(self.known(now), peer));
        reads.min().unwrap_or_default()
    }

    fn with_slot(
        &mut self,
        now: Duration,
        slot: SlotId,
        with: impl FnOnce(&mut Slot, &mut Env<'_>) -> Hold,
    ) {
        let (place, mut env) = self.at(now, slot);
        let Some(held) = place else { return };
        let before = held.records_bytes();
        let hold = with(held, &mut env);
        let after = if hold == Hold::Gone { 0 } else { held.records_bytes() };
        if hold == Hold::Gone {
            *place = None;
            self.held.remove(&slot);
        }
        self.records_bytes = self.records_bytes + after - before;
    }

    fn each_slot(&mut self, now: Duration, mut with: impl FnMut(&mut Slot, &mut Env<'_>) -> Hold) {
        let held: Vec<_> = self.held.iter().copied().collect();
        for slot in held {
            self.with_slot(now, slot, &mut with);
        }
    }

    const fn known(&self, now: Duration) -> Known<'_> {
        Known { me: self.me, now, settings: &self.settings, links: &self.links }
    }

    fn env(&mut self, now: Duration) -> Env<'_> {
        self.at(now, SlotId::new(0).expect("there is a slot")).1
    }

    fn at(&mut self, now: Duration, slot: SlotId) -> (&mut Option<Box<Slot>>, Env<'_>) {
        let env = Env {
            me: self.me,
            now,
            settings: &self.settings,
            topology: &self.topology,
            links: &mut self.links,
            fences: &mut self.fences,
            clients: &mut self.clients,
            is_in_need: self.records_bytes > self.settings.records_bytes_max,
            effects: &mut self.effects,
        };
        (&mut self.slots[usize::from(slot.number())], env)
    }
}
