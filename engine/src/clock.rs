//! The clocks of a node.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use memtide_engine_core::Now;
use rustix::time::{ClockId, clock_gettime};

use crate::host::Moment;

/// The clock of leases: time since the machine's boot, in which time that it was suspended counts.
pub fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Both clocks, now.
pub fn moment() -> Moment {
    // A clock before 1970 is taken for 1970.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let secs = u32::try_from(unix.as_secs()).unwrap_or(u32::MAX);
    Moment { now: boottime(), wall: Now::from_unix_secs(secs) }
}
