use super::Store;
use crate::limits::SIZED_ITEMS_MAX;
use crate::{Item, Now};
use memtide_topology::SlotId;

/// Where to go on listing a slot: see [`Store::slot_items`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotCursor {
    pub(super) slot: SlotId,
    /// Tags of the slot that were listed.
    pub(super) from: u64,
}

impl Store {
    /// Mutations of a slot so far: the position in its replication stream.
    #[must_use]
    pub fn slot_version(&self, slot: SlotId) -> u64 {
        self.lock_slot(slot).shard.version(self.env.geometry.slot_in_shard(slot))
    }

    /// Lists items of a slot from `cursor` on, about `items_max` of them, and says where to go
    /// on; `None` at the end.
    ///
    /// An item that is there during the whole listing is seen exactly once, whatever else
    /// changes meanwhile. `with` runs under the lock of the slot's shard.
    pub fn slot_items(
        &self,
        cursor: SlotCursor,
        items_max: usize,
        now: Now,
        mut with: impl FnMut(Item<'_>),
    ) -> Option<SlotCursor> {
        let SlotCursor { slot, from } = cursor;
        let number = self.env.geometry.slot_in_shard(slot);
        let locked = self.lock_slot(slot);
        let items_max = items_max.max(1);
        let next = locked.shard.items_of((&self.env, now), (number, from), items_max, &mut with);
        next.map(|from| SlotCursor { slot, from })
    }

    /// Bytes of a slot's items with their metadata, as [`StoreStats::bytes`](crate::StoreStats::bytes) counts
    /// them. A walk over all of them, with the lock of their shard for 256 at a time: items that come or go
    /// meanwhile may be counted or not.
    #[must_use]
    pub fn slot_bytes(&self, slot: SlotId) -> u64 {
        let number = self.env.geometry.slot_in_shard(slot);
        let (mut bytes, mut next) = (0, Some(0));
        while let Some(from) = next {
            let locked = self.lock_slot(slot);
            let more;
            (more, next) = locked.shard.bytes_of(&self.env, (number, from), SIZED_ITEMS_MAX);
            bytes += more;
        }
        bytes
    }

    /// Removes all items of a slot; one mutation of it. Does nothing to a slot held as a copy.
    pub fn flush_slot(&self, slot: SlotId) {
        let number = self.env.geometry.slot_in_shard(slot);
        self.lock_slot(slot).shard.flush_slot(&self.env, number);
    }

    /// Forgets a slot, a copy or not: its items and its version. Whether it is journaled and a copy
    /// stays as it is.
    ///
    /// What its journal has is still handed out: take it before.
    pub fn drop_slot(&self, slot: SlotId) {
        let number = self.env.geometry.slot_in_shard(slot);
        self.lock_slot(slot).shard.drop_slot(&self.env, number);
    }
}

impl SlotCursor {
    /// The start of a slot.
    #[must_use]
    pub const fn start(slot: SlotId) -> Self {
        Self { slot, from: 0 }
    }
}
