use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::limits::{FAULTS_MAX, RECORD_BYTES_MAX};
use crate::line::{Entry, LineFault, decode};
use crate::segment;

/// All entries of a log, the oldest first, and what was found wrong.
///
/// Memory is what the entries take; the log is bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<T> {
    /// Every whole entry.
    pub entries: Vec<Entry<T>>,
    /// What was left out: the first few, and the last of them where that is torn.
    pub faults: Vec<Fault>,
    /// How many faults there are in all.
    pub faults_total: u64,
}

/// A part of a log that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How much is affected.
    pub bytes: u64,
    /// In which way.
    pub kind: FaultKind,
}

/// In which way a part of a log is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The end of a file is no whole line: its write was cut short.
    Torn,
    /// A line does not fit its checksum, or is too long to be one.
    Damaged,
    /// A line is whole and no record that is known here: of a newer version.
    Unknown,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Torn => "a line that was not written to its end",
            FaultKind::Damaged => "a damaged line",
            FaultKind::Unknown => "a line of another version",
        };
        let Self { file, offset, bytes, .. } = self;
        write!(out, "{}: {what} of {bytes} bytes at byte {offset} is left out", file.display())
    }
}

impl<T: DeserializeOwned> Scan<T> {
    /// Reads the log of that name. A directory that is not there has none.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(directory: &Path, name: &str) -> io::Result<Self> {
        Self::read_if(directory, name, |_| true)
    }

    /// As [`Self::read`], entries from `from_ms` on and before `to_ms`.
    ///
    /// # Errors
    /// What the system says.
    pub fn between(directory: &Path, name: &str, (from_ms, to_ms): (u64, u64)) -> io::Result<Self> {
        Self::read_if(directory, name, |entry| (from_ms..to_ms).contains(&entry.at_ms))
    }

    fn read_if(
        directory: &Path,
        name: &str,
        is_wanted: impl Fn(&Entry<T>) -> bool,
    ) -> io::Result<Self> {
        let mut scan = Self { entries: Vec::new(), faults: Vec::new(), faults_total: 0 };
        for segment in segment::list(directory, name)? {
            let mut lines = match File::open(&segment.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => Lines::new(file?, 0),
            };
            while let Some(line) = lines.next()? {
                let fault = match line.read() {
                    Ok(entry) if is_wanted(&entry) => {
                        scan.entries.push(entry);
                        continue;
                    }
                    Ok(_) => continue,
                    Err(kind) => kind,
                };
                let file = segment.path.clone();
                scan.fault(Fault { file, offset: line.offset, bytes: line.bytes, kind: fault });
            }
        }
        Ok(scan)
    }

    fn fault(&mut self, fault: Fault) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else if fault.kind == FaultKind::Torn
            && let Some(last) = self.faults.last_mut()
        {
            // What is cut off is told of.
            *last = fault;
        }
    }
}

/// The lines of a file from an offset on, each of bounded length.
pub struct Lines {
    file: BufReader<File>,
    offset: u64,
    line: Vec<u8>,
}

/// A line as it stands in the file.
pub struct Line<'a> {
    pub offset: u64,
    /// With its newline.
    pub bytes: u64,
    pub is_whole: bool,
    /// Without its newline; not all of it where that is too long.
    text: &'a [u8],
    is_too_long: bool,
}

impl Lines {
    pub fn new(file: File, offset: u64) -> Self {
        Self { file: BufReader::new(file), offset, line: Vec::new() }
    }

    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let offset = self.offset;
        let mut bytes =
            self.file.by_ref().take(RECORD_BYTES_MAX as u64).read_until(b'\n', &mut self.line)?
                as u64;
        if bytes == 0 {
            return Ok(None);
        }
        let mut is_whole = self.line.ends_with(b"\n");
        let is_too_long = !is_whole && bytes == RECORD_BYTES_MAX as u64;
        if is_too_long {
            let (skipped, is_ended) = self.skip_line()?;
            (bytes, is_whole) = (bytes + skipped, is_ended);
        }
        self.offset += bytes;
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(Line { offset, bytes, is_whole, text, is_too_long }))
    }

    /// Reads on to the end of the line, and keeps nothing of it.
    fn skip_line(&mut self) -> io::Result<(u64, bool)> {
        let mut skipped = 0;
        loop {
            let there_is = self.file.fill_buf()?;
            if there_is.is_empty() {
                return Ok((skipped, false));
            }
            let end = there_is.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(there_is.len(), |end| end + 1);
            self.file.consume(used);
            skipped += used as u64;
            if end.is_some() {
                return Ok((skipped, true));
            }
        }
    }
}

impl Line<'_> {
    pub fn read<T: DeserializeOwned>(&self) -> Result<Entry<T>, FaultKind> {
        if !self.is_whole {
            return Err(FaultKind::Torn);
        }
        if self.is_too_long {
            return Err(FaultKind::Damaged);
        }
        decode(self.text).map_err(|fault| match fault {
            LineFault::Damaged => FaultKind::Damaged,
            LineFault::Unknown => FaultKind::Unknown,
        })
    }
}
