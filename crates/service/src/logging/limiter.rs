use std::time::{Duration, Instant};

/// Holds the lines that clients can cause at will to `lines_max` per `interval`.
///
/// Pure: the caller gives the time. One per core and kind of line needs no lock; a core's share is
/// the whole allowance, so a process logs at most cores x `lines_max` per interval.
#[derive(Clone, Debug)]
pub struct Limiter {
    lines_max: u32,
    interval: Duration,
    window: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Log it, and say that so many before it were not.
    Log {
        /// Lines not logged since the last one that was.
        suppressed: u64,
    },
    /// Do not log it.
    Suppress,
}

impl Limiter {
    /// At most `lines_max` (at least 1) lines in each `interval`.
    #[must_use]
    pub fn new(lines_max: u32, interval: Duration) -> Self {
        Self { lines_max: lines_max.max(1), interval, window: None, lines: 0, suppressed: 0 }
    }

    /// Whether to log a line at `now`.
    pub fn admit(&mut self, now: Instant) -> Admit {
        let is_over = |start| now.saturating_duration_since(start) >= self.interval;
        if self.window.is_none_or(is_over) {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines < self.lines_max {
            self.lines += 1;
            Admit::Log { suppressed: std::mem::take(&mut self.suppressed) }
        } else {
            self.suppressed += 1;
            Admit::Suppress
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_per_interval_and_the_count_of_the_others() {
        const fn log(suppressed: u64) -> Admit {
            Admit::Log { suppressed }
        }
        let table = [
            (0, log(0)),
            (1, log(0)),
            (2, Admit::Suppress),
            (999, Admit::Suppress),
            (1000, log(2)),
            (1001, log(0)),
            (1002, Admit::Suppress),
            (9000, log(1)),
            // A clock that a caller read earlier is no reason to log more.
            (8999, log(0)),
            (9001, Admit::Suppress),
        ];
        let start = Instant::now();
        let mut limiter = Limiter::new(2, Duration::from_secs(1));
        for (ms, expected) in table {
            assert_eq!(limiter.admit(start + Duration::from_millis(ms)), expected, "at {ms} ms");
        }
    }
}
