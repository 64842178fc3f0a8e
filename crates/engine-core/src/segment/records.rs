//! Records in segments: where they go, their parts and their extents.

use super::{NONE, Queue, SegmentId, Segments, charge};
use crate::geometry::Geometry;
use crate::item::Header;

/// A record starts in the rest of a segment when this many bytes of its value fit there too.
const START_VALUE_LEN: usize = 64;

/// What appending a record takes: see [`Segments::plan`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    queue: Queue,
    /// The record starts in the active segment.
    starts_in_active: bool,
    /// Length of the new segment that it starts or goes on in; 0 for none.
    new_len: usize,
    extents: usize,
    extent_len: usize,
}

impl Plan {
    /// Bytes to reserve.
    pub(crate) fn charge(&self) -> u64 {
        let segment = if self.new_len > 0 { charge(self.new_len) } else { 0 };
        segment + self.extents as u64 * charge(self.extent_len)
    }
}

impl Segments {
    /// What it takes to append a record to a queue, in a store that is held to `memory_max`; `None` when
    /// the numbers are used up.
    pub(crate) fn plan(
        &self,
        queue: Queue,
        header: &Header,
        (geometry, memory_max): (&Geometry, u64),
    ) -> Option<Plan> {
        let len = header.record_len();
        let room = self.open_place(queue).map_or(0, |(_, _, room)| room);
        let starts_in_active = is_start(room, header);
        let rest = if starts_in_active { len.saturating_sub(room) } else { len };
        let new_len = match rest {
            0 => 0,
            rest => {
                geometry.new_segment_len(self.bytes(), memory_max).max(rest.next_power_of_two())
            }
        };
        let extents_bytes = header.extents.bytes as usize;
        let extent_len = geometry.extent_len(extents_bytes);
        let extents = extents_bytes / extent_len;
        let numbers = self.free_count + (geometry.segments_max - self.last_number());
        let plan = Plan { queue, starts_in_active, new_len, extents, extent_len };
        (extents < numbers).then_some(plan)
    }

    /// Appends room for a record as planned, and counts it; returns where it starts.
    ///
    /// The caller has reserved [`Plan::charge`]. Fills in where the extents are.
    pub(crate) fn append(&mut self, header: &mut Header, plan: Plan) -> (SegmentId, usize) {
        let len = header.record_len();
        let (mut start, mut rest) = (None, len);
        if plan.starts_in_active {
            let id = SegmentId(self.ends(plan.queue).active);
            start = Some((id, self.at(id).used as usize));
            rest -= self.extend(id, rest);
        }
        if plan.new_len > 0 {
            let id = self.allocate(plan.new_len);
            self.link(id, plan.queue);
            self.ends_mut(plan.queue).active = id.0;
            let part = self.extend(id, rest);
            rest -= part;
            match start {
                Some((first, _)) => self.cross(first, id, part),
                None => start = Some((id, 0)),
            }
        }
        debug_assert_eq!(rest, 0, "the plan was made for this record");
        let (id, offset) = start.expect("a record has a first segment");
        header.extents.first = self.add_extents(plan);
        self.at_mut(id).add_item(header.exptime);
        (id, offset)
    }

    /// Appends a record of one part to the active segment, which has room for it.
    pub(crate) fn append_whole(&mut self, id: SegmentId, header: &Header) {
        self.extend(id, header.record_len());
        self.at_mut(id).add_item(header.exptime);
    }

    /// Appends the first part of a record to the active segment, all of whose room it takes; the
    /// rest, `rest` bytes, is at the start of `next`.
    pub(crate) fn append_part(
        &mut self,
        id: SegmentId,
        header: &Header,
        (next, rest): (SegmentId, usize),
    ) {
        let room = self.at(id).room();
        self.extend(id, room);
        self.at_mut(id).add_item(header.exptime);
        self.cross(id, next, rest);
    }

    /// The part of a record that lies in the segment where it starts, in bytes.
    #[inline]
    pub(crate) fn first_len(&self, id: SegmentId, offset: usize, header: &Header) -> usize {
        header.record_len().min(self.at(id).used as usize - offset)
    }

    /// Where the record that crosses the end of this segment goes on; of an extent the next one.
    pub(crate) fn next_part(&self, id: SegmentId) -> Option<SegmentId> {
        SegmentId::some(self.at(id).continues)
    }

    /// Writes the value of a record into its parts and extents.
    pub(crate) fn write_value(
        &mut self,
        (id, offset): (SegmentId, usize),
        header: &Header,
        value: &[u8],
    ) {
        let (inline, extents) = value.split_at(header.inline_len());
        let start = offset + header.value_start();
        let first_len = inline.len().min(self.at(id).used as usize - start);
        let (first, rest) = inline.split_at(first_len);
        self.at_mut(id).data[start..][..first_len].copy_from_slice(first);
        if !rest.is_empty() {
            let id = self.next_part(id).expect("the record has room for its value");
            self.at_mut(id).data[..rest.len()].copy_from_slice(rest);
        }
        let mut next = SegmentId::some(header.extents.first);
        let mut extents = extents;
        while let Some(id) = next {
            let segment = self.at_mut(id);
            let (part, after) = extents.split_at(segment.data.len());
            segment.data.copy_from_slice(part);
            (next, extents) = (self.next_part(id), after);
        }
        debug_assert!(extents.is_empty(), "the record has room for its value");
    }

