//! The proxy: TLS listeners, sessions, metering, and behind them the in-process node, or the way to
//! the nodes of a fleet.
//!
//! Life of a batch of commands: `listener` accepts a socket and `spread` picks a core; `admission`
//! shakes hands; `connection` reads once, hands the plaintext to `session`, which parses, has
//! `execute` run each command on the store, meters it and collects the replies; `transport`
//! encrypts and writes them in one go. In a fleet a connection is one of `fleet`, which asks the
//! nodes instead of executing.

mod admission;
mod alarm;
mod announced;
#[doc(hidden)]
pub mod bench;
mod carry;
mod client_log;
mod clock;
mod config;
mod connection;
mod core;
mod counters;
mod door;
mod execute;
mod exposition;
mod farewell;
mod fleet;
pub mod limits;
mod listener;
mod registry;
mod session;
mod shared;
mod spread;
mod start;
mod stats;
mod throttle;
mod transport;

pub use config::{Backend, EmbeddedBackend, FleetBackend, ProxyConfig};
pub use door::DoorSettings;
pub use start::{Limiter, Listeners, Observer, Proxy, Stored, Usage, Work};

/// What `version` and `stats` answer: the memcached release whose protocol is spoken. Clients that
/// ask for a least version, such as Ruby's dalli 5 for 1.6.27, go by it.
pub const PROTOCOL_VERSION: &str = "1.6.45";
