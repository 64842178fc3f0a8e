//! What proxies have counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_control::limits::COUNTED_PER_BEAT_MAX;
use memtide_control::{Counted, SessionId};

use crate::limits::{COUNTED_EARLIER_MAX, COUNTED_PROXIES_MAX, COUNTED_SILENT_MAX};

/// What each process of a proxy has counted since it began, as it said last; clones are the same.
///
/// A process says totals, so that one that is lost, late or said twice changes nothing. Who writes them
/// down says so ([`Self::wrote`]), and a proxy is told: it remembers for that long what processes before
/// it had counted.
///
/// A stream names its own process, and those before it, that is [`COUNTED_PER_BEAT_MAX`] as long as it
/// lasts: who names others pushes nobody out.
#[derive(Clone, Debug, Default)]
pub struct ProxyCounts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    said: BTreeMap<u64, Said>,
    streams: BTreeMap<SessionId, Stream>,
    /// How often a process was named of which nothing is known.
    refused: u64,
    /// What came while this scaler looked: of a process that it had not heard of, what came after that.
    total: Counted,
    /// Since when this scaler leads, where it is one of several; in milliseconds since 1970.
    leads_since_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    counted: Counted,
    is_written: bool,
    /// It says so itself, not a later one for it.
    is_live: bool,
    heard: Duration,
}

#[derive(Debug)]
struct Stream {
    /// The processes that it has named, its own first.
    named: Vec<u64>,
    heard: Duration,
}

impl ProxyCounts {
    /// What there is to write down.
    #[must_use]
    pub fn all(&self) -> Vec<Counted> {
        self.all_since().1
    }

    /// The same; and where several scalers lead in turn, since when this one does, in milliseconds since 1970. What
    /// processes that began before that have counted until they are first heard of since may be written down by others.
    #[must_use]
    pub fn all_since(&self) -> (Option<u64>, Vec<Counted>) {
        let state = self.state();
        (state.leads_since_ms, state.said.values().map(|said| said.counted).collect())
    }

