//! The fleet as metrics.

use std::collections::BTreeMap;

use memtide_control::{NodeUsage, Program};
use memtide_manager::NodeState;
use memtide_service::metrics::{Source, counter, counters, counters_f64, gauge, gauges};
use prometheus::proto::MetricFamily;

use crate::status::{SlotCounts, held, slot_counts};
use crate::{Explained, ScalerHandle, Status};

/// What a scaler knows of its fleet.
#[derive(Clone, Debug)]
pub struct FleetSource(ScalerHandle);

/// A number of a node's usage: name, help, and which it is.
type OfUsage = (&'static str, &'static str, fn(&NodeUsage) -> u64);

const USAGE_GAUGES: [OfUsage; 6] = [
    ("memtide_node_memory_used_bytes", "Bytes that items and index take.", |it| it.memory_used),
    ("memtide_node_memory_max_bytes", "Bytes that they may take.", |it| it.memory_max),
    ("memtide_node_items", "Items in slots that a node is the primary of.", |it| {
        it.items.saturating_sub(it.copy_items)
    }),
    ("memtide_node_data_bytes", "Bytes of items, those of copies included.", |it| it.data_bytes),
    ("memtide_node_copy_items", "Items of copies.", |it| it.copy_items),
    ("memtide_node_copy_bytes", "Bytes of the items of copies.", |it| it.copy_bytes),
];

const USAGE_COUNTERS: [OfUsage; 9] = [
    ("memtide_node_evictions_total", "Items evicted.", |it| it.evicted),
    ("memtide_node_expirations_total", "Items removed after they had expired.", |it| it.expired),
    ("memtide_node_get_hits_total", "Keys asked for and found.", |it| it.get_hits),
    ("memtide_node_get_misses_total", "Keys asked for and not found.", |it| it.get_misses),
    ("memtide_node_gets_total", "Keys asked for.", |it| it.cmd_get),
    ("memtide_node_sets_total", "Commands that store.", |it| it.cmd_set),
    ("memtide_node_requests_total", "Requests of proxies.", |it| it.requests),
    ("memtide_node_received_bytes_total", "Bytes that came over links.", |it| it.bytes_in),
    ("memtide_node_sent_bytes_total", "Bytes that went over links.", |it| it.bytes_out),
];

impl FleetSource {
    pub(crate) const fn new(handle: ScalerHandle) -> Self {
        Self(handle)
    }
}

impl Source for FleetSource {
    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.0.status();
        let mut families = of_store(&status, self.0.lead.doubt().is_some());
        families.extend(of_counters(&status));
        families.extend(of_lead(&self.0));
        // What a scaler that stands by has heard of the fleet is from before, or nothing.
        if self.0.standby().is_none() {
            families.extend(of_topology(&status));
            families.extend(of_nodes(&status));
            families.push(of_programs(&status));
            families.extend(of_usage(&status));
            families.extend(self.0.scaling().iter().flat_map(|it| of_scaling(it)));
        }
        families.push(counter(
            "memtide_fleet_counts_refused_total",
            "Times that what a process of a proxy has counted was not taken into the cache's usage.",
            self.0.counts.refused(),
        ));
        families
    }
}

/// Of one of several scalers.
fn of_lead(handle: &ScalerHandle) -> Vec<MetricFamily> {
    if !handle.lead.is_shared() {
        return Vec::new();
    }
    let flag = |is_so: bool| f64::from(u8::from(is_so));
    vec![
        gauge(
            "memtide_scaler_leads",
            "1 on the scaler that leads, 0 on those that stand by or cannot know.",
            flag(handle.standby().is_none() && handle.lead.doubt().is_none()),
        ),
        gauge(
            "memtide_etcd_away",
            "1 while etcd does not answer this scaler, and nothing is changed.",
            flag(handle.lead.away().is_some() || handle.lead.doubt().is_some()),
        ),
    ]
}

fn of_store(status: &Status, is_in_doubt: bool) -> Vec<MetricFamily> {
    let is_failing = f64::from(u8::from(is_in_doubt || status.store_trouble().is_some()));
    vec![
        gauge(
            "memtide_topology_store_behind",
            "1 where the stored topology is not the newest of the fleet, and nothing is changed.",
            f64::from(u8::from(status.behind.is_some())),
        ),
        gauge("memtide_topology_store_failing", "1 while storing fails or takes long.", is_failing),
    ]
}

fn of_topology(status: &Status) -> Vec<MetricFamily> {
    let SlotCounts { complete, short, unowned } = slot_counts(&status.topology);
    let slots = [("complete", complete), ("short", short), ("unowned", unowned)];
    let running = status.migrations.len() as u64;
    vec![
        gauge(
            "memtide_topology_epoch",
            "Epoch of the topology.",
            double(status.topology.epoch().number()),
        ),
        gauge(
            "memtide_topology_replicas_wanted",
            "Replicas wanted of each slot.",
            f64::from(status.topology.replicas_wanted()),
        ),
        gauges(
            "memtide_slots",
            "Slots with as many replicas in sync as wanted, with fewer, and without a primary.",
            &["state"],
            slots.map(|(state, count)| ([state], f64::from(count))),
        ),
        gauge(
            "memtide_slots_unserved",
            "Slots whose only complete holders are down.",
            double(status.unserved as u64),
        ),
        gauge("memtide_migrations_running", "Slots that are being copied.", double(running)),
        gauge(
            "memtide_slots_remaining",
            "Slots that are not held where they belong.",
            double(status.remaining as u64),
        ),
        gauge(
            "memtide_fleet_proxies",
            "Proxies that follow the topology.",
            double(status.proxies.len() as u64),
        ),
    ]
}

