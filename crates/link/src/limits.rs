//! Every bound of a link that its owner does not set.

use core::time::Duration;

/// How long a peer may take from the first byte of its handshake to the last of its preface.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Bytes that are read from the socket at once: what one look at the frames costs.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Reads in one turn of a link's task: a peer that sends without a pause, such as the copy of a slot,
/// holds up the other links of its thread for as long as these take to be handled.
pub(crate) const STEPS_PER_TURN_MAX: usize = 4;

/// Bytes of buffers that an idle link keeps, each way.
pub(crate) const IDLE_BYTES_KEPT: usize = 16 * 1024;

/// How long sent bytes may stay unacknowledged until the peer's host counts as gone. Longer than a
/// process is stopped on purpose, since the kernel acknowledges for that.
pub(crate) const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// How long a link is silent before the kernel asks whether the peer's host is there.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// Between two such questions.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

const _: () = assert!(memtide_wire::PREFACE_BYTES_MAX < READ_BYTES_MAX, "a preface is one read");
