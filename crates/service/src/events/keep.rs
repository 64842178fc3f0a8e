use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use memtide_records::{Fault, Log, LogError, Policy};
use serde::{Deserialize, Serialize};

use super::{Event, Ring, now_ms};
use crate::limits::{EVENTS_LOG_BYTES_MAX, EVENTS_MAX, EVENTS_RETRY};

const NAME: &str = "events";
const POLICY: Policy = Policy { bytes_max: EVENTS_LOG_BYTES_MAX, segments: 4 };

/// Longest wait of [`Keeper::settle`].
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// An event as it stands in the log.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When the log was begun, [`super::EventsPage::since_ms`].
    since_ms: u64,
    /// When the process began that tells it, [`super::EventsPage::process_since_ms`].
    #[serde(default)]
    process_since_ms: u64,
    #[serde(flatten)]
    event: Event,
}

/// The way to the thread that adds to the log. When it is dropped, that thread writes what waits, and
/// ends.
#[derive(Debug)]
pub struct Keeper(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    waiting: VecDeque<Kept>,
    /// Events that were put in, and of these how many were written, and how many synced.
    put: u64,
    written: u64,
    synced: u64,
    /// So many are to be synced.
    wanted: u64,
    /// Nobody records any more.
    is_over: bool,
}

/// The newest events of the log in this directory, and the way to the thread that adds to it.
pub fn open(directory: &Path) -> Result<(Ring, Keeper, Vec<Fault>), LogError> {
    let (log, scan) = Log::<Kept>::open(directory, NAME, POLICY)?;
    let mut ring = Ring::new(now_ms());
    for Kept { since_ms, process_since_ms, event } in
        scan.entries.into_iter().map(|entry| entry.record)
    {
        // A line that was damaged and is whole again in a copy would go back in time.
        if event.sequence > ring.last_sequence {
            ring.since_ms = since_ms;
            ring.last_sequence = event.sequence;
            if ring.earlier.last().is_none_or(|(before, _)| *before < process_since_ms) {
                ring.earlier.push((process_since_ms, event.sequence));
            }
            ring.push(event);
        }
    }
    ring.begin_process(now_ms());
    let queue = Arc::<Queue>::default();
    let mut writer = Writer { log, queue: Arc::clone(&queue), is_failing: false };
    let started = thread::Builder::new().name("events".to_owned()).spawn(move || writer.run());
    let no_thread = |problem| LogError::File { path: directory.to_owned(), problem };
    started.map_err(no_thread)?;
    Ok((ring, Keeper(queue), scan.faults))
}

impl Keeper {
    /// Has an event written, of the log and the process that were begun then. Never waits: where so many
    /// wait for a disk that does not answer, it is not written.
    pub fn put(&self, (since_ms, process_since_ms): (u64, u64), event: Event) {
        let mut state = self.0.lock();
        if state.waiting.len() < EVENTS_MAX {
            state.waiting.push_back(Kept { since_ms, process_since_ms, event });
            state.put += 1;
            drop(state);
            self.0.changed.notify_all();
        }
    }

    /// See [`super::Events::settle`].
    pub fn settle(&self) {
        let mut state = self.0.lock();
        let all = state.put;
        state.wanted = state.wanted.max(all);
        self.0.changed.notify_all();
        // The process ends, whether or not they are written.
        let waited =
            self.0.changed.wait_timeout_while(state, SETTLE_MAX, |state| state.synced < all);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Queue {
    /// Nothing is left half done under it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is to do next.
enum Job {
    Write(Kept),
    /// All that was written.
    Sync(u64),
}

/// The thread's own.
struct Writer {
    log: Log<Kept>,
    queue: Arc<Queue>,
    is_failing: bool,
}

impl Writer {
    /// Writes until nobody is left who records.
    fn run(&mut self) {
        while let Some(job) = self.next() {
            match job {
                Job::Write(kept) => {
                    self.write(&kept);
                    self.queue.lock().written += 1;
                }
                Job::Sync(written) => {
                    if let Err(error) = self.log.sync() {
                        tracing::error!(%error, "events may not outlive a loss of power");
                    }
                    self.queue.lock().synced = written;
                    self.queue.changed.notify_all();
                }
            }
        }
    }

    /// Waits until there is something.
    fn next(&self) -> Option<Job> {
        let is_idle = |state: &mut State| {
            state.waiting.is_empty() && state.synced >= state.wanted && !state.is_over
        };
        let state = self.queue.changed.wait_while(self.queue.lock(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let kept = state.waiting.pop_front().map(Job::Write);
        let is_wanted = state.synced < state.wanted;
        kept.or_else(|| is_wanted.then_some(Job::Sync(state.written)))
    }

    /// Tries until the event is written: those after it wait. Gives up where nobody records any more.
    fn write(&mut self, kept: &Kept) {
        loop {
            match self.log.append(kept.event.at_ms, kept) {
                Ok(_) => {
                    self.is_failing = false;
                    return;
                }
                Err(error @ LogError::File { .. }) => {
                    if !self.is_failing {
                        tracing::error!(%error, "events cannot be written down, trying again");
                    }
                    self.is_failing = true;
                    let (state, retry) = (self.queue.lock(), EVENTS_RETRY);
                    let waited =
                        self.queue.changed.wait_timeout_while(state, retry, |it| !it.is_over);
                    if waited.unwrap_or_else(PoisonError::into_inner).0.is_over {
                        return;
                    }
                }
                // A text of bounded length is a line.
                Err(error) => return tracing::error!(%error, "an event was not written down"),
            }
        }
    }
}
