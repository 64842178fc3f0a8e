//! Eviction, after S3-FIFO (Yang et al., SOSP 2023), with segments in place of objects.
//!
//! New items go to the small queue, a tenth of the memory. Its oldest segment is emptied: items
//! that were accessed meanwhile move to the main queue, the others go and are remembered for a
//! while (the ghost), so that one that comes back goes to the main queue at once. The oldest
//! segment of the main queue is emptied likewise, but an accessed item goes back to its tail with
//! one access less. Items move by copying them to the active segment of the main queue; what does
//! not fit there slides to the start of its own segment, which then becomes the active one. So
//! moving needs no memory and cannot fail. Extents stay where they are.
//!
//! Items of slots that are held as copies have a queue of their own, from which nothing goes. They
//! get there when they are stored or when their segment is emptied; items that are no copies any
//! more get to the main queue likewise.

use super::{Env, Removal, Shard, Spot};
use crate::geometry::Home;
use crate::ghost::Ghost;
use crate::item::{Header, mark};
use crate::segment::{Queue, SegmentId, is_start};
use crate::stats::Maintained;
use crate::time::Now;

/// The small queue's part of the segments' bytes.
const SMALL_DIVISOR: u64 = 10;
/// Accesses that move an item from the small queue to the main queue.
const PROMOTION_FREQUENCY: u8 = 1;
/// Dead bytes in a shard, as a part of all, that make compacting better than evicting.
const DEAD_DIVISOR: u64 = 16;
/// The ghost takes at most this part of the shard's memory.
const GHOST_DIVISOR: u64 = 32;

/// How hard to evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Items that were accessed stay.
    Normal,
    /// Nothing stays: many steps have not made enough room.
    Hard,
}

/// What becomes of a live item of a segment that is emptied.
pub(super) enum Fate {
    Goes(Removal),
    /// Stays, in this queue.
    Stays(Queue),
}

/// A segment that is being emptied: its bytes, taken out of the shard meanwhile.
struct Emptying {
    id: SegmentId,
    data: Box<[u8]>,
    /// Bytes in use; a record that crosses the segment's end ends here.
    used: usize,
    /// The queue that it goes to if something stays in it.
    queue: Queue,
    /// What is before here stays in this segment.
    kept_len: usize,
    kept_items: u32,
    /// Bytes of the extents of these, which are in the segment's queue until it has another.
    kept_extents: u64,
    /// One of these is the node's own.
    has_own: bool,
    scan_at: u32,
}

impl Shard {
    /// Empties one segment, or a few expired ones: first what is expired, then what is mostly
    /// dead, then, where the store cannot be given more, what S3-FIFO would evict. `false` when the shard has nothing.
    ///
    /// Walks at most a few segments. It frees memory or makes room in an active segment; calling
    /// it again and again ends with an empty shard, or one that has items of copies only.
    pub(crate) fn evict_step(&mut self, env: &Env, now: Now, pressure: Pressure) -> bool {
        let before = self.charged;
        if self.next_scan <= now.unix_secs() {
            self.expire_step(env, now);
            if self.charged < before {
                return true;
            }
        }
        if self.compact_step(env, now).is_some() {
            return true;
        }
        let has_sorted = self.sort_step(env, now);
        // A live item would go now.
        if env.budget.grow() {
            return true;
        }
        let Some(id) = self.victim() else { return has_sorted };
        let queue = self.segments.at(id).queue();
        self.empty(env, id, now, |_, header| fate(queue, header, pressure));
        self.grow_ghost(env);
        true
    }

    /// The same; the bytes that it has given back.
    pub(crate) fn evict_for_room(&mut self, env: &Env, now: Now, pressure: Pressure) -> u64 {
        let before = self.charged;
        self.evict_step(env, now, pressure);
        before.saturating_sub(self.charged)
    }

    /// An eviction step because the limit was lowered.
    pub(crate) fn shed(&mut self, env: &Env, now: Now) -> Maintained {
        let before = self.counts;
        let has_evicted = self.evict_step(env, now, Pressure::Normal);
        Maintained {
            expired: self.counts.expired - before.expired,
            evicted: self.counts.evicted - before.evicted,
            scanned_bytes: if has_evicted { env.geometry.segment_len as u64 } else { 0 },
            is_behind: false,
        }
    }

    /// Whether collecting dead items would give much memory back.
    pub(crate) fn is_sparse(&self, env: &Env) -> bool {
        // With this much in segments that are not active, one of them is a quarter dead.
        let least = (4 * env.geometry.segment_len as u64).max(self.charged / 2);
        self.segments.dead > least
    }

    /// Collects the dead items of one segment; returns the bytes walked.
    pub(super) fn compact_step(&mut self, env: &Env, now: Now) -> Option<u64> {
        let id = self.sparse_segment(env)?;
        let (queue, used) = (self.segments.at(id).queue(), self.segments.at(id).used);
        self.empty(env, id, now, |_, _| Fate::Stays(queue));
        Some(u64::from(used))
    }

