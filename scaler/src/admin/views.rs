//! The fleet as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use memtide_control::NodeUsage;
use memtide_topology::{NodeId, SlotConfig, SlotId, Topology as Stored};
use serde::Serialize;

use super::slots;
use crate::status::{Held, SlotCounts, held, slot_counts};
use crate::{NodeStatus, Status};

/// The answer to an operation.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The epoch that it is stored in, or that is stored now.
    pub epoch: u64,
}

/// `GET /v1/topology`.
#[derive(Debug, Serialize)]
pub struct Topology {
    cache: String,
    epoch: u64,
    replicas_wanted: u8,
    nodes: Vec<Member>,
    /// Neighbours that are held alike are one.
    slots: Vec<Slots>,
}

#[derive(Debug, Serialize)]
struct Member {
    id: String,
    address: String,
    zone: String,
    memory_max_bytes: u64,
    draining: bool,
}

#[derive(Debug, Serialize)]
struct Slots {
    slots: String,
    epoch: u64,
    primary: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    in_sync: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learners: Vec<String>,
}

/// `GET /v1/nodes`.
#[derive(Debug, Serialize)]
pub struct Nodes {
    epoch: u64,
    nodes: Vec<Node>,
    proxies: Vec<Proxy>,
    slots: Counts,
}

#[derive(Debug, Serialize)]
struct Node {
    #[serde(flatten)]
    member: Member,
    /// What whoever has started it calls it; `null` where nobody has said so since the scaler was started. A spare that
    /// nobody has named has made a name of its address and its process, which tells nobody anything.
    instance: Option<String>,
    state: &'static str,
    /// `null` where it was not heard since the scaler was started.
    heard_ms_ago: Option<u64>,
    adopted_epoch: u64,
    primary_slots: u32,
    in_sync_slots: u32,
    learner_slots: u32,
    parent_token: Option<u64>,
    #[serde(flatten)]
    program: Program,
    /// Nothing where it has not said since the scaler was started.
    #[serde(flatten)]
    usage: Option<Usage>,
}

/// What a process runs; `null` where it does not say, or has not since the scaler was started.
#[derive(Debug, Serialize)]
struct Program {
    program: Option<String>,
    wire_version_min: Option<u16>,
    wire_version_max: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Usage {
    memory_used_bytes: u64,
    items: u64,
    data_bytes: u64,
    copy_items: u64,
    copy_bytes: u64,
    evicted: u64,
    expired: u64,
    get_hits: u64,
    get_misses: u64,
    cmd_get: u64,
    cmd_set: u64,
    requests: u64,
    cpu_micros: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Serialize)]
struct Proxy {
    address: String,
    adopted_epoch: u64,
    #[serde(flatten)]
    program: Program,
}

#[derive(Debug, Serialize)]
struct Counts {
    complete: u32,
    short_of_replicas: u32,
    unowned: u32,
    /// Whose only complete holders are down.
    unserved: usize,
}

/// `GET /v1/migrations`.
#[derive(Debug, Serialize)]
pub struct Migrations {
    epoch: u64,
    /// Slots that are not yet held as they should be, those under way included.
    remaining_slots: usize,
    /// Slots that are being copied, by who copies and who is to have them.
    running: Vec<Running>,
    /// Since the scaler was started.
    copied_total: u64,
    handed_over_total: u64,
}

#[derive(Debug, Serialize)]
struct Running {
    from: String,
    to: String,
    slots: usize,
    /// Of the one that takes longest.
    oldest_ms: u64,
}

impl Topology {
    pub fn of(stored: &Stored) -> Self {
        Self {
            cache: stored.cache().name().to_owned(),
            epoch: stored.epoch().number(),
            replicas_wanted: stored.replicas_wanted(),
            nodes: stored.nodes().iter().map(|(node, info)| Member::of(*node, info)).collect(),
            slots: runs(stored),
        }
    }
}

