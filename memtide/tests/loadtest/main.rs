//! `memtide loadtest` as its user has it: the program, against memtide over TLS and Debian's
//! memcached over TCP.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod connections;
mod counts;
mod honesty;
mod interruption;
mod misbehaviour;
mod mistakes;
mod program;
mod reports;
mod stub;
mod trace;
mod verify;
