//! Fleets of processes, which nobody scales.
//!
//! One program of many tests, as most of them wait most of the time.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod apart;
mod blackbox;
mod certificates;
mod changes;
mod data_dir;
mod failures;
mod fault_load;
mod hosts;
mod hub;
mod limits;
mod mistakes;
#[cfg(feature = "kubernetes")]
mod pods;
mod records;
mod refusals;
mod resumption;
mod roles;
mod scaling;
mod spares;
mod top;
mod upgrade;
mod usage;
