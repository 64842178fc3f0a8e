use core::time::Duration;

/// When there is something to do again, if nothing happens before.
#[derive(Debug, Default)]
pub(crate) struct Wake(Option<Duration>);

impl Wake {
    /// Not later than then.
    pub(crate) fn at(&mut self, at: Duration) {
        self.0 = Some(self.0.map_or(at, |earlier| earlier.min(at)));
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    pub(crate) const fn due(&self) -> Option<Duration> {
        self.0
    }
}
