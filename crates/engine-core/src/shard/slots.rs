use super::{Env, Shard};
use crate::change::Change;
use crate::index::{Loc, Table, Tag};
use crate::item::Header;
use crate::outcome::Item;
use crate::segment::Segments;
use crate::time::Now;
use crate::value::Value;

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
        let mut last = None;
        for (seen, (at, loc)) in self.entries_from(env, slot, from).enumerate() {
            if seen >= items_max && last != Some(at) {
                return Some(at);
            }
            last = Some(at);
            let (segment, offset) = env.geometry.place(loc);
            let header = Header::read(&self.segments.at(segment).data[offset..]);
            if !header.is_expired(now) {
                with(self.view(segment, offset, &header, now));
            }
        }
        None
    }

    /// As [`Shard::items_of`], but appends the items as changes, until the next tag's would make
    /// that more than `bytes_max` bytes.
    pub(crate) fn encode_items_of(
        &self,
        (env, now): (&Env, Now),
        (slot, from): (usize, u64),
        bytes_max: usize,
        changes: &mut Vec<u8>,
    ) -> Option<u64> {
        let start = changes.len();
        let mut last = None;
        for (at, loc) in self.entries_from(env, slot, from) {
            let (segment, offset) = env.geometry.place(loc);
            let bytes = &self.segments.at(segment).data[offset..];
            let header = Header::read(bytes);
            if header.is_expired(now) {
                continue;
            }
            let value = Value::of(&self.segments, (segment, offset), &header);
            let change = Change::Item(header.state(bytes, value));
            let written = changes.len() - start;
            let is_full = written > 0 && written + change.encoded_len() > bytes_max;
            if is_full && last != Some(at) {
                return Some(at);
            }
            last = Some(at);
            change.encode(changes);
        }
        None
    }

    /// Bytes of about `items_max` items of a slot from the `from`th of its tags on; and where to go on.
    pub(crate) fn bytes_of(
        &self,
        env: &Env,
        (slot, from): (usize, u64),
        items_max: usize,
    ) -> (u64, Option<u64>) {
        let (mut bytes, mut last) = (0, None);
        for (seen, (at, loc)) in self.entries_from(env, slot, from).enumerate() {
            if seen >= items_max && last != Some(at) {
                return (bytes, Some(at));
            }
            last = Some(at);
            let (segment, offset) = env.geometry.place(loc);
            bytes += Header::read(&self.segments.at(segment).data[offset..]).item_len();
        }
        (bytes, None)
    }

    /// Items of a slot and their bytes.
    pub(super) fn size_of_slot(&self, env: &Env, slot: usize) -> (u64, u64) {
        self.entries_from(env, slot, 0).fold((0, 0), |(items, bytes), (_, loc)| {
            let (segment, offset) = env.geometry.place(loc);
            let header = Header::read(&self.segments.at(segment).data[offset..]);
            (items + 1, bytes + header.item_len())
        })
    }

    /// The index's entries of a slot from the `from`th of its tags on, each with which tag it has.
    fn entries_from(&self, env: &Env, slot: usize, from: u64) -> impl Iterator<Item = (u64, Loc)> {
        let (table, tags) = env.geometry.tags(slot);
        let first = tags.start.number();
        let listed = self.tables[table].iter_from(Tag::from_number(first + from));
        let of_slot = listed.take_while(move |(tag, _)| *tag < tags.end);
        of_slot.map(move |(tag, loc)| (tag.number() - first, loc))
    }

    /// Removes the items of a slot that is no copy: one mutation.
    pub(crate) fn flush_slot(&mut self, env: &Env, slot: usize) {
        if !self.roles.is_copy(slot) {
            self.clear_slot(env, slot);
            self.advance_flushed(slot);
        }
    }

    /// Removes the items of a slot without counting a mutation.
    pub(crate) fn clear_slot(&mut self, env: &Env, slot: usize) {
        self.counted(slot, |shard| shard.clear_entries(env, slot));
    }

    fn clear_entries(&mut self, env: &Env, slot: usize) {
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
        self.clear_slot(env, slot);
        self.versions[slot] = 0;
    }

    /// Removes all items but those of copies: one mutation of each slot. The memory of what this
    /// returns stays reserved until the caller has dropped it, without the shard's lock, and
    /// released it.
    pub(crate) fn flush(&mut self, env: &Env) -> Option<Flushed> {
        if self.roles.has_copies() {
            (0..self.versions.len()).for_each(|slot| self.flush_slot(env, slot));
            return None;
        }
        (0..self.versions.len()).for_each(|slot| self.advance_flushed(slot));
        self.next_scan = u32::MAX;
        self.counts.flushed += self.counts.items;
        (self.counts.items, self.counts.bytes) = (0, 0);
        let tables = self.tables.iter_mut().map(core::mem::take).collect();
        let segments = core::mem::replace(&mut self.segments, Segments::new());
        let bytes = self.charged - self.ghost.charge();
        self.charged -= bytes;
        Some(Flushed { tables, segments, bytes })
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
