use std::collections::VecDeque;
use std::io::BufRead;

use thiserror::Error;

use super::super::random::{below, mixed, whole};
use super::error::TraceError;
use super::reader::{TraceLine, TraceReader};
use crate::drive::Nanos;
use crate::measure::CommandKind;

/// When the requests of a trace are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TraceTiming {
    /// As they were recorded, this many times as fast; those of one second evenly over it.
    Recorded {
        /// Above 0; 1 is as fast as it was.
        speed: f64,
    },
    /// As the plan's rate says, in the order of the trace.
    ByPlan,
}

/// What is no speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is no speed: give a number above 0, 2 for twice as fast as recorded")]
pub struct TraceSpeedError(f64);

impl TraceTiming {
    /// As recorded, `speed` times as fast.
    ///
    /// # Errors
    /// When it is not above 0, or no number.
    pub fn recorded(speed: f64) -> Result<Self, TraceSpeedError> {
        if speed > 0.0 && speed.is_finite() {
            Ok(Self::Recorded { speed })
        } else {
            Err(TraceSpeedError(speed))
        }
    }
}

/// Requests of one second and thread that are held at most: some 100 MB of them. The rest of such
/// a second falls due at its end.
const SECOND_REQUESTS_MAX: usize = 1 << 20;

/// Lines that are read ahead for each line's worth of requests taken, so that the next second has
/// been read when the present one ends, if it has no more than so many times the lines.
const AHEAD: u32 = 4;

/// One thread's requests of a trace with their times, read a second ahead: how a second's requests
/// are spread depends on their number.
#[derive(Debug)]
pub(super) struct Schedule<R> {
    reader: TraceReader<R>,
    timing: TraceTiming,
    thread: u32,
    threads: u32,
    /// In the order of time; the last is still being read unless `is_read` is set.
    seconds: VecDeque<Second>,
    spare: Vec<Second>,
    first_timestamp: Option<u64>,
    is_read: bool,
    failure: Option<TraceError>,
    last_due: Nanos,
    /// [`SECOND_REQUESTS_MAX`]
    pub(super) second_requests_max: usize,
}

#[derive(Debug, Default)]
struct Second {
    timestamp: u64,
    /// Lines of all threads.
    lines: u64,
    requests: VecDeque<Recorded>,
    keys: Vec<u8>,
    /// Whether there were too many before: all of these are due at the end.
    is_overflow: bool,
}

/// A request of the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub operation: CommandKind,
    pub key_size: usize,
    pub value_size: usize,
    pub ttl: u64,
    /// Where its line stands in its second, of all threads' lines.
    line: u64,
    key_from: usize,
    key_len: usize,
}

impl<R: BufRead> Schedule<R> {
    pub(super) fn new(
        reader: TraceReader<R>,
        timing: TraceTiming,
        thread: u32,
        threads: u32,
    ) -> Self {
        assert!(thread < threads, "thread {thread} of {threads}");
        let mut schedule = Self {
            reader,
            timing,
            thread,
            threads,
            seconds: VecDeque::new(),
            spare: Vec::new(),
            first_timestamp: None,
            is_read: false,
            failure: None,
            last_due: 0,
            second_requests_max: SECOND_REQUESTS_MAX,
        };
        schedule.come_to_request();
        schedule
    }

    /// When the next request is due; after the last, when that was.
    pub(super) fn due(&self) -> Option<Nanos> {
        let TraceTiming::Recorded { speed } = self.timing else { return None };
        let Some((second, request)) = self.front() else { return Some(self.last_due) };
        let first = self.first_timestamp.unwrap_or(second.timestamp);
        let part = match second.is_overflow {
            true => 1.0,
            false => request.line as f64 / second.lines as f64,
        };
        let secs = (second.timestamp - first) as f64 + part;
        Some(whole(secs / speed * 1e9))
    }

    /// Takes the next request, its key into `key`; `None` after the last.
    pub(super) fn take(&mut self, key: &mut Vec<u8>) -> Option<Recorded> {
        self.last_due = self.due().unwrap_or(0);
        let second = self.seconds.front_mut()?;
        let request = second.requests.pop_front()?;
        key.clear();
        key.extend_from_slice(&second.keys[request.key_from..][..request.key_len]);
        for _ in 0..AHEAD * self.threads {
            // The present second, one that waits, and the one that is being read.
            if self.seconds.len() > 2 || !self.read_one() {
                break;
            }
        }
        self.come_to_request();
        Some(request)
    }

    pub(super) fn failure(&self) -> Option<&TraceError> {
        self.failure.as_ref()
    }

    /// Requests in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.seconds.iter().map(|second| second.requests.len()).sum()
    }

    fn front(&self) -> Option<(&Second, &Recorded)> {
        let second = self.seconds.front()?;
        Some((second, second.requests.front()?))
    }

    /// Reads until the first second is whole and has a request, or the trace has ended.
    fn come_to_request(&mut self) {
        loop {
            let is_whole = self.seconds.len() > 1 || self.is_read;
            if !is_whole {
                self.read_one();
            } else if self.seconds.front().is_some_and(|second| second.requests.is_empty()) {
                self.spare.extend(self.seconds.pop_front());
            } else {
                return;
            }
        }
    }

    /// Reads a line; false at the end.
    fn read_one(&mut self) -> bool {
        if self.is_read {
            return false;
        }
        match self.reader.read_line() {
            Ok(Some(line)) => {
                self.first_timestamp.get_or_insert(line.timestamp);
                let hash = hash_of(line.key);
                let is_own = below(hash, self.threads.into()) == u64::from(self.thread);
                let second = open_second(
                    &mut self.seconds,
                    &mut self.spare,
                    line.timestamp,
                    self.second_requests_max,
                );
                if is_own {
                    second.push(&line);
                }
                second.lines += 1;
                return true;
            }
            Ok(None) if self.first_timestamp.is_none() => {
                self.failure = Some(TraceError::Empty { file: self.reader.file().to_owned() });
            }
            Ok(None) => {}
            Err(error) => self.failure = Some(error),
        }
        self.is_read = true;
        false
    }
}

/// The second that a line of this timestamp belongs to: the last, or a new one.
fn open_second<'s>(
    seconds: &'s mut VecDeque<Second>,
    spare: &mut Vec<Second>,
    timestamp: u64,
    requests_max: usize,
) -> &'s mut Second {
    let is_overflow = match seconds.back() {
        Some(last) if last.timestamp == timestamp => {
            if last.requests.len() < requests_max {
                return seconds.back_mut().expect("it was there");
            }
            true
        }
        _ => false,
    };
    let mut second = spare.pop().unwrap_or_default();
    second.requests.clear();
    second.keys.clear();
    seconds.push_back(Second { timestamp, lines: 0, is_overflow, ..second });
    seconds.back_mut().expect("it was pushed")
}

impl Second {
    fn push(&mut self, line: &TraceLine<'_>) {
        self.requests.push_back(Recorded {
            operation: line.operation,
            key_size: line.key_size,
            value_size: line.value_size,
            ttl: line.ttl,
            line: self.lines,
            key_from: self.keys.len(),
            key_len: line.key.len(),
        });
        self.keys.extend_from_slice(line.key);
    }
}

/// A hash of a key's bytes, the same in every run.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    key.chunks(8).fold(key.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mixed(hash ^ u64::from_le_bytes(word))
    })
}
