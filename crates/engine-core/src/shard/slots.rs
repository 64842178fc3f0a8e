use super::{Env, Shard};
use crate::index::Tag;
use crate::item::Header;
use crate::outcome::Item;
use crate::segment::Segments;
use crate::time::Now;

impl Shard {
    /// Mutations of a slot so far.
    pub(crate) fn version(&self, slot: usize) -> u64 {
        self.slots[slot].version
    }

    /// Lists a slot in the order of tags; returns the tag to go on at. Items of one tag come in
    /// one call.
    pub(crate) fn items_of(
        &self,
        (env, now): (&Env, Now),
        (slot, from): (usize, Tag),
        items_max: usize,
        with: &mut impl FnMut(Item<'_>),
    ) -> Option<Tag> {
        let mut last = None;
        for (seen, (tag, loc)) in self.slots[slot].table.iter_from(from).enumerate() {
            if seen >= items_max && last != Some(tag) {
                return Some(tag);
            }
            last = Some(tag);
            let (segment, offset) = env.geometry.place(loc);
            let bytes = &self.segments.at(segment).data[offset..];
            let header = Header::read(bytes);
            if !header.is_expired(now) {
                with(self.view(segment, offset, &header, now));
            }
        }
        None
    }

    /// Removes the items of a slot: one mutation.
    pub(crate) fn flush_slot(&mut self, env: &Env, slot: usize) {
        self.advance(slot);
        let table = core::mem::take(&mut self.slots[slot].table);
        self.release(env, table.charge());
        self.counts.items -= table.len() as u64;
        self.counts.flushed += table.len() as u64;
        for (_, loc) in table.iter_from(Tag::FIRST) {
            let (segment, offset) = env.geometry.place(loc);
            let header = Header::read(&self.segments.at(segment).data[offset..]);
            self.kill(env, (segment, offset), header);
        }
    }

    /// Removes the items of a slot and forgets its version.
    pub(crate) fn drop_slot(&mut self, env: &Env, slot: usize) {
        self.flush_slot(env, slot);
        self.slots[slot].version = 0;
    }

    /// Removes all items: one mutation of each slot.
    pub(crate) fn flush(&mut self, env: &Env) {
        for slot in &mut self.slots {
            slot.version += 1;
            slot.table = Default::default();
        }
        self.segments = Segments::new();
        self.next_scan = u32::MAX;
        self.counts.flushed += self.counts.items;
        (self.counts.items, self.counts.bytes) = (0, 0);
        self.release(env, self.charged - self.ghost.charge());
    }
}
