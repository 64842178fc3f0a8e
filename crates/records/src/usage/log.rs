use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::hour::{Counts, HOUR, Hour, HourUsage};
use super::meter::{Flush, Meter, Sample, SourceId};
use crate::log::{Log, LogError, Policy};
use crate::scan::{Fault, Scan};

/// A cache's usage on disk: a [`Meter`], the log of its flushes, and the log of hours that are over.
///
/// Flushes go when there is no more room for them, within hours or days; an hour that is over stays
/// for years: it takes about 350 bytes of 16 MiB.
///
/// The caller flushes as often as it can bear to lose counts ([`Self::flush`]: written, so that it
/// outlives the process; and synced, so that it outlives the host).
#[derive(Debug)]
pub struct UsageLog {
    directory: PathBuf,
    meter: Meter,
    flushes: Log<Flush>,
    hours: Log<Hour>,
    /// The newest revision of each open hour that is among the hours that are over.
    kept: BTreeMap<u64, u64>,
}

const FLUSHES_NAME: &str = "usage-flushes";
const FLUSHES: Policy = Policy { bytes_max: 8 << 20, segments: 8 };
const HOURS_NAME: &str = "usage-hours";
const HOURS: Policy = Policy { bytes_max: 16 << 20, segments: 16 };

/// Which hours are asked for: those that begin from `from_secs` on and before `to_secs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Seconds since 1970.
    pub from_secs: u64,
    /// Seconds since 1970; not included.
    pub to_secs: u64,
}

impl UsageLog {
    /// Goes on where the last process was that had this directory, or begins. One process at a time
    /// may. What of the files could not be read is told, and left out.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path) -> Result<(Self, Vec<Fault>), LogError> {
        let (flushes, flushed) = Log::<Flush>::open(directory, FLUSHES_NAME, FLUSHES)?;
        let (hours, over) = Log::<Hour>::open(directory, HOURS_NAME, HOURS)?;
        let mut meter = Meter::new();
        let mut kept = BTreeMap::new();
        for Hour { hour, revision, .. } in over.entries.iter().map(|entry| &entry.record) {
            let known: &mut u64 = kept.entry(*hour).or_default();
            *known = revision.max(known).to_owned();
        }
        for entry in over.entries {
            meter.restore(&Flush { hours: vec![entry.record], sources: Vec::new() });
        }
        flushed.entries.iter().for_each(|entry| meter.restore(&entry.record));
        let mut faults = flushed.faults;
        faults.extend(over.faults);
        let mut log = Self { directory: directory.to_owned(), meter, flushes, hours, kept };
        log.forget_closed();
        Ok((log, faults))
    }

    /// See [`Meter::heard`].
    pub fn heard(&mut self, now_secs: u64, source: SourceId, counts: Counts) {
        self.meter.heard(now_secs, source, counts);
    }

    /// See [`Meter::sampled`].
    pub fn sampled(&mut self, now_secs: u64, sample: Sample) {
        self.meter.sampled(now_secs, sample);
    }

    /// Writes what was heard and sampled since the last time, and syncs it. Where it fails, the next
    /// one writes it.
    ///
    /// # Errors
    /// What the system says, such as that the disk is full.
    pub fn flush(&mut self, now_secs: u64) -> Result<(), LogError> {
        let now_ms = now_secs.saturating_mul(1_000);
        if let Some(flush) = self.meter.flush() {
            self.flushes.append(now_ms, &flush)?;
            self.flushes.sync()?;
            self.meter.flushed(&flush);
        }
        self.keep_hours(now_secs, now_ms)
    }

    /// The hours asked for, the oldest first, with what was heard up to now.
    ///
    /// # Errors
    /// What the system says.
    pub fn query(&self, query: &UsageQuery) -> io::Result<Vec<HourUsage>> {
        let mut found: BTreeMap<u64, Hour> = BTreeMap::new();
        let asked = query.from_secs..query.to_secs;
        let scan = Scan::<Hour>::read(&self.directory, HOURS_NAME)?;
        let over = scan.entries.iter().map(|entry| &entry.record);
        for hour in over.chain(self.meter.hours()).filter(|it| asked.contains(&it.hour)) {
            let known = found.entry(hour.hour).or_insert(*hour);
            if hour.revision >= known.revision {
                *known = *hour;
            }
        }
        Ok(found.values().map(Hour::usage).collect())
    }

    /// Writes the hours that are over where they stay, each once, and again where it has changed.
    fn keep_hours(&mut self, now_secs: u64, now_ms: u64) -> Result<(), LogError> {
        let is_over = |hour: &&Hour| hour.hour + HOUR <= now_secs;
        let kept = &self.kept;
        let is_new = |hour: &&Hour| kept.get(&hour.hour).is_none_or(|it| *it < hour.revision);
        let over: Vec<_> = self.meter.hours().filter(is_over).filter(is_new).copied().collect();
        if over.is_empty() {
            return Ok(());
        }
        for hour in over {
            self.hours.append(now_ms, &hour)?;
            self.kept.insert(hour.hour, hour.revision);
        }
        self.forget_closed();
        self.hours.sync()
    }

    fn forget_closed(&mut self) {
        let open = self.meter.hours().next().map_or(u64::MAX, |hour| hour.hour);
        self.kept.retain(|hour, _| *hour >= open);
    }
}
