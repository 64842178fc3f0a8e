//! What a shard's slots are to this node: its own, or copies of what another node decides; and
//! whose mutations are written to the journal.

use super::{Env, Shard, Spot};
use crate::change::{Change, ItemState};
use crate::item::{Header, mark};
use crate::key::Key;
use crate::segment::SegmentId;
use crate::value::Value;

/// Flags of a slot.
mod flag {
    /// Mutations go to the journal.
    pub(super) const JOURNALED: u8 = 1;
    /// Changed by [`Shard::apply`](crate::shard::Shard::apply) only.
    pub(super) const COPY: u8 = 1 << 1;
}

/// The roles of a shard's slots, and what the copies among them hold.
#[derive(Debug)]
pub(crate) struct Roles {
    flags: Box<[u8]>,
    /// A slot is or was journaled or a copy: what follows is of use.
    is_used: bool,
    /// Slots that are journaled.
    journaled: u32,
    /// Slots that are held as copies.
    copies: u32,
    /// Items of copies.
    pub(crate) copy_items: u64,
    /// Bytes of the items of copies.
    pub(crate) copy_bytes: u64,
    /// A copy has become the node's own, and its items are still where those of copies are.
    pub(crate) has_promoted: bool,
}

impl Roles {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            flags: vec![0; slots].into_boxed_slice(),
            is_used: false,
            journaled: 0,
            copies: 0,
            copy_items: 0,
            copy_bytes: 0,
            has_promoted: false,
        }
    }

    #[inline]
    pub(crate) fn is_copy(&self, slot: usize) -> bool {
        self.flags[slot] & flag::COPY != 0
    }

    /// Whether a slot is or was journaled or a copy.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    pub(crate) fn has_copies(&self) -> bool {
        self.copies > 0
    }

    fn is_journaled(&self, slot: usize) -> bool {
        self.flags[slot] & flag::JOURNALED != 0
    }

    /// Sets or clears a flag; returns whether that changed it.
    fn set(&mut self, slot: usize, flag: u8, is_set: bool) -> bool {
        let before = self.flags[slot];
        self.flags[slot] = if is_set { before | flag } else { before & !flag };
        self.is_used |= is_set;
        self.flags[slot] != before
    }
}

impl Shard {
    /// Has mutations of a slot written to the journal from now on, or no longer.
    pub(crate) fn set_journaled(&mut self, slot: usize, is_journaled: bool) {
        if self.roles.set(slot, flag::JOURNALED, is_journaled) {
            match is_journaled {
                true => self.roles.journaled += 1,
                false => self.roles.journaled -= 1,
            }
        }
    }

    /// Makes a slot a copy, or the node's own.
    pub(crate) fn set_copy(&mut self, env: &Env, slot: usize, is_copy: bool) {
        if !self.roles.set(slot, flag::COPY, is_copy) {
            return;
        }
        let (items, bytes) = self.size_of_slot(env, slot);
        let roles = &mut self.roles;
        if is_copy {
            roles.copies += 1;
            roles.copy_items += items;
            roles.copy_bytes += bytes;
        } else {
            roles.copies -= 1;
            roles.copy_items -= items;
            roles.copy_bytes -= bytes;
            roles.has_promoted = true;
            // Nobody has looked at when its items expire.
            self.next_scan = 0;
        }
    }

    /// Whether the key's slot is held as a copy.
    pub(crate) fn is_copy(&self, env: &Env, key: &Key<'_>) -> bool {
        self.roles.is_copy(env.geometry.home(key.hash()).slot)
    }

    /// After a copy became the node's own: every segment may have items to expire now, and those
    /// of copies may have some to evict.
    pub(super) fn settle_promoted(&mut self) {
        if core::mem::take(&mut self.roles.has_promoted) {
            self.segments.scan_all();
            self.next_scan = 0;
        }
    }

    /// Whether there may be an item that may be evicted, or room that no item has.
    pub(super) fn has_own(&self) -> bool {
        self.roles.copy_items == 0 || self.roles.copy_items < self.counts.items
    }

