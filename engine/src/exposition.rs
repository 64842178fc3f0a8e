//! `/metrics` of a node. Cardinality is fixed: no label takes a value from a peer.

use memtide_execute::Counter;
use memtide_service::metrics::{Bucketed, counter, counters, gauge, histograms};
use prometheus::proto::MetricFamily;

use crate::counters::{NodeCounters, PAUSE_BOUNDS_US, Pauses};
use crate::observer::{Observer, Usage};

/// Everything that a node counts, now.
pub fn families(observer: &Observer, counters: &NodeCounters) -> Vec<MetricFamily> {
    let usage = observer.usage();
    let parts = [memory(&usage), items(&usage), commands(&usage), traffic(observer, counters)];
    let pauses = pauses(&counters.handover_pauses);
    parts.into_iter().flatten().chain([pauses]).collect()
}

fn memory(usage: &Usage) -> Vec<MetricFamily> {
    let bytes = |name, help, bytes| gauge(name, help, as_double(bytes));
    let store = &usage.store;
    vec![
        bytes(
            "memtide_memory_used_bytes",
            "Bytes taken from the allocator for items and their index; what the limit is of.",
            store.memory_used,
        ),
        bytes(
            "memtide_memory_limit_bytes",
            "The limit of memtide_memory_used_bytes.",
            store.memory_max,
        ),
        bytes(
            "memtide_node_items_bytes",
            "Bytes of the items in slots that this node is the primary of.",
            store.bytes.saturating_sub(store.copy_bytes),
        ),
        bytes(
            "memtide_node_copies_bytes",
            "Bytes of the items in slots that this node has copies of.",
            store.copy_bytes,
        ),
        bytes(
            "memtide_node_journal_bytes",
            "Bytes of mutations on their way from the store to the copies.",
            store.journal_bytes,
        ),
    ]
}

fn items(usage: &Usage) -> Vec<MetricFamily> {
    let store = &usage.store;
    vec![
        gauge(
            "memtide_node_items",
            "Items in slots that this node is the primary of.",
            as_double(store.items.saturating_sub(store.copy_items)),
        ),
        gauge(
            "memtide_node_copy_items",
            "Items in slots that this node has copies of.",
            as_double(store.copy_items),
        ),
        counter("memtide_node_evicted_total", "Live items evicted for room.", store.evicted),
        counter("memtide_node_expired_total", "Expired items removed.", store.expired),
    ]
}

fn commands(usage: &Usage) -> Vec<MetricFamily> {
    let commands = &usage.commands;
    let samples = [
        ("get", commands.cmd_get),
        ("set", commands.cmd_set),
        ("touch", commands.cmd_touch),
        ("delete", commands.delete_hits + commands.delete_misses),
        ("incr", commands.incr_hits + commands.incr_misses),
        ("decr", commands.decr_hits + commands.decr_misses),
    ];
    let samples = samples.map(|(command, count)| ([command], count));
    let help = "Commands executed on items of this node's slots.";
    vec![
        counters("memtide_node_commands_total", help, &["command"], samples),
        counter("memtide_node_requests_total", "Requests of proxies.", usage.requests),
    ]
}

fn traffic(observer: &Observer, counts: &NodeCounters) -> Vec<MetricFamily> {
    let epoch = observer.adopted().number();
    let links_bytes =
        [(["received"], counts.received_bytes.load()), (["sent"], counts.sent_bytes.load())];
    let links = [
        (["proxy"], counts.proxy_links.load()),
        (["node"], counts.node_links.load()),
        (["broken"], counts.broken_links.load()),
        (["refused"], counts.refused_links.load()),
    ];
    vec![
        gauge("memtide_node_epoch", "The topology that this node has adopted.", as_double(epoch)),
        counters(
            "memtide_node_links_total",
            "Links that began, by peer, those that were broken off for what came over them, and those that were refused.",
            &["kind"],
            links,
        ),
        counters(
            "memtide_node_link_bytes_total",
            "Bytes over links, before TLS.",
            &["direction"],
            links_bytes,
        ),
        counter(
            "memtide_node_copied_bytes_total",
            "Bytes of items read for copies on other nodes.",
            counts.copied_bytes.load(),
        ),
        counter(
            "memtide_node_copy_items_left_out_total",
            "Items of copies for which this node had no room.",
            counts.copy_items_left_out.load(),
        ),
        counter(
            "memtide_node_relieved_bytes_total",
            "Bytes of items evicted because a node with copies of them was full.",
            counts.relieved_bytes.load(),
        ),
    ]
}

fn pauses(pauses: &Pauses) -> MetricFamily {
    let counts: Vec<u64> = pauses.counts.iter().map(Counter::load).collect();
    let (counts, over) = counts.split_at(PAUSE_BOUNDS_US.len());
    let sum = as_double(pauses.sum_us.load()) / 1e6;
    histograms::<0>(
        "memtide_node_handover_pause_seconds",
        "How long slots that were handed over to this node had nobody who served them: from when it \
         heard that it takes over, which the old primary does at about the same time, until it served.",
        &[],
        &PAUSE_BOUNDS_US.map(|micros| as_double(micros) / 1e6),
        [([], Bucketed { counts, over: over[0], sum })],
    )
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn as_double(count: u64) -> f64 {
    count as f64
}
