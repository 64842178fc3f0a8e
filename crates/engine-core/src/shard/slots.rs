use super::{Env, Shard};
use crate::index::{Table, Tag};
use crate::item::Header;
use crate::outcome::Item;
use crate::segment::Segments;
use crate::time::Now;

impl Shard {
    /// Mutations of a slot so far.
    pub(crate) fn version(&self, slot: usize) -> u64 {
        self.versions[slot]
    }

    /// Lists a slot in the order of tags, from the `from`th of its tags on; returns where to go
    /// on. Items of one tag come in one call.
    pub(crate) fn items_of(
        &self,
        (env, now): (&Env, Now),
        (slot, from): (usize, u64),
        items_max: usize,
        with: &mut impl FnMut(Item<'_>),
    ) -> Option<u64> {
        let (table, tags) = env.geometry.tags(slot);
        let first = tags.start.number();
        let listed = self.tables[table].iter_from(Tag::from_number(first + from));
        let mut last = None;
        for (seen, (tag, loc)) in listed.take_while(|(tag, _)| *tag < tags.end).enumerate() {
            if seen >= items_max && last != Some(tag) {
                return Some(tag.number() - first);
            }
            last = Some(tag);
            let (segment, offset) = env.geometry.place(loc);
            let header = Header::read(&self.segments.at(segment).data[offset..]);
            if !header.is_expired(now) {
                with(self.view(segment, offset, &header, now));
            }
        }
        None
    }

    /// Removes the items of a slot: one mutation.
    pub(crate) fn flush_slot(&mut self, env: &Env, slot: usize) {
        self.advance(slot);
        let (table, tags) = env.geometry.tags(slot);
        while let Some(loc) = self.tables[table].remove_first(&tags) {
            let (segment, offset) = env.geometry.place(loc);
            let header = Header::read(&self.segments.at(segment).data[offset..]);
            self.kill(env, (segment, offset), header);
            self.counts.items -= 1;
            self.counts.flushed += 1;
        }
        self.shrink_table(env, table);
    }

    /// Removes the items of a slot and forgets its version.
    pub(crate) fn drop_slot(&mut self, env: &Env, slot: usize) {
        self.flush_slot(env, slot);
        self.versions[slot] = 0;
    }

    /// Removes all items: one mutation of each slot. Their memory stays reserved until the caller
    /// has dropped what this returns, without the shard's lock, and released it.
    pub(crate) fn flush(&mut self) -> Flushed {
        self.versions.iter_mut().for_each(|version| *version += 1);
        self.next_scan = u32::MAX;
        self.counts.flushed += self.counts.items;
        (self.counts.items, self.counts.bytes) = (0, 0);
        let tables = self.tables.iter_mut().map(core::mem::take).collect();
        let segments = core::mem::replace(&mut self.segments, Segments::new());
        let bytes = self.charged - self.ghost.charge();
        self.charged -= bytes;
        Flushed { tables, segments, bytes }
    }
}

/// What a shard had before it was flushed.
pub(crate) struct Flushed {
    tables: Vec<Table>,
    segments: Segments,
    bytes: u64,
}

impl Flushed {
    /// Gives the memory back.
    pub(crate) fn release(self, env: &Env) {
        drop((self.tables, self.segments));
        env.budget.release(self.bytes);
    }
}
