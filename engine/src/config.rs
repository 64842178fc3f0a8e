use memtide_engine_core::replication::ReplicationSettings;
use memtide_service::tls::fleet::FleetTls;
use memtide_topology::CacheId;
use memtide_wire::Versions;

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Whose slots it may hold.
    pub cache: CacheId,
    /// Bytes of items and index, until the topology says otherwise.
    pub memory_max: u64,
    /// What the topology may make of that at most: the store is made for both.
    pub memory_capacity: u64,
    /// The largest item as memcached counts it; the same on all nodes and proxies.
    pub item_size_max: u32,
    /// The replication's durations and bounds.
    pub replication: ReplicationSettings,
    /// What it speaks on links.
    pub versions: Versions,
    /// How links are secured, as a node.
    pub tls: FleetTls,
}
