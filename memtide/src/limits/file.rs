//! The file that limits last in.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use memtide_limits::{Limits, Range};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::settings::LimitsGiven;

/// Two sets of limits are a few hundred bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// `limits.json` of a directory; made with the first change.
#[derive(Debug)]
pub struct LimitsFile {
    dir: PathBuf,
    /// Makes names in a directory outlive a loss of power.
    sync_names: fn(&Path) -> io::Result<()>,
}

/// What became of limits that were written.
#[derive(Debug)]
pub enum Written {
    /// They outlive the process and the host.
    Lasting,
    /// The file has them; after a loss of power it may have those before.
    Doubtful(io::Error),
}

/// What it has. What a later version has added is passed over: scalers of two versions lead in turn in an upgrade,
/// and none may lose the limits that it does know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What was in force.
    pub limits: Limits,
    /// What was configured when they were changed.
    pub configured: Limits,
    /// Whether somebody had said what data is metered as at least, and
    #[serde(default)]
    pub is_metered_min_said: bool,
    /// whether the configuration had.
    #[serde(default)]
    pub is_metered_min_configured: bool,
}

impl Kept {
    /// What is in force where this is configured now: where that is another than it was, it is what
    /// somebody wants; otherwise what was changed since.
    pub fn under(&self, given: &LimitsGiven) -> LimitsGiven {
        let configured = &given.limits;
        let end = |kept: u64, then: u64, now: u64| if now == then { kept } else { now };
        let range = |kept: Range, then: Range, now: Range| Range {
            min: end(kept.min, then.min, now.min),
            max: end(kept.max, then.max, now.max),
        };
        let (kept, then) = (&self.limits, &self.configured);
        let mut limits = Limits {
            data_storage: range(kept.data_storage, then.data_storage, configured.data_storage),
            ecpu_per_second: range(
                kept.ecpu_per_second,
                then.ecpu_per_second,
                configured.ecpu_per_second,
            ),
        };
        // 0 that is said is another minimum than none that is.
        let is_as_it_was = given.is_metered_min_said == self.is_metered_min_configured
            && configured.data_storage.min == then.data_storage.min;
        if !is_as_it_was {
            limits.data_storage.min = configured.data_storage.min;
        }
        let is_metered_min_said =
            if is_as_it_was { self.is_metered_min_said } else { given.is_metered_min_said };
        LimitsGiven { limits, is_metered_min_said }
    }
}

impl LimitsFile {
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), sync_names: |dir| File::open(dir)?.sync_all() }
    }

    /// The same, on a disk that syncs names so.
    #[cfg(test)]
    pub fn synced_by(dir: &Path, sync_names: fn(&Path) -> io::Result<()>) -> Self {
        Self { dir: dir.to_owned(), sync_names }
    }

    /// For messages.
    pub fn path(&self) -> String {
        self.file().display().to_string()
    }

    /// What it has; `None` where there is none.
    pub fn load(&self) -> Result<Option<Kept>, Failure> {
        let wrong = |problem: &str| {
            Failure::Environment(format!(
                "{}: {problem}; correct the file, or remove it to go by the configuration",
                self.path()
            ))
        };
        let file = match File::open(self.file()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&format!("failed to read: {error}"))),
        };
        let mut text = Vec::new();
        let read = file.take(FILE_BYTES_MAX).read_to_end(&mut text);
        read.map_err(|error| wrong(&format!("failed to read: {error}")))?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| wrong(&format!("no limits: {error}")))
    }

    /// Writes it anew; after a crash it has the one or the other.
    ///
    /// # Errors
    /// What the system says; then the file is as it was.
    pub fn store(&self, kept: &Kept) -> io::Result<Written> {
        fs::create_dir_all(&self.dir)?;
        let beside = self.dir.join("limits.json.new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(kept)?)?;
        file.sync_all()?;
        fs::rename(&beside, self.file())?;
        Ok((self.sync_names)(&self.dir).map_or_else(Written::Doubtful, |()| Written::Lasting))
    }

    fn file(&self) -> PathBuf {
        self.dir.join("limits.json")
    }
}
