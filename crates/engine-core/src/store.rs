use crate::{
    Arithmetic, ArithmeticOutcome, Delete, DeleteOutcome, Expiry, Found, Item, Key, Lookup,
    Maintained, Now, Put, PutOutcome, StoreConfig, StoreStats,
};
use memtide_topology::SlotId;

/// All items of one node. `Send + Sync`: every core calls it.
///
/// A call takes the lock of one shard, at most one at a time; nothing locks the whole store.
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
}

/// Where to go on listing a slot: see [`Store::slot_items`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotCursor(u64);

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self { config }
    }

    /// Whether an item of this size is allowed, to the byte as memcached decides it:
    /// 48 + 8 + key + 1 + (4 with client flags) + value + 2 <= `item_size_max`.
    ///
    /// A caller asks when it has read the command line, before it reads the value. Where this is
    /// false, a classic set and every ms also remove the item that is there: memcached does.
    #[must_use]
    pub fn item_fits(&self, key_len: usize, client_flags: u32, value_len: usize) -> bool {
        let flags_len = if client_flags == 0 { 0 } else { 4 };
        48 + 8 + key_len + 1 + flags_len + value_len + 2 <= self.config.item_size_max as usize
    }

    /// Looks up a key; `with` sees the item borrowed under the lock of its shard, so it encodes
    /// into the caller's buffer and does nothing slow.
    pub fn lookup<R>(
        &self,
        key: Key<'_>,
        op: &Lookup,
        now: Now,
        with: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        let _ = (key, op, now);
        with(Found::Miss)
    }

    /// Stores a value under the condition of `op`.
    pub fn put(&self, key: Key<'_>, op: &Put<'_>, now: Now) -> PutOutcome {
        let _ = (key, op, now);
        PutOutcome::OutOfMemory
    }

    /// Adds to or subtracts from a decimal number.
    pub fn arithmetic(&self, key: Key<'_>, op: &Arithmetic, now: Now) -> ArithmeticOutcome {
        let _ = (key, op, now);
        ArithmeticOutcome::NotFound
    }

    /// Deletes an item, or leaves it stale or empty.
    pub fn delete(&self, key: Key<'_>, op: &Delete, now: Now) -> DeleteOutcome {
        let _ = (key, op, now);
        DeleteOutcome::NotFound
    }

    /// Gives an item another expiry and counts as an access; `false` where there is none.
    pub fn touch(&self, key: Key<'_>, expiry: Expiry, now: Now) -> bool {
        let _ = (key, expiry, now);
        false
    }

    /// Removes all items; one mutation of every slot.
    pub fn flush_all(&self, now: Now) {
        let _ = now;
    }

    /// A step of background work: reclaims expired items, and gives memory back after the limit
    /// was lowered. Call it about every 100 ms, and again at once while
    /// [`is_behind`](Maintained::is_behind).
    ///
    /// Looks through at most `budget_bytes` of segments, rounded up to one; a MiB takes about
    /// 0.1 ms. Each lock is held for one segment at a time.
    pub fn maintain(&self, now: Now, budget_bytes: u64) -> Maintained {
        let _ = (now, budget_bytes);
        Maintained::default()
    }

    /// Changes the limit. Lowering it acts on the next puts and in [`Store::maintain`].
    pub fn set_memory_max(&self, bytes: u64) {
        let _ = bytes;
    }

    /// A snapshot of the counters, summed over the shards one after the other.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    /// Mutations of a slot so far: the position in its replication stream.
    #[must_use]
    pub fn slot_version(&self, slot: SlotId) -> u64 {
        let _ = slot;
        0
    }

    /// Lists items of a slot from `cursor` on, about `items_max` of them, and says where to go
    /// on; `None` at the end. Start with `SlotCursor::default()`.
    ///
    /// An item that is there during the whole listing is seen exactly once, whatever else
    /// changes meanwhile.
    pub fn slot_items(
        &self,
        slot: SlotId,
        cursor: SlotCursor,
        items_max: usize,
        now: Now,
        mut with: impl FnMut(Item<'_>),
    ) -> Option<SlotCursor> {
        let _ = (slot, cursor, items_max, now, &mut with);
        None
    }

    /// Removes all items of a slot; one mutation of it.
    pub fn flush_slot(&self, slot: SlotId) {
        let _ = slot;
    }

    /// Forgets a slot: items and version.
    pub fn drop_slot(&self, slot: SlotId) {
        let _ = slot;
    }
}
