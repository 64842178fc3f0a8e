use super::{Env, Shard, Spot};
use crate::budget::{NoRoom, Room};
use crate::index::Tag;
use crate::item::{Header, mark};
use crate::key::Key;
use crate::segment::{Queue, SegmentId};
use crate::time::Now;

/// An item to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewItem<'a> {
    pub(super) value: NewValue<'a>,
    pub(super) client_flags: u32,
    /// As headers keep it.
    pub(super) exptime: u32,
    /// Marks besides those that follow from the key and the client flags.
    pub(super) marks: u8,
    /// CAS unique; `None` for the slot's version.
    pub(super) cas: Option<u64>,
}

/// A value to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewValue<'a> {
    Bytes(&'a [u8]),
    /// The value of the item that is replaced, then these bytes.
    Appended(&'a [u8]),
    /// These bytes, then the value of the item that is replaced.
    Prepended(&'a [u8]),
}

impl<'a> NewItem<'a> {
    /// Without client flags, expiry and marks.
    pub(super) fn plain(value: &'a [u8]) -> Self {
        let value = NewValue::Bytes(value);
        Self { value, client_flags: 0, exptime: 0, marks: 0, cas: None }
    }

    fn header(&self, key: &Key<'_>, old: Option<&Spot>, now: Now) -> Header {
        let old_len = old.map_or(0, |old| old.header.value_len as usize);
        let value_len = match self.value {
            NewValue::Bytes(bytes) => bytes.len(),
            NewValue::Appended(bytes) | NewValue::Prepended(bytes) => old_len + bytes.len(),
        };
        let mut header = Header {
            value_len: u32::try_from(value_len).expect("the item's size was checked"),
            // A new value takes over how popular the old one was.
            frequency: old.map_or(0, |old| old.header.frequency),
            key_len: u8::try_from(key.bytes().len()).expect("a key has at most 250 bytes"),
            marks: self.marks,
            cas: 0,
            exptime: self.exptime,
            last_access: now.unix_secs(),
        };
        if self.client_flags != 0 {
            header.set(mark::CLIENT_FLAGS);
        }
        if key.is_binary() {
            header.set(mark::KEY_BINARY);
        }
        header
    }
}

impl Shard {
    /// Stores an item, in the place of `old` where there is one; returns its CAS unique.
    ///
    /// A mutation of the slot. Changes nothing when it fails.
    pub(super) fn store(
        &mut self,
        (env, room): (&Env, &mut Room),
        key: &Key<'_>,
        new: &NewItem<'_>,
        old: Option<&Spot>,
        now: Now,
    ) -> Result<u64, NoRoom> {
        let mut header = new.header(key, old, now);
        let slot = env.geometry.slot_in_shard(key.slot());
        header.cas = new.cas.unwrap_or(self.slots[slot].version + 1);
        if let (Some(old), NewValue::Bytes(value)) = (old, new.value)
            && old.header.item_len() == header.item_len()
        {
            self.overwrite(old, &header, new.client_flags, value);
            return Ok(header.cas);
        }
        let queue = self.queue_of_new(key, old);
        let (segment, offset) = self.place((env, room), slot, (queue, header.item_len()), old)?;
        self.write_item((segment, offset), &header, key, new, old);
        self.segments.added(segment, header.item_len(), header.exptime);
        self.next_scan = self.next_scan.min(self.segments.at(segment).scan_at);
        let loc = env.geometry.loc(segment, offset);
        match old {
            Some(old) => {
                self.slots[slot].table.relocate(old.position, loc);
                self.kill(env, (old.segment, old.offset), old.header);
                self.counts.replaced += 1;
            }
            None => {
                self.slots[slot].table.insert(Tag::of(key.hash().bits()), loc);
                self.ghost.remove(key.hash());
                self.counts.items += 1;
            }
        }
        self.counts.bytes += header.item_len() as u64;
        self.counts.total_items += 1;
        self.advance(slot);
        Ok(header.cas)
    }

    /// Stores an item of the same length in the same bytes.
    fn overwrite(&mut self, old: &Spot, header: &Header, client_flags: u32, value: &[u8]) {
        let key_range = old.header.key_start()..old.header.value_start();
        let bytes = &mut self.segments.at_mut(old.segment).data[old.offset..];
        bytes.copy_within(key_range, header.key_start());
        if header.has(mark::CLIENT_FLAGS) {
            Header::write_client_flags(bytes, client_flags);
        }
        bytes[header.value_start()..][..value.len()].copy_from_slice(value);
        self.write_header(old, header);
        self.counts.replaced += 1;
        self.counts.total_items += 1;
        self.advance(old.slot);
    }

    /// An item that takes the place of another goes to the same queue, one that was evicted a
    /// short while ago to the main queue.
    fn queue_of_new(&mut self, key: &Key<'_>, old: Option<&Spot>) -> Queue {
        match old {
            Some(old) => self.segments.at(old.segment).queue,
            None if self.ghost.contains(key.hash()) => Queue::Main,
            None => Queue::Small,
        }
    }

    /// Finds room for an item in a queue, and in the table where there is no `old`.
    fn place(
        &mut self,
        (env, room): (&Env, &mut Room),
        slot: usize,
        (queue, len): (Queue, usize),
        old: Option<&Spot>,
    ) -> Result<(SegmentId, usize), NoRoom> {
        let is_shared = len <= env.geometry.shared_item_max;
        let open = if is_shared { self.segments.open_place(queue, len) } else { None };
        let table_charge = match old {
            Some(_) => None,
            None => self.slots[slot].table.growth_charge(),
        };
        let segment_charge = match open {
            Some(_) => 0,
            None => {
                self.segments.charge_of(len, &env.geometry).ok_or(NoRoom { bytes: u64::MAX })?
            }
        };
        let need = table_charge.unwrap_or(0) + segment_charge;
        if need > 0 {
            room.take(&env.budget, need)?;
            self.charged += need;
        }
        if table_charge.is_some() {
            let table = &mut self.slots[slot].table;
            let before = table.charge();
            table.grow();
            self.release(env, before);
        }
        Ok(match open {
            Some((segment, offset)) => (segment, offset as usize),
            None => (self.segments.allocate(queue, len, &env.geometry), 0),
        })
    }

    fn write_item(
        &mut self,
        (segment, offset): (SegmentId, usize),
        header: &Header,
        key: &Key<'_>,
        new: &NewItem<'_>,
        old: Option<&Spot>,
    ) {
        // Taken out, so that the old value may be read in another segment meanwhile.
        let mut data = core::mem::take(&mut self.segments.at_mut(segment).data);
        let bytes = &mut data[offset..];
        header.write(bytes);
        if header.has(mark::CLIENT_FLAGS) {
            Header::write_client_flags(bytes, new.client_flags);
        }
        bytes[header.key_start()..header.value_start()].copy_from_slice(key.bytes());
        let start = offset + header.value_start();
        let old_len = old.map_or(0, |old| old.header.value_len as usize);
        let (added, added_at, old_at) = match new.value {
            NewValue::Bytes(added) => (added, start, None),
            NewValue::Appended(added) => (added, start + old_len, Some(start)),
            NewValue::Prepended(added) => (added, start, Some(start + added.len())),
        };
        data[added_at..][..added.len()].copy_from_slice(added);
        if let (Some(old), Some(at)) = (old, old_at) {
            let from = old.offset + old.header.value_start();
            if old.segment == segment {
                data.copy_within(from..from + old_len, at);
            } else {
                let source = &self.segments.at(old.segment).data[from..][..old_len];
                data[at..][..old_len].copy_from_slice(source);
            }
        }
        self.segments.at_mut(segment).data = data;
    }
}
