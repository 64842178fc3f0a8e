use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::hour::{Counts, HOUR, Hour};
use crate::limits::{
    HOURS_OPEN_MAX, SAMPLE_SECONDS_MAX, SOURCES_MAX, WHOLE_AFTER_MIN, WHOLE_AFTER_PARTS,
};

/// A process that counts. Another process, even in the place of the first, needs another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// Random.
    pub number: u64,
    /// When it began, in milliseconds since 1970 by any clock: it never changes. One that is not known, and
    /// began no later than one that was forgotten, may be the one that was forgotten.
    pub began_ms: u64,
}

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
    /// What each source said last that has said something new, those heard longest ago first.
    pub sources: Vec<(SourceId, Counts)>,
    /// Whether these are all sources that are known: those on lines before it are not needed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_whole: bool,
    /// When the latest source began that was forgotten; `None` where none ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_ms: Option<u64>,
}

/// Adds up what sources count and what is stored, by the hour in which it is heard. Pure.
///
/// ```text
///  restored (all flushes, in order) -> heard, sampled, .. -> flush (write it), flushed -> heard, ..
/// ```
/// Where a source is forgotten for room, what it says later is not news: that would count it twice.
#[derive(Clone, Debug)]
pub struct Meter {
    hours: BTreeMap<u64, Hour>,
    /// What each said last, and the order in which they were heard.
    sources: BTreeMap<SourceId, (Counts, u64)>,
    sources_max: usize,
    /// See [`Flush::forgotten_ms`].
    forgotten_ms: Option<u64>,
    heard: u64,
    changed: BTreeSet<u64>,
    changed_sources: BTreeSet<SourceId>,
    sampled_at: Option<u64>,
    /// Lines and sources written since all sources were.
    since_whole: usize,
    /// What was written may not be there.
    is_doubted: bool,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hours: BTreeMap::new(),
            sources: BTreeMap::new(),
            sources_max: SOURCES_MAX,
            forgotten_ms: None,
            heard: 0,
            changed: BTreeSet::new(),
            changed_sources: BTreeSet::new(),
            sampled_at: None,
            // The first flush has all: what comes after it needs no line of the process before.
            since_whole: usize::MAX,
            is_doubted: false,
        }
    }

    /// Flushes are missing before the next one, which was written then: it may have in its hours what is
    /// not known here of its sources. Or somebody else has written down until then what they said. So what those that
    /// began before say next is no news.
    pub fn missed(&mut self, next_ms: u64) {
        let began = self.sources.keys().map(|source| source.began_ms);
        let latest_ms = began.fold(next_ms, u64::max);
        self.forgotten_ms = self.forgotten_ms.max(Some(latest_ms));
        self.sources.clear();
        // Lines before the next one know them.
        self.since_whole = usize::MAX;
    }

    /// Takes in a flush that was written, the oldest first.
    pub fn restore(&mut self, flush: &Flush) {
        if flush.is_whole {
            self.sources.clear();
            self.forgotten_ms = flush.forgotten_ms;
        } else {
            self.forgotten_ms = self.forgotten_ms.max(flush.forgotten_ms);
        }
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
        let known = self.sources.get(&source).map(|(known, _)| *known);
        let said = counts.max(known.unwrap_or_default());
        let new = said.since(known.unwrap_or_default());
        if known.is_some() || new != Counts::default() {
            self.remember(source, said);
        }
        if new == Counts::default() {
            return;
        }
        self.changed_sources.insert(source);
        let may_be_forgotten = self.forgotten_ms.is_some_and(|it| source.began_ms <= it);
        if known.is_some() || !may_be_forgotten {
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
        if self.changed.is_empty() && self.changed_sources.is_empty() && !self.is_doubted {
            return None;
        }
        let is_whole = self.since_whole >= WHOLE_AFTER_MIN + WHOLE_AFTER_PARTS * self.sources.len();
        let changed = self.changed.iter().filter_map(|hour| self.hours.get(hour));
        let hours = changed.map(|hour| Hour { revision: hour.revision + 1, ..*hour }).collect();
        let is_due = |source: &SourceId| is_whole || self.changed_sources.contains(source);
        let mut sources: Vec<_> = self.sources.iter().filter(|(it, _)| is_due(it)).collect();
        sources.sort_by_key(|(_, (_, order))| *order);
        let sources = sources.into_iter().map(|(source, (counts, _))| (*source, *counts)).collect();
        Some(Flush { hours, sources, is_whole, forgotten_ms: self.forgotten_ms })
    }

    /// These were written, and may not be there: the next flush has them again, and all sources.
    pub fn doubted(&mut self, hours: &[Hour]) {
        self.is_doubted = true;
        self.since_whole = usize::MAX;
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
        self.changed_sources.clear();
        self.is_doubted = false;
        let before = if flush.is_whole { 0 } else { self.since_whole };
        self.since_whole = before.saturating_add(1 + flush.sources.len());
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
        if self.sources.len() > self.sources_max {
            let oldest = self.sources.iter().min_by_key(|(_, (_, order))| *order);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.sources.remove(&oldest);
                self.forgotten_ms = self.forgotten_ms.max(Some(oldest.began_ms));
                if self.changed_sources.remove(&oldest) {
                    // An earlier line knows less of it than the hours do: that line is not needed any more.
                    self.since_whole = usize::MAX;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
