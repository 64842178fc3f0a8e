//! The directory in which a process keeps what happened and what was used.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use memtide_limits::Succession;
use memtide_service::events::Events;

use crate::failure::Failure;
use crate::settings::Role;

/// Processes of one role that keep records beside each other.
const BESIDE_MAX: usize = 16;

mod succession;

/// A directory that is this process's alone while it lives.
#[derive(Debug)]
pub struct Records {
    pub path: PathBuf,
    /// Locked as long as the process lives, however it ends.
    lock: File,
}

impl Records {
    /// `<data-dir>/records/<role>`; `<role>-2` and so on where another process has that.
    ///
    /// # Errors
    /// What the system says of it.
    pub fn open(data_dir: &Path, role: Role) -> Result<Self, Failure> {
        let directory = data_dir.join("records");
        for number in 1..=BESIDE_MAX {
            let name = match number {
                1 => role.name().to_owned(),
                number => format!("{}-{number}", role.name()),
            };
            if let Some(records) = Self::take(&directory.join(name))? {
                return Ok(records);
            }
        }
        Err(Failure::Environment(format!(
            "--data-dir: {BESIDE_MAX} other processes keep records in {}; give another directory",
            directory.display()
        )))
    }

    /// Which one this process is of those that had this directory, one after the other.
    ///
    /// # Errors
    /// Why that is not known, as a sentence; once for each process that begins.
    pub fn succeed(&self) -> Result<Succession, String> {
        succession::next(&self.path.join("succession.json"), &self.lock)
    }

    /// The events kept here, and what of them could not be read.
    ///
    /// # Errors
    /// What the system says of the files.
    pub fn events(&self, role: Role) -> Result<(Events, Vec<String>), Failure> {
        let (events, faults) = Events::open(&self.path).map_err(|error| {
            Failure::Environment(format!("--data-dir: events cannot be kept: {error}"))
        })?;
        Ok((events.of(role.name()), faults.iter().map(ToString::to_string).collect()))
    }

    /// `None` where another process has it.
    fn take(path: &Path) -> Result<Option<Self>, Failure> {
        let wrong = |what: &str, error: &std::io::Error| {
            Failure::Environment(format!(
                "--data-dir: failed to {what} {}: {error}; give a directory that memtide may write to",
                path.display()
            ))
        };
        fs::create_dir_all(path).map_err(|error| wrong("make", &error))?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let lock = lock.map_err(|error| wrong("write to", &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(wrong("lock", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_of_one_process_at_a_time_and_free_when_that_ends() {
        let home = tempfile::tempdir().unwrap();
        let open = || Records::open(home.path(), Role::Serve).unwrap();
        let (first, second) = (open(), open());
        assert_eq!(first.path, home.path().join("records/serve"));
        assert_eq!(second.path, home.path().join("records/serve-2"));
        drop(first);
        assert_eq!(open().path, home.path().join("records/serve"));
    }
}
