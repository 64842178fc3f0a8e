use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::hour::{Counts, HOUR, Hour};
use crate::limits::{HOURS_OPEN_MAX, SAMPLE_SECONDS_MAX, SOURCES_MAX};

/// A process that counts. Another process, even in the place of the first, needs another id: a random
/// number serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u64);

/// What is stored now, and the least that is metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Data stored, each item once.
    pub data_bytes: u64,
    /// The least data that is metered; 0 is none.
    pub data_bytes_min: u64,
    /// The least work that is metered, in ECPUs per second; 0 is none.
    pub ecpu_per_second_min: u64,
}

/// What a flush writes, in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flush {
    /// Hours that have changed, whole.
    pub hours: Vec<Hour>,
    /// What each source said last, those heard longest ago first.
    pub sources: Vec<(SourceId, Counts)>,
}

/// Adds up what sources count and what is stored, by the hour in which it is heard. Pure.
///
/// ```text
///  restored (all flushes, in order) -> heard, sampled, .. -> flush (write it), flushed -> heard, ..
/// ```
#[derive(Clone, Debug, Default)]
pub struct Meter {
    hours: BTreeMap<u64, Hour>,
    /// What each said last, and the order in which they were heard.
    sources: BTreeMap<SourceId, (Counts, u64)>,
    heard: u64,
    changed: BTreeSet<u64>,
    sampled_at: Option<u64>,
}

impl Meter {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a flush that was written; in any order, and any of them again.
    pub fn restore(&mut self, flush: &Flush) {
        for hour in &flush.hours {
            let known = self.hours.entry(hour.hour).or_insert(*hour);
            if hour.revision > known.revision {
                *known = *hour;
            }
        }
        self.close_hours();
        for (source, counts) in &flush.sources {
            let known = self.sources.get(source).map_or(Counts::default(), |(known, _)| *known);
            self.remember(*source, counts.max(known));
        }
    }

    /// A source has counted so much since it began.
    pub fn heard(&mut self, now_secs: u64, source: SourceId, counts: Counts) {
        let known = self.sources.get(&source).map_or(Counts::default(), |(known, _)| *known);
        let new = counts.since(known);
        self.remember(source, counts.max(known));
        if new != Counts::default() {
            let hour = self.hour(now_secs);
            hour.counts = hour.counts.plus(new);
        }
    }

    /// So much is stored; it stands for the time since the last sample. Call it every 10 s.
    pub fn sampled(&mut self, now_secs: u64, sample: Sample) {
        let before = self.sampled_at.replace(now_secs).unwrap_or(now_secs);
        let seconds = now_secs.saturating_sub(before).min(SAMPLE_SECONDS_MAX);
        if seconds == 0 {
            return;
        }
        let hour = self.hour(now_secs);
        let add =
            |sum: &mut u64, each: u64| *sum = sum.saturating_add(each.saturating_mul(seconds));
        add(&mut hour.byte_seconds, sample.data_bytes);
        add(&mut hour.byte_seconds_min, sample.data_bytes_min);
        add(&mut hour.ecpu_units_min, sample.ecpu_per_second_min.saturating_mul(1_024));
        add(&mut hour.seconds, 1);
    }

    /// What is to be written for what has changed, where anything has. It counts as not written until
    /// [`Self::flushed`].
    #[must_use]
    pub fn flush(&self) -> Option<Flush> {
        if self.changed.is_empty() {
            return None;
        }
        let changed = self.changed.iter().filter_map(|hour| self.hours.get(hour));
        let hours = changed.map(|hour| Hour { revision: hour.revision + 1, ..*hour }).collect();
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort_by_key(|(_, (_, order))| *order);
        let sources = sources.into_iter().map(|(source, (counts, _))| (*source, *counts)).collect();
        Some(Flush { hours, sources })
    }

