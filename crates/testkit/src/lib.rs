//! Support for tests over real processes and sockets; no part of the program.
//!
//! - [`Memtide`] and [`Memcached`] start a server on free ports, keep its log, and end it when
//!   dropped.
//! - [`Fleet`] starts one with node processes, and [`Verifying`] loads it meanwhile;
//!   [`RoleProcess`] is a role of a fleet by itself.
//! - [`Client`] is a blocking client over TCP or TLS in which every read has a deadline.
//! - [`Table`] is the black-box suite's language: what to send and what must come back, in text.
//! - [`CommandStream`] makes seeded random commands, and [`Agreement`] compares two servers' replies.
//! - [`Etcd`] is a real one, whose members can be hurt.
//! - [`Hosts`] are network namespaces with cables that can be pulled, in zones that can be cut off and be far away;
//!   [`ZonedFleet`] is a whole fleet on them.
//! - [`Recount`] meters recorded traffic a second time.
//! - [`wait_until`] replaces every sleep.

mod admin;
mod agreement;
mod case;
mod client;
mod command_stream;
mod etcd;
mod fleet;
mod hosts;
mod load;
mod logs;
mod memcached;
mod memtide;
mod metrics;
mod pattern;
mod pki;
mod process;
mod recount;
mod rng;
mod role;
mod runner;
mod tls;
mod transport;
mod wait;
mod zoned;

pub use admin::{HttpReply, http_get};
pub use agreement::{Agreement, Disagreement};
pub use case::{Case, Difference, Exchange, Table};
pub use client::{Client, ClientError, Ending};
pub use command_stream::{CommandStream, Unit};
pub use etcd::Etcd;
pub use fleet::{Fleet, FleetNode};
pub use hosts::Hosts;
pub use load::{Loading, Verdict, Verifying, reply_within};
pub use logs::Logs;
pub use memcached::Memcached;
pub use memtide::{Memtide, MemtideBuilder};
pub use metrics::Metrics;
pub use pattern::Bindings;
pub use pki::{Authority, Identity};
pub use process::{peak_rss_bytes, rss_bytes, signal};
pub use recount::Recount;
pub use rng::{Rng, seed_from_environment};
pub use role::RoleProcess;
pub use runner::{Delivery, Failure, Server, Side, run_table};
pub use rustix::process::Signal;
pub use rustls::{HandshakeKind, ProtocolVersion};
pub use tls::{TlsClient, TlsVersions};
pub use wait::{PATIENCE, wait_until};
pub use zoned::{Member, Via, ZonedFleet, ZonedLoad, ZonedSettings};
