//! Every bound of this crate.

/// Longest line of a record, its checksum and newline included.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// A log is allowed at least this much: two segments of the longest record.
pub const BYTES_MAX_MIN: u64 = 2 * RECORD_BYTES_MAX as u64;

/// Most faults that a scan reports one by one; the rest it counts.
pub const FAULTS_MAX: usize = 64;

/// Hours of usage that can still be added to: a clock that is set back goes on where it was then.
pub const HOURS_OPEN_MAX: usize = 48;

/// Most sources whose counts are told from one another; beyond, the one heard longest ago is
/// forgotten, and is not counted again. A line has room for them all.
pub const SOURCES_MAX: usize = 4_096;

/// Bytes of a source on a line at most: seven numbers, and what they are called.
const SOURCE_BYTES_MAX: usize = 245;

const _: () = assert!(
    SOURCES_MAX * SOURCE_BYTES_MAX + HOURS_OPEN_MAX * 512 < RECORD_BYTES_MAX,
    "a line has room for all sources and all hours"
);

/// All sources are written again after so many lines and sources, and
pub const WHOLE_AFTER_MIN: usize = 256;

/// so many times as many as there are sources: for one source that is written because it has changed, at most
/// half a source is because it has not. And what a log of flushes keeps has one such line at least.
pub const WHOLE_AFTER_PARTS: usize = 2;

/// A sample stands for the time since the last one, and for no more than this: what was not looked at
/// is not metered.
pub const SAMPLE_SECONDS_MAX: u64 = 30;
