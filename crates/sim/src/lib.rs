//! A fleet in virtual time: real replication cores, the routing of proxies and a configuration
//! manager, the real one or a scripted one, on one seeded event heap, with faults, and checks of what clients saw.
//!
//! [`run`] is a function of its arguments: a seed that fails, fails again, and leaves the same trace.
//!
//! - `heap`, `event`, `trace`: what happens when, and what of it is written down.
//! - `network`, `clock`: how messages get lost and late, and clocks wrong.
//! - `member`: a node's process. `node`, `store`, `item`: the replication core, and a model of the store;
//!   `host`, `memcached`, `room`: all of a node but its sockets.
//! - `workload`, `wins`: the clients of the proxies.
//! - `copying`: when chunks of copies are read.
//! - `control`: the real manager; `script`, `review`: one that does at random what it may; `stored`:
//!   what both keep.
//! - `plan`, `setup`, `chaos`, `world`, `receive`: how large a fleet, and what is done to it.
//! - `checks`, `run`: what must hold at every step, and at the end.

mod chaos;
mod checks;
mod clock;
mod control;
mod copying;
mod describe;
mod event;
mod heap;
mod host;
mod item;
mod member;
mod memcached;
mod network;
mod node;
mod plan;
mod receive;
mod review;
mod room;
mod run;
mod script;
mod setup;
mod store;
mod stored;
mod trace;
mod wins;
mod workload;
mod world;

pub use memtide_engine_core::replication::Canary;
pub use run::{ManagerKind, NodeKind, Options, Outcome, run};
pub use trace::Recording;
