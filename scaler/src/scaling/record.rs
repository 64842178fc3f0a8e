//! What the executor intends, on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use memtide_executor::Record;

use crate::StoreError;

/// Bytes of the file: far more than the most nodes take.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// `<dir>/scaling`: a line of JSON.
#[derive(Clone, Debug)]
pub struct RecordFile(PathBuf);

impl RecordFile {
    /// That of this directory.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join("scaling"))
    }

    /// What was written last; `None` where nothing was.
    pub fn load(&self) -> Result<Option<Record>, StoreError> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error("open", source)),
        };
        let mut text = Vec::new();
        let read = file.take(FILE_BYTES_MAX).read_to_end(&mut text);
        read.map_err(|source| self.error("read", source))?;
        let path = self.0.clone();
        Record::decode(&text).map(Some).map_err(|why| StoreError::Scaling { path, why })
    }

    /// Writes it down, durably.
    pub fn store(&self, record: &Record) -> io::Result<()> {
        let next = self.0.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&record.encode())?;
        file.sync_all()?;
        fs::rename(&next, &self.0)?;
        self.0.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    fn error(&self, what: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { what, path: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = RecordFile::of(dir.path());
        assert_eq!(file.load().unwrap(), None);
        let mut record = Record::new(1 << 40);
        record.plans = 7;
        file.store(&record).unwrap();
        assert_eq!(file.load().unwrap(), Some(record));
        for text in ["", "{", r#"{"format":"memtide scaling 2"}"#] {
            fs::write(dir.path().join("scaling"), text).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(error.contains("scaling is damaged"), "{text:?}: {error}");
        }
    }
}
