//! What proxies have counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_control::Counted;

use crate::limits::{COUNTED_MAX, COUNTED_SILENT_MAX};

/// What each process of a proxy has counted since it began, as it said last; clones are the same.
///
/// A process says totals, so that one that is lost, late or said twice changes nothing. Who writes them
/// down says so ([`Self::wrote`]), and a proxy is told: it remembers for that long what processes before
/// it had counted.
#[derive(Clone, Debug, Default)]
pub struct ProxyCounts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    said: BTreeMap<u64, Said>,
    /// What came while this scaler looked: of a process that it had not heard of, what came after that.
    total: Counted,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    counted: Counted,
    is_written: bool,
    heard: Duration,
}

impl ProxyCounts {
    /// What there is to write down.
    #[must_use]
    pub fn all(&self) -> Vec<Counted> {
        self.state().said.values().map(|said| said.counted).collect()
    }

    /// So much was written down, to outlive the host. Commands that waited are nobody's to write.
    pub fn wrote(&self, counted: &[Counted]) {
        let usage = |it: Counted| Counted { delayed_commands: 0, ..it };
        let mut state = self.state();
        for written in counted {
            if let Some(said) = state.said.get_mut(&written.process) {
                let written = usage(*written);
                said.is_written |= most(usage(said.counted), written) == written;
            }
        }
    }

    /// What all of them did since this scaler began to hear of them: what rates are made of.
    #[must_use]
    pub fn total(&self) -> Counted {
        self.state().total
    }

    /// A proxy has said this. Those whose counts are written down as they are said.
    pub(crate) fn hear(&self, now: Duration, counted: &[Counted]) -> Vec<u64> {
        let mut state = self.state();
        counted.iter().for_each(|counted| state.hear(now, *counted));
        let is_written = |it: &&Counted| {
            let said = state.said.get(&it.process);
            said.is_some_and(|said| said.is_written && said.counted == most(said.counted, **it))
        };
        counted.iter().filter(is_written).map(|it| it.process).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hear(&mut self, now: Duration, counted: Counted) {
        if !self.said.contains_key(&counted.process) && !self.has_room(now) {
            return;
        }
        let is_written = false;
        let new = Said { counted, is_written, heard: now };
        let said = self.said.entry(counted.process).or_insert(new);
        let before = said.counted;
        said.heard = now;
        said.counted = most(before, counted);
        said.is_written &= said.counted == before;
        self.total = sum(self.total, difference(said.counted, before));
    }

    /// Whoever is silent gives way. Were one forgotten that is not, all that it has counted would be news
    /// with each beat.
    fn has_room(&mut self, now: Duration) -> bool {
        if self.said.len() >= COUNTED_MAX {
            self.said.retain(|_, said| now.saturating_sub(said.heard) < COUNTED_SILENT_MAX);
        }
        self.said.len() < COUNTED_MAX
    }
}

fn each(one: Counted, other: Counted, both: impl Fn(u64, u64) -> u64) -> Counted {
    Counted {
        process: one.process,
        ecpu_units: both(one.ecpu_units, other.ecpu_units),
        commands: both(one.commands, other.commands),
        throttled_commands: both(one.throttled_commands, other.throttled_commands),
        delayed_commands: both(one.delayed_commands, other.delayed_commands),
        bytes_in: both(one.bytes_in, other.bytes_in),
        bytes_out: both(one.bytes_out, other.bytes_out),
    }
}

fn most(one: Counted, other: Counted) -> Counted {
    each(one, other, u64::max)
}

fn difference(now: Counted, before: Counted) -> Counted {
    each(now, before, u64::saturating_sub)
}

fn sum(one: Counted, other: Counted) -> Counted {
    each(one, other, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(100);

    fn counted(process: u64, commands: u64) -> Counted {
        Counted { process, commands, ..Counted::default() }
    }

    #[test]
    fn totals_that_are_said_again_or_late_change_nothing() {
        let counts = ProxyCounts::default();
        for said in [7, 7, 5, 9] {
            counts.hear(AT, &[counted(1, said)]);
        }
        assert_eq!(counts.all(), [counted(1, 9)]);
        assert_eq!(counts.total().commands, 2, "what came after it was first heard");
    }

    #[test]
    fn a_proxy_is_told_of_what_is_written_as_it_says_it() {
        let counts = ProxyCounts::default();
        let said = [counted(1, 9), Counted { delayed_commands: 3, ..counted(2, 4) }];
        assert!(counts.hear(AT, &said).is_empty());
        counts.wrote(&[counted(1, 8), counted(2, 4), counted(3, 1)]);
        assert_eq!(counts.hear(AT, &said), [2], "more was said of the first");
        counts.wrote(&[counted(1, 9)]);
        assert_eq!(counts.hear(AT, &said), [1, 2]);
        assert!(counts.hear(AT, &[counted(1, 10)]).is_empty());
    }

    #[test]
    fn those_that_are_heard_are_never_forgotten_and_those_that_are_silent_give_way() {
        let counts = ProxyCounts::default();
        let most = COUNTED_MAX as u64;
        (0..most).for_each(|process| drop(counts.hear(AT, &[counted(process, 1)])));
        counts.hear(AT, &[counted(most, 1)]);
        assert!(!counts.all().contains(&counted(most, 1)), "there is no room");
        let later = AT + COUNTED_SILENT_MAX;
        counts.hear(later, &[counted(0, 2)]);
        counts.hear(later, &[counted(most, 1)]);
        assert_eq!(counts.all(), [counted(0, 2), counted(most, 1)]);
    }
}
