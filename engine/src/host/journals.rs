//! What mutations left behind, on its way from the store to the replication.

use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_engine_core::Change as State;
use memtide_engine_core::replication::Change;
use memtide_topology::SlotId;

use super::{Host, Moment};

/// The changes of slots, each in the order in which they were made.
pub(super) type Changes = BTreeMap<SlotId, Vec<Change>>;

impl Host {
    /// Hands the replication what no command has taken: what eviction and expiry removed.
    pub(super) fn take_records(&mut self, at: Moment) {
        if core::mem::take(&mut self.may_have_records) {
            for shard in 0..self.store.shards() {
                self.take_records_of(at, shard);
            }
        }
    }

    /// The same of one shard.
    pub(super) fn take_records_of(&mut self, at: Moment, shard: usize) {
        if self.store.journal_bytes(shard) > 0 {
            let changes = self.changes_of(shard);
            self.changed(at, changes);
        }
    }

    /// Takes a shard's journal.
    pub(super) fn changes_of(&self, shard: usize) -> Changes {
        let mut changes = Changes::new();
        self.store.take_journal(shard, |slot, version, bytes| {
            changes.entry(slot).or_default().push(self.change(slot, version, bytes));
        });
        changes
    }

    /// A record of a journal, as the replication takes it.
    pub(super) fn change(&self, slot: SlotId, version: u64, bytes: &[u8]) -> Change {
        let seed = self.topology.seed();
        let (state, _) = State::decode(bytes).expect("the store encodes what it reads");
        let key = state.key().map(|key| seed.hash(key));
        let bytes = match self.replication.has_copies(slot) {
            true => Arc::from(bytes),
            false => self.outcomes.none(),
        };
        Change { version, key, bytes }
    }

    /// A slot's changes are told together: after them it may be somebody else's.
    pub(super) fn changed(&mut self, at: Moment, changes: Changes) {
        for (slot, changes) in changes {
            self.replication.changed(at.now, slot, changes);
        }
    }
}
