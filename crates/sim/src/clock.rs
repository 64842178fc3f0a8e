//! The clocks of a process, each with an error of its own.

use core::time::Duration;

use memtide_testkit::Rng;

use crate::heap::{MS, Nanos, SECOND};

/// How much faster or slower than time a clock may be, in millionths: two that differ by twice
/// this still differ by less than a tenth of the lease, which is the margin.
const RATE_ERROR_MAX: usize = 45_000;

/// What a process knows of the time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// What the monotonic clock showed when the run began.
    offset: Nanos,
    /// Millionths of a second in a second, too much; less [`RATE_ERROR_MAX`].
    rate: u64,
    /// What the wall clock is ahead of time.
    wall_ahead: Nanos,
}

impl Clock {
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            offset: rng.below(3_600) as Nanos * SECOND,
            rate: rng.below(2 * RATE_ERROR_MAX + 1) as u64,
            wall_ahead: rng.below(600) as Nanos * MS,
        }
    }

    /// The monotonic clock.
    pub fn now(&self, time: Nanos) -> Duration {
        let rate = 1_000_000 - RATE_ERROR_MAX as u64 + self.rate;
        let whole = time / 1_000_000 * rate;
        Duration::from_nanos(self.offset + whole + time % 1_000_000 * rate / 1_000_000)
    }

    /// The wall clock, by which items expire.
    pub const fn wall(&self, time: Nanos) -> Nanos {
        time + self.wall_ahead
    }
}
