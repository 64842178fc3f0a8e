//! Every bound of this crate.

/// Longest line of a record, its checksum and newline included.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// A log is allowed at least this much: two segments of the longest record.
pub const BYTES_MAX_MIN: u64 = 2 * RECORD_BYTES_MAX as u64;

/// Most faults that a scan reports one by one; the rest it counts.
pub const FAULTS_MAX: usize = 64;

/// Hours of usage that can still be added to: a clock that is set back goes on where it was then.
pub const HOURS_OPEN_MAX: usize = 48;

/// Most sources whose counts are told from one another; beyond, the one heard longest ago is
/// forgotten. A line has room for them all.
pub const SOURCES_MAX: usize = 1_024;

/// A sample stands for the time since the last one, and for no more than this: what was not looked at
/// is not metered.
pub const SAMPLE_SECONDS_MAX: u64 = 30;
