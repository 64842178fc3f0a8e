use std::sync::Arc;
use std::time::Duration;

use memtide_topology::{HashSeed, Topology};
use memtide_wire::Versions;
use tokio::sync::watch;

/// What [`crate::Proxy::start`] needs to know; resolved and checked by the program.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The host that clients are told in `config get cluster`.
    pub advertise: String,
    /// Cores to serve with, at least 1.
    pub threads: usize,
    /// Largest item in bytes, as memcached counts it.
    pub item_size_max: u32,
    /// Most client connections at one time.
    pub connections_max: usize,
    /// Close a connection after this much silence; `None` never does.
    pub idle_timeout: Option<Duration>,
    /// Longest TLS handshake, from the accept on.
    pub handshake_timeout: Duration,
    /// New handshakes a second over all cores; further ones wait. `None` is no limit.
    pub handshakes_per_second_max: Option<std::num::NonZeroU32>,
    /// What this proxy may use at the start, in 1/1024 ECPU per second: the cache's limit, or nothing
    /// where it is to be granted a part of it. `None` is no limit.
    pub ecpu_units_per_second_max: Option<u64>,
    /// Has the allocator give freed memory back; called by every core once in a while.
    pub give_back_memory: fn(),
    /// Where the items are.
    pub backend: Backend,
}

/// Where the items are.
#[derive(Clone, Debug)]
pub enum Backend {
    /// In this process, called directly.
    Embedded(EmbeddedBackend),
    /// On nodes in processes of their own.
    Fleet(FleetBackend),
}

/// The node inside the proxy.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedBackend {
    /// Items and their index, in bytes; where it grows by itself, at the start.
    pub memory_max: u64,
    /// Up to so many bytes the node takes rather than evict; 0 where it is as it is.
    pub memory_ceiling: u64,
    /// What these can ever become.
    pub memory_capacity: u64,
    /// The secret that places keys.
    pub seed: HashSeed,
    /// Data is metered as at least this many bytes.
    pub metered_bytes_min: u64,
}

/// The way to the nodes of a fleet.
#[derive(Clone, Debug)]
pub struct FleetBackend {
    /// Proves to nodes that this is a proxy, and accepts nodes alone.
    pub tls: Arc<rustls::ClientConfig>,
    /// What is spoken on links.
    pub versions: Versions,
    /// The newest topology; that of nobody ([`Topology::empty`]) until the first is known. Who sends
    /// here may go: the proxy then keeps what it has.
    pub topologies: watch::Receiver<Arc<Topology>>,
    /// How requests are routed, and the zone of this proxy.
    pub settings: memtide_routing::Settings,
}