fn runs(stored: &Stored) -> Vec<Slots> {
    let mut runs: Vec<(SlotId, SlotId, &Arc<SlotConfig>)> = Vec::new();
    for (slot, config) in stored.slots() {
        match runs.last_mut() {
            Some((_, last, of)) if *of == config => *last = slot,
            _ => runs.push((slot, slot, config)),
        }
    }
    let names = |nodes: &mut dyn Iterator<Item = NodeId>| nodes.map(|id| id.to_string()).collect();
    let run = |(first, last, config): (SlotId, SlotId, &Arc<SlotConfig>)| Slots {
        slots: slots::show(first, last),
        epoch: config.epoch.number(),
        primary: config.primary.map(|node| node.to_string()),
        in_sync: names(&mut config.in_sync()),
        learners: names(&mut config.learners()),
    };
    runs.into_iter().map(run).collect()
}

impl Member {
    fn of(node: NodeId, info: &memtide_topology::NodeInfo) -> Self {
        Self {
            id: node.to_string(),
            address: info.address.clone(),
            zone: info.zone.name().to_owned(),
            memory_max_bytes: info.memory_max,
            draining: info.is_draining,
        }
    }
}

impl Nodes {
    pub fn of(status: &Status) -> Self {
        let held = held(&status.topology);
        let of_node = |node: &NodeStatus| {
            let held = held.get(&node.view.node).copied().unwrap_or_default();
            Node::of(node, held, status.now)
        };
        let SlotCounts { complete, short, unowned } = slot_counts(&status.topology);
        let proxy = |proxy: &crate::ProxyStatus| Proxy {
            address: proxy.peer.to_string(),
            adopted_epoch: proxy.adopted.number(),
            program: Program::from(&proxy.program),
        };
        Self {
            epoch: status.topology.epoch().number(),
            nodes: status.nodes.iter().map(of_node).collect(),
            proxies: status.proxies.iter().map(proxy).collect(),
            slots: Counts {
                complete,
                short_of_replicas: short,
                unowned,
                unserved: status.unserved,
            },
        }
    }
}

impl Node {
    fn of(node: &NodeStatus, held: Held, now: Duration) -> Self {
        let view = &node.view;
        let own_name = format!("{}/", view.info.address);
        let draining = view.is_draining();
        Self {
            member: Member { draining, ..Member::of(view.node, &view.info) },
            instance: Some(node.instance.clone())
                .filter(|name| !name.is_empty() && !name.starts_with(&own_name)),
            state: view.state.name(),
            heard_ms_ago: view.heard.map(|heard| millis(now.saturating_sub(heard))),
            adopted_epoch: view.adopted.number(),
            primary_slots: held.primary,
            in_sync_slots: held.in_sync,
            learner_slots: held.learner,
            parent_token: node.parent_token,
            program: Program::from(&node.program),
            usage: node.usage.map(Usage::from),
        }
    }
}

impl From<&memtide_control::Program> for Program {
    fn from(it: &memtide_control::Program) -> Self {
        let said = |version: u16| (version != 0).then_some(version);
        Self {
            program: Some(it.version.clone()).filter(|version| !version.is_empty()),
            wire_version_min: said(it.wire_min),
            wire_version_max: said(it.wire_max),
        }
    }
}

impl From<NodeUsage> for Usage {
    fn from(it: NodeUsage) -> Self {
        Self {
            memory_used_bytes: it.memory_used,
            items: it.items,
            data_bytes: it.data_bytes,
            copy_items: it.copy_items,
            copy_bytes: it.copy_bytes,
            evicted: it.evicted,
            expired: it.expired,
            get_hits: it.get_hits,
            get_misses: it.get_misses,
            cmd_get: it.cmd_get,
            cmd_set: it.cmd_set,
            requests: it.requests,
            cpu_micros: it.cpu_micros,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }
    }
}

impl Migrations {
    pub fn of(status: &Status) -> Self {
        let mut pairs: BTreeMap<(NodeId, NodeId), (usize, Duration)> = BTreeMap::new();
        for migration in &status.migrations {
            let pair = pairs.entry((migration.from, migration.to)).or_default();
            pair.0 += 1;
            pair.1 = pair.1.max(status.now.saturating_sub(migration.began));
        }
        let running = pairs.into_iter().map(|((from, to), (slots, oldest))| Running {
            from: from.to_string(),
            to: to.to_string(),
            slots,
            oldest_ms: millis(oldest),
        });
        Self {
            epoch: status.topology.epoch().number(),
            remaining_slots: status.remaining,
            running: running.collect(),
            copied_total: status.counters.copied,
            handed_over_total: status.counters.handed_over,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
