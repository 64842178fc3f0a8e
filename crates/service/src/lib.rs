//! What every role of memtide shares, and nothing of what a cache does.
//!
//! - [`config`]: one table of settings, read from flags, environment and file, with the blame kept.
//! - [`host`]: what this machine really allows (memory, descriptors) and is called.
//! - [`listen`]: listening sockets whose errors say what to do.
//! - [`tls`]: certificates: made, loaded, checked, reloaded without closing a connection.
//! - [`logging`]: tracing's set-up, and a limiter for the lines that clients cause.
//! - [`drain`], [`signals`]: how a process stops; [`systemd`]: what that is told.
//! - [`metrics`], [`events`], [`admin`]: what a process says of itself, over HTTP.
//! - [`limits`]: every bound of this crate, by name.

pub mod admin;
pub mod config;
pub mod drain;
pub mod events;
pub mod host;
pub mod limits;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod signals;
pub mod systemd;
pub mod tls;