    /// The record that crosses the end of this segment is dead; returns where its rest was.
    pub(crate) fn kill_rest(&mut self, id: SegmentId) -> Option<SegmentId> {
        let next = SegmentId::some(core::mem::take(&mut self.at_mut(id).continues))?;
        let segment = self.at_mut(next);
        let rest = core::mem::take(&mut segment.head_len);
        segment.live -= rest;
        self.dead += u64::from(rest);
        Some(next)
    }

    /// Moves as much of the rest of the record that crosses this segment's end as there is room
    /// for to that end. Returns the segment of the rest when nothing of it is left there.
    ///
    /// `data` is the segment's, which its owner has taken out; `used` of it is in use.
    pub(crate) fn pull_rest(
        &mut self,
        id: SegmentId,
        data: &mut [u8],
        used: &mut usize,
    ) -> Option<SegmentId> {
        let next = self.next_part(id)?;
        let source = self.at_mut(next);
        let head_len = source.head_len as usize;
        let part = head_len.min(data.len() - *used);
        data[*used..][..part].copy_from_slice(&source.data[..part]);
        *used += part;
        source.data.copy_within(part..head_len, 0);
        let bytes = u32::try_from(part).expect("a segment is below 4 GiB");
        source.head_len -= bytes;
        source.live -= bytes;
        let is_whole = source.head_len == 0;
        self.dead += u64::from(bytes);
        if is_whole {
            self.at_mut(id).continues = NONE;
        }
        is_whole.then_some(next)
    }

    /// A live record of a segment is dead, of which this many bytes lie there.
    pub(crate) fn removed(&mut self, id: SegmentId, first_len: usize) {
        let segment = self.at_mut(id);
        segment.live -= u32::try_from(first_len).expect("a segment is below 4 GiB");
        segment.items -= 1;
        self.dead += first_len as u64;
    }

    /// Frees the extents of a record in this queue; returns the bytes that they had.
    pub(crate) fn free_extents(&mut self, queue: Queue, header: &Header) -> u64 {
        let mut bytes = 0;
        let mut next = SegmentId::some(header.extents.first);
        while let Some(id) = next {
            next = self.next_part(id);
            bytes += self.free_number(id);
        }
        self.ends_mut(queue).bytes -= bytes;
        bytes
    }

    /// Bytes that the extents of a record take.
    pub(crate) fn extents_charge(&self, header: &Header) -> u64 {
        SegmentId::some(header.extents.first).map_or(0, |first| {
            let len = self.at(first).data.len();
            (header.extents.bytes as usize / len) as u64 * charge(len)
        })
    }

    /// Records with so many bytes of extents move from one queue to another.
    pub(crate) fn move_extents(&mut self, (from, to): (Queue, Queue), bytes: u64) {
        self.ends_mut(from).bytes -= bytes;
        self.ends_mut(to).bytes += bytes;
    }

    /// The rest of the record that crosses the end of `id` is the first `len` bytes of `next`.
    pub(crate) fn cross(&mut self, id: SegmentId, next: SegmentId, len: usize) {
        self.at_mut(id).continues = next.0;
        let len = u32::try_from(len).expect("a segment is below 4 GiB");
        let next = self.at_mut(next);
        (next.head_len, next.records_at) = (len, len);
    }

    /// Uses as much of a segment's room as `len` bytes need; returns how much.
    fn extend(&mut self, id: SegmentId, len: usize) -> usize {
        let segment = self.at_mut(id);
        let part = len.min(segment.room());
        let bytes = u32::try_from(part).expect("a segment is below 4 GiB");
        segment.used += bytes;
        segment.live += bytes;
        part
    }

    /// New extents in a chain; returns the first, or `NONE`.
    fn add_extents(&mut self, plan: Plan) -> u32 {
        let mut first = NONE;
        for _ in 0..plan.extents {
            let id = self.allocate(plan.extent_len);
            let segment = self.at_mut(id);
            segment.is_extent = true;
            segment.continues = core::mem::replace(&mut first, id.0);
            self.ends_mut(plan.queue).bytes += charge(plan.extent_len);
        }
        first
    }
}

/// Whether a record may start in this much room: all of it, or enough that header, key and some
/// of the value are together.
pub(crate) fn is_start(room: usize, header: &Header) -> bool {
    room >= header.record_len().min(header.value_start() + START_VALUE_LEN)
}

#[cfg(test)]
impl Segments {
    /// The extents of a record, as numbers.
    pub(crate) fn extents(&self, header: &Header) -> Vec<u32> {
        let first = SegmentId::some(header.extents.first);
        core::iter::successors(first, |id| self.next_part(*id)).map(|id| id.0).collect()
    }
}
