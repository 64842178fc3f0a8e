use super::{Call, Shard, Spot};
use crate::budget::NoRoom;
use crate::geometry::Home;
use crate::item::{Extents, Header, mark};
use crate::segment::{Queue, SegmentId};

/// An item to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewItem<'a> {
    pub(super) value: &'a [u8],
    pub(super) client_flags: u32,
    /// As headers keep it.
    pub(super) exptime: u32,
    /// Marks besides those that follow from the key and the client flags.
    pub(super) marks: u8,
    /// CAS unique; `None` for the slot's version.
    pub(super) cas: Option<u64>,
}

/// Where an item was stored.
pub(super) struct Written {
    /// The slot's place in the shard.
    pub(super) slot: usize,
    pub(super) place: (SegmentId, usize),
    /// CAS unique.
    pub(super) cas: u64,
}

impl<'a> NewItem<'a> {
    /// Without client flags, expiry and marks.
    pub(super) fn plain(value: &'a [u8]) -> Self {
        Self { value, client_flags: 0, exptime: 0, marks: 0, cas: None }
    }

    fn header(&self, call: &Call<'_>, old: Option<&Spot>) -> Header {
        let mut header = Header {
            value_len: u32::try_from(self.value.len()).expect("the item's size was checked"),
            // A new value takes over how popular the old one was.
            frequency: old.map_or(0, |old| old.header.frequency),
            key_len: u8::try_from(call.key.bytes().len()).expect("a key has at most 250 bytes"),
            marks: self.marks,
            cas: 0,
            exptime: self.exptime,
            last_access: call.now.unix_secs(),
            extents: Extents::default(),
        };
        if self.client_flags != 0 {
            header.set(mark::CLIENT_FLAGS);
        }
        if call.key.is_binary() {
            header.set(mark::KEY_BINARY);
        }
        let mut extended = header;
        extended.set(mark::EXTENTS);
        let len = call.env.geometry.extents_bytes(extended.value_start(), self.value.len());
        if len == 0 {
            return header;
        }
        extended.extents.bytes = u32::try_from(len).expect("no more than the value has");
        extended
    }
}

impl Shard {
    /// Stores an item, in the place of `old` where there is one; returns its CAS unique.
    ///
    /// A mutation of the slot. Changes nothing when it fails.
    pub(super) fn store(
        &mut self,
        call: &mut Call<'_>,
        new: &NewItem<'_>,
        old: Option<&Spot>,
    ) -> Result<u64, NoRoom> {
        let written = self.write(call, new, old)?;
        self.advance_item(written.slot, written.place);
        Ok(written.cas)
    }

    /// Stores an item without counting a mutation. Changes nothing when it fails.
    #[inline]
    pub(super) fn write(
        &mut self,
        call: &mut Call<'_>,
        new: &NewItem<'_>,
        old: Option<&Spot>,
    ) -> Result<Written, NoRoom> {
        let mut header = new.header(call, old);
        let home = call.env.geometry.home(call.key.hash());
        header.cas = new.cas.unwrap_or(self.versions[home.slot] + 1);
        if let Some(old) = old
            && old.header.record_len() == header.record_len()
            && old.header.extents.bytes == header.extents.bytes
        {
            header.extents = old.header.extents;
            self.overwrite(old, &header, new);
            let place = (old.segment, old.offset);
            return Ok(Written { slot: home.slot, place, cas: header.cas });
        }
        let (segment, offset) = self.place(call, home, &mut header, old)?;
        let bytes = &mut self.segments.at_mut(segment).data[offset..];
        header.write(bytes);
        if header.has(mark::CLIENT_FLAGS) {
            Header::write_client_flags(bytes, new.client_flags);
        }
        bytes[header.key_start()..header.value_start()].copy_from_slice(call.key.bytes());
        self.segments.write_value((segment, offset), &header, new.value);
        self.next_scan = self.next_scan.min(self.segments.at(segment).scan_at);
        let loc = call.env.geometry.loc(segment, offset);
        match old {
            Some(old) => {
                self.tables[home.table].relocate(old.position, loc);
                self.kill(call.env, (old.segment, old.offset), old.header);
                self.counts.replaced += 1;
            }
            None => {
                self.tables[home.table].insert(home.tag, loc);
                self.ghost.remove(call.key.hash());
                self.counts.items += 1;
            }
        }
        self.counts.bytes += header.item_len();
        self.counts.total_items += 1;
        Ok(Written { slot: home.slot, place: (segment, offset), cas: header.cas })
    }

    /// Stores an item of the same length in the same bytes.
    fn overwrite(&mut self, old: &Spot, header: &Header, new: &NewItem<'_>) {
        let bytes = &mut self.segments.at_mut(old.segment).data[old.offset..];
        // Client flags that come or go move the key.
        bytes.copy_within(old.header.key_start()..old.header.value_start(), header.key_start());
        if header.has(mark::CLIENT_FLAGS) {
            Header::write_client_flags(bytes, new.client_flags);
        }
        self.write_header(old, header);
        self.segments.write_value((old.segment, old.offset), header, new.value);
        self.counts.replaced += 1;
        self.counts.total_items += 1;
    }

    /// Makes room for an item in a queue, and in the table where there is no `old`.
    fn place(
        &mut self,
        call: &mut Call<'_>,
        Home { slot, table, .. }: Home,
        header: &mut Header,
        old: Option<&Spot>,
    ) -> Result<(SegmentId, usize), NoRoom> {
        // What takes the place of an item goes to the same queue, and what was evicted a short
        // while ago to the main queue.
        let queue = match old.map(|old| self.segments.at(old.segment).queue()) {
            _ if self.roles.is_copy(slot) => Queue::Copies,
            Some(Queue::Copies) => Queue::Main,
            Some(queue) => queue,
            None if self.ghost.contains(call.key.hash()) => Queue::Main,
            None => Queue::Small,
        };
        let of = (&call.env.geometry, call.env.budget.max());
        let plan = self.segments.plan(queue, header, of);
        let plan = plan.ok_or(NoRoom { bytes: u64::MAX })?;
        let table_charge = match old {
            Some(_) => None,
            None => self.tables[table].growth_charge(),
        };
        let need = plan.charge() + table_charge.unwrap_or(0);
        if need > 0 {
            call.room.take(&call.env.budget, need)?;
            self.charged += need;
        }
        if table_charge.is_some() {
            self.tables[table].grow();
        }
        Ok(self.segments.append(header, plan))
    }
}
