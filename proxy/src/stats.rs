//! The reply to `stats`: memcached's general statistics by memcached's names.

use std::sync::atomic::Ordering;

use memtide_protocol::encode::{self, Status};

use crate::shared::Shared;

/// Writes the whole reply, `END` included.
pub fn write(shared: &Shared, now_secs: u32, out: &mut Vec<u8>) {
    general(shared, now_secs, out);
    commands(shared, out);
    items(shared, out);
    encode::status(out, Status::End);
}

fn general(shared: &Shared, now_secs: u32, out: &mut Vec<u8>) {
    let config = &shared.config;
    let open = shared.connections_open() as u64;
    encode::stat_number(out, "pid", u64::from(std::process::id()));
    encode::stat_number(out, "uptime", shared.uptime_secs());
    encode::stat_number(out, "time", u64::from(now_secs));
    encode::stat(out, "version", crate::PROTOCOL_VERSION);
    encode::stat_number(out, "pointer_size", u64::from(usize::BITS));
    encode::stat_number(out, "max_connections", config.connections_max as u64);
    encode::stat_number(out, "curr_connections", open);
    let total = shared.connections_total.load(Ordering::Relaxed);
    encode::stat_number(out, "total_connections", total);
    let rejected = shared.connections_rejected.load(Ordering::Relaxed);
    encode::stat_number(out, "rejected_connections", rejected);
    encode::stat_number(out, "connection_structures", open);
    encode::stat_number(out, "threads", config.threads as u64);
    let accepts = u64::from(open < config.connections_max as u64);
    encode::stat_number(out, "accepting_conns", accepts);
}

fn commands(shared: &Shared, out: &mut Vec<u8>) {
    // The baseline first: a reset in between must not be ahead of what is counted.
    let baseline = shared.stats_baseline().0;
    let counted = shared.totals().since(&baseline);
    let list: [(&str, u64); 25] = [
        ("cmd_get", counted.items.cmd_get),
        ("cmd_set", counted.items.cmd_set),
        ("cmd_flush", counted.items.cmd_flush),
        ("cmd_touch", counted.items.cmd_touch),
        ("cmd_meta", counted.items.cmd_meta),
        ("get_hits", counted.items.get_hits),
        ("get_misses", counted.items.get_misses),
        ("delete_misses", counted.items.delete_misses),
        ("delete_hits", counted.items.delete_hits),
        ("incr_misses", counted.items.incr_misses),
        ("incr_hits", counted.items.incr_hits),
        ("decr_misses", counted.items.decr_misses),
        ("decr_hits", counted.items.decr_hits),
        ("cas_misses", counted.items.cas_misses),
        ("cas_hits", counted.items.cas_hits),
        ("cas_badval", counted.items.cas_badval),
        ("touch_hits", counted.items.touch_hits),
        ("touch_misses", counted.items.touch_misses),
        ("store_too_large", counted.items.store_too_large),
        ("store_no_memory", counted.items.store_no_memory),
        ("idle_kicks", counted.traffic.idle_kicks),
        ("bytes_read", counted.traffic.bytes_read),
        ("bytes_written", counted.traffic.bytes_written),
        ("ssl_new_sessions", counted.traffic.handshakes_full),
        ("ssl_handshake_errors", counted.traffic.handshakes_failed),
    ];
    for (name, number) in list {
        encode::stat_number(out, name, number);
    }
}

fn items(shared: &Shared, out: &mut Vec<u8>) {
    // The baseline first: a reset in between must not be ahead of what is counted.
    let before = shared.stats_baseline().1;
    let now = shared.store.stats();
    let list = [
        ("limit_maxbytes", now.memory_max),
        ("bytes", now.bytes),
        ("hash_bytes", now.index_bytes),
        ("curr_items", now.items),
        ("total_items", now.total_items - before.total_items),
        ("get_expired", now.expired_on_lookup - before.expired_on_lookup),
        ("evictions", now.evicted - before.evicted),
        ("evicted_unfetched", now.evicted_unfetched - before.evicted_unfetched),
        ("evicted_active", now.evicted_active - before.evicted_active),
        ("reclaimed", now.expired - before.expired),
        ("expired_unfetched", now.expired_unfetched - before.expired_unfetched),
        ("crawler_reclaimed", now.expired_in_background - before.expired_in_background),
    ];
    for (name, number) in list {
        encode::stat_number(out, name, number);
    }
}
