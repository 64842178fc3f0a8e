use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::line::Entry;
use crate::scan::Lines;
use crate::segment::{self, Segment};

/// Reads on in a log that another thread or process writes.
#[derive(Debug)]
pub struct Follow<T> {
    directory: PathBuf,
    name: String,
    /// The newest sequence that was given out.
    after: u64,
    /// The segment that is read, by its first sequence, and how far.
    at: Option<(u64, u64)>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Follow<T> {
    /// From behind the entry with that sequence; 0 is before all.
    #[must_use]
    pub fn after(directory: &Path, name: &str, sequence: u64) -> Self {
        let (directory, name) = (directory.to_owned(), name.to_owned());
        Self { directory, name, after: sequence, at: None, of: PhantomData }
    }

    /// What was appended since the last call. Sequences that are missing are of lines that are damaged,
    /// unknown, or were dropped for room before they were read.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll(&mut self) -> io::Result<Vec<Entry<T>>> {
        let mut entries = Vec::new();
        let segments = segment::list(&self.directory, &self.name)?;
        for (index, segment) in segments.iter().enumerate() {
            let is_behind =
                segments.get(index + 1).is_some_and(|next| next.first <= self.after + 1);
            let is_read = self.at.is_some_and(|(first, _)| segment.first < first);
            if !is_behind && !is_read {
                self.read(segment, &mut entries)?;
            }
        }
        Ok(entries)
    }

    fn read(&mut self, segment: &Segment, entries: &mut Vec<Entry<T>>) -> io::Result<()> {
        let mut file = match File::open(&segment.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let from = self.at.filter(|(first, _)| *first == segment.first).map_or(0, |(_, to)| to);
        file.seek(SeekFrom::Start(from))?;
        let mut lines = Lines::new(file, from);
        let mut to = from;
        while let Some(line) = lines.next()? {
            // The rest of it is still to come.
            if !line.is_whole {
                break;
            }
            to = line.offset + line.bytes;
            match line.read::<T>() {
                Ok(entry) if entry.sequence > self.after => {
                    self.after = entry.sequence;
                    entries.push(entry);
                }
                _ => {}
            }
        }
        self.at = Some((segment.first, to));
        Ok(())
    }
}
