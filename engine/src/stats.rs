//! The reply to `stats` of one node: what is additive over the nodes of a cache, by memcached's
//! names.

use memtide_engine_core::StoreStats;
use memtide_execute::CommandTotals;
use memtide_protocol::encode::{self, Status};

use crate::counters::NodeCounters;

/// What `stats reset` forgot.
#[derive(Debug, Default)]
pub struct Baseline {
    commands: CommandTotals,
    store: StoreStats,
}

impl Baseline {
    /// All that was counted until now.
    pub fn of(store: &StoreStats, counters: &NodeCounters) -> Self {
        Self { commands: totals(counters), store: *store }
    }
}

/// Writes the whole reply to `stats`, `END` included.
pub fn write(store: &StoreStats, counters: &NodeCounters, before: &Baseline, out: &mut Vec<u8>) {
    let counted = totals(counters).since(&before.commands);
    for (name, number) in commands(&counted).into_iter().chain(items(store, &before.store)) {
        encode::stat_number(out, name, number);
    }
    encode::status(out, Status::End);
}

fn totals(counters: &NodeCounters) -> CommandTotals {
    let mut totals = CommandTotals::default();
    totals.add(&counters.items);
    totals
}

fn commands(counted: &CommandTotals) -> [(&'static str, u64); 19] {
    [
        ("cmd_get", counted.cmd_get),
        ("cmd_set", counted.cmd_set),
        ("cmd_touch", counted.cmd_touch),
        ("cmd_meta", counted.cmd_meta),
        ("get_hits", counted.get_hits),
        ("get_misses", counted.get_misses),
        ("delete_misses", counted.delete_misses),
        ("delete_hits", counted.delete_hits),
        ("incr_misses", counted.incr_misses),
        ("incr_hits", counted.incr_hits),
        ("decr_misses", counted.decr_misses),
        ("decr_hits", counted.decr_hits),
        ("cas_misses", counted.cas_misses),
        ("cas_hits", counted.cas_hits),
        ("cas_badval", counted.cas_badval),
        ("touch_hits", counted.touch_hits),
        ("touch_misses", counted.touch_misses),
        ("store_too_large", counted.store_too_large),
        ("store_no_memory", counted.store_no_memory),
    ]
}

/// Items count once, where their slot's primary is; memory counts wherever it is taken.
fn items(store: &StoreStats, before: &StoreStats) -> [(&'static str, u64); 12] {
    [
        ("limit_maxbytes", store.memory_max),
        ("bytes", store.bytes.saturating_sub(store.copy_bytes)),
        ("hash_bytes", store.index_bytes),
        ("curr_items", store.items.saturating_sub(store.copy_items)),
        ("total_items", store.total_items - before.total_items),
        ("get_expired", store.expired_on_lookup - before.expired_on_lookup),
        ("evictions", store.evicted - before.evicted),
        ("evicted_unfetched", store.evicted_unfetched - before.evicted_unfetched),
        ("evicted_active", store.evicted_active - before.evicted_active),
        ("reclaimed", store.expired - before.expired),
        ("expired_unfetched", store.expired_unfetched - before.expired_unfetched),
        ("crawler_reclaimed", store.expired_in_background - before.expired_in_background),
    ]
}
