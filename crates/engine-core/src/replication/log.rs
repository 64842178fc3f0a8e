use std::collections::VecDeque;
use std::sync::Arc;

use memtide_topology::KeyHash;

use super::message::{Entry, Position};

/// The entries that a required copy may still need, and the positions around them.
#[derive(Debug)]
pub(super) struct Log {
    /// Before the first entry.
    base: Position,
    /// After the last entry.
    head: Position,
    entries: VecDeque<Logged>,
    /// Of the changes and outcomes in them.
    bytes: usize,
}

#[derive(Debug)]
struct Logged {
    entry: Arc<Entry>,
    /// `None` for the whole slot.
    key: Option<KeyHash>,
}

impl Log {
    pub(super) const fn new(base: Position) -> Self {
        Self { base, head: base, entries: VecDeque::new(), bytes: 0 }
    }

    pub(super) const fn base(&self) -> Position {
        self.base
    }

    pub(super) const fn head(&self) -> Position {
        self.head
    }

    /// Bytes of what it keeps.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn append(&mut self, entry: Arc<Entry>, key: Option<KeyHash>) {
        self.head = entry.position;
        self.bytes += entry.len();
        self.entries.push_back(Logged { entry, key });
    }

    /// Passes over an entry that no copy will ask for; `false` where it must be appended, because
    /// there are some before it.
    pub(super) fn pass_over(&mut self, position: Position) -> bool {
        let is_empty = self.entries.is_empty();
        if is_empty {
            (self.base, self.head) = (position, position);
        }
        is_empty
    }

    /// What follows a position; `None` where that is none of this history's, or too old.
    pub(super) fn after(&self, position: Position) -> Option<Vec<Arc<Entry>>> {
        let skip = if position == self.base {
            0
        } else {
            self.entries.iter().position(|logged| logged.entry.position == position)? + 1
        };
        Some(self.entries.iter().skip(skip).map(|logged| Arc::clone(&logged.entry)).collect())
    }

    /// Forgets the entries up to this version.
    pub(super) fn forget(&mut self, version: u64) {
        while let Some(first) = self.entries.front()
            && first.entry.position.version <= version
        {
            self.base = first.entry.position;
            self.bytes -= first.entry.len();
            self.entries.pop_front();
        }
    }

    /// The version of the last entry that touched a key, or of the last one at all without one;
    /// 0 where there is none in the log.
    pub(super) fn last_touch(&self, key: Option<KeyHash>) -> u64 {
        let is_touched =
            |logged: &&Logged| key.is_none() || logged.key.is_none() || logged.key == key;
        let last = self.entries.iter().rev().find(is_touched);
        last.map_or(0, |logged| logged.entry.position.version)
    }
}
