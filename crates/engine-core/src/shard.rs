//! One shard: a fixed set of slots, their items and the memory these take.
//!
//! Every command runs to its end under the shard's lock. A command that needs memory first finds
//! out how much, and returns [`NoRoom`] before it has changed anything; the store then reserves
//! or evicts with the lock released, and calls again.

mod apply;
mod arithmetic;
mod delete;
mod demand;
mod evict;
mod expire;
mod lookup;
mod put;
mod roles;
mod slots;
mod write;

pub(crate) use evict::Pressure;

use crate::budget::{Budget, Room};
use crate::geometry::{Geometry, Home};
use crate::ghost::Ghost;
use crate::index::{Position, Table};
use crate::item::{Extents, Header, mark};
use crate::journal::Journal;
use crate::key::Key;
use crate::outcome::Item;
use crate::segment::{SegmentId, Segments};
use crate::stats::Counts;
use crate::time::Now;
use crate::value::Value;
use memtide_topology::HashSeed;
use roles::Roles;

/// What the shards of a store have in common.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) geometry: Geometry,
    pub(crate) budget: Budget,
    pub(crate) seed: HashSeed,
}

impl Env {
    /// Bytes of most segments in a full store, as its limit is now.
    pub(crate) fn segment_len(&self) -> usize {
        self.geometry.usual_segment_len(self.budget.max())
    }
}

/// One command: what it is about, and what it may use.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) env: &'a Env,
    pub(crate) key: Key<'a>,
    pub(crate) now: Now,
    /// Memory that was reserved for it.
    pub(crate) room: Room,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) tables: Box<[Table]>,
    /// By slot: mutations so far.
    pub(crate) versions: Box<[u64]>,
    pub(crate) roles: Roles,
    pub(crate) journal: Journal,
    pub(crate) segments: Segments,
    pub(crate) ghost: Ghost,
    pub(crate) counts: Counts,
    /// Bytes that this shard has reserved of the budget.
    pub(crate) charged: u64,
    /// No segment is worth looking through for expired items before this second.
    pub(crate) next_scan: u32,
    /// Where [`Shard::expire_step`] goes on: a number of a segment.
    scan_number: usize,
}

/// An item that was found, until the shard changes.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// The slot's place in the shard.
    slot: usize,
    table: usize,
    position: Position,
    segment: SegmentId,
    offset: usize,
    header: Header,
}

/// Why an item goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    Deleted,
    ExpiredOnLookup,
    ExpiredInBackground,
    Evicted,
    /// From a copy, as its primary has removed it.
    ByPrimary,
}

impl Shard {
    pub(crate) fn new(geometry: &Geometry) -> Self {
        Self {
            tables: (0..geometry.tables).map(|_| Table::default()).collect(),
            versions: vec![0; geometry.slots()].into_boxed_slice(),
            roles: Roles::new(geometry.slots()),
            journal: Journal::default(),
            segments: Segments::new(),
            ghost: Ghost::default(),
            counts: Counts::default(),
            charged: 0,
            next_scan: u32::MAX,
            scan_number: 0,
        }
    }

    pub(crate) fn next_scan(&self) -> u32 {
        self.next_scan
    }

    pub(crate) fn counts(&self) -> Counts {
        let index_bytes = self.tables.iter().map(Table::charge).sum();
        Counts {
            index_bytes,
            copy_items: self.roles.copy_items,
            copy_bytes: self.roles.copy_bytes,
            journal_bytes: self.journal.len() as u64,
            ..self.counts
        }
    }

    /// Whether there is an item of this key.
    pub(crate) fn has(&self, env: &Env, key: &Key<'_>, now: Now) -> bool {
        self.find(env, key).is_some_and(|spot| !spot.header.is_expired(now))
    }

    pub(crate) fn count_out_of_memory(&mut self) {
        self.counts.out_of_memory += 1;
    }

    /// The item of this key, expired or not.
    #[inline]
    fn find(&self, env: &Env, key: &Key<'_>) -> Option<Spot> {
        let Home { slot, table, tag } = env.geometry.home(key.hash());
        let mut found = None;
        let position = self.tables[table].find(tag, |loc| {
            let (segment, offset) = env.geometry.place(loc);
            let bytes = &self.segments.at(segment).data[offset..];
            let header = Header::read(bytes);
            let is_it = header.key(bytes) == key.bytes();
            if is_it {
                found = Some((segment, offset, header));
            }
            is_it
        })?;
        let (segment, offset, header) = found?;
        Some(Spot { slot, table, position, segment, offset, header })
    }

    /// The item of this key; an expired one is removed, unless a copy has it.
    #[inline]
    fn find_live(&mut self, env: &Env, key: &Key<'_>, now: Now) -> Option<Spot> {
        let spot = self.find(env, key)?;
        if spot.header.is_expired(now) {
            self.remove_expired(env, &spot);
            return None;
        }
        Some(spot)
    }

    #[cold]
    fn remove_expired(&mut self, env: &Env, spot: &Spot) {
        if !self.roles.is_copy(spot.slot) {
            self.remove(env, spot, Removal::ExpiredOnLookup);
        }
    }

