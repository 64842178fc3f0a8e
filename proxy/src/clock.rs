use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A core's clock: one monotonic reading a batch gives both latency and the wall-clock second.
///
/// [`Clock::adjust`] follows the system's clock, so that absolute exptimes stay true when it is set.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    unix_at_start: Cell<Duration>,
}

impl Clock {
    /// A clock that agrees with the system's.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self { start: Instant::now(), unix_at_start: Cell::default() };
        clock.adjust();
        clock
    }

    /// Takes over the system's wall clock; called by the core's ticker.
    pub fn adjust(&self) {
        // A clock before 1970 is taken for 1970.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_at_start.set(unix.saturating_sub(self.start.elapsed()));
    }

    /// The Unix second of a monotonic reading, saturating in 2106.
    #[must_use]
    pub fn unix_secs(&self, at: Instant) -> u32 {
        let unix = self.unix_at_start.get() + at.saturating_duration_since(self.start);
        u32::try_from(unix.as_secs()).unwrap_or(u32::MAX)
    }

    /// Seconds since the clock was made; never runs backwards.
    #[must_use]
    pub fn age_secs(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_secs()
    }
}

/// How long the machine was suspended since this was made: `Instant` does not count that time, and nodes
/// do, for leases and for how long they remember requests for their retries. A request that has
/// waited for its proxy's patience by their clock must not be tried again by a proxy that slept.
#[derive(Debug)]
pub struct Suspended {
    at_start: Duration,
    /// The longest that was seen: readings err on the short side only.
    longest: Cell<Duration>,
}

impl Suspended {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::since(apart(read))
    }

    const fn since(at_start: Duration) -> Self {
        Self { at_start, longest: Cell::new(Duration::ZERO) }
    }

    /// How long by now; never runs backwards.
    #[must_use]
    pub fn so_far(&self) -> Duration {
        self.at(apart(read))
    }

    fn at(&self, apart: Duration) -> Duration {
        let longest = self.longest.get().max(apart.saturating_sub(self.at_start));
        self.longest.set(longest);
        longest
    }
}

/// How far the clock that counts suspended time is ahead of the one that does not. It is read first, so
/// that a thread that is stopped in between sees too little, and the next reading is right.
fn apart(read: impl Fn(ClockId) -> Timespec) -> Duration {
    let (boottime, monotonic) = (read(ClockId::Boottime), read(ClockId::Monotonic));
    since_boot(boottime).saturating_sub(since_boot(monotonic))
}

fn read(clock: ClockId) -> Timespec {
    clock_gettime(clock)
}

fn since_boot(time: Timespec) -> Duration {
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64, nanos: i64) -> Timespec {
        Timespec { tv_sec: secs, tv_nsec: nanos }
    }

    #[test]
    fn time_in_which_the_machine_was_suspended_counts_and_time_between_two_readings_does_not() {
        let suspended = Suspended::since(Duration::from_secs(3));
        let so_far = |boottime, monotonic| {
            suspended.at(apart(|clock| match clock {
                ClockId::Boottime => boottime,
                _ => monotonic,
            }))
        };
        assert_eq!(so_far(at(103, 0), at(100, 0)), Duration::ZERO);
        // Suspended for 130 s.
        assert_eq!(so_far(at(234, 500), at(101, 500)), Duration::from_secs(130));
        // The thread was stopped for two seconds between the readings.
        assert_eq!(so_far(at(235, 0), at(104, 0)), Duration::from_secs(130));
        assert_eq!(so_far(at(238, 0), at(105, 0)), Duration::from_secs(130));
    }
}
