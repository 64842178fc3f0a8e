//! Every bound of this crate.

use std::time::Duration;

/// Listening backlog: connections that the kernel completes before they are accepted. Linux cuts
/// it to `net.core.somaxconn` (4,096 by default).
pub const LISTEN_BACKLOG: i32 = 4096;

/// Admin HTTP: connections served at once. Further ones wait in the backlog.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// Admin HTTP: bytes of a request's line and headers (hyper's lowest possible bound is 8 KiB).
pub const ADMIN_REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Admin HTTP: from accept to the last byte of the reply taken by the client, so that one who
/// reads slowly gives his place up. Each connection carries one request.
pub const ADMIN_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// Admin HTTP: bytes of a request's body: the numbers of all slots, one by one.
pub const ADMIN_BODY_BYTES_MAX: usize = 128 * 1024;

/// Admin HTTP: characters of a token at least. 16 that are random cannot be guessed.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// Admin HTTP: characters of a token at most.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 512;

/// Events that the admin HTTP can still tell of; the oldest gives way. One who asks
/// once a second misses none unless a thousand happen in it.
pub const EVENTS_MAX: usize = 1024;

/// Bytes that the log of events takes on disk: some 5,000, of which the newest are told.
pub const EVENTS_LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Between two tries to write an event down.
pub const EVENTS_RETRY: Duration = Duration::from_secs(1);

/// Bytes of an event's text; a longer one is cut.
pub const EVENT_TEXT_BYTES_MAX: usize = 256;

/// A PEM file (certificate chain, key, CA bundle) larger than this is a mistake. The largest
/// bundles of public CAs are a quarter of it.
pub const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration file larger than this is a mistake.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Quiet time after the last file event before certificates are read: writers replace the
/// certificate and the key one after the other.
pub const TLS_RELOAD_QUIET: Duration = Duration::from_millis(250);

/// Events that never cease delay a reload no longer than this.
pub const TLS_RELOAD_DELAY_MAX: Duration = Duration::from_secs(2);

/// The files are compared with what is in force this often, for the file systems and symlinks
/// whose changes raise no event.
pub const TLS_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// The log reminds of a certificate that expires sooner than this. Made ones are renewed long
/// before; a certificate of 90 days is usually renewed at 30.
pub const TLS_REMINDER_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often it reminds.
pub const TLS_REMINDER_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