    #[inline]
    fn bytes(&self, spot: &Spot) -> &[u8] {
        &self.segments.at(spot.segment).data[spot.offset..]
    }

    fn value(&self, spot: &Spot) -> Value<'_> {
        Value::of(&self.segments, (spot.segment, spot.offset), &spot.header)
    }

    /// An item for callers outside.
    #[inline]
    fn view(&self, segment: SegmentId, offset: usize, header: &Header, now: Now) -> Item<'_> {
        let bytes = &self.segments.at(segment).data[offset..];
        Item {
            key: header.key(bytes),
            value: Value::of(&self.segments, (segment, offset), header),
            client_flags: header.client_flags(bytes),
            cas: header.cas,
            ttl: header.ttl(now),
            expires_at: (header.exptime != 0).then_some(header.exptime),
            key_is_binary: header.has(mark::KEY_BINARY),
            is_stale: header.has(mark::STALE),
        }
    }

    /// Writes a header of unchanged length back.
    #[inline]
    fn write_header(&mut self, spot: &Spot, header: &Header) {
        let segment = self.segments.at_mut(spot.segment);
        header.write(&mut segment.data[spot.offset..]);
        if header.exptime != spot.header.exptime {
            segment.expires(header.exptime);
            self.next_scan = self.next_scan.min(segment.scan_at);
        }
    }

    /// Removes an item: a mutation of its slot.
    fn remove(&mut self, env: &Env, spot: &Spot, why: Removal) {
        self.advance_removed(spot.slot, (spot.segment, spot.offset));
        self.unlink(env, spot, why);
    }

    /// Takes an item out of its table and marks it as dead.
    #[inline]
    fn unlink(&mut self, env: &Env, spot: &Spot, why: Removal) {
        self.tables[spot.table].remove(spot.position);
        self.shrink_table(env, spot.table);
        self.counts.removed(&spot.header, why);
        self.kill(env, (spot.segment, spot.offset), spot.header);
    }

    /// Marks an item that is in no table any more as dead. A segment without live items is freed,
    /// unless it is the one that the next items go to.
    fn kill(&mut self, env: &Env, (id, offset): (SegmentId, usize), mut header: Header) {
        self.counts.bytes -= header.item_len();
        self.free_extents(env, id, &header);
        let first_len = self.segments.first_len(id, offset, &header);
        if first_len < header.record_len() {
            self.kill_rest(env, id);
        }
        // What is left is a record without extents that ends in this segment.
        header.clear(mark::EXTENTS);
        header.extents = Extents::default();
        let value_len = first_len - header.value_start();
        header.value_len = u32::try_from(value_len).expect("a segment is below 4 GiB");
        header.set(mark::DEAD);
        header.write(&mut self.segments.at_mut(id).data[offset..]);
        self.segments.removed(id, first_len);
        self.free_unused(env, id);
    }

    /// The record that crosses the end of this segment is dead.
    fn kill_rest(&mut self, env: &Env, id: SegmentId) {
        if let Some(next) = self.segments.kill_rest(id) {
            self.free_unused(env, next);
        }
    }

    /// Frees the extents of a record in this segment.
    fn free_extents(&mut self, env: &Env, id: SegmentId, header: &Header) {
        if header.has(mark::EXTENTS) {
            let bytes = self.segments.free_extents(self.segments.at(id).queue(), header);
            self.release(env, bytes);
        }
    }

    fn free_unused(&mut self, env: &Env, id: SegmentId) {
        if !self.segments.at(id).is_unused() {
            return;
        }
        if self.segments.is_active(id) {
            self.segments.compacted(id, 0, 0, u32::MAX);
        } else {
            self.free_segment(env, id);
        }
    }

    fn free_segment(&mut self, env: &Env, id: SegmentId) {
        let bytes = self.segments.free(id);
        self.release(env, bytes);
    }

    fn shrink_table(&mut self, env: &Env, table: usize) {
        let table = &mut self.tables[table];
        let before = table.charge();
        table.shrink();
        let freed = before - table.charge();
        self.release(env, freed);
    }

    fn release(&mut self, env: &Env, bytes: u64) {
        if bytes > 0 {
            self.charged -= bytes;
            env.budget.release(bytes);
        }
    }
}

impl Counts {
    fn removed(&mut self, header: &Header, why: Removal) {
        let is_unfetched = u64::from(!header.has(mark::FETCHED));
        self.items -= 1;
        match why {
            Removal::Deleted => self.deleted += 1,
            Removal::ByPrimary => self.removed_by_primary += 1,
            Removal::Evicted => {
                self.evicted += 1;
                self.evicted_unfetched += is_unfetched;
                self.evicted_active += u64::from(header.frequency >= 2);
            }
            Removal::ExpiredOnLookup | Removal::ExpiredInBackground => {
                self.expired += 1;
                self.expired_unfetched += is_unfetched;
                let is_on_lookup = why == Removal::ExpiredOnLookup;
                self.expired_on_lookup += u64::from(is_on_lookup);
                self.expired_in_background += u64::from(!is_on_lookup);
            }
        }
    }
}
