//! What the cache used, hour by hour: looked at each second, kept on disk, told over HTTP.

mod keeping;
mod owed;
pub mod proxies;
mod query;
mod routes;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use memtide_records::LogError;
use memtide_records::usage::{Counts, Sample, SourceId, UsageLog};
use memtide_service::admin::RoleRoutes;
use memtide_service::metrics::{Source, gauge};
use prometheus::proto::MetricFamily;

pub use self::keeping::{Keeping, Turn};
pub use self::owed::{Owed, counts_of};
use crate::failure::Failure;

/// A source that begins now, by a random number.
pub fn source(number: u64) -> SourceId {
    SourceId { number, began_ms: now_secs().saturating_mul(1_000) }
}

/// What is looked at.
pub struct Looks {
    /// What each source has counted since it began.
    pub counts: Box<dyn Fn() -> Vec<(SourceId, Counts)> + Send>,
    /// What is stored now; `None` while nobody knows.
    pub sample: Box<dyn Fn() -> Option<Sample> + Send>,
    /// Told what was counted and outlives the host now.
    pub kept: TellKept,
}

/// Told what each source counted.
type TellKept = Box<dyn Fn(&[(SourceId, Counts)]) + Send>;

/// The usage of a cache, as it was kept; clones are the same.
#[derive(Clone, Debug)]
pub struct Usage {
    log: Arc<Mutex<UsageLog>>,
    is_failing: Arc<AtomicBool>,
}

impl Usage {
    /// Goes on with what is in this directory; what of that could not be read is for the log.
    ///
    /// # Errors
    /// What the system says of the files.
    pub fn open(directory: &Path) -> Result<(Self, Vec<String>), Failure> {
        let (log, faults) = UsageLog::open(directory).map_err(|error| {
            Failure::Environment(format!("--data-dir: usage cannot be kept: {error}"))
        })?;
        let faults = faults.iter().map(ToString::to_string).collect();
        let usage = Self { log: Arc::new(Mutex::new(log)), is_failing: Arc::default() };
        Ok((usage, faults))
    }

    /// Somebody else may have written down until then, in milliseconds since 1970, what sources have counted.
    pub fn missed(&self, until_ms: u64) {
        self.log().missed(until_ms);
    }

    /// `/v1/cache/usage`.
    pub fn routes(&self) -> RoleRoutes {
        routes::routes(self.clone())
    }

    /// Looks, writes and syncs on a thread of its own until the result is dropped.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn keep(&self, looks: Looks) -> std::io::Result<Keeping> {
        let mut keeper = Keeper { usage: self.clone(), looks, counted: Vec::new() };
        Keeping::start(move |turn| keeper.turn(turn))
    }

    fn log(&self) -> MutexGuard<'_, UsageLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's state.
struct Keeper {
    usage: Usage,
    looks: Looks,
    /// What was counted at the newest look.
    counted: Vec<(SourceId, Counts)>,
}

impl Keeper {
    fn turn(&mut self, turn: Turn) {
        if turn == Turn::Last {
            self.sample();
        }
        if turn != Turn::First {
            self.count();
        }
        if matches!(turn, Turn::First | Turn::Sync) {
            self.sample();
        }
        if matches!(turn, Turn::Sync | Turn::Last) {
            self.sync();
        }
    }

    fn count(&mut self) {
        let now = now_secs();
        let counted = (self.looks.counts)();
        let mut log = self.usage.log();
        for (source, counts) in &counted {
            log.heard(now, *source, *counts);
        }
        let written = log.flush(now);
        drop(log);
        self.counted = if written.is_ok() { counted } else { Vec::new() };
        self.tell(written);
    }

    fn sample(&self) {
        if let Some(sample) = (self.looks.sample)() {
            self.usage.log().sampled(now_secs(), sample);
        }
    }

    fn sync(&self) {
        let synced = self.usage.log().sync();
        if synced.is_ok() {
            (self.looks.kept)(&self.counted);
        }
        self.tell(synced);
    }

    /// Once, until it works again: what was not written stays to be written.
    fn tell(&self, done: Result<(), LogError>) {
        let was_failing = self.usage.is_failing.swap(done.is_err(), Ordering::Relaxed);
        match done {
            Err(error) if !was_failing => {
                tracing::error!(%error, "usage cannot be kept, trying again");
            }
            Ok(()) if was_failing => tracing::info!("usage can be kept again"),
            _ => {}
        }
    }
}

impl Source for Usage {
    fn collect(&self) -> Vec<MetricFamily> {
        let is_failing = self.is_failing.load(Ordering::Relaxed);
        vec![gauge(
            "memtide_usage_failing",
            "1 while what is used cannot be written down.",
            f64::from(u8::from(is_failing)),
        )]
    }
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
