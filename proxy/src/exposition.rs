//! `/metrics`: spec.md's list by our names, and memcached's by those of prometheus/memcached_exporter.
//!
//! Cardinality is fixed: no label takes a value from a client.
#![expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are f64")]

use std::sync::atomic::Ordering;

use memtide_engine_core::StoreStats;
use prometheus::proto::MetricFamily;

use crate::counters::Totals;
use crate::families::Families;
use crate::shared::Shared;

/// Everything that this proxy and its in-process node count, now.
pub fn families(shared: &Shared) -> Vec<MetricFamily> {
    let (totals, store) = (shared.totals(), shared.store.stats());
    let mut families = Families::default();
    usage(&mut families, shared, &totals, &store);
    latency(&mut families, &totals);
    connections(&mut families, shared, &totals);
    commands(&mut families, &totals);
    items(&mut families, &store);
    exporter_names(&mut families, shared, &totals, &store);
    families.into_inner()
}

fn usage(families: &mut Families, shared: &Shared, totals: &Totals, store: &StoreStats) {
    families.counter(
        "memtide_ecpus_total",
        "ECPUs metered (CloudWatch: ElastiCacheProcessingUnits).",
        totals.ecpu_units as f64 / 1024.0,
    );
    families.counter(
        "memtide_ecpu_units_total",
        "ECPUs metered, in 1/1024 ECPU: an exact integer.",
        totals.ecpu_units as f64,
    );
    families.counter(
        "memtide_metered_byte_seconds_total",
        "Data stored over time, the configured minimum included; 3.6e12 are a GB-hour.",
        shared.metered_byte_seconds() as f64,
    );
    families.gauge(
        "memtide_cache_used_bytes",
        "Bytes of the items stored (CloudWatch: BytesUsedForCache).",
        store.bytes as f64,
    );
    families.gauge(
        "memtide_memory_used_bytes",
        "Bytes taken from the allocator for items and their index; what the limit is of.",
        store.memory_used as f64,
    );
    families.gauge(
        "memtide_memory_limit_bytes",
        "The limit of memtide_memory_used_bytes.",
        store.memory_max as f64,
    );
    families.counter(
        "memtide_throttled_commands_total",
        "Commands refused for the ECPU limit (CloudWatch: ThrottledCmds).",
        totals.throttled_commands as f64,
    );
}

fn latency(families: &mut Families, totals: &Totals) {
    families.latencies(
        "memtide_command_duration_seconds",
        "Time from the read of a successful command to the write of its reply (CloudWatch: \
         SuccessfulReadRequestLatency and SuccessfulWriteRequestLatency, there in microseconds).",
        &[(&[("kind", "read")], totals.read_latency), (&[("kind", "write")], totals.write_latency)],
    );
}

fn connections(families: &mut Families, shared: &Shared, totals: &Totals) {
    families.gauge(
        "memtide_connections",
        "Open client connections (CloudWatch: CurrConnections).",
        shared.connections_open() as f64,
    );
    families.gauge(
        "memtide_connections_max",
        "Most client connections at one time.",
        shared.config.connections_max as f64,
    );
    families.counter(
        "memtide_connections_accepted_total",
        "Client connections accepted (CloudWatch: NewConnections).",
        shared.connections_total.load(Ordering::Relaxed) as f64,
    );
    families.counter(
        "memtide_connections_rejected_total",
        "Client connections refused over the maximum.",
        shared.connections_rejected.load(Ordering::Relaxed) as f64,
    );
    families.counters(
        "memtide_connections_kicked_total",
        "Client connections closed by us, by reason.",
        &[
            (&[("reason", "idle")], totals.idle_kicks as f64),
            (&[("reason", "stalled")], totals.stall_kicks as f64),
            (&[("reason", "plaintext")], totals.plaintext_connections as f64),
        ],
    );
    families.counters(
        "memtide_tls_handshakes_total",
        "TLS handshakes, by outcome.",
        &[
            (&[("outcome", "full")], totals.handshakes_full as f64),
            (&[("outcome", "resumed")], totals.handshakes_resumed as f64),
            (&[("outcome", "failed")], totals.handshakes_failed as f64),
        ],
    );
    families.counters(
        "memtide_network_bytes_total",
        "Command and reply bytes before TLS (CloudWatch: NetworkBytesIn and NetworkBytesOut).",
        &[
            (&[("direction", "in")], totals.bytes_read as f64),
            (&[("direction", "out")], totals.bytes_written as f64),
        ],
    );
}

