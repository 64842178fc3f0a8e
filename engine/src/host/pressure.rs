//! Room for copies, which only the primary of their slots can make.
//!
//! A node that holds copies keeps a part of its memory free of items. What is above that is evicted
//! by all who put items there, in proportion: this node evicts its own, and tells every primary its
//! share with the answer to its beacon. So copies are neither favoured over the node's own items nor
//! the other way round, and what comes in between two beacons finds room.

use std::collections::BTreeMap;

use memtide_engine_core::StoreStats;
use memtide_topology::{NodeId, SlotId};
use memtide_wire::NodeWords;

use super::{Host, Moment, Outlets};
use crate::limits::{HEADROOM_DIVISOR, RELIEF_BYTES_MAX};

impl Host {
    /// Looks how much is to go, evicts this node's part of it, and tells the primaries theirs.
    pub fn weigh(&mut self, at: Moment, out: &mut impl Outlets) {
        self.applied_bytes = 0;
        let Some(excess) = Excess::of(&self.store.stats()) else { return };
        if excess.own_bytes > 0 {
            self.evict_own(at, excess.own_bytes.min(RELIEF_BYTES_MAX), |_| true);
        }
        let copies = self.copies_by_primary();
        let slots: u64 = copies.values().sum();
        for (primary, count) in copies {
            let bytes = part_of(excess.copy_bytes, (count, slots));
            if bytes > 0 && out.queued_bytes(primary).is_some() && self.pressed.insert(primary) {
                out.to_node(primary, &NodeWords::Pressure { bytes });
            }
        }
        self.work(at, out);
    }

    /// Looks before what comes in has taken what is free.
    pub(super) fn weigh_in_time(&mut self, at: Moment, out: &mut impl Outlets) {
        let memory_max = self.topology.nodes().get(&self.me).map_or(0, |node| node.memory_max);
        let headroom = memory_max.min(self.data_part) / HEADROOM_DIVISOR;
        // Where its part of the cache's limit is small, not at every frame, but before it is too late.
        let least = (memory_max / HEADROOM_DIVISOR / 64).min(headroom / 2);
        if self.applied_bytes > least.max(headroom / 8) {
            self.weigh(at, out);
        }
    }

    /// Evicts for the sake of a node that holds copies.
    pub(super) fn relieve(&mut self, at: Moment, node: NodeId, bytes: u64) {
        let topology = std::sync::Arc::clone(&self.topology);
        let is_there = |slot| topology.slot(slot).copy(node).is_some();
        let gone = self.evict_own(at, bytes.min(RELIEF_BYTES_MAX), is_there);
        self.counters.relieved_bytes.add(gone);
    }

    /// Evicts items of slots that are this node's, about as many bytes from each shard.
    fn evict_own(&mut self, at: Moment, bytes: u64, is_wanted: impl Fn(SlotId) -> bool) -> u64 {
        let shards = self.store.shards();
        let topology = std::sync::Arc::clone(&self.topology);
        let me = self.me;
        let is_own = |slot| topology.slot(slot).primary == Some(me) && is_wanted(slot);
        let mut gone = 0;
        for shard in 0..shards {
            let left = (shards - shard) as u64;
            let part = bytes.saturating_sub(gone).div_ceil(left);
            if part == 0 {
                break;
            }
            gone += self.store.evict_for(shard, part, at.wall, is_own);
            self.take_records_of(at, shard);
        }
        gone
    }

    /// How many slots of each primary this node holds copies of.
    fn copies_by_primary(&self) -> BTreeMap<NodeId, u64> {
        let mut copies = BTreeMap::new();
        for (_, slot) in self.topology.slots() {
            if let (Some(primary), Some(_)) = (slot.primary, slot.copy(self.me)) {
                *copies.entry(primary).or_default() += 1;
            }
        }
        copies
    }
}

/// Bytes of items that are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Excess {
    /// Of this node's own.
    own_bytes: u64,
    /// Of copies.
    copy_bytes: u64,
}

impl Excess {
    fn of(stats: &StoreStats) -> Option<Self> {
        let held = stats.bytes + stats.index_bytes;
        let allowed = stats.memory_max - stats.memory_max / HEADROOM_DIVISOR;
        let bytes = held.checked_sub(allowed).filter(|bytes| *bytes > 0 && stats.copy_bytes > 0)?;
        let copy_bytes = part_of(bytes, (stats.copy_bytes, stats.bytes));
        Some(Self { own_bytes: bytes - copy_bytes, copy_bytes })
    }
}

/// The memory with which nothing that is there has to go.
pub(super) const fn room_for(stats: &StoreStats) -> u64 {
    let used = stats.memory_used;
    let is_alone = stats.copy_bytes == 0;
    if is_alone { used } else { used.saturating_add(used / (HEADROOM_DIVISOR - 1)) }
}

/// A whole's part, in the ratio of these two.
fn part_of(whole: u64, (part, of): (u64, u64)) -> u64 {
    let part = u128::from(whole) * u128::from(part.min(of)) / u128::from(of.max(1));
    u64::try_from(part).expect("a part is no more than the whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_goes_in_proportion() {
        let check = |bytes, copy_bytes, expected: Option<(u64, u64)>| {
            let stats = StoreStats { bytes, copy_bytes, memory_max: 800, ..StoreStats::default() };
            let expected = expected.map(|(own_bytes, copy_bytes)| Excess { own_bytes, copy_bytes });
            assert_eq!(Excess::of(&stats), expected, "{copy_bytes} of {bytes}");
        };
        check(700, 350, None);
        check(720, 360, Some((10, 10)));
        check(720, 720, Some((0, 20)));
        check(760, 0, None);
        check(0, 0, None);
    }

    #[test]
    fn nothing_goes_where_there_is_room_for_it() {
        for copy_bytes in [0, 1, 350] {
            let used =
                StoreStats { memory_used: 700, bytes: 700, copy_bytes, ..StoreStats::default() };
            let memory_max = room_for(&used);
            assert_eq!(memory_max, if copy_bytes == 0 { 700 } else { 800 });
            assert_eq!(Excess::of(&StoreStats { memory_max, ..used }), None);
        }
    }
}
