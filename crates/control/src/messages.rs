use std::sync::Arc;

use memtide_engine_core::replication::Report;
use memtide_limits::DataPart;
use memtide_topology::{CacheId, Epoch, NodeId, SlotId, Topology, Zone};

/// What the certificate of a peer says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `node.memtide`.
    Node,
    /// `proxy.memtide`.
    Proxy,
}

/// What a process has adopted of the history of a fleet: a topology that was stored, and that nobody
/// may store another one in the place of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Which fleet: made with its first topology, another one for each; 0 of none.
    pub fleet: u64,
    /// The newest topology; [`Epoch::ZERO`] of none.
    pub epoch: Epoch,
}

impl Adopted {
    /// Who has this topology. The first of all says nothing yet: nobody is in it.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        if topology.epoch() == Epoch::ZERO {
            return Self::default();
        }
        Self { fleet: fleet_of(topology), epoch: topology.epoch() }
    }

    /// Whether it is nothing: whoever says so holds nothing.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.fleet == 0
    }
}

/// See [`Topology::fleet`].
#[must_use]
pub fn fleet_of(topology: &Topology) -> u64 {
    topology.fleet()
}

/// How a process asks to follow as a proxy of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRegistration {
    /// The cache; that of another one is refused.
    pub cache: CacheId,
    /// Bytes of the largest item that it takes; 0 where it does not say.
    pub item_size_max: u32,
    /// Random, and another one for each process.
    pub process: u64,
    /// What it runs.
    pub program: Program,
}

/// What a process runs, for people: so that they see how far an upgrade is. Nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// The program's version; empty where the process does not say.
    pub version: String,
    /// The oldest version of the node protocol that it speaks; 0 where it does not say.
    pub wire_min: u16,
    /// The newest one.
    pub wire_max: u16,
}

/// What a process of a proxy has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Random, and another one for each process.
    pub process: u64,
    /// When it began, in milliseconds since 1970 by its clock; it never changes.
    pub began_ms: u64,
    /// Metered work in 1/1024 ECPU.
    pub ecpu_units: u64,
    /// Commands of every kind.
    pub commands: u64,
    /// Of these, refused for the ECPU limit.
    pub throttled_commands: u64,
    /// Commands that waited for the ECPU limit.
    pub delayed_commands: u64,
    /// Command bytes, before TLS.
    pub bytes_in: u64,
    /// Reply bytes, before TLS.
    pub bytes_out: u64,
}

/// How a process asks to be a node of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The cache; that of another one is refused.
    pub cache: CacheId,
    /// The id that this process was given before; `None` of a new one.
    pub node: Option<NodeId>,
    /// Its failure domain.
    pub zone: Zone,
    /// `host:port` of its node protocol, as others reach it.
    pub address: String,
    /// Bytes of items and index that it may hold.
    pub memory_max: u64,
    /// What whoever started the process knows it by.
    pub parent_token: Option<u64>,
    /// Random, and another one for each process: by it a scaler knows a registration again whose
    /// answer was lost.
    pub process: u64,
    /// What it has adopted, over all its streams.
    pub adopted: Adopted,
    /// Bytes of the largest item that it takes; 0 where it does not say.
    pub item_size_max: u32,
    /// What it is called by whoever started it, and by provisioners: no two processes have the same at one
    /// time. Empty where it has no name.
    pub instance: String,
    /// It is no node yet: it waits to be taken as one.
    pub is_spare: bool,
    /// What its host lets it do at most. [`Self::memory_max`] is what it begins with of the memory.
    pub capacity: Capacity,
    /// What it runs.
    pub program: Program,
}

/// What the host of a node lets it do at most; 0 is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of items and index.
    pub memory: u64,
    /// Thousandths of a core.
    pub cpu: u64,
    /// ECPUs per second.
    pub ecpu: u64,
    /// Bytes per second, in and out.
    pub network: u64,
}

/// What a slot takes of its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotUse {
    /// Which.
    pub slot: SlotId,
    /// Bytes of its items.
    pub bytes: u64,
    /// ECPUs per second.
    pub ecpu: u64,
}

/// What a node hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromScaler {
    /// It is a node of the cache, by this id.
    Welcome(NodeId),
    /// A topology, newer than each before it.
    Topology(Arc<Topology>),
    /// What it may hold of the cache's limit of data.
    DataPart(DataPart),
    /// This process cannot be a node of the cache, for good, and why. Nothing follows.
    Refused(String),
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToScaler {
    /// It lives. Only the newest is sent, and none that was said while the scaler was away.
    Beat {
        /// The topology that it has adopted.
        adopted: Epoch,
        /// What it uses.
        usage: NodeUsage,
    },
    /// A primary wants the topology to be changed. May be lost: it is said again until it has been.
    Report(Report),
    /// The slots that take the most of it, at most [`crate::limits::SLOT_USES_MAX`]. Only the newest is sent.
    SlotUses(Vec<SlotUse>),
    /// It was told to stop, and wants to give up its slots first.
    Leaving,
}

/// What a node uses. Counters count from the start of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Bytes that items and index take from the allocator.
    pub memory_used: u64,
    /// Bytes that they may take.
    pub memory_max: u64,
    /// Items, those of copies included.
    pub items: u64,
    /// Bytes of items with their metadata, those of copies included.
    pub data_bytes: u64,
    /// Items that were evicted.
    pub evicted: u64,
    /// Items that had expired when they were removed.
    pub expired: u64,
    /// Keys that were asked for and found.
    pub get_hits: u64,
    /// Keys that were asked for and not found.
    pub get_misses: u64,
    /// Keys that were asked for.
    pub cmd_get: u64,
    /// Commands that store.
    pub cmd_set: u64,
    /// Requests of proxies.
    pub requests: u64,
    /// CPU time of the process in microseconds.
    pub cpu_micros: u64,
    /// Bytes that came over links.
    pub bytes_in: u64,
    /// Bytes that went over links.
    pub bytes_out: u64,
    /// Of `items`, those of copies: others count them where their primary is.
    pub copy_items: u64,
    /// Of `data_bytes`, those of copies.
    pub copy_bytes: u64,
    /// Work for proxies, in 1/1024 ECPU.
    pub ecpu_units: u64,
}

/// A stream that a scaler has accepted; never used twice by one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);
