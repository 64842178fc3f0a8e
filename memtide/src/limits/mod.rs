//! The limits of the cache that this process keeps: what is in force, and how it is changed.
//!
//! ```text
//! flags, file of the data directory -> KeptLimits --watch--> proxy, node, scaler
//! PATCH /v1/cache/limits ------------->     |
//!                                           +--> the file, synced before anybody hears of it; an event
//! ```

mod file;
mod routes;
mod shared;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memtide_limits::{Limits, LimitsError, LimitsPatch};
use memtide_scaler::{LimitsSet, SharedLimits};
use memtide_service::admin::RoleRoutes;
use memtide_service::events::{EventKind, Events};
use tokio::sync::watch;

use self::file::{Kept, LimitsFile, Written};
use self::shared::{Known, SharedKeep};
use crate::failure::Failure;
use crate::settings::{LimitsGiven, metered_bytes_min};

/// See the module; clones are the same.
#[derive(Clone, Debug)]
pub struct KeptLimits(Arc<Keeper>);

#[derive(Debug)]
struct Keeper {
    given: LimitsGiven,
    current: watch::Sender<Limits>,
    /// Of the minimum of data that is in force.
    is_metered_min_said: AtomicBool,
    keep: Keep,
    events: Events,
    /// Held by the one change that is under way.
    changing: Mutex<Changing>,
}

/// What a change has to know beside them.
#[derive(Debug, Default)]
struct Changing {
    /// Whether what the file has may not outlive a loss of power.
    is_doubtful: bool,
    known: Known,
}

/// Where they last.
#[derive(Debug)]
enum Keep {
    File(LimitsFile),
    Shared(SharedKeep),
}

/// Why limits were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// They cannot be.
    #[error(transparent)]
    Refused(#[from] LimitsError),
    /// They would not last.
    #[error("failed to write {path}: {error}; nothing was changed")]
    Unwritten {
        /// Which file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// They are in force, and in the file.
    #[error(
        "the limits are changed, and a loss of power may undo it: failed to sync the directory of {path}: {error}; ask again once the disk is well"
    )]
    Doubtful {
        /// Which file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// etcd did not say that it has them.
    #[error("the limits may not have been changed: {0}; look, and ask again")]
    Uncertain(String),
}

impl KeptLimits {
    /// What was configured, and of what was changed since what the file in `dir` has.
    ///
    /// # Errors
    /// Where the file cannot be read, or does not fit to what is configured now.
    pub fn open(dir: &Path, given: LimitsGiven, events: &Events) -> Result<Self, Failure> {
        Self::open_file(LimitsFile::of(dir), given, events)
    }

    /// What was configured, until [`KeptLimits::join`]: what was changed since is where all scalers of the cache have it.
    pub fn shared(given: LimitsGiven, events: &Events) -> Self {
        Self::new(Keep::Shared(SharedKeep::default()), (given, given), events)
    }

    /// The scaler runs that shares them.
    pub fn join(&self, limits: SharedLimits) {
        self.join_by(move |text, known| limits.set(text, known));
    }

    /// They are set so.
    fn join_by(
        &self,
        set: impl Fn(Vec<u8>, i64) -> Result<LimitsSet, String> + Send + Sync + 'static,
    ) {
        if let Keep::Shared(shared) = &self.0.keep {
            shared.join(set);
        }
    }

    /// Whether [`KeptLimits::open`] would go well.
    ///
    /// # Errors
    /// As of that.
    pub fn check(dir: &Path, given: &LimitsGiven) -> Result<(), Failure> {
        load(&LimitsFile::of(dir), given).map(drop)
    }

    fn open_file(file: LimitsFile, given: LimitsGiven, events: &Events) -> Result<Self, Failure> {
        let now = load(&file, &given)?;
        Ok(Self::new(Keep::File(file), (given, now), events))
    }

    fn new(keep: Keep, (given, now): (LimitsGiven, LimitsGiven), events: &Events) -> Self {
        Self(Arc::new(Keeper {
            given,
            current: watch::Sender::new(now.limits),
            is_metered_min_said: AtomicBool::new(now.is_metered_min_said),
            keep,
            events: events.clone(),
            changing: Mutex::default(),
        }))
    }

    /// What is in force.
    pub fn now(&self) -> Limits {
        *self.0.current.borrow()
    }

    /// The same, and when it changes.
    pub fn follow(&self) -> watch::Receiver<Limits> {
        self.0.current.subscribe()
    }

    /// What data is metered as at least now.
    pub fn metered_bytes_min(&self) -> u64 {
        metered_bytes_min(&self.now(), self.0.is_metered_min_said.load(Ordering::Acquire))
    }

