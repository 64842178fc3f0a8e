use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
