//! Segments: blocks of memory, all of one length in the long run, that items are appended to.
//!
//! A record that does not fit the rest of its segment goes on at the start of the next one, and
//! a value that is longer than a segment has whole segments of its own, its extents. So nothing
//! is left unused, no item needs a block of another length, and the allocator has nothing to
//! fragment. A record is in at most two parts; header and key are in the first.
//!
//! ```text
//! segment A  | record | dead | record | record, first part |    A.continues = B
//! segment B  | its rest | record | free room               |    B.head_len = length of the rest
//! ```
//!
//! Eviction takes whole segments from the heads of two queues: see `evict`. Extents are in no
//! queue; they go with the record that has them.

mod records;

pub(crate) use records::is_start;

use crate::alloc;

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

    pub(crate) fn some(number: u32) -> Option<Self> {
        (number != NONE).then_some(Self(number))
    }
}

/// Which queue a segment is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Items on probation: a tenth of the memory.
    #[default]
    Small,
    /// Items that were accessed again.
    Main,
    /// Items of slots that are held as copies; nothing is evicted from here.
    Copies,
}

#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) data: Box<[u8]>,
    /// Bytes in use from the start.
    pub(crate) used: u32,
    /// Bytes of live records and parts of records; at most `used`.
    pub(crate) live: u32,
    /// Live records that start here.
    pub(crate) items: u32,
    /// Unix second from which on looking for expired items is worth it; `u32::MAX` for never.
    pub(crate) scan_at: u32,
    /// Bytes at the start that are the rest of a record of another segment; 0 when that is dead.
    pub(crate) head_len: u32,
    /// Where the first record starts; at least `head_len`.
    pub(crate) records_at: u32,
    /// Where the record that crosses the end goes on; of an extent the next one.
    continues: u32,
    /// Neighbour towards the queue's head.
    older: u32,
    /// Neighbour towards the queue's tail; next free number where the segment is free.
    newer: u32,
    queue: Queue,
    pub(crate) is_extent: bool,
    /// In the queue of copies: some of its items may be the node's own.
    pub(crate) is_mixed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    oldest: u32,
    newest: u32,
    /// The segment that records are appended to.
    active: u32,
    /// Bytes charged for its segments, and for the extents of the records in them.
    bytes: u64,
}

/// The segments of one shard.
#[derive(Debug)]
pub(crate) struct Segments {
    /// By number; the first is never used.
    list: Vec<Segment>,
    free: u32,
    free_count: usize,
    small: Ends,
    main: Ends,
    copies: Ends,
    /// Bytes of dead records in all segments.
    pub(crate) dead: u64,
}

impl Segments {
    pub(crate) fn new() -> Self {
        let [small, main, copies] = [Ends::default(); 3];
        let list = vec![Segment::default()];
        Self { list, free: NONE, free_count: 0, small, main, copies, dead: 0 }
    }

    #[inline]
    pub(crate) fn at(&self, id: SegmentId) -> &Segment {
        &self.list[id.0 as usize]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, id: SegmentId) -> &mut Segment {
        &mut self.list[id.0 as usize]
    }

    /// Numbers up to this one have been in use.
    pub(crate) fn last_number(&self) -> usize {
        self.list.len() - 1
    }

    /// The segment of records with this number, if there is one.
    pub(crate) fn with_records(&self, number: usize) -> Option<(SegmentId, &Segment)> {
        let segment = self.list.get(number)?;
        let has_records = !segment.data.is_empty() && !segment.is_extent;
        has_records.then_some((SegmentId(u32::try_from(number).ok()?), segment))
    }