    /// Whether an item belongs to a slot that is held as a copy.
    pub(crate) fn is_of_copy(&self, env: &Env, header: &Header, bytes: &[u8]) -> bool {
        self.roles.has_copies() && {
            let home = env.geometry.home(env.seed.hash(header.key(bytes)));
            self.roles.is_copy(home.slot)
        }
    }

    /// Bytes that eviction may get at, roughly.
    pub(crate) fn evictable(&self) -> u64 {
        match self.has_own() {
            true => self.charged.saturating_sub(self.roles.copy_bytes),
            false => 0,
        }
    }

    /// Runs what changes the items of one slot, and counts them as a copy's where it is one.
    pub(super) fn counted<T>(&mut self, slot: usize, run: impl FnOnce(&mut Self) -> T) -> T {
        let (items, bytes) = (self.counts.items, self.counts.bytes);
        let done = run(self);
        if self.roles.is_copy(slot) {
            self.roles.copy_items = self.roles.copy_items + self.counts.items - items;
            self.roles.copy_bytes = self.roles.copy_bytes + self.counts.bytes - bytes;
        }
        done
    }

    /// The next mutation of a slot; whoever calls it has it written to the journal.
    #[inline]
    pub(super) fn advance(&mut self, slot: usize) {
        debug_assert!(!self.roles.is_copy(slot), "a copy changes by what its primary did only");
        self.versions[slot] += 1;
    }

    /// A mutation that left the item here as it now is.
    #[inline]
    pub(super) fn advance_item(&mut self, slot: usize, at: (SegmentId, usize)) {
        self.advance(slot);
        if self.roles.journaled > 0 {
            self.journal_item(slot, at);
        }
    }

    /// As [`Shard::advance_item`], apart from the code of lookups that change nothing.
    #[inline(never)]
    pub(super) fn advance_looked_up(&mut self, spot: &Spot) {
        self.advance_item(spot.slot, (spot.segment, spot.offset));
    }

    /// A mutation that removes the item of a key.
    #[inline]
    pub(super) fn advance_removed(&mut self, slot: usize, (id, offset): (SegmentId, usize)) {
        self.advance(slot);
        if self.roles.journaled > 0 {
            self.journal_removed(slot, (id, offset));
        }
    }

    /// As [`Shard::advance_removed`], of a key whose bytes are not in their segment just now.
    pub(super) fn advance_removed_key(&mut self, slot: usize, key: &[u8]) {
        self.advance(slot);
        if self.roles.journaled > 0 && self.roles.is_journaled(slot) {
            self.journal.push(slot, self.versions[slot], &Change::Removed { key });
        }
    }

    /// A mutation that leaves a slot empty.
    pub(super) fn advance_flushed(&mut self, slot: usize) {
        self.advance(slot);
        if self.roles.journaled > 0 && self.roles.is_journaled(slot) {
            self.journal.push(slot, self.versions[slot], &Change::Flushed);
        }
    }

    #[inline(never)]
    fn journal_removed(&mut self, slot: usize, (id, offset): (SegmentId, usize)) {
        if self.roles.is_journaled(slot) {
            let bytes = &self.segments.at(id).data[offset..];
            let key = Header::read(bytes).key(bytes);
            self.journal.push(slot, self.versions[slot], &Change::Removed { key });
        }
    }

    #[inline(never)]
    fn journal_item(&mut self, slot: usize, (id, offset): (SegmentId, usize)) {
        if self.roles.is_journaled(slot) {
            let header = Header::read(&self.segments.at(id).data[offset..]);
            let Self { segments, journal, versions, .. } = self;
            let bytes = &segments.at(id).data[offset..];
            let value = Value::of(segments, (id, offset), &header);
            journal.push(slot, versions[slot], &Change::Item(header.state(bytes, value)));
        }
    }
}

impl Header {
    /// The item that has this header at the start of `bytes`, for those who hold copies.
    pub(super) fn state<'a>(&self, bytes: &'a [u8], value: Value<'a>) -> ItemState<'a> {
        ItemState {
            key: self.key(bytes),
            value,
            client_flags: self.client_flags(bytes),
            cas: self.cas,
            exptime: self.exptime,
            is_stale: self.has(mark::STALE),
            is_token_sent: self.has(mark::TOKEN_SENT),
            key_is_binary: self.has(mark::KEY_BINARY),
        }
    }
}
