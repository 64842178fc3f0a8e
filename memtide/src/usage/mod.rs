//! What the cache used, hour by hour: looked at each second, kept on disk, told over HTTP.

mod query;
mod routes;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memtide_records::LogError;
use memtide_records::usage::{Counts, Sample, SourceId, UsageLog};
use memtide_service::admin::RoleRoutes;
use memtide_service::metrics::{Source, gauge};
use prometheus::proto::MetricFamily;

use crate::failure::Failure;

/// Counts are taken and written this often: what a kill may cost.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Every so many of them data is sampled, and what was written synced: what a loss of power may cost.
const FLUSHES_PER_SAMPLE: u32 = 10;

/// Longest wait for the last of them when the process ends: a disk may not answer.
const END_MAX: Duration = Duration::from_secs(5);

/// What is looked at.
pub struct Looks {
    /// What each source has counted since it began.
    pub counts: Box<dyn Fn() -> Vec<(SourceId, Counts)> + Send>,
    /// What is stored now; `None` while nobody knows.
    pub sample: Box<dyn Fn() -> Option<Sample> + Send>,
}

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

    /// `/v1/cache/usage`.
    pub fn routes(&self) -> RoleRoutes {
        routes::routes(self.clone())
    }

    /// Looks, writes and syncs on a thread of its own until the result is dropped.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn keep(&self, looks: Looks) -> std::io::Result<Keeping> {
        let (stop, stopped) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let usage = self.clone();
        let run = move || {
            // Dropped with the end of the thread, however that comes.
            let _ending: Sender<()> = ending;
            let turn = Turn { usage, looks };
            turn.sample();
            let began = Instant::now();
            for number in 1.. {
                let due = began + FLUSH_INTERVAL * number;
                let wait = due.saturating_duration_since(Instant::now());
                // The sender is only ever dropped.
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                turn.count();
                if number % FLUSHES_PER_SAMPLE == 0 {
                    turn.sample();
                    turn.sync();
                }
            }
            turn.sample();
            turn.count();
            turn.sync();
        };
        thread::Builder::new().name("usage".to_owned()).spawn(run)?;
        Ok(Keeping { stop: Some(stop), ended })
    }

    fn log(&self) -> MutexGuard<'_, UsageLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps usage while it lives; looks a last time when it is dropped.
#[derive(Debug)]
pub struct Keeping {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(END_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("usage of the last moment may not be kept: the disk takes too long");
        }
    }
}

/// The thread's state.
struct Turn {
    usage: Usage,
    looks: Looks,
}

impl Turn {
    fn count(&self) {
        let (now, counts) = (now_secs(), (self.looks.counts)());
        let mut log = self.usage.log();
        for (source, counts) in counts {
            log.heard(now, source, counts);
        }
        let written = log.flush(now);
        drop(log);
        self.tell(written);
    }

    fn sample(&self) {
        if let Some(sample) = (self.looks.sample)() {
            self.usage.log().sampled(now_secs(), sample);
        }
    }

    fn sync(&self) {
        let synced = self.usage.log().sync();
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
