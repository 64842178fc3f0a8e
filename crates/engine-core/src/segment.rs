//! Segments: blocks of memory that items are appended to, in two queues.
//!
//! Eviction takes whole segments from the heads of the queues, after S3-FIFO (Yang et al., SOSP
//! 2023) with segments in place of objects. See `evict`.

use crate::alloc;
use crate::geometry::Geometry;

/// No segment; also the unused number 0, which keeps every location nonzero.
const NONE: u32 = 0;

/// A segment's number in its shard, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId(u32);

impl SegmentId {
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    fn some(number: u32) -> Option<Self> {
        (number != NONE).then_some(Self(number))
    }
}

/// Which queue a segment is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Items on probation: a tenth of the memory.
    Small,
    /// Items that were accessed again.
    Main,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) data: Box<[u8]>,
    /// Bytes that items were appended to.
    pub(crate) used: u32,
    /// Bytes of live items; at most `used`.
    pub(crate) live: u32,
    /// Live items.
    pub(crate) items: u32,
    /// Unix second from which on looking for expired items is worth it; `u32::MAX` for never.
    pub(crate) scan_at: u32,
    pub(crate) queue: Queue,
    /// Several items share it; otherwise it is just as long as its one item.
    pub(crate) is_shared: bool,
    /// Neighbour towards the queue's head.
    older: u32,
    /// Neighbour towards the queue's tail; next free number where the segment is free.
    newer: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    oldest: u32,
    newest: u32,
    /// The segment that shared items are appended to.
    active: u32,
    bytes: u64,
}

/// The segments of one shard.
#[derive(Debug)]
pub(crate) struct Segments {
    /// By number; the first is never used.
    list: Vec<Segment>,
    free: u32,
    small: Ends,
    main: Ends,
    /// Bytes of dead items in all segments.
    pub(crate) dead: u64,
}

impl Segments {
    pub(crate) fn new() -> Self {
        let nothing = Segment::new(Box::default(), false);
        let ends = Ends::default();
        Self { list: vec![nothing], free: NONE, small: ends, main: ends, dead: 0 }
    }

    pub(crate) fn at(&self, id: SegmentId) -> &Segment {
        &self.list[id.0 as usize]
    }

    pub(crate) fn at_mut(&mut self, id: SegmentId) -> &mut Segment {
        &mut self.list[id.0 as usize]
    }

    /// Numbers up to this one have been in use.
    pub(crate) fn last_number(&self) -> usize {
        self.list.len() - 1
    }

    /// The segment with this number, if it is in use.
    pub(crate) fn in_use(&self, number: usize) -> Option<(SegmentId, &Segment)> {
        let segment = self.list.get(number).filter(|segment| !segment.data.is_empty())?;
        Some((SegmentId(u32::try_from(number).ok()?), segment))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SegmentId, &Segment)> {
        (1..self.list.len()).filter_map(|number| self.in_use(number))
    }

    /// Bytes charged for the segments of a queue.
    pub(crate) fn queue_bytes(&self, queue: Queue) -> u64 {
        self.ends(queue).bytes
    }

    pub(crate) fn oldest(&self, queue: Queue) -> Option<SegmentId> {
        SegmentId::some(self.ends(queue).oldest)
    }

    pub(crate) fn active(&self, queue: Queue) -> Option<SegmentId> {
        SegmentId::some(self.ends(queue).active)
    }

    /// The segment takes no more items, if it was the one that did.
    pub(crate) fn seal(&mut self, id: SegmentId) {
        let ends = self.ends_mut(self.at(id).queue);
        if ends.active == id.0 {
            ends.active = NONE;
        }
    }

    /// Makes a segment at the tail of another queue the one that takes items.
    pub(crate) fn activate(&mut self, id: SegmentId, queue: Queue) {
        self.unlink(id);
        self.link(id, queue);
        self.ends_mut(queue).active = id.0;
    }

    /// Puts a segment at the tail of a queue.
    pub(crate) fn requeue(&mut self, id: SegmentId, queue: Queue) {
        self.unlink(id);
        self.link(id, queue);
    }

    /// The active segment of a queue, if `len` more bytes fit, and where.
    pub(crate) fn open_place(&self, queue: Queue, len: usize) -> Option<(SegmentId, u32)> {
        let id = self.active(queue)?;
        let segment = self.at(id);
        (segment.used as usize + len <= segment.data.len()).then_some((id, segment.used))
    }

    /// Bytes that [`Segments::allocate`] needs; `None` when the numbers are used up.
    pub(crate) fn charge_of(&self, item_len: usize, geometry: &Geometry) -> Option<u64> {
        let is_possible = self.free != NONE || self.list.len() <= geometry.segments_max;
        is_possible.then(|| charge(geometry.segment_len_for(item_len)))
    }

    /// Allocates a segment at the tail of a queue: one that items share, or for an item that is
    /// longer than items that share are, one of just its length.
    ///
    /// The caller has reserved [`Segments::charge_of`].
    pub(crate) fn allocate(
        &mut self,
        queue: Queue,
        item_len: usize,
        geometry: &Geometry,
    ) -> SegmentId {
        let len = geometry.segment_len_for(item_len);
        let is_shared = item_len <= geometry.shared_item_max;
        let segment = Segment::new(vec![0; len].into_boxed_slice(), is_shared);
        let id = match SegmentId::some(self.free) {
            Some(id) => {
                self.free = self.at(id).newer;
                *self.at_mut(id) = segment;
                id
            }
            None => {
                self.list.push(segment);
                SegmentId(u32::try_from(self.last_number()).expect("segments_max is below 2^32"))
            }
        };
        self.link(id, queue);
        if is_shared {
            self.ends_mut(queue).active = id.0;
        }
        id
    }

