use std::collections::VecDeque;

use memtide_topology::RequestId;

use super::clients::Clients;
use super::effect::ReplicationSettings;
use super::message::{Outcome, Record};

/// Bytes that a slot remembers, at most: a copy gets all of it in one message.
const BYTES_MAX: usize = 512 * 1024;

/// Bytes of an outcome that is remembered; of one that is longer it is remembered only that it was
/// executed.
pub const OUTCOME_BYTES_MAX: usize = 2 * 1024;

/// What a record takes beside its outcome: itself, and the counts of a shared outcome.
const RECORD_BYTES: usize = size_of::<Record>() + 16;

/// Records that a mutation looks through for those that nobody will ask for: more than the one that it
/// adds, so that they go faster than they come.
const LOOKED_AT_MAX: usize = 4;

/// Records that a slot keeps where its node has too many in all.
const KEPT_IN_NEED: usize = 16;

/// The mutations of a slot that may be asked again, with what their clients were told.
///
/// A record goes when its client has said that it has the answer. What has to go before, because there is
/// too much of it, is [forgotten](Earlier::Unknown), and the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// In the order of their versions.
    records: VecDeque<Record>,
    bytes: usize,
    /// What was executed up to this version may be forgotten.
    forgotten: u64,
    /// Which is looked at next.
    next: usize,
}

/// What is known of a retry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    /// It was executed.
    Executed(u64, Outcome),
    /// It was not.
    Not,
    /// It may have been, or was with an outcome that is not known any more.
    Unknown,
}

impl Records {
    pub(super) fn of(records: Vec<Record>, forgotten: u64) -> Self {
        let bytes = records.iter().map(bytes_of).sum();
        Self { records: records.into(), bytes, forgotten, next: 0 }
    }

    /// Bytes of all that is remembered.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Remembers an executed mutation, and no longer what nobody will ask for, or the first ones where
    /// there are too many. `is_in_need` says that all slots together have too many.
    pub(super) fn add(
        &mut self,
        record: Record,
        clients: &Clients,
        (settings, is_in_need): (&ReplicationSettings, bool),
    ) {
        self.drop_answered(clients);
        self.bytes += bytes_of(&record);
        self.records.push_back(record);
        let count_max = if is_in_need { KEPT_IN_NEED } else { usize::MAX };
        let count_max = count_max.min(settings.records_per_slot_max);
        while self.records.len() > count_max || self.bytes > BYTES_MAX {
            let Some(first) = self.records.pop_front() else { return };
            self.bytes -= bytes_of(&first);
            if !clients.is_answered(first.id) {
                self.forgotten = self.forgotten.max(first.version);
            }
        }
    }

    /// Whether a request was executed; `seen` is a version from before its first try.
    pub(super) fn find(&self, id: RequestId, seen: u64) -> Earlier {
        match self.records.iter().rev().find(|record| record.id == id) {
            Some(Record { version, outcome: Some(outcome), .. }) => {
                Earlier::Executed(*version, outcome.clone())
            }
            Some(_) => Earlier::Unknown,
            None if seen < self.forgotten => Earlier::Unknown,
            None => Earlier::Not,
        }
    }

    pub(super) fn snapshot(&self) -> (Vec<Record>, u64) {
        (self.records.iter().cloned().collect(), self.forgotten)
    }

    /// Looks at the next few, round and round.
    fn drop_answered(&mut self, clients: &Clients) {
        for _ in 0..self.records.len().min(LOOKED_AT_MAX) {
            if self.next >= self.records.len() {
                self.next = 0;
            }
            match self.records.get(self.next) {
                Some(record) if clients.is_answered(record.id) => {
                    self.bytes -= bytes_of(record);
                    self.records.remove(self.next);
                }
                Some(record) if clients.is_given_up(record.id) => {
                    self.bytes -= bytes_of(record);
                    self.forgotten = self.forgotten.max(record.version);
                    self.records.remove(self.next);
                }
                _ => self.next += 1,
            }
        }
    }
}

fn bytes_of(record: &Record) -> usize {
    RECORD_BYTES + record.outcome.as_ref().map_or(0, |outcome| outcome.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(client: u64, number: u64) -> RequestId {
        RequestId { client, number }
    }

    fn record(id: RequestId, version: u64, outcome_len: usize) -> Record {
        Record { id, version, outcome: Some(vec![0; outcome_len].into()) }
    }

    #[test]
    fn what_is_answered_is_dropped_and_nothing_is_forgotten_by_that() {
        let (mut records, mut clients) = (Records::default(), Clients::default());
        let settings = ReplicationSettings::default();
        let mut version = 0;
        for number in 1..=1_000 {
            for client in 1..=40 {
                version += 1;
                let id = id(client, number);
                clients.hear(id, number.saturating_sub(2));
                records.add(record(id, version, 8), &clients, (&settings, false));
            }
        }
        assert!(records.records.len() < 5 * 40, "{}", records.records.len());
        assert_eq!(records.bytes, records.records.iter().map(bytes_of).sum());
        assert!(matches!(records.find(id(7, 998), 0), Earlier::Executed(..)));
        // It was asked by a core that had not looked at the slot since it began.
        assert_eq!(records.find(id(7, 1_001), 0), Earlier::Not);
    }

    #[test]
    fn too_many_are_forgotten_from_the_first_on() {
        let clients = Clients::default();
        let settings = ReplicationSettings::default();
        let max = settings.records_per_slot_max as u64;
        let check = |outcome_len: usize, is_in_need: bool, kept: u64| {
            let mut records = Records::default();
            for number in 1..=2 * max {
                let record = record(id(1, number), number, outcome_len);
                records.add(record, &clients, (&settings, is_in_need));
            }
            let first = 2 * max - kept + 1;
            assert_eq!(records.find(id(1, first - 1), 0), Earlier::Unknown);
            assert!(matches!(records.find(id(1, first), 0), Earlier::Executed(..)));
            assert_eq!(records.find(id(2, 1), first - 1), Earlier::Not);
            assert_eq!(records.find(id(2, 1), first - 2), Earlier::Unknown);
        };
        check(8, false, max);
        check(8, true, KEPT_IN_NEED as u64);
        check(OUTCOME_BYTES_MAX, false, (BYTES_MAX / (RECORD_BYTES + OUTCOME_BYTES_MAX)) as u64);
    }

    #[test]
    fn an_outcome_that_is_too_long_is_unknown_and_nothing_else_is() {
        let (mut records, clients) = (Records::default(), Clients::default());
        let settings = ReplicationSettings::default();
        let long = Record { id: id(1, 1), version: 1, outcome: None };
        records.add(long, &clients, (&settings, false));
        assert_eq!(records.find(id(1, 1), 0), Earlier::Unknown);
        assert_eq!(records.find(id(1, 2), 0), Earlier::Not);
    }
}