    /// Changes them for good. Waits for the disk.
    ///
    /// # Errors
    /// Where they cannot be changed to that, or not be written: then nothing is. Where they are, and may
    /// not last.
    pub fn change(&self, patch: &LimitsPatch) -> Result<Limits, ChangeError> {
        let Keeper { keep, changing, is_metered_min_said, .. } = &*self.0;
        let mut changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match keep {
            Keep::File(file) => file,
            Keep::Shared(shared) => return self.change_shared(shared, &mut changing, patch),
        };
        let (limits, is_said) = self.changed_by(patch)?;
        let is_same =
            limits == self.now() && is_said == is_metered_min_said.load(Ordering::Acquire);
        if is_same && !changing.is_doubtful {
            return Ok(limits);
        }
        let kept = self.kept(limits, is_said);
        let written = file.store(&kept).map_err(|error| {
            tracing::error!(%error, path = file.path(), "failed to write the limits");
            ChangeError::Unwritten { path: file.path(), error }
        })?;
        self.take(&LimitsGiven { limits, is_metered_min_said: is_said });
        changing.is_doubtful = matches!(written, Written::Doubtful(_));
        match written {
            Written::Lasting => Ok(limits),
            Written::Doubtful(error) => {
                tracing::error!(%error, path = file.path(), "failed to sync the directory of the limits");
                Err(ChangeError::Doubtful { path: file.path(), error })
            }
        }
    }

    /// What is in force, changed so; and whether somebody has said the minimum of data then.
    fn changed_by(&self, patch: &LimitsPatch) -> Result<(Limits, bool), ChangeError> {
        let was_said = self.0.is_metered_min_said.load(Ordering::Acquire);
        Ok((self.now().changed_by(patch)?, was_said || patch.data_storage.min.is_some()))
    }

    /// These, as they are to last.
    fn kept(&self, limits: Limits, is_metered_min_said: bool) -> Kept {
        let given = &self.0.given;
        Kept {
            limits,
            configured: given.limits,
            is_metered_min_said,
            is_metered_min_configured: given.is_metered_min_said,
        }
    }

    /// These are in force.
    fn take(&self, now: &LimitsGiven) {
        let Keeper { current, events, is_metered_min_said, .. } = &*self.0;
        let (limits, is_said) = (now.limits, now.is_metered_min_said);
        let was_said = is_metered_min_said.swap(is_said, Ordering::AcqRel);
        let mut before = limits;
        current.send_if_modified(|current| {
            before = std::mem::replace(current, limits);
            before != limits || was_said != is_said
        });
        if before != limits || was_said != is_said {
            let text = differences((&before, was_said), (&limits, is_said));
            tracing::info!("limits changed: {text}");
            events.record(EventKind::LimitsChanged, text);
        }
    }

    /// What the admin HTTP answers of them.
    pub fn routes(&self) -> RoleRoutes {
        routes::routes(self.clone())
    }
}

/// What was configured, and of what was changed since what the file has.
fn load(file: &LimitsFile, given: &LimitsGiven) -> Result<LimitsGiven, Failure> {
    let limits = match file.load()? {
        None => *given,
        Some(kept) => kept.under(given),
    };
    limits.limits.check().map_err(|error| {
        Failure::Configuration(format!(
            "{error}; of these some were configured and some changed later, which {} has",
            file.path()
        ))
    })?;
    Ok(limits)
}

