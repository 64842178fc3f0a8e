//! A fleet in virtual time: real replication cores, the routing of proxies and a scripted
//! configuration manager on one seeded event heap, with faults, and checks of what clients saw.
//!
//! [`run`] is a function of its arguments: a seed that fails, fails again, and leaves the same trace.
//!
//! - `heap`, `event`, `trace`: what happens when, and what of it is written down.
//! - `network`, `clock`: how messages get lost and late, and clocks wrong.
//! - `node`, `store`, `item`: a node's process: the core, and a model of the store.
//! - `workload`: the clients of the proxies.
//! - `manager`, `review`: who changes the topology, and how.
//! - `plan`, `setup`, `chaos`, `world`: how large a fleet, and what is done to it.
//! - `checks`, `run`: what must hold at every step, and at the end.

mod chaos;
mod checks;
mod clock;
mod describe;
mod event;
mod heap;
mod item;
mod manager;
mod network;
mod node;
mod plan;
mod review;
mod run;
mod setup;
mod store;
mod trace;
mod workload;
mod world;

pub use memtide_engine_core::replication::Canary;
pub use run::{Options, Outcome, run};
pub use trace::Recording;
