//! Every bound of a control stream.

use core::time::Duration;

use memtide_topology::{ADDRESS_BYTES_MAX, CACHE_NAME_BYTES_MAX, ENCODED_BYTES_MAX, SLOTS, Zone};

/// Bytes of a message to a node or proxy: a topology of the most nodes, and its frame.
pub const TOPOLOGY_MESSAGE_BYTES_MAX: usize = ENCODED_BYTES_MAX + 64;

/// Before a listener that failed (no descriptors left) is asked again.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Reports in one message.
pub const REPORTS_PER_MESSAGE_MAX: usize = 1_024;

/// Bytes of the name of an instance: of a pod, say.
pub const INSTANCE_BYTES_MAX: usize = 253;

/// Bytes of the version of a program.
pub const PROGRAM_VERSION_BYTES_MAX: usize = 64;

/// Slots of which a node says at one time what they take.
pub const SLOT_USES_MAX: usize = 64;

/// Bytes of a message to the scaler: a report has four numbers of at most 11 bytes with their
/// tags, and 4 bytes of frames; a registration fits too.
pub const REPORT_MESSAGE_BYTES_MAX: usize = REPORTS_PER_MESSAGE_MAX * 48 + 64;

const _: () = assert!(
    ADDRESS_BYTES_MAX
        + CACHE_NAME_BYTES_MAX
        + Zone::LEN_MAX
        + INSTANCE_BYTES_MAX
        + PROGRAM_VERSION_BYTES_MAX
        + 180
        < REPORT_MESSAGE_BYTES_MAX,
    "a registration is one message"
);

/// Reports of a node that wait for the stream; further ones are dropped, and are said again by
/// their node. One for each slot.
pub const REPORTS_QUEUED_MAX: usize = SLOTS as usize;

/// Bytes of the reason of a refusal; a longer one is cut.
pub const REASON_BYTES_MAX: usize = 512;

/// From the look-up of an endpoint's name to the end of the TLS and HTTP/2 handshakes.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Before the second try to reach a scaler; doubled with each further one.
pub const BACKOFF_MIN: Duration = Duration::from_millis(20);

/// Most that is waited between two tries. Below the time for which a scaler that is started anew
/// waits for the nodes that it knows.
pub const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A spare hears nothing until it is taken. With a stream that has stood for this long it is taken for
/// connected.
pub const SPARE_CONNECTED_AFTER: Duration = Duration::from_secs(1);

/// A proxy that ends waits this long for the scaler to have heard so.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// Processes whose counts one beat of a proxy tells: its own, and of those before it that no scaler has
/// said to have written down the newest.
pub const COUNTED_PER_BEAT_MAX: usize = 64;

const _: () = assert!(
    COUNTED_PER_BEAT_MAX * (8 * 11 + 4) + 64 < REPORT_MESSAGE_BYTES_MAX,
    "a beat is one message"
);

/// A proxy says this often what it routes by.
pub const PROXY_BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// A node or proxy from which nothing came for this long is asked for a sign of life.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// One that gives none for this long is dead.
pub const KEEPALIVE_TIME_MAX: Duration = Duration::from_secs(2);

/// The same of a scaler, more patiently: one that was stopped for a while goes on with the streams that it
/// had, and nobody needs it meanwhile.
pub const SCALER_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// See [`SCALER_KEEPALIVE_INTERVAL`].
pub const SCALER_KEEPALIVE_TIME_MAX: Duration = Duration::from_secs(10);

/// The patience of a node or proxy that knows of several scalers: where one is stopped or cut off, another leads after
/// its lease (`LEASE_SECONDS` of the scaler), and waits for those who are to come.
pub const SEVERAL_SCALERS: Patience = Patience {
    connect: Duration::from_secs(1),
    keepalive_interval: KEEPALIVE_INTERVAL,
    keepalive_time_max: KEEPALIVE_TIME_MAX,
};

/// That of one that knows of a single scaler.
pub const ONE_SCALER: Patience = Patience {
    connect: CONNECT_TIME_MAX,
    keepalive_interval: SCALER_KEEPALIVE_INTERVAL,
    keepalive_time_max: SCALER_KEEPALIVE_TIME_MAX,
};

/// Before a scaler is asked whether it leads, by who hears that its own is in doubt; doubled each time that all were.
pub const LEADS_ASKED_INTERVAL: Duration = Duration::from_millis(500);

/// Most that is waited before one is: all nodes and proxies ask, each by a connection of its own.
pub const LEADS_ASKED_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// How long it is waited for a scaler.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the handshakes.
    pub connect: Duration,
    /// Before it is asked for a sign of life, and
    pub keepalive_interval: Duration,
    /// for the answer.
    pub keepalive_time_max: Duration,
}

/// Connections that a scaler has open at once: every node and as many proxies.
pub const CONNECTIONS_MAX: usize = 2_048;

/// From accept to the first message, the handshakes included.
pub const REGISTRATION_TIME_MAX: Duration = Duration::from_secs(5);

/// Messages of all sessions that wait for the scaler's loop; whoever has one more waits.
pub const INCOMING_QUEUED_MAX: usize = 1_024;

/// Bytes that a peer may send before its reader has taken them, of a stream.
pub const WINDOW_BYTES: u32 = 1 << 18;

/// Most secrets of session tickets that a proxy takes at once.
pub const TICKET_SECRETS_MAX: usize = 4;
