//! One process, as `memtide serve` starts it without nodes, and what goes with the program.
//!
//! One program of many tests, as most of them wait most of the time.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod admin_access;
mod blackbox;
mod blackbox_pipelines;
mod blackbox_random;
mod dashboards;
mod docs_operations;
mod helm_chart;
mod memory_growth;
mod program_mistakes;
mod program_start;
mod program_systemd;
mod records_usage;
mod sessions_balancer;
mod sessions_door;
mod sessions_drain;
mod sessions_events;
mod sessions_flood;
mod sessions_limits;
mod sessions_memory;
mod sessions_metering;
mod sessions_metrics;
mod sessions_noise;
mod sessions_throttle;
mod sessions_tls;
