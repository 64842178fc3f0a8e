//! The directory in which a process keeps what it knows of its cache: limits, usage, events.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use memtide_limits::Succession;
use memtide_service::events::Events;
use rustix::fs::Access;

use crate::failure::Failure;
use crate::settings::{Common, Role};

/// Proxies of one cache that keep records beside each other.
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
    /// `<data-dir>/records/<cache>/<role>`. There is one process of a cache that keeps its limits and
    /// usage: a second one is refused. Proxies keep nothing that is the cache's: those beside the first
    /// have `proxy-2` and so on.
    ///
    /// # Errors
    /// Where another process has it, or what the system says of it.
    pub fn open(data_dir: &Path, cache: &str, role: Role) -> Result<Self, Failure> {
        let directory = Self::of_cache(data_dir, cache);
        let beside_max = if role == Role::Proxy { BESIDE_MAX } else { 1 };
        for number in 1..=beside_max {
            let name = match number {
                1 => role.name().to_owned(),
                number => format!("{}-{number}", role.name()),
            };
            if let Some(records) = Self::take(&directory.join(name))? {
                return Ok(records);
            }
        }
        let role = role.name();
        Err(Failure::Environment(match beside_max {
            1 => format!(
                "--data-dir {}: another memtide {role} of the cache {cache} runs on it and keeps the cache's limits and usage there; give this one a directory of its own, or another --name",
                data_dir.display()
            ),
            _ => format!(
                "--data-dir: {beside_max} other processes keep records in {}; give another directory",
                directory.display()
            ),
        }))
    }

    /// Where the limits of a cache are, whose role keeps them.
    pub fn of_keeper(common: &Common, role: Role) -> PathBuf {
        Self::of_cache(&common.data_dir, &common.name).join(role.name())
    }

    fn of_cache(data_dir: &Path, cache: &str) -> PathBuf {
        data_dir.join("records").join(cache)
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

    /// Whether [`Self::open`] could write there, without writing.
    ///
    /// # Errors
    /// What is in the way, in one line.
    pub fn check(common: &Common, role: Role) -> Result<(), Failure> {
        let path = Self::of_keeper(common, role);
        // What is not there yet is made in what is.
        let is_there = |path: &&Path| path.symlink_metadata().is_ok();
        let here = Path::new(".");
        let parents = path.ancestors().filter(|path| !path.as_os_str().is_empty());
        let nearest = parents.chain([here]).find(is_there).unwrap_or(here);
        let wrong = |why: &str| {
            Failure::Environment(format!(
                "--data-dir {}: {}: {why}; give a directory that memtide may write to",
                common.data_dir.display(),
                nearest.display()
            ))
        };
        if !nearest.is_dir() {
            return Err(wrong("no directory"));
        }
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::access(nearest, access).map_err(|error| wrong(&error.to_string()))
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
            Err(TryLockError::Error(error)) => Err(Failure::Environment(format!(
                "--data-dir: failed to lock {}: {error}; give a directory on a file system that has locks (flock)",
                path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_of_one_process_of_a_cache_at_a_time_and_free_when_that_ends() {
        let home = tempfile::tempdir().unwrap();
        for role in [Role::Serve, Role::Scaler] {
            let open = |cache| Records::open(home.path(), cache, role);
            let first = open("a").unwrap();
            assert_eq!(first.path, home.path().join("records/a").join(role.name()));
            assert_ne!(open("b").unwrap().path, first.path);
            let Err(Failure::Environment(line)) = open("a") else { panic!("it is taken") };
            assert!(line.contains("of the cache a runs on it"), "{line}");
            drop(first);
            open("a").unwrap();
        }
    }

    #[test]
    fn proxies_have_directories_beside_each_other() {
        let home = tempfile::tempdir().unwrap();
        let open = || Records::open(home.path(), "a", Role::Proxy).unwrap();
        let (first, second) = (open(), open());
        assert_eq!(first.path, home.path().join("records/a/proxy"));
        assert_eq!(second.path, home.path().join("records/a/proxy-2"));
        drop(first);
        assert_eq!(open().path, home.path().join("records/a/proxy"));
    }
}
