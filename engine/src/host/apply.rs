//! What primaries send, on its way to the store.

use std::sync::Arc;

use memtide_engine_core::replication::{Entry, Message, SlotMessage};
use memtide_engine_core::{ApplyError, Change};
use memtide_topology::SlotId;
use memtide_wire::WireError;

use super::{Host, Moment};

/// Refuses a message with changes that are none, before anything is made of it.
pub(super) fn check(message: &Message) -> Result<(), WireError> {
    let Message::Slot(_, message) = message else { return Ok(()) };
    match message {
        SlotMessage::Entries { entries, .. } => {
            entries.iter().try_for_each(|entry| check_changes(&entry.change))
        }
        SlotMessage::CopyItems { items, .. } => check_changes(items),
        _ => Ok(()),
    }
}

fn check_changes(mut bytes: &[u8]) -> Result<(), WireError> {
    while !bytes.is_empty() {
        let (_, rest) = Change::decode(bytes).map_err(|_| WireError::Cut("a change"))?;
        bytes = rest;
    }
    Ok(())
}

impl Host {
    /// Applies the entries of a slot's primary; returns the version of the last.
    pub(super) fn apply(&mut self, at: Moment, slot: SlotId, entries: &[Arc<Entry>]) -> u64 {
        let mut last = 0;
        for entry in entries {
            last = entry.position.version;
            self.apply_changes(at, (slot, last), &entry.change);
        }
        last
    }

    /// Applies a chunk of a copy.
    pub(super) fn apply_items(&mut self, at: Moment, slot: SlotId, items: &[u8]) {
        let version = self.store.slot_version(slot);
        self.apply_changes(at, (slot, version), items);
    }

    /// Applies changes, and never fails: where there is no room for an item, with all evicted that
    /// is this node's own, its key is left without one. That is an eviction which shows when this
    /// copy is promoted; to wait for room would stop the slot's writes instead. The primaries evict
    /// for this node long before, see `pressure`.
    fn apply_changes(&mut self, at: Moment, (slot, version): (SlotId, u64), changes: &[u8]) {
        self.may_have_records = true;
        self.applied_bytes += changes.len() as u64;
        if self.store.apply(slot, version, changes, at.wall).is_ok() {
            return;
        }
        let mut rest = changes;
        while let Ok((change, after)) = Change::decode(rest) {
            let one = &rest[..rest.len() - after.len()];
            if let Err(error) = self.store.apply(slot, version, one, at.wall) {
                self.leave_out(at, (slot, version), &change, error);
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }

    fn leave_out(
        &self,
        at: Moment,
        (slot, version): (SlotId, u64),
        change: &Change<'_>,
        error: ApplyError,
    ) {
        self.counters.copy_items_left_out.add(1);
        if !matches!(error, ApplyError::NoRoom { .. } | ApplyError::TooLarge { .. }) {
            tracing::error!(slot = slot.number(), %error, "a primary's change cannot be applied");
        }
        let mut removal = Vec::new();
        if let (Some(key), false) = (change.key(), matches!(error, ApplyError::OtherSlot(_))) {
            Change::Removed { key }.encode(&mut removal);
        }
        // Of a slot that is no copy there is nothing to leave out.
        let _ = self.store.apply(slot, version, &removal, at.wall);
    }
}
