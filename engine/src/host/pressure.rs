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
use crate::limits::HEADROOM_DIVISOR;

/// What is to go, by whose it is.
#[derive(Debug, Default)]
pub(super) struct Excess {
    /// This node's own.
    own_bytes: u64,
    /// By primary.
    of_others: BTreeMap<NodeId, u64>,
}

impl Host {
    /// Looks how much is to go, and evicts this node's part of it.
    pub fn weigh(&mut self, at: Moment, out: &mut impl Outlets) {
        let stats = self.store.stats();
        self.excess = self.excess_of(&stats);
        let own_bytes = core::mem::take(&mut self.excess.own_bytes);
        if own_bytes > 0 {
            self.evict_own(at, own_bytes, |_| true);
            self.work(at, out);
        }
    }

    /// Tells a primary its share.
    pub(super) fn press(&mut self, primary: NodeId, out: &mut impl Outlets) {
        if let Some(bytes) = self.excess.of_others.remove(&primary) {
            out.to_node(primary, &NodeWords::Pressure { bytes });
        }
    }

    /// Evicts for the sake of a node that holds copies.
    pub(super) fn relieve(&mut self, at: Moment, node: NodeId, bytes: u64) {
        let topology = std::sync::Arc::clone(&self.topology);
        let is_there = |slot| topology.slot(slot).copy(node).is_some();
        // What it asks for is less than it has, and so is an answer to it.
        let gone = self.evict_own(at, bytes.min(self.store.stats().bytes), is_there);
        self.counters.relieved_bytes.add(gone);
    }

    /// Evicts items of slots that are this node's, about as many bytes from each shard.
    fn evict_own(
        &mut self,
        at: Moment,
        bytes: u64,
        is_wanted: impl Fn(SlotId) -> bool,
    ) -> u64 {
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

    fn excess_of(&self, stats: &StoreStats) -> Excess {
        let mut excess = Excess::default();
        if stats.copy_bytes == 0 {
            return excess;
        }
        let held = stats.bytes + stats.index_bytes;
        let allowed = stats.memory_max - stats.memory_max / HEADROOM_DIVISOR;
        let bytes = held.saturating_sub(allowed);
        if bytes == 0 {
            return excess;
        }
        let copies = self.copies_by_primary();
        let slots: u64 = copies.values().sum();
        let part = |part: u64, of: u64| {
            let share = u128::from(bytes) * u128::from(part) / u128::from(of.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let of_copies = part(stats.copy_bytes, stats.bytes);
        excess.own_bytes = bytes.saturating_sub(of_copies);
        let shares = copies.into_iter().map(|(primary, count)| {
            let share = u128::from(of_copies) * u128::from(count) / u128::from(slots.max(1));
            (primary, u64::try_from(share).unwrap_or(u64::MAX))
        });
        excess.of_others = shares.filter(|(_, bytes)| *bytes > 0).collect();
        excess
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