fn of_counters(status: &Status) -> Vec<MetricFamily> {
    let it = &status.counters;
    let events = it.events.iter().map(|(kind, count)| ([*kind], *count));
    vec![
        counter("memtide_topology_commits_total", "Topologies stored.", it.commits),
        counter(
            "memtide_topology_store_failures_total",
            "Tries to store a topology that failed.",
            it.store_failures,
        ),
        counter(
            "memtide_fleet_refused_total",
            "Control connections turned away: of another fleet, role or cache.",
            it.refused,
        ),
        counter(
            "memtide_fleet_strangers_total",
            "Times that a node or proxy of another fleet was turned away.",
            it.strangers,
        ),
        counter("memtide_migrations_total", "Copies of slots completed.", it.copied),
        counter("memtide_slots_handed_over_total", "Slots handed over.", it.handed_over),
        counter(
            "memtide_failovers_total",
            "Changes in which copies took over from primaries that were down.",
            it.failovers,
        ),
        counter("memtide_slots_failed_over_total", "Slots that failed over.", it.failed_over),
        counter(
            "memtide_slots_lost_total",
            "Slots that started empty because all of their holders were dead.",
            it.lost,
        ),
        counters("memtide_fleet_events_total", "Events of the fleet.", &["event"], events),
    ]
}

fn of_nodes(status: &Status) -> Vec<MetricFamily> {
    let mut by_state: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for node in &status.nodes {
        let is_leaving = node.view.is_draining() && node.view.state == NodeState::Up;
        let state = if is_leaving { "draining" } else { node.view.state.name() };
        *by_state.entry((state, node.view.info.zone.name())).or_default() += 1;
    }
    let nodes = by_state.into_iter().map(|((state, zone), count)| ([state, zone], double(count)));
    let held = held(&status.topology);
    let parts = status.nodes.iter().flat_map(|node| {
        let held = held.get(&node.view.node).copied().unwrap_or_default();
        let parts =
            [("primary", held.primary), ("in_sync", held.in_sync), ("learner", held.learner)];
        parts.map(|(part, count)| (node.view.node.to_string(), part, f64::from(count)))
    });
    let parts: Vec<_> = parts.collect();
    let slots = parts.iter().map(|(node, part, count)| ([node.as_str(), *part], *count));
    vec![
        gauges("memtide_nodes", "Nodes by state and zone.", &["state", "zone"], nodes),
        gauges("memtide_node_slots", "Slots that a node holds.", &["node", "part"], slots),
    ]
}

/// How far an upgrade is. What somebody has not said is empty, and 0.
fn of_programs(status: &Status) -> MetricFamily {
    let nodes = status.nodes.iter().map(|node| ("engine", &node.program));
    let proxies = status.proxies.iter().map(|proxy| ("proxy", &proxy.program));
    let mut counts: BTreeMap<(&str, &Program), u64> = BTreeMap::new();
    let spares = status.spare_programs.iter().map(|program| ("spare", program));
    nodes.chain(proxies).chain(spares).for_each(|of| *counts.entry(of).or_default() += 1);
    let counts = counts.into_iter().map(|((role, program), count)| {
        (role, program.version.as_str(), program.wire_max.to_string(), double(count))
    });
    let counts: Vec<_> = counts.collect();
    let labels = counts.iter().map(|(role, version, wire, _)| [*role, *version, wire.as_str()]);
    let samples = labels.zip(counts.iter().map(|(.., count)| *count));
    gauges(
        "memtide_fleet_programs",
        "Nodes, proxies and spares, by their program's version and the newest version of the node protocol that they speak.",
        &["role", "version", "wire_version_max"],
        samples,
    )
}

fn of_usage(status: &Status) -> Vec<MetricFamily> {
    let nodes: Vec<(String, NodeUsage)> = status
        .nodes
        .iter()
        .filter_map(|node| Some((node.view.node.to_string(), node.usage?)))
        .collect();
    let mut families = Vec::new();
    for (name, help, number) in USAGE_GAUGES {
        let samples = nodes.iter().map(|(node, usage)| ([node.as_str()], double(number(usage))));
        families.push(gauges(name, help, &["node"], samples));
    }
    for (name, help, number) in USAGE_COUNTERS {
        let samples = nodes.iter().map(|(node, usage)| ([node.as_str()], number(usage)));
        families.push(counters(name, help, &["node"], samples));
    }
    let seconds = |usage: &NodeUsage| double(usage.cpu_micros) / 1e6;
    let samples = nodes.iter().map(|(node, usage)| ([node.as_str()], seconds(usage)));
    let (name, help) = ("memtide_node_cpu_seconds_total", "CPU time of the node's process.");
    families.push(counters_f64(name, help, &["node"], samples));
    families
}

/// What is decided by itself, as metrics.
#[must_use]
pub fn of_scaling(explained: &Explained) -> Vec<MetricFamily> {
    let (mut loads, mut capacities) = (Vec::new(), Vec::new());
    for (resource, load, capacity) in explained.resources() {
        loads.push(([resource], double(load)));
        capacities.push(([resource], double(capacity)));
    }
    let (steps, spares) = explained.counts();
    let of = &["resource"];
    vec![
        gauges(
            "memtide_scaling_load",
            "What the nodes do, by resource: bytes, ECPUs a second, thousandths of a core, bytes a second.",
            of,
            loads,
        ),
        gauges(
            "memtide_scaling_capacity",
            "What they can do, with all that is under way done; 0 is not known.",
            of,
            capacities,
        ),
        gauge(
            "memtide_scaling_steps",
            "Steps of the scaler that are under way.",
            double(steps as u64),
        ),
        gauge("memtide_spares", "Spares that wait to be taken.", double(spares as u64)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
const fn double(number: u64) -> f64 {
    number as f64
}
