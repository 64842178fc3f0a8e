//! What the admin HTTP answers, as far as it is shown. A field that is not there is as if it said nothing, so that
//! an older or a newer memtide can be looked at.

use serde::Deserialize;

/// `GET /v1/cache`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Cache {
    pub name: String,
    pub status: String,
    pub endpoint: Endpoint,
    pub limits: CacheLimits,
    pub usage: CacheUsage,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CacheLimits {
    pub data_storage: Range,
    pub ecpu_per_second: Range,
    pub connections_max: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CacheUsage {
    pub data_storage_bytes: u64,
    pub connections: u64,
}

/// `GET /v1/cache/limits`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Limits {
    pub data_storage: Range,
    pub ecpu_per_second: Range,
}

/// 0 is none.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Range {
    pub min: u64,
    pub max: u64,
}

/// `GET /v1/nodes`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Nodes {
    #[serde(default)]
    pub epoch: u64,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub proxies: Vec<Proxy>,
    #[serde(default)]
    pub slots: Slots,
}

/// What a node has said of itself is `None` until it has.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Node {
    pub id: String,
    pub instance: Option<String>,
    pub address: String,
    pub zone: String,
    pub state: String,
    pub draining: bool,
    pub primary_slots: u64,
    pub in_sync_slots: u64,
    pub learner_slots: u64,
    pub memory_max_bytes: u64,
    pub memory_used_bytes: Option<u64>,
    pub items: Option<u64>,
    pub get_hits: Option<u64>,
    pub get_misses: Option<u64>,
    pub evicted: Option<u64>,
    pub requests: Option<u64>,
    pub cpu_micros: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Proxy {
    pub address: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Slots {
    pub complete: u64,
    pub short_of_replicas: u64,
    pub unowned: u64,
    pub unserved: u64,
}

/// `GET /v1/topology`, of which the slots are left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Topology {
    pub cache: String,
}

/// `GET /v1/migrations`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Migrations {
    pub remaining_slots: u64,
    #[serde(default)]
    pub running: Vec<Running>,
    #[serde(default)]
    pub copied_total: u64,
    #[serde(default)]
    pub handed_over_total: u64,
}

/// Slots that one node copies to another.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Running {
    pub from: String,
    pub to: String,
    pub slots: u64,
    pub oldest_ms: u64,
}

/// `GET /v1/cache/usage`, of the newest hours.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Usage {
    pub hours: Vec<Hour>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Hour {
    pub hour: u64,
    pub ecpu_units: u64,
    pub commands: u64,
    pub throttled_commands: u64,
}

/// `GET /v1/events`, of the newest.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Events {
    pub now_ms: u64,
    pub events: Vec<Event>,
    pub next: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Event {
    pub at_ms: u64,
    pub source: String,
    pub kind: String,
    pub text: String,
}
