use super::Store;
use memtide_topology::{KeyHash, SlotId};

impl Store {
    /// Has the memory that commands on these keys will touch brought near, that of all keys at the
    /// same time: worth it before two commands and up to [`PREFETCH_MAX`](crate::PREFETCH_MAX).
    ///
    /// A hint: it changes nothing, and passes over a shard that another thread has.
    #[inline]
    pub fn prefetch(&self, hashes: &[KeyHash]) {
        for &hash in hashes {
            if let Ok(shard) = self.cell(SlotId::of(hash)).shard.try_lock() {
                shard.prefetch_index(&self.env, hash);
            }
        }
        for &hash in hashes {
            if let Ok(shard) = self.cell(SlotId::of(hash)).shard.try_lock() {
                shard.prefetch_item(&self.env, hash);
            }
        }
    }
}
