//! What must hold of every run.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use memtide_routing::{Kind, Refused, Settings};
use memtide_topology::{Epoch, Request};

use crate::node::{Command, Entry, Outcome};

/// A ticket's life.
#[derive(Debug)]
struct Life {
    slot: usize,
    kind: Kind,
    deadline: Duration,
    sends: usize,
    epochs: BTreeSet<Epoch>,
    end: Option<Result<Outcome, Refused>>,
}

/// Every ticket's life.
#[derive(Debug, Default)]
pub struct Lives {
    by_ticket: BTreeMap<u64, Life>,
}

impl Lives {
    pub fn submitted(&mut self, command: Command, slot: usize, deadline: Duration) {
        let Command { ticket, kind } = command;
        let (sends, epochs, end) = (0, BTreeSet::new(), None);
        self.by_ticket.insert(ticket, Life { slot, kind, deadline, sends, epochs, end });
    }

    pub fn sent(&mut self, request: &Request<Command>) {
        let life = self.by_ticket.get_mut(&request.command.ticket).unwrap();
        assert!(life.end.is_none(), "{} is sent after its end", request.command.ticket);
        life.sends += 1;
        life.epochs.insert(request.epoch);
    }

    pub fn ended(&mut self, now: Duration, ticket: u64, end: Result<Outcome, Refused>) {
        let life = self.by_ticket.get_mut(&ticket).unwrap();
        assert!(now <= life.deadline, "{ticket} ends at {now:?}, after {:?}", life.deadline);
        assert!(life.end.is_none(), "{ticket} ends twice: {:?}, then {end:?}", life.end);
        life.end = Some(end);
    }

    pub fn end(&self, ticket: u64) -> Option<Result<Outcome, Refused>> {
        self.by_ticket[&ticket].end
    }

    /// `(1 + E) * (2 + S) + patience / pause_max`, and one more of a read of any copy.
    pub fn check_sends(&self, settings: &Settings) {
        let ratio = settings.pause_max.as_micros().div_ceil(settings.pause_min.as_micros());
        let steps = usize::try_from(ratio.next_power_of_two().ilog2()).unwrap();
        let slow = settings.patience.as_micros() / settings.pause_max.as_micros();
        for (ticket, life) in &self.by_ticket {
            assert!(life.end.is_some(), "{ticket} has no end: {life:?}");
            let most = life.epochs.len() * (2 + steps) + usize::try_from(slow).unwrap() + 1;
            assert!(life.sends <= most, "{ticket} is sent {} times, not {most}", life.sends);
        }
    }

    /// A slot's committed entries against what the tickets were told.
    pub fn check_history(&self, slot: usize, history: &[Entry]) {
        let own = |entries: &[Entry]| -> Vec<u64> {
            entries.iter().filter_map(|entry| Some(entry.request?.1)).collect()
        };
        let tickets = own(history);
        for pair in tickets.windows(2) {
            assert!(pair[0] < pair[1], "slot {slot}: {} executed before {}", pair[0], pair[1]);
        }
        let executed: BTreeSet<u64> = tickets.into_iter().collect();
        for (&ticket, life) in self.by_ticket.iter().filter(|(_, life)| life.slot == slot) {
            match (life.kind, life.end.unwrap()) {
                (Kind::Mutation, Ok(len)) => {
                    let last = history[len - 1].request.map(|(_, ticket)| ticket);
                    assert_eq!(last, Some(ticket), "slot {slot}: the outcome of another");
                }
                (Kind::Mutation, Err(Refused::UnknownOutcome)) => {}
                (Kind::Mutation, Err(refused)) => {
                    assert!(!executed.contains(&ticket), "{ticket} executed, but {refused:?}");
                }
                (Kind::Read, Ok(len)) => {
                    let (before, after) = history.split_at(len);
                    // An earlier try of those behind it may have been executed when it is repeated.
                    let is_in_past = life.sends > 1 || own(before).last() < Some(&ticket);
                    assert!(is_in_past, "{ticket} reads what came later");
                    let next = own(after).first().copied().unwrap_or(u64::MAX);
                    assert!(ticket < next, "{ticket} does not see {next}, submitted before it");
                }
                _ => {}
            }
        }
    }

    /// How many ended with an outcome, and how many without.
    pub fn tally(&self) -> (usize, usize) {
        let ok = self.by_ticket.values().filter(|life| matches!(life.end, Some(Ok(_)))).count();
        (ok, self.by_ticket.len() - ok)
    }
}