    /// This scaler leads from now on, in milliseconds since 1970, and another may have until now: what was heard before
    /// is old.
    pub(crate) fn lead(&self, now_ms: u64) {
        let mut state = self.state();
        state.leads_since_ms = Some(now_ms);
        state.said.clear();
        state.streams.clear();
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

    /// How often counts were not taken: of more processes than one proxy has, or than there may be.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    /// A proxy has said this. Those whose counts are written down as they are said.
    pub(crate) fn hear(&self, now: Duration, session: SessionId, counted: &[Counted]) -> Vec<u64> {
        let mut state = self.state();
        counted.iter().for_each(|counted| state.hear(now, session, *counted));
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
    fn hear(&mut self, now: Duration, session: SessionId, counted: Counted) {
        let Some(is_live) = self.name(now, session, counted.process) else { return self.refuse() };
        if !self.said.contains_key(&counted.process) && !self.has_room(now, is_live) {
            return self.refuse();
        }
        let is_written = false;
        let new = Said { counted, is_written, is_live, heard: now };
        let said = self.said.entry(counted.process).or_insert(new);
        let before = said.counted;
        (said.heard, said.is_live) = (now, is_live);
        said.counted = most(before, counted);
        said.is_written &= said.counted == before;
        self.total = sum(self.total, difference(said.counted, before));
    }

    /// A stream names a process: whether that is its own, or `None` where it has named too many.
    fn name(&mut self, now: Duration, session: SessionId, process: u64) -> Option<bool> {
        if !self.streams.contains_key(&session) {
            self.streams.retain(|_, stream| !is_silent(now, stream.heard));
        }
        let new = Stream { named: Vec::new(), heard: now };
        let stream = self.streams.entry(session).or_insert(new);
        stream.heard = now;
        if !stream.named.contains(&process) {
            if stream.named.len() == COUNTED_PER_BEAT_MAX {
                return None;
            }
            stream.named.push(process);
        }
        Some(stream.named[0] == process)
    }

    /// Whoever is silent gives way. Were one forgotten that is not, what it counts would be news with each
    /// beat. Those that live have room whatever is told of those that have ended.
    fn has_room(&mut self, now: Duration, is_live: bool) -> bool {
        let max = if is_live { COUNTED_PROXIES_MAX } else { COUNTED_EARLIER_MAX };
        let is_full = |said: &BTreeMap<u64, Said>| {
            said.values().filter(|said| said.is_live == is_live).count() >= max
        };
        if is_full(&self.said) {
            self.said.retain(|_, said| !is_silent(now, said.heard));
        }
        !is_full(&self.said)
    }

    /// Said once: it comes with each beat.
    fn refuse(&mut self) {
        if self.refused == 0 {
            tracing::warn!(
                "what a proxy has counted is not part of the cache's usage: it tells of more processes than it \
                 may, or there are too many; see memtide_fleet_counts_refused_total"
            );
        }
        self.refused = self.refused.saturating_add(1);
    }
}

fn is_silent(now: Duration, heard: Duration) -> bool {
    now.saturating_sub(heard) >= COUNTED_SILENT_MAX
}

fn each(one: Counted, other: Counted, both: impl Fn(u64, u64) -> u64) -> Counted {
    Counted {
        process: one.process,
        began_ms: one.began_ms,
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
    const S: SessionId = SessionId(1);

    fn counted(process: u64, commands: u64) -> Counted {
        Counted { process, commands, ..Counted::default() }
    }

    #[test]
    fn totals_that_are_said_again_or_late_change_nothing() {
        let counts = ProxyCounts::default();
        for said in [7, 7, 5, 9] {
            counts.hear(AT, S, &[counted(1, said)]);
        }
        assert_eq!(counts.all(), [counted(1, 9)]);
        assert_eq!(counts.total().commands, 2, "what came after it was first heard");
    }

    #[test]
    fn what_was_heard_before_another_led_is_not_said_again() {
        let counts = ProxyCounts::default();
        counts.hear(AT, S, &[counted(1, 5), counted(2, 5)]);
        counts.lead(77);
        assert_eq!(counts.all_since(), (Some(77), Vec::new()));
        counts.hear(AT, S, &[counted(1, 900)]);
        assert_eq!(counts.all_since(), (Some(77), vec![counted(1, 900)]));
        assert_eq!(counts.total().commands, 0, "somebody else heard it meanwhile");
    }

    #[test]
    fn a_proxy_is_told_of_what_is_written_as_it_says_it() {
        let counts = ProxyCounts::default();
        let said = [counted(1, 9), Counted { delayed_commands: 3, ..counted(2, 4) }];
        assert!(counts.hear(AT, S, &said).is_empty());
        counts.wrote(&[counted(1, 8), counted(2, 4), counted(3, 1)]);
        assert_eq!(counts.hear(AT, S, &said), [2], "more was said of the first");
        counts.wrote(&[counted(1, 9)]);
        assert_eq!(counts.hear(AT, S, &said), [1, 2]);
        assert!(counts.hear(AT, S, &[counted(1, 10)]).is_empty());
    }

    /// A proxy a stream, each with a process of its own.
    fn hear_proxies(counts: &ProxyCounts, now: Duration, processes: core::ops::Range<u64>) {
        for process in processes {
            counts.hear(now, SessionId(process), &[counted(process, 1)]);
        }
    }

    #[test]
    fn all_proxies_that_a_scaler_has_connections_for_are_counted() {
        let counts = ProxyCounts::default();
        let most = memtide_control::limits::CONNECTIONS_MAX as u64;
        hear_proxies(&counts, AT, 0..most);
        assert_eq!((counts.all().len() as u64, counts.refused()), (most, 0));
    }

    #[test]
    fn those_that_are_heard_are_never_forgotten_and_those_that_are_silent_give_way() {
        let counts = ProxyCounts::default();
        let most = COUNTED_PROXIES_MAX as u64;
        hear_proxies(&counts, AT, 0..most + 1);
        assert!(!counts.all().contains(&counted(most, 1)), "there is no room");
        assert_eq!(counts.refused(), 1);
        let later = AT + COUNTED_SILENT_MAX;
        hear_proxies(&counts, later, 0..1);
        hear_proxies(&counts, later, most..most + 1);
        assert_eq!(counts.all(), [counted(0, 1), counted(most, 1)]);
    }

    #[test]
    fn one_proxy_names_no_more_processes_than_it_may_have_had() {
        let counts = ProxyCounts::default();
        let most = COUNTED_PER_BEAT_MAX as u64;
        for beat in 0..100 {
            let mut said = vec![counted(7, beat)];
            said.extend((1..most).map(|number| counted(1_000 * (beat + 1) + number, 1)));
            counts.hear(AT + Duration::from_secs(beat), S, &said);
        }
        let all = counts.all();
        assert_eq!((all.len() as u64, all[0]), (most, counted(7, 99)));
        assert_eq!(counts.refused(), 99 * (most - 1));
    }

    #[test]
    fn proxies_that_live_have_room_whatever_is_told_of_those_that_have_ended() {
        let counts = ProxyCounts::default();
        let streams = COUNTED_EARLIER_MAX as u64;
        for stream in 0..streams {
            let first = 1_000 + 10 * stream;
            let said: Vec<_> = (0..4).map(|number| counted(first + number, 1)).collect();
            counts.hear(AT, SessionId(stream), &said);
        }
        let all = counts.all();
        let live = all.iter().filter(|it| it.process % 10 == 0).count();
        assert_eq!((live, all.len()), (COUNTED_EARLIER_MAX, 2 * COUNTED_EARLIER_MAX));
    }
}
