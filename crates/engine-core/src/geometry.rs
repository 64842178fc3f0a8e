use crate::alloc;
use crate::config::StoreConfig;
use crate::index::{LOC_BITS, Loc, TAG_BITS, Table, Tag};
use crate::item::ALIGN;
use crate::limits::{
    GROWTH_DIVISOR, ITEM_SIZE_MAX_MAX, MEMORY_PER_SHARD, MEMORY_PER_SHARD_MIN, MEMORY_PER_TABLE,
    MEMORY_PER_TABLE_MIN, SEGMENT_LEN_MAX, SEGMENT_LEN_MIN, SEGMENTS_PER_SHARD,
    SEGMENTS_PER_SHARD_MIN, SHARDS_AUTO_MAX, SHARDS_MAX,
};
use crate::segment::{Segment, SegmentId};
use core::ops::Range;
use memtide_topology::{KeyHash, SLOTS, SlotId};

/// For tables of 2^0, 2^1 .. slots: how far apart two of them are that follow each other. Odd, and so
/// that no quotient in the continued fraction of the two numbers is above 3: then each run of slots is
/// spread evenly.
const STRIDES: [usize; 15] =
    [1, 1, 3, 5, 9, 25, 45, 79, 181, 361, 741, 1_481, 2_539, 4_993, 11_539];
const _: () = assert!(SLOTS == 1 << (STRIDES.len() - 1), "for every number of slots in a table");

/// The sizes that a store derives from its configuration; fixed for its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// Number of shards, a power of two.
    pub(crate) shards: u16,
    /// Bytes of a segment, at most; a power of two.
    pub(crate) segment_len: usize,
    /// Largest number of a segment.
    pub(crate) segments_max: usize,
    /// Largest item as memcached counts it.
    pub(crate) item_size_max: u32,
    /// Tables of the index in each shard, a power of two.
    pub(crate) tables: usize,
    /// Bits of a slot's number that tell the slots of one table apart.
    table_slot_bits: u32,
    /// See [`STRIDES`].
    stride: usize,
    /// Bits of a location that are the place in a segment, in units of [`ALIGN`].
    offset_bits: u32,
}

