//! What replication asks of a store.
//!
//! A primary's slot is journaled; what its mutations left behind is taken from the journal, in
//! order, by whoever runs the commands:
//!
//! ```text
//! primary   execute -> take_journal ----- changes, in order ----> apply   copy
//!           copy_slot ------------------- chunks, in between ---> apply
//! ```
//!
//! The caller holds a lock of its own around a command and the taking of its shard's journal, so
//! that the records come with their command. Eviction for a put in another shard and
//! [`Store::maintain`] write removals in between; they come with the next taking.

use super::Store;
use crate::change::{Change, ChangeError};
use crate::limits::VERSION_MAX;
use crate::{Key, Now, SlotCursor};
use memtide_topology::SlotId;

/// Why a copy did not take a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The slot is not held as a copy.
    #[error("slot is not held as a copy")]
    NotACopy,
    /// The bytes are no changes.
    #[error("malformed change: {0}")]
    Malformed(#[from] ChangeError),
    /// A key belongs to another slot.
    #[error("change is about a key of slot {}", .0.number())]
    OtherSlot(SlotId),
    /// An item is larger than this store's `item_size_max`.
    #[error("item of {value_len} bytes is larger than this node allows")]
    TooLarge {
        /// Bytes of its value.
        value_len: usize,
    },
    /// The version is beyond what any primary reaches.
    #[error("version {0} is out of range")]
    Version(u64),
    /// There is no memory for it, with all evicted that this node may evict.
    #[error("no memory for an item of {value_len} bytes")]
    NoRoom {
        /// Bytes of its value.
        value_len: usize,
    },
}

