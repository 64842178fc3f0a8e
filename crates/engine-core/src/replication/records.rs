use std::collections::VecDeque;

use memtide_topology::RequestId;

use super::message::{Outcome, Record};

/// Bytes of the outcomes that a slot remembers. A node of all slots has no more than 128 MiB of them.
const OUTCOMES_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an outcome that is remembered. Only commands that also read, such as gat, have longer ones.
const OUTCOME_BYTES_MAX: usize = 2 * 1024;

/// The last mutations of a slot with what their clients were told.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: VecDeque<Record>,
    /// Bytes of their outcomes.
    bytes: usize,
    /// What was executed up to this version may be forgotten.
    forgotten: u64,
}

/// What is known of a retry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    /// It was executed.
    Executed(u64, Outcome),
    /// It was not.
    Not,
    /// It may have been, too long ago.
    Unknown,
}

impl Records {
    pub(super) fn of(records: Vec<Record>, forgotten: u64) -> Self {
        let bytes = records.iter().map(|record| record.outcome.len()).sum();
        Self { records: records.into(), bytes, forgotten }
    }

    /// Remembers an executed mutation, unless its outcome is too long, and forgets the first ones
    /// where there are too many, or their outcomes too long together.
    pub(super) fn add(&mut self, record: Record, records_max: usize) {
        if record.outcome.len() > OUTCOME_BYTES_MAX {
            self.forgotten = record.version;
            return;
        }
        self.bytes += record.outcome.len();
        self.records.push_back(record);
        while self.records.len() > records_max || self.bytes > OUTCOMES_BYTES_MAX {
            let Some(first) = self.records.pop_front() else { return };
            self.bytes -= first.outcome.len();
            self.forgotten = first.version;
        }
    }

    /// Whether a request was executed; `seen` is a version from before its first try.
    pub(super) fn find(&self, id: RequestId, seen: u64) -> Earlier {
        match self.records.iter().rev().find(|record| record.id == id) {
            Some(record) => Earlier::Executed(record.version, record.outcome.clone()),
            None if seen < self.forgotten => Earlier::Unknown,
            None => Earlier::Not,
        }
    }

    pub(super) fn snapshot(&self) -> (Vec<Record>, u64) {
        (self.records.iter().cloned().collect(), self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, outcome_len: usize) -> Record {
        let id = RequestId { client: 1, number };
        Record { id, version: number, outcome: vec![0; outcome_len].into() }
    }

    #[test]
    fn long_outcomes_are_forgotten_sooner() {
        let mut records = Records::default();
        let id = |number| RequestId { client: 1, number };
        (1..=5).for_each(|number| records.add(record(number, OUTCOME_BYTES_MAX), 64));
        assert_eq!(records.find(id(1), 0), Earlier::Unknown);
        assert!(matches!(records.find(id(2), 0), Earlier::Executed(2, _)));
        records.add(record(6, OUTCOME_BYTES_MAX + 1), 64);
        assert_eq!(records.find(id(6), 5), Earlier::Unknown);
        assert!(matches!(records.find(id(5), 4), Earlier::Executed(5, _)));
        assert_eq!(records.find(id(7), 6), Earlier::Not);
    }
}