    /// All segments of records.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SegmentId, &Segment)> {
        (1..self.list.len()).filter_map(|number| self.with_records(number))
    }

    /// Bytes charged for a queue.
    pub(crate) fn queue_bytes(&self, queue: Queue) -> u64 {
        self.ends(queue).bytes
    }

    /// Bytes charged for all queues.
    pub(crate) fn bytes(&self) -> u64 {
        self.small.bytes + self.main.bytes + self.copies.bytes
    }

    pub(crate) fn oldest(&self, queue: Queue) -> Option<SegmentId> {
        SegmentId::some(self.ends(queue).oldest)
    }

    /// Segments of a queue; counts them.
    pub(crate) fn len_of(&self, queue: Queue) -> usize {
        let oldest = self.oldest(queue);
        core::iter::successors(oldest, |id| SegmentId::some(self.at(*id).newer)).count()
    }

    /// The oldest segment of the queue of copies, where some of its items may be the node's own.
    pub(crate) fn oldest_mixed(&self) -> Option<SegmentId> {
        // New ones and those that were emptied go to the tail, and are not mixed.
        self.oldest(Queue::Copies).filter(|id| self.at(*id).is_mixed)
    }

    /// Segments are to be looked through for expired items at once, and those of copies for some
    /// that are no copies.
    pub(crate) fn scan_all(&mut self) {
        for segment in self.list.iter_mut().filter(|segment| !segment.data.is_empty()) {
            segment.scan_at = 0;
            segment.is_mixed = segment.queue == Queue::Copies;
        }
    }

    /// Whether records are appended to this segment.
    pub(crate) fn is_active(&self, id: SegmentId) -> bool {
        self.ends(self.at(id).queue()).active == id.0
    }

    /// The segment takes no more records.
    pub(crate) fn seal(&mut self, id: SegmentId) {
        let ends = self.ends_mut(self.at(id).queue());
        if ends.active == id.0 {
            ends.active = NONE;
        }
    }

    /// Makes a segment the one that a queue's records are appended to, at its tail.
    pub(crate) fn activate(&mut self, id: SegmentId, queue: Queue) {
        self.unlink(id);
        self.link(id, queue);
        self.ends_mut(queue).active = id.0;
    }

    /// The active segment of a queue, where its free room starts and how long that is.
    pub(crate) fn open_place(&self, queue: Queue) -> Option<(SegmentId, usize, usize)> {
        let id = SegmentId::some(self.ends(queue).active)?;
        let segment = self.at(id);
        Some((id, segment.used as usize, segment.room()))
    }

    /// Frees a segment without live records; returns the bytes that it had.
    pub(crate) fn free(&mut self, id: SegmentId) -> u64 {
        debug_assert!(self.at(id).is_unused(), "its records would be lost");
        self.seal(id);
        self.unlink(id);
        self.dead -= self.at(id).dead();
        self.free_number(id)
    }

    /// The segment now has its head and these records only.
    pub(crate) fn compacted(&mut self, id: SegmentId, items: u32, used: usize, scan_at: u32) {
        self.dead -= self.at(id).dead();
        let segment = self.at_mut(id);
        let used = u32::try_from(used).expect("a segment is below 4 GiB");
        (segment.used, segment.live) = (used, used);
        (segment.items, segment.scan_at) = (items, scan_at);
        segment.is_mixed = false;
        segment.records_at = segment.head_len;
    }

    /// A new segment in no queue yet.
    fn allocate(&mut self, len: usize) -> SegmentId {
        let data = vec![0; len].into_boxed_slice();
        let segment = Segment { data, scan_at: u32::MAX, ..Segment::default() };
        match SegmentId::some(self.free) {
            Some(id) => {
                self.free = self.at(id).newer;
                self.free_count -= 1;
                *self.at_mut(id) = segment;
                id
            }
            None => {
                self.list.push(segment);
                SegmentId(u32::try_from(self.last_number()).expect("segments_max is below 2^32"))
            }
        }
    }

    fn free_number(&mut self, id: SegmentId) -> u64 {
        let segment = core::mem::take(self.at_mut(id));
        self.at_mut(id).newer = self.free;
        self.free = id.0;
        self.free_count += 1;
        charge(segment.data.len())
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
        let (queue, older, newer) = (segment.queue(), segment.older, segment.newer);
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
            Queue::Copies => &self.copies,
        }
    }

    fn ends_mut(&mut self, queue: Queue) -> &mut Ends {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
            Queue::Copies => &mut self.copies,
        }
    }
}

impl Segment {
    pub(crate) fn queue(&self) -> Queue {
        self.queue
    }

    /// Neither a record that starts here nor the rest of another is alive.
    pub(crate) fn is_unused(&self) -> bool {
        self.items == 0 && self.head_len == 0
    }

    /// Bytes of dead records.
    pub(crate) fn dead(&self) -> u64 {
        u64::from(self.used - self.live)
    }

    /// One of its items ends at this second; 0 for never.
    pub(crate) fn expires(&mut self, exptime: u32) {
        if exptime != 0 {
            self.scan_at = self.scan_at.min(exptime);
        }
    }

    /// Bytes that records can still be appended to.
    fn room(&self) -> usize {
        if self.continues == NONE { self.data.len() - self.used as usize } else { 0 }
    }

    fn add_item(&mut self, exptime: u32) {
        self.items += 1;
        self.expires(exptime);
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
            assert_eq!((segment.queue(), segment.older), (queue, older), "segment {at}");
            bytes += charge(segment.data.len());
            is_active_seen |= at == ends.active;
            (older, at) = (at, segment.newer);
        }
        assert_eq!(older, ends.newest, "{queue:?}");
        assert!(is_active_seen, "the active segment is in its queue");
        bytes
    }
}
