use std::collections::VecDeque;
use std::sync::Arc;

use memtide_topology::KeyHash;

use super::message::{Entry, Position};

/// Entries of one message at most.
const ENTRIES_PER_MESSAGE_MAX: usize = 64;
/// Bytes of their changes and outcomes, but for a single one that is larger.
const MESSAGE_BYTES: usize = 256 * 1024;

/// What an entry takes beside its change and its outcome.
const ENTRY_BYTES: usize = size_of::<Logged>() + size_of::<Entry>() + 3 * 16;

/// The entries that a required copy may still need, and the positions around them.
#[derive(Debug)]
pub(super) struct Log {
    /// Before the first entry.
    base: Position,
    /// After the last entry.
    head: Position,
    entries: VecDeque<Logged>,
    /// Of the changes and outcomes in them, and of themselves.
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
        self.bytes += ENTRY_BYTES + entry.len();
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
            self.bytes -= ENTRY_BYTES + first.entry.len();
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

/// Cuts entries into messages that are not too large, however large the entries are.
pub(super) fn messages_of(entries: Vec<Arc<Entry>>) -> Vec<Vec<Arc<Entry>>> {
    let mut messages: Vec<Vec<Arc<Entry>>> = Vec::new();
    let mut bytes = usize::MAX;
    for entry in entries {
        let len = entry.len();
        bytes = bytes.saturating_add(len);
        match messages.last_mut() {
            Some(last) if bytes <= MESSAGE_BYTES && last.len() < ENTRIES_PER_MESSAGE_MAX => {
                last.push(entry);
            }
            _ => {
                bytes = len;
                messages.push(vec![entry]);
            }
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_topology::Epoch;

    #[test]
    fn messages_are_bounded_in_entries_and_bytes() {
        let check = |bytes: usize, count: usize, expected: &[usize]| {
            let position = Position { epoch: Epoch::new(1), version: 1 };
            let entry = Arc::new(Entry { position, change: vec![0; bytes].into(), request: None });
            let messages = messages_of(vec![entry; count]);
            let counts: Vec<usize> = messages.iter().map(Vec::len).collect();
            assert_eq!(counts, expected, "{count} of {bytes} bytes");
        };
        check(1, 130, &[64, 64, 2]);
        check(MESSAGE_BYTES / 2, 5, &[2, 2, 1]);
        check(2 * MESSAGE_BYTES, 3, &[1, 1, 1]);
        check(1, 0, &[]);
    }
}