    /// Frees a segment without live items; returns the bytes that it had.
    pub(crate) fn free(&mut self, id: SegmentId) -> u64 {
        debug_assert_eq!(self.at(id).items, 0, "its items would be lost");
        self.seal(id);
        self.unlink(id);
        let segment = self.at(id);
        let (bytes, dead) = (charge(segment.data.len()), segment.dead());
        self.dead -= dead;
        let free = self.free;
        let segment = self.at_mut(id);
        *segment = Segment::new(Box::default(), false);
        segment.newer = free;
        self.free = id.0;
        bytes
    }

    /// Starts a segment without live items over.
    pub(crate) fn rewind(&mut self, id: SegmentId) {
        self.dead -= self.at(id).dead();
        let segment = self.at_mut(id);
        debug_assert_eq!(segment.items, 0, "its items would be lost");
        (segment.used, segment.live, segment.scan_at) = (0, 0, u32::MAX);
    }

    /// The segment now has these items only, from its start on.
    pub(crate) fn compacted(&mut self, id: SegmentId, items: u32, used: usize, scan_at: u32) {
        self.dead -= self.at(id).dead();
        let segment = self.at_mut(id);
        let used = u32::try_from(used).expect("a segment is below 4 GiB");
        (segment.used, segment.live) = (used, used);
        (segment.items, segment.scan_at) = (items, scan_at);
    }

    /// An item was appended.
    pub(crate) fn added(&mut self, id: SegmentId, len: usize, exptime: u32) {
        let segment = self.at_mut(id);
        let len = u32::try_from(len).expect("an item fits its segment");
        segment.used += len;
        segment.live += len;
        segment.items += 1;
        segment.expires(exptime);
    }

    /// An item is dead.
    pub(crate) fn removed(&mut self, id: SegmentId, len: usize) {
        let segment = self.at_mut(id);
        segment.live -= u32::try_from(len).expect("an item fits its segment");
        segment.items -= 1;
        self.dead += len as u64;
    }

    fn link(&mut self, id: SegmentId, queue: Queue) {
        let bytes = charge(self.at(id).data.len());
        let ends = self.ends_mut(queue);
        ends.bytes += bytes;
        let older = core::mem::replace(&mut ends.newest, id.0);
        if older == NONE {
            ends.oldest = id.0;
        }
        let segment = self.at_mut(id);
        (segment.queue, segment.older, segment.newer) = (queue, older, NONE);
        if older != NONE {
            self.at_mut(SegmentId(older)).newer = id.0;
        }
    }

    fn unlink(&mut self, id: SegmentId) {
        let segment = self.at(id);
        let (queue, older, newer) = (segment.queue, segment.older, segment.newer);
        let bytes = charge(segment.data.len());
        let ends = self.ends_mut(queue);
        ends.bytes -= bytes;
        if ends.oldest == id.0 {
            ends.oldest = newer;
        }
        if ends.newest == id.0 {
            ends.newest = older;
        }
        if older != NONE {
            self.at_mut(SegmentId(older)).newer = newer;
        }
        if newer != NONE {
            self.at_mut(SegmentId(newer)).older = older;
        }
    }

    fn ends(&self, queue: Queue) -> &Ends {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    fn ends_mut(&mut self, queue: Queue) -> &mut Ends {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }
}

impl Segment {
    fn new(data: Box<[u8]>, is_shared: bool) -> Self {
        Self {
            data,
            used: 0,
            live: 0,
            items: 0,
            scan_at: u32::MAX,
            queue: Queue::Small,
            is_shared,
            older: NONE,
            newer: NONE,
        }
    }

    /// Bytes of dead items.
    pub(crate) fn dead(&self) -> u64 {
        u64::from(self.used - self.live)
    }

    /// One of its items ends at this second; 0 for never.
    pub(crate) fn expires(&mut self, exptime: u32) {
        if exptime != 0 {
            self.scan_at = self.scan_at.min(exptime);
        }
    }
}

/// Bytes that a segment takes: its data, and its place in the list, of which a growing `Vec` may
/// have two.
pub(crate) fn charge(len: usize) -> u64 {
    alloc::charge(len) + 2 * size_of::<Segment>() as u64
}

#[cfg(test)]
impl Segments {
    /// Asserts that a queue is well linked; returns the bytes of its segments.
    pub(crate) fn check(&self, queue: Queue) -> u64 {
        let ends = self.ends(queue);
        let (mut bytes, mut older, mut at) = (0, NONE, ends.oldest);
        let mut is_active_seen = ends.active == NONE;
        while at != NONE {
            let segment = self.at(SegmentId(at));
            assert_eq!((segment.queue, segment.older), (queue, older), "segment {at}");
            bytes += charge(segment.data.len());
            is_active_seen |= at == ends.active;
            (older, at) = (at, segment.newer);
        }
        assert_eq!((older, bytes), (ends.newest, ends.bytes), "{queue:?}");
        assert!(is_active_seen, "the active segment is in its queue");
        bytes
    }
}
