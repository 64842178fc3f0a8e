use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use memtide_records::{Fault, Log, LogError, Policy};
use serde::{Deserialize, Serialize};

use super::{Event, Ring, now_ms};
use crate::limits::{EVENTS_LOG_BYTES_MAX, EVENTS_MAX, EVENTS_RETRY};

const NAME: &str = "events";
const POLICY: Policy = Policy { bytes_max: EVENTS_LOG_BYTES_MAX, segments: 4 };

/// Longest wait of [`settle`].
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// What the writing thread is asked for.
#[derive(Debug)]
pub enum Job {
    /// Write this event, of the log that was begun then.
    Write(u64, Event),
    /// Say when all before this is synced.
    Settle(SyncSender<()>),
}

/// An event as it stands in the log.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When the log was begun, [`super::EventsPage::since_ms`].
    since_ms: u64,
    #[serde(flatten)]
    event: Event,
}

/// The newest events of the log in this directory, and the way to the thread that adds to it.
pub fn open(directory: &Path) -> Result<(Ring, SyncSender<Job>, Vec<Fault>), LogError> {
    let (log, scan) = Log::<Kept>::open(directory, NAME, POLICY)?;
    let mut ring = Ring { since_ms: now_ms(), last_sequence: 0, events: VecDeque::new() };
    for Kept { since_ms, event } in scan.entries.into_iter().map(|entry| entry.record) {
        // A line that was damaged and is whole again in a copy would go back in time.
        if event.sequence > ring.last_sequence {
            ring.since_ms = since_ms;
            ring.last_sequence = event.sequence;
            ring.push(event);
        }
    }
    let (keeper, jobs) = mpsc::sync_channel(EVENTS_MAX);
    let started = thread::Builder::new().name("events".to_owned()).spawn(move || run(log, &jobs));
    let no_thread = |problem| LogError::File { path: directory.to_owned(), problem };
    started.map_err(no_thread)?;
    Ok((ring, keeper, scan.faults))
}

/// See [`super::Events::settle`].
pub fn settle(keeper: &SyncSender<Job>) {
    let deadline = Instant::now() + SETTLE_MAX;
    let (done, settled) = mpsc::sync_channel(1);
    let mut job = Job::Settle(done);
    while let Err(mpsc::TrySendError::Full(back)) = keeper.try_send(job) {
        if Instant::now() >= deadline {
            return;
        }
        job = back;
        thread::sleep(Duration::from_millis(1));
    }
    // The process ends, whether or not they are written.
    let _ = settled.recv_timeout(deadline.saturating_duration_since(Instant::now()));
}

/// Writes until nobody is left who records.
fn run(mut log: Log<Kept>, jobs: &Receiver<Job>) {
    let mut is_failing = false;
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(since_ms, event) => {
                write(&mut log, &Kept { since_ms, event }, &mut is_failing);
            }
            Job::Settle(done) => {
                if let Err(error) = log.sync() {
                    tracing::error!(%error, "events may not outlive a loss of power");
                }
                // Who asked may have lost patience.
                let _ = done.try_send(());
            }
        }
    }
}

/// Tries until the event is written: those after it wait.
fn write(log: &mut Log<Kept>, kept: &Kept, is_failing: &mut bool) {
    loop {
        match log.append(kept.event.at_ms, kept) {
            Ok(_) => {
                *is_failing = false;
                return;
            }
            Err(error @ LogError::File { .. }) => {
                if !*is_failing {
                    tracing::error!(%error, "events cannot be written down, trying again");
                }
                *is_failing = true;
                thread::sleep(EVENTS_RETRY);
            }
            // A text of bounded length is a line.
            Err(error) => return tracing::error!(%error, "an event was not written down"),
        }
    }
}