/// What is another than it was, for people.
fn differences(before: (&Limits, bool), after: (&Limits, bool)) -> String {
    use memtide_limits::units::{show_count, show_size};
    let ends = |(it, is_said): (&Limits, bool)| {
        let (data, ecpu) = (it.data_storage, it.ecpu_per_second);
        [metered_bytes_min(it, is_said), data.max, ecpu.min, ecpu.max]
    };
    let names =
        ["data_storage.min", "data_storage.max", "ecpu_per_second.min", "ecpu_per_second.max"];
    let show = |name: &str, value: u64| match value {
        0 => "none".to_owned(),
        bytes if name.starts_with("data") => show_size(bytes),
        count => show_count(count),
    };
    let all = names.into_iter().zip(ends(before)).zip(ends(after));
    let changed = all.filter(|((_, before), after)| before != after);
    let shown = changed.map(|((name, before), after)| {
        format!("{name} from {} to {}", show(name, before), show(name, after))
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use memtide_limits::{Range, RangePatch};

    use super::*;

    fn given(ecpu_max: u64) -> LimitsGiven {
        let ecpu_per_second = Range { min: 0, max: ecpu_max };
        LimitsGiven {
            limits: Limits { ecpu_per_second, ..Limits::default() },
            is_metered_min_said: true,
        }
    }

    fn ecpu_max(max: u64) -> LimitsPatch {
        let ecpu_per_second = RangePatch { max: Some(max), min: None };
        LimitsPatch { ecpu_per_second, ..LimitsPatch::default() }
    }

    #[test]
    fn what_was_changed_lasts_until_something_else_is_configured() {
        let dir = tempfile::tempdir().unwrap();
        let open = |configured| {
            KeptLimits::open(&dir.path().join("new"), given(configured), &Events::new()).unwrap()
        };
        let max = |limits: &KeptLimits| limits.now().ecpu_per_second.max;
        let limits = open(10_000);
        assert_eq!(max(&limits), 10_000);
        let mut followed = limits.follow();
        limits.change(&ecpu_max(20_000)).unwrap();
        assert!(followed.has_changed().unwrap());
        assert_eq!(followed.borrow_and_update().ecpu_per_second.max, 20_000);
        assert_eq!(max(&open(10_000)), 20_000, "as it was changed");
        assert_eq!(max(&open(30_000)), 30_000, "as it was configured anew");
        assert_eq!(max(&open(0)), 0, "not even configured any more");
    }

    /// A minimum of 0 meters what there is, whoever said so, and none that was said meters 1 GiB.
    #[test]
    fn no_minimum_is_the_same_by_a_flag_and_live_and_another_than_none_that_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::new();
        let open = |is_metered_min_said| {
            let limits = Limits::default();
            let given = LimitsGiven { limits, is_metered_min_said };
            KeptLimits::open(dir.path(), given, &events).unwrap()
        };
        let min = |min: u64| LimitsPatch {
            data_storage: RangePatch { min: Some(min), max: None },
            ..LimitsPatch::default()
        };
        assert_eq!(open(true).metered_bytes_min(), 0);
        let limits = open(false);
        assert_eq!(limits.metered_bytes_min(), 1 << 30);
        let mut followed = limits.follow();
        limits.change(&min(0)).unwrap();
        assert!(followed.has_changed().unwrap(), "who meters is told");
        followed.mark_unchanged();
        assert_eq!(limits.metered_bytes_min(), 0);
        assert_eq!(events.after(0).events[0].text, "data_storage.min from 1 GiB to none");
        assert_eq!(open(false).metered_bytes_min(), 0, "as it was changed");
        limits.change(&min(2 << 30)).unwrap();
        assert_eq!(open(false).metered_bytes_min(), 2 << 30);
        assert_eq!(open(true).metered_bytes_min(), 0, "as it is configured now");
    }

    #[test]
    fn what_cannot_be_changes_nothing_and_what_is_the_same_is_no_event() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::new();
        let limits = KeptLimits::open(dir.path(), given(10_000), &events).unwrap();
        let error = limits.change(&ecpu_max(999)).unwrap_err().to_string();
        assert!(error.contains("ecpu_per_second.max: 999 is out of range"), "{error}");
        limits.change(&ecpu_max(10_000)).unwrap();
        assert_eq!(limits.now(), given(10_000).limits);
        assert_eq!(events.after(0).events.len(), 0);
        limits.change(&ecpu_max(0)).unwrap();
        assert_eq!(events.after(0).events[0].text, "ecpu_per_second.max from 10k to none");
    }

    /// Whoever asked is told what is so: they are in force and in the file, and asking again syncs them.
    #[test]
    fn a_change_that_may_not_outlive_a_loss_of_power_is_in_force_and_told_of() {
        static IS_WELL: AtomicBool = AtomicBool::new(false);
        let sync = |_: &Path| match IS_WELL.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(std::io::Error::other("the disk is gone")),
        };
        let dir = tempfile::tempdir().unwrap();
        let (events, file) = (Events::new(), LimitsFile::synced_by(dir.path(), sync));
        let limits = KeptLimits::open_file(file, given(10_000), &events).unwrap();
        for _ in 0..2 {
            let told = limits.change(&ecpu_max(20_000)).unwrap_err().to_string();
            assert!(told.starts_with("the limits are changed, and a loss of power"), "{told}");
            assert_eq!(limits.now().ecpu_per_second.max, 20_000);
        }
        let again = KeptLimits::open(dir.path(), given(10_000), &Events::new()).unwrap();
        assert_eq!(again.now().ecpu_per_second.max, 20_000, "the file has it");
        IS_WELL.store(true, Ordering::Relaxed);
        limits.change(&ecpu_max(20_000)).unwrap();
        assert_eq!(events.after(0).events.len(), 1, "one change");
    }

    #[test]
    fn a_change_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LimitsFile::of(dir.path());
        let limits = KeptLimits::open_file(limits, given(10_000), &Events::new()).unwrap();
        std::fs::create_dir(dir.path().join("limits.json.new")).unwrap();
        let told = limits.change(&ecpu_max(20_000)).unwrap_err().to_string();
        assert!(told.ends_with("nothing was changed"), "{told}");
        assert_eq!(limits.now().ecpu_per_second.max, 10_000);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("limits.json"), "{").unwrap();
        let Err(Failure::Environment(line)) =
            KeptLimits::open(dir.path(), given(0), &Events::new())
        else {
            panic!("it is broken")
        };
        assert!(line.contains("limits.json") && line.contains("remove it"), "{line}");
    }
}
