use crate::limits::ITEM_SIZE_MAX_DEFAULT;
use memtide_topology::HashSeed;

/// How a store is made.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Bytes that the store may take in all: segments, index and the fixed part.
    pub memory_max: u64,
    /// Largest item as memcached counts it, in bytes: see
    /// [`Store::item_fits`](crate::Store::item_fits).
    pub item_size_max: u32,
    /// Number of shards, a power of two of at most 1,024; `None` chooses by `memory_max`.
    pub shards: Option<u16>,
    /// The cache's seed: the one that callers hash keys with.
    pub seed: HashSeed,
}

impl StoreConfig {
    /// memcached's item size and shards by size.
    #[must_use]
    pub fn new(memory_max: u64, seed: HashSeed) -> Self {
        Self { memory_max, item_size_max: ITEM_SIZE_MAX_DEFAULT, shards: None, seed }
    }
}
