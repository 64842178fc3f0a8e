use std::collections::VecDeque;

use memtide_topology::RequestId;

use super::message::{Outcome, Record};

/// The last mutations of a slot with what their clients were told.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: VecDeque<Record>,
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
        Self { records: records.into(), forgotten }
    }

    pub(super) fn add(&mut self, record: Record, records_max: usize) {
        self.records.push_back(record);
        while self.records.len() > records_max {
            self.forgotten = self.records.pop_front().map_or(0, |record| record.version);
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
