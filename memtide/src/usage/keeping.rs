//! The thread that looks and writes, each second.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Counts are taken and written this often: what a kill may cost.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Every so many of them data is sampled, and what was written synced: what a loss of power may cost.
const FLUSHES_PER_SAMPLE: u32 = 10;

/// Longest wait for the last of them when the process ends: a disk may not answer.
const END_MAX: Duration = Duration::from_secs(5);

/// What a turn of the thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first, a moment after the start.
    First,
    /// To look and write.
    Flush,
    /// To sample and sync too.
    Sync,
    /// As [`Self::Sync`], and there is no other.
    Last,
}

/// Keeps usage while it lives; looks a last time when it is dropped.
#[derive(Debug)]
pub struct Keeping {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Keeping {
    /// Takes turns on a thread of its own: a disk that hangs holds up nobody else.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(mut turn: impl FnMut(Turn) + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let run = move || {
            // Dropped with the end of the thread, however that comes.
            let _ending: Sender<()> = ending;
            turn(Turn::First);
            let began = Instant::now();
            for number in 1.. {
                let due = began + FLUSH_INTERVAL * number;
                let wait = due.saturating_duration_since(Instant::now());
                // The sender is only ever dropped.
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                let is_sync = number % FLUSHES_PER_SAMPLE == 0;
                turn(if is_sync { Turn::Sync } else { Turn::Flush });
            }
            turn(Turn::Last);
        };
        thread::Builder::new().name("usage".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), ended })
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(END_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("usage of the last moment may not be kept: the disk takes too long");
        }
    }
}