impl Geometry {
    pub(crate) fn of(config: &StoreConfig) -> Self {
        let capacity = config.memory_capacity.max(config.memory_max);
        let shards = shards(config, capacity);
        let share = capacity / u64::from(shards) / SEGMENTS_PER_SHARD;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let segment_len = share.clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX);
        let segment_len = 1 << segment_len.ilog2();
        let offset_bits = (segment_len / ALIGN).ilog2();
        let tables = (capacity / MEMORY_PER_TABLE).min(config.memory_max / MEMORY_PER_TABLE_MIN);
        let tables = tables.clamp(u64::from(shards), u64::from(SLOTS));
        let table_bits = tables.ilog2();
        let table_slot_bits = SLOTS.ilog2() - table_bits;
        Self {
            shards,
            segment_len,
            segments_max: (1 << (LOC_BITS - offset_bits)) - 1,
            item_size_max: config.item_size_max.min(ITEM_SIZE_MAX_MAX),
            tables: 1 << (table_bits - shards.ilog2()),
            table_slot_bits,
            stride: STRIDES[table_slot_bits as usize],
            offset_bits,
        }
    }

    /// Bytes that an empty store takes, with shards of this size apart from their slots.
    pub(crate) fn fixed_bytes(&self, shard_bytes: usize) -> u64 {
        let roles = alloc::charge(self.slots());
        let slots = roles + alloc::charge(self.slots() * size_of::<u64>());
        let tables = alloc::charge(self.tables * size_of::<Table>());
        let segments = alloc::charge(size_of::<Segment>());
        let shards = u64::from(self.shards);
        alloc::charge(shard_bytes * usize::from(self.shards)) + shards * (slots + tables + segments)
    }

    /// Whether memcached would take an item of this size: its header of 48 bytes, CAS unique, key
    /// with an end mark, client flags unless 0, and value with line end.
    pub(crate) fn item_fits(&self, key_len: usize, client_flags: u32, value_len: usize) -> bool {
        memcached_item_size(key_len, client_flags, value_len) <= self.item_size_max as usize
    }

    /// The shard that holds a slot.
    #[inline]
    pub(crate) fn shard(&self, slot: SlotId) -> usize {
        usize::from(slot.number() & (self.shards - 1))
    }

    /// Slots of each shard.
    pub(crate) fn slots(&self) -> usize {
        usize::from(SLOTS / self.shards)
    }

    /// The slot's place in its shard.
    #[inline]
    pub(crate) fn slot_in_shard(&self, slot: SlotId) -> usize {
        usize::from(slot.number() >> self.shards.ilog2())
    }

    /// The slot at this place of a shard.
    pub(crate) fn slot_at(&self, shard: usize, place: usize) -> SlotId {
        let number = (place << self.shards.ilog2()) | shard;
        let number = u16::try_from(number).ok().and_then(SlotId::new);
        number.expect("a shard has slots of the store only")
    }

    /// Where the index of the key's shard has a key.
    #[inline]
    pub(crate) fn home(&self, hash: KeyHash) -> Home {
        let slot = self.slot_in_shard(SlotId::of(hash));
        let (table, tags) = self.tags(slot);
        let tag = Tag::from_number(tags.start.number() + (hash.bits() >> self.tag_shift()));
        Home { slot, table, tag }
    }

    /// The table that has the entries of a slot of a shard, and their tags: those of one slot are
    /// together, so that it can be listed in the table's order.
    ///
    /// Slots that follow each other are far apart in the table: a node mostly holds runs of them, and
    /// those of a run would crowd a part of it.
    #[inline]
    pub(crate) fn tags(&self, slot: usize) -> (usize, Range<Tag>) {
        let in_table = (slot * self.stride) & ((1 << self.table_slot_bits) - 1);
        let shift = TAG_BITS - self.table_slot_bits;
        let tag = |slot: usize| Tag::from_number((slot as u64) << shift);
        (slot >> self.table_slot_bits, tag(in_table)..tag(in_table + 1))
    }

    /// Bits that a hash loses to be a tag within its slot's.
    fn tag_shift(&self) -> u32 {
        LOC_BITS + self.table_slot_bits
    }

    /// Bytes of a new segment in a shard with this many bytes of segments: less than
    /// `segment_len` in a nearly empty shard, so that a nearly empty store takes little, and in a store
    /// that is held to this `memory_max`, which is little for its shards.
    pub(crate) fn new_segment_len(&self, segments_bytes: u64, memory_max: u64) -> usize {
        let part = usize::try_from(segments_bytes / GROWTH_DIVISOR).unwrap_or(usize::MAX);
        let len = part.clamp(SEGMENT_LEN_MIN, self.segment_len).next_power_of_two();
        len.min(self.usual_segment_len(memory_max))
    }

    /// Bytes of most segments in a full store that is held to this `memory_max`.
    pub(crate) fn usual_segment_len(&self, memory_max: u64) -> usize {
        let share = memory_max / u64::from(self.shards) / SEGMENTS_PER_SHARD_MIN;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        1 << share.clamp(SEGMENT_LEN_MIN, self.segment_len).ilog2()
    }

    /// Bytes of a value that are in extents, where the record's other fields take `fields_len`: so
    /// much that the record is no longer than a segment. Whole segments, or where that leaves
    /// slightly too much, half a segment more.
    pub(crate) fn extents_bytes(&self, fields_len: usize, value_len: usize) -> usize {
        let rest = value_len % self.segment_len;
        let is_too_long = fields_len + rest > self.segment_len - ALIGN;
        value_len - rest + if is_too_long { self.segment_len / 2 } else { 0 }
    }

    /// Length of each extent where all together are this long.
    pub(crate) fn extent_len(&self, extents_bytes: usize) -> usize {
        let is_whole = extents_bytes.is_multiple_of(self.segment_len);
        if is_whole { self.segment_len } else { self.segment_len / 2 }
    }

    /// The location of the item that starts at this byte of a segment.
    #[inline]
    pub(crate) fn loc(&self, id: SegmentId, offset: usize) -> Loc {
        Loc::from_bits(u64::from(id.number()) << self.offset_bits | (offset / ALIGN) as u64)
    }

    /// The segment and byte of a location.
    #[inline]
    pub(crate) fn place(&self, loc: Loc) -> (SegmentId, usize) {
        let offset = loc.bits() & ((1 << self.offset_bits) - 1);
        let offset = usize::try_from(offset).expect("a segment is in memory");
        let number = u32::try_from(loc.bits() >> self.offset_bits).expect("segments_max is below");
        (SegmentId::from_number(number), offset * ALIGN)
    }
}

/// Where the index of a shard has a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// The slot's place in its shard.
    pub(crate) slot: usize,
    pub(crate) table: usize,
    pub(crate) tag: Tag,
}

