//! What a node does, without its sockets, threads and clocks: the store, the replication of its
//! slots, and the requests that wait.
//!
//! ```text
//!  asked ----------> Replication::request --Execute--> commands on the store
//!                        |  ^                                 | journal
//!                      Held |                                 v
//!                        |  +--Resume        Replication::executed, changed
//!                        v                                    |
//!                     waiting <--------Release, Refuse----- effects ---> Outlets
//!  hear, adopt, tick, node_up, node_down -----^                 \--> apply, copies, roles
//! ```
//!
//! Each event carries out all its effects before it returns. The removals that eviction and expiry
//! wrote to journals are handed to the replication before any event that could change who has a
//! slot, so a position always says what the store has.

mod apply;
mod asks;
mod copies;
mod effects;
mod journals;
mod outcome;
mod pressure;
mod waiting;

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use memtide_engine_core::replication::{
    Message, ProxyLink, Replication, ReplicationSettings, Report, Ticket,
};
use memtide_engine_core::{Now, Store, StoreConfig};
use memtide_protocol::Limits;
use memtide_topology::{Epoch, NodeId, Topology};
use memtide_wire::{Frame, NodeWords, Reply, WireError};

use crate::counters::NodeCounters;
use crate::feed::DataPart;
use crate::limits;
use crate::stats::Baseline;
use copies::Copies;
use outcome::Outcomes;
use waiting::WaitingRoom;

/// See the module.
#[derive(Debug)]
pub struct Host {
    me: NodeId,
    store: Arc<Store>,
    replication: Replication,
    /// The newest one that it was given, by whomever.
    topology: Arc<Topology>,
    limits: Limits,
    counters: Arc<NodeCounters>,
    waiting: WaitingRoom,
    resumed: VecDeque<Ticket>,
    last_ticket: Ticket,
    outcomes: Outcomes,
    /// A buffer for the reply of the command that is executed.
    reply: Vec<u8>,
    copies: Copies,
    /// Primaries that were told to evict for this node, and were not heard since.
    pressed: BTreeSet<NodeId>,
    /// Bytes that primaries have sent since the last look at how much there is.
    applied_bytes: u64,
    /// What `stats` does not count any more.
    baseline: Baseline,
    /// Bytes that it may hold of the cache's limit of data.
    data_part: u64,
    /// Shards may have records of mutations that no command has taken.
    may_have_records: bool,
}

/// What a node needs to know from the start.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Its id, which no process had before.
    pub node: NodeId,
    /// Bytes of items and index.
    pub memory_max: u64,
    /// What the topology may make of that at most: the store is made for both.
    pub memory_capacity: u64,
    /// The largest item as memcached counts it.
    pub item_size_max: u32,
    /// The protocol's durations and bounds.
    pub replication: ReplicationSettings,
}

/// The time of an event.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the clock of leases, which goes on while the machine is suspended.
    pub now: Duration,
    /// By the wall clock, for items that expire.
    pub wall: Now,
}

/// Where a host's words go. Everything is queued; nothing comes back from within a call.
pub trait Outlets {
    /// A new reading of the clock of leases.
    fn now(&mut self) -> Duration;
    /// To a node; nothing where there is no link.
    fn to_node(&mut self, node: NodeId, words: &NodeWords);
    /// Bytes that wait for a node; `None` where there is no link.
    fn queued_bytes(&self, node: NodeId) -> Option<usize>;
    /// To a core of a proxy; nothing where that link has ended.
    fn to_proxy(&mut self, link: ProxyLink, reply: &Reply<'_>);
    /// To the configuration manager.
    fn report(&mut self, report: Report);
}

impl Host {
    /// A node that has nothing, of the cache of this topology.
    #[must_use]
    pub fn new(config: HostConfig, topology: &Topology, counters: Arc<NodeCounters>) -> Self {
        let HostConfig { node, memory_max, memory_capacity, item_size_max, replication } = config;
        let store = StoreConfig::new(memory_max, topology.seed());
        let store = StoreConfig { memory_capacity, item_size_max, ..store };
        Self {
            me: node,
            store: Arc::new(Store::new(store)),
            replication: Replication::new(node, replication),
            topology: Arc::new(Topology::empty()),
            limits: Limits { item_bytes_max: item_size_max },
            counters,
            waiting: WaitingRoom::default(),
            resumed: VecDeque::new(),
            last_ticket: 0,
            outcomes: Outcomes::default(),
            reply: Vec::new(),
            copies: Copies::default(),
            pressed: BTreeSet::new(),
            applied_bytes: 0,
            baseline: Baseline::default(),
            data_part: u64::MAX,
            may_have_records: false,
        }
    }

    /// Its items; other threads may look at their number.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The newest topology that it knows.
    #[must_use]
    pub const fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Where its slots are.
    #[must_use]
    pub const fn replication(&self) -> &Replication {
        &self.replication
    }