    /// Moves what is no copy any more out of one segment of copies; `false` when there is none.
    pub(super) fn sort_step(&mut self, env: &Env, now: Now) -> bool {
        self.settle_promoted();
        let mixed = self.segments.oldest_mixed();
        if let Some(id) = mixed {
            self.empty(env, id, now, |_, _| Fate::Stays(Queue::Main));
        }
        mixed.is_some()
    }

    /// The segment that S3-FIFO empties next.
    fn victim(&self) -> Option<SegmentId> {
        if !self.has_own() {
            return None;
        }
        let [first, second] = self.victim_queues();
        self.segments.oldest(first).or_else(|| self.segments.oldest(second))
    }

    /// The queues that S3-FIFO evicts from, that whose turn it is first.
    pub(super) fn victim_queues(&self) -> [Queue; 2] {
        let small = self.segments.queue_bytes(Queue::Small);
        let all = small + self.segments.queue_bytes(Queue::Main);
        match small * SMALL_DIVISOR > all {
            true => [Queue::Small, Queue::Main],
            false => [Queue::Main, Queue::Small],
        }
    }

    /// The segment with the most dead bytes, where dead bytes are worth collecting.
    fn sparse_segment(&self, env: &Env) -> Option<SegmentId> {
        let least = (2 * env.segment_len() as u64).max(self.charged / DEAD_DIVISOR);
        if self.segments.dead < least {
            return None;
        }
        let sparse = self.segments.iter().filter(|(id, segment)| {
            !self.segments.is_active(*id) && segment.live / 3 <= segment.used / 4
        });
        sparse.max_by_key(|(_, segment)| segment.dead()).map(|(id, _)| id)
    }

    /// Decides over every live item of a segment by its slot and header; frees the segment if none
    /// stays in it. Items of copies stay anyhow.
    pub(super) fn empty(
        &mut self,
        env: &Env,
        id: SegmentId,
        now: Now,
        mut decide: impl FnMut(usize, &mut Header) -> Fate,
    ) {
        self.segments.seal(id);
        let segment = self.segments.at_mut(id);
        let (used, kept_len) = (segment.used as usize, segment.head_len as usize);
        let mut offset = segment.records_at as usize;
        // The rest of a record that starts elsewhere stays; it goes when that does.
        let queue = match segment.queue() {
            Queue::Small if kept_len > 0 => Queue::Main,
            queue => queue,
        };
        let data = core::mem::take(&mut segment.data);
        let mut emptying = Emptying {
            id,
            data,
            used,
            queue,
            kept_len,
            kept_items: 0,
            kept_extents: 0,
            has_own: false,
            scan_at: u32::MAX,
        };
        while offset < used {
            let bytes = &emptying.data[offset..];
            let mut header = Header::read(bytes);
            let len = header.record_len();
            if !header.has(mark::DEAD) {
                let spot = self.spot(env, (&emptying, offset), &header);
                let fate = match (self.roles.is_copy(spot.slot), header.is_expired(now)) {
                    (true, _) => Fate::Stays(Queue::Copies),
                    (false, true) => Fate::Goes(Removal::ExpiredInBackground),
                    (false, false) => decide(spot.slot, &mut header),
                };
                let spot = Spot { header, ..spot };
                match fate {
                    Fate::Goes(why) => self.drop_item(env, &emptying, &spot, why),
                    Fate::Stays(queue) => self.keep_item(env, &mut emptying, &spot, queue),
                }
            }
            offset += len;
        }
        self.finish(env, emptying);
    }

    /// An item of the segment goes.
    fn drop_item(&mut self, env: &Env, from: &Emptying, spot: &Spot, why: Removal) {
        let Spot { offset, header, .. } = spot;
        let key = header.key(&from.data[*offset..]);
        self.advance_removed_key(spot.slot, key);
        self.tables[spot.table].remove(spot.position);
        self.shrink_table(env, spot.table);
        self.counts.removed(header, why);
        self.counts.bytes -= header.item_len();
        self.free_extents(env, from.id, header);
        if header.record_len() > from.used - offset {
            self.kill_rest(env, from.id);
        }
        if why == Removal::Evicted && self.segments.at(from.id).queue() == Queue::Small {
            self.ghost.insert(env.seed.hash(key));
        }
    }

