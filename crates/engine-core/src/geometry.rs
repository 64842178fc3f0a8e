use crate::alloc;
use crate::config::StoreConfig;
use crate::index::{LOC_BITS, Loc};
use crate::item::ALIGN;
use crate::limits::{
    GROWTH_DIVISOR, ITEM_SIZE_MAX_MAX, MEMORY_PER_SHARD, SEGMENT_LEN_MAX, SEGMENT_LEN_MIN,
    SEGMENTS_PER_SHARD, SHARDS_AUTO_MAX, SHARDS_MAX,
};
use crate::segment::{Segment, SegmentId};
use crate::shard::Slot;
use memtide_topology::{SLOTS, SlotId};

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
    /// Bits of a location that are the place in a segment, in units of [`ALIGN`].
    offset_bits: u32,
}

impl Geometry {
    pub(crate) fn of(config: &StoreConfig) -> Self {
        let shards = shards(config);
        let share = config.memory_max / u64::from(shards) / SEGMENTS_PER_SHARD;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let segment_len = share.clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX);
        let segment_len = 1 << segment_len.ilog2();
        let offset_bits = (segment_len / ALIGN).ilog2();
        Self {
            shards,
            segment_len,
            segments_max: (1 << (LOC_BITS - offset_bits)) - 1,
            item_size_max: config.item_size_max.min(ITEM_SIZE_MAX_MAX),
            offset_bits,
        }
    }

    /// Bytes that an empty store takes, with shards of this size apart from their slots.
    pub(crate) fn fixed_bytes(&self, shard_bytes: usize) -> u64 {
        let slots = alloc::charge(usize::from(SLOTS / self.shards) * size_of::<Slot>());
        let segments = alloc::charge(size_of::<Segment>());
        let shards = u64::from(self.shards);
        alloc::charge(shard_bytes * usize::from(self.shards)) + shards * (slots + segments)
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

    /// The slot's place in its shard.
    #[inline]
    pub(crate) fn slot_in_shard(&self, slot: SlotId) -> usize {
        usize::from(slot.number() >> self.shards.ilog2())
    }

    /// Bytes of a new segment in a shard with this many bytes of segments: less than
    /// `segment_len` in a nearly empty shard, so that a nearly empty store takes little.
    pub(crate) fn new_segment_len(&self, segments_bytes: u64) -> usize {
        let part = usize::try_from(segments_bytes / GROWTH_DIVISOR).unwrap_or(usize::MAX);
        part.clamp(SEGMENT_LEN_MIN, self.segment_len).next_power_of_two()
    }

    /// Bytes of a value that are in extents, where the record's other fields take `fields_len`: all
    /// that makes a record longer than a segment, in whole segments.
    pub(crate) fn extents_len(&self, fields_len: usize, value_len: usize) -> usize {
        let inline_max = self.segment_len - fields_len - ALIGN;
        value_len.saturating_sub(inline_max).div_ceil(self.segment_len) * self.segment_len
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
        let number = u32::try_from(loc.bits() >> self.offset_bits).expect("segments_max is below");
        (SegmentId::from_number(number), offset as usize * ALIGN)
    }
}

/// What memcached's `ITEM_ntotal` is for such an item.
pub(crate) fn memcached_item_size(key_len: usize, client_flags: u32, value_len: usize) -> usize {
    let flags_len = if client_flags == 0 { 0 } else { 4 };
    48 + 8 + key_len + 1 + flags_len + value_len + 2
}

/// As many shards as were asked for, or one for each [`MEMORY_PER_SHARD`].
fn shards(config: &StoreConfig) -> u16 {
    let auto = u16::try_from(config.memory_max / MEMORY_PER_SHARD).unwrap_or(u16::MAX);
    let wanted = config.shards.unwrap_or(auto.min(SHARDS_AUTO_MAX));
    1 << wanted.clamp(1, SHARDS_MAX).ilog2()
}
