//! `/metrics`: spec.md's list by our names, and memcached's by those of prometheus/memcached_exporter.
//!
//! Cardinality is fixed: no label takes a value from a client.

use std::sync::atomic::Ordering;

use memtide_engine_core::StoreStats;
use memtide_service::metrics::{Bucketed, counter, counters, gauge, gauges, histograms};
use prometheus::proto::MetricFamily;

use crate::counters::{FleetTotals, LATENCY_BOUNDS_US, LatencyTotals, Totals};
use crate::shared::Shared;

/// Everything that this proxy counts, and its in-process node where there is one, now.
pub fn families(shared: &Shared) -> Vec<MetricFamily> {
    let totals = shared.totals();
    let mut parts = vec![
        usage(&totals),
        limits(shared, &totals),
        latency(&totals),
        connections(shared, &totals),
        refused(shared),
        commands(&totals),
        exporter_gauges(shared),
        exporter_counters(shared, &totals),
    ];
    // What is stored, the nodes of a fleet tell themselves.
    match shared.embedded() {
        Some(node) => parts.push(stored(shared, &node.store.stats())),
        None => parts.push(fleet(shared, &totals)),
    }
    parts.into_iter().flatten().collect()
}

fn usage(totals: &Totals) -> Vec<MetricFamily> {
    vec![counter(
        "memtide_ecpu_units_total",
        "Work metered, in 1/1024 ECPU: an exact integer (CloudWatch: \
             ElastiCacheProcessingUnits, there in whole ECPUs).",
        totals.traffic.ecpu_units,
    )]
}

/// What the cache may use, and how it is held to it.
fn limits(shared: &Shared, totals: &Totals) -> Vec<MetricFamily> {
    let ecpus = |units: Option<u64>| as_double(units.unwrap_or_default()) / 1024.0;
    let limit = &shared.ecpu_limit;
    let mut families = vec![
        counters(
            "memtide_throttled_commands_total",
            "Commands refused, by reason: ecpu, the cache's limit (CloudWatch: ThrottledCmds); \
             capacity, more than the fleet's nodes take, counted by request to a node.",
            &["reason"],
            [
                (["ecpu"], totals.traffic.throttled_commands),
                (["capacity"], totals.fleet.overloaded),
            ],
        ),
        counter(
            "memtide_delayed_commands_total",
            "Commands that waited for the ECPU limit, those refused afterwards included.",
            totals.traffic.delayed_commands,
        ),
        gauge(
            "memtide_ecpu_per_second_max",
            "The cache's limit of ECPUs per second, over all proxies; 0 is none.",
            ecpus(limit.cache_max()),
        ),
    ];
    let rate = limit.rate();
    if rate.is_some() {
        families.push(gauge(
            "memtide_ecpu_per_second_granted",
            "What this proxy may use of the limit now; absent where there is no limit.",
            ecpus(rate),
        ));
    }
    families
}

fn latency(totals: &Totals) -> Vec<MetricFamily> {
    let bounds = LATENCY_BOUNDS_US.map(|micros| as_double(micros) / 1e6);
    let bucketed = |latency: &'static str, totals: &LatencyTotals, counts: &mut [u64; 24]| {
        counts.copy_from_slice(&totals.buckets[..LATENCY_BOUNDS_US.len()]);
        let over = totals.buckets[LATENCY_BOUNDS_US.len()];
        ([latency], over, as_double(totals.sum_nanos) / 1e9)
    };
    let (mut reads, mut writes) = ([0; 24], [0; 24]);
    let (read, read_over, read_sum) = bucketed("read", &totals.read_latency, &mut reads);
    let (write, write_over, write_sum) = bucketed("write", &totals.write_latency, &mut writes);
    vec![histograms(
        "memtide_command_duration_seconds",
        "Time from the read of a successful command to the write of its reply (CloudWatch: \
         SuccessfulReadRequestLatency and SuccessfulWriteRequestLatency, there in microseconds).",
        &["kind"],
        &bounds,
        [
            (read, Bucketed { counts: &reads, over: read_over, sum: read_sum }),
            (write, Bucketed { counts: &writes, over: write_over, sum: write_sum }),
        ],
    )]
}

fn refused(shared: &Shared) -> Vec<MetricFamily> {
    vec![
        counter(
            "memtide_connections_rejected_total",
            "Client connections refused over the maximum.",
            shared.connections_rejected.load(Ordering::Relaxed),
        ),
        counters(
            "memtide_connections_refused_total",
            "Client connections closed as they were accepted, before any handshake, by reason.",
            &["reason"],
            shared.door.refused().map(|(why, count)| ([why.name()], count)),
        ),
    ]
}