/// What memcached's `ITEM_ntotal` is for such an item.
pub(crate) fn memcached_item_size(key_len: usize, client_flags: u32, value_len: usize) -> usize {
    let flags_len = if client_flags == 0 { 0 } else { 4 };
    48 + 8 + key_len + 1 + flags_len + value_len + 2
}

/// As many shards as were asked for, or one for each [`MEMORY_PER_SHARD`] of what the store may get, where it
/// begins with enough for them.
fn shards(config: &StoreConfig, capacity: u64) -> u16 {
    let auto = (capacity / MEMORY_PER_SHARD).min(config.memory_max / MEMORY_PER_SHARD_MIN);
    let auto = u16::try_from(auto).unwrap_or(u16::MAX);
    let wanted = config.shards.unwrap_or(auto.min(SHARDS_AUTO_MAX));
    1 << wanted.clamp(1, SHARDS_MAX).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_topology::HashSeed;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_no_longer_than_a_segment(fields in 23usize..290, value in 0usize..400_000) {
            let geometry = Geometry::of(&StoreConfig::new(1 << 30, HashSeed::new(1, 2)));
            let bytes = geometry.extents_bytes(fields, value);
            prop_assert!(bytes <= value);
            prop_assert_eq!(bytes % geometry.extent_len(bytes), 0);
            let record_len = (fields + value - bytes).next_multiple_of(ALIGN);
            prop_assert!(record_len <= geometry.segment_len);
        }
    }

    #[test]
    fn a_run_of_slots_is_spread_over_its_table() {
        for megabytes in (0..=8).map(|bits| 8 << bits) {
            let geometry = Geometry::of(&StoreConfig::new(megabytes << 20, HashSeed::new(1, 2)));
            let slots = 1 << geometry.table_slot_bits;
            assert_eq!(slots, 16_384 * 8 / usize::try_from(megabytes).unwrap());
            for first in 0..slots {
                let place = |slot: usize| {
                    let (table, tags) = geometry.tags(slot % slots);
                    assert_eq!(table, 0);
                    tags.start.number() >> (TAG_BITS - geometry.table_slot_bits)
                };
                // A quarter of the slots, in windows of 16 places.
                let mut windows = vec![0; slots / 16];
                for slot in first..first + slots / 4 {
                    windows[usize::try_from(place(slot)).unwrap() / 16] += 1;
                }
                assert!(windows.iter().all(|count| (2..=5).contains(count)), "{windows:?}");
            }
        }
    }

    #[test]
    fn sizes_are_fit_for_what_a_store_begins_with_and_for_what_it_may_get() {
        let check = |memory_max: u64, memory_capacity: u64, expected: (u16, usize, usize)| {
            let config = StoreConfig::new(memory_max, HashSeed::new(1, 2));
            let geometry = Geometry::of(&StoreConfig { memory_capacity, ..config });
            let tables = geometry.tables * usize::from(geometry.shards);
            let segment_len = geometry.usual_segment_len(memory_max);
            let shown = (geometry.shards, tables, segment_len >> 10);
            assert_eq!(shown, expected, "{memory_max} of {memory_capacity}");
        };
        for memory in (23..44).map(|bits| 1 << bits) {
            let geometry = Geometry::of(&StoreConfig::new(memory, HashSeed::new(1, 2)));
            assert_eq!(geometry.usual_segment_len(memory), geometry.segment_len, "{memory}");
        }
        check(64 << 20, 64 << 20, (4, 8, 64));
        check(1 << 30, 1 << 30, (64, 128, 64));
        check(64 << 20, 1 << 30, (64, 128, 16));
        check(64 << 20, 16 << 30, (64, 2048, 16));
        check(64 << 20, 1 << 40, (64, 2048, 16));
        check(16 << 20, 1 << 40, (16, 512, 16));
        check(1 << 30, 64 << 20, (64, 128, 64));
    }

    #[test]
    fn a_place_is_found_back() {
        for memory in [1 << 20, 100 << 20, 1 << 40] {
            let geometry = Geometry::of(&StoreConfig::new(memory, HashSeed::new(1, 2)));
            for number in [1, 7, u32::try_from(geometry.segments_max).unwrap()] {
                for offset in [0, 4, geometry.segment_len - ALIGN] {
                    let id = SegmentId::from_number(number);
                    assert_eq!(geometry.place(geometry.loc(id, offset)), (id, offset));
                }
            }
        }
    }
}
