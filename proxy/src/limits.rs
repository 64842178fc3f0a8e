//! Every bound of the proxy, in one place. Bytes unless the name says otherwise.
//!
//! What one connection can make the proxy hold is bounded by
//! `carry + output`, where
//! `carry <= item_size_max + LINE_AND_FRAMING_BYTES_MAX + READ_BYTES_MAX + TLS_RECORD_BYTES_MAX`
//! (an unfinished command, one read behind it, and a record that the read completed) and
//! `output <= OUTPUT_BYTES_HIGH + item_size_max + LINE_AND_FRAMING_BYTES_MAX` (replies that the
//! client has not read yet): [`connection_bytes_max`].
//!
//! In a fleet commands under way come on top, `asked <= ASKED_BYTES_HIGH + item_size_max +
//! LINE_AND_FRAMING_BYTES_MAX`, and replies to them that come before their turn or before the client
//! reads: about `ASKED_REPLY_BYTES_MAX` where replies are as large as those before them, and at the
//! very most `ASKED_MAX` items, where small replies are followed by the largest. Where all connections of
//! a core hold `CORE_BYTES_HIGH` so, none takes in another command; what was under way may bring them to
//! `CORE_BYTES_MAX`, and from there on a connection gets an error for every value but the only one it holds.

use std::time::Duration;

/// Largest read from a socket, and so the most input that one turn takes in.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Plaintext of a TLS record (RFC 8446, section 5.1).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024;

/// Replies that wait for the socket before a connection stops executing commands. One more item
/// may come on top.
pub use memtide_execute::OUTPUT_BYTES_HIGH;

/// Commands that a connection executes before the others of its core have their turn: under a
/// millisecond's worth. A multiget is one command, and its line is bounded.
pub const COMMANDS_PER_TURN_MAX: usize = 1024;

/// Times that a connection executes before the others of its core have their turn, where it never
/// waits for its socket in between.
pub const EXECUTIONS_PER_TURN_MAX: usize = 4;

/// Bytes of segments that background expiry looks through before the connections of its core have
/// their turn: a few thousand items.
pub const MAINTAIN_STEP_BYTES: u64 = 512 * 1024;

/// Such steps in a quarter of a second: at most 128 MiB a second.
pub const MAINTAIN_STEPS_MAX: usize = 64;

/// A command line, its data block's ending, and the reply lines around a value.
pub const LINE_AND_FRAMING_BYTES_MAX: usize = 16 * 1024 + 512;

/// What a core's shared buffers keep between turns; more is given back to the allocator.
pub const SCRATCH_BYTES_KEPT: usize = 256 * 1024;

/// Failed accepts that a listener logs in a minute.
pub const ACCEPT_ERRORS_LOGGED_MAX: u32 = 6;

/// Connections that were refused as they were accepted and that are logged in a minute.
pub const REFUSALS_LOGGED_MAX: u32 = 6;

/// Addresses that are told apart by how often they come.
pub const ADDRESSES_MAX: usize = 64 * 1024;

/// Places that those beyond share.
pub const ADDRESSES_SHARED: u64 = 16 * 1024;

/// Addresses that have not come for a while are forgotten this often.
pub const ADDRESSES_SWEEP: Duration = Duration::from_secs(1);

/// Sockets that were accepted and wait for their core to take them.
pub const HANDOFF_MAX: usize = 1024;

/// Connections over the maximum that a core is telling so at one time; others are closed unheard.
pub const REJECTIONS_MAX: usize = 64;

/// How long a client may leave its replies unread before it is closed.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(300);

/// After the last reply and the close, how long the peer's remaining bytes are read and dropped,
/// so that a reset does not overtake the reply.
pub const LINGER_MAX: Duration = Duration::from_secs(2);

/// How many of those bytes at most.
pub const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A core whose ticker (four times a second) was not seen for this long is not healthy.
pub const CORE_SILENCE_MAX: Duration = Duration::from_secs(10);

/// How often a core has the allocator give back what was freed.
pub const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(2);

/// First keepalive probe after this much silence, and the gap between probes.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Requests of one connection to nodes of a fleet that are under way at a time.
pub const ASKED_MAX: usize = 128;

/// Bytes of their commands from which on the connection takes in no other. One command may come
/// on top.
pub const ASKED_BYTES_HIGH: usize = 256 * 1024;

/// What their replies may come to, where they are as large as those before them; one may always be
/// under way.
pub const ASKED_REPLY_BYTES_MAX: usize = 1024 * 1024;

/// What is taken for the size of a connection's first replies, so that few are under way until
/// their size is known.
pub const REPLY_BYTES_EXPECTED: usize = ASKED_REPLY_BYTES_MAX / 16;

/// Commands of one connection that wait for their turn to be answered.
pub const PARTS_MAX: usize = 1024;

/// Bytes of commands and replies that a core holds for its connections from which on none takes in
/// another command.
pub const CORE_BYTES_HIGH: usize = 256 * 1024 * 1024;

/// Such bytes from which on a reply larger than `REPLY_BYTES_SMALL` becomes an error, where its
/// connection holds replies already.
pub const CORE_BYTES_MAX: usize = 2 * CORE_BYTES_HIGH;

/// See [`CORE_BYTES_MAX`].
pub const REPLY_BYTES_SMALL: usize = 1024;

/// Frames that wait for one node to take them; more ends the link.
pub const LINK_QUEUE_BYTES_MAX: usize = 2 * CORE_BYTES_HIGH;

/// Slots of one `flush_all` that are under way at a time.
pub const FLUSH_SLOTS_MAX: usize = 512;

/// Empty buffers that a core keeps for the replies of its connections.
pub const BUFFERS_SPARE_MAX: usize = 16;

/// How long a connection to a node may take to come about.
pub const DIAL_MAX: Duration = Duration::from_secs(2);

/// The pause before a node is dialled again; doubles up to [`DIAL_PAUSE_MAX`].
pub const DIAL_PAUSE_MIN: Duration = Duration::from_millis(20);
/// See [`DIAL_PAUSE_MIN`].
pub const DIAL_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Longest frame of a node: the reply with the largest item.
#[must_use]
pub const fn frame_bytes_max(item_size_max: u32) -> usize {
    item_size_max as usize + LINE_AND_FRAMING_BYTES_MAX
}

/// Upper bound of the bytes that one connection's buffers hold, TLS record overhead aside.
#[must_use]
pub const fn connection_bytes_max(item_size_max: u32) -> usize {
    let item = item_size_max as usize;
    item + LINE_AND_FRAMING_BYTES_MAX
        + READ_BYTES_MAX
        + TLS_RECORD_BYTES_MAX
        + OUTPUT_BYTES_HIGH
        + item
        + LINE_AND_FRAMING_BYTES_MAX
}

const _: () = assert!(SCRATCH_BYTES_KEPT >= READ_BYTES_MAX, "a full read must not shrink scratch");

/// Longest header of the PROXY protocol, with what balancers add to it, such as a client's name.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 2 * 1024;