fn connections(shared: &Shared, totals: &Totals) -> Vec<MetricFamily> {
    vec![
        gauge(
            "memtide_connections",
            "Open client connections (CloudWatch: CurrConnections).",
            as_double(shared.connections_open() as u64),
        ),
        gauge(
            "memtide_connections_limit",
            "Most client connections at one time.",
            as_double(shared.config.connections_max as u64),
        ),
        counter(
            "memtide_connections_accepted_total",
            "Client connections accepted (CloudWatch: NewConnections).",
            shared.connections_total.load(Ordering::Relaxed),
        ),
        gauge(
            "memtide_cores_serving",
            "Cores that client connections gather on: as few as carry the load.",
            as_double(shared.spread.serving() as u64),
        ),
        counter(
            "memtide_connections_moved_total",
            "Connections that went on with another core.",
            totals.traffic.connections_moved,
        ),
        counters(
            "memtide_connections_kicked_total",
            "Client connections that we closed, by reason.",
            &["reason"],
            [
                (["idle"], totals.traffic.idle_kicks),
                (["stalled"], totals.traffic.stall_kicks),
                (["plaintext"], totals.traffic.plaintext_connections),
            ],
        ),
        counters(
            "memtide_tls_handshakes_total",
            "TLS handshakes, by outcome.",
            &["outcome"],
            [
                (["full"], totals.traffic.handshakes_full),
                (["resumed"], totals.traffic.handshakes_resumed),
                (["failed"], totals.traffic.handshakes_failed),
            ],
        ),
        counters(
            "memtide_network_bytes_total",
            "Command and reply bytes before TLS (CloudWatch: NetworkBytesIn, NetworkBytesOut).",
            &["direction"],
            [(["in"], totals.traffic.bytes_read), (["out"], totals.traffic.bytes_written)],
        ),
    ]
}

fn commands(totals: &Totals) -> Vec<MetricFamily> {
    vec![
        counter(
            "memtide_commands_total",
            "Commands of every kind, refused ones included (CloudWatch: TotalCmdsCount).",
            totals.traffic.commands,
        ),
        counters(
            "memtide_error_replies_total",
            "Error replies, by who is to blame.",
            &["blame"],
            [(["client"], totals.items.client_errors), (["server"], totals.items.server_errors)],
        ),
        counters(
            "memtide_item_commands_total",
            "Commands on items by command and outcome (CloudWatch: CmdGet, CmdSet, CmdTouch, \
             GetHits, GetMisses, IncrHits, IncrMisses, DecrHits, DecrMisses, DeleteHits, \
             DeleteMisses, TouchHits, TouchMisses, CasHits, CasMisses, CasBadval, CmdFlush).",
            &["command", "status"],
            command_samples(totals),
        ),
    ]
}

