//! The reply to `stats`: memcached's general statistics by memcached's names.

use std::sync::atomic::Ordering;

use memtide_engine_core::StoreStats;
use memtide_execute::CommandTotals;
use memtide_protocol::encode::{self, Status};

use crate::counters::TrafficTotals;
use crate::shared::Shared;

/// The numbers that concern items: each is the sum over the nodes of a fleet.
const SUMMED: [&str; 32] = [
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "cmd_meta",
    "get_hits",
    "get_misses",
    "delete_misses",
    "delete_hits",
    "incr_misses",
    "incr_hits",
    "decr_misses",
    "decr_hits",
    "cas_misses",
    "cas_hits",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "store_too_large",
    "store_no_memory",
    "limit_maxbytes",
    "bytes",
    "hash_bytes",
    "curr_items",
    "total_items",
    "get_expired",
    "evictions",
    "evicted_unfetched",
    "evicted_active",
    "reclaimed",
    "expired_unfetched",
    "crawler_reclaimed",
];
/// How many of them are about commands.
const COMMANDS: usize = 20;
const CMD_FLUSH: usize = 2;
const STORE_TOO_LARGE: usize = 18;

/// The numbers of [`SUMMED`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary([u64; SUMMED.len()]);

impl Summary {
    /// Of the node in this process, since `before`.
    pub fn of_store(counted: &CommandTotals, now: &StoreStats, before: &StoreStats) -> Self {
        let CommandTotals { cmd_get, cmd_set, cmd_flush, cmd_touch, cmd_meta, .. } = *counted;
        Self([
            cmd_get,
            cmd_set,
            cmd_flush,
            cmd_touch,
            cmd_meta,
            counted.get_hits,
            counted.get_misses,
            counted.delete_misses,
            counted.delete_hits,
            counted.incr_misses,
            counted.incr_hits,
            counted.decr_misses,
            counted.decr_hits,
            counted.cas_misses,
            counted.cas_hits,
            counted.cas_badval,
            counted.touch_hits,
            counted.touch_misses,
            counted.store_too_large,
            counted.store_no_memory,
            now.memory_max,
            now.bytes,
            now.index_bytes,
            now.items,
            now.total_items - before.total_items,
            now.expired_on_lookup - before.expired_on_lookup,
            now.evicted - before.evicted,
            now.evicted_unfetched - before.evicted_unfetched,
            now.evicted_active - before.evicted_active,
            now.expired - before.expired,
            now.expired_unfetched - before.expired_unfetched,
            now.expired_in_background - before.expired_in_background,
        ])
    }

    /// Adds the numbers in a node's reply to `stats`.
    pub fn add_reply(&mut self, reply: &[u8]) {
        let lines = reply.split(|&byte| byte == b'\n');
        for line in lines.filter_map(|line| str::from_utf8(line).ok()) {
            let mut words = line.split_ascii_whitespace();
            let (Some("STAT"), Some(name), Some(number)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let at = SUMMED.iter().position(|&summed| summed == name);
            if let (Some(at), Ok(number)) = (at, number.parse::<u64>()) {
                self.0[at] = self.0[at].saturating_add(number);
            }
        }
    }

    /// Adds what no node counts: it counts each slot that it flushed, and never sees what was too
    /// large to be sent.
    pub fn add_own(&mut self, counted: &CommandTotals) {
        self.0[CMD_FLUSH] = counted.cmd_flush;
        self.0[STORE_TOO_LARGE] = self.0[STORE_TOO_LARGE].saturating_add(counted.store_too_large);
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SUMMED.into_iter().zip(self.0)
    }
}

/// Writes the whole reply, `END` included.
pub fn write(
    shared: &Shared,
    now_secs: u32,
    (items, traffic): (&Summary, &TrafficTotals),
    out: &mut Vec<u8>,
) {
    general(shared, now_secs, out);
    let of_traffic = [
        ("idle_kicks", traffic.idle_kicks),
        ("bytes_read", traffic.bytes_read),
        ("bytes_written", traffic.bytes_written),
        ("ssl_new_sessions", traffic.handshakes_full),
        ("ssl_handshake_errors", traffic.handshakes_failed),
    ];
    let lines = items.lines().take(COMMANDS).chain(of_traffic).chain(items.lines().skip(COMMANDS));
    for (name, number) in lines {
        encode::stat_number(out, name, number);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_nodes_are_added_by_name() {
        let mut sums = Summary::default();
        sums.add_reply(b"STAT cmd_get 3\r\nSTAT pid 9\r\nSTAT curr_items 2\r\nEND\r\n");
        sums.add_reply(b"STAT cmd_get 4\r\nSTAT curr_items x\r\nSTAT\r\n\xff\r\nEND\r\n");
        let told: Vec<_> = sums.lines().filter(|&(_, number)| number > 0).collect();
        assert_eq!(told, [("cmd_get", 7), ("curr_items", 2)]);
    }
}
