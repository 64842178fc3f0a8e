use std::sync::mpsc::Sender;

use rustix::time::{ClockId, clock_gettime};

use super::Tally;
use crate::drive::Nanos;

/// A second.
const SECOND: Nanos = 1_000_000_000;

/// The measured part's place on the run's clock, and the seconds that it and the warm-up are cut
/// into: whole ones from the begin of the measured part, so that the first of the warm-up and
/// the last of all may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    /// When the load begins.
    pub start: Nanos,
    /// When the measured part begins.
    pub measured: Nanos,
    /// When it ends.
    pub end: Nanos,
}

impl Seconds {
    /// The end of the second that `now` is in; `None` when the run is over.
    #[must_use]
    pub fn next_boundary(&self, now: Nanos) -> Option<Nanos> {
        if now >= self.end {
            return None;
        }
        if now < self.measured {
            let left = (self.measured - now - 1) / SECOND;
            return Some(self.measured - left * SECOND);
        }
        let whole = (now - self.measured) / SECOND + 1;
        Some((self.measured + whole * SECOND).min(self.end))
    }
}

/// What one thread counted in one second.
#[derive(Debug)]
pub struct Slice {
    /// Where the second ends on the run's clock: what slices of several threads are matched by.
    pub until: Nanos,
    /// When the thread closed it; later than `until` where it was busy.
    pub closed: Nanos,
    /// When the one before was closed.
    pub opened: Nanos,
    /// Which of the threads.
    pub thread: u32,
    /// Whether it is what came after the end: the replies that were still awaited.
    pub is_tail: bool,
    /// Whether the thread has no more.
    pub is_last: bool,
    /// What was counted.
    pub tally: Box<Tally>,
}

/// What had ended when a slice was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Neither,
    Thread,
    RunAndThread,
}

/// The tally of the current second, and the way for it to go.
#[derive(Debug)]
pub struct Meter {
    /// What is being counted.
    pub tally: Box<Tally>,
    seconds: Seconds,
    opened: Nanos,
    boundary: Option<Nanos>,
    cpu_at_open: Nanos,
    starved_at_open: Nanos,
    thread: u32,
    slices: Sender<Slice>,
}

impl Meter {
    /// Begins at the start of the run, on the thread that it measures.
    #[must_use]
    pub fn new(seconds: Seconds, thread: u32, slices: Sender<Slice>) -> Self {
        Self {
            tally: Box::default(),
            seconds,
            opened: seconds.start,
            boundary: seconds.next_boundary(seconds.start),
            cpu_at_open: thread_cpu(),
            starved_at_open: thread_starved(),
            thread,
            slices,
        }
    }

    /// When [`Self::turn`] has something to do.
    #[must_use]
    pub fn boundary(&self) -> Option<Nanos> {
        self.boundary
    }

    /// Hands over the second if it is over.
    #[inline]
    pub fn turn(&mut self, now: Nanos) {
        while let Some(boundary) = self.boundary.filter(|&boundary| now >= boundary) {
            self.hand_over(boundary, now, Ends::Neither);
            self.boundary = self.seconds.next_boundary(boundary);
        }
    }

    /// Hands over what is left, with whatever came after the end.
    pub fn finish(mut self, now: Nanos) {
        self.turn(now);
        let until = self.boundary.unwrap_or(self.seconds.end);
        let ends = if self.boundary.is_none() { Ends::RunAndThread } else { Ends::Thread };
        self.hand_over(until, now, ends);
    }

    fn hand_over(&mut self, until: Nanos, now: Nanos, ends: Ends) {
        let mut tally = std::mem::take(&mut self.tally);
        let cpu = thread_cpu();
        let starved = thread_starved();
        tally.counts.cpu_ns = cpu.saturating_sub(self.cpu_at_open);
        tally.counts.starved_ns = starved.saturating_sub(self.starved_at_open);
        let slice = Slice {
            until,
            closed: now,
            opened: self.opened,
            thread: self.thread,
            is_tail: ends == Ends::RunAndThread,
            is_last: ends != Ends::Neither,
            tally,
        };
        self.cpu_at_open = cpu;
        self.starved_at_open = starved;
        self.opened = now;
        // Nobody listens any more: then nobody wants it.
        let _ = self.slices.send(slice);
    }
}

fn thread_cpu() -> Nanos {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Nanos::try_from(time.tv_sec).unwrap_or_default();
    seconds * SECOND + Nanos::try_from(time.tv_nsec).unwrap_or_default()
}

/// How long this thread has waited for a core so far: the second figure of its `schedstat`; 0 where
/// the kernel does not tell.
fn thread_starved() -> Nanos {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_ascii_whitespace().nth(1).and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_from_the_begin_of_the_measured_part() {
        let ms = 1_000_000;
        let seconds = Seconds { start: 0, measured: 1_500 * ms, end: 3_700 * ms };
        let mut boundaries = Vec::new();
        let mut now = seconds.start;
        while let Some(boundary) = seconds.next_boundary(now) {
            boundaries.push(boundary / ms);
            now = boundary;
        }
        assert_eq!(boundaries, [500, 1_500, 2_500, 3_500, 3_700]);
        assert_eq!(seconds.next_boundary(501 * ms), Some(1_500 * ms));
        assert_eq!(seconds.next_boundary(499 * ms), Some(500 * ms));
    }
}