fn command_samples(totals: &Totals) -> [([&'static str; 2], u64); 15] {
    [
        (["get", "hit"], totals.items.get_hits),
        (["get", "miss"], totals.items.get_misses),
        (["delete", "hit"], totals.items.delete_hits),
        (["delete", "miss"], totals.items.delete_misses),
        (["incr", "hit"], totals.items.incr_hits),
        (["incr", "miss"], totals.items.incr_misses),
        (["decr", "hit"], totals.items.decr_hits),
        (["decr", "miss"], totals.items.decr_misses),
        (["cas", "hit"], totals.items.cas_hits),
        (["cas", "miss"], totals.items.cas_misses),
        (["cas", "badval"], totals.items.cas_badval),
        (["touch", "hit"], totals.items.touch_hits),
        (["touch", "miss"], totals.items.touch_misses),
        (["flush", "hit"], totals.items.cmd_flush),
        (["set", "hit"], totals.items.cmd_set),
    ]
}

/// What the node in this process stores.
fn stored(shared: &Shared, store: &StoreStats) -> Vec<MetricFamily> {
    vec![
        counter(
            "memtide_metered_byte_seconds_total",
            "Data stored over time, the configured minimum included; 3600 * 2^30 are a GB-hour.",
            shared.metered_byte_seconds(),
        ),
        bytes_gauge(
            "memtide_cache_used_bytes",
            "Bytes of the items stored (CloudWatch: BytesUsedForCache).",
            store.bytes,
        ),
        bytes_gauge(
            "memtide_memory_used_bytes",
            "Bytes taken from the allocator for items and their index; what the limit is of.",
            store.memory_used,
        ),
        bytes_gauge(
            "memtide_memory_limit_bytes",
            "The limit of memtide_memory_used_bytes.",
            store.memory_max,
        ),
        gauge("memtide_items", "Items stored (CloudWatch: CurrItems).", as_double(store.items)),
        counter(
            "memtide_items_evicted_total",
            "Live items dropped for room (CloudWatch: Evictions).",
            store.evicted,
        ),
        counter(
            "memtide_items_reclaimed_total",
            "Expired items removed (CloudWatch: Reclaimed).",
            store.expired,
        ),
        bytes_gauge("memcached_current_bytes", "Bytes used to store items.", store.bytes),
        bytes_gauge("memcached_limit_bytes", "Bytes allowed for storage.", store.memory_max),
        bytes_gauge(
            "memcached_malloced_bytes",
            "Bytes taken from the allocator for items and their index.",
            store.memory_used,
        ),
        gauge("memcached_current_items", "Items stored.", as_double(store.items)),
        counter("memcached_items_total", "Items ever stored.", store.total_items),
        counter("memcached_items_evicted_total", "Live items dropped for room.", store.evicted),
        counter("memcached_items_reclaimed_total", "Expired items removed.", store.expired),
    ]
}

/// The way to the nodes.
fn fleet(shared: &Shared, totals: &Totals) -> Vec<MetricFamily> {
    let FleetTotals { asked, sent, done, links, links_lost, .. } = totals.fleet;
    let is_reached = shared.view().is_some_and(|view| view.check().is_ok());
    let epoch = shared.view().map_or(0, |view| view.topology().epoch().number());
    vec![
        counters(
            "memtide_fleet_requests_total",
            "Requests to nodes, by what came of them; a command on several keys is one for each.",
            &["outcome"],
            [
                (["done"], done),
                (["overloaded"], totals.fleet.overloaded),
                (["no_copy"], totals.fleet.no_copy),
                (["no_answer"], totals.fleet.deadline),
                (["unknown"], totals.fleet.unknown),
                (["unavailable"], totals.fleet.unavailable),
            ],
        ),
        counter(
            "memtide_fleet_retries_total",
            "Requests sent again, because a node refused or its link was lost.",
            sent.saturating_sub(asked),
        ),
        counter(
            "memtide_fleet_moved_total",
            "Answers of nodes that they are not the slot's primary.",
            totals.fleet.moved,
        ),
        counter(
            "memtide_fleet_waits_total",
            "Times that a connection waited for less to be under way.",
            totals.fleet.waits,
        ),
        gauge(
            "memtide_fleet_requests_outstanding",
            "Requests to nodes that are unanswered.",
            as_double(totals.fleet_outstanding),
        ),
        gauge(
            "memtide_fleet_links",
            "Links to nodes, over all cores.",
            as_double(links.saturating_sub(links_lost)),
        ),
        counter("memtide_fleet_links_lost_total", "Links to nodes that ended.", links_lost),
        gauge(
            "memtide_fleet_reached",
            "Whether every slot has a primary to which every core is linked.",
            as_double(u64::from(is_reached)),
        ),
        gauge(
            "memtide_fleet_topology_epoch",
            "The topology that requests are routed by.",
            as_double(epoch),
        ),
    ]
}

fn exporter_gauges(shared: &Shared) -> Vec<MetricFamily> {
    let open = shared.connections_open() as u64;
    let max = shared.config.connections_max as u64;
    let accepts = u64::from(open < max);
    let whole = |name, help, value| gauge(name, help, as_double(value));
    vec![
        whole("memcached_up", "Could the memcached server be reached.", 1),
        whole("memcached_current_connections", "Open connections.", open),
        whole("memcached_max_connections", "Most client connections.", max),
        whole("memcached_accepting_connections", "Whether connections are accepted.", accepts),
        // A counter by nature, but dashboards ask for it without the suffix that counters have.
        whole("memcached_uptime_seconds", "Seconds since the start.", shared.uptime_secs()),
        gauges(
            "memcached_version",
            "The memcached release whose protocol is spoken.",
            &["version"],
            [([crate::PROTOCOL_VERSION], 1.0)],
        ),
    ]
}

fn exporter_counters(shared: &Shared, totals: &Totals) -> Vec<MetricFamily> {
    let accepted = shared.connections_total.load(Ordering::Relaxed);
    let rejected = shared.connections_rejected.load(Ordering::Relaxed);
    vec![
        counters(
            "memcached_commands_total",
            "Requests by command and status.",
            &["command", "status"],
            command_samples(totals),
        ),
        counter(
            "memcached_item_too_large_total",
            "Items refused for their size.",
            totals.items.store_too_large,
        ),
        counter(
            "memcached_item_no_memory_total",
            "Items refused for want of room.",
            totals.items.store_no_memory,
        ),
        counter("memcached_connections_total", "Connections accepted.", accepted),
        counter("memcached_connections_rejected_total", "Connections refused.", rejected),
        counter("memcached_read_bytes_total", "Bytes read.", totals.traffic.bytes_read),
        counter("memcached_written_bytes_total", "Bytes written.", totals.traffic.bytes_written),
    ]
}

fn bytes_gauge(name: &str, help: &str, bytes: u64) -> MetricFamily {
    gauge(name, help, as_double(bytes))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn as_double(count: u64) -> f64 {
    count as f64
}
