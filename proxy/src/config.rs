use std::time::Duration;

use memtide_topology::HashSeed;

/// What [`crate::Proxy::start`] needs to know; resolved and checked by the program.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The host that clients are told in `config get cluster`.
    pub advertise: String,
    /// Cores to serve with, at least 1.
    pub threads: usize,
    /// Items and their index, in bytes.
    pub memory_max: u64,
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
    /// The secret that places keys.
    pub seed: HashSeed,
    /// Data is metered as at least this many bytes.
    pub metered_bytes_min: u64,
    /// Has the allocator give freed memory back; called by every core once in a while.
    pub give_back_memory: fn(),
}
