//! Real nodes over TLS on the loopback interface, with a topology made by hand.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod asks;
mod client;
mod replication;
mod rig;
mod tls;
mod versions;
mod work;
