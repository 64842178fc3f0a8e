//! Chores of the repository: `cargo xtask CHORE`.

mod bench_fleet;
mod bench_gates;
mod bench_limits;
mod bench_peers;
mod faults;
mod sim;
mod simulate_scaling;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    BenchFleet(bench_fleet::Arguments),
    BenchGates(bench_gates::Arguments),
    BenchLimits(bench_limits::Arguments),
    /// Compares memtide with memcached's own TLS, and with haproxy and stunnel before a memcached
    BenchPeers(bench_peers::Arguments),
    Faults(faults::Arguments),
    Sim(sim::Arguments),
    SimulateScaling(simulate_scaling::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::BenchFleet(arguments) => bench_fleet::run(&arguments),
        Chore::BenchGates(arguments) => bench_gates::run(&arguments),
        Chore::BenchLimits(arguments) => bench_limits::run(&arguments),
        Chore::BenchPeers(arguments) => bench_peers::run(&arguments),
        Chore::Faults(arguments) => faults::run(&arguments),
        Chore::Sim(arguments) => sim::run(&arguments),
        Chore::SimulateScaling(arguments) => simulate_scaling::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A line for the one who waits, apart from results.
#[expect(clippy::print_stderr, reason = "chores talk to the developer who started them")]
fn tell(line: &str) {
    eprintln!("{line}");
}