impl Store {
    /// Number of shards: how many journals there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.cells.len()
    }

    /// The shard that has a slot, below [`shards`](Self::shards).
    #[must_use]
    pub fn shard_of(&self, slot: SlotId) -> usize {
        self.env.geometry.shard(slot)
    }

    /// Has the mutations of a slot written to the journal of its shard from now on, or no longer.
    pub fn set_journaled(&self, slot: SlotId, is_journaled: bool) {
        let number = self.env.geometry.slot_in_shard(slot);
        self.lock_slot(slot).shard.set_journaled(number, is_journaled);
    }

    /// Holds a slot as a copy from now on, or as this node's own.
    ///
    /// A copy changes by [`apply`](Self::apply) and [`drop_slot`](Self::drop_slot) only: nothing of
    /// it is evicted or expires, and a lookup of an expired item is a miss that removes nothing. A
    /// lookup there touches nothing, hands out no token and vivifies nothing; no other command may
    /// be given for it. Takes time by the number of the slot's items.
    pub fn set_copy(&self, slot: SlotId, is_copy: bool) {
        let number = self.env.geometry.slot_in_shard(slot);
        self.lock_slot(slot).shard.set_copy(&self.env, number, is_copy);
    }

    /// Bytes that wait in a shard's journal; read without its lock.
    ///
    /// # Panics
    /// Where there is no such shard.
    #[must_use]
    pub fn journal_bytes(&self, shard: usize) -> usize {
        self.cells[shard].journal_bytes.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Shows what mutations left behind in a shard, oldest first, and forgets it: slot, version
    /// after the mutation, and one encoded [`Change`]. Each mutation moves its slot's version by
    /// one. `with` runs under the shard's lock.
    ///
    /// Whoever runs commands on journaled slots calls it after every command, and now and then for
    /// every shard. Until then a journal holds what the last command in its shard wrote, and about
    /// 256 KiB of removals besides: with more, nothing is evicted there for other shards or in the
    /// background. It is not part of `memory_used`.
    ///
    /// # Panics
    /// Where there is no such shard.
    pub fn take_journal(&self, shard: usize, mut with: impl FnMut(SlotId, u64, &[u8])) {
        let cell = &self.cells[shard];
        if self.journal_bytes(shard) > 0 {
            cell.lock(&self.env).shard.journal.take(|number, version, change| {
                with(self.env.geometry.slot_at(shard, number), version, change);
            });
        }
    }

    /// Moves a slot's version ahead, never back: a new primary's positions are above all that were
    /// used before.
    pub fn set_slot_version(&self, slot: SlotId, version: u64) {
        let number = self.env.geometry.slot_in_shard(slot);
        let mut locked = self.lock_slot(slot);
        let version = version.min(VERSION_MAX).max(locked.shard.version(number));
        locked.shard.set_version(number, version);
    }

    /// Gives a copy the states of one or more changes, in order, and then this version.
    ///
    /// Makes room by evicting items of slots that are this node's own. A change is applied as a
    /// whole or not at all. Where one fails, those before it stay applied, and the version stays as
    /// it was: changes are states, so the same call may simply be made again.
    ///
    /// # Errors
    /// Where the slot is not a copy, the bytes are not changes of it, or the memory does not
    /// suffice; all but the last are found before anything is changed.
    pub fn apply(
        &self,
        slot: SlotId,
        version: u64,
        changes: &[u8],
        now: Now,
    ) -> Result<(), ApplyError> {
        let number = self.env.geometry.slot_in_shard(slot);
        if !self.lock_slot(slot).shard.roles.is_copy(number) {
            return Err(ApplyError::NotACopy);
        }
        if version > VERSION_MAX {
            return Err(ApplyError::Version(version));
        }
        each_change(changes, |change| self.check_change(slot, change))?;
        each_change(changes, |change| self.apply_change(slot, change, now))?;
        self.lock_slot(slot).shard.set_version(number, version);
        Ok(())
    }

    /// Appends items of a slot as changes, from `cursor` on, until that would be more than
    /// `bytes_max` bytes, but at least one; says where to go on, `None` at the end, and which
    /// version of the slot these bytes are of.
    ///
    /// An item that is there during the whole copying is in exactly one chunk. A copy that gets
    /// the chunks, and in between the records of the journal in the order in which both were
    /// taken, ends with the same items. A record that was in the journal when the chunk was
    /// taken may follow it: it is a removal of what the chunk does not have either.
    pub fn copy_slot(
        &self,
        cursor: SlotCursor,
        bytes_max: usize,
        now: Now,
        chunk: &mut Vec<u8>,
    ) -> (Option<SlotCursor>, u64) {
        let SlotCursor { slot, from } = cursor;
        let number = self.env.geometry.slot_in_shard(slot);
        let locked = self.lock_slot(slot);
        let next = locked.shard.encode_items_of((&self.env, now), (number, from), bytes_max, chunk);
        (next.map(|from| SlotCursor { slot, from }), locked.shard.version(number))
    }

    /// Evicts about `bytes` bytes of items of the wanted slots out of one shard, for the sake of a
    /// node that holds copies of them; returns how many went.
    ///
    /// S3-FIFO's order and decisions, confined to those slots: each of the shard's segments is
    /// emptied at most once, under a lock of its own, until at least `bytes` are gone. So a wanted
    /// item goes unless it was accessed since it was last considered, and with the fourth call in a
    /// row even then. Up to a segment's items more may go. Items of other slots stay, as if their
    /// segment were new; where few slots are wanted, moving them is most of the work.
    ///
    /// # Panics
    /// Where there is no such shard.
    pub fn evict_for(
        &self,
        shard: usize,
        bytes: u64,
        now: Now,
        mut is_wanted: impl FnMut(SlotId) -> bool,
    ) -> u64 {
        let cell = &self.cells[shard];
        let mut is_wanted = |place| is_wanted(self.env.geometry.slot_at(shard, place));
        let mut gone = 0;
        let queues = cell.lock(&self.env).shard.wanted_steps(&self.env, now);
        for (queue, segments) in queues {
            for _ in 0..segments {
                if gone >= bytes {
                    return gone;
                }
                let mut locked = cell.lock(&self.env);
                gone += locked.shard.evict_wanted(&self.env, now, queue, &mut is_wanted);
            }
        }
        gone
    }

    fn check_change(&self, slot: SlotId, change: &Change<'_>) -> Result<(), ApplyError> {
        let of_key = change.key().map(|key| SlotId::of(self.env.seed.hash(key)));
        if let Some(other) = of_key.filter(|of_key| *of_key != slot) {
            return Err(ApplyError::OtherSlot(other));
        }
        if let Change::Item(item) = change {
            let value_len = item.value.len();
            if !self.item_fits(item.key.len(), item.client_flags, value_len) {
                return Err(ApplyError::TooLarge { value_len });
            }
        }
        Ok(())
    }

    fn apply_change(&self, slot: SlotId, change: &Change<'_>, now: Now) -> Result<(), ApplyError> {
        let key_of = |bytes| {
            let key = Key::new(bytes, self.env.seed.hash(bytes));
            key.expect("a change has a key of allowed length")
        };
        match change {
            Change::Flushed => {
                let number = self.env.geometry.slot_in_shard(slot);
                self.lock_slot(slot).shard.clear_slot(&self.env, number);
            }
            Change::Removed { key } => {
                self.lock_slot(slot).shard.apply_removal(&self.env, &key_of(key));
            }
            Change::Item(item) => {
                let key = key_of(item.key);
                let key = if item.key_is_binary { key.binary() } else { key };
                let done =
                    self.try_with_room(key, now, &mut |shard, call| shard.apply_item(call, item));
                let value_len = item.value.len();
                done.map_err(|_| ApplyError::NoRoom { value_len })?;
            }
        }
        Ok(())
    }
}

/// Runs `with` for every change of these bytes, until it fails.
fn each_change(
    mut bytes: &[u8],
    mut with: impl FnMut(&Change<'_>) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    while !bytes.is_empty() {
        let (change, rest) = Change::decode(bytes)?;
        with(&change)?;
        bytes = rest;
    }
    Ok(())
}
