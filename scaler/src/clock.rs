use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since the machine started, that in which it was suspended included: what leases and
/// silence are measured by (docs/design/0007).
#[must_use]
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
