//! What a node says of itself as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use memtide_control::{NodeControl, NodeUsage, ToScaler};
use memtide_engine::Observer;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::uses::SlotUses;

/// How often the scaler hears of a node that lives.
const BEAT_INTERVAL: Duration = Duration::from_millis(200);
/// A data thread may be busy with one thing for so long, such as a topology in which everything has
/// changed, on a machine that has other work too.
const STILL_MAX: Duration = Duration::from_millis(500);

/// A beat for as long as the data thread moves: a stuck one must count as silent. And once a second which slots
/// take the most.
pub async fn beat(control: Arc<NodeControl>, observer: Observer) {
    let mut interval = interval(BEAT_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut ticks_before, mut moved_at) = (observer.ticks(), Instant::now());
    let mut slot_uses = SlotUses::new(observer.clone(), moved_at);
    loop {
        let now = interval.tick().await;
        let ticks = observer.ticks();
        if ticks != ticks_before {
            (ticks_before, moved_at) = (ticks, now);
        }
        if now.duration_since(moved_at) <= STILL_MAX {
            control.say(ToScaler::Beat { adopted: observer.adopted(), usage: usage(&observer) });
        }
        if let Some(uses) = slot_uses.look(now) {
            control.say(ToScaler::SlotUses(uses));
        }
    }
}

fn usage(observer: &Observer) -> NodeUsage {
    let usage = observer.usage();
    NodeUsage {
        memory_used: usage.store.memory_used,
        memory_max: usage.store.memory_max,
        items: usage.store.items,
        data_bytes: usage.store.bytes,
        evicted: usage.store.evicted,
        expired: usage.store.expired,
        get_hits: usage.commands.get_hits,
        get_misses: usage.commands.get_misses,
        cmd_get: usage.commands.cmd_get,
        cmd_set: usage.commands.cmd_set,
        requests: usage.requests,
        cpu_micros: u64::try_from(usage.cpu.as_micros()).unwrap_or(u64::MAX),
        bytes_in: usage.received_bytes,
        bytes_out: usage.sent_bytes,
        copy_items: usage.store.copy_items,
        copy_bytes: usage.store.copy_bytes,
        ecpu_units: usage.ecpu_units,
    }
}
