//! What must hold in every shard between two calls.

use crate::index::Tag;
use crate::item::{Header, mark};
use crate::segment::{self, Queue};
use crate::shard::{Env, Shard};
use crate::store::Store;
use memtide_topology::SlotId;
use std::collections::HashSet;

impl Store {
    /// Asserts that index, segments, counters and budget agree.
    pub(crate) fn check(&self) {
        let mut charged = 0;
        self.each_shard(|env, shard| {
            shard.check(env);
            charged += shard.charged();
        });
        let stats = self.stats();
        assert_eq!(stats.memory_used, self.fixed_bytes() + charged, "bytes used");
        let gone = stats.replaced + stats.deleted + stats.evicted + stats.expired + stats.flushed;
        assert_eq!(stats.items + gone, stats.total_items, "items come and go: {stats:?}");
        assert_eq!(stats.expired, stats.expired_on_lookup + stats.expired_in_background);
    }
}

impl Shard {
    fn check(&self, env: &Env) {
        let mut indexed = HashSet::new();
        let mut tables = 0;
        for slot in &self.slots {
            tables += slot.table.charge();
            slot.table.check();
            for (tag, loc) in slot.table.iter_from(Tag::FIRST) {
                assert!(indexed.insert(loc.bits()), "two entries for one item");
                let (id, offset) = env.geometry.place(loc);
                let bytes = &self.segments.at(id).data[offset..];
                let hash = env.seed.hash(Header::read(bytes).key(bytes));
                assert_eq!(Tag::of(hash.bits()), tag);
                let number = env.geometry.slot_in_shard(SlotId::of(hash));
                assert!(core::ptr::eq(slot, &self.slots[number]), "an item of another slot");
            }
        }
        assert_eq!(indexed.len() as u64, self.counts.items, "items in the index");
        let (mut segments, mut bytes, mut dead) = (0, 0, 0);
        for (id, segment) in self.segments.iter() {
            let (mut live, mut items, mut offset) = (0, 0, 0);
            while offset < segment.used as usize {
                let header = Header::read(&segment.data[offset..]);
                if !header.has(mark::DEAD) {
                    live += header.item_len();
                    items += 1;
                    let loc = env.geometry.loc(id, offset);
                    assert!(indexed.contains(&loc.bits()), "a live item is in the index");
                    let is_soon = header.exptime != 0 && header.exptime < u32::MAX / 2;
                    assert!(!is_soon || segment.scan_at < u32::MAX, "what expires is looked for");
                }
                offset += header.item_len();
            }
            assert_eq!((segment.live as usize, segment.items), (live, items), "segment counts");
            assert!(segment.scan_at >= self.next_scan, "the shard looks early enough");
            segments += segment::charge(segment.data.len());
            bytes += live as u64;
            dead += segment.dead();
        }
        assert_eq!(bytes, self.counts.bytes, "bytes of items");
        assert_eq!(dead, self.segments.dead, "bytes of dead items");
        let queues = [Queue::Small, Queue::Main].map(|queue| self.segments.check(queue));
        assert_eq!(queues.iter().sum::<u64>(), segments, "every segment is in a queue");
        assert_eq!(self.charged, tables + segments + self.ghost.charge(), "bytes charged");
    }
}
