use std::sync::Arc;

use memtide_engine_core::replication::ReplicationSettings;
use memtide_topology::CacheId;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};

/// How a node is started.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Whose slots it may hold.
    pub cache: CacheId,
    /// Bytes of items and index, until the topology says otherwise.
    pub memory_max: u64,
    /// The largest item as memcached counts it; the same on all nodes and proxies.
    pub item_size_max: u32,
    /// The replication's durations and bounds.
    pub replication: ReplicationSettings,
    /// How links are secured.
    pub tls: LinkTls,
}

/// How links are secured: mutual TLS.
#[derive(Clone, Debug)]
pub struct LinkTls {
    /// For links to other nodes.
    pub client: Arc<ClientConfig>,
    /// For links that are accepted; requires a certificate.
    pub server: Arc<ServerConfig>,
    /// What the certificates of nodes are named.
    pub node_name: ServerName<'static>,
    /// What the holder of these certificates may be.
    pub role_of: fn(&[CertificateDer<'_>]) -> Option<PeerRole>,
}

/// Who may be at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRole {
    /// A proxy.
    Proxy,
    /// A node.
    Node,
}
