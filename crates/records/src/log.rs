use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::limits::{BYTES_MAX_MIN, RECORD_BYTES_MAX};
use crate::line::{Entry, encode};
use crate::scan::{Lines, Scan};
use crate::segment::{self, Segment};

/// How large a log may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// All segments together take at most this; at least [`BYTES_MAX_MIN`] is allowed.
    pub bytes_max: u64,
    /// Into how many segments that is cut: this part of the oldest goes at a time. At least 2.
    pub segments: u64,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// What the system says of the files.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What it says.
        problem: io::Error,
    },
    /// The record is longer than a line may be.
    #[error("a record of {bytes} bytes is longer than a line may be, {RECORD_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The record cannot be written as JSON.
    #[error("a record that cannot be written as JSON: {0}")]
    NoJson(serde_json::Error),
}

/// The writing end of a log.
#[derive(Debug)]
pub struct Log<T> {
    directory: PathBuf,
    name: String,
    policy: Policy,
    /// The oldest first; the last one is written to.
    segments: Vec<Segment>,
    file: Option<File>,
    /// What lies behind the last segment's `bytes` is the rest of a write that failed.
    has_remains: bool,
    last: u64,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned> Log<T> {
    /// Opens the log of that name, or begins it; makes the directory. What is no whole line at the
    /// end of the newest segment is cut off, and is among the faults.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path, name: &str, policy: Policy) -> Result<(Self, Scan<T>), LogError> {
        let of_directory = |problem| LogError::File { path: directory.to_owned(), problem };
        fs::create_dir_all(directory).map_err(of_directory)?;
        let scan = Scan::read(directory, name).map_err(of_directory)?;
        let segments = segment::list(directory, name).map_err(of_directory)?;
        let End { last, torn } = find_end(&segments).map_err(of_directory)?;
        let mut log = Self {
            directory: directory.to_owned(),
            name: name.to_owned(),
            policy,
            segments,
            file: None,
            has_remains: false,
            last,
            of: PhantomData,
        };
        log.reopen(torn)?;
        Ok((log, scan))
    }

    /// Appends a record that is of this time; its sequence. When it returns, the record outlives the
    /// process; see [`Self::sync`] for the host. When it fails, the log is as it was.
    ///
    /// # Errors
    /// What the system says, such as that the disk is full; or the record is no line.
    pub fn append(&mut self, at_ms: u64, record: &T) -> Result<u64, LogError> {
        let sequence = self.last + 1;
        let line = encode(&Entry { sequence, at_ms, record }).map_err(LogError::NoJson)?;
        if line.len() > RECORD_BYTES_MAX {
            return Err(LogError::TooLong { bytes: line.len() });
        }
        let bytes = line.len() as u64;
        let room = self.segment_bytes_max();
        if self.segments.last().is_none_or(|it| it.bytes > 0 && it.bytes + bytes > room) {
            self.begin_segment(sequence)?;
        }
        self.write(&line)?;
        self.last = sequence;
        self.drop_oldest();
        Ok(sequence)
    }

    /// Makes what was appended outlive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync(&mut self) -> Result<(), LogError> {
        match &self.file {
            Some(file) => file.sync_data().map_err(|problem| self.of_last(problem)),
            None => Ok(()),
        }
    }

    /// The sequence of the newest record; 0 where there never was one.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Bytes that all segments take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Goes on in the newest segment, behind its last whole line: at `torn`, where a line begins
    /// there that was not written to its end.
    fn reopen(&mut self, torn: Option<u64>) -> Result<(), LogError> {
        let Some(newest) = self.segments.last_mut() else { return Ok(()) };
        let of_newest = |problem| LogError::File { path: newest.path.clone(), problem };
        let file = OpenOptions::new().write(true).open(&newest.path).map_err(of_newest)?;
        // Who made it may have been killed before its name was to outlive a loss of power.
        let named = File::open(&self.directory).and_then(|directory| directory.sync_all());
        named.map_err(of_newest)?;
        if let Some(torn) = torn {
            file.set_len(torn).and_then(|()| file.sync_data()).map_err(of_newest)?;
            newest.bytes = torn;
        }
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> Result<(), LogError> {
        let segment = self.segments.last_mut().expect("one was begun");
        let file = self.file.as_mut().expect("it is open when there is a segment");
        if self.has_remains {
            let cut = file.set_len(segment.bytes);
            cut.map_err(|problem| LogError::File { path: segment.path.clone(), problem })?;
            self.has_remains = false;
        }
        let written = file.seek(SeekFrom::Start(segment.bytes)).and_then(|_| file.write_all(line));
        if let Err(problem) = written {
            self.has_remains = file.set_len(segment.bytes).is_err();
            return Err(LogError::File { path: segment.path.clone(), problem });
        }
        segment.bytes += line.len() as u64;
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> Result<(), LogError> {
        self.sync()?;
        let path = segment::path(&self.directory, &self.name, first);
        let begun = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        // The name must outlive a loss of power as what will stand in the file.
        let begun = begun.and_then(|file| File::open(&self.directory)?.sync_all().map(|()| file));
        match begun {
            Ok(file) => self.file = Some(file),
            Err(problem) => return Err(LogError::File { path, problem }),
        }
        self.has_remains = false;
        self.segments.push(Segment { path, first, bytes: 0 });
        Ok(())
    }

    /// Removes the oldest segments while all take too much. One that cannot be removed is tried again
    /// after the next record; the record at hand is written.
    fn drop_oldest(&mut self) {
        while self.segments.len() > 1 && self.bytes() > self.bytes_max() {
            let removed = fs::remove_file(&self.segments[0].path);
            if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                return;
            }
            self.segments.remove(0);
        }
    }

    fn bytes_max(&self) -> u64 {
        self.policy.bytes_max.max(BYTES_MAX_MIN)
    }

    fn segment_bytes_max(&self) -> u64 {
        self.bytes_max() / self.policy.segments.max(2)
    }

    fn of_last(&self, problem: io::Error) -> LogError {
        let path = self.segments.last().map_or(&self.directory, |segment| &segment.path);
        LogError::File { path: path.clone(), problem }
    }
}

/// Where a log ends.
struct End {
    /// The highest sequence that may have been given: of any whole line, known or not, and at least
    /// that of the newest segment's name, so that none is given twice.
    last: u64,
    /// Where in the newest segment a line begins that was not written to its end.
    torn: Option<u64>,
}

/// Looks through all lines: what a scan reports of them is bounded, and may leave the end out.
fn find_end(segments: &[Segment]) -> io::Result<End> {
    let mut end = End { last: 0, torn: None };
    for segment in segments {
        end.last = end.last.max(segment.first.saturating_sub(1));
        end.torn = None;
        let mut lines = Lines::new(File::open(&segment.path)?, 0);
        let mut in_segment = 0;
        while let Some(line) = lines.next()? {
            in_segment += u64::from(line.is_whole);
            end.torn = (!line.is_whole).then_some(line.offset);
            if let Ok(entry) = line.read::<IgnoredAny>() {
                end.last = end.last.max(entry.sequence);
            }
        }
        // A damaged last line had the sequence of its place.
        end.last = end.last.max((segment.first + in_segment).saturating_sub(1));
    }
    Ok(end)
}
