//! Every bound of a command that provisions.

use std::time::Duration;

/// Between two questions what can be had.
pub const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// The same where a node was started or ended meanwhile: what can be had is another thing then.
pub const ASK_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// An answer counts for so long where no other one comes.
pub const ANSWER_AGE_MAX: Duration = Duration::from_secs(60);

/// Most that is read of an answer.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Most that is told of what a command complains of: the end of it.
pub const COMPLAINT_BYTES_MAX: usize = 512;

/// What a command has started may hold its output open; so long is waited for more of it after the end.
pub const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Kinds of nodes, over all zones.
pub const SUPPLIES_MAX: usize = 256;

/// Letters of [`super::Supply::kind`].
pub const KIND_LEN_MAX: usize = 64;

/// Longest [`super::Supply::ready_in`].
pub const READY_IN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = assert!(COMPLAINT_BYTES_MAX < ANSWER_BYTES_MAX);