    /// Takes a topology, unless it has a newer one.
    pub fn adopt(&mut self, at: Moment, topology: Arc<Topology>, out: &mut impl Outlets) {
        self.take_records(at);
        self.note_topology(&topology);
        self.replication.adopt(at.now, topology);
        self.work(at, out);
    }

    /// A link to a node begins; one from before has ended.
    pub fn node_up(&mut self, at: Moment, peer: NodeId, out: &mut impl Outlets) {
        self.replication.link_up(peer);
        self.work(at, out);
    }

    /// A link to a node has ended.
    pub fn node_down(&mut self, at: Moment, peer: NodeId, out: &mut impl Outlets) {
        self.take_records(at);
        self.copies.forget(peer);
        self.pressed.remove(&peer);
        self.replication.link_down(at.now, peer);
        self.work(at, out);
    }

    /// A proxy's link has ended; nothing of it comes after this.
    pub fn proxy_gone(&mut self, link: ProxyLink) {
        self.replication.proxy_gone(link);
        self.waiting.forget(link);
    }

    /// Takes a frame of another node.
    ///
    /// # Errors
    /// Where it is none that a node sends; the link is to be ended.
    pub fn hear(
        &mut self,
        at: Moment,
        peer: NodeId,
        frame: &Frame<'_>,
        out: &mut impl Outlets,
    ) -> Result<(), WireError> {
        self.pressed.remove(&peer);
        if let Some(epoch) = memtide_wire::topology_epoch(frame)?
            && epoch <= self.topology.epoch()
        {
            // The manager and other nodes have told it, too; most bring what is known by then.
            self.replication.has_adopted(peer, epoch);
            return Ok(());
        }
        let words = memtide_wire::decode_words(frame)?;
        self.take_records(at);
        match words {
            NodeWords::Pressure { bytes } => self.relieve(at, peer, bytes),
            NodeWords::Message(message) => {
                apply::check(&message)?;
                if let Message::Topology(topology) = &message {
                    self.check_fleet(topology)?;
                    self.note_topology(topology);
                }
                self.replication.receive(at.now, peer, message);
            }
        }
        self.work(at, out);
        Ok(())
    }

    /// Time has passed: see [`limits::TICK_INTERVAL`].
    pub fn tick(&mut self, at: Moment, out: &mut impl Outlets) {
        self.take_records(at);
        self.replication.tick(at.now);
        self.work(at, out);
    }

    /// A batch of requests or messages has been handled: what they evicted is told to the copies.
    pub fn end_batch(&mut self, at: Moment, out: &mut impl Outlets) {
        self.take_records(at);
        self.work(at, out);
        self.weigh_in_time(at, out);
    }

    /// A turn of background work on the items; says whether more is due.
    pub fn maintain(&mut self, at: Moment, out: &mut impl Outlets) -> bool {
        let is_behind = self.store.maintain(at.wall, limits::MAINTAIN_STEP_BYTES).is_behind;
        self.may_have_records = true;
        self.take_records(at);
        self.work(at, out);
        is_behind
    }

    /// Whether any slot is this node's, as far as it knows.
    #[must_use]
    pub fn holds_slots(&self) -> bool {
        self.topology.slots().any(|(_, slot)| slot.is_held_by(self.me))
    }

    /// It may hold so many bytes of the cache's limit of data, and no more than its own memory.
    pub fn hold_to(&mut self, part: DataPart) {
        let stats = self.store.stats();
        let kept = if part.keeps_held { pressure::room_for(&stats) } else { 0 };
        let bytes = part.bytes.max(kept.min(self.data_part));
        self.data_part = bytes;
        let memory_max = self.topology.nodes().get(&self.me).map(|node| node.memory_max);
        self.store.set_memory_max(memory_max.map_or(bytes, |memory_max| memory_max.min(bytes)));
    }

    /// Another fleet's epochs are no newer than this one's, however high they are. A peer of version 1 does not
    /// say which fleet it is of before it tells of its topology.
    fn check_fleet(&self, topology: &Topology) -> Result<(), WireError> {
        let ours = &self.topology;
        let is_ours = (topology.cache(), topology.seed()) == (ours.cache(), ours.seed());
        if is_ours || ours.epoch() == Epoch::ZERO { Ok(()) } else { Err(WireError::Fleet) }
    }

    fn note_topology(&mut self, topology: &Arc<Topology>) {
        if topology.epoch() > self.topology.epoch() {
            self.topology = Arc::clone(topology);
            if let Some(node) = topology.nodes().get(&self.me) {
                self.store.set_memory_max(node.memory_max.min(self.data_part));
            }
        }
    }

    /// Carries out all effects, and hands in the requests that may be.
    fn work(&mut self, at: Moment, out: &mut impl Outlets) {
        loop {
            while let Some(effect) = self.replication.poll() {
                self.carry_out(at, effect, out);
            }
            let Some(ticket) = self.resumed.pop_front() else { return };
            self.hand_in_again(at, ticket, out);
        }
    }
}
