//! Every bound of a node that its configuration does not set.

use core::time::Duration;

use memtide_topology::ENCODED_BYTES_MAX;

/// Bytes of a frame beside the item in it: a command's line, keys, positions and what frames them.
const FRAMING_BYTES_MAX: usize = 64 * 1024;

/// Bytes of replies that wait for a proxy, from which on it is not listened to until it has taken
/// some.
pub const PROXY_UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that may wait for a proxy in all: replies that were waited for come on top of those that
/// stop the listening.
pub const PROXY_QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes that may wait for another node, after which the link is broken: the log has them.
pub const NODE_QUEUED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes that wait for a node, from which on no more chunks are read for its copies: what a write
/// may wait for behind them.
pub const COPY_QUEUED_BYTES_MAX: usize = 256 * 1024;

/// Bytes that the kernel keeps of a link between nodes, each way and on each side: a write, and the
/// consent of a handover, wait behind the copies in them. With a round trip of 1 ms, as between zones,
/// this still carries 100 MB/s.
pub const NODE_SOCKET_BYTES: usize = 128 * 1024;

/// Bytes of a chunk of a copy, but for one that is a single larger item.
pub const COPY_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of commands and replies of a slot that wait: with more, requests of that slot are refused, and
/// tried again by who asks.
pub const WAITING_BYTES_PER_SLOT_MAX: usize = 16 * 1024 * 1024;

/// Chunks that are read in one turn, where slots are so small that many make up
/// [`COPY_CHUNK_BYTES`].
pub const COPY_CHUNKS_PER_TURN_MAX: usize = 32;

/// Requests that wait, for a commit, a lease or the begin of a primary, in all: with more, who
/// asks is told so.
pub const WAITING_MAX: usize = 256 * 1024;

/// Bytes of their commands and replies.
pub const WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of writes that copies have not acknowledged, from which on requests are answered with an
/// error: a copy that is silent is replaced long before, unless there is no manager.
pub const LOG_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of the buffer for replies that are kept between commands.
pub const REPLY_BYTES_KEPT: usize = 64 * 1024;

/// Links of proxies and nodes at the same time, those included that shake hands.
pub const LINKS_MAX: usize = 4096;

/// Between two runs of the ticker: several in a beacon interval.
pub const TICK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of segments that a turn of background work looks through.
pub const MAINTAIN_STEP_BYTES: u64 = 256 * 1024;

/// Turns of background work in a tick.
pub const MAINTAIN_STEPS_MAX: usize = 64;

/// How long a node that is dialed may take to accept.
pub const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Before a node is dialed again, at first and at most.
pub const REDIAL_MIN: Duration = Duration::from_millis(20);
/// See [`REDIAL_MIN`].
pub const REDIAL_MAX: Duration = Duration::from_secs(1);

/// Lines about links that were refused, in a [`MINUTE`].
pub const REFUSALS_LOGGED_MAX: u32 = 20;
/// See [`REFUSALS_LOGGED_MAX`].
pub const MINUTE: Duration = Duration::from_secs(60);

/// How long a link to a node is kept with which no slot is shared any more: the next change of the
/// topology may need it.
pub const LINGER: Duration = Duration::from_secs(30);

/// How long a node that has given up its last slot goes on to tell who asks where it has gone.
pub const FAREWELL: Duration = Duration::from_millis(500);

/// Part of its memory that a node with copies keeps free of items, as a divisor: what comes in
/// until its primaries have evicted for it.
pub const HEADROOM_DIVISOR: u64 = 8;

/// Bytes that are evicted in one go for the sake of copies: requests wait meanwhile.
pub const RELIEF_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The largest frame that a proxy may send.
#[must_use]
pub const fn ask_bytes_max(item_size_max: u32) -> usize {
    item_size_max as usize + FRAMING_BYTES_MAX
}

/// The largest frame that a node may send: an entry with its item and its outcome, what is
/// remembered of requests, or a topology.
#[must_use]
pub const fn node_frame_bytes_max(item_size_max: u32) -> usize {
    2 * item_size_max as usize + ENCODED_BYTES_MAX + 16 * FRAMING_BYTES_MAX
}
