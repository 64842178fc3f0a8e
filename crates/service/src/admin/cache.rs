pub use memtide_limits::Range;
use serde::Serialize;

use super::Condition;

/// What the admin HTTP asks of the role that serves a cache.
///
/// Called on the admin thread; an answer must not wait for the data path.
pub trait Cache: Send + Sync {
    /// The body of `GET /v1/cache`.
    fn describe(&self) -> CacheDescription;

    /// Why new clients should not be sent here, or `Ok`; `/readyz`. Draining is known without it.
    ///
    /// # Errors
    /// One lowercase fragment that an operator understands.
    fn ready(&self) -> Result<(), String>;

    /// All that [`Cache::ready`] is made of, and what else an operator may want to know of it;
    /// `/readyz?verbose`. Draining is known without it.
    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::needed("this process can do its work", self.ready())]
    }

    /// Why this process should be restarted, or `Ok`; `/healthz`.
    ///
    /// # Errors
    /// One lowercase fragment that an operator understands.
    fn healthy(&self) -> Result<(), String>;
}

/// A cache as its owner sees it. Field by field after the reference's `DescribeServerlessCaches`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CacheDescription {
    /// The cache's name.
    pub name: String,
    /// Where it is in its life.
    pub status: CacheState,
    /// `memcached`.
    pub engine: &'static str,
    /// The version that the `version` command answers.
    pub engine_version: String,
    /// What clients connect to.
    pub endpoint: Endpoint,
    /// What the owner configured.
    pub limits: CacheLimits,
    /// What is used now.
    pub usage: CacheUsage,
}

/// The states of a cache; those of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheState {
    /// Not yet usable.
    Creating,
    /// Serves.
    Available,
    /// Serves while it changes.
    Modifying,
    /// Drains, and will be gone.
    Deleting,
}

/// One host name and two TLS ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Host name.
    pub host: String,
    /// The primary port, 11211 by default.
    pub port: u16,
    /// The read-optimized port, 11212 by default.
    pub read_port: u16,
}

/// Configured limits; 0 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheLimits {
    /// Bytes of items with their metadata.
    pub data_storage: Range,
    /// ECPUs per second.
    pub ecpu_per_second: Range,
    /// Bytes that this process and the nodes that it starts have for items; 0 where others have them.
    pub memory_bytes_max: u64,
    /// The largest item, key and metadata included.
    pub item_size_bytes_max: u64,
    /// Client connections.
    pub connections_max: u64,
}

/// What a cache uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CacheUsage {
    /// Items stored; this and what is said of data, of a process that knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Bytes that items and their metadata occupy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_storage_bytes: Option<u64>,
    /// Bytes that would be metered now: the above, at least the metered minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_storage_metered_bytes: Option<u64>,
    /// GB-hours metered since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_storage_gb_hours: Option<f64>,
    /// ECPUs metered since the start, to three decimals (a unit is 1/1024).
    pub ecpus: f64,
    /// Client connections now.
    pub connections: u64,
}
