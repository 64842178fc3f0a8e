//! For tests and `cargo xtask simulate-scaling`: the real planner, executor and placement of slots against a modelled
//! fleet, in virtual time.
//!
//! ```text
//! Scenario: load, data, skew, limits, kills --+
//!                                             v
//!       supply (nodes that come, fail, are late) -> fleet (topology, copies) -> Sight
//!         ^  |                                                                   |
//!         |  +-- answers --> memtide_executor::Executor <------------------------+
//!         +------ effects <----+
//! ```
//! What is real: [`memtide_executor::Executor`] with the planner and with [`memtide_executor::Fill`], and `memtide_topology`'s
//! target, steps, failover and checks. What is a model: nodes (so many ECPUs a second each, and no more), copying (so many
//! bytes a second for each sender and each taker), the manager, which stores one change after a while, the disk and the provisioner.

mod curve;
mod fleet;
mod least;
mod ledger;
mod report;
mod rng;
mod scenario;
mod slots;
mod supply;
mod world;

pub use curve::Curve;
pub use report::{Event, Report, Sample, Totals};
pub use scenario::{Scenario, Skew, Supply};
pub use world::run;
