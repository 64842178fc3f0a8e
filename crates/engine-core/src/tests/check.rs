//! What must hold in every shard between two calls.

use crate::index::Tag;
use crate::item::{Header, mark};
use crate::segment::{self, Queue, Segment, SegmentId};
use crate::shard::{Env, Shard};
use crate::store::Store;
use crate::time::Now;
use std::collections::HashSet;

impl Store {
    /// Asserts that index, segments, counters and budget agree.
    pub(crate) fn check(&self) {
        let mut charged = 0;
        self.each_shard(|env, shard| {
            shard.check(env);
            charged += shard.charged;
        });
        let stats = self.stats();
        assert_eq!(stats.memory_used, self.fixed_bytes() + charged, "bytes used");
        let gone = stats.replaced + stats.deleted + stats.evicted + stats.expired + stats.flushed;
        let gone = gone + stats.removed_by_primary;
        assert_eq!(stats.items + gone, stats.total_items, "items come and go: {stats:?}");
        assert_eq!(stats.expired, stats.expired_on_lookup + stats.expired_in_background);
    }

    /// Finds every expired item, worth it or not.
    pub(crate) fn expire_all(&self, now: Now) {
        self.each_shard_mut(|env, shard| shard.expire_all(env, now));
    }

    /// Moves the live items of the oldest segments.
    pub(crate) fn move_items(&self, now: Now) {
        self.each_shard_mut(|env, shard| shard.move_items(env, now));
    }
}

impl Shard {
    #[expect(clippy::too_many_lines, reason = "one pass, every invariant beside the others")]
    fn check(&self, env: &Env) {
        let mut indexed = HashSet::new();
        let mut tables = 0;
        for (number, table) in self.tables.iter().enumerate() {
            tables += table.charge();
            table.check();
            for (tag, loc) in table.iter_from(Tag::from_number(0)) {
                assert!(indexed.insert(loc.bits()), "two entries for one item");
                let (id, offset) = env.geometry.place(loc);
                let bytes = &self.segments.at(id).data[offset..];
                let home = env.geometry.home(env.seed.hash(Header::read(bytes).key(bytes)));
                assert_eq!((home.table, home.tag), (number, tag), "an item of another slot");
            }
        }
        assert_eq!(indexed.len() as u64, self.counts.items, "items in the index");
        let (mut segments, mut bytes, mut dead) = (0, 0, 0);
        let (mut heads, mut extents) = (HashSet::new(), HashSet::new());
        let (mut extent_bytes, mut extents_len) = (0, 0);
        let mut copies = (0, 0);
        for (id, segment) in self.segments.iter() {
            let mut live = segment.head_len as usize;
            let (mut items, mut offset) = (0, segment.records_at as usize);
            while offset < segment.used as usize {
                let header = Header::read(&segment.data[offset..]);
                if !header.has(mark::DEAD) {
                    let first_len = self.segments.first_len(id, offset, &header);
                    live += first_len;
                    items += 1;
                    bytes += header.item_len();
                    let loc = env.geometry.loc(id, offset);
                    assert!(indexed.contains(&loc.bits()), "a live item is in the index");
                    let is_copy = self.is_of_copy(env, &header, &segment.data[offset..]);
                    copies.0 += u64::from(is_copy);
                    copies.1 += if is_copy { header.item_len() } else { 0 };
                    assert!(is_copy || self.may_be_own(segment), "it is found to be evicted");
                    let is_soon = !is_copy && header.exptime != 0 && header.exptime < u32::MAX / 2;
                    let is_due = segment.scan_at < u32::MAX || self.roles.has_promoted;
                    assert!(!is_soon || is_due, "what expires is looked for");
                    if first_len < header.record_len() {
                        let next = self.segments.next_part(id).expect("its rest is somewhere");
                        let rest = header.record_len() - first_len;
                        assert_eq!(self.segments.at(next).head_len as usize, rest);
                        assert!(heads.insert(next.number()), "a head has one owner");
                    }
                    for number in self.segments.extents(&header) {
                        let extent = self.segments.at(SegmentId::from_number(number));
                        assert!(extent.is_extent && extents.insert(number));
                        extent_bytes += segment::charge(extent.data.len());
                        extents_len += extent.data.len() as u64;
                    }
                    assert_eq!(extents_len, u64::from(header.extents.bytes));
                    extents_len = 0;
                }
                offset += header.record_len();
            }
            assert_eq!((segment.live as usize, segment.items), (live, items), "segment counts");
            assert!(segment.scan_at >= self.next_scan, "the shard looks early enough");
            segments += segment::charge(segment.data.len());
            dead += segment.dead();
        }
        for (id, segment) in self.segments.iter() {
            assert_eq!(segment.head_len > 0, heads.contains(&id.number()), "a head has an owner");
        }
        assert_eq!(copies, (self.roles.copy_items, self.roles.copy_bytes), "of copies");
        assert_eq!(bytes, self.counts.bytes, "bytes of items");
        assert_eq!(dead, self.segments.dead, "bytes of dead items");
        let queues = [Queue::Small, Queue::Main, Queue::Copies];
        let queued: u64 = queues.iter().map(|queue| self.segments.check(*queue)).sum();
        assert_eq!(queued, segments, "every segment is in a queue");
        segments += extent_bytes;
        let charged: u64 = queues.iter().map(|queue| self.segments.queue_bytes(*queue)).sum();
        assert_eq!(charged, segments, "bytes of the queues");
        assert_eq!(self.charged, tables + segments + self.ghost.charge(), "bytes charged");
    }

    /// Whether eviction looks for items that are no copies in this segment.
    fn may_be_own(&self, segment: &Segment) -> bool {
        segment.queue() != Queue::Copies || segment.is_mixed || self.roles.has_promoted
    }
}
