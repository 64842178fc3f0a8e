use crate::limits::ITEM_SIZE_MAX_DEFAULT;
use memtide_topology::HashSeed;

/// How a store is made.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Bytes that the store may take in all, to begin with: segments, index and the fixed part.
    pub memory_max: u64,
    /// What that may be raised to later, by [`Store::set_memory_max`](crate::Store::set_memory_max): the
    /// sizes that never change are fit for both. Less than `memory_max` means that.
    pub memory_capacity: u64,
    /// Largest item as memcached counts it, in bytes: see
    /// [`Store::item_fits`](crate::Store::item_fits).
    pub item_size_max: u32,
    /// Number of shards, a power of two of at most 1,024; `None` chooses by `memory_capacity`.
    pub shards: Option<u16>,
    /// The cache's seed: the one that callers hash keys with.
    pub seed: HashSeed,
}

impl StoreConfig {
    /// memcached's item size and shards by size, for a store that is never given more.
    #[must_use]
    pub fn new(memory_max: u64, seed: HashSeed) -> Self {
        let item_size_max = ITEM_SIZE_MAX_DEFAULT;
        Self { memory_max, memory_capacity: memory_max, item_size_max, shards: None, seed }
    }
}