    /// An item of the segment moves to the active segment of a queue, or to the segment's start.
    fn keep_item(&mut self, env: &Env, from: &mut Emptying, spot: &Spot, queue: Queue) {
        let header = &spot.header;
        // Only an item of a copy may lie among those of copies.
        let is_copy = self.roles.is_copy(spot.slot);
        let queue = if queue == Queue::Copies && !is_copy { Queue::Main } else { queue };
        header.write(&mut from.data[spot.offset..]);
        let extents = self.segments.extents_charge(header);
        let move_to = (self.segments.at(from.id).queue(), queue);
        let (offset, is_whole) = self.gather(env, (from, spot.offset), header);
        let len = header.record_len();
        let loc = match self.segments.open_place(queue) {
            Some((to, at, room)) if is_whole && room >= len => {
                let target = &mut self.segments.at_mut(to).data[at..][..len];
                target.copy_from_slice(&from.data[offset..][..len]);
                self.segments.append_whole(to, header);
                self.segments.move_extents(move_to, extents);
                env.geometry.loc(to, at)
            }
            Some((to, at, room)) if is_whole && from.kept_len == 0 && is_start(room, header) => {
                let target = &mut self.segments.at_mut(to).data[at..];
                target.copy_from_slice(&from.data[offset..][..room]);
                from.data.copy_within(offset + room..offset + len, 0);
                from.kept_len = len - room;
                from.queue = queue;
                self.segments.append_part(to, header, (from.id, len - room));
                self.segments.move_extents(move_to, extents);
                env.geometry.loc(to, at)
            }
            _ => {
                let at = from.kept_len;
                let part = len.min(from.used - offset);
                if at != offset {
                    from.data.copy_within(offset..offset + part, at);
                }
                from.kept_len += part;
                from.kept_items += 1;
                from.kept_extents += extents;
                if !is_copy || !from.has_own {
                    from.queue = queue;
                }
                from.has_own |= !is_copy;
                if header.exptime != 0 {
                    from.scan_at = from.scan_at.min(header.exptime);
                }
                env.geometry.loc(from.id, at)
            }
        };
        self.tables[spot.table].relocate(spot.position, loc);
        if header.exptime != 0 {
            // The segment that it leaves may have waited until more would expire.
            self.next_scan = self.next_scan.min(header.exptime);
        }
    }

    /// Brings as much of a record that crosses the end of its segment together as there is room
    /// for behind what stays. Says where the record starts now, and whether all of it is there.
    fn gather(
        &mut self,
        env: &Env,
        (from, offset): (&mut Emptying, usize),
        header: &Header,
    ) -> (usize, bool) {
        let first_len = from.used - offset;
        if header.record_len() <= first_len {
            return (offset, true);
        }
        let start = from.kept_len;
        from.data.copy_within(offset..from.used, start);
        from.used = start + first_len;
        let emptied = self.segments.pull_rest(from.id, &mut from.data, &mut from.used);
        if let Some(next) = emptied {
            self.free_unused(env, next);
        }
        (start, emptied.is_some())
    }

    /// Where the table has a live item of the segment.
    fn spot(&self, env: &Env, (from, offset): (&Emptying, usize), header: &Header) -> Spot {
        self.spot_of(env, (from.id, offset), header, &from.data[offset..])
    }

    /// Where the table has the live item that `bytes` start with.
    pub(super) fn spot_of(
        &self,
        env: &Env,
        (segment, offset): (SegmentId, usize),
        header: &Header,
        bytes: &[u8],
    ) -> Spot {
        let Home { slot, table, tag } = env.geometry.home(env.seed.hash(header.key(bytes)));
        let loc = env.geometry.loc(segment, offset);
        let position = self.tables[table].find(tag, |other| other == loc);
        let position = position.expect("a live item is in its table");
        Spot { slot, table, position, segment, offset, header: *header }
    }

    /// Puts what is left of the segment back.
    fn finish(&mut self, env: &Env, from: Emptying) {
        let Emptying { id, data, queue, kept_len, kept_items, kept_extents, scan_at, .. } = from;
        self.segments.at_mut(id).data = data;
        self.segments.compacted(id, kept_items, kept_len, scan_at);
        if self.segments.at(id).is_unused() {
            self.free_segment(env, id);
        } else {
            self.segments.move_extents((self.segments.at(id).queue(), queue), kept_extents);
            self.segments.activate(id, queue);
        }
    }

    /// Lets the ghost remember as many keys as there are items, if there is memory for it.
    fn grow_ghost(&mut self, env: &Env) {
        let items = usize::try_from(self.counts.items).unwrap_or(usize::MAX);
        if self.ghost.capacity() >= items / 2 {
            return;
        }
        let bytes = Ghost::charge_of(items);
        if bytes <= self.charged / GHOST_DIVISOR && env.budget.try_reserve(bytes) {
            self.charged += bytes;
            let before = self.ghost.charge();
            self.ghost.resize(items);
            self.release(env, before);
        }
    }
}

/// S3-FIFO's decision over an item at the head of its queue.
pub(super) fn fate(queue: Queue, header: &mut Header, pressure: Pressure) -> Fate {
    let is_kept = match queue {
        Queue::Small => header.frequency >= PROMOTION_FREQUENCY,
        Queue::Main | Queue::Copies => header.frequency > 0,
    };
    if !is_kept || pressure == Pressure::Hard {
        return Fate::Goes(Removal::Evicted);
    }
    header.frequency = match queue {
        Queue::Small => 0,
        Queue::Main | Queue::Copies => header.frequency - 1,
    };
    Fate::Stays(Queue::Main)
}

#[cfg(test)]
impl Shard {
    /// Empties the oldest segment of each queue, of which every live item stays.
    pub(crate) fn move_items(&mut self, env: &Env, now: Now) {
        for from in [Queue::Main, Queue::Small] {
            if let Some(id) = self.segments.oldest(from) {
                let to = if id.number() % 2 == 0 { Queue::Main } else { from };
                self.empty(env, id, now, |_, _| Fate::Stays(to));
            }
        }
    }
}
