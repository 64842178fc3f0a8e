//! Every bound of what is asked of etcd.

use std::time::Duration;

/// From the look-up of a member's name to the end of the handshakes.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// A member that takes longer for an answer may be stopped or cut off: the next one is asked.
pub const TRY_TIME_MAX: Duration = Duration::from_secs(1);

/// Before a call is tried again where every member has failed; doubled with each further round.
pub const ROUND_PAUSE_MIN: Duration = Duration::from_millis(20);

/// Most that is waited between two rounds.
pub const ROUND_PAUSE_MAX: Duration = Duration::from_millis(500);

/// A member whose watch has said nothing for this long is asked how far it is; one that does not answer for as long
/// is dead.
pub const WATCH_SILENCE_MAX: Duration = Duration::from_secs(1);

/// A member from which nothing came for this long is asked for a sign of life by a ping of HTTP/2. Where it is asked
/// more often than each 5 s (`--grpc-keepalive-min-time`), it closes the connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(6);

/// One that gives none for this long is dead.
pub const KEEPALIVE_TIME_MAX: Duration = Duration::from_secs(1);

/// Bytes of a request that etcd takes where it is started without `--max-request-bytes`.
pub const REQUEST_BYTES_MAX: usize = 3 << 19;

/// Bytes of a message of etcd: it sends together what has changed since a revision.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes that a member may send before they have been read.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// Bytes of what etcd says of why it refuses something; a longer text is cut.
pub const REASON_BYTES_MAX: usize = 256;
