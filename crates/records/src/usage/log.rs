use std::collections::BTreeMap;
use std::io;
use std::mem;
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
/// The caller flushes as often as it can bear to lose counts with the process ([`Self::flush`]), and
/// syncs as often as it can bear to lose them with the host ([`Self::sync`]).
#[derive(Debug)]
pub struct UsageLog {
    directory: PathBuf,
    meter: Meter,
    flushes: Log<Flush>,
    hours: Log<Hour>,
    /// The newest revision of each open hour that is among the hours that are over.
    kept: BTreeMap<u64, u64>,
    /// The hours that were written since the last sync, or by the process before this one.
    unsynced: Vec<Hour>,
    /// Whether there is anything that may not outlive the host.
    is_unsynced: bool,
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
            meter.restore(&Flush { hours: vec![entry.record], ..Flush::default() });
        }
        let mut next = 1;
        for entry in &flushed.entries {
            if entry.sequence != next {
                meter.missed(entry.at_ms);
            }
            meter.restore(&entry.record);
            next = entry.sequence + 1;
        }
        let mut faults = flushed.faults;
        faults.extend(over.faults);
        let directory = directory.to_owned();
        // A process that was killed has left them in the system's memory.
        let (unsynced, is_unsynced) = (meter.hours().copied().collect(), true);
        let mut log = Self { directory, meter, flushes, hours, kept, unsynced, is_unsynced };
        log.forget_closed();
        Ok((log, faults))
    }

    /// See [`Meter::heard`].
    pub fn heard(&mut self, now_secs: u64, source: SourceId, counts: Counts) {
        self.meter.heard(now_secs, source, counts);
    }

    /// See [`Meter::missed`].
    pub fn missed(&mut self, until_ms: u64) {
        self.meter.missed(until_ms);
    }

    /// See [`Meter::sampled`].
    pub fn sampled(&mut self, now_secs: u64, sample: Sample) {
        self.meter.sampled(now_secs, sample);
    }

    /// Writes what was heard and sampled since the last time, so that it outlives the process. Where
    /// it fails, the next one writes it.
    ///
    /// # Errors
    /// What the system says, such as that the disk is full.
    pub fn flush(&mut self, now_secs: u64) -> Result<(), LogError> {
        let now_ms = now_secs.saturating_mul(1_000);
        if let Some(flush) = self.meter.flush() {
            self.flushes.append(now_ms, &flush)?;
            self.meter.flushed(&flush);
            self.is_unsynced = true;
            flush.hours.iter().for_each(|hour| self.remember_unsynced(hour));
        }
        self.keep_hours(now_secs, now_ms)
    }

    /// Makes what was flushed outlive the host, by this process and by those before it. Where it fails, the
    /// next flush writes it again: what the system still has of it after that is not known.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.sync_by(|log| log.flushes.sync().and_then(|()| log.hours.sync()))
    }

    fn sync_by(
        &mut self,
        sync: impl FnOnce(&mut Self) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if !self.is_unsynced {
            return Ok(());
        }
        let synced = sync(self);
        self.is_unsynced = false;
        let unsynced = mem::take(&mut self.unsynced);
        if synced.is_err() {
            self.meter.doubted(&unsynced);
        }
        synced
    }

    fn remember_unsynced(&mut self, hour: &Hour) {
        match self.unsynced.iter_mut().find(|it| it.hour == hour.hour) {
            Some(known) => *known = *hour,
            None => self.unsynced.push(*hour),
        }
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
            self.is_unsynced = true;
            self.kept.insert(hour.hour, hour.revision);
            self.remember_unsynced(&hour);
        }
        self.forget_closed();
        Ok(())
    }

    fn forget_closed(&mut self) {
        let open = self.meter.hours().next().map_or(u64::MAX, |hour| hour.hour);
        self.kept.retain(|hour, _| *hour >= open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: UsageQuery = UsageQuery { from_secs: 0, to_secs: u64::MAX };

    fn commands(log: &UsageLog) -> Vec<u64> {
        log.query(&ALL).unwrap().iter().map(|hour| hour.commands).collect()
    }

    #[test]
    fn what_could_not_be_synced_is_written_again_and_newer_than_before() {
        let home = tempfile::tempdir().unwrap();
        let fails = |_: &mut UsageLog| {
            Err(LogError::File { path: "x".into(), problem: io::Error::other("no") })
        };
        let (mut log, _) = UsageLog::open(home.path()).unwrap();
        let say = |log: &mut UsageLog, commands| {
            let source = SourceId { number: 1, began_ms: 0 };
            log.heard(10, source, Counts { commands, ..Counts::default() });
        };
        say(&mut log, 5);
        log.flush(10).unwrap();
        log.sync_by(fails).unwrap_err();
        let lines = log.flushes.last();
        log.flush(11).unwrap();
        assert_eq!(log.flushes.last(), lines + 1, "nothing new, and written all the same");
        log.sync().unwrap();
        log.flush(12).unwrap();
        assert_eq!(log.flushes.last(), lines + 1);
        // A failure between two flushes takes nothing of the second.
        log.sync_by(fails).unwrap();
        say(&mut log, 8);
        log.flush(13).unwrap();
        log.sync_by(fails).unwrap_err();
        say(&mut log, 9);
        log.flush(14).unwrap();
        drop(log);
        assert_eq!(commands(&UsageLog::open(home.path()).unwrap().0), [9]);
    }

    /// A killed process leaves what it wrote since its last sync in the system's memory.
    #[test]
    fn what_a_process_before_it_wrote_is_synced_before_it_is_told_to_be_kept() {
        let home = tempfile::tempdir().unwrap();
        let fails = |_: &mut UsageLog| {
            Err(LogError::File { path: "x".into(), problem: io::Error::other("no") })
        };
        let say = |log: &mut UsageLog| {
            let source = SourceId { number: 1, began_ms: 0 };
            log.heard(10, source, Counts { commands: 5, ..Counts::default() });
            log.flush(10).unwrap();
        };
        let (mut log, _) = UsageLog::open(home.path()).unwrap();
        say(&mut log);
        drop(log);
        let (mut log, _) = UsageLog::open(home.path()).unwrap();
        say(&mut log);
        let lines = log.flushes.last();
        assert_eq!(lines, 1, "nothing new");
        log.sync_by(fails).unwrap_err();
        say(&mut log);
        assert_eq!(log.flushes.last(), 2, "written again");
        log.sync().unwrap();
        say(&mut log);
        assert_eq!((log.flushes.last(), commands(&log)), (2, vec![5]));
    }
}
