use memtide_topology::SLOTS;

/// Longest key in bytes; memcached's `KEY_MAX_LENGTH`.
pub const KEY_LEN_MAX: usize = 250;

/// Keys that one call of [`Store::prefetch`](crate::Store::prefetch) is of use for: their lines fit
/// what a core has under way and in its nearest cache.
pub const PREFETCH_MAX: usize = 16;

/// Bytes of an item that are asked for ahead; the processor follows a longer one by itself.
pub(crate) const PREFETCH_ITEM_BYTES: usize = 192;

/// Largest item in bytes as memcached counts it (its `-I` default): see
/// [`Store::item_fits`](crate::Store::item_fits).
pub const ITEM_SIZE_MAX_DEFAULT: u32 = 1024 * 1024;

/// Largest `item_size_max` that a store takes: memcached's own bound of `-I`.
pub(crate) const ITEM_SIZE_MAX_MAX: u32 = 1024 * 1024 * 1024;

/// Items above this size hold no number: memcached keeps them in chunks and refuses arithmetic
/// (`slab_chunk_max`, half of a slab page).
pub(crate) const NUMERIC_ITEM_SIZE_MAX: usize = 512 * 1024;

/// Bytes of a segment, at most: one eviction step walks one segment under the shard's lock.
pub(crate) const SEGMENT_LEN_MAX: usize = 64 * 1024;

/// Bytes of a segment, at least: what a store of a few MiB has.
pub(crate) const SEGMENT_LEN_MIN: usize = 8 * 1024;

/// Bytes of a shard's journal that wait to be taken, from which on nothing is evicted there for
/// other shards or in the background: what goes with one segment is at most a tenth.
pub(crate) const JOURNAL_BYTES_MAX: usize = 256 * 1024;

/// Items that are looked at under one lock of a shard to sum their bytes up: some microseconds.
pub(crate) const SIZED_ITEMS_MAX: usize = 256;

/// Largest version that a slot may be given: as many mutations again are left.
pub(crate) const VERSION_MAX: u64 = 1 << 63;

/// Segments that a shard's share of memory makes, roughly: enough that a tenth of them, the
/// small queue, is a queue.
pub(crate) const SEGMENTS_PER_SHARD: u64 = 256;

/// Segments that a shard's share of memory makes at least, where the store is held to less than its
/// sizes were made for: what is free in the two that are appended to is then little of it.
pub(crate) const SEGMENTS_PER_SHARD_MIN: u64 = 64;

/// A new segment is at most this part of its shard's memory, so that a nearly empty store takes
/// little.
pub(crate) const GROWTH_DIVISOR: u64 = 8;

/// Memory that makes one shard, until there are [`SHARDS_AUTO_MAX`].
pub(crate) const MEMORY_PER_SHARD: u64 = SEGMENTS_PER_SHARD * SEGMENT_LEN_MAX as u64;

/// Of what a store begins with, each shard that it makes by itself has at least so much.
pub(crate) const MEMORY_PER_SHARD_MIN: u64 = 1024 * 1024;

/// Shards that a store makes by itself, at most: a half-filled segment or two in each is little
/// even in a store with 100 MiB of data.
pub(crate) const SHARDS_AUTO_MAX: u16 = 64;

/// Memory that makes one table of the index, so that none grows to a size that is slow to spread
/// anew: below half a millisecond.
pub(crate) const MEMORY_PER_TABLE: u64 = 8 * 1024 * 1024;

/// Of what a store begins with, a table has at least so much: tables are made of chunks of 1 KiB, of which
/// the last is half empty. A store that begins with 64 MiB and may get more than 16 GiB has larger tables for that.
pub(crate) const MEMORY_PER_TABLE_MIN: u64 = 32 * 1024;

/// Shards, at most.
pub(crate) const SHARDS_MAX: u16 = 1024;

const _: () = assert!(SHARDS_MAX <= SLOTS && SHARDS_MAX.is_power_of_two());
const _: () = assert!(SEGMENT_LEN_MAX.is_power_of_two() && SEGMENT_LEN_MIN.is_power_of_two());
const _: () = assert!(ITEM_SIZE_MAX_MAX <= 1 << 30, "a value's length has 30 bits");
const _: () = assert!(SEGMENT_LEN_MIN > 2 * KEY_LEN_MAX + 64, "a record's fields fit a segment");