    /// These were written, and may not be there: the next flush has them again.
    pub fn doubted(&mut self, hours: &[Hour]) {
        self.changed.extend(hours.iter().map(|hour| hour.hour));
    }

    /// That was written.
    pub fn flushed(&mut self, flush: &Flush) {
        for written in &flush.hours {
            if let Some(hour) = self.hours.get_mut(&written.hour) {
                hour.revision = hour.revision.max(written.revision);
            }
        }
        self.changed.clear();
        self.close_hours();
    }

    /// The hours that can still be added to, the oldest first.
    pub fn hours(&self) -> impl Iterator<Item = &Hour> {
        self.hours.values()
    }

    fn hour(&mut self, now_secs: u64) -> &mut Hour {
        let hour = now_secs - now_secs % HOUR;
        self.changed.insert(hour);
        self.hours.entry(hour).or_insert(Hour { hour, ..Hour::default() })
    }

    /// Forgets the oldest hours that are written.
    fn close_hours(&mut self) {
        while self.hours.len() > HOURS_OPEN_MAX {
            self.hours.pop_first();
        }
    }

    fn remember(&mut self, source: SourceId, counts: Counts) {
        self.heard += 1;
        self.sources.insert(source, (counts, self.heard));
        if self.sources.len() > SOURCES_MAX {
            let oldest = self.sources.iter().min_by_key(|(_, (_, order))| *order);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.sources.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: SourceId = SourceId(1);

    fn commands(commands: u64) -> Counts {
        Counts { commands, ecpu_units: commands * 1_024, ..Counts::default() }
    }

    fn total(meter: &Meter) -> u64 {
        meter.hours().map(|hour| hour.counts.commands).sum()
    }

    #[test]
    fn what_is_said_again_or_late_is_not_counted_again() {
        let mut meter = Meter::new();
        for (now, said, expected) in [(10, 5, 5), (11, 5, 5), (12, 3, 5), (13, 9, 9)] {
            meter.heard(now, A, commands(said));
            assert_eq!(total(&meter), expected, "at {now}");
        }
        meter.heard(14, SourceId(2), commands(4));
        assert_eq!(total(&meter), 13, "another process counts from nothing");
    }

    #[test]
    fn counts_are_of_the_hour_in_which_they_are_heard_also_when_a_clock_is_set_back() {
        let mut meter = Meter::new();
        for (now, said) in [(3_599, 1), (3_600, 3), (7_200, 7), (3_700, 15), (0, 31)] {
            meter.heard(now, A, commands(said));
        }
        let hours: Vec<_> = meter.hours().map(|it| (it.hour, it.counts.commands)).collect();
        assert_eq!(hours, [(0, 17), (3_600, 10), (7_200, 4)]);
    }

    #[test]
    fn data_is_averaged_over_the_hour_and_metered_at_its_minimum() {
        let gib = 1 << 30;
        let check = |data_bytes_min, average, metered| {
            let mut meter = Meter::new();
            for tick in 0..=359 {
                // Half of the time nothing, half of the time 3 GiB.
                let data_bytes = if tick % 2 == 0 { 0 } else { 3 * gib };
                let sample = Sample { data_bytes, data_bytes_min, ecpu_per_second_min: 2 };
                meter.sampled(tick * 10, sample);
            }
            meter.sampled(3_599, Sample::default());
            let usage = meter.hours().next().unwrap().usage();
            assert_eq!((usage.seconds, usage.data_bytes_average), (3_599, average));
            assert_eq!(usage.byte_seconds_metered, metered);
            assert_eq!(usage.ecpu_units_metered, 2 * 1_024 * 3_590);
        };
        check(0, 1_800 * 3 * gib / 3_599, 1_800 * 3 * gib);
        check(gib, 1_800 * 3 * gib / 3_599, 1_800 * 3 * gib);
        check(2 * gib, 1_800 * 3 * gib / 3_599, 3_590 * 2 * gib);
    }

    #[test]
    fn time_that_was_not_looked_at_is_not_metered() {
        let mut meter = Meter::new();
        let sample = Sample { data_bytes: 7, data_bytes_min: 5, ecpu_per_second_min: 0 };
        for now in [100, 110, 3_000, 2_000, 2_010] {
            meter.sampled(now, sample);
        }
        let hour = *meter.hours().next().unwrap();
        assert_eq!((hour.seconds, hour.byte_seconds, hour.byte_seconds_min), (50, 350, 250));
    }

    #[test]
    fn the_minimum_of_work_is_metered_for_the_time_it_was_set() {
        let mut meter = Meter::new();
        for now in 0..=10 {
            meter.sampled(now * 10, Sample { ecpu_per_second_min: 5, ..Sample::default() });
        }
        meter.heard(100, A, commands(499));
        assert_eq!(meter.hours().next().unwrap().usage().ecpu_units_metered, 500 * 1_024);
        meter.heard(100, A, commands(501));
        assert_eq!(meter.hours().next().unwrap().usage().ecpu_units_metered, 501 * 1_024);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut meter = Meter::new();
        for number in 0..2_000 {
            let counts = Counts { commands: u64::MAX, ..Counts::default() };
            meter.heard(number * HOUR, SourceId(number), counts);
            if let Some(flush) = meter.flush() {
                meter.flushed(&flush);
            }
        }
        meter.heard(0, SourceId(7), Counts::default());
        let flush = meter.flush();
        assert_eq!(flush, None, "a source that has counted nothing changes nothing");
        assert_eq!(meter.hours().count(), HOURS_OPEN_MAX);
        assert_eq!(meter.sources.len(), SOURCES_MAX);
    }

    proptest! {
        /// Killed at any moment, with any reports repeated and lost: what is kept is what the sources
        /// counted, but for what ended sources had counted since the last flush.
        #[test]
        fn nothing_is_counted_twice_and_no_more_lost_than_since_the_last_flush(
            steps in prop::collection::vec((0..8_u8, 0..3_u64, 1..100_u64), 1..200),
        ) {
            let mut meter = Meter::new();
            let mut written: Vec<Flush> = Vec::new();
            let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
            let (mut now, mut lost_max, mut since_flush) = (0, 0, BTreeMap::<u64, u64>::new());
            let mut generation = 0;
            for (what, source, number) in steps {
                now += number;
                match what {
                    // It counts, and perhaps tells.
                    0..=3 => {
                        let id = source + 10 * generation;
                        *counted.entry(id).or_default() += number;
                        *since_flush.entry(id).or_default() += number;
                        if what > 0 {
                            meter.heard(now, SourceId(id), commands(counted[&id]));
                        }
                    }
                    4 => now += HOUR,
                    5 => if let Some(flush) = meter.flush() {
                        meter.flushed(&flush);
                        written.push(flush);
                        for (id, count) in &counted {
                            let said = meter.sources.get(&SourceId(*id)).map_or(0, |it| it.0.commands);
                            since_flush.insert(*id, count - said);
                        }
                    },
                    // The meter's process is killed; sources go on.
                    6 => {
                        meter = Meter::new();
                        written.iter().for_each(|flush| meter.restore(flush));
                    }
                    // All are: sources are others from now on.
                    _ => {
                        meter = Meter::new();
                        written.iter().for_each(|flush| meter.restore(flush));
                        lost_max += since_flush.values().sum::<u64>();
                        since_flush.clear();
                        generation += 1;
                    }
                }
            }
            // Those that live tell all.
            for (id, count) in &counted {
                if id / 10 == generation {
                    meter.heard(now, SourceId(*id), commands(*count));
                }
            }
            let counted: u64 = counted.values().sum();
            let kept = total(&meter);
            prop_assert!(kept <= counted, "{kept} of {counted}: counted twice");
            prop_assert!(kept + lost_max >= counted, "{kept} of {counted}, {lost_max} may be lost");
        }
    }
}
