//! What a node of little memory lets go, as far as it shows from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine::{Host, NodeCounters};
use memtide_engine_core::replication::Position;
use memtide_engine_core::{Now, SlotCursor};
use memtide_topology::{NodeId, SlotId};

use crate::checks::Checks;
use crate::memcached::{KEYS, key_of};

/// See the module.
pub struct Room {
    counters: Arc<NodeCounters>,
    evicted: u64,
    left_out: u64,
    /// What each slot had when it was looked at last, and where it was.
    keys: BTreeMap<SlotId, (Option<Position>, BTreeSet<u32>)>,
}

impl Room {
    pub const fn new(counters: Arc<NodeCounters>) -> Self {
        Self { counters, evicted: 0, left_out: 0, keys: BTreeMap::new() }
    }

    /// Tells the checks which items may be missed from now on.
    pub fn look(&mut self, host: &Host, (me, slots): (NodeId, &[SlotId]), checks: &mut Checks) {
        let evicted = host.store().stats().evicted;
        let mut unexplained = evicted - core::mem::replace(&mut self.evicted, evicted);
        let has_evicted = unexplained > 0;
        for slot in slots {
            let position = host.replication().position(*slot);
            let (was_at, before) = self.keys.entry(*slot).or_default();
            if !has_evicted && position == *was_at {
                continue;
            }
            let now = keys_of(host, *slot);
            for gone in before.difference(&now).filter(|_| has_evicted) {
                checks.evicts(*gone);
                unexplained = unexplained.saturating_sub(1);
            }
            (*was_at, *before) = (position, now);
        }
        // Stored and evicted between two looks: it may be any.
        for _ in 0..unexplained {
            (0..KEYS).for_each(|key| checks.evicts(key));
        }
        let left_out = self.counters.copy_items_left_out.load();
        if core::mem::replace(&mut self.left_out, left_out) < left_out {
            let is_other = |slot: &&SlotId| host.topology().slot(**slot).primary != Some(me);
            slots.iter().filter(is_other).for_each(|slot| checks.leaves_out(*slot));
        }
    }
}

fn keys_of(host: &Host, slot: SlotId) -> BTreeSet<u32> {
    let mut keys = BTreeSet::new();
    let mut cursor = Some(SlotCursor::start(slot));
    while let Some(from) = cursor {
        cursor = host.store().slot_items(from, 64, Now::from_unix_secs(1), |item| {
            keys.extend(key_of(item.key, slot));
        });
    }
    keys
}