fn commands(families: &mut Families, totals: &Totals) {
    families.counter(
        "memtide_commands_total",
        "Commands of every kind, refused ones included (CloudWatch: TotalCmdsCount).",
        totals.commands as f64,
    );
    families.counters(
        "memtide_error_replies_total",
        "Error replies, by who is to blame.",
        &[
            (&[("blame", "client")], totals.client_errors as f64),
            (&[("blame", "server")], totals.server_errors as f64),
        ],
    );
    families.counters(
        "memtide_item_commands_total",
        "Commands on items by command and outcome (CloudWatch: CmdGet, CmdSet, CmdTouch, GetHits, \
         GetMisses, IncrHits, IncrMisses, DecrHits, DecrMisses, DeleteHits, DeleteMisses, \
         TouchHits, TouchMisses, CasHits, CasMisses, CasBadval, CmdFlush).",
        &command_samples(totals),
    );
}

fn command_samples(totals: &Totals) -> [(&'static [(&'static str, &'static str)], f64); 15] {
    [
        (&[("command", "get"), ("status", "hit")], totals.get_hits as f64),
        (&[("command", "get"), ("status", "miss")], totals.get_misses as f64),
        (&[("command", "delete"), ("status", "hit")], totals.delete_hits as f64),
        (&[("command", "delete"), ("status", "miss")], totals.delete_misses as f64),
        (&[("command", "incr"), ("status", "hit")], totals.incr_hits as f64),
        (&[("command", "incr"), ("status", "miss")], totals.incr_misses as f64),
        (&[("command", "decr"), ("status", "hit")], totals.decr_hits as f64),
        (&[("command", "decr"), ("status", "miss")], totals.decr_misses as f64),
        (&[("command", "cas"), ("status", "hit")], totals.cas_hits as f64),
        (&[("command", "cas"), ("status", "miss")], totals.cas_misses as f64),
        (&[("command", "cas"), ("status", "badval")], totals.cas_badval as f64),
        (&[("command", "touch"), ("status", "hit")], totals.touch_hits as f64),
        (&[("command", "touch"), ("status", "miss")], totals.touch_misses as f64),
        (&[("command", "flush"), ("status", "hit")], totals.cmd_flush as f64),
        (&[("command", "set"), ("status", "hit")], totals.cmd_set as f64),
    ]
}

fn items(families: &mut Families, store: &StoreStats) {
    families.gauge("memtide_items", "Items stored (CloudWatch: CurrItems).", store.items as f64);
    families.counter(
        "memtide_items_evicted_total",
        "Live items dropped for room (CloudWatch: Evictions).",
        store.evicted as f64,
    );
    families.counter(
        "memtide_items_reclaimed_total",
        "Expired items removed (CloudWatch: Reclaimed).",
        store.expired as f64,
    );
}

fn exporter_names(families: &mut Families, shared: &Shared, totals: &Totals, store: &StoreStats) {
    let mut gauge = |name, help, value: u64| families.gauge(name, help, value as f64);
    gauge("memcached_up", "Could the memcached server be reached.", 1);
    gauge("memcached_current_bytes", "Current number of bytes used to store items.", store.bytes);
    gauge("memcached_limit_bytes", "Number of bytes for storage.", store.memory_max);
    gauge("memcached_current_items", "Current number of items stored.", store.items);
    let open = shared.connections_open() as u64;
    gauge("memcached_current_connections", "Current number of open connections.", open);
    let max = shared.config.connections_max as u64;
    gauge("memcached_max_connections", "Maximum number of client connections.", max);
    let accepts = u64::from(open < max);
    gauge("memcached_accepting_connections", "Whether new connections are accepted.", accepts);
    families.gauge_with(
        "memcached_version",
        "The version of the memcached protocol that is spoken.",
        &[("version", crate::PROTOCOL_VERSION)],
        1.0,
    );
    families.counters(
        "memcached_commands_total",
        "Total number of all requests broken down by command and status.",
        &command_samples(totals),
    );
    let accepted = shared.connections_total.load(Ordering::Relaxed);
    let rejected = shared.connections_rejected.load(Ordering::Relaxed);
    let mut counter = |name, help, value: u64| families.counter(name, help, value as f64);
    counter("memcached_uptime_seconds", "Seconds since the server started.", shared.uptime_secs());
    counter("memcached_items_total", "Total number of items stored.", store.total_items);
    counter("memcached_items_evicted_total", "Valid items removed to free memory.", store.evicted);
    counter("memcached_items_reclaimed_total", "Expired items removed.", store.expired);
    counter("memcached_connections_total", "Connections opened since the start.", accepted);
    counter("memcached_connections_rejected_total", "Connections over the maximum.", rejected);
    counter("memcached_read_bytes_total", "Bytes read by this server.", totals.bytes_read);
    counter("memcached_written_bytes_total", "Bytes sent by this server.", totals.bytes_written);
}
