use std::time::{Duration, Instant};

use super::Nanos;

/// The one monotonic clock of a run; copies show the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it would hide the look at the clock")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since it was made.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanos {
        nanos(self.origin.elapsed())
    }

    /// The moment at which it shows this.
    #[must_use]
    pub fn instant(&self, at: Nanos) -> Instant {
        self.origin + Duration::from_nanos(at)
    }
}

/// As nanoseconds; what does not fit (584 years) is the most there are.
#[must_use]
pub fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
